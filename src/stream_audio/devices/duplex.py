"""A signal that is played, and what comes back meanwhile, frame by frame."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stream_audio._checks import real_number, whole_number
from stream_audio._native.jack import CALL_SECONDS, Call, JackClient
from stream_audio._native.portaudio import NativeDevice, Stream
from stream_audio._native.round_trip import RoundTrip
from stream_audio._record import Record
from stream_audio.devices.candidate import Candidate
from stream_audio.devices.find import find_input, find_named, full_name
from stream_audio.devices.input_device import no_output_device
from stream_audio.devices.jack import JackDevice, jack_targets
from stream_audio.devices.list import Listing
from stream_audio.devices.portaudio import PortAudioInput, outputs
from stream_audio.errors import DeviceError, DeviceFormatError, HostUnresponsiveError

LOOK_SECONDS = 0.05
STANDSTILL_SECONDS = 5.0
"""Without a callback for so long the host is taken to be dead; PulseAudio needs two to begin."""

_given_up: list[RoundTrip] = []
"""Of hosts that died: a callback might still come."""


class Heard(Record):
    """What came back while a signal was played.

    Attributes
    ----------
    samples : ndarray of float32, shape (frames, channels)
        Frame ``n`` was captured in the callback that played the signal's frame
        ``n % len(signal)``, at the same place in its period.
    sample_rate : int
        Frames a second.
    input, output, host_api : str
        The devices and their host API.
    input_latency, output_latency : float or None
        Seconds, as the host claims; ``None``: nothing that makes sense.
    overflows, underflows : int
        Callbacks in which the host said that input was lost, or output came too late.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    input: str
    output: str
    host_api: str
    input_latency: float | None
    output_latency: float | None
    overflows: int
    underflows: int


def play_and_listen(
    signal: NDArray[np.float32],
    seconds: float,
    *,
    input: str | None = None,
    output: str | None = None,
    sample_rate: int | None = None,
    period: int = 0,
    latency: Literal["low", "high"] | float = "low",
    go_on: Callable[[float], bool] = lambda heard: True,
) -> Heard:
    """Play a signal again and again, on every channel of a device, and keep what comes back.

    One duplex stream does both, so that played and captured frames are aligned.

    Parameters
    ----------
    signal : ndarray of float32, shape (frames,)
        Full scale ±1.0.
    seconds : float
        How long.
    input, output : str, optional
        Names of devices of one host API; ``None``: the default input, and its own output or else
        the default output of the same host API.
    sample_rate : int, optional
        Hz; ``None``: the input's default.
    period : int
        Frames a callback; 0: the host's own.
    latency : "low", "high" or float
        What the host is asked for, for input and output each; a number is in seconds.
    go_on : callable
        Asked about every 50 ms with the seconds heard so far; False ends it early.

    Raises
    ------
    DeviceNotFoundError, AmbiguousDeviceError, DeviceFormatError, DeviceError, BackendError
        A device is not there, cannot be opened as wished, or stops calling back.
    """
    real_number("seconds", seconds, 0.001, 3600)
    whole_number("period", period, 0, 65_536)
    listing = Listing()
    try:
        found, target = _devices(listing, input, output)
        rate = sample_rate or found.device.sample_rate
        trip = RoundTrip(
            signal,
            round(seconds * rate),
            inputs=min(2, found.device.channels),
            outputs=min(2, _channels(target)),
        )
        stream: Stream | JackLine
        if isinstance(target, JackDevice):
            stream = JackLine(found.native, target, trip, rate)
        else:
            stream = _open(found.native, target, trip, rate, period, latency)
        try:
            _run(stream, trip, rate, seconds, go_on)
        finally:
            if not stream.close():
                _given_up.append(trip)
    finally:
        listing.release()
    progress = trip.progress()
    return Heard(
        samples=trip.heard(),
        sample_rate=rate,
        input=found.name,
        output=target.name,
        host_api=found.host_api,
        input_latency=stream.latency,
        output_latency=stream.output_latency,
        overflows=progress.overflows,
        underflows=progress.underflows,
    )


Target = NativeDevice | JackDevice


def _devices(listing: Listing, input: str | None, output: str | None) -> tuple[Candidate, Target]:
    found = listing.default if input is None else find_input(input, listing)
    playing: list[Target] = []
    if listing.generation is not None:
        playing += outputs(listing.generation.devices)
    playing += jack_targets()
    of_same_host = [device for device in playing if device.host_api == found.host_api]
    if not (of_same_host if output is None else playing):
        raise no_output_device()
    if output is not None:
        target = find_named(output, playing, "output")
    else:
        same = [device for device in of_same_host if device.name == found.name]
        default = [device for device in of_same_host if device.is_default_output]
        target = [*same, *default, *of_same_host][0]
    if found.host_api != target.host_api:
        raise DeviceError(
            f"{full_name(found)} and {full_name(target)} cannot form one stream",
            hint="Choose an input and an output of the same host API",
        )
    return found, target


def _channels(target: Target) -> int:
    return len(target.ports) if isinstance(target, JackDevice) else target.max_output_channels


def _open(
    found: PortAudioInput,
    target: NativeDevice,
    trip: RoundTrip,
    rate: int,
    period: int,
    latency: Literal["low", "high"] | float,
) -> Stream:
    source = found.device
    latencies = {
        "low": (source.low_latency, target.low_output_latency),
        "high": (source.high_latency, target.high_output_latency),
    }
    return found.generation.open_round_trip(
        source,
        target,
        trip,
        sample_rate=rate,
        period=period,
        latencies=latencies[latency] if isinstance(latency, str) else (latency, latency),
    )


class JackLine:
    """A JACK client that plays and listens at once, in the place of a PortAudio stream."""

    def __init__(self, source: JackDevice, target: JackDevice, trip: RoundTrip, rate: int) -> None:
        if rate != source.sample_rate:
            raise DeviceFormatError(
                f"JACK does not run at {rate} Hz", hint=f"Its rate is {source.sample_rate} Hz"
            )
        self.latency = source.latency
        self.output_latency = target.latency
        self._client = Call(lambda: JackClient("stream-audio")).result(CALL_SECONDS)
        into = [port.full_name for port in source.ports[: trip.inputs]]
        out_of = [port.full_name for port in target.ports[: trip.outputs]]
        Call(lambda: self._client.prepare(trip, into, out_of)).result(CALL_SECONDS)

    def start(self) -> None:
        """Start the callbacks and connect the ports."""
        Call(self._client.start).result(CALL_SECONDS)

    def stop(self) -> None:
        """Do nothing: the callbacks end with :meth:`close`."""

    def close(self) -> bool:
        """Close the client; False if the server hangs, so that a callback might still come."""
        try:
            Call(self._client.close).result(CALL_SECONDS)
        except HostUnresponsiveError:
            return False
        return True


def _run(
    stream: Stream | JackLine,
    trip: RoundTrip,
    rate: int,
    seconds: float,
    go_on: Callable[[float], bool],
) -> None:
    stream.start()
    frames, moved = -1, time.monotonic()
    try:
        while (heard := trip.progress().frames) < round(seconds * rate):
            now = time.monotonic()
            if heard != frames:
                frames, moved = heard, now
            elif now - moved > STANDSTILL_SECONDS:
                raise DeviceError(
                    f"no callback came for {STANDSTILL_SECONDS:g} s",
                    hint="The device or its server may be gone, or needs a higher latency",
                )
            if not go_on(heard / rate):
                break
            time.sleep(LOOK_SECONDS)
    finally:
        stream.stop()
