"""Which sources the options name."""

from __future__ import annotations

import re
import sys

import stream_audio
from stream_audio import AudioSource, ConfigError, DeviceNotFoundError
from stream_audio.cli.outcome import say
from stream_audio.contracts.source import Source

ONLY_ID = "input"
"""The id of a source that was given none."""

_WITH_ID = re.compile(r"([\w.-]+)=(.+)")


def chosen_sources(
    sources: list[str] | None,
    *,
    device: str | None,
    system: bool,
    application: str | None,
    virtual: bool,
    fallback_virtual: bool,
    tell: bool = True,
) -> dict[str, Source]:
    """Return the sources by their ids, or raise ConfigError; ``tell`` of a fallback."""
    lone = {
        "--device": device is not None,
        "--system": system,
        "--application": application is not None,
        "--virtual": virtual,
        "--fallback-virtual": fallback_virtual,
    }
    given = [option for option, is_given in lone.items() if is_given]
    if sources:
        if given:
            raise ConfigError(f"{given[0]} and --source exclude each other")
        return _named(sources)
    if len(given) > 1 and given != ["--device", "--system"]:
        raise ConfigError(f"{given[0]} and {given[1]} exclude each other")
    if application is not None:
        return {ONLY_ID: _application(application)}
    if system:
        return {ONLY_ID: AudioSource.system(device)}
    if device is not None:
        return {ONLY_ID: AudioSource.device(device)}
    if virtual or (fallback_virtual and not _has_default(tell=tell)):
        return {ONLY_ID: AudioSource.virtual("sine")}
    return {ONLY_ID: AudioSource.default_device()}


def _named(sources: list[str]) -> dict[str, Source]:
    found: dict[str, Source] = {}
    for text in sources:
        named = _WITH_ID.fullmatch(text)
        what = named[2] if named else text
        id = named[1] if named else ONLY_ID if len(sources) == 1 else text
        if id in found:
            raise ConfigError(f"two sources have the id {id!r}", hint="Write --source ID=NAME")
        found[id] = _source(what)
    return found


def _source(what: str) -> Source:
    kind, _, name = what.partition(":")
    if what == "default":
        return AudioSource.default_device()
    if kind == "system" and name != "":
        return AudioSource.system(name)
    if what == "system":
        return AudioSource.system()
    if kind == "app" and name:
        return _application(name)
    if what == "virtual":
        return AudioSource.virtual("sine")
    if what == "-":
        return AudioSource.stream(sys.stdin.buffer)
    return AudioSource.device(what)


def _application(name: str) -> Source:
    return AudioSource.application(int(name) if name.isdecimal() else name)


def _has_default(*, tell: bool) -> bool:
    try:
        stream_audio.default_input_device()
    except (DeviceNotFoundError, stream_audio.BackendError) as error:
        if tell:
            say(f"{error.message}: recording a tone from the virtual device", "yellow")
        return False
    return True
