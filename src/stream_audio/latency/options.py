"""What is to be measured."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from stream_audio._record import Record
from stream_audio.errors import ConfigError
from stream_audio.latency.consumers import available_kinds

SWEEP_PERIODS = (64, 128, 256, 512, 1024)
SWEEP_CHUNKS = (0, 1024, 4800)
SWEEP_KINDS = ("router", "channel")
DURATION = 5.0
SWEEP_DURATION = 2.0
ROUND_TRIP_DURATION = 10.0


class Options(Record):
    """Settings of a measurement, as the command line has them.

    Attributes
    ----------
    device : str, optional
        An input device, or "default"; ``None``: the virtual device.
    rate, channels : int, optional
        Of the device.
    period, chunk : list of int, optional
        Frames, one measurement each; 0 is the device's own period, or one period.
    latency : str or float
        "low", "high", or seconds.
    consumers : list of str, optional
        Kinds of consumers; ``None``: all.
    load : list of str
        Loads, one after the other.
    switch_interval : float, optional
        For ``sys.setswitchinterval``, seconds.
    duration : float, optional
        Seconds of each measurement.
    sweep : bool
        Whether to measure several periods and chunks.
    soak : float, optional
        Seconds of a single session with all consumers.
    compare : bool
        Whether to measure other libraries, too.
    rounds : int
        Rounds of a comparison.
    round_trip : bool
        Whether to play a signal and find it again.
    output : str, optional
        The output device for that.
    level : float
        Its level in dBFS.
    delay : float
        Milliseconds that each consumer sleeps.
    json : bool
        Whether figures are printed for programs, histograms included.
    plot : Path, optional
        Where a picture goes.
    max_p99, max_lost : float, int, optional
        Limits in ms and frames.
    """

    device: str | None = None
    rate: int | None = None
    channels: int | None = None
    period: list[int] | None = None
    latency: Literal["low", "high"] | float = "low"
    chunk: list[int] | None = None
    consumers: list[str] | None = None
    load: list[str] = ["none"]  # noqa: RUF012 - nobody changes it
    switch_interval: float | None = None
    duration: float | None = None
    sweep: bool = False
    soak: float | None = None
    compare: bool = False
    rounds: int = 3
    round_trip: bool = False
    output: str | None = None
    level: float = -20.0
    delay: float = 0.0
    json: bool = False
    plot: Path | None = None
    max_p99: float | None = None
    max_lost: int | None = None

    def __post_init__(self) -> None:
        if self.compare and self.device is None:
            raise ConfigError(
                "--compare needs --device: other libraries cannot record the virtual device"
            )
        if self.round_trip and (self.sweep or self.soak or self.compare):
            raise ConfigError("--round-trip takes no --sweep, --soak or --compare")
        if self.soak and self.sweep:
            raise ConfigError("--soak and --sweep exclude each other")
        if self.output is not None and not self.round_trip:
            raise ConfigError("--output needs --round-trip")
        if self.round_trip and (len(self.periods) > 1 or self.chunk):
            raise ConfigError("--round-trip takes one --period and no --chunk")

    @property
    def periods(self) -> list[int]:
        """Frames of each callback, one measurement each."""
        return self.period or list(SWEEP_PERIODS if self.sweep else (0,))

    @property
    def chunks(self) -> list[int]:
        """Frames of each chunk, one measurement each."""
        return self.chunk or list(SWEEP_CHUNKS if self.sweep else (0,))

    @property
    def kinds(self) -> list[str]:
        """The consumers to measure."""
        return self.consumers or list(SWEEP_KINDS if self.sweep else available_kinds())

    @property
    def seconds(self) -> float:
        """Length of each measurement."""
        if self.duration is not None:
            return self.duration
        if self.soak:
            return self.soak
        if self.round_trip:
            return ROUND_TRIP_DURATION
        return SWEEP_DURATION if self.sweep else DURATION
