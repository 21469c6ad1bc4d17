"""Which sound files can be read and written, and what a kill leaves of them."""

from __future__ import annotations

from typing import Literal

from stream_audio._public import public
from stream_audio._record import Record
from stream_audio.files.containers import all_containers

AfterKill = Literal["opens", "empty", "unreadable", "unknown"]

_AFTER_KILL: dict[str, AfterKill] = {"MAT4": "empty", "HTK": "unreadable"}
"""The others open; all of it measured, see the tests."""


@public
class SoundFormat(Record):
    """A sound file format and what can be done with it.

    Attributes
    ----------
    name : str
        The libsndfile name, for ``FileSink(format=…)``.
    description : str
        The format's name for people.
    extensions : tuple of str
        File name endings that stand for the format, with the dot; may be empty.
    subtypes : tuple of str
        Sample types and codecs that can be written, by their libsndfile names, the usual one
        first; empty if the format can only be read.
    settings : tuple of str
        Further settings that ``FileSink`` takes for it: ``quality``, ``compression_level`` and so
        on.
    after_kill : "opens", "empty", "unreadable" or "unknown"
        What libsndfile reads from a file of the usual subtype whose writer was killed: all but the
        last part, no frame, or an error. Measured with libsndfile 1.2.2.
    """

    name: str
    description: str
    extensions: tuple[str, ...]
    subtypes: tuple[str, ...]
    settings: tuple[str, ...]
    after_kill: AfterKill

    @property
    def written(self) -> bool:
        """Whether :class:`~stream_audio.FileSink` writes the format; all can be read."""
        return bool(self.subtypes)


@public
def formats() -> list[SoundFormat]:
    """Return every sound file format that can be read or written, the usual ones first.

    Examples
    --------
    >>> import stream_audio
    >>> [f.name for f in stream_audio.formats()][:4]
    ['WAV', 'RF64', 'FLAC', 'OGG']
    >>> flac = next(f for f in stream_audio.formats() if f.name == "FLAC")
    >>> flac.extensions, flac.subtypes, flac.after_kill
    (('.flac',), ('PCM_16', 'PCM_S8', 'PCM_24'), 'opens')
    """
    import soundfile

    descriptions = dict(soundfile.available_formats())
    found = []
    for container in all_containers():
        description = descriptions.pop(container.name, container.name.title())
        found.append(
            SoundFormat(
                container.name,
                description,
                container.extensions,
                container.subtypes,
                tuple(sorted(container.encoding)),
                _AFTER_KILL.get(container.name, "opens"),
            )
        )
    for name, description in descriptions.items():
        found.append(SoundFormat(name, description, (), (), (), "unknown"))
    return found
