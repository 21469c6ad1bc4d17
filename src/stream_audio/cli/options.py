"""Options that several commands share."""

from __future__ import annotations

import contextlib
import math
import re
from typing import Annotated

import typer

import stream_audio
from stream_audio import StreamAudioError

_DURATION = re.compile(
    r"(?=.)(?:(\d+(?:\.\d+)?)\s*h)?\s*(?:(\d+(?:\.\d+)?)\s*m(?:in)?)?\s*(?:(\d+(?:\.\d+)?)\s*s?)?"
)


def seconds(text: str | float) -> float:
    """Read a duration: 90, 1m, 1h30m or 2.5s."""
    with contextlib.suppress(ValueError):
        number = float(text)
        if not math.isnan(number):
            return number
    found = _DURATION.fullmatch(str(text).strip().lower())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no duration: write 90, 1m or 1h30m")
    hours, minutes, rest = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + rest


def clock(seconds_: float) -> str:
    """Return a time as people read it: 0:01:30."""
    whole = int(seconds_)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def device_names(incomplete: str) -> list[str]:
    """Complete the name of a device; nothing where none can be listed."""
    try:
        names = [device.name for device in stream_audio.list_input_devices()]
    except StreamAudioError:
        return []
    return [name for name in names if name.startswith(incomplete)]


def source_names(incomplete: str) -> list[str]:
    """Complete what is recorded, behind an id or without one."""
    id, equals, begun = incomplete.rpartition("=")
    names = [*("default", "system", "virtual"), *device_names("")]
    return [f"{id}{equals}{name}" for name in names if name.startswith(begun)]


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Duration = Annotated[
    float | None,
    typer.Option(
        "-d", "--duration", parser=seconds, metavar="TIME",
        help="How long: 90 (seconds), 1m or 1h30m. Without it, until you press Ctrl-C.",
    ),
]  # fmt: skip
OnLost = Annotated[
    str | None,
    typer.Option(
        metavar="WHAT",
        help="When a device is lost: `wait` until it is back, go on with the `default` one, or "
        "`stop`. Usually `wait`.",
    ),
]
LostTimeout = Annotated[
    float | None,
    typer.Option(
        "--lost-timeout", parser=seconds, metavar="TIME",
        help="How long a lost device is waited for: 90 (seconds), 1m or 1h30m. Usually for ever.",
    ),
]  # fmt: skip
Rate = Annotated[
    int | None,
    typer.Option("-r", "--rate", metavar="HZ", help="Samples a second. Usually the device's."),
]
Channels = Annotated[
    int | None,
    typer.Option("-c", "--channels", metavar="N", help="Channels. Usually all of the device's."),
]
Subtype = Annotated[
    str | None, typer.Option(help="PCM_16, PCM_24, FLOAT …; see `stream-audio formats`.")
]
Quality = Annotated[float | None, typer.Option(help="Ogg and MP3: 0 (smallest) to 1 (best).")]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", autocompletion=device_names,
        help="The device to record: its name, a part of it, or its id from `stream-audio "
        "devices`. With --system, the output. Usually the system's default.",
    ),
]  # fmt: skip
System = Annotated[
    bool, typer.Option("--system", help="Record what the computer plays, not an input.")
]
Application = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Record what this program plays: its name or process id."),
]
Virtual = Annotated[
    bool, typer.Option("--virtual", help="Record a test tone; this needs no device.")
]
FallbackVirtual = Annotated[
    bool,
    typer.Option("--fallback-virtual", help="If there is no default input, record a test tone."),
]
Sources = Annotated[
    list[str] | None,
    typer.Option(
        "-s", "--source", metavar="[ID=]WHAT", autocompletion=source_names,
        help="A source to record, with a short id of your choice; may be given several times. "
        "WHAT is the name of a device, `default`, `system` (what the computer plays), "
        "`app:NAME` (what a program plays), `virtual` (a test tone) or `-` (a WAV file on the "
        "standard input).",
    ),
]  # fmt: skip
