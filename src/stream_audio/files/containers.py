"""Which container a file is written in: by the name of a format, or by the file's ending."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream_audio._checks import one_of
from stream_audio.errors import ConfigError, ConfigTypeError
from stream_audio.files.wav_codecs import RF64, WAV
from stream_audio.files.writer import Container, Encoding

if TYPE_CHECKING:
    from pathlib import Path


def all_containers() -> tuple[Container, ...]:
    """Every container that can be written, ours first; loads soundfile."""
    from stream_audio.files.libsndfile.containers import containers

    return (WAV, RF64, *containers())


def find_container(path: Path, name: str | None) -> Container:
    """Return the container for a file.

    Parameters
    ----------
    path : Path
        Its ending decides if there is no ``name``.
    name : str, optional
        A libsndfile name, in any case: ``"wav"``, ``"FLAC"``.

    Raises
    ------
    ConfigError, ConfigTypeError
        There is no such format, or the ending tells none.
    """
    if name is not None and not isinstance(name, str):
        raise ConfigTypeError(f"format must be a string, not {name!r}")
    # Asked first, as it does without soundfile.
    if _fits(WAV, path, name):
        return WAV
    containers = all_containers()
    for container in containers:
        if _fits(container, path, name):
            return container
    if name is not None:
        known = ", ".join(container.name for container in containers)
        raise ConfigError(f"there is no file format {name!r}", hint=f"There are: {known}")
    endings = ", ".join(ending for container in containers for ending in container.extensions)
    raise ConfigError(
        f"cannot tell a file format from {str(path)!r}",
        hint=f"Use one of these endings, or name a format: {endings}",
    )


def _fits(container: Container, path: Path, name: str | None) -> bool:
    if name is not None:
        return name.upper() == container.name
    return path.suffix.lower() in container.extensions


def check_encoding(container: Container, subtype: str | None, encoding: Encoding) -> str:
    """Return the subtype to use, or raise if the container cannot be written so."""
    chosen = container.subtypes[0]
    if subtype is not None:
        chosen = one_of("subtype", subtype, container.subtypes)
    for key in encoding:
        if key not in container.encoding:
            known = ", ".join(sorted(container.encoding)) or "none"
            raise ConfigTypeError(
                f"a {container.name} file has no setting {key!r}", hint=f"It has: {known}"
            )
    container.check(chosen, encoding)
    return chosen
