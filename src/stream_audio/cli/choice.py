"""Which sources the options name."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

import stream_audio
from stream_audio import AudioSource, ConfigError, DeviceNotFoundError
from stream_audio.cli.outcome import say
from stream_audio.contracts.source import Source

ONLY_ID = "input"
"""The id of a source that was given none."""

_LONE = ("device", "system", "application", "virtual", "fallback_virtual")
"""Options that name the only source; two of them exclude each other, but for the first two."""

_WITH_ID = re.compile(r"([\w.-]+)=(.+)")


def chosen_sources(given: Mapping[str, Any], *, tell: bool = True) -> dict[str, Source]:
    """Return the sources by their ids, or raise ConfigError.

    Parameters
    ----------
    given : mapping of str to object
        The options of the command by their names in Python: ``source``, ``device``, ``system``,
        ``application``, ``virtual`` and ``fallback_virtual``.
    tell : bool
        Whether a fallback is told.
    """
    lone = [name for name in _LONE if given[name] not in (None, False)]
    if given["source"]:
        if lone:
            raise ConfigError(f"{_option(lone[0])} and --source exclude each other")
        return _named(given["source"])
    if len(lone) > 1 and lone != ["device", "system"]:
        both = f"{_option(lone[0])} and {_option(lone[1])}"
        raise ConfigError(f"{both} exclude each other")
    if given["application"] is not None:
        return {ONLY_ID: _application(given["application"])}
    if given["system"]:
        return {ONLY_ID: AudioSource.system(given["device"])}
    if given["device"] is not None:
        return {ONLY_ID: AudioSource.device(given["device"])}
    if given["virtual"] or (given["fallback_virtual"] and not _has_default(tell=tell)):
        return {ONLY_ID: AudioSource.virtual("sine")}
    return {ONLY_ID: AudioSource.default_device()}


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


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
