"""Several sources on one timeline: what the promise says, in whole sessions."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio import (
    AudioFormat,
    AudioSource,
    ChannelSink,
    ConfigError,
    ConfigTypeError,
    FileSink,
    FormatPreset,
    GapCause,
    Merge,
    MergeIncomplete,
    StreamAudio,
    StreamConfig,
)
from stream_audio.testing import Fault, VirtualClock
from stream_audio.waiting.clock import sit_on
from support.effort import examples
from support.readers import by_soundfile
from support.takes import replaced
from support.world import offsets, thd_n

RATE = 16_000


class Collector:
    """A sink that keeps its chunks."""

    def __init__(self):
        self.chunks = []

    def write(self, chunk):
        self.chunks.append(chunk)

    @property
    def end(self):
        return max([chunk.end for chunk in self.chunks], default=0)

    @property
    def samples(self):
        """All of it from the start of the session on, with silence for gaps."""
        samples = np.zeros((self.end, self.chunks[0].channels))
        for chunk in self.chunks:
            samples[chunk.frame : chunk.end] = chunk.data
        return samples

    @property
    def gaps(self):
        return [(gap.cause, gap.frame, gap.frames) for chunk in self.chunks for gap in chunk.gaps]

    @property
    def gaps_joined(self):
        """Those of one cause that follow one another as one."""
        runs = []
        for cause, frame, frames in self.gaps:
            if runs and runs[-1][0] is cause and runs[-1][2] == frame:
                runs[-1] = (cause, runs[-1][1], frame + frames)
            elif frames:
                runs.append((cause, frame, frame + frames))
        return runs

    @property
    def absent(self):
        """Where silence stands for which source, as seconds."""
        found = {}
        for chunk in self.chunks:
            for gap in chunk.absent:
                runs = found.setdefault((gap.source, gap.cause), [])
                if runs and runs[-1][1] == gap.frame:
                    runs[-1] = (runs[-1][0], gap.end)
                else:
                    runs.append((gap.frame, gap.end))
        return found


def a_device(signal="chirp", *, rate=RATE, period=256, channels=1, **settings):
    return AudioSource.virtual(
        signal, sample_rate=rate, channels=channels, period=period, **settings
    )


def a_session(*, clock=None, rate=None, seconds=None, chunk_duration=0.1, **sources):
    builder = StreamAudio.builder().format(AudioFormat(sample_rate=rate))
    builder.config(StreamConfig(clock=clock or VirtualClock(), chunk_duration=chunk_duration))
    for name, source in sources.items():
        builder.add_source(name, source)
    return builder if seconds is None else builder.duration(seconds)


def the_chirp(session):
    """What the devices hear, by seconds of the session."""
    low, high = 200.0, 3500.0
    rise = np.log(high / low)

    def sound(seconds):
        within = (seconds + session.started_at) % 1.0
        amplitude = 10 ** (-6 / 20)
        return amplitude * np.sin(2 * np.pi * low / rise * (np.exp(rise * within) - 1))

    return sound


def early(sink, session, rate=RATE, channel=0):
    """By how many µs each tenth of a second is early; where the chirp begins anew, 0."""
    return offsets(sink.samples[:, channel], the_chirp(session), 0, rate) * 1e6


def run(builder):
    with builder as session:
        session.wait()
    report = session.report()
    assert report.balanced, report
    return session, report


# ---- drift ----


def in_step(seconds, jitter, rate=RATE):
    mic, speaker, both = Collector(), Collector(), Collector()
    builder = a_session(
        mic=a_device(drift_ppm=200, jitter=jitter, seed=1),
        speaker=a_device(drift_ppm=-200, jitter=jitter, seed=2),
        seconds=seconds,
        chunk_duration=0.2,
    )
    builder.add_sink(mic, sources="mic", timeline="session")
    builder.add_sink(speaker, sources="speaker", timeline="session")
    builder.add_sink_merged(both, ["mic", "speaker"], merge=Merge("channels", window=0.2))
    session, report = run(builder)
    assert mic.end == speaker.end == both.end == seconds * rate
    np.testing.assert_array_equal(both.samples[:, 0], mic.samples[:, 0])
    np.testing.assert_array_equal(both.samples[:, 1], speaker.samples[:, 0])
    assert report.complete
    apart = np.abs(early(mic, session) - early(speaker, session))
    uncorrected = [source.position / rate - seconds for source in report.sources.values()]
    print(
        f"{seconds} s, {jitter * 1e3:g} ms of jitter: at most {apart.max():.0f} µs apart, after "
        f"30 s {apart[300:].max():.0f} µs; uncorrected {np.ptp(uncorrected) * 1e6:.0f} µs"
    )
    return apart


def test_two_devices_that_drift_apart_are_in_step_for_five_minutes():
    apart = in_step(300, 1e-3)
    assert apart.max() < 500
    assert apart[300:].max() < 100


@pytest.mark.long
@pytest.mark.parametrize("jitter", [1e-4, 1e-3])
def test_two_devices_that_drift_apart_are_in_step_for_an_hour(jitter):
    apart = in_step(3600, jitter)
    assert apart.max() < 500
    assert apart[300:].max() < 100


@pytest.mark.parametrize(("jitter", "after_5", "after_30"), [(1e-3, -80, -100)])
def test_a_mix_of_drifting_devices_leaves_no_noise(jitter, after_5, after_30):
    """One tone of the world in both; it must not beat, nor hiss as the speeds are steered."""
    mixed = Collector()
    builder = a_session(
        mic=Heard(drift_ppm=200, jitter=jitter, seed=1),
        speaker=Heard(drift_ppm=-200, jitter=jitter, seed=2),
        seconds=40,
    )
    builder.add_sink(mixed, merge=True)
    run(builder)
    found = thd_n(mixed.samples[:, 0], rate=RATE)
    print(f"{jitter * 1e3:g} ms of jitter: THD+N {found.round().tolist()} dB")
    assert found[5:].max() < after_5
    assert found[30:].max() < after_30


class Heard:
    """A virtual device that hears a sine of the world, whatever the drift of its clock."""

    def __init__(self, frequency=997.0, **settings):
        drift = settings["drift_ppm"] * 1e-6
        self._device = a_device("sine", frequency=frequency / (1 + drift), **settings)

    def open(self, opening):
        return self._device.open(opening)


# ---- jumps ----


class Late:
    """A source whose device starts some time after the session."""

    def __init__(self, device, seconds):
        self._device, self._seconds = device, seconds

    def open(self, opening):
        opened = self._device.open(opening)
        start = opened.start

        def run(signal):
            sit_on(signal)
            opening.clock.sleep(self._seconds)
            start()
            started.set()
            signal.close()

        def start_later():
            signal = opening.clock.signal()
            threading.Thread(target=run, args=(signal,), daemon=True).start()

        opened.start = start_later
        is_active, started = opened.is_active, threading.Event()
        opened.is_active = lambda: is_active() or not started.is_set()
        return opened


def both(clock=None, seconds=10, mic=None, speaker=None, merge=None, **settings):
    """A session of two devices, an aligned track of each, and their merge."""
    tracks = Collector(), Collector(), Collector()
    builder = a_session(
        clock=clock,
        mic=mic or a_device(drift_ppm=80),
        speaker=speaker or a_device(drift_ppm=-80),
        seconds=seconds,
        **settings,
    )
    builder.add_sink(tracks[0], sources="mic", timeline="session")
    builder.add_sink(tracks[1], sources="speaker", timeline="session")
    builder.add_sink(tracks[2], merge=merge or Merge("channels"))
    return builder, *tracks


PATIENT = Merge("channels", timeout=5.0)
"""Waits for what a source had delivered when it fell silent, but was no whole chunk."""


def is_in_step(track, session, *, but=(), within=80.0):
    """Every tenth of a second where there is sound hears what the world says just then."""
    found = np.abs(early(track, session))
    silent = [
        not track.samples[start : start + RATE // 50].any()
        for start in range(0, len(track.samples) - RATE // 50 + 1, RATE // 10)
    ]
    wrong = [
        tenth / 10
        for tenth, (off, quiet) in enumerate(zip(found, silent, strict=True))
        if off > within and not quiet and not any(low <= tenth / 10 <= high for low, high in but)
    ]
    return wrong == [] or wrong


def test_a_source_that_starts_late_begins_with_silence():
    builder, mic, speaker, merged = both(speaker=Late(a_device(), 3.0))
    session, report = run(builder)
    assert speaker.gaps == [(GapCause.LATE_START, 0, 3 * RATE)]
    assert merged.absent[("speaker", GapCause.LATE_START)] == [(0, 3 * RATE)]
    assert merged.gaps == []
    assert mic.end == speaker.end == merged.end == 10 * RATE
    assert is_in_step(speaker, session) is True
    assert report.merges["merge"].inputs["speaker"].silent["late_start"] == 3 * RATE
    assert report.complete


def test_lost_frames_leave_the_rest_in_its_place():
    lossy = a_device(drift_ppm=50, faults=(Fault.lose(5 * RATE, 40),))
    builder, mic, speaker, merged = both(speaker=lossy, merge=PATIENT)
    session, report = run(builder)
    [(cause, start, frames)] = [gap for gap in speaker.gaps if gap[2]]
    assert cause is GapCause.HOST_OVERFLOW
    assert start == pytest.approx(5 * RATE, abs=256)
    assert frames == pytest.approx(40 * 256, abs=1)
    told = sorted(run for runs in merged.absent.values() for run in runs)
    assert (told[0][0], told[-1][1]) == (start, start + frames)
    assert report.merges["merge"].inputs["speaker"].placed == 10 * RATE - frames
    assert is_in_step(speaker, session) is True
    assert mic.end == speaker.end == 10 * RATE


def test_a_device_that_comes_back_goes_on_in_its_place():
    clock = VirtualClock()
    first = a_device(faults=(Fault.die(3 * RATE),))
    builder, mic, speaker, merged = both(clock, speaker=first, merge=PATIENT)
    with builder as session:
        config = StreamConfig(clock=clock)
        end = replaced(session, "speaker", [a_device(drift_ppm=30)], config, after=2.0)
        session.wait()
        end()
    report = session.report()
    assert report.balanced, report
    [(cause, start, frames)] = [gap for gap in speaker.gaps if gap[2]]
    assert cause is GapCause.DEVICE_LOST
    assert start == pytest.approx(3 * RATE, abs=256)
    assert frames > 2 * RATE
    assert is_in_step(speaker, session) is True
    assert mic.end == speaker.end == merged.end == 10 * RATE
    silent = report.merges["merge"].inputs["speaker"].silent
    assert sum(silent.values()) == frames
    assert report.merges["merge"].inputs["speaker"].late == 0


def test_a_merge_that_does_not_wait_out_an_outage_has_what_came_before_and_names_the_cause():
    clock = VirtualClock()
    first = a_device(faults=(Fault.die(3 * RATE),))
    builder, *_ = both(clock, speaker=first, merge=Merge("channels"), chunk_duration=0.37)
    with builder as session:
        config = StreamConfig(clock=clock)
        end = replaced(session, "speaker", [a_device(drift_ppm=30)], config, after=2.0)
        session.wait()
        end()
    report = session.report()
    assert report.balanced, report
    found = report.merges["merge"].inputs["speaker"]
    assert list(found.silent) == ["device_lost"]
    assert (found.late, found.timeouts) == (0, 1)


def test_an_outage_under_way_at_the_end_is_a_gap_up_to_the_end():
    clock = VirtualClock()
    builder, mic, speaker, merged = both(clock, speaker=a_device(faults=(Fault.die(3 * RATE),)))
    run(builder)
    assert mic.end == speaker.end == merged.end == 10 * RATE
    [(cause, start, frames)] = speaker.gaps
    assert cause is GapCause.DEVICE_LOST
    assert start + frames == 10 * RATE
    assert speaker.chunks[-1].frames == 0


def test_a_pause_is_a_gap_that_is_no_loss():
    clock = VirtualClock(auto=False)
    builder, _mic, speaker, merged = both(clock, seconds=6)
    with builder as session:
        clock.advance(2.0)
        session.pause("speaker")
        clock.advance(1.5)
        session.resume("speaker")
        clock.advance(4.0)
    report = session.report()
    assert report.balanced, report
    assert report.complete
    pauses = [frames for cause, _, frames in speaker.gaps if cause is GapCause.PAUSED]
    assert sum(pauses) == pytest.approx(1.5 * RATE, abs=1)
    # Where a source begins is known to some µs: its frame 0 may be the one after the session's.
    assert sum(frames for _, _, frames in speaker.gaps) - sum(pauses) <= 1
    [(start, end)] = merged.absent[("speaker", GapCause.PAUSED)]
    assert (start, end) == pytest.approx((2 * RATE, 3.5 * RATE), abs=2)
    assert report.merges["merge"].inputs["speaker"].timeouts == 0
    assert is_in_step(speaker, session) is True


def test_an_hours_sleep_is_a_gap_of_an_hour():
    clock = VirtualClock(auto=False)
    builder, mic, speaker, merged = both(clock, seconds=3610)
    with builder as session:
        clock.advance(4.0)
        clock.suspend(3600.0)
        clock.advance(8.0)
    report = session.report()
    assert report.balanced, report
    for track in (mic, speaker):
        [(cause, _, frames)] = [gap for gap in track.gaps if gap[2]]
        assert cause is GapCause.SUSPENDED
        assert frames == pytest.approx(3600 * RATE, abs=1)
        assert track.end == 3610 * RATE
    assert merged.end == 3610 * RATE
    assert sum(frames for _, _, frames in merged.gaps) == pytest.approx(3600 * RATE, abs=2 * RATE)
    assert len(merged.chunks) < 200


@pytest.mark.parametrize("step", [0.05, -0.05])
def test_a_step_of_the_clock_is_told_and_never_a_glide(step):
    """The host's times are 50 ms later, or earlier, from then on."""
    faults = Fault.adc(0, max(0, -step)), Fault.adc(4 * RATE, max(0, step))
    stepping = a_device(latency=0.1, faults=faults)
    builder, _mic, speaker, merged = both(speaker=stepping)
    _, report = run(builder)
    for aligned in report.aligned:
        assert aligned.steps == (1 if aligned.source == "speaker" else 0)
        if step < 0 and aligned.source == "speaker":
            assert aligned.overlapping == pytest.approx(0.05 * RATE, abs=2 + 0.1 * RATE)
    gaps = [frames for cause, _, frames in speaker.gaps if cause is GapCause.CLOCK_STEP]
    assert sum(gaps) == pytest.approx(max(0, step) * RATE, abs=2)
    assert speaker.end == merged.end == 10 * RATE


def test_sources_that_deliver_in_lumps_of_two_seconds_are_merged_without_silence():
    lumps = a_device(period=2 * RATE)
    builder, _mic, _speaker, merged = both(speaker=lumps, seconds=9)
    _session, report = run(builder)
    assert merged.absent == {}
    assert report.merges["merge"].inputs["speaker"].placed == 9 * RATE


def test_sixteen_sources_are_merged():
    sources = {f"mic{i}": a_device(drift_ppm=20 * i - 150, seed=i) for i in range(16)}
    mixed, apart = Collector(), Collector()
    builder = a_session(seconds=5, **sources)
    builder.add_sink(mixed, merge=Merge(gains=dict.fromkeys(sources, -24.1)))
    builder.add_sink(apart, merge=Merge("channels", id="apart"))
    session, _ = run(builder)
    assert apart.samples.shape == (5 * RATE, 16)
    total = apart.samples.sum(axis=1) * 10 ** (-24.1 / 20)
    np.testing.assert_allclose(mixed.samples[:, 0], total, atol=1e-5)
    offs = np.array([early(apart, session, channel=i)[30:] for i in range(16)])
    assert np.ptp(offs, axis=0).max() < 150


# ---- what a merge is ----


def test_sinks_with_equal_merges_share_one_in_any_format_and_come_and_go():
    clock = VirtualClock(auto=False)
    first, second, third = Collector(), Collector(), Collector()
    builder = a_session(clock=clock, mic=a_device(), speaker=a_device(channels=2), rate=None)
    builder.add_sink(first, merge=True)
    builder.add_sink(second, merge=True, format=AudioFormat(sample_rate=8000, channels=1))
    with builder as session:
        clock.advance(2.0)
        handle = session.add_sink_merged(third, ["mic", "speaker"], format=FormatPreset.NATIVE)
        clock.advance(2.0)
        assert list(session.report().merges) == ["merge"]
        removed = handle.remove()
        clock.advance(1.0)
    report = session.report()
    assert report.balanced, report
    assert (first.chunks[0].channels, second.chunks[0].channels) == (2, 1)
    assert second.chunks[0].sample_rate == 8000
    assert third.chunks[0].frame == pytest.approx(2 * RATE, abs=RATE // 5)
    assert removed.delivered == sum(chunk.frames for chunk in third.chunks)
    overlap = slice(third.chunks[0].frame, third.end)
    np.testing.assert_array_equal(first.samples[overlap], third.samples[overlap])


def test_a_merge_takes_exactly_the_sources_that_are_named():
    merged = Collector()
    builder = a_session(
        mic=a_device("silence"), loud=a_device(), speaker=a_device("silence"), seconds=2
    )
    builder.add_sink_merged(merged, ["speaker", "mic"])
    _, report = run(builder)
    assert list(report.merges["merge"].inputs) == ["speaker", "mic"]
    assert not merged.samples.any()


def test_gains_are_decibels_and_clipping_is_counted():
    merged = Collector()
    tone = {"level": 0.0, "frequency": 500.0}
    builder = a_session(mic=a_device("sine", **tone), speaker=a_device("sine", **tone), seconds=2)
    wanted = AudioFormat(channels=1, dtype="int16")
    builder.add_sink(merged, merge=Merge(gains={"speaker": -6.0206}), format=wanted, name="mix")
    quiet = Collector()
    builder.add_sink(quiet, merge=Merge(gains={"mic": -6.0206, "speaker": -6.0206}), name="quiet")
    _, report = run(builder)
    assert report.sinks["mix"].clipped > 1000
    assert report.sinks["quiet"].clipped == 0
    assert np.abs(quiet.samples[RATE:]).max() == pytest.approx(1.0, abs=0.01)


def test_a_late_source_is_told_once_and_its_audio_counted():
    hanging = a_device(faults=(Fault.hang(2 * RATE),))
    events = []
    builder, _mic, _speaker, merged = both(speaker=hanging, seconds=None)
    clock = VirtualClock(auto=False)
    builder.config(StreamConfig(clock=clock))
    builder.on_event(events.append)
    with builder as session:
        clock.advance(5.0)
    report = session.report()
    assert report.balanced, report
    told = [event for event in events if isinstance(event, MergeIncomplete)]
    assert [(event.merge, event.source) for event in told] == [("merge", "speaker")]
    assert report.merges["merge"].inputs["speaker"].timeouts == 1
    assert merged.end >= 4.5 * RATE


def test_a_file_and_a_device_are_merged(tmp_path):
    """The file waits for the device's pace, and not for its own end."""
    path = tmp_path / "played.wav"
    soundfile.write(path, np.full(RATE * 5, 0.25, np.float32), RATE)
    merged = Collector()
    builder = a_session(mic=a_device("silence"), seconds=8)
    builder.add_source("file", AudioSource.file(path, pace="freewheel"))
    builder.add_sink(merged, merge=Merge("channels"))
    _, report = run(builder)
    assert merged.end == 8 * RATE
    played = merged.samples[:, 1]
    np.testing.assert_allclose(played[RATE // 10 : 5 * RATE - RATE // 10], 0.25, atol=1e-3)
    assert not played[5 * RATE + 100 :].any()
    assert list(report.merges["merge"].inputs["file"].silent) == ["source_ended"]


def test_sources_without_a_clock_are_merged_as_fast_as_they_come():
    merged = Collector()
    sources = {name: a_device("noise", pace="freewheel", frames=5 * RATE) for name in "ab"}
    builder = a_session(**sources)
    builder.add_sink(merged, merge=Merge("channels"))
    run(builder)
    assert merged.end == 5 * RATE
    assert merged.absent == {}
    np.testing.assert_array_equal(merged.samples[:, 0], merged.samples[:, 1])


def test_a_delay_that_is_known_is_taken_out():
    mic, speaker = Collector(), Collector()
    builder = a_session(seconds=4).add_source("mic", a_device())
    builder.add_source("speaker", a_device(), delay=0.25)
    builder.add_sink(mic, sources="mic", timeline="session")
    builder.add_sink(speaker, sources="speaker", timeline="session")
    run(builder)
    shift = RATE // 4
    apart = mic.samples[RATE + shift : 3 * RATE, 0] - speaker.samples[RATE : 3 * RATE - shift, 0]
    assert np.abs(apart).max() < 0.1


# ---- files ----


def test_files_on_the_sessions_timeline_are_in_step_and_end_together(tmp_path):
    paths = {name: tmp_path / f"{name}.wav" for name in ("mic", "speaker", "mix")}
    builder = a_session(
        mic=a_device(drift_ppm=100),
        speaker=Late(a_device(drift_ppm=-100, faults=(Fault.die(3 * RATE),)), 1.0),
        seconds=6,
        rate=RATE,
    )
    for name in ("mic", "speaker"):
        sink = FileSink(paths[name], ledger=True)
        builder.add_sink(sink, sources=name, timeline="session", name=name)
    builder.add_sink(FileSink(paths["mix"], ledger=True), merge=True, name="mix")
    _, report = run(builder)
    for name, path in paths.items():
        samples, rate = by_soundfile(path)
        assert len(samples) == 6 * rate
        assert report.sinks[name].begins[0][1] == 0.0
        ledger = json.loads(Path(f"{path}.json").read_text())
        assert ledger["begins"] == 0.0
    assert not by_soundfile(paths["speaker"])[0][4 * RATE + 500 :].any()


def test_with_several_sources_a_file_says_where_it_begins(tmp_path):
    path = tmp_path / "late.wav"
    builder = a_session(mic=a_device(), late=Late(a_device(), 2.5), seconds=4, rate=RATE)
    builder.add_sink(FileSink(path, ledger=True), sources="late", name="late")
    _, report = run(builder)
    ((source, begins),) = report.sinks["late"].begins
    assert source == "late"
    assert begins == pytest.approx(2.5, abs=1e-3)
    assert json.loads(Path(f"{path}.json").read_text())["begins"] == pytest.approx(begins)


# ---- what is refused ----


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sources": ["mic", "nobody"]}, "does not exist"),
        ({"sources": ["mic", "mic"]}, "twice"),
        ({"timeline": "world"}, "timeline must be one of"),
        ({"merge": "mix"}, "a Merge or True"),
        ({"merge": Merge(gains={"nobody": 0.0})}, "none of its sources"),
        ({"merge": Merge(id="mic")}, "already a source"),
        ({"merge": Merge(), "format": AudioFormat(channels=[0])}, "no channels to choose"),
        ({"merge": Merge("channels"), "format": AudioFormat(channels=1)}, "has 2 channels"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, words):
    builder = a_session(mic=a_device(), speaker=a_device())
    with pytest.raises((ConfigError, ConfigTypeError), match=words):
        builder.add_sink(Collector(), **settings).start()


def test_other_merges_of_one_id_are_refused():
    builder = a_session(mic=a_device(), speaker=a_device())
    builder.add_sink(Collector(), merge=Merge(id="all"))
    builder.add_sink(Collector(), merge=Merge("channels", id="all"))
    with pytest.raises(ConfigError, match="already a merge 'all'"):
        builder.start()


@pytest.mark.parametrize("gaps", ["skip", "split"])
def test_a_file_that_leaves_gaps_out_is_not_on_the_sessions_timeline(gaps, tmp_path):
    builder = a_session(mic=a_device())
    with pytest.raises(ConfigError, match="stay in step"):
        builder.add_sink(FileSink(tmp_path / "a.wav", gaps=gaps), timeline="session")


def test_nothing_of_a_merge_is_replayed():
    builder = a_session(mic=a_device(), speaker=a_device()).history(5)
    with builder as session, pytest.raises(ConfigError, match="keeps no history"):
        session.add_sink(Collector(), merge=True, replay=1.0)


@pytest.mark.parametrize(
    "settings",
    [{"mode": "sum"}, {"window": 0}, {"timeout": -1}, {"gains": 3}, {"gains": {"mic": "loud"}}],
)
def test_a_merge_checks_its_settings(settings):
    with pytest.raises((ConfigError, ConfigTypeError)):
        Merge(**settings)


def test_a_channel_gets_a_merge_too():
    channel = ChannelSink()
    builder = a_session(mic=a_device(), speaker=a_device(), seconds=2)
    builder.add_sink(channel, merge=True)
    with builder:
        frames = sum(chunk.frames for chunk in channel)
    assert frames == 2 * RATE


@pytest.mark.parametrize("periods", [10, 60, 200])
@pytest.mark.parametrize("at", [3.6, 3.9, 3.99, 4.2])
def test_a_loss_across_the_end_is_counted_up_to_it(at, periods):
    """The device's clock is 300 ppm off, so that its last frame is found out while it runs."""
    faults = (Fault.lose(round(at * RATE), periods), Fault.lose(round(4.0 * RATE), 3))
    lossy = a_device(drift_ppm=300, jitter=1e-3, faults=faults)
    builder, mic, speaker, merged = both(seconds=4, speaker=lossy)
    run(builder)
    assert mic.end == speaker.end == merged.end == 4 * RATE


# ---- any schedule ----


def tiles(track):
    """Chunks and gaps tile the session's timeline, and absences lie within their chunks."""
    end = 0
    for chunk in track.chunks:
        for gap in chunk.gaps:
            assert gap.frame == end
            end = gap.end
        assert chunk.frame == end
        end = chunk.end
        assert all(chunk.frame <= gap.frame < gap.end <= end for gap in chunk.absent)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["pause", "resume", "sleep", "advance"]),
            st.sampled_from(["mic", "speaker"]),
            st.floats(0.05, 1.5),
        ),
        max_size=8,
    ),
    st.lists(st.tuples(st.integers(0, 6 * RATE), st.integers(1, 120)), max_size=3),
    st.sampled_from([0.05, 0.1, 0.3]),
)
@settings(max_examples=examples(12), deadline=None)
def test_any_schedule_of_pauses_losses_and_sleep_balances(schedule, losses, chunk_duration):
    clock = VirtualClock(auto=False)
    lossy = a_device(faults=tuple(Fault.lose(at, periods) for at, periods in losses))
    builder, mic, speaker, merged = both(
        clock, seconds=8, speaker=lossy, chunk_duration=chunk_duration
    )
    with builder as session:
        for what, source, amount in schedule:
            if session.wait(0):
                break  # sleep counts: the schedule may be longer than the session
            if what == "pause":
                session.pause(source)
            elif what == "resume":
                session.resume(source)
            elif what == "sleep":
                clock.suspend(amount)
            clock.advance(amount)
    report = session.report()
    assert report.balanced, report
    for track in (mic, speaker, merged):
        tiles(track)
    assert mic.end == speaker.end == merged.end
    span = report.merges["merge"].span
    for each in report.merges["merge"].inputs.values():
        assert each.placed + sum(each.silent.values()) == span


def session_of(schedule, losses, chunk_duration, jitter, seconds=5):
    """Both tracks and their merge, for a schedule of starts, pauses and losses."""
    clock = VirtualClock(auto=False)
    faults = tuple(Fault.lose(at, periods) for at, periods in losses)
    builder, *tracks = both(
        clock,
        seconds=seconds,
        mic=a_device(drift_ppm=130, jitter=jitter, seed=1),
        speaker=a_device(drift_ppm=-90, jitter=jitter, seed=2, faults=faults),
        chunk_duration=chunk_duration,
        merge=PATIENT,
    )
    with builder as session:
        clock.advance(0.25)
        for what, source, amount in schedule:
            if session.wait(0):
                break
            if what != "advance":
                getattr(session, what)(source)
            clock.advance(amount)
        while not session.wait(0):
            clock.advance(0.5)
    report = session.report()
    assert report.balanced, report
    return tracks


def extents(track):
    """Where frames are missing. Which of two causes a frame has that has both may differ."""
    spans = []
    for _, start, end in track.gaps_joined:
        if spans and spans[-1][1] == start:
            spans[-1] = spans[-1][0], end
        else:
            spans.append((start, end))
    return spans


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["pause", "resume", "advance"]),
            st.sampled_from(["mic", "speaker"]),
            st.floats(0.05, 1.5),
        ),
        max_size=6,
    ),
    st.lists(st.tuples(st.integers(0, 5 * RATE), st.integers(1, 90)), max_size=3),
    st.lists(st.floats(0.01, 2.5), min_size=2, max_size=2),
    st.sampled_from([0.0, 1e-3, 1e-2]),
)
@settings(max_examples=examples(8), deadline=None)
def test_tracks_and_merges_are_the_same_bit_for_bit_however_long_chunks_are(
    schedule, losses, chunk_durations, jitter
):
    one, other = (session_of(schedule, losses, each, jitter) for each in chunk_durations)
    for track, again in zip(one, other, strict=True):
        tiles(again)
        np.testing.assert_array_equal(again.samples, track.samples)
        assert extents(again) == extents(track)
        assert again.absent == track.absent
