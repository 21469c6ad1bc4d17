"""From one source to its sinks. Each distinct format is made once, whatever the number of sinks.

Formats are a tree: its root is what the source delivers, a branch is a stage that something goes
through. Formats that begin with the same stages share them: 16-bit and floating-point samples of
one rate are resampled once.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.audio.untold_gaps import append_gap
from stream_audio.convert.aligner import Aligner
from stream_audio.convert.stage import Settings, Stage, Stateless
from stream_audio.engine.delivery import Delivery, SinkState
from stream_audio.reports.ledger import Ledger, RouteAccount

_log = logging.getLogger("stream_audio")


class Ending(Protocol):
    """Where a way from a source ends: at a sink, or in a merge."""

    @property
    def delivery(self) -> object:
        """Who gets it, to whom other ways may lead."""

    def offer(self, chunk: AudioChunk) -> None:
        """Hand a chunk on; one without frames tells of gaps that no audio has followed yet."""

    def lose(self, gap: Gap) -> None:
        """Enter what could not be converted."""

    def end(self) -> None:
        """Say that the source has ended."""

    def close(self) -> None:
        """Say that the session has ended, and so the source's timeline."""


class Route:
    """From one source, in one format, to one sink."""

    def __init__(self, source: str, delivery: Delivery) -> None:
        self.delivery = delivery
        self._gaps: AudioChunk | None = None  # told, and not followed by audio yet
        self.account = RouteAccount(1, 1, source)
        delivery.account.routes.append(self.account)

    def offer(self, chunk: AudioChunk) -> None:
        """Hand a chunk on, unless the sink was given up."""
        if self.delivery.state is SinkState.DETACHED:
            return
        if self._gaps is not None:
            gaps, self._gaps = list(self._gaps.gaps), None
            for gap in chunk.gaps:
                append_gap(gaps, gap)
            chunk = replace(chunk, gaps=tuple(gaps))
        account, frames = self.account, len(chunk.data)
        if not frames:
            self._gaps = chunk
            return
        if account.begins is None:
            self._begin(chunk)
        if chunk.frame == account.end:  # as nearly always: every sink costs a call less
            account.end += frames
        else:
            account.extend(chunk.frame, frames)
        self.delivery.account.clipped += chunk.clipped
        self.delivery.offer(chunk)

    def _begin(self, chunk: AudioChunk) -> None:
        """Note when the first chunk begins, the gaps before it included."""
        before = chunk.frame - min([chunk.frame, *(gap.frame for gap in chunk.gaps)])
        self.account.begins = chunk.timestamp - before / chunk.sample_rate

    def lose(self, gap: Gap) -> None:
        """Enter what could not be converted, unless the sink was given up."""
        if self.delivery.state is not SinkState.DETACHED:
            self.account.extend(gap.frame, gap.frames)
            self.delivery.lose(gap)

    def end(self) -> None:
        """Do nothing: a sink learns of the end of a session only."""

    def close(self) -> None:
        """Tell of the gaps that no audio will follow, in a chunk without frames."""
        if self._gaps is not None and self.delivery.state is not SinkState.DETACHED:
            chunk, self._gaps = self._gaps, None
            if self.account.begins is None:
                self._begin(chunk)
            self.delivery.offer(chunk)


class Branch:
    """What comes out of a stage, or at the root of the source itself: for whom, and what next."""

    def __init__(self) -> None:
        self.routes: list[Ending] = []
        self.stages: dict[Settings, tuple[Stage, Branch]] = {}
        self.failing = False

    def all_routes(self) -> Iterator[Ending]:
        """Yield the routes of this branch and of those that follow."""
        yield from self.routes
        for _, branch in self.stages.values():
            yield from branch.all_routes()


class Routing:
    """The routes of one source. Used on the router's thread, or before it runs.

    Parameters
    ----------
    source : str
        The source's id.
    ledger : Ledger
        Where the conversions are accounted for.

    Attributes
    ----------
    left : deque of (AudioChunk, Route)
        What one route has got, and all others are to get before anything else: see
        :meth:`catch_up`. A consumer's thread may append to it.
    """

    def __init__(self, source: str, ledger: Ledger) -> None:
        self._source = source
        self._ledger = ledger
        self._root = Branch()
        self.left: deque[tuple[AudioChunk, Ending]] = deque()

    def add(
        self, stages: Iterable[Settings], delivery: Delivery, before: Sequence[AudioChunk] = ()
    ) -> tuple[Route, list[AudioChunk]]:
        """Route what comes from now on to a sink, through these stages.

        ``before`` are the last chunks that were taken. What they come to is returned, to be
        offered to the new route first: what is taken next joins it exactly.
        """
        route = Route(self._source, delivery)
        return route, self.add_route(stages, route, before)

    def add_route(
        self, stages: Iterable[Settings], route: Ending, before: Sequence[AudioChunk] = ()
    ) -> list[AudioChunk]:
        """Lead what comes from now on to a route; returns what ``before`` comes to."""
        self.catch_up()
        branch, made = self._root, list(before)
        try:
            for settings in stages:
                if settings in branch.stages:
                    stage, branch = branch.stages[settings]
                    made = stage.replay(made)
                else:
                    stage = settings.make()
                    if stage.account is not None:
                        self._ledger.open_conversion(self._source, stage.account)
                    branch.stages[settings] = stage, Branch()
                    branch = branch.stages[settings][1]
                    made = [each for chunk in made for each in stage.convert(chunk)]
        except BaseException:
            self._prune(self._root)
            raise
        branch.routes.append(route)
        return made

    def remove(self, delivery: object) -> None:
        """End the routes to a sink; it gets the rest of a conversion that was its own alone."""
        self.catch_up()
        self._remove(self._root, delivery)
        self._prune(self._root)

    @property
    def is_empty(self) -> bool:
        """Whether nobody gets anything."""
        return not any(True for _ in self._root.all_routes())

    def plain_route(self, delivery: Delivery) -> Route | None:
        """Return the route to a sink, if it has no conversions, and no route leads to a merge."""
        found = None
        for route in self._root.all_routes():
            if not isinstance(route, Route):
                return None
            if route.delivery is delivery and route in self._root.routes:
                found = route
        return found

    def is_lone(self, route: Route) -> bool:
        """Whether there is no other."""
        return list(self._root.all_routes()) == [route]

    def take(self, chunk: AudioChunk) -> None:
        """Convert the source's next chunk and offer it to every sink. Never raises."""
        if self.left:
            self.catch_up()
        self._take(chunk)

    def _take(self, chunk: AudioChunk, served: Ending | None = None) -> None:
        root = self._root
        for route in root.routes:
            if route is not served:
                route.offer(chunk)
        for stage, further in root.stages.values():
            self._convert(stage, further, chunk)

    def catch_up(self) -> None:
        """Offer to the other routes what one of them was handed at once. Never raises."""
        while self.left:
            self._take(*self.left.popleft())

    def skip(self, chunk: AudioChunk) -> None:
        """Pass over what a pause left out: aligned tracks know at once that it is missing."""
        self.catch_up()
        self._skip(self._root, chunk)

    def pass_on(self) -> None:
        """Offer what is in the aligners: nothing will follow for a while, nor join it then."""
        for stage, further in self._aligners(self._root):
            self._convert(stage, further, None)

    def finish(self) -> None:
        """Offer what is still in the conversions: nothing will follow. Never raises."""
        self.catch_up()
        self._finish(self._root)
        for route in self._root.all_routes():
            route.end()

    def aligned_to(self) -> float:
        """Return up to which second of the session its aligned tracks go; 0 without any."""
        ends = [stage.end / stage.rate for stage, _ in self._aligners(self._root)]
        return max(ends, default=0.0)

    def close(self, seconds: float, cause: GapCause) -> None:
        """End with the session: aligned tracks all last up to the same second of it."""
        for stage, further in self._aligners(self._root):
            self._offer(further, stage.close(round(seconds * stage.rate), cause))
        for route in self._root.all_routes():
            route.close()

    # ---- within ----

    def _offer(self, branch: Branch, chunks: list[AudioChunk]) -> None:
        for chunk in chunks:
            for route in branch.routes:
                route.offer(chunk)
            for stage, further in branch.stages.values():
                self._convert(stage, further, chunk)

    def _convert(self, stage: Stage, branch: Branch, chunk: AudioChunk | None) -> None:
        """Put a chunk, or the end, through a stage; its failure is a loss of that branch alone."""
        self._put(
            stage, branch, chunk, stage.flush if chunk is None else partial(stage.convert, chunk)
        )

    def _put(
        self,
        stage: Stage,
        branch: Branch,
        chunk: AudioChunk | None,
        make: Callable[[], list[AudioChunk]],
    ) -> None:
        try:
            made = make()
        except Exception:
            if not branch.failing:
                _log.exception("source %s cannot be converted; frames are missing", self._source)
            branch.failing = True
            for gap in stage.give_up(chunk):
                self._lose(branch, gap)
        else:
            branch.failing = False
            self._offer(branch, made)

    def _lose(self, branch: Branch, gap: Gap) -> None:
        for route in branch.routes:
            route.lose(gap)
        for stage, further in branch.stages.values():
            self._lose(further, stage.scaled(gap))

    def _skip(self, branch: Branch, chunk: AudioChunk) -> None:
        for stage, further in branch.stages.values():
            if isinstance(stage, Aligner):
                self._put(stage, further, chunk, partial(stage.skip, chunk))
            elif isinstance(stage, Stateless):
                self._skip(further, chunk)

    def _aligners(self, branch: Branch) -> Iterator[tuple[Aligner, Branch]]:
        for stage, further in branch.stages.values():
            if isinstance(stage, Aligner):
                yield stage, further
            yield from self._aligners(further)

    def _finish(self, branch: Branch) -> None:
        for stage, further in branch.stages.values():
            self._convert(stage, further, None)
            self._finish(further)

    def _remove(self, branch: Branch, delivery: object) -> None:
        for stage, further in branch.stages.values():
            if all(route.delivery is delivery for route in further.all_routes()):
                self._convert(stage, further, None)
                self._finish(further)
            self._remove(further, delivery)
        branch.routes = [route for route in branch.routes if route.delivery is not delivery]

    def _prune(self, branch: Branch) -> None:
        """Forget stages that nobody needs any more."""
        for settings, (stage, further) in list(branch.stages.items()):
            if any(further.all_routes()):
                self._prune(further)
                continue
            del branch.stages[settings]
            self._prune(further)
            if stage.account is not None:
                stage.give_up()  # what is inside, after an error, is for nobody any more
                self._ledger.close_conversion(stage.account)
