"""What a user says of a sink when adding it, to a builder or to a running session."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, cast

from stream_audio._checks import name_text, one_of, real_number
from stream_audio._record import Record
from stream_audio.audio.format import (
    SAMPLE_TYPES,
    AudioFormat,
    FormatPreset,
    SampleType,
    audio_format,
)
from stream_audio.backlog.policy import Backlog
from stream_audio.contracts.sink import LONGEST_GATHER, OnFailure
from stream_audio.errors import ConfigError, ConfigTypeError


class SinkSpec(Record):
    """A sink and how it is to be served."""

    name: str
    sink: Any
    sources: tuple[str, ...] | None  # None: all
    on_failure: OnFailure
    backlog: Backlog | None  # None: the session's
    format: AudioFormat | None = None  # None: the session's
    dtype: SampleType = "float32"
    """What it asks for, should its format leave the type of sample open."""
    gather: float = 0.0
    """Seconds that its chunks may gather in the ring."""
    takes_batches: bool = False
    """Whether what gathered may come as one chunk."""

    def check_sources(self, ids: Collection[str]) -> None:
        """Refuse ids that no source has."""
        for source in self.sources or ():
            if source not in ids:
                raise ConfigError(
                    f"sink {self.name} wants a source {source!r} that does not exist",
                    hint=f"There are: {', '.join(ids)}",
                )


def sink_spec(
    sink: Any,
    *,
    sources: str | Iterable[str] | None,
    name: str | None,
    on_failure: OnFailure,
    format: AudioFormat | FormatPreset | None,
    backlog: Backlog | None,
    taken: Collection[str],
) -> SinkSpec:
    """Check what the user said; ``taken``: the names of the other sinks."""
    if not callable(getattr(sink, "write", None)):
        raise ConfigTypeError(
            f"{sink!r} is not a sink: it has no method write(chunk)",
            hint="Use FileSink, ChannelSink, CallbackSink, or an object with write(chunk)",
        )
    chosen: tuple[str, ...] | None = None
    if sources is not None:
        chosen = source_ids(sources)
        if not chosen:
            raise ConfigError("sources must not be empty", hint="Leave it out for all sources")
    one_of("on_failure", on_failure, ("detach", "skip"))
    if not isinstance(backlog, (Backlog, type(None))):
        raise ConfigTypeError(
            f"backlog must be a Backlog, not {backlog!r}", hint="Backlog('32 MiB', 'drop_oldest')"
        )
    if name is None:
        name = _free_name(sink, taken)
    elif name_text("name", name) in taken:
        raise ConfigError(f"there is already a sink {name!r}", hint="Give it another name")
    dtype = one_of("preferred_dtype", getattr(sink, "preferred_dtype", "float32"), SAMPLE_TYPES)
    gather = real_number("gather", getattr(sink, "gather", 0.0), 0, LONGEST_GATHER)
    return SinkSpec(
        name,
        sink,
        chosen,
        on_failure,
        backlog,
        None if format is None else audio_format(format),
        cast(SampleType, dtype),
        gather,
        bool(getattr(sink, "takes_batches", False)),
    )


def source_ids(sources: object) -> tuple[str, ...]:
    """Return the ids that a user gave, as one or as several."""
    if isinstance(sources, str):
        return (sources,)
    if isinstance(sources, Iterable):
        names = tuple(sources)
        if all(isinstance(name, str) for name in names):
            return tuple(dict.fromkeys(names))
    raise ConfigTypeError(f"sources takes the id of a source or a list of ids, not {sources!r}")


def _free_name(sink: object, taken: Collection[str]) -> str:
    base = cast(str, getattr(sink, "name", None) or type(sink).__name__)
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name
