"""Connections to PulseAudio, or to PipeWire in its place, and the streams that record from it."""

from __future__ import annotations

import os
from enum import Enum
from typing import Any

from stream_audio._native import ffi, in_own_process, lib, note_end_of_use, note_use
from stream_audio._native.capture import Capture
from stream_audio._native.warm import Warmable
from stream_audio._record import Record
from stream_audio.errors import (
    BackendError,
    DeviceError,
    DeviceNotFoundError,
    HostUnresponsiveError,
    StreamAudioError,
)

ANSWER_TIMEOUT = 3_000_000_000
"""Nanoseconds within which a server has to answer."""

CONNECT_TIMEOUT = 1_500_000_000
"""The same for a connection, which every listing waits for."""

SUSPECT_TIMEOUT = 500_000_000
"""The same for one that did not answer the last time."""

LIBRARY_VARIABLE = "STREAM_AUDIO_PULSE_LIBRARY"
"""Environment variable with the path of the libpulse to use."""

_APPLICATION = b"stream-audio"


class PulseSource(Record):
    """A source of a server, as it was when the connection was made or used again.

    ``name`` is the server's own and unique there; ``description`` is what a desktop shows.
    ``latency`` is what the source holds back, in seconds, as it is configured at the moment.
    ``alsa`` are the numbers of the card and the device behind it, if that is what it is.
    """

    name: str
    description: str
    channel_map: tuple[str, ...]
    sample_rate: int
    latency: float
    is_monitor: bool
    alsa: tuple[int, int] | None = None

    @property
    def channels(self) -> int:
        """How many it has."""
        return len(self.channel_map)


class PulseOutput(Record):
    """An output of a server, as it was when the connection was made or used again.

    ``name`` and ``description`` as of a source; ``monitor`` is the name of the source that records
    it, ``index`` the server's number for it.
    """

    name: str
    description: str
    monitor: str
    index: int


class PulseProgram(Record):
    """A stream that a program plays, as it was when the connection was made or used again.

    ``index`` is the server's number for it, which is not used again; ``output`` that of the output
    that it plays to. ``process`` is -1 if it is not known.
    """

    index: int
    output: int
    name: str
    title: str
    binary: str
    process: int
    channel_map: tuple[str, ...]
    sample_rate: int
    paused: bool


class NoPulseServerError(BackendError):
    """There is no libpulse here, or no server answers: other hosts may have devices."""


class PulseState(Enum):
    """How a stream stands."""

    RUNNING = lib.SA_PULSE_RUNNING
    """Packets come."""
    SUSPENDED = lib.SA_PULSE_SUSPENDED
    """The server has put the source to sleep; packets may come again."""
    ENDED = lib.SA_PULSE_ENDED
    """The source or the server is gone; nothing will come any more."""


class PulseStatus(Record):
    """What a stream has been told by its server. ``latency`` is in seconds, 0 if unknown."""

    state: PulseState
    reason: str
    moved: bool
    latency: float


class PulseConnection(Warmable):
    """A connection to the server that the environment names, with the sources it has.

    Raises
    ------
    NoPulseServerError
        libpulse is not installed, or no server runs.
    BackendError
        The server cannot be asked.
    HostUnresponsiveError
        The server does not answer.
    """

    _hangs = False  # the server did not answer the last connection

    def __init__(self) -> None:
        super().__init__()
        note_use(self)  # its thread
        path = os.environ.get(LIBRARY_VARIABLE)
        error = ffi.new("sa_pulse_error *")
        self._native = lib.sa_pulse_connect(
            os.fsencode(path) if path else ffi.NULL,
            _APPLICATION,
            SUSPECT_TIMEOUT if PulseConnection._hangs else CONNECT_TIMEOUT,
            error,
        )
        PulseConnection._hangs = error.status == lib.SA_PULSE_NO_ANSWER
        if self._native == ffi.NULL:
            note_end_of_use(self)
            raise _connecting_failed(error)
        self._read_lists()
        self.server = self._server_now("name")

    def _read_lists(self) -> None:
        self.sources = [
            _source(lib.sa_pulse_source_at(self._native, index))
            for index in range(lib.sa_pulse_source_count(self._native))
        ]
        self.outputs = [
            _output(lib.sa_pulse_output_at(self._native, index))
            for index in range(lib.sa_pulse_output_count(self._native))
        ]
        self.programs = [
            _program(lib.sa_pulse_program_at(self._native, index))
            for index in range(lib.sa_pulse_program_count(self._native))
        ]

    def wake(self) -> bool:
        """Ask the server again what it has; False if it is gone, or does not answer."""
        error = ffi.new("sa_pulse_error *")
        if not lib.sa_pulse_list_again(self._native, SUSPECT_TIMEOUT, error):
            PulseConnection._hangs = error.status == lib.SA_PULSE_NO_ANSWER
            return False
        self._read_lists()
        return True

    def close(self) -> None:
        """Close it; waits for no server."""
        lib.sa_pulse_disconnect(self._native)
        note_end_of_use(self)

    @property
    def default_source(self) -> str:
        """The name of the server's default source now; empty if it has none."""
        return self._server_now("default_source")

    @property
    def default_output(self) -> str:
        """The name of the server's default output now; empty if it has none."""
        return self._server_now("default_output")

    @property
    def changes(self) -> int:
        """How often its sources or the default have changed since it was made; -1: it is gone."""
        return int(lib.sa_pulse_changes(self._native))

    def ring_at_changes(self, bell: int) -> None:
        """Write to an eventfd at each change from now on; -1: no longer."""
        lib.sa_pulse_ring_at_changes(self._native, bell)

    def open_stream(
        self,
        source: PulseSource,
        capture: Capture,
        *,
        sample_rate: int,
        fragment: int,
        program: PulseProgram | None = None,
    ) -> PulseStream:
        """Open a stream that feeds ``capture`` with all channels of the source.

        With a ``program``, the source is a monitor, of which nothing but that is recorded.

        Raises
        ------
        DeviceNotFoundError
            The source is gone.
        DeviceError
            It cannot be opened for another reason.
        """
        error = ffi.new("sa_pulse_error *")
        name = ffi.new("char[]", source.name.encode())
        channel_map = ffi.new("char[]", ",".join(source.channel_map).encode())
        settings = {
            "source": name,
            "channel_map": channel_map,
            "sample_rate": sample_rate,
            "channels": source.channels,
            "fragment": fragment,
            "source_latency": 0.0 if source.is_monitor else source.latency,
            "is_monitor": source.is_monitor,
            "program": -1 if program is None else program.index,
        }
        native = lib.sa_pulse_stream_open(
            self._native, capture.native, settings, ANSWER_TIMEOUT, error
        )
        if native == ffi.NULL:
            raise _stream_failed("open", source, error)
        return PulseStream(self, native, source)

    def _server_now(self, field: str) -> str:
        # A field of a struct does not keep it alive.
        server = ffi.new("sa_pulse_server *")
        lib.sa_pulse_server_now(self._native, server)
        return _text(getattr(server, field))


class PulseStream:
    """A stream that records one source and no other."""

    def __init__(self, connection: PulseConnection, native: Any, source: PulseSource) -> None:
        self._connection = connection.hold()
        self._native = native
        self._source = source
        self.fragment = int(lib.sa_pulse_stream_fragment(native))
        """Frames that the server hands over at once, as it decided."""
        self._last = PulseStatus(PulseState.RUNNING, "", False, 0.0)

    def start(self) -> None:
        """Let the packets come."""
        error = ffi.new("sa_pulse_error *")
        if not lib.sa_pulse_stream_start(self._native, error):
            raise _stream_failed("start", self._source, error)

    def stop(self) -> None:
        """Let no packet come after this has returned."""
        if in_own_process():
            lib.sa_pulse_stream_stop(self._native)

    def status(self) -> PulseStatus:
        """Return how it stands; asks nobody."""
        if self._native == ffi.NULL or not in_own_process():
            return self._last
        status = ffi.new("sa_pulse_status *")
        lib.sa_pulse_stream_look(self._native, status)
        return PulseStatus(
            PulseState(status.state),
            _text(status.reason),
            bool(status.moved),
            status.latency_ns * 1e-9,
        )

    def close(self) -> None:
        """Close the stream and let go of the connection."""
        self._last = self.status()
        if in_own_process():
            lib.sa_pulse_stream_close(self._native)
        self._native = ffi.NULL
        self._connection.release()


def _text(chars: Any) -> str:
    return str(ffi.string(chars).decode("utf-8", "replace"))


def _source(native: Any) -> PulseSource:
    has_card = native.alsa_card >= 0 and native.alsa_device >= 0
    return PulseSource(
        name=_text(native.name),
        description=_text(native.description),
        channel_map=tuple(_text(native.channel_map).split(",")),
        sample_rate=native.sample_rate,
        latency=native.latency,
        is_monitor=native.is_monitor,
        alsa=(native.alsa_card, native.alsa_device) if has_card else None,
    )


def _output(native: Any) -> PulseOutput:
    return PulseOutput(
        name=_text(native.name),
        description=_text(native.description),
        monitor=_text(native.monitor),
        index=native.index,
    )


def _program(native: Any) -> PulseProgram:
    return PulseProgram(
        index=native.index,
        output=native.output,
        name=_text(native.name),
        title=_text(native.title),
        binary=_text(native.binary),
        process=native.process,
        channel_map=tuple(_text(native.channel_map).split(",")),
        sample_rate=native.sample_rate,
        paused=native.paused,
    )


def _connecting_failed(error: Any) -> StreamAudioError:
    host_text = _text(error.text)
    if error.status == lib.SA_PULSE_NO_LIBRARY:
        return NoPulseServerError("libpulse is not installed", host_text=host_text)
    if error.status == lib.SA_PULSE_NO_SERVER:
        return NoPulseServerError("no PulseAudio or PipeWire server runs", host_text=host_text)
    if error.status == lib.SA_PULSE_NO_ANSWER:
        return HostUnresponsiveError(
            "PulseAudio (or PipeWire) does not answer",
            hint="The server hangs; restart it",
        )
    return BackendError("PulseAudio (or PipeWire) cannot be reached", host_text=host_text)


def _stream_failed(doing: str, source: PulseSource, error: Any) -> StreamAudioError:
    name, host_text = f"{source.description!r} ({source.name})", _text(error.text)
    if error.status == lib.SA_PULSE_NO_SOURCE:
        return DeviceNotFoundError(f"{name} is gone", host_text=host_text)
    if error.status == lib.SA_PULSE_NO_ANSWER:
        return HostUnresponsiveError(
            f"cannot {doing} {name}: the server does not answer", hint="It hangs; restart it"
        )
    return DeviceError(f"cannot {doing} {name}", host_text=host_text)
