"""The whole process stands still while the server goes on: SIGSTOP, SIGCONT."""

import json
import os
import signal
import subprocess
import sys
import time

from support import servers

RATE = 48_000
PERIOD = 256
STOPPED_SECONDS = 10

RECORDER = """
import json, sys
import numpy as np
from stream_audio import AudioSource, ChannelSink, FormatPreset, StreamAudio, StreamConfig

builder = StreamAudio.builder().add_source("counter", AudioSource.device("counter"))
builder.format(FormatPreset.NATIVE).config(StreamConfig(chunk_duration=256 / 48_000))
channel = ChannelSink()
chunks, after = [], None
with builder.add_sink(channel).start() as session:
    for chunk in channel:
        count = round(float(chunk.data[0, 0]) * 2**23)
        chunks.append((chunk.frame, chunk.frames, count))
        if len(chunks) == 200:
            print("recording", flush=True)
        if after is None and any(gap.cause == "suspended" for gap in chunk.gaps):
            after = len(chunks)
            print("again", flush=True)
        if after is not None and len(chunks) == after + 200:
            break
print(json.dumps({"report": session.report().to_dict(), "chunks": chunks}), flush=True)
"""


def test_a_process_that_is_stopped_for_ten_seconds_misses_just_these(
    jack_counter: servers.JackCounter,
) -> None:
    """In the server's own time, which it asked for before and after, right to a period."""
    process = subprocess.Popen([sys.executable, "-c", RECORDER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "recording\n"
        before = jack_counter.frame()
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        stopped = jack_counter.frame()
        time.sleep(STOPPED_SECONDS)
        continued = jack_counter.frame()
        process.send_signal(signal.SIGCONT)
        assert process.stdout.readline() == "again\n"
        after = jack_counter.frame()
        result = json.loads(process.stdout.readline())
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()

    report, chunks = result["report"], result["chunks"]
    source = report["sources"]["counter"]
    assert report["balanced"], report
    assert not source["error"]
    suspended = [gap for gap in source["gaps"] if gap["cause"] == "suspended"]
    (gap,) = suspended
    assert continued - stopped - PERIOD <= gap["frames"] <= after - before
    # The samples say the same, and nothing slid; a callback that was late may be off by one.
    ends = {frame + frames: count + frames for frame, frames, count in chunks}
    starts = {frame: count for frame, _, count in chunks}
    missing = (starts[gap["frame"] + gap["frames"]] - ends[gap["frame"]]) % 2**23
    assert abs(missing - gap["frames"] % 2**23) <= PERIOD
    (last_frame, _, last_count), (frame, _, count) = chunks[-1], chunks[100]
    assert abs((last_count - count) % 2**23 - (last_frame - frame) % 2**23) <= PERIOD
