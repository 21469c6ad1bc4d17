"""A device of this machine as a source, through PortAudio."""

from __future__ import annotations

from typing import Literal

from stream_audio._native.capture import Capture
from stream_audio._native.portaudio import NativeDevice, Stream
from stream_audio._record import Record
from stream_audio.contracts.opening import Opening
from stream_audio.contracts.source import OpenSource, UntoldDevice
from stream_audio.devices.candidate import Candidate
from stream_audio.devices.portaudio import is_monitor
from stream_audio.errors import StreamAudioError
from stream_audio.sources.probe import Probe

ASK_SECONDS = 10.0
"""How long a question may be open at most: a call is given up after 5 s."""


class PortAudioSettings(Record):
    """How to open a device; see ``AudioSource.device``."""

    sample_rate: int
    period: int | None
    latency: Literal["low", "high"] | float

    def seconds(self, device: NativeDevice) -> float:
        """Return the latency to ask for."""
        if self.latency == "low":
            return device.low_latency
        if self.latency == "high":
            return device.high_latency
        return float(self.latency)


def open_portaudio(
    found: Candidate,
    settings: PortAudioSettings,
    channels: int,
    own_channels: tuple[int, ...],
    opening: Opening,
) -> OpenSource:
    """Open a device with so many channels.

    Raises
    ------
    DeviceFormatError, DeviceError, HostUnresponsiveError
        The device refuses, or does not answer.
    """
    generation, device = found.native.generation, found.native.device
    capture = opening.capture(settings.sample_rate, channels, settings.period or 64)
    try:
        stream = generation.open_stream(
            device,
            capture,
            sample_rate=settings.sample_rate,
            channels=channels,
            period=settings.period or 0,
            latency=settings.seconds(device),
        )
    except BaseException:
        if not generation.condemned:
            capture.close()
        raise
    return OpenPortAudio(device, found.id, capture, stream, settings.sample_rate, own_channels)


class OpenPortAudio(UntoldDevice):
    """A PortAudio stream and its capture."""

    freewheel = False

    def __init__(
        self,
        device: NativeDevice,
        device_id: str,
        capture: Capture,
        stream: Stream,
        rate: int,
        own_channels: tuple[int, ...],
    ) -> None:
        self.capture = capture
        self.sample_rate = rate
        self.channels = capture.channels
        self.own_channels = own_channels
        self.silence_is_normal = self.is_monitor = is_monitor(device)
        self.latency = stream.latency
        self.description = f"{device.name}, {device.host_api}"
        self.device_id = device_id
        self._stream = stream
        self._probe = Probe(self._ask)

    def start(self) -> None:
        """Start the stream."""
        self._stream.start()

    def stop(self) -> None:
        """Stop the stream."""
        self._stream.stop()

    def is_active(self) -> bool:
        """Return the host's last answer, and ask again."""
        return self._probe.look()

    def _ask(self) -> bool:
        try:
            return self._stream.is_active()
        except StreamAudioError:
            return False

    def lost(self) -> None:
        """Do nothing: a call that hangs is given up."""

    def close(self) -> None:
        """Close the stream; the capture keeps its addresses if a callback might still come."""
        self._probe.end(ASK_SECONDS)  # an open question uses the stream
        if self._stream.close():
            self.capture.close()
        else:
            self.capture.abandon()
