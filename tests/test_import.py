"""What importing does, and does not; what the package shows of itself."""

import ast
import inspect
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import stream_audio
import stream_audio.testing
from stream_audio import (
    AudioChunk,
    AudioFormat,
    AudioSource,
    CallbackSink,
    ChannelSink,
    Clipping,
    DigitalSilence,
    FileSink,
    FormatPreset,
    Gap,
    GapCause,
    GapDetected,
    InputDevice,
    SessionStarted,
    SessionStopped,
    SilenceEnded,
    SinkFailed,
    SinkInfo,
    SinkReport,
    SinkStalled,
    SourceEnded,
    SourceInfo,
    SourceLost,
    SourceStalled,
    StreamAudio,
    StreamAudioError,
    StreamConfig,
    StreamEvent,
    WrongSampleRate,
    _exports,
)
from stream_audio.testing import Fault, VirtualClock
from stream_audio.waiting.clock import MonotonicClock

GIVE_UP = 60.0


def fresh(program):
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


HEAVY = (
    "soundfile",
    "soxr",
    "scipy",
    "asyncio",
    "typer",
    "rich",
    "sounddevice",
    "multiprocessing",
)
SHOW_MAPS = "\nimport pathlib; print(pathlib.Path('/proc/self/maps').read_text())"
LIBRARIES = ("portaudio", "asound", "libjack", "pulse", "sndfile", "soxr")


IMPORTS = ("from stream_audio import *", "from stream_audio.testing import *")


def test_an_import_alone_does_not_even_load_numpy():
    loaded = fresh("import sys, stream_audio; print(*sys.modules)").split()
    assert [
        name for name in loaded if name.split(".")[0] in (*HEAVY, "numpy", "_cffi_backend")
    ] == []


@pytest.mark.parametrize("statement", IMPORTS)
def test_the_first_use_of_a_name_loads_no_more_than_it_needs(statement):
    loaded = fresh(f"{statement}\nimport sys\nprint(*sys.modules)").split()
    assert "numpy" in loaded
    assert [name for name in loaded if name.split(".")[0] in HEAVY] == []


NOT_TO_DESCRIBE = {
    "pathlib", "urllib", "ipaddress", "json", "logging", "subprocess", "tempfile", "queue",
    "hashlib", "secrets", "socket",
}  # fmt: skip


def test_no_name_loads_what_only_a_recording_takes():
    """Each takes a millisecond or more, and all names together may take 20 beside numpy."""
    before = "import sys, numpy; before = {*sys.modules}"
    names = "from stream_audio import *; stream_audio.open"
    loaded = fresh(f"{before}\nimport stream_audio; {names}\nprint(*({{*sys.modules}} - before))")
    assert NOT_TO_DESCRIBE.intersection(loaded.split()) == set()


@pytest.mark.parametrize("statement", IMPORTS)
def test_the_first_use_of_a_name_touches_no_audio_library(statement):
    maps = fresh(f"{statement}{SHOW_MAPS}")
    assert "_core" in maps  # our own extension; so the list is one of libraries
    assert [line for line in maps.splitlines() if any(name in line for name in LIBRARIES)] == []


@pytest.mark.parametrize(
    ("name", "needless"),
    [
        ("transcode", ("stream_audio.builder", "stream_audio.sinks", "stream_audio.files")),
        ("repair", ("stream_audio.files.examine", "stream_audio.files.mending")),
        ("ConfigError", ("numpy", "stream_audio._native", "pathlib")),
        ("AudioSource", ("stream_audio.engine", "stream_audio.files", "pathlib")),
        ("AudioChunk", ("stream_audio.engine", "stream_audio.sinks", "pathlib")),
        ("list_input_devices", ("stream_audio.engine", "stream_audio.sinks")),
        ("FileSink", ("stream_audio.engine", "stream_audio.files.recording", "tempfile")),
        ("StreamAudio", ("stream_audio.files", "stream_audio.sources", "tempfile", "json")),
    ],
)
def test_a_name_brings_nothing_that_it_has_no_use_for(name, needless):
    loaded = fresh(f"import sys, stream_audio; stream_audio.{name}; print(*sys.modules)").split()
    assert [each for each in needless if each in loaded] == []


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        stream_audio.nothing  # noqa: B018


def test_the_names_are_found_without_having_been_used():
    assert "FileSink" in fresh("import stream_audio; print(dir(stream_audio))")
    assert "FileSink" in fresh("import stream_audio; print(stream_audio.__all__)")


def test_an_import_starts_no_thread_and_opens_no_file():
    program = (
        "import os, numpy, threading\n"
        "count = lambda: (len(os.listdir('/proc/self/fd')), len(os.listdir('/proc/self/task')))\n"
        "before = count()\n"
        "from stream_audio import *\n"
        "assert count() == before, (before, count())\n"
        "assert threading.active_count() == 1\n"
    )
    fresh(program)


def test_a_virtual_session_needs_no_audio_library_either():
    maps = fresh(
        "import stream_audio as s\n"
        "s.record(duration=0.1, source=s.AudioSource.virtual(pace='freewheel'))\n" + SHOW_MAPS
    )
    assert [line for line in maps.splitlines() if any(name in line for name in LIBRARIES)] == []


def public_names(module):
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    ]


def test_type_checkers_and_python_find_each_name_in_the_same_place():
    """They read an import, it reads a table; both stand in the same file."""
    tree = ast.parse(inspect.getsource(_exports))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    for_checkers = {
        each.asname: node.module.removeprefix("stream_audio.")
        for node in imports
        for each in node.names
        if node.module != "typing"
    }
    assert for_checkers == _exports._WHERE


@pytest.mark.parametrize("module", [stream_audio, stream_audio.testing])
def test_all_is_complete_and_sorted(module):
    for name in module.__all__:
        assert getattr(module, name) is not None  # loaded by now
    assert module.__all__ == sorted(module.__all__)
    assert sorted(set(public_names(module)) - {"open"}) == module.__all__


def test_every_error_and_event_of_the_library_is_public():
    for module in (stream_audio.errors, stream_audio.reports.events):
        tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        own = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
        assert len(own) > 10
        assert own <= set(stream_audio.__all__)


@pytest.mark.parametrize("name", stream_audio.__all__)
def test_every_public_name_has_a_docstring_of_its_own(name):
    value = getattr(stream_audio, name)
    assert value.__doc__
    assert value.__doc__ != (type(value).__doc__ if not inspect.isclass(value) else None)


def test_it_carries_its_types():
    assert resources.files("stream_audio").joinpath("py.typed").is_file()


def test_it_tells_its_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", stream_audio.__version__)


# ---- repr ----

GAP = Gap("mic", 0, 480, GapCause.RING_FULL, 12.5)
CHUNK = AudioChunk("mic", np.zeros((480, 2), np.float32), 48_000, 960, 1.0, 1.01, (GAP,))


def take(chunk):
    pass


class Transcriber:
    def write(self, chunk):
        pass

    def take(self, chunk):
        pass


def session():
    source = AudioSource.virtual("counter", frames=480, pace="freewheel")
    running = stream_audio.open(source, sinks=[ChannelSink()])
    assert running.wait(GIVE_UP)
    running.stop()
    return running


SHOWN = [
    (AudioFormat(16_000, 1), "AudioFormat(sample_rate=16000, channels=1)"),
    (FormatPreset.TRANSCRIPTION, "TRANSCRIPTION"),
    (StreamConfig(), "chunk_duration=0.1"),
    (StreamConfig(), "clock=MonotonicClock()"),
    (MonotonicClock(), "MonotonicClock()"),
    (AudioSource.virtual("noise", channels=3), "signal='noise', sample_rate=48000, channels=3"),
    (AudioSource.device("usb"), "name='usb'"),
    (AudioSource.default_device(), "name=None"),
    (StreamAudio.builder(), "StreamAudioBuilder"),
    (StreamAudio.builder().add_source("mic", AudioSource.virtual()), "mic"),
    (StreamAudio.builder().add_sink(ChannelSink(), name="speech"), "speech"),
    (CHUNK, "'mic' frame 960: 480 frames, 2 channels, 48000 Hz, after a gap of 480"),
    (GAP, "source='mic', frame=0, frames=480"),
    (CallbackSink(take), "CallbackSink(take)"),
    (CallbackSink(Transcriber().take), "Transcriber.take"),
    (ChannelSink(), "<ChannelSink open, 0 frames unread>"),
    (FileSink("a.wav"), "FileSink('a.wav', subtype='PCM_16'"),
    (SinkInfo("a.wav", (SourceInfo("mic", 48_000, 2),)), "SourceInfo(id='mic'"),
    (InputDevice("usb", "ALSA", 2, 48_000, 0.01, 0.1, True), "name='usb', host_api='ALSA'"),
    (StreamEvent(1.5), "time=1.5"),
    (SessionStarted(1.5), "SessionStarted(time=1.5)"),
    (SessionStopped(1.5, True), "balanced=True"),
    (GapDetected(1.5, GAP, "a.wav"), "sink='a.wav'"),
    (SourceEnded(1.5, "mic"), "source='mic'"),
    (SourceStalled(1.5, "mic", 3.0), "seconds=3.0"),
    (WrongSampleRate(1.5, "mic", 48_000, 44_100.0), "measured_rate=44100.0"),
    (SourceLost(1.5, "mic", "unplugged"), "reason='unplugged'"),
    (SinkFailed(1.5, "a.wav", OSError("full"), True), "OSError('full')"),
    (SinkStalled(1.5, "talk", 3.0), "sink='talk'"),
    (DigitalSilence(1.5, "mic", 3.0, "unmute it"), "hint='unmute it'"),
    (SilenceEnded(1.5, "mic", 5.0), "seconds=5.0"),
    (Clipping(1.5, "mic", (0, 1)), "channels=(0, 1)"),
    (SinkReport(1, 1, 0, 0, 0, (), ""), "1 frame delivered"),
    (StreamAudioError("it broke"), "it broke"),
    (Fault.die(480), "Fault(at=480"),
    (VirtualClock(), "<VirtualClock at 1000.000000 s>"),
]


@pytest.mark.parametrize(
    ("value", "words"), SHOWN, ids=[f"{type(value).__name__}-{words}" for value, words in SHOWN]
)
def test_repr_tells_something_useful(value, words):
    assert words in repr(value)
    assert not re.search(r" object at 0x", repr(value))


def test_repr_of_a_session_and_its_report():
    stopped = session()
    assert repr(stopped) == "<Session stopped: default → ChannelSink>"
    assert "complete" in repr(stopped.report())
    assert "every frame is accounted for" in str(stopped.report())


def test_every_public_class_that_is_not_abstract_has_a_repr_of_its_own():
    static = {"AudioSource", "StreamAudio", "Sink"}  # no objects are made of these
    without = [
        name
        for name in stream_audio.__all__
        if inspect.isclass(value := getattr(stream_audio, name))
        and value.__repr__ is object.__repr__
        and name not in static
    ]
    assert without == []
