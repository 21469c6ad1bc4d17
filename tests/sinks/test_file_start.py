"""What is to be replaced stays until all sources and sinks of the session have started."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile

from stream_audio import (
    AudioFormat,
    AudioSource,
    ChannelSink,
    ConfigError,
    FallbackUsed,
    FileMoved,
    FileSink,
    FileSinkError,
    FormatPreset,
    SinkError,
    SinkFailed,
    SinkInfo,
    SourceInfo,
    StreamAudio,
    StreamConfig,
    TriggerSink,
)

RATE = 48_000
FRAMES = 4800
GIVE_UP = 60.0


@pytest.fixture
def old(tmp_path):
    """A recording that was there before, with its ledger."""
    path = tmp_path / "old.wav"
    soundfile.write(path, np.zeros(1000), RATE)
    path.with_name("old.wav.json").write_text("{}")
    return path


class Folder:
    """Everything in a folder, to be found again untouched."""

    def __init__(self, path):
        self.path = path
        self.before = self.look()

    def look(self):
        return {
            each.name: (each.read_bytes(), each.stat().st_ino, each.stat().st_mtime_ns)
            for each in self.path.iterdir()
        }

    def is_untouched(self):
        return self.look() == self.before


def tone(frames=FRAMES, **settings):
    return AudioSource.virtual("sine", channels=1, frames=frames, pace="freewheel", **settings)


def builder(*sinks, source=None):
    made = StreamAudio.builder().format(FormatPreset.NATIVE)
    made.add_source("mic", source or tone())
    for sink in sinks:
        made.add_sink(sink)
    return made


def run(*sinks, source=None, events=None):
    made = builder(*sinks, source=source)
    if events is not None:
        made.on_event(events.append)
    made.config(StreamConfig(raise_on_sink_failure=False))
    with made.start() as session:
        assert session.wait(GIVE_UP)
    return session.report()


class Fails:
    """A sink whose start fails."""

    def __init__(self, error):
        self.error = error

    def start(self, info):
        raise self.error

    def write(self, chunk):
        pass


class SourceThatFails:
    """A source whose device opens, and then does not start."""

    def __init__(self, error):
        self.error = error

    def open(self, opening):
        opened = tone().open(opening)

        def start():
            raise self.error

        opened.start = start
        return opened


def replacing(path, **settings):
    return FileSink(path, overwrite=True, ledger=True, **settings)


@pytest.mark.parametrize(
    "other",
    [
        (Fails(RuntimeError("no model")), {}),
        (Fails(KeyboardInterrupt()), {}),
        (Fails(SystemExit(3)), {}),
        (FileSink("nowhere/x.wav"), {}),
        (FileSink("x.opus"), {"format": AudioFormat(44_100)}),
        (ChannelSink(), {"format": AudioFormat(channels=[5])}),
    ],
)
@pytest.mark.parametrize("atomic", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_a_start_that_fails_leaves_the_old_file(tmp_path, monkeypatch, old, other, atomic, first):
    monkeypatch.chdir(tmp_path)
    folder = Folder(tmp_path)
    made = StreamAudio.builder().add_source("mic", tone()).format(FormatPreset.NATIVE)
    sinks = [(replacing(old, atomic=atomic), {}), other]
    for sink, how in sinks if first else reversed(sinks):
        made.add_sink(sink, **how)
    with pytest.raises(BaseException):  # noqa: B017, PT011 - as various as can be
        made.start()
    assert folder.is_untouched()


@pytest.mark.parametrize("error", [RuntimeError("no device"), KeyboardInterrupt()])
def test_a_source_that_fails_leaves_the_old_file(tmp_path, old, error):
    folder = Folder(tmp_path)
    with pytest.raises(type(error)):
        run(replacing(old), source=SourceThatFails(error))
    assert folder.is_untouched()


def test_threads_that_cannot_be_had_leave_the_old_file(tmp_path, monkeypatch, old):
    """Those of the sinks, and then the router's."""
    folder = Folder(tmp_path)
    original = threading.Thread.start
    for name in ("stream-audio-sink", "stream-audio-router"):

        def start(thread, name=name):
            if thread.name.startswith(name):
                raise RuntimeError("can't start new thread")
            original(thread)

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            with pytest.raises(RuntimeError, match="thread"):
                run(replacing(old))
        assert folder.is_untouched()


def test_ctrl_c_at_the_very_end_of_a_start_leaves_the_old_file(tmp_path, monkeypatch, old):
    """When all has started, and nothing is begun."""
    folder = Folder(tmp_path)
    monkeypatch.setattr(
        "stream_audio.starting.Session", lambda router: signal.raise_signal(signal.SIGINT)
    )
    with pytest.raises(KeyboardInterrupt):
        run(replacing(old))
    assert folder.is_untouched()


def test_a_cancelled_start_leaves_the_old_file(tmp_path, old):
    folder = Folder(tmp_path)
    starting, go_on = threading.Event(), threading.Event()

    class Slow(Fails):
        def start(self, info):
            starting.set()
            assert go_on.wait(GIVE_UP)

    async def main():
        async def enter():
            async with builder(replacing(old), Slow(None)):
                pytest.fail("it was cancelled")

        task = asyncio.create_task(enter())
        await asyncio.to_thread(starting.wait, GIVE_UP)
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert folder.is_untouched()


def test_a_sink_that_is_added_and_fails_leaves_the_old_file(tmp_path, old):
    folder = Folder(tmp_path)
    with builder(ChannelSink(), source=AudioSource.virtual("sine")).start() as session:
        with pytest.raises(ConfigError):
            session.add_sink(replacing(old), format=AudioFormat(channels=[7]), name="wrong")
        with pytest.raises(RuntimeError, match="no model"):
            session.add_sink(BothOf(replacing(old), Fails(RuntimeError("no model"))))
        assert folder.is_untouched()
        session.add_sink(replacing(old)).remove()
    assert not folder.is_untouched()


class BothOf:
    """A sink of the user's own that holds two."""

    def __init__(self, *sinks):
        self.sinks = sinks

    def start(self, info):
        try:
            for sink in self.sinks:
                sink.start(info)
        except BaseException:
            self.sinks[0].discard()
            raise

    def write(self, chunk):
        pass


@pytest.mark.parametrize("settings", [{}, {"atomic": True}, {"rotate": 0.1}, {"fsync": 1}])
def test_once_the_session_has_begun_the_old_file_is_replaced(tmp_path, settings):
    sink = replacing(tmp_path / "a.flac", **settings)
    name = "a-0001.flac" if "rotate" in settings else "a.flac"
    for text in (name, name + ".json"):
        (tmp_path / text).write_text("old")
    events = []
    report = run(sink, events=events)
    assert report.complete
    assert soundfile.info(tmp_path / name).frames == FRAMES
    assert (tmp_path / (name + ".json")).read_text() != "old"
    assert not [event for event in events if isinstance(event, FileMoved)]
    assert not list(tmp_path.glob("*.part"))


def test_a_later_file_replaces_when_it_is_begun(tmp_path):
    for index in (1, 2, 3):
        (tmp_path / f"a-000{index}.wav").write_text("old")
    run(replacing(tmp_path / "a.wav", rotate=0.1), source=tone(RATE // 10 + 100))
    assert soundfile.info(tmp_path / "a-0002.wav").frames == 100
    assert (tmp_path / "a-0003.wav").read_text() == "old"
    assert not list(tmp_path.glob("*.part"))


# ---- the protocol ----


class Tells:
    """A sink that writes down how it was called."""

    def __init__(self, calls, name="a", blocking=True):
        self.calls = calls
        self.name = name
        self.blocking = blocking

    def start(self, info):
        self.calls.append((self.name, "start"))

    def begun(self):
        self.calls.append((self.name, "begun"))

    def write(self, chunk):
        if self.calls[-1] != (self.name, "write"):
            self.calls.append((self.name, "write"))

    def stop(self):
        self.calls.append((self.name, "stop"))


class AsyncTells(Tells):
    """The same on an event loop."""

    async def begun(self):
        super().begun()


LIFE = ["start", "begun", "write", "stop"]


@pytest.mark.parametrize("blocking", [True, False])
def test_begun_comes_before_the_first_write(blocking):
    calls = []
    run(Tells(calls, blocking=blocking))
    assert [what for _, what in calls] == LIFE


def test_begun_comes_when_all_have_started():
    calls = []
    run(Tells(calls, "a"), Tells(calls, "b", blocking=False))
    assert {what for _, what in calls[:2]} == {"start"}
    for name in "ab":
        assert [what for who, what in dict.fromkeys(calls) if who == name] == LIFE


def test_begun_is_forwarded_to_a_sink_on_a_loop():
    calls = []

    async def main():
        async with builder(AsyncTells(calls)) as session:
            await asyncio.to_thread(session.wait, GIVE_UP)

    asyncio.run(main())
    assert [what for _, what in calls] == LIFE


def test_begun_is_forwarded_by_a_trigger():
    calls = []
    run(TriggerSink(Tells(calls), when=lambda chunk: True))
    assert [what for _, what in calls] == LIFE
    calls.clear()
    run(TriggerSink(Tells(calls), when=lambda chunk: False))
    assert [what for _, what in calls] == ["start", "begun", "stop"]


def test_a_sink_that_a_trigger_makes_has_begun_too():
    calls = []
    run(TriggerSink(lambda event: Tells(calls), when=lambda chunk: True))
    assert [what for _, what in calls] == LIFE


def test_what_a_trigger_made_and_cannot_begin_is_taken_back(tmp_path):
    """Each try has a sink of its own."""
    path = tmp_path / "a.wav"

    class Cannot(FileSink):
        def begun(self):
            raise SinkError("no", retryable=False)

    run(TriggerSink(lambda event: Cannot(path), when=lambda chunk: True))
    assert not path.exists()


def test_a_sink_that_is_added_begins_before_it_is_written_to():
    calls = []
    with builder(ChannelSink(), source=tone(None)).history(1).start() as session:
        session.add_sink(Tells(calls), replay=0.5).remove()
    assert [what for _, what in calls] in (LIFE, ["start", "begun", "stop"])


@pytest.mark.parametrize("blocking", [True, False])
def test_what_begun_raises_is_a_failure_of_the_sink(blocking):
    class Cannot(Tells):
        def begun(self):
            raise RuntimeError("no room")

    calls, events, other = [], [], []
    report = run(Cannot(calls, blocking=blocking), Tells(other, "b"), events=events)
    failed = [event for event in events if isinstance(event, SinkFailed)]
    assert "no room" in report.sinks["a"].error
    assert [str(event.error) for event in failed] == ["no room"]
    assert report.balanced
    assert [what for _, what in other] == LIFE


# ---- outside a session, and what goes wrong at the last moment ----


def test_outside_a_session_the_first_write_counts(old, tmp_path):
    sink = FileSink(old, overwrite=True)
    sink.start(SinkInfo("x", (SourceInfo("mic", RATE, 1),)))
    assert soundfile.info(old).frames == 1000
    before = old.stat().st_ino
    channel = ChannelSink()
    run(channel)
    chunks = list(channel)
    sink.write(chunks[0])
    assert old.stat().st_ino != before
    for chunk in chunks[1:]:
        sink.write(chunk)
    sink.stop()
    assert soundfile.info(old).frames == FRAMES


@pytest.mark.parametrize("fallback", [False, True])
def test_a_name_that_cannot_be_taken_costs_no_old_file(monkeypatch, old, tmp_path, fallback):
    folder = Folder(tmp_path)

    original = os.replace

    def refuse(old, new):
        if os.fspath(new) == os.fspath(path):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        original(old, new)

    path, spares, events = old, tmp_path / "spares", []
    monkeypatch.setattr(os, "replace", refuse)
    if not fallback:
        report = run(FileSink(path, overwrite=True), events=events)
        [failed] = [event for event in events if isinstance(event, SinkFailed)]
        assert isinstance(failed.error, FileSinkError)
        assert failed.error.host_text == os.strerror(errno.EPERM)
        assert report.balanced
        assert folder.is_untouched()
        return
    spares.mkdir()
    report = run(FileSink(path, overwrite=True, fallback=spares), events=events)
    assert report.sinks["old.wav"].delivered == FRAMES
    assert [event.frames for event in events if isinstance(event, FallbackUsed)] == [0]
    assert soundfile.info(path).frames == 1000
    assert soundfile.info(spares / "old.wav").frames == FRAMES
    assert not list(tmp_path.rglob("*.part"))


# ---- files that somebody else writes, or reads ----


@pytest.mark.parametrize("links", [False, True])
@pytest.mark.parametrize("atomic", [False, True])
def test_two_sinks_do_not_write_one_file(tmp_path, links, atomic):
    path, other = tmp_path / "a.wav", tmp_path / "b.wav"
    if links:
        path.write_text("old")
        other.symlink_to(path)
    folder = Folder(tmp_path)
    second = FileSink(other if links else path, overwrite=True, atomic=atomic)
    with pytest.raises(FileSinkError, match="another recording is writing it"):
        run(FileSink(path, overwrite=True), second)
    assert folder.is_untouched()


def test_two_sessions_do_not_write_one_file(tmp_path):
    path = tmp_path / "a.wav"
    with builder(FileSink(path), source=AudioSource.virtual("sine")).start():
        os.link(path, tmp_path / "same.wav")
        for name in ("a.wav", "same.wav"):
            with pytest.raises(FileSinkError, match="another recording is writing it"):
                run(FileSink(tmp_path / name, overwrite=True))
    run(FileSink(path, overwrite=True))
    assert soundfile.info(path).frames == FRAMES


def test_a_source_of_the_session_is_not_replaced(tmp_path, old):
    (tmp_path / "link.wav").symlink_to(old)
    os.link(old, tmp_path / "same.wav")
    folder = Folder(tmp_path)
    for name in ("old.wav", "link.wav", "same.wav"):
        for atomic in (False, True):
            # Of the session, not only of the sink.
            sink = FileSink(tmp_path / name, overwrite=True, atomic=atomic)
            made = builder().add_source("file", AudioSource.file(old, pace="freewheel"))
            made.add_sink(sink, sources="mic")
            with pytest.raises(FileSinkError, match="reads that file"):
                made.start()
            source = AudioSource.file(old, pace="freewheel")
            with pytest.raises(FileSinkError, match="reads that file"):
                run(FileSink(tmp_path / name, overwrite=True, atomic=atomic), source=source)
    assert folder.is_untouched()


def test_a_later_file_that_somebody_writes_gets_another_name(tmp_path):
    path = tmp_path / "a-0002.wav"
    with builder(FileSink(path), source=AudioSource.virtual("sine")).start():
        run(FileSink(tmp_path / "a.wav", rotate=0.1, overwrite=True), source=tone(9600))
        assert soundfile.info(tmp_path / "a-0002-1.wav").frames == RATE // 10


def test_a_process_that_was_killed_is_in_nobodys_way(tmp_path):
    """Nor is what it left taken for a recording under way."""
    path = tmp_path / "a.wav"
    program = f"""
import os, signal
from stream_audio import AudioSource, FileSink, StreamAudio
builder = StreamAudio.builder().add_source("mic", AudioSource.virtual("sine"))
builder.add_sink(FileSink({str(path)!r}, atomic=True)).start()
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], timeout=GIVE_UP)
    assert (tmp_path / "a.wav.part").exists()
    run(FileSink(path, overwrite=True))
    assert soundfile.info(path).frames == FRAMES
