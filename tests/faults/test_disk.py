"""A disk that is full, gone or read-only ends one file, cleanly, and nothing else."""

import errno
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stream_audio import (
    AudioSource,
    Backlog,
    ChannelSink,
    DiskLow,
    FallbackUsed,
    FileClosed,
    FileSink,
    FileSinkError,
    FormatPreset,
    SinkError,
    SinkFailed,
    StreamAudio,
    StreamConfig,
    TriggerSink,
)
from stream_audio.testing import VirtualClock
from support.mounts import mount, mounted, tmpfs
from support.readers import by_soundfile, seconds_by_ffmpeg

RATE = 48_000
GIVE_UP = 60.0


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MiB: ten seconds of a float file at 48 kHz."""
    with tmpfs(tmp_path / "small", "size=2m") as folder:
        yield folder


class Run:
    """A session on virtual time, of a counter that tells each frame's place."""

    def __init__(self, *sinks, frames=None):
        self.clock = VirtualClock(auto=frames is not None)
        self.events = []
        builder = StreamAudio.builder().format(FormatPreset.NATIVE)
        builder.add_source("mic", AudioSource.virtual("counter", channels=1, frames=frames))
        for sink in sinks:
            builder.add_sink(sink)
        builder.config(StreamConfig(clock=self.clock, raise_on_sink_failure=False))
        builder.on_event(self.events.append)
        self.session = builder.start()
        if frames is not None:
            assert self.session.wait(GIVE_UP)

    def stop(self):
        report = self.session.stop()
        assert report.balanced, report.problems
        return report

    def told(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    def failure(self, name="a.wav"):
        """Return the error of the one sink that failed."""
        (failed,) = self.told(SinkFailed)
        assert failed.sink == name
        assert isinstance(failed.error, FileSinkError)
        return failed.error


def float_file(path, **settings):
    return FileSink(path, subtype="FLOAT", **settings)


def counted(path, start=0):
    """Check that each frame of the file is the counter's next, from ``start``; returns the end."""
    values, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE
    assert np.array_equal(np.rint(values * 2**23), np.arange(start, start + len(values)))
    return start + len(values)


def test_a_full_disk_ends_its_file_and_no_other(small_disk, tmp_path):
    path, other = small_disk / "a.wav", tmp_path / "b.wav"
    channel = ChannelSink(backlog=Backlog(2**30))
    run = Run(float_file(path), float_file(other), channel, frames=20 * RATE)
    report = run.stop()
    error = run.failure()
    assert error.path == path
    assert error.host_text == os.strerror(errno.ENOSPC)
    assert f"{error.frames} frames are saved" in str(error)
    # Whole to the last chunk that fitted, and nothing wasted.
    assert counted(path) == error.frames
    assert 2 * 2**20 - 4096 - 4800 * 4 < path.stat().st_size <= 2 * 2**20
    assert report.sinks["a.wav"].delivered == error.frames
    assert report.sinks["a.wav"].dropped > 0  # and is offered nothing any more
    assert counted(other) == 20 * RATE
    assert report.sinks["b.wav"].delivered == 20 * RATE
    assert sum(chunk.frames for chunk in channel) == 20 * RATE


def test_a_full_disk_takes_all_that_fits_of_what_gathered(small_disk):
    """A file by itself is given most of a second at once."""
    run = Run(float_file(small_disk / "a.wav"), frames=20 * RATE)
    report = run.stop()
    error = run.failure()
    assert counted(small_disk / "a.wav") == error.frames
    assert report.sinks["a.wav"].delivered == error.frames
    assert 2 * 2**20 - 4096 - 4800 * 4 < (small_disk / "a.wav").stat().st_size <= 2 * 2**20
    assert error.taken > 0


def test_the_fallback_takes_over_at_the_very_frame(small_disk, tmp_path):
    path, fallback = small_disk / "a.wav", tmp_path / "b.wav"
    run = Run(float_file(path, fallback=fallback), frames=20 * RATE)
    report = run.stop()
    (told,) = run.told(FallbackUsed)
    assert not run.told(SinkFailed)
    assert (told.path, told.fallback) == (path, fallback)
    assert told.error.errno == errno.ENOSPC
    assert counted(fallback, start=counted(path)) == 20 * RATE
    assert told.frames == soundfile.info(path).frames
    assert report.sinks["a.wav"].delivered == 20 * RATE


@pytest.fixture(scope="module")
def one_tiny_disk(tmp_path_factory):
    with tmpfs(tmp_path_factory.mktemp("disks") / "tiny", "size=128k") as folder:
        yield folder


@pytest.fixture
def tiny_disk(one_tiny_disk):
    """A disk of 128 kB; empty, and used again and again."""
    yield one_tiny_disk
    for path in one_tiny_disk.iterdir():
        path.unlink()


ENDINGS = ["wav", "flac", "ogg", "opus", "mp3", "caf", "aiff", "au", "w64", "rf64"]
SHAPES = {
    "mp3": [(44_100, 1), (48_000, 2), (8000, 1), (22_050, 2)],
    "opus": [(48_000, 2), (8000, 1), (48_000, 8)],
}
OTHER_SHAPES = [(44_100, 1), (48_000, 2), (192_000, 8), (8000, 1)]
SETTINGS = [{}, {"rotate": 0.7}, {"atomic": True, "ledger": True}]


def ways_to_write():
    """Each format in one way, and in the long suite in all."""
    for ending in ENDINGS:
        for shape in SHAPES.get(ending, OTHER_SHAPES):
            for settings in SETTINGS:
                first = shape == SHAPES.get(ending, OTHER_SHAPES)[0]
                usual = settings == SETTINGS[1 if ending in ("flac", "caf") else 0]
                marks = () if first and usual else pytest.mark.long
                yield pytest.param(ending, *shape, settings, marks=marks)


@pytest.mark.parametrize(("ending", "sample_rate", "channels", "settings"), [*ways_to_write()])
def test_what_is_delivered_is_in_the_file(tiny_disk, ending, sample_rate, channels, settings):
    """As two readers find, in all the files; what an encoder still held is not delivered."""
    source = AudioSource.virtual(
        "noise", sample_rate=sample_rate, channels=channels, pace="freewheel"
    )
    events = []
    failed = threading.Event()

    def note(event):
        events.append(event)
        if isinstance(event, SinkFailed):
            failed.set()

    builder = StreamAudio.builder().format(FormatPreset.NATIVE).add_source("mic", source)
    builder.config(StreamConfig(raise_on_sink_failure=False))
    sink = FileSink(tiny_disk / f"a.{ending}", **settings)
    with builder.add_sink(sink, name="file").on_event(note).start() as session:
        assert failed.wait(GIVE_UP)
    report = session.report()
    assert report.balanced, report.problems
    [error] = [event.error for event in events if isinstance(event, SinkFailed)]
    closed = [event for event in events if isinstance(event, FileClosed)]
    for event in closed:
        assert len(by_soundfile(event.path)[0]) == event.frames
        if event.path == error.path and event.frames:
            # Of a short Ogg file that is complete, ffmpeg decodes what lies beyond its end.
            assert round(seconds_by_ffmpeg(event.path) * sample_rate) == event.frames
    # A file in which there is nothing is not left.
    assert sorted(tiny_disk.glob(f"*.{ending}*")) == sorted(
        path
        for event in closed
        for path in (event.path, event.path.with_name(event.path.name + ".json"))
        if path.exists()
    )
    assert error.frames == sum(event.frames for event in closed if event.path == error.path)
    assert report.sinks["file"].delivered == sum(event.frames for event in closed) == sink.frames
    assert report.sinks["file"].delivered + report.sinks["file"].dropped == (
        report.sinks["file"].offered
    )


@pytest.mark.parametrize("triggered", [False, True])
def test_what_an_encoder_held_at_the_end_is_not_delivered(tiny_disk, triggered):
    """Nothing failed before: the last block alone does not fit, or does through a trigger."""
    path = tiny_disk / "a.flac"
    source = AudioSource.virtual("noise", channels=1, frames=4500, pace="freewheel")

    class Filling(FileSink):
        """The disk is filled right before the file is completed."""

        def stop(self):
            with (tiny_disk / "filler").open("wb") as file:
                left = os.statvfs(tiny_disk)
                os.posix_fallocate(file.fileno(), 0, left.f_bavail * left.f_frsize)
            return super().stop()

    sink = Filling(path)
    events = []
    builder = StreamAudio.builder().format(FormatPreset.NATIVE).add_source("mic", source)
    builder.config(StreamConfig(raise_on_sink_failure=False))
    given = TriggerSink(sink, when=lambda chunk: True, post_roll=0.5) if triggered else sink
    builder.add_sink(given, name="file").on_event(events.append)
    with builder.start() as session:
        session.wait(GIVE_UP)
    report = session.report()
    assert report.balanced, report.problems
    [error] = [event.error for event in events if isinstance(event, SinkFailed)]
    frames = len(by_soundfile(path)[0])
    assert error.frames == report.sinks["file"].delivered == frames == 4096
    assert report.sinks["file"].dropped == 4500 - 4096
    assert [(gap.frame, gap.frames) for gap in report.sinks["file"].gaps] == [(4096, 404)]


@pytest.mark.parametrize("settings", [{"rotate": 2}, {"rotate": "1MiB"}, {"atomic": True}])
def test_a_disk_that_fills_up_leaves_each_file_whole(small_disk, settings):
    run = Run(float_file(small_disk / "a.wav", **settings), frames=20 * RATE)
    run.stop()
    error = run.failure()
    closed = run.told(FileClosed)
    end = 0
    for event in closed:
        assert counted(event.path, start=end) == end + event.frames
        end += event.frames
    assert sorted(path for path in small_disk.iterdir()) == sorted(e.path for e in closed)
    assert error.frames == closed[-1].frames
    assert end > 10 * RATE - 4800


def test_old_files_make_room_for_new_ones(small_disk):
    """A recorder that runs for good on a small disk."""
    run = Run(float_file(small_disk / "a.wav", rotate=2, keep=3), frames=60 * RATE)
    run.stop()
    assert not run.told(SinkFailed)
    assert [path.name for path in sorted(small_disk.iterdir())] == [
        f"a-00{i}.wav" for i in (28, 29, 30)
    ]


def test_a_low_disk_is_told_at_the_start(small_disk):
    run = Run(float_file(small_disk / "a.wav"), frames=RATE)
    run.stop()
    told = run.told(DiskLow)[0]
    assert told.path == small_disk / "a.wav"
    assert told.minutes * 60 == pytest.approx(10.9, abs=0.2)
    assert told.free_bytes == pytest.approx(2 * 2**20, abs=8192)


def test_a_start_on_a_full_disk_says_so(small_disk):
    with (small_disk / "filler").open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, 2 * 2**20)
    with pytest.raises(SinkError) as caught:
        Run(FileSink(small_disk / "a.wav"))
    assert caught.value.host_text == os.strerror(errno.ENOSPC)
    assert not (small_disk / "a.wav").exists()


# ---- files and folders that go away ----


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_is_removed_is_noticed_within_a_second(tmp_path, what):
    folder = tmp_path / "folder"
    folder.mkdir()
    other = tmp_path / "b.wav"
    run = Run(float_file(folder / "a.wav"), float_file(other))
    run.clock.advance(3)
    if what == "file":
        (folder / "a.wav").unlink()
    else:
        shutil.rmtree(folder)
    run.clock.advance(1.3)
    report = run.session.report().sinks["a.wav"]
    assert "removed" in report.error
    run.clock.advance(2)
    report = run.stop()
    error = run.failure()
    assert (error.path, error.frames) == (folder / "a.wav", 0)
    assert not (folder / "a.wav").exists()
    assert counted(other) == report.sinks["b.wav"].delivered > 6 * RATE


@pytest.mark.parametrize("what", ["file", "folder"])
def test_the_fallback_takes_over_from_what_was_removed(tmp_path, what):
    folder = tmp_path / "folder"
    folder.mkdir()
    run = Run(float_file(folder / "a.wav", fallback=tmp_path / "b.wav"))
    run.clock.advance(3)
    shutil.rmtree(folder) if what == "folder" else (folder / "a.wav").unlink()
    run.clock.advance(5)
    report = run.stop()
    (told,) = run.told(FallbackUsed)
    assert told.frames == 0
    end = report.sources["mic"].position
    frames = soundfile.info(tmp_path / "b.wav").frames
    assert counted(tmp_path / "b.wav", start=end - frames) == end
    assert frames >= 5 * RATE - 1.3 * RATE


# ---- disks that cannot be written to ----


def test_a_read_only_disk_is_told_at_the_start(tmp_path):
    with (
        tmpfs(tmp_path / "disk", "ro") as disk,
        pytest.raises(SinkError) as caught,
    ):
        Run(FileSink(disk / "a.wav"))
    assert caught.value.host_text == os.strerror(errno.EROFS)
    assert caught.value.hint == "Choose a folder that you may write to"


@pytest.fixture
def ext4_disk(tmp_path):
    image = tmp_path / "image"
    image.touch()
    os.truncate(image, 16 * 2**20)
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("cannot make a file system here: there is no mkfs.ext4")
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    with mounted(tmp_path / "ext4", "-o", "loop", image) as folder:
        yield folder


def go_read_only(disk):
    """As the kernel does by itself when it finds the file system or its disk broken."""
    mount("-o", "remount,abort", disk)


def test_a_disk_that_becomes_read_only_ends_its_file(ext4_disk, tmp_path):
    path, other = ext4_disk / "a.wav", tmp_path / "b.wav"
    run = Run(float_file(path), float_file(other))
    run.clock.advance(5.05)
    go_read_only(ext4_disk)
    run.clock.advance(3)
    report = run.stop()
    error = run.failure()
    assert error.path == path
    assert error.host_text == os.strerror(errno.EROFS)
    assert report.sinks["a.wav"].delivered == error.frames
    # Not even the header can be written any more: the last second may be missing from it.
    assert error.frames - RATE <= counted(path) <= error.frames
    assert counted(other) == report.sinks["b.wav"].delivered > 8 * RATE


def test_the_fallback_takes_over_from_a_disk_that_became_read_only(ext4_disk, tmp_path):
    path, fallback = ext4_disk / "a.wav", tmp_path / "b.wav"
    run = Run(float_file(path, fallback=fallback))
    run.clock.advance(5.05)
    go_read_only(ext4_disk)
    run.clock.advance(3)
    report = run.stop()
    (told,) = run.told(FallbackUsed)
    assert told.error.errno == errno.EROFS
    counted(path)
    assert counted(fallback, start=told.frames) == report.sources["mic"].position
    assert report.sinks["a.wav"].dropped == 0


# ---- limits ----


def test_files_past_the_systems_limit_go_on_in_another(tmp_path):
    """A real limit of the kernel's; FAT has one at 4 GiB."""
    program = f"""
import resource, signal
from pathlib import Path
import stream_audio
from stream_audio import AudioSource, FileSink, FileClosed, FormatPreset, StreamAudio
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_001, 200_001))
source = AudioSource.virtual("counter", channels=1, frames=3 * {RATE}, pace="freewheel")
builder = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
sink = FileSink({str(tmp_path / "a.wav")!r}, subtype="FLOAT")
with builder.add_sink(sink).start() as session:
    session.wait()
print(session.stop().balanced, sink.frames)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], timeout=GIVE_UP, capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["True", str(3 * RATE)]
    files = [tmp_path / "a.wav", *(tmp_path / f"a-000{i}.wav" for i in (2, 3))]
    assert sorted(files) == sorted(tmp_path.iterdir())
    end = 0
    for path in files:
        end = counted(path, start=end)
        assert path.stat().st_size <= 200_001
    assert end == 3 * RATE


def test_a_name_that_is_too_long_is_told_at_the_start(tmp_path):
    with pytest.raises(SinkError) as caught:
        Run(FileSink(tmp_path / ("a" * 300 + ".wav")))
    assert caught.value.host_text == os.strerror(errno.ENAMETOOLONG)
    assert caught.value.hint == "Choose a shorter name"


# ---- starts that fail for another's sake ----


@pytest.mark.parametrize("settings", [{}, {"atomic": True}, {"overwrite": True}])
def test_a_start_that_fails_later_leaves_no_file_in_the_way_of_the_next(tmp_path, settings):
    for _ in range(2):
        with pytest.raises(SinkError, match="missing"):
            Run(
                FileSink(tmp_path / "a.wav", **settings),
                FileSink(Path(tmp_path / "missing" / "b.wav")),
            )
        assert list(tmp_path.iterdir()) == []
    run = Run(float_file(tmp_path / "a.wav", **settings), frames=RATE)
    run.stop()
    assert counted(tmp_path / "a.wav") == RATE
