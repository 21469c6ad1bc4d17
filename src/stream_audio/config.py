"""Settings of a session that most users never touch."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Literal

from stream_audio._checks import one_of, real_number
from stream_audio._public import public
from stream_audio.backlog.policy import Backlog, as_backlog
from stream_audio.backlog.retry import Retry
from stream_audio.errors import ConfigTypeError
from stream_audio.waiting.clock import Clock, default_clock


@public
@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """Settings of a session; most sessions need only the defaults.

    Parameters
    ----------
    chunk_duration : float
        Seconds of audio in a chunk, 0.0005 to 10. Shorter chunks mean less latency and more work.
    ring_duration : float, optional
        Seconds that the ring of each source holds, 0.01 to 3600: how long the interpreter may be
        busy before frames are lost. It must hold the audio between two turns (a chunk, two periods
        and 0.05 s), unless the source can wait. It takes ``seconds * rate * channels * 4`` bytes.
        ``None``: 30 s, but at most 256 MiB for each source.
    backlog : Backlog or str
        How much may wait for each sink without a backlog of its own, and what happens beyond that.
    spill_dir : str or os.PathLike, optional
        The folder for the temporary files of backlogs that spill; it must be on a disk. ``None``:
        the folder for temporary files, ``/var/tmp`` or the user's own, whichever is the first on a
        disk.
    retry : Retry
        How often, and when, a sink that raised gets the same chunk again. A sink's own retry comes
        first.
    stop_timeout : float
        Seconds, 0 to 1,000,000, that the end of a session waits for a sink that takes nothing. If
        no further frame is delivered for so long, the rest is dropped and counted.
        ``stop(timeout=…)`` sets how long the session waits in all.
    raise_on_sink_failure : bool
        Whether ``session.stop()``, ``session.wait()`` and the end of the ``with`` block raise the
        error of the first sink that failed. The report and an event have it in any case.
    switch_interval : float, optional
        Value for ``sys.setswitchinterval`` while a session runs; it is restored after the last
        one. A shorter interval (0.0005) brings chunks to their consumers sooner when other threads
        compute in Python. It affects the whole process, so it is not set unless you ask for it.
    nonfinite : "pass" or "zero"
        What sinks get for samples that are infinite or not a number, which a faulty driver may
        deliver: the samples as they are, or 0. The report counts them either way. Calculations
        (rate, mixed channels) always treat them as 0.
    doorbell : bool
        Whether an audio thread may wake whoever waits for its audio. That is at most one system
        call for each chunk, which never blocks, and none while nobody sleeps. It brings chunks
        much sooner beside other computing processes. False keeps the audio thread free of any
        system call.
    keep_warm : float
        Seconds, 0 to 3600, that connections to sound systems stay open after a session, for the
        next one to start sooner. They are closed before that at exit, before a fork, and when a
        server goes; and are not used again if anything has changed. 0: closed at once.
    clock : Clock
        The clock; tests pass a :class:`stream_audio.testing.VirtualClock`.
    """

    chunk_duration: float = 0.1
    ring_duration: float | None = None
    backlog: Backlog | str = field(default_factory=Backlog)
    spill_dir: str | os.PathLike[str] | None = None
    retry: Retry = field(default_factory=Retry)
    stop_timeout: float = 10.0
    raise_on_sink_failure: bool = True
    switch_interval: float | None = None
    nonfinite: Literal["pass", "zero"] = "pass"
    doorbell: bool = True
    keep_warm: float = 30.0
    clock: Clock = field(default_factory=default_clock)

    def __post_init__(self) -> None:
        vars(self)["chunk_duration"] = real_number(
            "chunk_duration", self.chunk_duration, 0.0005, 10
        )
        if self.ring_duration is not None:
            vars(self)["ring_duration"] = real_number(
                "ring_duration", self.ring_duration, 0.01, 3600
            )
        as_backlog(self.backlog)
        if not isinstance(self.spill_dir, (str, os.PathLike, type(None))):
            raise ConfigTypeError(f"spill_dir must be a path, not {self.spill_dir!r}")
        if not isinstance(self.retry, Retry):
            raise ConfigTypeError(
                f"retry must be a Retry, not {self.retry!r}", hint="Retry(tries=3, first=0.1)"
            )
        vars(self)["stop_timeout"] = real_number("stop_timeout", self.stop_timeout, 0, 1e6)
        if not isinstance(self.raise_on_sink_failure, bool):
            raise ConfigTypeError(
                f"raise_on_sink_failure must be True or False, not {self.raise_on_sink_failure!r}"
            )
        if self.switch_interval is not None:
            vars(self)["switch_interval"] = real_number(
                "switch_interval", self.switch_interval, 1e-6, 10
            )
        one_of("nonfinite", self.nonfinite, ("pass", "zero"))
        if not isinstance(self.doorbell, bool):
            raise ConfigTypeError(f"doorbell must be True or False, not {self.doorbell!r}")
        real_number("keep_warm", self.keep_warm, 0, 3600)
        if not isinstance(self.clock, Clock):
            raise ConfigTypeError(f"clock must be a Clock, not {self.clock!r}")
