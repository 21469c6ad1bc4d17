"""PortAudio generations and their streams."""

from __future__ import annotations

import ctypes
import os
from typing import Any

from stream_audio._log import host_log
from stream_audio._native import (
    _core,
    address,
    ffi,
    keeping_the_gil,
    lib,
    note_end_of_use,
    note_use,
)
from stream_audio._native.capture import Capture
from stream_audio._native.round_trip import RoundTrip
from stream_audio._native.warm import Warmable
from stream_audio._record import Record
from stream_audio.errors import (
    BackendError,
    DeviceError,
    DeviceFormatError,
    HostUnresponsiveError,
    StreamAudioError,
)

CALL_TIMEOUT = 5_000_000_000
"""Nanoseconds after which a call is given up and its generation is never called again."""

LIBRARY_VARIABLE = "STREAM_AUDIO_PORTAUDIO_LIBRARY"
"""Environment variable with the path of the PortAudio library to use."""

PACKAGED_LIBRARY = os.path.join(os.path.dirname(_core.__file__), "libstream_audio_portaudio.so")
"""Where a build with STREAM_AUDIO_PORTAUDIO=bundled, such as a wheel, has its own PortAudio."""

# PaErrorCode in portaudio.h.
_INVALID_CHANNEL_COUNT = -9998
_INVALID_SAMPLE_RATE = -9997
_DEVICE_UNAVAILABLE = -9985
_HOST_API_NOT_FOUND = -9979

JACK = 12
"""paJACK, a PaHostApiTypeId. Where PortAudio cannot be kept from JACK its devices are left out."""


class NativeDevice(Record):
    """A device of a generation's list."""

    index: int
    name: str
    host_api: str
    host_api_type: int
    max_input_channels: int
    is_default_input: bool
    is_host_api_default_input: bool
    default_sample_rate: float
    low_latency: float
    high_latency: float
    max_output_channels: int = 0
    is_default_output: bool = False
    low_output_latency: float = 0.0
    high_output_latency: float = 0.0
    takes_any_number: bool = False
    """Whether it accepts any number of channels: an ALSA plug-in that makes them up."""
    server_source: str | None = None
    """What an ALSA plug-in asks a sound server for, which mixes; empty: for its default."""

    @property
    def id(self) -> str:
        """What no other device of the list has."""
        return f"{self.host_api}:{self.index}"


_take_host_message = keeping_the_gil(
    "sa_host_messages_take", ctypes.c_bool, ctypes.c_void_p, ctypes.c_size_t
)


def log_host_messages() -> list[str]:
    """Pass what ALSA and JACK had to say on to the log, and return it."""
    line = ffi.new("char[]", lib.SA_HOST_MESSAGE_BYTES)
    messages = []
    while _take_host_message(address(line), lib.SA_HOST_MESSAGE_BYTES):
        messages.append(_text(line))
        host_log.debug("%s", messages[-1])
    return messages


def library_path() -> str | None:
    """Return the PortAudio to open: the user's, the package's, or None for the system's."""
    if path := os.environ.get(LIBRARY_VARIABLE):
        return path
    return os.fspath(PACKAGED_LIBRARY) if os.path.exists(PACKAGED_LIBRARY) else None


def condemned_generations() -> int:
    """How many generations were given up in this process because their host hung."""
    return int(lib.sa_condemned_generations())


class Generation(Warmable):
    """A private copy of PortAudio with a fresh device list.

    Parameters
    ----------
    without_pulse : bool
        Leave out ALSA's ways to a PulseAudio server, which is known to hang.
    state : object
        What its list depends on, as it is now; ``None`` if that cannot be told.

    Raises
    ------
    BackendError
        PortAudio is not installed, or it finds no audio backend.
    """

    def __init__(self, *, without_pulse: bool = False, state: object = None) -> None:
        super().__init__()
        self.state = state
        note_use(self)
        path = library_path()
        error = ffi.new("sa_call_error *")
        self._native = lib.sa_generation_open(
            os.fsencode(path) if path else ffi.NULL, without_pulse, CALL_TIMEOUT, error
        )
        messages = log_host_messages()
        if self._native == ffi.NULL:
            # Of a condemned one a thread of its own still stands there.
            if error.status not in (lib.SA_CALL_CONDEMNED, lib.SA_CALL_ASSERTED):
                note_end_of_use(self)
            raise _opening_failed(error, messages)
        count = lib.sa_generation_device_count(self._native)
        devices = [_device(lib.sa_generation_device(self._native, i)) for i in range(count)]
        self.devices = [device for device in devices if device.host_api_type != JACK]
        self._is_client_of_jack = len(self.devices) < len(devices)

    def rest(self) -> bool:
        """Whether it may be kept: no client of JACK is, whose server may go."""
        return not self.condemned and self.state is not None and not self._is_client_of_jack

    def close(self) -> None:
        """Close it, unless it is condemned."""
        if self.condemned:
            return
        lib.sa_generation_close(self._native)
        note_end_of_use(self)
        log_host_messages()

    @property
    def condemned(self) -> bool:
        """Whether its host hung or died; it is then never called again."""
        return bool(lib.sa_generation_is_condemned(self._native))

    def condemn(self) -> None:
        """Never call it again: its host is known to be dead."""
        lib.sa_generation_condemn(self._native)

    def open_stream(
        self,
        device: NativeDevice,
        capture: Capture,
        *,
        sample_rate: int,
        channels: int,
        period: int,
        latency: float,
    ) -> Stream:
        """Open an input stream that feeds ``capture``.

        Raises
        ------
        DeviceFormatError
            The device refuses the sample rate or the number of channels.
        DeviceError
            It cannot be opened for another reason.
        """
        error = ffi.new("sa_call_error *")
        settings = {
            "device": device.index,
            "channels": channels,
            "sample_rate": sample_rate,
            "latency": latency,
            "period": period,
        }
        native = lib.sa_stream_open(self._native, capture.native, settings, CALL_TIMEOUT, error)
        messages = log_host_messages()
        if native == ffi.NULL:
            raise _stream_failed("open", device, error, messages, sample_rate, channels)
        return Stream(self, native, device)

    def open_round_trip(
        self,
        source: NativeDevice,
        target: NativeDevice,
        trip: RoundTrip,
        *,
        sample_rate: int,
        period: int,
        latencies: tuple[float, float],
    ) -> Stream:
        """Open a stream that plays to ``target`` and keeps what comes back from ``source``.

        Raises
        ------
        DeviceFormatError, DeviceError
            As for :meth:`open_stream`.
        """
        error = ffi.new("sa_call_error *")
        into, out_of = latencies
        native = lib.sa_round_trip_open(
            self._native,
            trip.native,
            {"device": source.index, "channels": trip.inputs, "latency": into},
            {"device": target.index, "channels": trip.outputs, "latency": out_of},
            sample_rate,
            period,
            CALL_TIMEOUT,
            error,
        )
        messages = log_host_messages()
        if native == ffi.NULL:
            raise _stream_failed("open", source, error, messages, sample_rate, trip.inputs)
        return Stream(self, native, source)


class Stream:
    """An input stream of a generation."""

    def __init__(self, generation: Generation, native: Any, device: NativeDevice) -> None:
        self._generation = generation.hold()
        self._native = native
        self._device = device
        self.latency = _latency(lib.sa_stream_input_latency(native))
        self.output_latency = _latency(lib.sa_stream_output_latency(native))

    def start(self) -> None:
        """Start the callbacks."""
        self._call("start", lib.sa_stream_start)

    def stop(self) -> None:
        """Stop the callbacks; none comes after it returned without an error."""
        self._call("stop", lib.sa_stream_stop)

    def is_active(self) -> bool:
        """Whether the host says that it calls back."""
        error = ffi.new("sa_call_error *")
        active = lib.sa_stream_is_active(self._native, CALL_TIMEOUT, error)
        if active < 0:
            raise _stream_failed("ask", self._device, error, log_host_messages())
        return bool(active)

    def condemn(self) -> None:
        """Give the stream's generation up: its host is known to be dead."""
        self._generation.condemn()

    def close(self) -> bool:
        """Close the stream; False if a callback might still come: its host is dead, or refuses."""
        error = ffi.new("sa_call_error *")
        if not lib.sa_stream_close(self._native, CALL_TIMEOUT, error):
            # Unloading the library would take the code from under such a callback.
            self._generation.condemn()
        log_host_messages()
        condemned = self._generation.condemned
        if condemned:
            host_log.warning(
                "%s did not answer; a copy of PortAudio was given up (%d so far)",
                self._device.host_api,
                condemned_generations(),
            )
        self._generation.release()
        return not condemned

    def _call(self, doing: str, function: Any) -> None:
        error = ffi.new("sa_call_error *")
        if not function(self._native, CALL_TIMEOUT, error):
            raise _stream_failed(doing, self._device, error, log_host_messages())


def _latency(reported: float) -> float | None:
    return None if reported == lib.SA_UNKNOWN_LATENCY else float(reported)


def _text(chars: Any) -> str:
    return str(ffi.string(chars).decode("utf-8", "replace"))


def _device(info: Any) -> NativeDevice:
    return NativeDevice(
        index=info.index,
        name=_text(info.name),
        host_api=_text(info.host_api),
        host_api_type=info.host_api_type,
        max_input_channels=info.max_input_channels,
        max_output_channels=info.max_output_channels,
        takes_any_number=info.takes_any_number,
        server_source=_text(info.pulse_device) if info.through_pulse else None,
        is_default_input=info.is_default_input,
        is_host_api_default_input=info.is_host_api_default_input,
        is_default_output=info.is_default_output,
        default_sample_rate=info.default_sample_rate,
        low_latency=info.default_low_input_latency,
        high_latency=info.default_high_input_latency,
        low_output_latency=info.default_low_output_latency,
        high_output_latency=info.default_high_output_latency,
    )


def _host_text(error: Any, messages: list[str]) -> str:
    """PortAudio's words, the host API's, and the last of what ALSA or JACK would have printed."""
    own = [_text(error.text), _text(error.host_text)]
    return "; ".join([text for text in own if text] + messages[-3:])


def _opening_failed(error: Any, messages: list[str]) -> StreamAudioError:
    path = os.environ.get(LIBRARY_VARIABLE)
    if error.status == lib.SA_CALL_NO_LIBRARY and path and "Pa_Initialize" in _text(error.text):
        return BackendError(
            f"{path} is not a PortAudio library",
            host_text=_text(error.text),
            hint=f"Correct or unset the environment variable {LIBRARY_VARIABLE}",
        )
    if error.status == lib.SA_CALL_NO_LIBRARY:
        return BackendError(
            "PortAudio is not installed",
            host_text=_text(error.text),
            hint=(
                "Install it: apt install libportaudio2 (Debian, Ubuntu), dnf install portaudio "
                "(Fedora), pacman -S portaudio (Arch), brew install portaudio (macOS)"
            ),
        )
    if error.code == _HOST_API_NOT_FOUND:
        # How PortAudio says that it found no libasound, be there JACK or not.
        return BackendError(
            "no audio backend: ALSA's library is not installed",
            host_text=_host_text(error, messages),
            hint=(
                "Install it, and its plug-in that reaches PulseAudio and PipeWire: apt install "
                "libasound2 libasound2-plugins (Debian, Ubuntu), dnf install alsa-lib "
                "alsa-plugins-pulseaudio (Fedora), pacman -S alsa-lib alsa-plugins (Arch)"
            ),
        )
    if error.status == lib.SA_CALL_CONDEMNED:
        return HostUnresponsiveError(
            "PortAudio did not finish starting within 5 s",
            host_text="; ".join(messages[-3:]),
            hint="An audio server or driver hangs; restart it",
        )
    if error.status == lib.SA_CALL_NO_MEMORY:
        return BackendError("no memory or no thread for PortAudio")
    if error.status == lib.SA_CALL_ASSERTED:
        return BackendError(
            "PortAudio failed an internal assertion while it listed the devices",
            host_text="; ".join(messages[-3:]),
            hint="The configuration of ALSA, or a driver, is one that it does not expect",
        )
    if error.status == lib.SA_CALL_UNCONFIGURED:
        return BackendError(
            "ALSA has no configuration, so it has no device",
            host_text="; ".join(messages[:3]),
            hint=(
                "Install ALSA's configuration (Debian: apt install libasound2-data), or correct "
                "ALSA_CONFIG_PATH"
            ),
        )
    return BackendError(
        "PortAudio finds no working audio backend",
        host_text=_host_text(error, messages),
        hint="Check that a sound server or ALSA is installed and its configuration is valid",
    )


def _stream_failed(
    doing: str,
    device: NativeDevice,
    error: Any,
    messages: list[str],
    sample_rate: int = 0,
    channels: int = 0,
) -> StreamAudioError:
    name = f"{device.name!r} ({device.host_api})"
    host_text = _host_text(error, messages)
    if error.status == lib.SA_CALL_ASSERTED:
        return DeviceError(
            f"cannot {doing} {name}: PortAudio failed an internal assertion",
            host_text=host_text,
            hint="A new session uses a fresh copy of it",
        )
    if error.status == lib.SA_CALL_CONDEMNED:
        return HostUnresponsiveError(
            f"cannot {doing} {name}: {device.host_api} does not answer",
            host_text=host_text,
            hint="Its server or driver is probably gone; a new session uses a fresh connection",
        )
    if error.code == _INVALID_SAMPLE_RATE:
        return DeviceFormatError(
            f"{name} does not record at {sample_rate} Hz",
            host_text=host_text,
            hint=f"Its own rate is {device.default_sample_rate:.0f} Hz",
        )
    if error.code == _INVALID_CHANNEL_COUNT:
        return DeviceFormatError(
            f"{name} does not record {channels} channels",
            host_text=host_text,
            hint=f"It has {device.max_input_channels}",
        )
    hint = ""
    if error.code == _DEVICE_UNAVAILABLE:
        hint = "Another program may have it open"
    return DeviceError(f"cannot {doing} {name}", host_text=host_text, hint=hint)
