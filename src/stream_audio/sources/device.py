"""A source that is a device of this machine, through PortAudio."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Literal

from stream_audio._checks import one_of, real_number, whole_number
from stream_audio._native.capture import Capture
from stream_audio._native.portaudio import JACK, NativeDevice, Stream
from stream_audio._record import Record
from stream_audio.audio.format import MAX_SAMPLE_RATE, AudioFormat
from stream_audio.contracts.opening import Opening
from stream_audio.contracts.source import OpenSource, UntoldDevice
from stream_audio.devices.candidate import Candidate
from stream_audio.devices.find import find_input
from stream_audio.devices.portaudio import is_monitor
from stream_audio.devices.pulse import PulseInput
from stream_audio.devices.role import default_candidate, role_is_named
from stream_audio.devices.wanted import Wanted
from stream_audio.errors import DeviceFormatError, StreamAudioError
from stream_audio.sources.pulse_device import open_pulse

MAX_PERIOD = 65_536


class DeviceSource(Record):
    """See :meth:`AudioSource.device`; without a name, the default input device."""

    name: Wanted | None
    sample_rate: int | None
    channels: int | tuple[int, ...] | None
    period: int | None
    latency: Literal["low", "high"] | float

    def __post_init__(self) -> None:
        if self.sample_rate is not None:
            whole_number("sample_rate", self.sample_rate, 1000, MAX_SAMPLE_RATE)
        if self.period is not None:
            whole_number("period", self.period, 1, MAX_PERIOD)
        if isinstance(self.latency, str):
            one_of("latency", self.latency, ("low", "high"))
        else:
            real_number("latency", self.latency, 0, 10)

    def open(self, opening: Opening) -> OpenSource:
        """Find the device in a fresh list and open it."""
        listing = opening.listing()
        is_role = self.name is None
        found = default_candidate(listing) if self.name is None else find_input(self.name, listing)
        if isinstance(found.native, PulseInput):
            return open_pulse(
                found.native,
                opening,
                sample_rate=self.sample_rate,
                channels=self.channels,
                period=self.period,
                latency=self.latency,
                is_role=is_role and not role_is_named(),
            )
        return self._open_portaudio(found, opening)

    def _open_portaudio(self, found: Candidate, opening: Opening) -> OpenSource:
        generation, device = found.native.generation, found.native.device
        rate = self.sample_rate or round(device.default_sample_rate)
        channels, own = channels_to_open(self.channels, device.max_input_channels, opening.formats)
        if channels > device.max_input_channels:
            raise DeviceFormatError(
                f"{device.name!r} does not record {channels} channels",
                hint=f"It has {device.max_input_channels}",
            )
        capture = opening.capture(rate, channels, self.period or 64)
        try:
            stream = generation.open_stream(
                device,
                capture,
                sample_rate=rate,
                channels=channels,
                period=self.period or 0,
                latency=self._seconds(device),
            )
        except BaseException:
            if not generation.condemned:
                capture.close()
            raise
        return OpenDevice(device, found.id, capture, stream, rate, own)

    def _seconds(self, device: NativeDevice) -> float:
        if self.latency == "low":
            return device.low_latency
        if self.latency == "high":
            return device.high_latency
        return float(self.latency)


def channels_to_open(
    chosen: int | tuple[int, ...] | None, most: int, formats: Iterable[AudioFormat]
) -> tuple[int, tuple[int, ...]]:
    """Return how many channels to open, and which of them the user means by the source.

    PortAudio opens the first channels of a device, so a list takes all before its highest.

    Parameters
    ----------
    chosen : int, tuple of int or None
        What the user said of the source.
    most : int
        What the device has.
    formats : iterable of AudioFormat
        What sinks want of the source; they count where the user said nothing. One that wants more
        than there is gets it mixed up.
    """
    if isinstance(chosen, tuple):
        return max(chosen) + 1, chosen
    if chosen is not None:
        return chosen, tuple(range(chosen))
    wanted = [each.channels for each in formats]
    own = min(most, max([2, *(each for each in wanted if isinstance(each, int))]))
    listed = [max(each) + 1 for each in wanted if isinstance(each, tuple)]
    return max([own, *listed]), tuple(range(own))


class OpenDevice(UntoldDevice):
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
        self.silence_is_normal = is_monitor(device)
        self.latency = stream.latency
        self.description = f"{device.name}, {device.host_api}"
        self.device_id = device_id
        self._stream = stream
        self._is_jack = device.host_api_type == JACK
        self._active = True
        self._asking = threading.Lock()

    def start(self) -> None:
        """Start the stream."""
        self._stream.start()

    def stop(self) -> None:
        """Stop the stream."""
        self._stream.stop()

    def is_active(self) -> bool:
        """Return the host's last answer, and ask again on another thread: the call may hang."""
        if not self._asking.locked() and self._asking.acquire(blocking=False):
            threading.Thread(target=self._ask, name="stream-audio-probe", daemon=True).start()
        return self._active

    def _ask(self) -> None:
        try:
            self._active = self._stream.is_active()
        except StreamAudioError:
            self._active = False
        finally:
            self._asking.release()

    def lost(self) -> None:
        """Give the host up where its calls would hang: after its server died, JACK's do."""
        if self._is_jack:
            self._stream.condemn()

    def close(self) -> None:
        """Close the stream; the capture is kept for good if a callback might still come."""
        self._asking.acquire()  # a question under way uses the stream; it ends within seconds
        if self._stream.close():
            self.capture.close()
