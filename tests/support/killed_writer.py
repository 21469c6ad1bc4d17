"""Writers of sound files that are killed: a program, run by tests.

    killed_writer.py SEED ROUNDS LONGEST NAME SUBTYPE RATE CHANNELS FOLDER

A process of its own, without threads, from which each round forks a writer. The writer writes
tenths of a second as fast as it can and says after each how many frames have been taken; once it
has said so a random number of times, LONGEST at most, it is killed, up to 2 ms later. For each
round a line is printed: its number, and what had been taken at least.
"""

import os
import random
import select
import signal
import struct
import sys
import time

import numpy as np

from stream_audio.files.containers import all_containers


def samples(sample_rate, channels, seconds):
    """Noise that is the same each time, as 16-bit integers."""
    random = np.random.default_rng(7)
    return random.integers(-8000, 8000, (round(sample_rate * seconds), channels), np.int16)


def write(container, subtype, sample_rate, channels, audio, path, progress):
    tenth = sample_rate // 10
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    writer = container.open(descriptor, sample_rate, channels, subtype, {})
    for start in range(0, len(audio), tenth):
        writer.write(audio[start : start + tenth])
        os.write(progress, struct.pack("<q", writer.frames))
    time.sleep(600)  # it is killed before


def main():
    seed, rounds, longest, name, subtype, sample_rate, channels, folder = sys.argv[1:]
    container = next(c for c in all_containers() if c.name == name)
    settings = (subtype, int(sample_rate), int(channels))
    # What a first writer loads, the forks have loaded.
    warm_up = os.open(os.path.join(folder, "warm-up"), os.O_WRONLY | os.O_CREAT)
    writer = container.open(warm_up, settings[1], settings[2], subtype, {})
    writer.write(samples(settings[1], settings[2], 1))
    writer.close()
    audio = samples(settings[1], settings[2], 60)
    pick = random.Random(int(seed))
    for number in range(int(rounds)):
        tenths, delay = pick.randint(1, int(longest)), pick.uniform(0, 0.002)
        reading, progress = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                write(container, *settings, audio, os.path.join(folder, str(number)), progress)
            finally:
                os._exit(1)
        os.close(progress)
        told = b""
        while len(told) < 8 * tenths:
            if not (said := os.read(reading, 8)):
                sys.exit("the writer died by itself")
            told += said
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while select.select([reading], [], [], 0)[0] and (more := os.read(reading, 1 << 16)):
            told += more
        os.close(reading)
        print(number, struct.unpack("<q", told[len(told) // 8 * 8 - 8 : len(told) // 8 * 8])[0])


if __name__ == "__main__":
    main()
