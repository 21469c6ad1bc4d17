"""A signal that is played, and what comes back meanwhile, frame by frame."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stream_audio._checks import real_number, whole_number
from stream_audio._native.portaudio import Generation, NativeDevice, Stream
from stream_audio._native.round_trip import RoundTrip
from stream_audio.devices.find import find_input, find_named, full_name
from stream_audio.devices.input_device import no_output_device
from stream_audio.devices.list import Listing
from stream_audio.devices.portaudio import PortAudioInput, outputs
from stream_audio.errors import DeviceError

LOOK_SECONDS = 0.05
STANDSTILL_SECONDS = 5.0
"""Without a callback for so long the host is taken to be dead; PulseAudio needs two to begin."""

_given_up: list[RoundTrip] = []
"""Of hosts that died: a callback might still come."""


@dataclass(frozen=True)
class Heard:
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
        generation, source, target = _devices(listing, input, output)
        rate = sample_rate or round(source.default_sample_rate)
        trip = RoundTrip(
            signal,
            round(seconds * rate),
            inputs=min(2, source.max_input_channels),
            outputs=min(2, target.max_output_channels),
        )
        latencies = {
            "low": (source.low_latency, target.low_output_latency),
            "high": (source.high_latency, target.high_output_latency),
        }
        stream = generation.open_round_trip(
            source,
            target,
            trip,
            sample_rate=rate,
            period=period,
            latencies=latencies[latency] if isinstance(latency, str) else (latency, latency),
        )
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
        input=source.name,
        output=target.name,
        host_api=source.host_api,
        input_latency=stream.latency,
        output_latency=stream.output_latency,
        overflows=progress.overflows,
        underflows=progress.underflows,
    )


def _devices(
    listing: Listing, input: str | None, output: str | None
) -> tuple[Generation, NativeDevice, NativeDevice]:
    found: PortAudioInput = (
        listing.default if input is None else find_input(input, listing)
    ).native
    generation, source = found.generation, found.device
    playing = outputs(generation.devices)
    if not playing:
        raise no_output_device()
    if output is not None:
        target = find_named(output, playing, "output")
    else:
        of_same_host = [device for device in playing if device.host_api == source.host_api]
        same = [device for device in of_same_host if device.name == source.name]
        default = [device for device in of_same_host if device.is_default_output]
        if not of_same_host:
            raise no_output_device()
        target = [*same, *default, *of_same_host][0]
    if source.host_api != target.host_api:
        raise DeviceError(
            f"{full_name(source)} and {full_name(target)} cannot form one stream",
            hint="Choose an input and an output of the same host API",
        )
    return generation, source, target


def _run(
    stream: Stream,
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
