"""The equations: a consistent account has no problems, and one wrong figure is always found."""

from fractions import Fraction
from math import floor

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from stream_audio import Gap, GapCause, Pause
from stream_audio.reports.ledger import (
    ConversionAccount,
    Ledger,
    RouteAccount,
    SinkAccount,
    SourceAccount,
)

# A loaded machine is slow, which is no failure.
seeded = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])

FRAMES = st.integers(1, 10_000)
RATES = st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])

# A span of a source's timeline: how many frames, and what became of them.
SOURCE_SPANS = st.lists(
    st.tuples(st.sampled_from(["captured", "lost", "paused", "synthetic", "idle"]), FRAMES),
    min_size=1,
)
# A chunk's way to a sink: how many frames, and how they ended up; frames left out before it.
SINK_SPANS = st.lists(
    st.tuples(st.sampled_from(["delivered", "dropped", "pending"]), FRAMES, st.integers(0, 99)),
    min_size=1,
)


def gap(frame, frames, cause=GapCause.RING_FULL):
    return Gap("mic", frame, frames, cause, frame / 48_000)


def source_account(spans, *, ended=True):
    account = SourceAccount()
    for what, frames in spans:
        if what == "lost":
            account.lose(gap(account.position, frames))
        else:
            setattr(account, what, getattr(account, what) + frames)
            if what in ("paused", "synthetic"):
                policy = "discard" if what == "paused" else "silence"
                account.pauses.append(Pause(account.position, frames, policy))
        account.position += frames
    if ended:
        account.stored = account.position - account.lost
    return account


def sink_account(spans, sources=1):
    account = SinkAccount(routes=[RouteAccount(48_000, 48_000) for _ in range(sources)])
    positions = [0] * sources
    for turn, (what, frames, left_out) in enumerate(spans):
        of = turn % sources
        positions[of] += left_out
        account.routes[of].extend(positions[of], frames)
        account.offered += frames
        if what == "dropped":
            account.drop(gap(positions[of], frames, GapCause.BACKLOG_FULL))
        else:
            setattr(account, what, getattr(account, what) + frames)
        positions[of] += frames
    account.stopped = not account.pending
    return account


@seeded
@given(SOURCE_SPANS, st.booleans())
def test_a_source_whose_frames_are_all_accounted_for(spans, ended):
    assert source_account(spans, ended=ended).problems("mic") == []


@seeded
@given(SINK_SPANS, st.integers(1, 3))
def test_a_sink_whose_frames_are_all_accounted_for(spans, sources):
    assert sink_account(spans, sources).problems("file") == []


@seeded
@given(SOURCE_SPANS, st.integers(-100, 100).filter(bool), st.data())
def test_one_wrong_figure_of_a_source_is_found(spans, error, data):
    account = source_account(spans)
    figures = ["captured", "lost", "paused", "synthetic", "idle", "position", "stored", "gap"]
    figure = data.draw(st.sampled_from(figures))
    if figure == "gap":
        assume(account.gaps)
        at = data.draw(st.integers(0, len(account.gaps) - 1))
        wrong = account.gaps[at]
        account.gaps[at] = gap(wrong.frame, wrong.frames + error)
    else:
        setattr(account, figure, getattr(account, figure) + error)
    problems = account.problems("mic")
    assert problems
    assert all("source mic" in problem for problem in problems)


@seeded
@given(SINK_SPANS, st.integers(-100, 100).filter(bool), st.data())
def test_one_wrong_figure_of_a_sink_is_found(spans, error, data):
    account = sink_account(spans)
    figure = data.draw(
        st.sampled_from(["offered", "delivered", "dropped", "pending", "gap", "route"])
    )
    if figure == "gap":
        assume(account.gaps)
        at = data.draw(st.integers(0, len(account.gaps) - 1))
        wrong = account.gaps[at]
        account.gaps[at] = gap(wrong.frame, wrong.frames + error)
    elif figure == "route":
        account.routes[0].end += error
    else:
        setattr(account, figure, getattr(account, figure) + error)
    problems = account.problems("file")
    assert problems
    assert all("sink file" in problem for problem in problems)


@seeded
@given(SOURCE_SPANS, st.data())
def test_a_gap_that_was_forgotten_is_found(spans, data):
    account = source_account(spans)
    assume(account.gaps)
    account.gaps.pop(data.draw(st.integers(0, len(account.gaps) - 1)))
    assert account.problems("mic")


@seeded
@given(SOURCE_SPANS, st.data())
def test_a_pause_that_was_forgotten_is_found(spans, data):
    account = source_account(spans)
    assume(account.pauses)
    account.pauses.pop(data.draw(st.integers(0, len(account.pauses) - 1)))
    assert account.problems("mic")


def test_the_figures_that_disagree_are_named():
    account = source_account([("captured", 100), ("lost", 7)])
    account.position = 110
    (problem,) = account.problems("mic")
    for figure in ("captured 100", "lost 7", "107", "110"):
        assert figure in problem


def test_frames_still_pending_after_the_stop_are_a_problem():
    account = sink_account([("pending", 5, 0)])
    assert account.problems("file") == []
    account.stopped = True
    (problem,) = account.problems("file")
    assert problem == "sink file: stopped with 5 frames pending"


def test_what_went_into_the_ring_must_come_out():
    account = source_account([("captured", 100)], ended=False)
    assert account.problems("mic") == []
    account.stored = 101
    assert account.problems("mic") == [
        "source mic: 101 frames went into the ring, 100 came out",
    ]


# ---- routes ----

ROUTED_SPANS = st.lists(
    st.tuples(st.integers(0, 5000), st.lists(FRAMES, min_size=1, max_size=5)), min_size=1
)


@seeded
@given(RATES, RATES, ROUTED_SPANS)
def test_a_route_offers_what_its_spans_come_to_at_the_sinks_rate(rate_in, rate_out, spans):
    """Rounded on absolute positions: how a span is cut into chunks makes no difference."""
    route = RouteAccount(rate_in, rate_out)
    ratio = Fraction(rate_out, rate_in)
    position = expected = 0
    joined = None  # where the span under way began
    for left_out, chunks in spans:
        if left_out or joined is None:
            joined = position = position + left_out
            before = expected
        for frames in chunks:
            route.extend(position, frames)
            position += frames
            expected = before + floor(position * ratio) - floor(joined * ratio)
            assert route.offered == expected


@seeded
@given(RATES, ROUTED_SPANS)
def test_a_route_of_one_rate_offers_each_frame(rate, spans):
    route = RouteAccount(rate, rate)
    position = 0
    for left_out, chunks in spans:
        position += left_out
        for frames in chunks:
            route.extend(position, frames)
            position += frames
    assert route.offered == sum(sum(chunks) for _, chunks in spans)


def test_a_conversion_must_make_or_lose_what_its_spans_come_to():
    account = ConversionAccount(48_000, 16_000, made=1600)
    account.extend(0, 4800)
    account.extend(9600, 4800)
    (problem,) = account.problems("conversion of mic")
    assert problem == (
        "conversion of mic, 48000 to 16000 Hz: made 1600 + lost 0, but the spans that were "
        "converted come to 3200"
    )
    account.lost = 1600
    assert account.problems("conversion of mic") == []


def test_a_conversion_that_was_wrong_is_not_forgotten_with_its_end():
    ledger = Ledger()
    right, wrong = ConversionAccount(48_000, 16_000), ConversionAccount(48_000, 16_000, made=1)
    for account in (right, wrong):
        ledger.open_conversion("mic", account)
        ledger.close_conversion(account)
    (problem,) = ledger.problems()
    assert "made 1" in problem


def test_a_route_that_carried_nothing_offers_nothing():
    assert RouteAccount(48_000, 16_000).offered == 0


def test_a_second_in_chunks_of_one_frame_does_not_slide():
    route = RouteAccount(44_100, 48_000)
    for frame in range(44_100):
        route.extend(frame, 1)
    assert route.offered == 48_000


# ---- the whole ledger ----


@seeded
@given(st.lists(SOURCE_SPANS, max_size=3), st.lists(SINK_SPANS, max_size=3), st.data())
def test_the_ledger_tells_the_problems_of_all_its_accounts(sources, sinks, data):
    ledger = Ledger()
    for index, spans in enumerate(sources):
        ledger.sources[f"source {index}"] = source_account(spans)
    for index, spans in enumerate(sinks):
        ledger.sinks[f"sink {index}"] = sink_account(spans)
    assert ledger.problems() == []
    names = [*ledger.sources, *ledger.sinks]
    assume(names)
    wrong = data.draw(st.sampled_from(names))
    if wrong in ledger.sources:
        ledger.sources[wrong].captured += 1
    else:
        ledger.sinks[wrong].delivered += 1
    assert ledger.problems()
    assert all(wrong in problem for problem in ledger.problems())


def test_an_account_that_was_opened_is_in_the_ledger():
    ledger = Ledger()
    ledger.open_source("mic").captured = 1
    ledger.open_sink("file").offered = 2
    assert len(ledger.problems()) == 3
