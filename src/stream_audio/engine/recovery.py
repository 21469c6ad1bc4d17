"""What a track does when its device is lost: finds the next take, as its source wants it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from stream_audio.contracts.opening import Opening
from stream_audio.contracts.source import OpenSource, ReopenedSource, follows
from stream_audio.engine.reopener import Reopener, Watch
from stream_audio.engine.take import Take
from stream_audio.engine.track import Track
from stream_audio.errors import DeviceNotFoundError, StreamAudioError

CLOSE_SECONDS = 6.0
"""For which an opening waits for the lost device to be closed: its host gives up after 5 s."""


class Recovery:
    """The successor of a track whose source may go on; see :class:`Successor`.

    Parameters
    ----------
    track : Track
        Has begun its first take.
    source : ReopenedSource
        What is to be opened.
    opening : Opening
        The one of the start; each try has one of its own.
    go_on : callable
        Has the track go on with what was opened; see :meth:`Engine.go_on`.
    end : callable
        Ends the track of that name; see :meth:`Engine.end_track`.
    watch : callable, optional
        As for :class:`Reopener`.
    """

    def __init__(
        self,
        track: Track,
        source: ReopenedSource,
        opening: Opening,
        go_on: Callable[[Track, OpenSource], bool],
        end: Callable[[str], object],
        watch: Callable[[Callable[[], object]], Watch] | None = None,
    ) -> None:
        assert track.take is not None
        self._waits = track.device.waits = source.on_lost != "stop"
        track.device.follows = follows(source)
        self._tries = source.again(track.take.source)
        self._opening = opening.anew()
        self._shape = track.shape
        self._closing: threading.Thread | None = None
        self.reopener = Reopener(
            track.name,
            self._open,
            lambda opened: go_on(track, opened),
            lambda: end(track.name),
            opening.clock,
            timeout=source.lost_timeout,
            watch=watch,
        )

    def take_ended(self, track: Track, take: Take) -> bool:
        """Wait for another take if the device was lost or left, not if it had no more to say."""
        if not take.left_for and not (take.error and self._waits):
            return False
        self._closing = threading.Thread(
            target=take.close, name="stream-audio-closing", daemon=True
        )
        self._closing.start()
        self.reopener.begin()
        if take.left_for:
            self.reopener.nudge()  # nothing is broken: it need not wait
        return True

    @property
    def given_up(self) -> int:
        """How many openings hung."""
        return self.reopener.given_up

    def track_ended(self) -> None:
        """Try no more."""
        self.reopener.end()

    def _open(self) -> OpenSource:
        """Open and start the first of the tries that succeeds; on a thread that may hang."""
        if self._closing is not None:
            self._closing.join(CLOSE_SECONDS)  # a device may be open only once
        opening = self._opening.anew()
        try:
            opened = self._open_one(opening)
        finally:
            opening.close()
        try:
            if opened.sample_rate != self._shape.sample_rate:
                import soxr  # noqa: F401 - here, and not on the router's thread
            opened.start()
        except BaseException:
            opened.close()
            raise
        return opened

    def _open_one(self, opening: Opening) -> OpenSource:
        failure: StreamAudioError = DeviceNotFoundError("nothing is left to open")
        for source in self._tries:
            try:
                return opening.open(source)
            except StreamAudioError as error:
                failure = error
        raise failure
