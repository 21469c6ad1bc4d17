"""How thorough a test is: `scripts/test --long` draws all examples, `scripts/test` a sixth."""

import os

LONG = os.environ.get("STREAM_AUDIO_TEST_LONG") == "1"


def examples(number: int) -> int:
    """Return how many of so many examples are tried this time."""
    return number if LONG else max(10, number // 6)
