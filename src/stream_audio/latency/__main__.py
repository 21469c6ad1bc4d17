"""``python -m stream_audio.latency``."""

from stream_audio import _terminal
from stream_audio.latency import main

if __name__ == "__main__":
    _terminal.run(main)
