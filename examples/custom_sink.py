"""A sink of your own: raw 16-bit samples to standard output, for a pipe into another program.

    python examples/custom_sink.py | aplay -t raw -f S16_LE -r 48000 -c 2
    python examples/custom_sink.py --seconds 2 --virtual > tone.raw     without a microphone

A sink is any object with ``write(chunk)``; ``start(info)`` and ``stop()`` are optional. ``write``
runs on a thread of its own, so a full pipe delays nobody but this sink.
"""

import argparse
import contextlib
import os
import sys

from stream_audio import (
    AudioChunk,
    AudioSource,
    FormatPreset,
    SinkError,
    SinkInfo,
    StreamAudio,
    StreamAudioError,
)


class RawOutput:
    """Writes interleaved little-endian samples to a file descriptor; gaps become silence."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def start(self, info: SinkInfo) -> None:
        """Tell the reader what it will get; runs before the first chunk."""
        source = info.sources[0]
        print(f"S16_LE, {source.sample_rate} Hz, {source.channels} channels", file=sys.stderr)

    def write(self, chunk: AudioChunk) -> None:
        """Write one chunk, and silence for what is missing before it."""
        missing = sum(gap.frames for gap in chunk.gaps)
        data = memoryview(bytes(missing * chunk.channels * 2) + chunk.to_pcm16())
        try:
            while data:
                data = data[os.write(self.descriptor, data) :]
        except OSError as error:
            # Part of the chunk may be out: another try would repeat it.
            raise SinkError(
                "the reader is gone", retryable=False, host_text=str(error.strerror)
            ) from error


def main() -> None:
    parser = argparse.ArgumentParser(description="Write raw samples to standard output.")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--virtual", action="store_true", help="a tone instead of a microphone")
    arguments = parser.parse_args()

    source = AudioSource.virtual() if arguments.virtual else AudioSource.default_device()
    builder = (
        StreamAudio.builder()
        .add_source("input", source)
        .format(FormatPreset.NATIVE)
        .add_sink(RawOutput(sys.stdout.fileno()))
        .duration(arguments.seconds)
    )
    try:
        with builder.start() as session, contextlib.suppress(KeyboardInterrupt):
            session.wait()  # which ends, too, when the only sink has failed
    except StreamAudioError as error:
        raise SystemExit(f"error: {error}") from None
    print(session.report(), file=sys.stderr)


if __name__ == "__main__":
    main()
