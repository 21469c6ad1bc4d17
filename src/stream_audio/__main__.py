"""``python -m stream_audio``."""

from stream_audio.cli import main

main()
