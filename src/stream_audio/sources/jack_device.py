"""A client of a JACK server as a source, or ports that the user connects."""

from __future__ import annotations

from dataclasses import replace

from stream_audio._checks import name_text
from stream_audio._log import log
from stream_audio._native.capture import Capture
from stream_audio._native.jack import CALL_SECONDS, Call, JackClient, not_answering
from stream_audio._record import Record
from stream_audio.contracts.opening import Opening
from stream_audio.contracts.source import OnLost, OpenSource, Source, UntoldDevice
from stream_audio.devices.find import find_named
from stream_audio.devices.jack import HOST_API, JackDevice, jack_sources
from stream_audio.devices.wanted import device_wanted
from stream_audio.errors import BackendError, ConfigError, DeviceFormatError, HostUnresponsiveError
from stream_audio.sources.channels import channels_to_open
from stream_audio.sources.losing import again, check_losing
from stream_audio.sources.probe import Probe

CLIENT_NAME = "stream-audio"


class JackSource(Record):
    """See :meth:`AudioSource.jack`."""

    name: str | None
    channels: int | tuple[int, ...] | None
    client_name: str
    on_lost: OnLost | None = None
    lost_timeout: float | None = None

    def __post_init__(self) -> None:
        check_losing(self.on_lost, self.lost_timeout)
        if self.name is not None:
            device_wanted(self.name)
        elif isinstance(self.channels, tuple):
            raise ConfigError(
                "channels lists channels of a device, but no device is named",
                hint="Say how many ports to make: channels=2",
            )
        name_text("client_name", self.client_name)
        if ":" in self.client_name:
            raise ConfigError("client_name must not contain a colon, which JACK adds itself")

    def again(self, lost: OpenSource) -> tuple[Source, ...]:
        """Return the same client of the server, or the same ports; and the default device."""
        name = None if self.name is None else lost.device_id
        return again(replace(self, name=name), lost)

    def open(self, opening: Opening) -> OpenSource:
        """Find the device among JACK's, or make ports that are not connected."""
        if self.name is None:
            count = self.channels if isinstance(self.channels, int) else 2
            return open_jack(None, self.client_name, None, count, tuple(range(count)), opening)
        devices = jack_sources(to_open=True)
        if not devices:
            raise BackendError("no JACK server runs, or it has no sources", hint="Start jackd")
        device = find_named(self.name, devices, "JACK")
        channels, own = channels_to_open(
            self.channels, device.name, len(device.ports), opening.formats
        )
        return open_jack(device, self.client_name, None, channels, own, opening)


def open_jack(
    device: JackDevice | None,
    client_name: str,
    sample_rate: int | None,
    channels: int,
    own_channels: tuple[int, ...],
    opening: Opening,
) -> OpenSource:
    """Open a client with so many ports for the first ports of a device; ``None``: for none.

    One that a session left is used again.

    Raises
    ------
    DeviceFormatError
        The server runs at another rate.
    BackendError, DeviceError, HostUnresponsiveError
        It is not there, refuses, or does not answer.
    """
    client = _open_client(client_name, opening)
    if device is None:
        client.keep_warm = 0.0  # its name is what others connect to, and has to be free
    name = HOST_API if device is None else f"{device.name!r} ({HOST_API})"
    rate, period = client.sample_rate, client.period
    if not rate or not period:
        Call(client.release)
        raise BackendError("the JACK server has gone just now", hint="Restart it")
    if sample_rate not in (None, rate):
        Call(client.release)
        raise DeviceFormatError(
            f"{name} does not record at {sample_rate} Hz",
            hint=f"Its own rate is {rate} Hz",
        )
    capture = opening.capture(rate, channels, period)
    sources = channels if device is None else [p.full_name for p in device.ports[:channels]]
    try:
        Call(lambda: client.prepare(capture, sources)).result(CALL_SECONDS)
    except HostUnresponsiveError:
        raise  # the client and the capture are still in use
    except BaseException:
        client.close()
        capture.close()
        raise
    return OpenJack(device, client, capture, own_channels)


def _open_client(name: str, opening: Opening) -> JackClient:
    def take() -> JackClient:
        return opening.reuse.take(
            JackClient, lambda: JackClient(name), lambda kept: kept.asked_name == name
        )

    client = Call(take).result(CALL_SECONDS)
    if client.absent:
        raise BackendError("no JACK server runs", hint="Start one, for example jackd")
    return client


class OpenJack(UntoldDevice):
    """A client with a stream, and its capture."""

    freewheel = False

    def __init__(
        self,
        device: JackDevice | None,
        client: JackClient,
        capture: Capture,
        own_channels: tuple[int, ...],
    ) -> None:
        self.capture = capture
        self.sample_rate = round(capture.sample_rate)
        self.channels = capture.channels
        self.own_channels = own_channels
        self.silence_is_normal = device is None or not device.is_physical
        self.description = f"{'ports' if device is None else device.name}, {HOST_API}"
        self.device_id = "" if device is None else device.id
        self.latency = None if device is None else _input_latency(device)
        capture.native.host_latency_ns = round((self.latency or 0) * 1e9)
        self._client = client
        self._closing: Call[None] | None = None
        self._lost_because = ""
        self._probe = Probe(self._look)

    def start(self) -> None:
        """Start the callbacks and connect the ports."""
        Call(self._client.start).result(CALL_SECONDS)

    def stop(self) -> None:
        """End the callbacks, and let go of the client.

        Raises
        ------
        HostUnresponsiveError
            The server hangs; a callback may still come.
        """
        if self._closing is None:
            if not self._probe.end(CALL_SECONDS):
                raise not_answering()
            self._closing = Call(self._client.release)
        self._closing.result(CALL_SECONDS)

    def is_active(self) -> bool:
        """Return whether the connections are as they were made, when last looked at."""
        return not self._client.gone and self._probe.look()

    def _look(self) -> bool:
        self._lost_because = self._client.look()
        return not self._lost_because

    def end_reason(self) -> str:
        """Return why what was to be recorded is not connected any more."""
        return f"{self.description}: {self._lost_because}" if self._lost_because else ""

    def lost(self) -> None:
        """Do nothing: each call has its time."""

    def close(self) -> None:
        """Free the capture, unless the server hangs and a callback might still come."""
        try:
            self.stop()
        except HostUnresponsiveError as error:
            log.warning("%s: %s; the addresses of its ring are given up", self.description, error)
            self.capture.abandon()
        else:
            self.capture.close()


def _input_latency(device: JackDevice) -> float | None:
    """Return the latency before the buffer that JACK's own figure counts in.

    A program's port has none, as it has no converter.
    """
    frames = device.ports[0].latency - device.period
    return frames / device.sample_rate if frames >= 0 else None
