"""Devices that are lost in the middle of a session, and what comes after: on one timeline."""

import random
import threading
import time

import numpy as np
import pytest

import stream_audio
from stream_audio import (
    AudioFormat,
    AudioSource,
    ChannelSink,
    ConfigError,
    FileSink,
    FormatPreset,
    GapCause,
    SourceEnded,
    SourceLost,
    SourceRecovered,
    StreamAudio,
    StreamConfig,
    TriggerEnded,
    TriggerSink,
    TriggerStarted,
)
from stream_audio.testing import Fault, Incident, VirtualClock, VirtualDevices

RATE = 48_000
PERIOD = 480
COUNT = 2.0**-23


class Run:
    """A session with one source, read to its end, and all that was told."""

    def __init__(self, source, duration=10.0, *, format=FormatPreset.NATIVE, **config):
        self.events = []
        sink = ChannelSink()
        builder = (
            StreamAudio.builder()
            .add_source("mic", source)
            .format(format)
            .add_sink(sink)
            .duration(duration)
            .on_event(self.events.append)
            .config(StreamConfig(**config))
        )
        with builder.start() as session:
            self.chunks = list(sink)
        self.report = session.report()
        self.mic = self.report.sources["mic"]
        self.state = session.stats().sources["mic"].state

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def order(self):
        kinds = (SourceLost, SourceRecovered, SourceEnded)
        return [type(event) for event in self.events if isinstance(event, kinds)]

    @property
    def samples(self):
        """All of it, with silence for gaps: as a file has it."""
        pieces = []
        for chunk in self.chunks:
            missing = sum(gap.frames for gap in chunk.gaps)
            pieces += [np.zeros((missing, chunk.channels), np.float32), chunk.data]
        return np.concatenate(pieces)


@pytest.fixture
def headset(virtual_devices):
    """Add a headset with a script, beside a webcam."""

    def add(*script, **settings):
        virtual_devices.add("headset", script=script, **{"period": PERIOD} | settings)
        virtual_devices.add("webcam", sample_rate=16_000, channels=1)
        return AudioSource.device("headset")

    return add


@pytest.mark.parametrize("leaves", ["told", "dead"])
def test_the_outage_is_one_gap_of_exact_length(headset, leaves):
    """What is heard after it stands where it was heard: the sound is the clock's."""
    source = headset(Incident.absent(2.0, 1.3, leaves=leaves), signal="chirp")
    run = Run(source)
    assert run.order == [SourceLost, SourceRecovered, SourceEnded]
    [lost], [recovered] = run.of(SourceLost), run.of(SourceRecovered)
    assert lost.waiting
    [gap] = run.mic.gaps
    assert gap.cause is GapCause.DEVICE_LOST
    assert gap.frame == 2 * RATE
    assert recovered.outage == gap.frames / RATE >= 1.3
    assert recovered.device == "headset, virtual"
    assert run.mic.position == 10 * RATE == run.mic.captured + gap.frames
    samples = run.samples[:, 0]
    # The chirp is the same each second, and its frames stand half a frame off at most.
    before, after = samples[:RATE], samples[6 * RATE : 7 * RATE]
    middle = slice(RATE // 10, -RATE // 10)
    assert np.corrcoef(before[middle], after[middle])[0, 1] > 0.995
    for frames in (-2, 2):
        assert np.corrcoef(before[middle], np.roll(after, frames)[middle])[0, 1] < 0.98
    assert run.report.balanced
    assert run.mic.error == ""
    assert run.state == "ended"


def test_it_is_found_again_as_soon_as_devices_change(headset):
    run = Run(headset(Incident.absent(2.0, 4.321)))
    [gap] = run.mic.gaps
    assert gap.frames / RATE == pytest.approx(4.321, abs=0.02)


@pytest.mark.parametrize(
    ("other", "format"),
    [
        ({"sample_rate": 44_100}, FormatPreset.NATIVE),
        ({"channels": 1}, FormatPreset.NATIVE),
        ({"sample_rate": 16_000, "channels": 4}, FormatPreset.NATIVE),
        ({"sample_rate": 96_000, "channels": 1}, AudioFormat(44_100, 2, "int16")),
        ({"sample_rate": 44_100}, FormatPreset.TRANSCRIPTION),
    ],
)
def test_another_rate_or_channel_count_is_adapted(headset, other, format):
    script = Incident.absent(2.0, 1.0), Incident.changed(2.5, **other)
    run = Run(headset(*script, channels=2, signal="chirp"), format=format)
    assert run.order == [SourceLost, SourceRecovered, SourceEnded]
    assert (run.mic.sample_rate, run.mic.channels) == (RATE, 2)
    assert run.mic.position == 10 * RATE
    shapes = {(chunk.sample_rate, chunk.data.shape[1], chunk.data.dtype) for chunk in run.chunks}
    assert len(shapes) == 1
    samples = run.samples[:, 0].astype(np.float64)
    rate = run.chunks[0].sample_rate
    assert len(samples) == 10 * rate
    before, after = samples[rate : 2 * rate], samples[6 * rate : 7 * rate]
    steady = slice(rate // 20, -rate // 20)  # the chirp jumps at each full second
    assert np.corrcoef(before[steady], after[steady])[0, 1] > 0.99
    assert run.report.balanced


def test_a_device_that_was_converted_may_be_lost_again(headset):
    script = [
        Incident.absent(2.0, 1.0),
        Incident.changed(2.5, sample_rate=44_100, channels=1),
        Incident.absent(5.0, 1.0),
        Incident.changed(5.5, sample_rate=RATE, channels=2),
        Incident.suspended(7.5, 0.5),
    ]
    run = Run(headset(*script, channels=2, signal="room"))
    assert run.order == [SourceLost, SourceRecovered] * 2 + [SourceEnded]
    causes = [gap.cause for gap in run.mic.gaps]
    assert causes == [GapCause.DEVICE_LOST, GapCause.DEVICE_LOST, GapCause.SUSPENDED]


@pytest.mark.parametrize(("chosen", "captured"), [([2, 3], 1.0), (3, 3.5)])
def test_channels_that_were_chosen_one_by_one_are_not_replaced_by_others(
    virtual_devices, chosen, captured
):
    virtual_devices.add(
        "interface",
        channels=4,
        period=PERIOD,
        script=[Incident.absent(1.0, 0.5), Incident.changed(1.2, channels=2)],
    )
    run = Run(AudioSource.device("interface", channels=chosen), 4.0)
    assert run.mic.captured / RATE == pytest.approx(captured, abs=0.8)
    assert bool(run.of(SourceRecovered)) is (captured > 1.0)
    assert {chunk.channels for chunk in run.chunks} == {chosen if chosen == 3 else 2}


def test_default_goes_on_with_the_default_device(headset):
    headset(Incident.absent(2.0))
    run = Run(AudioSource.device("headset", on_lost="default"))
    [recovered] = run.of(SourceRecovered)
    assert recovered.device == "webcam, virtual"
    assert recovered.outage < 1.0
    assert run.mic.position == 10 * RATE


def test_a_name_never_becomes_another_device(headset):
    run = Run(headset(Incident.absent(2.0)))
    assert run.of(SourceRecovered) == []
    assert run.mic.captured == 2 * RATE


def test_a_part_of_a_name_stays_the_device_that_it_found(virtual_devices):
    virtual_devices.add("usb headset", script=[Incident.absent(2.0, 5.0)], period=PERIOD)
    virtual_devices.add("usb webcam", script=[Incident.absent(0.0, 1.0)])
    run = Run(AudioSource.device("usb"))
    [recovered] = run.of(SourceRecovered)
    assert recovered.device == "usb headset, virtual"


def test_a_lost_role_takes_whatever_has_it_next(headset):
    headset(Incident.absent(2.0))
    run = Run(AudioSource.default_device())
    [recovered] = run.of(SourceRecovered)
    assert recovered.device == "webcam, virtual"


def test_stop_ends_the_source(headset):
    headset(Incident.absent(2.0, 1.0))
    run = Run(AudioSource.device("headset", on_lost="stop"))
    [lost] = run.of(SourceLost)
    assert not lost.waiting
    assert run.order == [SourceLost, SourceEnded]
    assert run.mic.position == 2 * RATE
    assert run.mic.error


def test_listen_stops_unless_it_is_told_to_wait(headset):
    source = headset(Incident.absent(1.0, 1.0))
    chunks = list(stream_audio.listen(source, duration=4.0))
    assert sum(chunk.frames for chunk in chunks) == RATE


def test_listen_can_wait(headset):
    source = headset(Incident.absent(1.0, 1.0))
    chunks = list(stream_audio.listen(source, duration=4.0, on_lost="wait"))
    assert chunks[-1].end == 4 * RATE


def test_a_lost_source_ends_after_its_timeout(headset, virtual_devices):
    headset(Incident.absent(2.0))
    run = Run(AudioSource.device("headset", lost_timeout=3.0))
    assert run.order == [SourceLost, SourceEnded]
    assert virtual_devices.now == pytest.approx(5.0, abs=0.01)


def test_the_duration_ends_on_time_without_the_device(headset, virtual_devices):
    run = Run(headset(Incident.absent(2.0)))
    assert virtual_devices.now == pytest.approx(10.0, abs=1e-6)
    assert run.order == [SourceLost, SourceEnded]
    [gap] = run.mic.gaps
    assert (gap.frame, gap.frames) == (2 * RATE, 8 * RATE)
    assert "unplugged" in run.mic.error


def test_an_opening_that_hangs_delays_nobody(headset):
    source = headset(Incident.absent(2.0, 1.0), Incident.hanging(2.0))
    events = []
    sinks = [ChannelSink(), ChannelSink()]
    builder = StreamAudio.builder().format(FormatPreset.NATIVE).duration(60.0)
    builder.on_event(events.append)
    for id, each, sink in zip("ab", (source, AudioSource.device("webcam")), sinks, strict=True):
        builder.add_source(id, each).add_sink(sink, sources=id)
    with builder.start() as session:
        heard = sum(chunk.frames for chunk in sinks[1])
        stats = session.stats()
    assert heard == 60 * 16_000
    assert stats.sources["a"].openings_given_up == 3
    assert session.report().balanced


def test_a_device_that_is_back_but_busy_is_waited_for(headset):
    run = Run(headset(Incident.absent(2.0, 1.0), Incident.refusing(2.5, 2.0)))
    [gap] = run.mic.gaps
    assert 2.5 <= gap.frames / RATE < 5.0


def test_two_devices_are_lost_apart_and_stay_in_step(virtual_devices):
    """Two files of one sound: each second of one is that second of the other, or silence."""
    virtual_devices.add("one", signal="room", script=[Incident.absent(2.0, 1.0)], period=PERIOD)
    virtual_devices.add("two", signal="room", script=[Incident.absent(5.0, 2.0)], period=PERIOD)
    sinks = {name: ChannelSink() for name in ("one", "two")}
    builder = StreamAudio.builder().format(FormatPreset.NATIVE).duration(10.0)
    for name, sink in sinks.items():
        builder.add_source(name, AudioSource.device(name)).add_sink(sink, sources=name)
    with builder.start():
        chunks = {name: list(sink) for name, sink in sinks.items()}
    tracks = {name: np.zeros(10 * RATE, np.float32) for name in sinks}
    for name, its in chunks.items():
        for chunk in its:
            tracks[name][chunk.frame : chunk.end] = chunk.data[:, 0]
    both = (tracks["one"] != 0) & (tracks["two"] != 0)
    assert both.mean() > 0.4
    # A frame of rounding in the place of a take shifts the noise by a part of a sample.
    assert np.corrcoef(tracks["one"][both], tracks["two"][both])[0, 1] > 0.99


def test_the_machine_sleeps_and_one_device_comes_back_only_after_it(virtual_devices):
    """Both timelines have the hour in them, and the wall time of what follows is right."""
    asleep = 3600.0
    back = 5.0 + asleep + 2.0
    virtual_devices.add("one", period=PERIOD, signal="chirp")
    virtual_devices.add(
        "two", period=PERIOD, signal="chirp", script=[Incident.absent(4.0, back - 4.0)]
    )
    clock = virtual_devices.clock
    sinks = {name: ChannelSink() for name in ("one", "two")}
    builder = StreamAudio.builder().format(FormatPreset.NATIVE)
    for name, sink in sinks.items():
        builder.add_source(name, AudioSource.device(name)).add_sink(sink, sources=name)
    with VirtualClockHand(clock) as hand, builder.start() as session:
        hand.advance(5.0)
        clock.suspend(asleep)
        hand.advance(5.0)
        session.stop()
        chunks = {name: list(sink) for name, sink in sinks.items()}
    first, last = (chunks["one"][0], chunks["one"][-1])
    assert last.frame - first.frame == pytest.approx((asleep + 9.9) * RATE, abs=RATE)
    for one, two in zip(reversed(chunks["one"]), reversed(chunks["two"]), strict=False):
        if two.frame < 3000 * RATE:
            break
        apart = (one.frame - two.frame) / RATE
        assert one.wall_time - two.wall_time == pytest.approx(apart, abs=0.01)
    assert chunks["two"][-1].frame > asleep * RATE
    causes = {gap.cause for gap in session.report().sources["two"].gaps}
    assert causes == {GapCause.DEVICE_LOST}


class VirtualClockHand:
    """Holds a seat at an automatic clock, so that it stands still but when the test sleeps."""

    def __init__(self, clock):
        self._clock = clock

    def __enter__(self):
        from stream_audio.waiting.clock import sit_on

        self._signal = self._clock.signal()
        sit_on(self._signal)
        return self

    def advance(self, seconds):
        self._clock.sleep(seconds)

    def __exit__(self, *raised):
        from stream_audio.waiting import clock

        self._signal.close()
        del clock._own.signal


def test_a_lone_channel_whose_reader_runs_the_turns_recovers():
    """On the real clock, where a reader has the baton."""
    with VirtualDevices() as devices:
        devices.add("headset", script=[Incident.absent(0.5, 0.3)], period=PERIOD)
        run = Run(AudioSource.device("headset"), 2.0, chunk_duration=0.01)
    assert run.order == [SourceLost, SourceRecovered, SourceEnded]
    assert run.mic.position == 2 * RATE
    assert 0.3 <= run.mic.gaps[0].frames / RATE < 1.0


def test_a_stop_during_an_outage_takes_no_time():
    with VirtualDevices() as devices:
        devices.add("headset", script=[Incident.absent(0.2), Incident.hanging(0.2)])
        lost = threading.Event()
        builder = (
            StreamAudio.builder()
            .add_source("mic", AudioSource.device("headset"))
            .on_event(lambda event: isinstance(event, SourceLost) and lost.set())
        )
        with builder.start() as session:
            assert lost.wait(30)
            deadline = time.monotonic() + 30
            while session.stats().sources["mic"].state != "lost":
                assert time.monotonic() < deadline
            before = time.monotonic()
            session.stop()
            took = time.monotonic() - before
        assert took < 0.5
    assert session.stats().sources["mic"].state == "ended"


def test_files_history_and_formats_go_on(headset, virtual_devices, tmp_path):
    source = headset(Incident.absent(2.0, 1.0), signal="chirp")
    builder = (
        StreamAudio.builder()
        .add_source("mic", source)
        .add_sink(FileSink(tmp_path / "a.wav"), format=FormatPreset.NATIVE)
        .add_sink(FileSink(tmp_path / "b.wav"))
        .duration(5.0)
        .history(10.0)
    )
    with builder.start() as session:
        session.wait()
    import soundfile

    for name, rate in (("a.wav", RATE), ("b.wav", 16_000)):
        samples, found = soundfile.read(tmp_path / name)
        assert (found, len(samples)) == (rate, 5 * rate)
        assert np.abs(samples[int(2.2 * rate) : int(2.9 * rate)]).max() == 0.0
        one, other = samples[rate : 2 * rate], samples[4 * rate : 5 * rate]
        middle = slice(rate // 10, -rate // 10)
        assert np.corrcoef(one[middle], other[middle])[0, 1] > 0.99
    assert session.report().balanced


@pytest.mark.parametrize("other", [{}, {"sample_rate": 44_100, "channels": 1}])
def test_levels_are_those_of_the_frames_before_and_after(headset, other):
    script = [Incident.absent(2.0, 1.0)]
    script += [Incident.changed(2.5, **other)] if other else []
    run = Run(headset(*script, channels=2, level=-20.0, signal="sine"), 5.0)
    assert len([gap for chunk in run.chunks for gap in chunk.gaps]) == 1
    for chunk in run.chunks:
        peak, rms = np.abs(chunk.data).max(axis=0), np.sqrt(np.mean(chunk.data**2.0, axis=0))
        assert chunk.peak == pytest.approx(20 * np.log10(peak), abs=0.01)
        assert chunk.rms == pytest.approx(20 * np.log10(rms), abs=0.01)
    for begin, end in ((0.0, 2.0), (3.5, 4.9)):
        peaks = [c.peak for c in run.chunks if begin * RATE <= c.frame < end * RATE]
        assert len(peaks) >= 10
        assert np.allclose(peaks, -20.0, atol=0.2)


class Events:
    """A sink for all events of a trigger, which keeps the place of every frame."""

    def __init__(self):
        self.chunks = []

    def write(self, chunk):
        self.chunks.append(chunk)

    @property
    def spans(self):
        """The first and last frame of each chunk, its gaps included, and the gaps' causes."""
        for chunk in self.chunks:
            first = min([chunk.frame, *(gap.frame for gap in chunk.gaps)])
            yield first, chunk.frame + chunk.frames, [gap.cause for gap in chunk.gaps]


def triggered(source, when, **rolls):
    kept, told = Events(), []
    sink = TriggerSink(kept, when=when, **rolls)
    builder = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
    builder.add_sink(sink).duration(6.0).on_event(told.append)
    with builder.start() as session:
        session.wait()
    assert session.report().balanced
    begun = [event.frame for event in told if isinstance(event, TriggerStarted)]
    ended = [event.frame for event in told if isinstance(event, TriggerEnded)]
    return kept, list(zip(begun, ended, strict=True))


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (4.0, 4.5),  # the pre-roll reaches back over it
        (1.5, 1.9),  # the post-roll lasts over it
        (1.5, 4.5),  # it is in the middle
    ],
)
def test_a_trigger_keeps_its_frames_across_an_outage(headset, first, last):
    def when(chunk):
        return first * RATE <= chunk.frame < last * RATE

    rolls = {"pre_roll": 2.5, "post_roll": 2.0}
    kept, [(begun, ended)] = triggered(headset(Incident.absent(2.0, 1.0)), when, **rolls)
    assert begun == max(0, (first - 2.5) * RATE)
    assert ended == min(6.0, last + 2.0) * RATE
    at = begun
    for start, end, _ in kept.spans:
        assert start == at
        at = end
    assert at == ended
    assert [cause for *_, causes in kept.spans for cause in causes] == [GapCause.DEVICE_LOST]


def test_a_virtual_source_can_be_told_to_come_back(virtual_clock):
    source = AudioSource.virtual(faults=[Fault.die(RATE)], on_lost="wait")
    run = Run(source, 5.0, clock=virtual_clock)
    assert run.order[:2] == [SourceLost, SourceRecovered]
    assert run.mic.position == 5 * RATE
    run = Run(AudioSource.virtual(faults=[Fault.die(RATE)]), 5.0, clock=VirtualClock())
    assert run.order == [SourceLost, SourceEnded]


def test_wrong_wishes_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="on_lost"):
        AudioSource.device("x", on_lost="retry")
    with pytest.raises(ConfigError, match="lost_timeout"):
        AudioSource.device("x", lost_timeout=-1)
    with pytest.raises(ConfigError, match="does not wait"):
        AudioSource.default_device(on_lost="stop", lost_timeout=1)
    with pytest.raises(ConfigError, match="for devices"):
        stream_audio.record(
            tmp_path / "x.wav", 1, source=AudioSource.file("y.wav"), on_lost="wait"
        )


# ---- random schedules ----


def random_script(random):
    """Return incidents one after another, some of them at the same time as others."""
    script, at = [], 0.0
    for _ in range(random.randint(1, 6)):
        at += random.choice([0.0, 0.01, random.uniform(0.05, 3.0)])
        seconds = random.choice([0.001, 0.1, random.uniform(0.2, 4.0)])
        kind = random.randrange(7)
        if kind == 0:
            script.append(Incident.moved(at))
        elif kind == 1:
            script.append(Incident.refusing(at, seconds))
        elif kind == 2:
            script.append(Incident.hanging(at + 0.5, seconds))
        elif kind == 3:
            script.append(Incident.suspended(at, seconds))
            at += seconds
        elif kind == 4:
            rate = random.choice([16_000, 44_100, 48_000, 96_000])
            channels = random.choice([1, 2, 4])
            script.append(Incident.changed(at, sample_rate=rate, channels=channels))
        else:
            leaves = random.choice(["told", "dead"])
            script.append(Incident.absent(at + 0.1, seconds, leaves=leaves))
    return script


def run_schedule(number):
    rng = random.Random(number)
    with VirtualDevices(VirtualClock()) as devices:
        sources = {}
        for name in ("one", "two")[: rng.randint(1, 2)]:
            devices.add(
                name,
                script=random_script(rng),
                sample_rate=rng.choice([16_000, 44_100]),
                channels=rng.choice([1, 2]),
                period=rng.choice([64, 480, 1000]),
                jitter=rng.choice([0.0, 0.002]),
                drift_ppm=rng.choice([0.0, 200.0]),
                signal=rng.choice(["counter", "room"]),
            )
            wish = rng.choice([None, "wait", "default", "stop"])
            timeout = rng.choice([None, None, 1.5]) if wish != "stop" else None
            sources[name] = AudioSource.device(name, on_lost=wish, lost_timeout=timeout)
        events = []
        builder = StreamAudio.builder().duration(rng.uniform(2.0, 12.0)).on_event(events.append)
        formats = [FormatPreset.NATIVE, FormatPreset.TRANSCRIPTION, AudioFormat(22_050, 2)]
        heard = {}
        for name, source in sources.items():
            sink = heard[name] = ChannelSink(backlog="32MB")
            builder.add_source(name, source)
            builder.add_sink(sink, sources=name, format=rng.choice(formats))
        try:
            session = builder.start()
        except stream_audio.StreamAudioError:
            return  # a device was absent or busy at the very start
        with session:
            for sink in heard.values():
                end = None
                for chunk in sink:
                    missing = sum(gap.frames for gap in chunk.gaps)
                    assert end is None or chunk.frame == end + missing
                    end = chunk.end
        report = session.report()
        assert report.balanced, report
        for name in sources:
            of = [e for e in events if getattr(e, "source", None) == name]
            kinds = [type(e) for e in of if type(e) in (SourceLost, SourceRecovered, SourceEnded)]
            assert kinds[-1] is SourceEnded
            assert kinds.count(SourceEnded) == 1
            told = kinds[:-1]
            assert all(kind is SourceLost for kind in told[::2])
            assert all(kind is SourceRecovered for kind in told[1::2])


@pytest.mark.parametrize("hundredth", range(5))
def test_random_faults_leave_balanced_accounts(hundredth):
    for number in range(10 * hundredth, 10 * hundredth + 10):
        run_schedule(number)


@pytest.mark.long
@pytest.mark.parametrize("hundredth", range(10))
def test_a_thousand_random_schedules_leave_balanced_accounts(hundredth):
    for number in range(100 * hundredth + 50, 100 * hundredth + 150):
        run_schedule(number)
