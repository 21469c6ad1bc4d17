"""Writes sound files and is killed at it, again and again.

Run as a program, so that what is killed is a fork of a process that has loaded everything and has
no other thread. Each line of its input is a round: where to write, how, how many frames are to be
written before the kill, and how much later it comes. Each line of its output says how many frames
the sink had taken before.
"""

import json
import mmap
import os
import signal
import struct
import sys
import time
from typing import Any

import numpy as np

from stream_audio import AudioChunk, FileSink, SinkInfo, SourceInfo

RATE = 8000
TOP = 2**15 - 1
"""Samples count from 1 to here, and again."""


def chunk(frame: int, frames: int, channels: int, dtype: str) -> AudioChunk:
    """Return a chunk that tells its place, in steps of 1 / 2**15."""
    values = np.arange(frame, frame + frames) % TOP + 1
    scaled = values / 2**15 if dtype == "float32" else values << (0 if dtype == "int16" else 16)
    data = np.repeat(scaled[:, None], channels, axis=1).astype(dtype)
    return AudioChunk("mic", data, RATE, frame, frame / RATE, 0.0)


def write_for_ever(taken: mmap.mmap, path: str, how: dict[str, Any]) -> None:
    """Give a sink chunk after chunk, and say after each how much it has taken."""
    sink = FileSink(path, **how["settings"])
    sink.start(SinkInfo("file", (SourceInfo("mic", RATE, how["channels"]),)))
    frame = 0
    while True:
        sink.write(chunk(frame, how["chunk"], how["channels"], how["dtype"]))
        frame += how["chunk"]
        struct.pack_into("<q", taken, 0, frame)


def main() -> None:
    taken = mmap.mmap(-1, 8)  # shared with the child
    for line in sys.stdin:
        round = json.loads(line)
        struct.pack_into("<q", taken, 0, 0)
        child = os.fork()
        if child == 0:
            write_for_ever(taken, round["path"], round)
        while struct.unpack_from("<q", taken)[0] < round["frames"]:
            if os.waitpid(child, os.WNOHANG)[0]:
                sys.exit("the writer died by itself")
        until = time.perf_counter() + round["later"]
        while time.perf_counter() < until:
            pass
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        print(struct.unpack_from("<q", taken)[0], flush=True)


if __name__ == "__main__":
    main()
