"""Where a recording goes: files, and the standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import typer

from stream_audio import AudioFormat, ConfigError, FileSink, Merge, StreamAudioBuilder
from stream_audio.cli.options import seconds
from stream_audio.cli.outcome import out, say
from stream_audio.contracts.source import Source
from stream_audio.files.containers import find_container
from stream_audio.files.libsndfile.limits import NotHeldError

STDOUT = "-"
MergeMode = Literal["mix", "channels"]


class Output:
    """One file, and the sources that go into it: several as their merge."""

    def __init__(
        self,
        file: str,
        sources: tuple[str, ...],
        rate: int | None,
        channels: int | None,
        merge: MergeMode | None,
        settings: dict[str, Any],
    ) -> None:
        self.file = file
        self.sources = sources
        self.merge: MergeMode | None = None
        if len(sources) > 1:
            self.merge = merge or "mix"
        self.rate = rate
        self.channels = channels
        self.name = STDOUT if self.is_stdout else Path(file).name
        """The sink's name in the report."""
        self._settings = settings
        self._rate_was_asked_for = rate is not None

    @property
    def is_stdout(self) -> bool:
        """Whether it is the standard output."""
        return self.file == STDOUT

    @property
    def described_path(self) -> str:
        """The path for a report."""
        return STDOUT if self.is_stdout else str(Path(self.file).resolve())

    def add_to(self, builder: StreamAudioBuilder) -> None:
        """Add a sink for it."""
        target = sys.stdout.buffer if self.is_stdout else self.file
        builder.add_sink(
            FileSink(target, **self._settings),
            name=self.name,
            sources=self.sources,
            format=AudioFormat(self.rate, self.channels),
            merge=None if self.merge is None else Merge(self.merge),
        )

    def convert_for(self, error: NotHeldError) -> bool:
        """Take a rate that the format has, if that was the error; the user set none."""
        if self._rate_was_asked_for or self.rate is not None or not error.rates:
            return False
        if error.kind not in self._kinds():
            return False
        above = [rate for rate in error.rates if rate >= error.sample_rate]
        self.rate = min(above) if above else max(error.rates)
        say(
            f"{Path(self.file).name} cannot hold {error.sample_rate} Hz: "
            f"converting to {self.rate} Hz",
            "yellow",
        )
        return True

    def _kinds(self) -> tuple[str, str]:
        format = self._settings.get("format") or ("WAV" if self.is_stdout else None)
        container = find_container(Path(self.file), format)
        return container.name, self._settings.get("subtype") or container.subtypes[0]


def outputs_of(
    file: str | None,
    more: list[str] | None,
    sources: dict[str, Source],
    *,
    rate: int | None,
    channels: int | None,
    merge: MergeMode | None,
    settings: dict[str, Any],
    may_be_none: bool,
) -> list[Output]:
    """Return what was asked for, or raise ConfigError."""
    files = [*([file] if file is not None else []), *(more or [])]
    if not files and not may_be_none:
        raise typer.BadParameter("name a FILE to write, or - for the standard output")
    found = []
    for text in files:
        name, ids = _split(text, sources)
        if name == STDOUT and out.is_terminal:
            raise ConfigError(
                "audio is not written to a terminal",
                hint="Send it on: stream-audio record - | program",
            )
        found.append(Output(name, ids, rate, channels, merge, settings))
    names = [output.name for output in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two files are called {name}", hint="Give them different names")
    return found


def _split(text: str, sources: dict[str, Source]) -> tuple[str, tuple[str, ...]]:
    """Return the file, and the sources that are named behind it: ``call.wav:me,others``."""
    name, colon, after = text.rpartition(":")
    ids = tuple(after.split(","))
    if colon and name and all(id in sources for id in ids):
        return name, ids
    return text, tuple(sources)


def settings_of(*, rotate: str | None, keep: str | None, **others: Any) -> dict[str, Any]:
    """Return the settings of a FileSink, of which those that were not given are left out."""
    given = {
        **others,
        "rotate": None if rotate is None else _time_or_text(rotate),
        "keep": int(keep) if keep is not None and keep.isdecimal() else keep,
    }
    return {name: value for name, value in given.items() if value is not None}


def _time_or_text(text: str) -> float | str:
    try:
        return seconds(text)
    except typer.BadParameter:
        return text  # a size, or what FileSink refuses in its own words
