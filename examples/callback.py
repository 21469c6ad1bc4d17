"""Call a function for each chunk: say when it becomes loud, and when it is quiet again.

The function runs on a thread of its own, not on the audio thread: it may print, wait and compute.

    python examples/callback.py --threshold -30
    python examples/callback.py --seconds 2 --virtual     without a microphone
"""

import argparse

from stream_audio import AudioChunk, AudioSource, CallbackSink, StreamAudioError
from stream_audio import open as open_session


class LoudnessWatch:
    """Tells each change between loud and quiet, with its place in the recording."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.is_loud = False

    def hear(self, chunk: AudioChunk) -> None:
        """Look at one chunk; called in order, one at a time."""
        is_loud = bool(chunk.peak.max() > self.threshold)
        if is_loud != self.is_loud:
            self.is_loud = is_loud
            seconds = chunk.frame / chunk.sample_rate
            print(f"{seconds:8.1f} s  {'loud' if is_loud else 'quiet'}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Say when the input is loud.")
    parser.add_argument("--threshold", type=float, default=-20.0, help="in dBFS")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--virtual", action="store_true", help="a tone instead of a microphone")
    arguments = parser.parse_args()

    watch = LoudnessWatch(arguments.threshold)
    source = AudioSource.virtual() if arguments.virtual else AudioSource.default_device()
    try:
        with open_session(source, sinks=[CallbackSink(watch.hear)]) as session:
            session.wait(arguments.seconds)
    except StreamAudioError as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
