"""The broadcast extension chunk: who recorded what, when, and at which sample of the day.

EBU Tech 3285 version 2 (2011). Times are local, as the specification has them.
"""

from __future__ import annotations

import struct
from datetime import datetime

from stream_audio.errors import ConfigError, ConfigTypeError

FIELDS = {
    "description": 256,
    "originator": 32,
    "originator_reference": 32,
    "coding_history": 2000,
}
"""What users may say, and how many bytes of ASCII it may have."""

_VERSION = 2
_NOT_MEASURED = 0x7FFF  # of a loudness


def check_bext(settings: object) -> dict[str, str]:
    """Return the fields that were given, or raise ConfigError or ConfigTypeError."""
    if settings is True:
        return {}
    if not isinstance(settings, dict):
        raise ConfigTypeError(f"bext must be True or a dict, not {settings!r}")
    for name, text in settings.items():
        if name not in FIELDS:
            raise ConfigError(f"bext has no field {name!r}", hint=f"It has: {', '.join(FIELDS)}")
        if not isinstance(text, str):
            raise ConfigTypeError(f"bext's {name} must be a string, not {text!r}")
        if not text.isascii() or len(text) > FIELDS[name]:
            raise ConfigError(f"bext's {name} must be at most {FIELDS[name]} ASCII characters")
    return settings


def bext_chunk(
    fields: dict[str, str],
    start_time: float | None,
    sample_rate: int,
    channels: int,
    bits: int,
) -> bytes:
    """Return the chunk; its length depends on ``fields`` alone.

    Parameters
    ----------
    fields : dict
        As :func:`check_bext` returned it.
    start_time : float, optional
        When the first frame was captured, ``time.time()`` seconds; ``None``: not known yet.
    sample_rate : int
        Hz.
    channels, bits : int
        For the coding history, unless there is one in ``fields``.
    """
    date = time = ""
    since_midnight = 0
    if start_time is not None:
        start = datetime.fromtimestamp(start_time)
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
        date, time = f"{start:%Y-%m-%d}", f"{start:%H:%M:%S}"
        # Not start - midnight of a datetime, which has microseconds only: 768 kHz needs better.
        since_midnight = max(0, round((start_time - midnight.timestamp()) * sample_rate))
    history = fields.get("coding_history")
    if history is None:
        mode = {1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")
        history = f"A=PCM,F={sample_rate},W={bits},M={mode},T=stream_audio\r\n"
    content = struct.pack(
        "<256s32s32s10s8sQH64s5H180x",
        fields.get("description", "").encode(),
        fields.get("originator", "stream_audio").encode(),
        fields.get("originator_reference", "").encode(),
        date.encode(),
        time.encode(),
        since_midnight,
        _VERSION,
        bytes(64),  # no UMID
        *[_NOT_MEASURED] * 5,
    )
    content += history.encode()
    # Of even length in itself: libsndfile misses the padding of this chunk in an RF64 file.
    content += bytes(len(content) % 2)
    return struct.pack("<4sI", b"bext", len(content)) + content
