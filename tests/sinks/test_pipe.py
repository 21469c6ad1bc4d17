"""A PipeSink writes to another program, says how it ended, and never writes a byte twice."""

import os
import signal
import sys
import time

import numpy as np
import pytest
import soundfile

from stream_audio import (
    AudioSource,
    ConfigError,
    ConfigTypeError,
    FormatPreset,
    GapCause,
    PipeSink,
    Retry,
    SinkError,
    StreamAudio,
    StreamConfig,
)
from support.processes import require_program, wait_until

SECRET = "hunter2-hunter2"
GIVE_UP = 60.0


def python(program, *arguments):
    return [sys.executable, "-c", f"import os, sys, time\n{program}", *map(str, arguments)]


COPY = python("open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())")


def building(sink, *, frames=48_000, pace="freewheel", retry=None, **settings):
    source = AudioSource.virtual("counter", frames=frames, channels=1, pace=pace)
    settings = StreamConfig(raise_on_sink_failure=False, **settings)
    made = StreamAudio.builder().config(settings).format(FormatPreset.NATIVE)
    return made.add_source("mic", source).add_sink(sink, name="out", retry=retry)


def record(sink, **settings):
    with building(sink, **settings).start() as session:
        assert session.wait(GIVE_UP)
    report = session.report()
    assert report.balanced, report
    return report.sinks["out"]


def test_the_program_gets_all_and_is_waited_for(tmp_path):
    path = tmp_path / "copy.raw"
    slow = python("d = sys.stdin.buffer.read(); time.sleep(0.3); open(sys.argv[1],'wb').write(d)")
    report = record(PipeSink([*slow, path], format="RAW", subtype="FLOAT"))
    assert (report.delivered, report.sent, report.error) == (48_000, 48_000, "")
    samples = np.fromfile(path, "<f4")
    assert [round(value * 2**23) for value in samples[[0, -1]]] == [0, 47_999]


def test_ffmpeg_makes_a_file_of_it(tmp_path):
    ffmpeg = require_program("ffmpeg", "ffmpeg")
    record(PipeSink([ffmpeg, "-v", "error", "-i", "-", tmp_path / "a.flac"], subtype="PCM_24"))
    samples, rate = soundfile.read(tmp_path / "a.flac", dtype="int32")
    assert rate == 48_000
    np.testing.assert_array_equal(samples >> 8, np.arange(48_000))


def test_an_ffmpeg_that_dies_is_told_of_with_its_last_words(tmp_path):
    ffmpeg = require_program("ffmpeg", "ffmpeg")
    report = record(PipeSink([ffmpeg, "-v", "error", "-i", "-", tmp_path / "no" / "a.flac"]))
    assert "ffmpeg ended with exit code " in report.error  # 1, or 254 from version 8 on
    assert "No such file or directory" in report.error


def test_an_ffmpeg_that_is_killed_fails_the_sink_alone(tmp_path):
    ffmpeg = require_program("ffmpeg", "ffmpeg")
    sink = PipeSink([ffmpeg, "-v", "error", "-i", "-", "-f", "null", "-"])
    session = building(sink, frames=None, pace="real_time").start()
    wait_until(lambda: session.stats().sinks["out"].delivered, "something was written")
    os.kill(sink._process.pid, signal.SIGKILL)
    assert session.wait(GIVE_UP)  # no sink is left
    report = session.stop()
    assert report.balanced, report
    uplink = report.sinks["out"]
    assert "ffmpeg was ended by signal 9" in uplink.error
    assert {gap.cause for gap in uplink.gaps} <= {GapCause.SINK_FAILED}


@pytest.mark.parametrize("restart", [False, True])
def test_bytes_are_written_once_and_a_restart_begins_a_new_stream(tmp_path, restart):
    """The first program reads a header and 1.5 s of samples, and goes away."""
    program = python(
        "first = not os.listdir(sys.argv[1])\n"
        "d = sys.stdin.buffer.read(58 + 4 * 72000 if first else -1)\n"
        "open(f'{sys.argv[1]}/{time.monotonic_ns()}', 'wb').write(d)\n"
        "sys.exit('enough' if first else 0)",
        tmp_path,
    )
    sink = PipeSink(program, restart=restart, subtype="FLOAT")
    report = record(sink, frames=480_000, retry=Retry(tries=5, first=0.001))
    streams = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    assert all(data[:4] == b"RIFF" for data in streams)
    numbers = [np.rint(np.frombuffer(data[58:], "<f4") * 2**23) for data in streams]
    np.testing.assert_array_equal(numbers[0], np.arange(72_000))
    if restart:
        first = numbers[1][0]
        assert first % 4800 == 0  # the whole chunk that could not be written
        assert first >= 72_000
        np.testing.assert_array_equal(numbers[1], np.arange(first, 480_000))
        assert (report.delivered, report.error) == (480_000, "")
    else:
        assert len(streams) == 1
        assert "ended with exit code 1 (the host says: enough)" in report.error
        assert 72_000 <= report.delivered < 480_000
        assert report.delivered + report.dropped == 480_000


def test_a_program_that_fails_at_the_end_is_an_error():
    report = record(PipeSink(python("sys.stdin.buffer.read(); sys.exit('cannot save')")))
    assert "ended with exit code 1 (the host says: cannot save)" in report.error
    assert report.delivered == 48_000


def test_one_that_does_not_end_is_killed_within_the_stop_timeout():
    sink = PipeSink(python("sys.stdin.buffer.read(); time.sleep(600)"))
    began = time.monotonic()
    report = record(sink, stop_timeout=2.0)
    assert time.monotonic() - began < 20
    assert "did not end and was killed" in report.error


def test_one_that_reads_nothing_holds_up_nobody_and_is_killed():
    sink = PipeSink(python("time.sleep(600)"))
    session = building(sink, frames=None, pace="real_time").start()
    pid = sink._process.pid
    wait_until(lambda: session.stats().sinks["out"].pending > 100_000, "the pipe is full")
    report = session.stop(timeout=0.2)
    assert report.balanced, report
    assert "did not finish in time" in report.sinks["out"].error
    wait_until(lambda: not is_alive(pid), "the program is gone")


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_that_is_not_there_is_an_error_at_the_start():
    with pytest.raises(SinkError, match="cannot start no-such-program"):
        building(PipeSink(["no-such-program", SECRET])).start()


def test_a_start_that_fails_ends_the_program():
    class Refuses:
        def start(self, info):
            raise RuntimeError("not today")

        def write(self, chunk):
            pass

    sink = PipeSink(python("sys.stdin.buffer.read()"))
    started = []
    plain = sink.start
    sink.start = lambda info: (plain(info), started.append(sink._process.pid))[0]
    with pytest.raises(RuntimeError, match="not today"):
        building(sink).add_sink(Refuses()).start()
    assert not is_alive(started[0])


def test_its_arguments_are_in_no_error_and_no_representation(caplog):
    url = f"rtmp://me:{SECRET}@host/live?key={SECRET}"
    program = python("sys.stdin.buffer.read(100); sys.exit('cannot open ' + sys.argv[1])")
    caplog.set_level("DEBUG")
    sink = PipeSink([*program, url])
    report = record(sink)
    assert "cannot open rtmp://…" in report.error
    for text in (repr(sink), sink.name, str(report), caplog.text):
        assert SECRET not in text


@pytest.mark.parametrize(
    ("command", "settings", "words"),
    [
        ("ffmpeg -i -", {}, "there is no shell"),
        ([], {}, "must not be empty"),
        (["a", 1], {}, "a list of strings"),
        (["a"], {"format": "CAF"}, "CAF is completed at its beginning"),
        (["a"], {"gaps": "split"}, "split"),
        (["a"], {"bext": True}, "bext is for files with a path"),
    ],
)
def test_what_cannot_work_is_an_error_at_once(command, settings, words):
    with pytest.raises((ConfigError, ConfigTypeError)) as raised:
        PipeSink(command, **settings)
    assert words in str(raised.value)
