"""Which output or program is meant, and what is said where none can be recorded."""

import sys

import pytest

import stream_audio
from stream_audio import (
    AmbiguousDeviceError,
    AudioSource,
    ChannelSink,
    ConfigError,
    ConfigTypeError,
    DeviceNotFoundError,
    LoopbackUnavailable,
    StreamAudio,
)
from stream_audio._native.pulse import PulseOutput, PulseProgram, PulseSource
from stream_audio.devices.output import find_output
from stream_audio.devices.playing import find_program, playing


class Connection:
    """What a server has, without one."""

    def __init__(self, server="pulseaudio"):
        self.server = server
        self.default_output = "hdmi"
        self.outputs = [
            PulseOutput("analog", "Built-in Audio", "analog.monitor", 3),
            PulseOutput("hdmi", "Television", "hdmi.monitor", 5),
        ]
        self.sources = [
            PulseSource(
                f"{output.name}.monitor",
                f"Monitor of {output.description}",
                ("front-left", "front-right"),
                44_100,
                2.0,
                True,
            )
            for output in self.outputs
        ]
        self.programs = []

    def play(self, name, process, title, *, binary="", paused=False):
        index = 10 + len(self.programs)
        self.programs.append(
            PulseProgram(index, 5, name, title, binary, process, ("mono",), 22_050, paused)
        )
        return self


def start(source):
    return StreamAudio.builder().add_source("a", source).add_sink(ChannelSink()).start()


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No server runs."""
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/none")


@pytest.mark.parametrize(
    ("platform", "what"), [("linux", "libpulse0"), ("darwin", "BlackHole"), ("win32", "VB-CABLE")]
)
def test_without_a_server_the_error_says_what_to_install(nowhere, monkeypatch, platform, what):
    monkeypatch.setattr(sys, "platform", platform)
    for source in (AudioSource.system(), AudioSource.application("Firefox")):
        with pytest.raises(LoopbackUnavailable, match=what):
            start(source)
    with pytest.raises(LoopbackUnavailable, match=what):
        stream_audio.list_playing()
    found = stream_audio.capabilities()
    assert (found.system, found.application, found.server) == (False, False, "")
    assert what in found.missing


def test_without_the_library_the_error_has_the_linkers_words(monkeypatch):
    monkeypatch.setenv("STREAM_AUDIO_PULSE_LIBRARY", "/nowhere/libpulse.so.0")
    with pytest.raises(LoopbackUnavailable, match=r"libpulse is not installed .*nowhere"):
        start(AudioSource.system())


@pytest.mark.parametrize(
    "name",
    [
        None,
        "hdmi",
        "hdmi.monitor",
        "pulse:hdmi.monitor",
        "Television",
        "tele",
        "Television, PulseAudio",
        "Monitor of Television",
    ],
)
def test_an_output_is_found_by_role_or_name(name):
    assert find_output(name, Connection()).source.name == "hdmi.monitor"


def test_an_unknown_output_is_an_error_that_lists_the_others():
    with pytest.raises(DeviceNotFoundError, match="Built-in Audio"):
        find_output("headphones", Connection())


def test_a_server_without_a_default_output_is_an_error():
    connection = Connection()
    connection.default_output = ""
    with pytest.raises(DeviceNotFoundError, match="no default output"):
        find_output(None, connection)


@pytest.mark.parametrize(
    "wanted", ["Firefox", "firefox-bin", "FIREFOX", "Talk", 7, "pulse:program:10"]
)
def test_a_program_is_found_by_name_binary_title_process_or_id(wanted):
    connection = Connection().play("Firefox", 7, "A talk", binary="firefox-bin")
    connection.play("Music", 8, "A song")
    assert find_program(wanted, connection).program.index == 10
    entry = playing(connection.programs[0], connection)
    assert find_program(entry, connection).program.index == 10
    assert (entry.output, entry.process, entry.channels) == ("Television", 7, 1)


def test_of_several_streams_the_one_that_plays_is_meant_or_none():
    connection = Connection().play("Firefox", 7, "One", paused=True).play("Firefox", 7, "Two")
    assert find_program("Firefox", connection).program.title == "Two"
    assert find_program(7, connection).program.title == "Two"
    connection.play("Firefox", 9, "Three")
    with pytest.raises(AmbiguousDeviceError, match="2 streams fit 'Firefox'") as raised:
        find_program("Firefox", connection)
    for word in ("pulse:program:11", "'Two'", "pulse:program:12", "'Three'", "process 9"):
        assert word in str(raised.value)
    assert "'One'" not in str(raised.value)


def test_a_program_that_does_not_play_is_an_error_that_lists_those_that_do():
    with pytest.raises(DeviceNotFoundError, match="No program plays anything"):
        find_program(7, Connection())
    with pytest.raises(DeviceNotFoundError, match="These play: 'Music' playing 'A song'"):
        find_program("Firefox", Connection().play("Music", 8, "A song"))


def test_an_entry_of_an_old_list_means_that_stream_and_no_later_one():
    connection = Connection().play("Firefox", 7, "One")
    entry = playing(connection.programs.pop(), connection)
    connection.play("Music", 8, "A song").play("Firefox", 7, "Two")
    connection.programs = connection.programs[1:]
    with pytest.raises(DeviceNotFoundError, match="pulse:program:10"):
        find_program(entry, connection)


def test_a_stream_is_recorded_as_its_server_offers_it():
    pulseaudio = find_program(7, Connection().play("Firefox", 7, "One")).source
    assert (pulseaudio.channels, pulseaudio.sample_rate) == (2, 44_100)
    pipewire = find_program(
        7, Connection("PulseAudio (on PipeWire 1.0)").play("F", 7, "One")
    ).source
    assert (pipewire.channels, pipewire.sample_rate) == (1, 22_050)
    assert pipewire.name == pulseaudio.name == "hdmi.monitor"


class Lost:
    """What was recorded before."""

    sample_rate = 48_000
    device_id = "pulse:hdmi.monitor"

    def __init__(self, program=None):
        self.program = program


def test_the_next_stream_of_the_same_program_follows_whatever_it_was_called_by():
    lost = Lost(Connection().play("Firefox", 7, "A talk", binary="firefox-bin").programs[0])
    for wanted in ("A talk", "Firefox", 7, "pulse:program:10"):
        for tried in AudioSource.application(wanted).again(lost):
            later = Connection().play("Music", 8, "A talk").play("Firefox", 7, "Another one")
            assert find_program(tried.program, later).program.title == "Another one"
            restarted = Connection().play("Firefox", 99, "New", binary="firefox-bin")
            assert find_program(tried.program, restarted).program.title == "New"
            with pytest.raises(DeviceNotFoundError, match="fits 'Firefox'"):
                find_program(tried.program, Connection().play("Music", 8, "A talk"))
            assert tried.on_lost == "stop"  # which an opening raises for, instead of waiting


@pytest.mark.parametrize("on_lost", [None, "wait", "default"])
def test_in_the_place_of_an_output_comes_an_output_and_never_an_input(on_lost):
    tries = AudioSource.system("Television", on_lost=on_lost).again(Lost())
    assert {type(each) for each in tries} == {type(AudioSource.system())}
    outputs = [each.output for each in tries]
    assert set(outputs[:3]) == {"pulse:hdmi.monitor"}
    assert outputs[3:] == ([None] * 3 if on_lost == "default" else [])
    followed = AudioSource.system(follow=True).again(Lost())
    assert {(each.output, each.follow) for each in followed} == {(None, True)}


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: AudioSource.application(""), ConfigError),
        (lambda: AudioSource.application(0), ConfigError),
        (lambda: AudioSource.application(True), ConfigTypeError),
        (lambda: AudioSource.application(None), ConfigTypeError),
        (lambda: AudioSource.application("a", period=0), ConfigError),
        (lambda: AudioSource.application("a", on_lost="default"), ConfigError),
        (lambda: AudioSource.system(""), ConfigError),
        (lambda: AudioSource.system(3), ConfigTypeError),
        (lambda: AudioSource.system(latency="slow"), ConfigError),
        (lambda: AudioSource.system(exclude_self="yes"), ConfigTypeError),
    ],
)
def test_bad_input_is_refused_where_it_is_passed(make, error):
    with pytest.raises(error):
        make()
