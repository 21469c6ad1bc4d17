"""``python -m stream_audio.cli``."""

from stream_audio.cli import main

main()
