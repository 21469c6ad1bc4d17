"""Whatever a sink is, returns or raises: it fails alone, is reported, and all accounts balance."""

import asyncio
import logging
import math
import threading
import time

import numpy as np
import pytest

from stream_audio import (
    AudioSource,
    CallbackSink,
    ChannelSink,
    ConfigError,
    ConfigTypeError,
    FormatPreset,
    Gap,
    GapCause,
    GapDetected,
    Retry,
    SinkError,
    SinkFailed,
    StreamAudio,
    StreamConfig,
    StreamEvent,
    TriggerSink,
)
from stream_audio.errors import in_words
from stream_audio.testing import VirtualClock

GIVE_UP = 60.0
RATE = 48_000
FRAMES = 24_000
ON_PURPOSE = [
    SystemExit(1),
    KeyboardInterrupt(),
    GeneratorExit(),
    StopIteration(),
    BaseException("base"),
    MemoryError(),
]


class HiddenError(Exception):
    """Cannot be shown in any way."""

    def __str__(self):
        raise SystemExit("in __str__")

    __repr__ = __str__


class IntegerTextError(Exception):
    def __str__(self):
        return 503


class LiarError(Exception):
    """Lies about its class, and raises where its attributes are looked at."""

    def _raise(self, *_):
        raise SystemExit("asked")

    __class__ = __notes__ = args = property(_raise)
    add_note = _raise


class Nameless(type):
    """The type of a type that has no name."""

    def _raise(cls, *_):
        raise SystemExit("asked")

    __name__ = property(_raise)
    __repr__ = _raise


class NamelessError(Exception, metaclass=Nameless):
    pass


class Contrary:
    """Raises whatever is asked of it."""

    def _raise(self, *_):
        raise RuntimeError("asked")

    __bool__ = __len__ = __iter__ = __eq__ = __getattr__ = __repr__ = __hash__ = __index__ = _raise


def generator():
    yield Gap("mic", 0, 1, GapCause.BACKLOG_FULL, 0.0)


def builder(*, frames=FRAMES, **settings):
    settings = {
        "retry": Retry(0),
        "clock": VirtualClock(),
        "raise_on_sink_failure": False,
    } | settings
    source = AudioSource.virtual("counter", frames=frames, channels=1)
    building = StreamAudio.builder().config(StreamConfig(**settings)).format(FormatPreset.NATIVE)
    return building.add_source("mic", source)


def gap(frame, frames, source="mic", cause=GapCause.BACKLOG_FULL, at=1000.0):
    return Gap(source, frame, frames, cause, at)


class Good:
    def __init__(self):
        self.frames = 0

    def write(self, chunk):
        self.frames += chunk.frames


def run(sink, on_failure="detach", **settings):
    """Run a session with a sink beside a good one; returns the bad one's report and events."""
    good, events = Good(), []
    building = builder(**settings).add_sink(good, name="good").on_event(events.append)
    building.add_sink(sink, name="bad", on_failure=on_failure)
    session = building.start()
    assert session.wait(GIVE_UP)
    report = session.stop()
    assert report.balanced, report
    assert str(report)
    assert report.to_dict()
    assert good.frames == report.sinks["good"].delivered == FRAMES
    bad = report.sinks["bad"]
    for figure in (bad.delivered, bad.dropped, bad.unread):
        assert type(figure) is int
        assert 0 <= figure <= bad.offered
    return bad, [event for event in events if isinstance(event, SinkFailed)]


class Direct:
    blocking = False

    def __init__(self, write):
        self.write = write


class Stops(Good):
    def __init__(self, stop):
        super().__init__()
        self.stop = stop


KINDS = [Direct, CallbackSink]

# ---- what it returns ----


MEANINGLESS = [
    lambda: np.zeros(2),
    lambda: np.zeros(0),
    lambda: [1, 2],
    lambda: (1,),
    lambda: generator(),
    lambda: Contrary(),
    lambda: {"a": 1},
    lambda: 0,
    lambda: "gap",
    lambda: [np.zeros(3)],
    lambda: (Contrary(),),
]


@pytest.mark.parametrize("answer", MEANINGLESS)
@pytest.mark.parametrize("kind", [*KINDS, Stops])
def test_what_has_no_meaning_is_passed_over(kind, answer):
    report, failures = run(kind(lambda *_: answer()))
    assert (report.delivered, report.error, failures) == (FRAMES, "", [])


LIES = {
    "of another source": lambda: (gap(0, 10, "other"),),
    "negative": lambda: (gap(0, -10),),
    "empty": lambda: (gap(0, 0),),
    "before the start": lambda: (gap(-10, 5),),
    "across the end": lambda: (gap(0, 2 * FRAMES),),
    "huge": lambda: (gap(0, 10**30),),
    "twice": lambda: (gap(0, 100), gap(50, 100)),
    "the same twice": lambda: (gap(0, 100), gap(0, 100)),
    "float": lambda: (gap(0, 10.0),),
    "nan": lambda: (gap(0, 10, at=math.nan),),
    "bool": lambda: (gap(0, True),),
    "no cause": lambda: (gap(0, 10, cause="because"),),
    "contrary": lambda: (gap(0, 10), Contrary()),
    "mixed": lambda: [gap(0, 10), None],
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("on_failure", ["detach", "skip"])
def test_a_sink_that_lies_of_what_it_dropped_fails_alone(lie, on_failure):
    report, failures = run(Direct(lambda chunk: LIES[lie]()), on_failure)
    assert "it reported as dropped" in report.error
    assert failures
    assert failures[0].detached is (on_failure == "detach")
    assert report.dropped == 0


@pytest.mark.parametrize("lie", LIES)
def test_so_does_one_that_lies_at_its_stop(lie):
    report, failures = run(Stops(lambda: LIES[lie]()))
    assert "it reported as dropped" in report.error
    assert len(failures) == 1
    assert (report.delivered, report.dropped) == (FRAMES, 0)


def test_a_sink_that_says_twice_that_it_dropped_a_frame_fails():
    report, failures = run(Direct(lambda chunk: (gap(0, 10),)))
    assert "dropped already" in report.error
    assert len(failures) == 1
    assert report.dropped == 10


def test_what_it_did_drop_is_entered():
    last = []

    def write(chunk):
        before, last[:] = list(last), [gap(chunk.frame, chunk.frames)]
        return before

    report, failures = run(Direct(write))
    assert failures == []
    assert report.dropped > 0
    assert report.delivered + report.dropped == FRAMES
    assert len(report.gaps) == 1


@pytest.mark.parametrize(
    "kind", [*KINDS, lambda write: TriggerSink(Direct(write), when=lambda chunk: True)]
)
def test_a_coroutine_that_nobody_would_await_is_a_failure(kind):
    async def send(chunk):
        raise AssertionError

    report, failures = run(kind(lambda chunk: send(chunk)))
    assert "Declare the method itself with async def" in report.error
    assert len(failures) == 1


# ---- what it raises ----


@pytest.mark.parametrize("error", [*ON_PURPOSE, HiddenError(), IntegerTextError()])
@pytest.mark.parametrize("kind", [*KINDS, Stops])
def test_whatever_it_raises_it_fails_alone(kind, error, caplog):
    def raises(*_):
        raise error

    report, (failure,) = run(kind(raises))
    assert type(error).__name__ in report.error
    assert failure.error is error
    assert "sink bad failed" in caplog.text
    assert report.delivered == (FRAMES if kind is Stops else 0)


@pytest.mark.parametrize("name", ["LiarError", "NamelessError"])
@pytest.mark.parametrize("kind", [*KINDS, Stops])
def test_an_error_that_lies_of_itself_is_the_failure_of_its_sink(kind, name):
    error = globals()[name]()

    def raises(*_):
        raise error

    report, (failure,) = run(kind(raises))
    assert failure.error is error
    assert name in report.error
    assert report.delivered == (FRAMES if kind is Stops else 0)


def test_an_error_that_lies_of_itself_is_raised_as_it_is():
    def write(chunk):
        raise LiarError

    session = builder(raise_on_sink_failure=True).add_sink(CallbackSink(write)).start()
    raised = None
    try:
        session.wait(GIVE_UP)
    except LiarError as error:  # which pytest.raises cannot do
        raised = type(error)
    assert raised is LiarError


@pytest.mark.parametrize("kind", KINDS)
def test_a_log_that_raises_harms_nobody(kind, capsys):
    class Broken(logging.Handler):
        def emit(self, record):
            raise SystemExit("no disk")

    def raises(chunk):
        raise OSError("broken")

    log, own = logging.getLogger("stream_audio"), Broken()
    log.addHandler(own)
    try:
        report, failures = run(kind(raises))
    finally:
        log.removeHandler(own)
    assert (report.error, len(failures)) == ("OSError: broken", 1)
    assert "sink bad failed: OSError: broken (cannot be logged" in capsys.readouterr().err


def test_what_an_error_says_can_be_printed_whatever_is_in_it():
    assert in_words(OSError("caf\udce9")) == "OSError: caf\\udce9"
    assert in_words(HiddenError()) == "HiddenError (which cannot be shown)"
    assert in_words(OSError()) == "OSError()"
    assert in_words(SinkError("")) == "SinkError"


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("on_failure", ["detach", "skip"])
def test_what_it_says_to_be_lost_may_be_anything(lie, on_failure):
    def write(chunk):
        if chunk.frame:
            raise SinkError("full", retryable=False, lost=LIES[lie]())

    report, failures = run(CallbackSink(write), on_failure)
    assert report.error.startswith("full (")
    assert failures
    assert report.delivered == 4800


def test_what_is_lost_after_all_is_entered():
    def write(chunk):
        if chunk.frame:
            raise SinkError("full", retryable=False, lost=(gap(10, 90),))

    report, _ = run(CallbackSink(write))
    assert (report.delivered, report.error) == (4710, "full")


class BadRetryableError(SinkError):
    @property
    def retryable(self):
        raise RuntimeError

    @retryable.setter
    def retryable(self, value):
        pass


class BadTakenError(SinkError):
    @property
    def taken(self):
        raise SystemExit

    @taken.setter
    def taken(self, value):
        pass


TAKEN = [240.0, None, "x", True, math.nan, math.inf, -1, 10**30, np.float32(2), Contrary(), [1]]


class BadLostError(SinkError):
    @property
    def lost(self):
        raise SystemExit

    @lost.setter
    def lost(self, value):
        pass


BAD_ERRORS = [BadRetryableError("half"), BadTakenError("half", retryable=False)]
BAD_ERRORS += [BadLostError("half", retryable=False)]


@pytest.mark.parametrize("error", BAD_ERRORS)
def test_an_error_whose_attributes_raise_is_the_sinks_failure(error):
    def write(chunk):
        raise error

    report, (failure,) = run(CallbackSink(write))
    assert report.error.startswith("half")
    assert failure.error is error


@pytest.mark.parametrize("error", ON_PURPOSE)
def test_what_would_end_the_program_is_raised_as_an_ordinary_error(error):
    def write(chunk):
        raise error

    building = builder(raise_on_sink_failure=True).add_sink(CallbackSink(write), name="bad")
    session = building.add_sink(Good()).start()
    if isinstance(error, Exception):
        with pytest.raises(type(error)):
            session.wait(GIVE_UP)
        return
    with pytest.raises(SinkError, match="sink bad failed: ") as caught:
        session.wait(GIVE_UP)
    assert caught.value.__cause__ is error


# ---- what it has ----


READ_ONCE = ["blocking", "gather", "takes_batches", "preferred_dtype", "start", "stop", "discard"]
READ_ONCE += ["begun", "caught_up", "confirms", "name", "write"]


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit("no"), HiddenError()])
@pytest.mark.parametrize("attribute", READ_ONCE)
def test_an_attribute_that_raises_is_an_error_where_the_sink_is_added(attribute, error):
    def raises(self):
        raise error

    kind = type("Bad", (Good,), {attribute: property(raises)})
    sink = object.__new__(kind)
    with pytest.raises(ConfigError, match=f"its attribute {attribute} raised"):
        builder().add_sink(sink)
    session = builder().add_sink(Good()).start()
    with pytest.raises(ConfigError, match=f"its attribute {attribute} raised"):
        session.add_sink(sink)
    session.stop()
    assert session.report().balanced


@pytest.mark.parametrize("attribute", ["blocking", "takes_batches", "confirms"])
def test_a_flag_without_a_truth_is_refused(attribute):
    sink = Good()
    setattr(sink, attribute, np.zeros(2))
    with pytest.raises(ConfigError, match=f"its attribute {attribute} raised ValueError"):
        builder().add_sink(sink)


@pytest.mark.parametrize("attribute", ["start", "begun", "stop", "discard", "caught_up"])
@pytest.mark.parametrize("value", [12.5, None, threading.Event()], ids=["float", "None", "Event"])
def test_what_is_no_method_is_not_called(attribute, value):
    sink = Good()
    setattr(sink, attribute, value)
    report, failures = run(sink)
    assert (report.delivered, failures) == (FRAMES, [])


def test_a_name_that_is_no_text_is_not_its_name():
    sink = Good()
    sink.name = 5
    with builder().add_sink(sink).start() as session:
        assert list(session.report().sinks) == ["Good"]


FIGURES = [-1, 10**30, math.nan, 1.5, "many", True, None, Contrary(), np.zeros(2)]


@pytest.mark.parametrize("index", range(len(FIGURES)))
def test_a_figure_that_is_none_counts_as_0_and_is_logged_once(index, caplog):
    sink = Good()
    sink.unread = sink.memory_bytes = FIGURES[index]
    building = builder().add_sink(sink, name="bad")
    with building.start() as session:
        for _ in range(3):
            assert 0 <= session.memory().sinks < 2**63
            session.stats()
    report = session.report().sinks["bad"]
    assert 0 <= report.unread <= report.delivered
    assert session.report().balanced
    assert caplog.text.count("has no readable memory_bytes") <= 1


def test_a_figure_that_raises_counts_as_0(caplog):
    class Bad(Good):
        @property
        def unread(self):
            raise SystemExit

        memory_bytes = unread

    report, failures = run(Bad())
    assert (report.unread, failures) == (0, [])
    assert "has no readable unread: SystemExit" in caplog.text


class Own(StreamEvent):
    def dated(self, epoch):
        return None


class Sends(Good):
    def __init__(self, event):
        super().__init__()
        self.event = event

    def start(self, info):
        self.send = info.send

    def write(self, chunk):
        self.send(self.event)


NO_EVENTS = {
    "send takes an event, not None": None,
    "time must be a number": StreamEvent("now"),
    "time must be from": StreamEvent(math.nan),
    "a sink cannot send SinkFailed": SinkFailed(1.0, "good", OSError("lie"), True),
    "something that is not a gap: None": GapDetected(1.0, None, "bad"),
    "something that is not a gap: Gap": GapDetected(1.0, gap(0, "ten"), "bad"),
    "count must be a whole number": GapDetected(1.0, gap(0, 10), "bad", "many"),
    "further_frames must be a whole number": GapDetected(1.0, gap(0, 10), "bad", 2, math.nan),
}


@pytest.mark.parametrize("words", NO_EVENTS)
def test_what_is_sent_as_an_event_must_be_one(words):
    report, failures = run(Sends(NO_EVENTS[words]))
    assert words in report.error
    assert len(failures) == 1  # the thread of events lives


def test_an_event_of_ones_own_is_sent_as_it_is():
    events = []
    building = builder().add_sink(Sends(Own(1.0))).on_event(events.append)
    building.start().wait(GIVE_UP)
    assert [type(event) for event in events].count(Own) == FRAMES / 4800


def test_what_is_to_be_sent_again_needs_an_error():
    class Resends(Good):
        confirms = True

        def start(self, info):
            self.resend = info.resend

        def write(self, chunk):
            self.resend("lost")

    report, failures = run(Resends())
    assert "resend takes an error, not 'lost'" in report.error
    assert len(failures) == 1


# ---- what would do nothing, and what answers for everything ----


def yields(*_):
    yield


async def yields_later(*_):
    yield


@pytest.mark.parametrize("write", [yields, yields_later])
def test_a_write_with_a_yield_in_it_is_refused(write):
    for make in (lambda: type("Bad", (), {"write": write})(), lambda: CallbackSink(write)):
        with pytest.raises(ConfigTypeError, match="has a yield in it"):
            builder().add_sink(make())


class Answers(Good):
    """A wrapper, say, that has any method that is asked for."""

    blocking, confirms, gather, preferred_dtype = False, None, 0.0, "float32"

    def __getattr__(self, name):
        def answer(*_):
            if name not in ("start", "begun", "stop", "caught_up", "source_added"):
                raise RuntimeError(f"{name} is not a sink's")
            return True

        return answer


def test_what_answers_for_everything_is_no_channel():
    building = endless().add_sink(Answers(), name="answers")
    with building.start() as session:
        session.add_sink(Good()).remove()
        assert goes_on(session)
    report = session.report()
    assert report.balanced
    assert report.sinks["answers"].error == ""


@pytest.mark.parametrize("attribute", ["preferred_dtype", "gather"])
def test_a_value_that_raises_is_an_error_where_the_sink_is_added(attribute):
    sink = Good()
    setattr(sink, attribute, Contrary())
    with pytest.raises((ConfigError, ConfigTypeError), match=attribute):
        builder().add_sink(sink)


# ---- the same on an event loop, and within a trigger ----


@pytest.mark.parametrize(
    "error", [SystemExit(1), GeneratorExit(), HiddenError(), IntegerTextError()]
)
def test_an_asynchronous_sink_fails_alone(error):
    class Bad:
        async def write(self, chunk):
            raise error

    async def main():
        good = Good()
        events = []
        building = builder(clock=StreamConfig().clock).add_sink(good)
        building.add_sink(Bad(), name="bad").on_event(events.append)
        async with building as session:
            await asyncio.to_thread(session.wait, GIVE_UP)
        return session.report(), good, events

    ran = []

    def run_it():
        # What ends a program ends its loop, and asyncio says so there; the session is whole.
        try:
            ran.append(asyncio.run(main()))
        except BaseException as raised:
            ran.append(raised)

    thread = threading.Thread(target=run_it)
    thread.start()
    thread.join(GIVE_UP)
    (result,) = ran
    if isinstance(result, BaseException):
        assert type(result) is type(error)
        return
    report, good, events = result
    assert report.balanced, report
    assert good.frames == FRAMES
    assert type(error).__name__ in report.sinks["bad"].error
    assert [type(event) for event in events].count(SinkFailed) == 1


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, HiddenError, Contrary])
def test_a_detector_that_raises_or_has_no_truth_fails_its_trigger_alone(kind):
    answer = kind()

    def when(chunk):
        if isinstance(answer, BaseException):
            raise answer
        return answer

    report, failures = run(TriggerSink(Good(), when=when))
    assert report.error
    assert len(failures) == 1


@pytest.mark.parametrize("error", [SystemExit(1), HiddenError(), SinkError("x", taken="y")])
@pytest.mark.parametrize("where", ["write", "start", "stop"])
def test_the_sink_within_a_trigger_fails_with_it_alone(where, error):
    def raises(*_):
        raise error

    inner = Good()
    setattr(inner, where, raises)
    trigger = TriggerSink(lambda event: inner, when=lambda chunk: chunk.frame < 4800, post_roll=0)
    report, failures = run(trigger)
    assert report.error
    assert len(failures) == 1


@pytest.mark.parametrize("attribute", ["start", "begun", "stop", "caught_up", "write"])
@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit("no"), HiddenError()])
def test_an_attribute_that_raises_within_a_trigger_is_an_error_there(attribute, error):
    def raises(self):
        raise error

    inner = object.__new__(type("Bad", (Good,), {attribute: property(raises)}))
    with pytest.raises(ConfigError, match=f"its attribute {attribute} raised"):
        TriggerSink(inner)
    report, failures = run(TriggerSink(lambda event: inner, when=lambda chunk: True))
    assert f"its attribute {attribute} raised" in report.error
    assert len(failures) == 1


@pytest.mark.parametrize("made", [None, 5, Good, "sink"])
def test_what_a_trigger_is_given_must_be_a_sink(made):
    report, failures = run(TriggerSink(lambda event: made, when=lambda chunk: True))
    assert "a sink" in report.error
    assert len(failures) == 1


def test_what_a_detector_claims_to_have_taken_is_not_delivered():
    def when(chunk):
        raise SinkError("half", retryable=False, taken=chunk.frames)

    report, _ = run(TriggerSink(Good(), when=when))
    assert (report.delivered, report.error) == (0, "half")


def test_a_stuck_sink_within_a_trigger_is_abandoned():
    abandoned = threading.Event()
    building = endless(stop_timeout=0.1).duration(1.0)

    class Stuck(Good):
        def write(self, chunk):
            building._config.clock.sleep(10_000.0)

        def abandon(self):
            abandoned.set()

    building.add_sink(TriggerSink(Stuck(), when=lambda chunk: True))
    session = building.start()
    assert session._engine.wait(GIVE_UP)
    assert abandoned.is_set()
    assert session.report().balanced


# ---- a session whose sinks have all failed ----


def broken(chunk):
    raise OSError("broken")


def endless(**settings):
    source = AudioSource.virtual("counter", channels=1)
    settings = {"retry": Retry(0), "raise_on_sink_failure": False} | settings
    config = StreamConfig(clock=VirtualClock(), **settings)
    return StreamAudio.builder().config(config).add_source("mic", source)


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_whose_sinks_have_all_failed_ends(kind):
    building = endless().add_sink(kind(broken)).add_sink(CallbackSink(broken))
    session = building.start()
    assert session.wait(GIVE_UP)
    assert session.report().balanced


def test_then_wait_stop_and_with_raise():
    session = endless(raise_on_sink_failure=True).add_sink(CallbackSink(broken)).start()
    for call in (session.wait, session.stop):
        with pytest.raises(OSError, match="broken"):
            call()
    with (
        pytest.raises(OSError, match="broken"),
        endless(raise_on_sink_failure=True).add_sink(CallbackSink(broken)).start() as session,
    ):
        assert session._engine.wait(GIVE_UP)


def goes_on(session):
    clock = session._engine._config.clock
    until = clock.now() + 60.0
    while clock.now() < until and session.running:
        time.sleep(0.001)
    return session.running


def failed(session):
    until = time.monotonic() + GIVE_UP
    while session._engine._announcer.first_failure is None and time.monotonic() < until:
        time.sleep(0.001)
    return session


def test_one_that_still_has_a_sink_goes_on():
    building = endless().add_sink(CallbackSink(broken)).add_sink(Good())
    with building.start() as session:
        assert goes_on(failed(session))


def test_one_that_keeps_a_history_goes_on():
    with endless().history(1.0).add_sink(CallbackSink(broken)).start() as session:
        assert goes_on(failed(session))


def test_one_from_which_a_sink_was_removed_goes_on():
    bad = threading.Event()

    def later(chunk):
        if bad.is_set():
            raise OSError("broken")

    with endless().add_sink(CallbackSink(later)).start() as session:
        session.add_sink(Good()).remove()
        bad.set()
        assert goes_on(failed(session))


def test_one_without_a_sink_goes_on_and_takes_one_later():
    with endless().start() as session:
        assert goes_on(session)
        good = Good()
        handle = session.add_sink(good)
        assert goes_on(session)
        handle.remove()
        assert goes_on(session)
    assert good.frames > 0
    assert session.report().balanced


def test_on_event_may_add_another_sink_before_it_ends():
    good, added, holder, started = Good(), [], [], threading.Event()

    def tell(event: StreamEvent):
        if isinstance(event, SinkFailed):
            assert started.wait(GIVE_UP)
            added.append(holder[0].add_sink(good))

    session = endless().add_sink(CallbackSink(broken)).on_event(tell).start()
    holder.append(session)
    started.set()
    assert goes_on(failed(session))
    session.stop()
    assert len(added) == 1
    assert good.frames > 0


# ---- a start that fails ----


class CannotStart(Good):
    def start(self, info):
        raise OSError("no network")


class CannotUndo(Good):
    def start(self, info):
        pass

    def stop(self):
        raise RuntimeError("was never connected")


@pytest.mark.parametrize("undo", [CannotUndo, ChannelSink, Good])
def test_a_start_that_fails_says_what_failed_once(undo, caplog):
    events = []
    building = builder().add_sink(undo()).add_sink(CannotStart(), name="uplink")
    with pytest.raises(OSError, match="no network") as caught:
        building.on_event(events.append).start()
    assert caught.value.__notes__ == ["It was raised by the sink uplink as it started."]
    assert events == []
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


def test_so_does_a_sink_that_cannot_be_added(caplog):
    events = []
    session = builder(frames=None).add_sink(Good()).on_event(events.append).start()
    with pytest.raises(OSError, match="no network"):
        session.add_sink(CannotStart())
    session.stop()
    assert not any(isinstance(event, SinkFailed) for event in events)
    assert caplog.records == []


# ---- at the end ----


def test_a_slow_sink_that_makes_progress_gets_everything():
    """Ten seconds of speech, and a recogniser that is slower than real time."""
    for how in ("duration", "with", "stop"):
        clock = VirtualClock()
        frames = []

        def slow(chunk, clock=clock, frames=frames):
            clock.sleep(chunk.duration * 2.5)
            frames.append(chunk.frames)

        source = AudioSource.virtual("counter", channels=1)
        config = StreamConfig(clock=clock)
        building = StreamAudio.builder().config(config).add_source("mic", source)
        building.format(FormatPreset.NATIVE).add_sink(CallbackSink(slow))
        if how == "duration":
            session = building.duration(10).start()
            assert session.wait(GIVE_UP)
        elif how == "with":
            with building.start() as session:
                clock.sleep(10)
        else:
            session = building.start()
            clock.sleep(10)
            session.stop()
        report = session.report()
        assert report.complete, (how, report)
        assert sum(frames) == report.sources["mic"].captured >= 10 * RATE


@pytest.mark.parametrize("stop_timeout", [1.0, 30.0])
def test_a_sink_that_takes_nothing_is_given_up_after_the_stop_timeout(stop_timeout):
    clock = VirtualClock()
    began, events = [], []

    def slow(chunk):
        if len(began) == 3:
            clock.sleep(10_000.0)
        began.append(clock.now())
        clock.sleep(0.5)

    source = AudioSource.virtual("counter", channels=1)
    config = StreamConfig(clock=clock, stop_timeout=stop_timeout, raise_on_sink_failure=False)
    building = StreamAudio.builder().config(config).add_source("mic", source).duration(1.0)
    session = building.add_sink(CallbackSink(slow), name="slow").on_event(events.append).start()
    assert session._engine.wait(GIVE_UP)
    report = session.stop()
    ended = next(event.time for event in events if isinstance(event, GapDetected))
    assert report.balanced, report
    assert {gap.cause for gap in report.sinks["slow"].gaps} == {GapCause.STOP_TIMEOUT}
    assert ended - (began[2] + 0.5) == pytest.approx(stop_timeout, abs=0.01)


def test_a_failed_try_is_no_progress():
    clock = VirtualClock()
    source = AudioSource.virtual("counter", channels=1)
    retry = Retry(tries=None)
    config = StreamConfig(clock=clock, retry=retry, raise_on_sink_failure=False)
    building = StreamAudio.builder().config(config).add_source("mic", source).duration(1.0)
    session = building.add_sink(CallbackSink(broken), name="away").start()
    assert session._engine.wait(GIVE_UP)
    assert clock.now() - session.started_at == pytest.approx(11.0, abs=0.1)
    assert session.stop().sinks["away"].delivered == 0


def test_a_stop_with_a_timeout_takes_so_long_in_all():
    clock = VirtualClock()
    source = AudioSource.virtual("counter", channels=1)
    config = StreamConfig(clock=clock, raise_on_sink_failure=False)
    building = StreamAudio.builder().config(config).add_source("mic", source)
    building.add_sink(CallbackSink(lambda chunk: clock.sleep(1.0)), name="slow")
    session = building.start()
    clock.sleep(10.0)
    asked = clock.now()
    report = session.stop(timeout=5.0)
    assert clock.now() - asked < 6.1
    assert report.balanced
    assert {gap.cause for gap in report.sinks["slow"].gaps} == {GapCause.STOP_TIMEOUT}


def test_a_service_that_came_back_gets_everything_at_the_stop():
    """Away for 13 s; a second later the user stops, while the next try is far away."""
    clock = VirtualClock()
    back, sent, tries = threading.Event(), [], []

    class Service:
        def write(self, chunk):
            tries.append(clock.now())
            if not back.is_set():
                raise ConnectionError("away")
            sent.append(chunk.frames)

    source = AudioSource.virtual("counter", channels=1)
    config = StreamConfig(clock=clock, retry=Retry(tries=100, longest=60.0))
    building = (
        StreamAudio.builder().config(config).add_source("mic", source).format(FormatPreset.NATIVE)
    )
    session = building.add_sink(Service()).start()
    clock.sleep(13.0)
    back.set()
    clock.sleep(1.0)
    assert sent == []  # the tries are 12.8 s apart by now
    asked = clock.now()
    report = session.stop()
    assert clock.now() - asked < 0.5
    assert sum(sent) == report.sources["mic"].captured >= 14 * RATE
    assert report.complete
