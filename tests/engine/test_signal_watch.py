"""What a signal tells of its device: silence, clipping, samples that are no numbers."""

import sys

import numpy as np
import pytest

from stream_audio import Clipping, DigitalSilence, SilenceEnded
from stream_audio.engine.signal_watch import FULL_SCALE, SignalWatch
from stream_audio.reports.ledger import SourceAccount
from support.signals import cut, noise, rms

RATE = 48_000


class Watched:
    """A watch over so many channels, and all that it told."""

    def __init__(self, channels=1, own=None, **settings):
        self.account = SourceAccount()
        self.position = 0
        self.events = []
        self.chunks = []
        settings = {"silence_is_normal": False, "zero": False} | settings
        own = range(channels) if own is None else own
        self.watch = SignalWatch("mic", self.account, channels, own, **settings)

    def hear(self, samples):
        samples = np.asarray(samples, np.float32)
        for chunk in cut(samples, RATE // 10, frame=self.position):
            seen = chunk if chunk.is_finite else self.watch.clean(chunk)
            events = self.watch.look(seen, chunk.arrival)
            self.chunks.append(seen)
            self.events += events
        self.position += len(samples)
        return self

    def kinds(self):
        return [type(event) for event in self.events]


def silence(seconds, channels=1):
    return np.zeros((round(seconds * RATE), channels), np.float32)


def test_three_seconds_of_exact_zeros_are_told_once():
    watched = Watched().hear(silence(2.9))
    assert watched.events == []
    watched.hear(silence(60))
    (event,) = watched.events
    assert isinstance(event, DigitalSilence)
    assert (event.source, event.seconds) == ("mic", 3.0)
    assert event.time == pytest.approx(1003.0)


def test_its_end_is_told_with_its_length():
    watched = Watched().hear(silence(5)).hear(noise(RATE)).hear(silence(1)).hear(noise(RATE))
    assert watched.kinds() == [DigitalSilence, SilenceEnded]
    assert watched.events[1].seconds == pytest.approx(5.0)


def test_the_faintest_noise_in_any_channel_is_no_silence():
    faint = silence(10, 2)
    faint[::4800, 1] = np.finfo(np.float32).smallest_subnormal
    assert Watched(2).hear(faint).events == []


def test_silence_must_last_without_a_break():
    watched = Watched()
    for _ in range(5):
        watched.hear(silence(2.9)).hear(noise(4800))
    assert watched.events == []


def test_a_file_that_is_silent_is_no_alarm():
    watched = Watched(silence_is_normal=True).hear(silence(100)).hear(noise(RATE))
    assert watched.events == []


def test_a_monitor_of_a_silent_desktop_is_told_once_after_a_minute():
    watched = Watched(silence_is_normal=True, is_monitor=True).hear(silence(59)).hear(noise(RATE))
    assert watched.events == []
    watched.hear(silence(100)).hear(noise(RATE)).hear(silence(100))
    (event,) = watched.events
    assert (type(event), event.seconds) == (DigitalSilence, 60.0)
    assert "Nothing plays on this output" in event.hint


def test_channels_that_are_not_the_source_do_not_count():
    samples = silence(4, 6)
    samples[:, 0] = 1.0
    assert Watched(6, own=(4, 5)).hear(samples).kinds() == [DigitalSilence]


@pytest.mark.parametrize(
    ("platform", "words"),
    [("linux", "alsamixer"), ("darwin", "Privacy & Security"), ("win32", "Settings, Privacy")],
)
def test_the_hint_is_that_of_the_platform(monkeypatch, platform, words):
    monkeypatch.setattr(sys, "platform", platform)
    (event,) = Watched().hear(silence(3)).events
    assert words in event.hint
    assert "right device" in event.hint


# ---- clipping ----


def clipping_at(*frames, seconds, channel=0, value=1.0, channels=2):
    samples = noise(round(seconds * RATE), channels)
    samples[list(frames), channel] = value
    return samples


@pytest.mark.parametrize("value", [1.0, -1.0, 32767 / 32768, -1.5, np.inf])
def test_one_sample_at_full_scale_is_told_with_its_channel(value):
    watched = Watched(2).hear(clipping_at(1000, seconds=1, channel=1, value=value))
    (event,) = watched.events
    assert event == Clipping(event.time, "mic", (1,))


def test_just_below_full_scale_is_none():
    below = np.nextafter(np.float32(FULL_SCALE), np.float32(0))
    assert Watched(2).hear(np.full((RATE, 2), below)).events == []


def test_it_is_told_once_a_second_at_most():
    watched = Watched(2).hear(np.ones((10 * RATE, 2)))
    assert watched.kinds() == [Clipping] * 10
    assert np.diff([event.time for event in watched.events]) == pytest.approx(1.0)


def test_what_clips_meanwhile_is_told_with_the_next_one():
    watched = (
        Watched(2).hear(clipping_at(0, seconds=0.3)).hear(clipping_at(100, seconds=1.7, channel=1))
    )
    assert [event.channels for event in watched.events] == [(0,), (1,)]


def test_channels_have_the_numbers_that_the_device_gives_them():
    samples = clipping_at(0, seconds=0.1, channel=5, channels=6)
    (event,) = Watched(6, own=(4, 5)).hear(samples).events
    assert event.channels == (5,)


# ---- no finite numbers ----


def broken():
    samples = noise(RATE, 2)
    samples[100, 0] = np.nan
    samples[5000, 1] = np.inf
    samples[5001, 1] = -np.inf
    return samples


def test_what_is_no_finite_number_is_counted_and_passed_on():
    watched = Watched(2).hear(broken())
    assert watched.account.nonfinite == 3
    passed = np.concatenate([chunk.data for chunk in watched.chunks])
    assert passed.tobytes() == broken().tobytes()


def test_it_is_replaced_by_zero_if_that_is_asked_for():
    watched = Watched(2, zero=True).hear(broken())
    assert watched.account.nonfinite == 3
    expected = np.nan_to_num(broken(), nan=0.0, posinf=0.0, neginf=0.0)
    cleaned = np.concatenate([chunk.data for chunk in watched.chunks])
    np.testing.assert_array_equal(cleaned, expected)
    for chunk in watched.chunks:
        assert not chunk.data.flags.writeable
        assert chunk.rms == pytest.approx(
            [20 * np.log10(rms(channel)) for channel in chunk.data.T], abs=1e-4
        )


def test_zeros_that_replace_a_broken_signal_are_silence():
    assert Watched(zero=True).hear(np.full((4 * RATE, 1), np.nan)).kinds() == [DigitalSilence]
