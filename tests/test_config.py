"""A setting that cannot work is refused where it is given, with its name and value."""

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest

from stream_audio import (
    AudioSource,
    Backlog,
    CallbackSink,
    ChannelSink,
    ConfigError,
    ConfigTypeError,
    Retry,
    StreamAudio,
    StreamAudioError,
    StreamConfig,
)
from stream_audio.testing import VirtualClock

BOUNDS = {
    "chunk_duration": (0.0005, 10),
    "ring_duration": (0.01, 3600),
    "stop_timeout": (0, 1e6),
    "switch_interval": (1e-6, 10),
}


def test_the_defaults_are_those_of_the_documentation():
    config = StreamConfig()
    assert config.chunk_duration == 0.1
    assert config.ring_duration is None
    assert config.backlog == Backlog("32 MiB", None, "2 GiB")
    assert config.spill_dir is None
    assert config.raise_on_sink_failure is True
    assert config.retry == Retry(3, 0.1, 5.0)
    assert config.stop_timeout == 10.0
    assert config.switch_interval is None


@pytest.mark.parametrize("name", BOUNDS)
def test_both_bounds_are_allowed(name):
    for value in BOUNDS[name]:
        assert getattr(StreamConfig(**{name: value}), name) == value


JUST_OUTSIDE = [
    (name, value) for name, (low, high) in BOUNDS.items() for value in (low - 1e-7, high + 1)
]


@pytest.mark.parametrize(("name", "value"), JUST_OUTSIDE)
def test_a_value_out_of_range_is_refused(name, value):
    with pytest.raises(ConfigError, match=name) as caught:
        StreamConfig(**{name: value})
    assert str(value) in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", BOUNDS)
def test_a_duration_is_finite(name, value):
    with pytest.raises(ConfigError, match=name):
        StreamConfig(**{name: value})


@pytest.mark.parametrize("value", ["0.1", True, 1j, [1]])
@pytest.mark.parametrize("name", BOUNDS)
def test_a_value_of_the_wrong_type_is_refused(name, value):
    with pytest.raises(ConfigTypeError, match=name) as caught:
        StreamConfig(**{name: value})
    assert repr(value) in str(caught.value)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, StreamAudioError)


def test_numbers_of_numpy_will_do():
    config = StreamConfig(chunk_duration=np.float32(0.5), stop_timeout=np.int16(2))
    assert (config.chunk_duration, config.stop_timeout) == (0.5, 2)


def test_the_clock_is_one():
    clock = VirtualClock()
    assert StreamConfig(clock=clock).clock is clock
    with pytest.raises(ConfigTypeError, match="clock"):
        StreamConfig(clock=0.0)


def test_there_are_two_ways_with_samples_that_are_no_numbers():
    for policy in ("pass", "zero"):
        assert StreamConfig(nonfinite=policy).nonfinite == policy
    with pytest.raises(ConfigError, match="nonfinite must be one of pass, zero; not 'drop'"):
        StreamConfig(nonfinite="drop")
    with pytest.raises(ConfigTypeError, match="nonfinite"):
        StreamConfig(nonfinite=0.0)


def test_it_cannot_be_changed():
    config = StreamConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.stop_timeout = 7


def test_settings_are_given_by_name():
    with pytest.raises(TypeError):
        StreamConfig(0.1)


@pytest.mark.parametrize("kind", [np.float32, Fraction, np.int64], ids=lambda kind: kind.__name__)
def test_numbers_of_any_type_are_kept_as_those_of_python(kind):
    """A NumPy float32 makes a float32 of the monotonic time that it is added to."""
    config = StreamConfig(stop_timeout=kind(3), chunk_duration=kind(1), ring_duration=kind(4))
    retry = Retry(tries=np.int64(2), first=kind(1), longest=kind(2))
    values = [config.stop_timeout, config.chunk_duration, config.ring_duration]
    values += [retry.first, retry.longest, retry.wait_before(2)]
    assert [type(value) for value in values] == [float] * len(values)
    assert type(retry.tries) is int


@pytest.mark.parametrize("kind", [np.float32, Fraction, np.int64], ids=lambda kind: kind.__name__)
def test_times_of_any_type_can_be_waited_for(kind):
    source = AudioSource.virtual("counter", channels=1)
    config = StreamConfig(clock=VirtualClock())
    channel = ChannelSink()
    builder = StreamAudio.builder().config(config).add_source("mic", source).add_sink(channel)
    with builder.start() as session:
        assert not session.wait(kind(1))
        assert channel.get(timeout=kind(1)) is not None
        session.add_sink(CallbackSink(lambda chunk: None)).remove(timeout=kind(1))
        assert session.stop(timeout=kind(1)).balanced
