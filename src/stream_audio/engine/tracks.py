"""The tracks of a session, by source id."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView

from stream_audio.engine.track import Track


class Tracks(Mapping[str, Track]):
    """A mapping that any thread may look at while the router's thread adds to it.

    Attributes
    ----------
    live : list of Track
        Those that the session goes on for, as of the last :meth:`note`; replaced, never changed.
    read : list of Track
        Those of them whose takes are to be read, likewise.
    some_wait : bool
        Whether one of those waits for its sinks; no device can.
    """

    def __init__(self) -> None:
        self._all: dict[str, Track] = {}  # replaced, never changed
        self._expected: dict[str, Track] = {}
        self.live: list[Track] = []
        self.read: list[Track] = []
        self.some_wait = False

    def add(self, track: Track) -> None:
        """Take a track in; its name must be new."""
        self._all = {**self._all, track.name: track}
        self.note()

    def expect(self, track: Track) -> None:
        """Let a track be found by its name before it is there; on any thread."""
        self._expected[track.name] = track

    def expect_no_more(self, name: str) -> None:
        """Undo that: it is there, or does not come."""
        self._expected.pop(name, None)

    def remove(self, name: str) -> None:
        """Take a track out that has ended."""
        self._all = {each: track for each, track in self._all.items() if each != name}
        self.note()

    def note(self) -> None:
        """Take note of which tracks have come, ended, or lost or got their device."""
        self.live = [track for track in self._all.values() if track.is_live]
        self.read = [track for track in self.live if track.is_read]
        self.some_wait = any(track.shape.freewheel for track in self.read)

    def of(self, names: Iterable[str]) -> list[Track]:
        """Return those of these names, without any that another thread has removed."""
        found = (self.get(name) for name in names)
        return [track for track in found if track is not None]

    def __getitem__(self, name: str) -> Track:
        track = self._all.get(name)
        return self._expected[name] if track is None else track

    def items(self) -> ItemsView[str, Track]:
        """Return those of this moment: a Mapping's own would look each up once more."""
        return self._all.items()

    def values(self) -> ValuesView[Track]:
        """Return those of this moment."""
        return self._all.values()

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)
