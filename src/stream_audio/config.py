"""Settings of a session that most users never touch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from stream_audio._checks import one_of, real_number, whole_number
from stream_audio.engine.clock import Clock, MonotonicClock
from stream_audio.errors import ConfigTypeError


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """Settings of a session; every one has a default that is meant to be kept.

    Parameters
    ----------
    chunk_duration : float
        Seconds of audio in a chunk, 0.0005 to 10. Shorter chunks mean less latency and more work.
    ring_duration : float, optional
        Seconds that the ring of each source holds: how long the interpreter may be busy before
        frames are lost. 0.01 to 3600; memory is ``seconds * rate * channels * 4`` bytes. ``None``:
        30 s, but no more than 256 MiB a source.
    backlog_bytes : int
        Bytes of chunks that may wait for a slow sink; then the oldest is dropped and counted.
    retries : int
        How often a sink that raised is tried again with the same chunk.
    retry_delay : float
        Seconds before the first retry; doubled before each further one.
    switch_interval : float, optional
        ``sys.setswitchinterval`` while a session runs, put back after the last one. A shorter one
        (0.0005) brings chunks to their consumers sooner when other threads compute in Python. It
        is process-wide, hence not set unless asked for.
    nonfinite : "pass" or "zero"
        What becomes of samples that are infinite or not a number, which a faulty driver may
        deliver: they are handed on as they are, or as 0. Counted in the report either way. Where
        a format is computed from them (rate, mixed channels) they always count as 0.
    clock : Clock
        For tests: a :class:`stream_audio.testing.VirtualClock`.
    """

    chunk_duration: float = 0.1
    ring_duration: float | None = None
    backlog_bytes: int = 32 * 1024 * 1024
    retries: int = 3
    retry_delay: float = 0.1
    switch_interval: float | None = None
    nonfinite: Literal["pass", "zero"] = "pass"
    clock: Clock = field(default_factory=MonotonicClock)

    def __post_init__(self) -> None:
        real_number("chunk_duration", self.chunk_duration, 0.0005, 10)
        if self.ring_duration is not None:
            real_number("ring_duration", self.ring_duration, 0.01, 3600)
        whole_number("backlog_bytes", self.backlog_bytes, 1, 2**40)
        whole_number("retries", self.retries, 0, 100)
        real_number("retry_delay", self.retry_delay, 0, 3600)
        if self.switch_interval is not None:
            real_number("switch_interval", self.switch_interval, 1e-6, 10)
        one_of("nonfinite", self.nonfinite, ("pass", "zero"))
        if not isinstance(self.clock, Clock):
            raise ConfigTypeError(f"clock must be a Clock, not {self.clock!r}")
