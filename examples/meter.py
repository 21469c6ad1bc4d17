"""A level meter on the terminal: the loudest channel's peak, twenty times a second.

python examples/meter.py
python examples/meter.py --seconds 2 --virtual     without a microphone
"""

import argparse
import math
import sys

from stream_audio import (
    AudioSource,
    ChannelSink,
    FormatPreset,
    StreamAudio,
    StreamAudioError,
    StreamConfig,
)

FLOOR = -60.0  # dBFS, where the bar begins
WIDTH = 40


def bar(peak: float) -> str:
    """Return a level as text; ``-inf``, exact silence, is an empty bar."""
    lit = round(WIDTH * min(1.0, max(0.0, 1 - peak / FLOOR)))
    level = f"{peak:6.1f} dBFS" if math.isfinite(peak) else "silence"
    return f"{'#' * lit:<{WIDTH}} {level:<11}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Show the level of the input.")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--virtual", action="store_true", help="a tone instead of a microphone")
    arguments = parser.parse_args()

    source = AudioSource.virtual() if arguments.virtual else AudioSource.default_device()
    chunks = ChannelSink()
    builder = (
        StreamAudio.builder()
        .add_source("input", source)
        .format(FormatPreset.NATIVE)  # the levels are those of the device's own channels
        .add_sink(chunks)
        .config(StreamConfig(chunk_duration=0.05))
        .duration(arguments.seconds)
    )
    end = "\r" if sys.stdout.isatty() else "\n"  # one line that changes, or one a chunk
    try:
        with builder.start():
            for chunk in chunks:
                print(bar(float(chunk.peak.max())), end=end, flush=True)
    except StreamAudioError as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        pass
    print()


if __name__ == "__main__":
    main()
