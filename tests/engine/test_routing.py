"""From one source to its sinks: each format is made once, and fails for itself alone."""

import itertools
import logging

import numpy as np
import pytest

from stream_audio import AudioFormat, GapCause, Retry, StreamConfig
from stream_audio.adapter.sink_adapter import SinkAdapter
from stream_audio.audio.untold_gaps import append_gap
from stream_audio.convert import sample_encoder
from stream_audio.convert.channel_mixer import ChannelMixer
from stream_audio.convert.plan import conversion
from stream_audio.convert.resampler import Resampler
from stream_audio.engine.delivery import DirectDelivery, SinkState
from stream_audio.engine.routing import Routing
from stream_audio.reports.ledger import Ledger
from support.signals import cut, joined, noise


class Keeping:
    """A sink that keeps its chunks, on the thread that offers them."""

    blocking = False

    def __init__(self):
        self.chunks = []

    def write(self, chunk):
        self.chunks.append(chunk)


class Source:
    sample_rate = 48_000
    channels = 2
    own_channels = (0, 1)
    silence_is_normal = False


class Desk:
    """A routing with its ledger, and sinks by the name of their format."""

    def __init__(self, **formats):
        self.ledger = Ledger()
        self.events = []
        self.routing = Routing("mic", self.ledger)
        self.deliveries = {}
        for name, wanted in formats.items():
            self.add(name, wanted)

    def add(self, name, wanted, before=()):
        delivery = DirectDelivery(
            name,
            SinkAdapter(Keeping()),
            self.ledger.open_sink(name),
            StreamConfig(),
            "detach",
            Retry(),
            self.events.append,
            ("mic",),
            1.0,
            backlog=None,
        )
        stages = conversion("mic", Source, wanted, 0.1).stages
        route, replayed = self.routing.add(stages, delivery, before)
        for chunk in replayed:
            route.offer(chunk)
        self.deliveries[name] = delivery

    def feed(self, samples, frame=0):
        for chunk in cut(samples, 4800, frame=frame):
            self.routing.take(chunk)

    def chunks(self, name):
        return self.deliveries[name].sink.given.chunks

    def finish(self):
        self.routing.finish()
        for delivery in self.deliveries.values():
            delivery.close()
        assert self.ledger.problems() == []


MONO = AudioFormat(16_000, 1)
MONO_16_BIT = AudioFormat(16_000, 1, "int16")
NATIVE = AudioFormat()


def count_calls(monkeypatch, owner, name):
    calls = []
    original = getattr(owner, name)

    def counted(*arguments):
        calls.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(owner, name, counted)
    return calls


def test_native_chunks_are_handed_on_as_the_same_objects():
    desk = Desk(one=NATIVE, other=NATIVE)
    chunks = list(cut(noise(9600, 2), 4800))
    for chunk in chunks:
        desk.routing.take(chunk)
    desk.finish()
    for name in ("one", "other"):
        assert [id(chunk) for chunk in desk.chunks(name)] == [id(chunk) for chunk in chunks]


def test_each_format_is_converted_once_whatever_the_number_of_sinks(monkeypatch):
    converted = count_calls(monkeypatch, Resampler, "convert")
    desk = Desk(a=MONO, b=MONO, c=MONO, d=AudioFormat(44_100))
    desk.feed(noise(48_000, 2))
    desk.finish()
    assert len(converted) == 2 * 10
    assert [id(chunk) for chunk in desk.chunks("a")] == [id(chunk) for chunk in desk.chunks("c")]


def test_two_sample_types_of_one_rate_are_resampled_once(monkeypatch):
    mixed = count_calls(monkeypatch, ChannelMixer, "made")
    resampled = count_calls(monkeypatch, Resampler, "convert")
    desk = Desk(floats=MONO, integers=MONO_16_BIT, more=AudioFormat(16_000, 1, "int24"))
    desk.feed(noise(48_000, 2))
    desk.finish()
    assert len(mixed) == len(resampled) == 10
    floats, integers = joined(desk.chunks("floats")), joined(desk.chunks("integers"))
    assert integers.dtype == np.int16
    assert np.abs(integers / 2**15 - floats).max() <= 1.5 / 2**15


def test_every_sink_is_offered_what_its_format_comes_to():
    desk = Desk(native=NATIVE, mono=MONO, odd=AudioFormat(44_100, [1], "int16"))
    desk.feed(noise(48_123, 2))
    desk.finish()
    offered = {name: account.offered for name, account in desk.ledger.sinks.items()}
    assert offered == {"native": 48_123, "mono": 16_041, "odd": 48_123 * 44_100 // 48_000}


def test_a_route_that_is_added_later_begins_there():
    desk = Desk(first=MONO)
    desk.feed(noise(24_000, 2))
    desk.add("second", AudioFormat(44_100))
    desk.add("third", MONO)
    desk.feed(noise(24_000, 2), 24_000)
    desk.finish()
    assert desk.chunks("second")[0].frame == 22_050
    # A conversion that runs already has the next chunk in the making.
    assert desk.chunks("third")[0].frame == 4 * 1600
    assert desk.chunks("third")[-1].end == desk.chunks("first")[-1].end == 16_000


def test_a_route_that_is_removed_gets_the_tail_of_a_conversion_of_its_own():
    desk = Desk(alone=MONO, one=AudioFormat(44_100), other=AudioFormat(44_100))
    desk.feed(noise(24_000, 2))
    for name in ("alone", "one"):
        desk.routing.remove(desk.deliveries[name])
    desk.feed(noise(24_000, 2), 24_000)
    desk.finish()
    assert desk.chunks("alone")[-1].end == 8_000
    assert desk.chunks("one")[-1].end == 4 * 4410  # of the fifth a part is still inside
    assert desk.chunks("other")[-1].end == 44_100
    assert desk.chunks("other")[-1].frames == 4410


def test_conversions_that_nobody_needs_any_more_are_gone(monkeypatch):
    resampled = count_calls(monkeypatch, Resampler, "convert")
    desk = Desk(mono=MONO, integers=MONO_16_BIT)
    desk.feed(noise(4800, 2))
    desk.routing.remove(desk.deliveries["mono"])
    desk.feed(noise(4800, 2), 4800)
    assert len(resampled) == 2  # the integers still need it
    desk.routing.remove(desk.deliveries["integers"])
    desk.feed(noise(4800, 2), 9600)
    assert len(resampled) == 2
    desk.finish()


def test_a_sink_that_was_given_up_is_offered_nothing_more():
    desk = Desk(mono=MONO, other=MONO)
    desk.feed(noise(24_000, 2))
    desk.deliveries["mono"].state = SinkState.DETACHED
    before = len(desk.chunks("mono"))
    desk.feed(noise(24_000, 2), 24_000)
    desk.finish()
    assert len(desk.chunks("mono")) == before
    assert desk.chunks("other")[-1].end == 16_000


# ---- what came before ----


@pytest.mark.parametrize(
    "wanted",
    [
        NATIVE,
        AudioFormat(dtype="int16"),
        MONO,
        MONO_16_BIT,
        AudioFormat(44_100),
        AudioFormat(96_000, 6),
    ],
    ids=str,
)
@pytest.mark.parametrize("shared", [False, True])
def test_what_is_replayed_joins_what_comes_then(wanted, shared):
    """Whether the conversion is new or has been running for another sink."""
    samples = noise(96_000, 2)
    whole = Desk(it=wanted)
    whole.feed(samples)
    whole.finish()
    desk = Desk(**({"first": wanted} if shared else {}))
    desk.feed(samples[:48_000])
    desk.add("late", wanted, list(cut(samples[24_000:48_000], 4800, frame=24_000)))
    desk.feed(samples[48_000:], 48_000)
    desk.finish()
    late = desk.chunks("late")
    rate = late[0].sample_rate
    assert late[0].frame == rate // 2
    for before, after in itertools.pairwise(late):
        assert before.end == after.frame
    expected = joined(whole.chunks("it"))
    assert late[-1].end == len(expected)
    # Where the replay begins the resampler has heard nothing yet; after that it is the same.
    settled = joined(late)[rate // 10 :].astype(np.float64)
    tolerance = 1 if wanted.dtype == "int16" else 1e-6
    assert np.abs(settled - expected[rate // 2 + rate // 10 :]).max() <= tolerance


def test_a_replay_that_fails_leaves_nothing_behind(monkeypatch):
    desk = Desk(native=NATIVE)
    failing(monkeypatch, Resampler, "convert", {1})
    with pytest.raises(MemoryError):
        desk.add("late", MONO, list(cut(noise(24_000, 2), 4800)))
    monkeypatch.undo()
    resampled = count_calls(monkeypatch, Resampler, "convert")
    desk.feed(noise(24_000, 2), 24_000)
    assert resampled == []
    desk.routing.finish()
    assert desk.ledger.problems() == []


# ---- failures ----


def failing(monkeypatch, owner, name, calls):
    """Let the calls of these numbers fail for want of memory."""
    original = getattr(owner, name)
    count = iter(range(10**6))

    def sometimes(*arguments, **settings):
        if next(count) in calls:
            raise MemoryError("no memory")
        return original(*arguments, **settings)

    monkeypatch.setattr(owner, name, sometimes)


def check_whole(chunks, gaps, end):
    """Chunks and what was told to be missing, in-band and in the account, cover everything."""
    position, told = 0, []
    for chunk in chunks:
        for gap in chunk.gaps:
            assert gap.frame == position
            position = gap.end
            append_gap(told, gap)
        assert chunk.frame == position
        position = chunk.end
    assert position == end
    assert told == list(gaps)


def test_a_conversion_that_fails_harms_its_own_routes_alone(monkeypatch, caplog):
    desk = Desk(native=NATIVE, mono=MONO, integers=MONO_16_BIT, studio=AudioFormat(44_100))
    failing(monkeypatch, ChannelMixer, "made", {3, 4})
    with caplog.at_level(logging.ERROR):
        desk.feed(noise(48_000, 2))
    monkeypatch.undo()
    desk.finish()
    for name, end in (("native", 48_000), ("studio", 44_100)):
        check_whole(desk.chunks(name), (), end)
        assert desk.ledger.sinks[name].dropped == 0
    for name in ("mono", "integers"):
        account = desk.ledger.sinks[name]
        assert [(gap.frame, gap.frames) for gap in account.gaps] == [(4800, 3200)]
        assert {gap.cause for gap in account.gaps} == {GapCause.CONVERSION_FAILED}
        assert account.dropped == 3200
        assert account.offered == 16_000
        check_whole(desk.chunks(name), account.gaps, 16_000)
    told = []
    for event in desk.events:
        if event.sink == "mono":
            append_gap(told, event.gap)
    assert told == desk.ledger.sinks["mono"].gaps
    assert caplog.text.count("source mic cannot be converted") == 1  # and not for each chunk


def test_an_encoder_that_fails_leaves_the_floating_point_samples_alone(monkeypatch):
    desk = Desk(floats=MONO, integers=MONO_16_BIT)
    failing(monkeypatch, sample_encoder, "to_int16_dithered", {2})
    desk.feed(noise(48_000, 2))
    desk.finish()
    check_whole(desk.chunks("floats"), (), 16_000)
    check_whole(desk.chunks("integers"), desk.ledger.sinks["integers"].gaps, 16_000)
    assert desk.ledger.sinks["integers"].dropped == 1600


@pytest.mark.parametrize("call", range(1, 11))
def test_a_resampler_that_fails_at_any_time_is_accounted_for(monkeypatch, call):
    desk = Desk(native=NATIVE, mono=MONO, integers=MONO_16_BIT)
    failing(monkeypatch, Resampler, "_fill", {call})
    desk.feed(noise(24_000, 2))
    desk.feed(noise(24_000, 2), 28_800)
    desk.finish()  # the books balance
    for name in ("mono", "integers"):
        account = desk.ledger.sinks[name]
        assert account.dropped > 0
        assert account.offered == 8000 + 8000
        assert account.delivered == sum(chunk.frames for chunk in desk.chunks(name))


def test_a_jump_of_which_nothing_is_known_does_not_balance():
    """The account of a conversion is found apart from what comes out of it."""
    desk = Desk(mono=MONO)
    desk.feed(noise(24_000, 2))
    (_, account), *_ = desk.ledger._conversions
    account.made -= 1
    desk.routing.finish()
    (problem,) = desk.ledger.problems()
    assert problem.startswith("conversion of mic, 48000 to 16000 Hz: made 7999 + lost 0")
