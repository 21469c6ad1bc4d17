"""Random schedules: sinks of all kinds come and go, sources pause, the session ends somehow.

Each schedule is made from its number alone, so one that fails can be run again. Whatever sinks do
(slow, raising, lying, confirming), every frame comes in order, and every account balances.
"""

import logging
import random
import time

import numpy as np
import pytest

from stream_audio import (
    AudioSource,
    Backlog,
    ChannelSink,
    FormatPreset,
    Gap,
    GapCause,
    Retry,
    SessionStateError,
    SinkError,
    SinkFailed,
    StreamAudio,
    StreamConfig,
)
from stream_audio.testing import VirtualClock
from stream_audio.waiting.clock import sit_on

GIVE_UP = 60.0
RATE = 8000
POLICIES = ["spill", "drop_oldest", "drop_newest", None]
ERRORS = [OSError, SystemExit, GeneratorExit, MemoryError]


class Steady:
    """Takes everything, and checks what it gets: samples, order, and that gaps fill the rest."""

    blocking = True

    def __init__(self, luck, clock):
        self.luck = luck
        self.clock = clock
        self.end = {}  # of each source, up to where it was told of
        self.frames = 0
        self.wrong = []

    def write(self, chunk):
        self.misbehave(chunk)
        self.take(chunk)

    def misbehave(self, chunk):
        pass

    def take(self, chunk):
        self.check(chunk)
        self.frames += chunk.frames

    def check(self, chunk):
        at = np.rint(chunk.data[:, 0].astype(np.float64) * 2**23)
        silent = not at.any()  # in a pause of policy "silence"
        if not silent and not np.array_equal(at, np.arange(chunk.frame, chunk.end)):
            self.wrong.append(f"samples at {chunk.frame}")
        end = self.end.get(chunk.source, 0)
        for gap in chunk.gaps:
            if gap.frame < end or gap.end > chunk.frame:
                self.wrong.append(f"{gap} after {end}, before {chunk.frame}")
            end = gap.end
        if chunk.frame < end:
            self.wrong.append(f"{chunk.frame} after {end}")
        self.end[chunk.source] = chunk.end


class Direct(Steady):
    blocking = False


class Slow(Steady):
    def misbehave(self, chunk):
        self.clock.sleep(chunk.duration * self.luck.choice([0.2, 1.5, 4.0]))


class Raising(Steady):
    def misbehave(self, chunk):
        if self.luck.random() < 0.3:
            raise self.luck.choice(ERRORS)("now and then")


class RaisingDirect(Raising):
    blocking = False


class Lying(Steady):
    """Says to have taken, or dropped, whatever comes to its mind."""

    blocking = False
    unread = -5
    memory_bytes = "many"

    def write(self, chunk):
        luck = self.luck
        if luck.random() < 0.2:
            taken = luck.choice([-1, 10**12, 0.5, None, chunk.frames // 2])
            raise SinkError("half", retryable=luck.random() < 0.5, taken=taken)
        self.take(chunk)
        if luck.random() < 0.5:
            frame = chunk.frame - luck.randrange(-500, 2000)
            source = luck.choice([chunk.source, "nobody"])
            return (Gap(source, frame, luck.randrange(-10, 800), GapCause.BACKLOG_FULL, 0.0),)
        return luck.choice([None, [1], np.zeros(2), "all"])

    def stop(self):
        return self.luck.choice([None, (Gap("mic0", 0, 10**9, GapCause.REMOVED, 0.0),)])


class LyingWorker(Lying):
    blocking = True


class Unstoppable(Steady):
    def stop(self):
        raise self.luck.choice(ERRORS)("at the end")


class Confirming(Steady):
    """Confirms some of what it took, some time; after a failure it gets the rest again."""

    confirms = True

    def start(self, info):
        self.info = info
        self.confirmed = {}

    def misbehave(self, chunk):
        if self.luck.random() < 0.1:
            # What comes next may be anything that was not confirmed.
            self.end = dict(self.confirmed)
            raise OSError("connection lost")

    def take(self, chunk):
        super().take(chunk)
        if self.luck.random() < 0.5:
            self.confirm(chunk.source, chunk.end - self.luck.choice([0, 0, 100]))

    def confirm(self, source, frame):
        frame = max(frame, self.confirmed.get(source, 0))
        self.confirmed[source] = frame
        self.info.confirm(source, frame)

    def caught_up(self):
        if self.luck.random() < 0.7:
            for source, end in self.end.items():
                self.confirm(source, end)


KINDS = [Steady, Direct, Slow, Raising, RaisingDirect, Lying, LyingWorker, Unstoppable, Confirming]


class Schedule:
    def __init__(self, number):
        self.luck = random.Random(number)
        self.clock = VirtualClock()
        self.seat = self.clock.signal()
        sit_on(self.seat)  # while this thread works, time stands still
        self.sinks = []
        self.handles = []
        self.failed = set()

    def run(self):
        luck = self.luck
        config = StreamConfig(
            clock=self.clock,
            retry=self.a_retry(),
            stop_timeout=luck.choice([0.5, 10.0]),
            raise_on_sink_failure=False,
        )
        building = StreamAudio.builder().config(config).format(FormatPreset.NATIVE)
        building.on_event(self.note)
        pace = luck.choice(["real_time", "real_time", "freewheel"])
        for index in range(luck.choice([1, 1, 2])):
            source = AudioSource.virtual("counter", sample_rate=RATE, channels=1, pace=pace)
            building.add_source(f"mic{index}", source)
        if pace == "freewheel" or luck.random() < 0.3:
            building.duration(luck.choice([0.5, 3.0, 8.0]))
        if luck.random() < 0.3:
            building.history(1.0)
        self.can_wait = pace == "freewheel"
        for _ in range(luck.randrange(4)):
            sink, settings = self.a_sink()
            building.add_sink(sink, **settings)
        session = building.start()
        try:
            for _ in range(luck.randrange(1, 12)):
                self.clock.sleep(luck.choice([0.0, 0.05, 0.3, 1.1]))
                try:
                    self.do_something(session)
                except SessionStateError:
                    break  # it has ended by itself
        finally:
            # This thread is needed no more, or time would stand still.
            timeout = luck.choice([None, None, 0.3, 20.0])
            sit_on(None)
            self.seat.close()
            report = session.stop() if timeout is None else session.stop(timeout)
        self.look_at(report)

    def note(self, event):
        if isinstance(event, SinkFailed):
            self.failed.add(event.sink)
            raise SystemExit  # which harms nobody

    def a_retry(self):
        return Retry(self.luck.choice([0, 2, 5]), self.luck.choice([0.01, 0.2]))

    def a_sink(self):
        luck = self.luck
        own = random.Random(luck.random())  # a sink's thread must not disturb the schedule
        sink = ChannelSink() if luck.random() < 0.1 else luck.choice(KINDS)(own, self.clock)
        settings = {
            "name": f"sink{len(self.sinks)}",
            "on_failure": luck.choice(["detach", "skip"]),
            "retry": luck.choice([None, self.a_retry()]),
        }
        if getattr(sink, "blocking", True):
            limit = luck.choice(["32 MiB", "0.4 s"])
            settings["backlog"] = Backlog(limit, luck.choice(POLICIES))
        self.sinks.append((settings["name"], sink))
        return sink, settings

    def do_something(self, session):
        luck = self.luck
        what = luck.choice(["add", "add", "remove", "pause", "resume", "look"])
        if what == "add" and len(self.sinks) < 8:
            sink, settings = self.a_sink()
            replay = (
                luck.choice([0.0, 0.5])
                if any(each.history for each in session._engine.sources.values())
                else 0.0
            )
            self.handles.append(session.add_sink(sink, **settings, replay=replay))
        elif what == "remove" and self.handles:
            # Waited for on this thread, which holds time up: so by its router alone.
            handle = self.handles.pop(luck.randrange(len(self.handles)))
            delivery, drain = handle._delivery, luck.random() < 0.7
            timeout = luck.choice([0.1, 5.0])
            session._engine.remove_sink(delivery, timeout, drain=drain, wait=False)
        elif what == "pause":
            session.pause(policy=luck.choice(["discard", "silence"]))
        elif what == "resume":
            session.resume()
        else:
            session.stats()
            session.memory()
            session.report()

    def look_at(self, report):
        assert report.balanced, report
        for name, sink in self.sinks:
            if name not in report.sinks:
                continue  # it came too late
            figures = report.sinks[name]
            assert figures.offered == figures.delivered + figures.dropped
            for figure in (figures.delivered, figures.dropped, figures.unread, figures.sent):
                assert 0 <= figure <= figures.offered
            assert (name in self.failed) <= bool(figures.error)
            if isinstance(sink, ChannelSink):
                assert sum(chunk.frames for chunk in sink) == figures.delivered
                continue
            assert not sink.wrong, (name, type(sink).__name__, sink.wrong[:3])
            honest = type(sink) in (Steady, Direct, Slow, Raising, RaisingDirect, Unstoppable)
            if honest and "did not finish" not in figures.error:
                assert sink.frames == figures.delivered


def run_all(numbers):
    for number in numbers:
        try:
            Schedule(number).run()
        except BaseException as error:
            error.add_note(f"schedule {number}")
            raise


@pytest.fixture(autouse=True)
def _without_the_log():
    """All that these sinks do is logged: tens of thousands of lines."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_forty_random_schedules_keep_order_and_balance():
    run_all([*range(40), 2644])  # the last one: a history of a freewheeling source with pauses


@pytest.mark.long
def test_ten_thousand_random_schedules_keep_order_and_balance():
    began = time.monotonic()
    run_all(range(10_000))
    print(f"10,000 schedules in {time.monotonic() - began:.0f} s")
