"""``python -m stream_audio.latency``."""

import sys

from stream_audio.latency import main

if __name__ == "__main__":
    sys.exit(main())
