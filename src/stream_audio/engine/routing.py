"""From one source to its sinks. Each distinct format is made once, whatever the number of sinks.

Formats are a tree: its root is what the source delivers, a branch is a stage that something goes
through. Formats that begin with the same stages share them: 16-bit and floating-point samples of
one rate are resampled once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence

from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import Gap
from stream_audio.convert.stage import Settings, Stage
from stream_audio.engine.delivery import Delivery, SinkState
from stream_audio.reports.ledger import Ledger, RouteAccount

_log = logging.getLogger("stream_audio")


class Route:
    """From one source, in one format, to one sink."""

    def __init__(self, source: str, delivery: Delivery) -> None:
        self.delivery = delivery
        self.account = RouteAccount(1, 1, source)
        delivery.account.routes.append(self.account)

    def offer(self, chunk: AudioChunk) -> None:
        """Hand a chunk on, unless the sink was given up."""
        if self.delivery.state is not SinkState.DETACHED:
            account, frames = self.account, len(chunk.data)
            if chunk.frame == account.end:  # as nearly always: every sink costs a call less
                account.end += frames
            else:
                account.extend(chunk.frame, frames)
            self.delivery.account.clipped += chunk.clipped
            self.delivery.offer(chunk)

    def lose(self, gap: Gap) -> None:
        """Enter what could not be converted, unless the sink was given up."""
        if self.delivery.state is not SinkState.DETACHED:
            self.account.extend(gap.frame, gap.frames)
            self.delivery.lose(gap)


class Branch:
    """What comes out of a stage, or at the root of the source itself: for whom, and what next."""

    def __init__(self) -> None:
        self.routes: list[Route] = []
        self.stages: dict[Settings, tuple[Stage, Branch]] = {}
        self.failing = False

    def all_routes(self) -> Iterator[Route]:
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
    """

    def __init__(self, source: str, ledger: Ledger) -> None:
        self._source = source
        self._ledger = ledger
        self._root = Branch()

    def add(
        self, stages: Iterable[Settings], delivery: Delivery, before: Sequence[AudioChunk] = ()
    ) -> tuple[Route, list[AudioChunk]]:
        """Route what comes from now on to a sink, through these stages.

        ``before`` are the last chunks that were taken. What they come to is returned, to be
        offered to the new route first: what is taken next joins it exactly.
        """
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
        branch.routes.append(Route(self._source, delivery))
        return branch.routes[-1], made

    def remove(self, delivery: Delivery) -> None:
        """End the routes to a sink; it gets the rest of a conversion that was its own alone."""
        self._remove(self._root, delivery)
        self._prune(self._root)

    @property
    def lone_route(self) -> Route | None:
        """The route, if there is just one, without conversions."""
        root = self._root
        return root.routes[0] if len(root.routes) == 1 and not root.stages else None

    def take(self, chunk: AudioChunk) -> None:
        """Convert the source's next chunk and offer it to every sink. Never raises."""
        root = self._root
        for route in root.routes:
            route.offer(chunk)
        for stage, further in root.stages.values():
            self._convert(stage, further, chunk)

    def finish(self) -> None:
        """Offer what is still in the conversions: nothing will follow. Never raises."""
        self._finish(self._root)

    # ---- within ----

    def _offer(self, branch: Branch, chunks: list[AudioChunk]) -> None:
        for chunk in chunks:
            for route in branch.routes:
                route.offer(chunk)
            for stage, further in branch.stages.values():
                self._convert(stage, further, chunk)

    def _convert(self, stage: Stage, branch: Branch, chunk: AudioChunk | None) -> None:
        """Put a chunk, or the end, through a stage; its failure is a loss of that branch alone."""
        try:
            made = stage.flush() if chunk is None else stage.convert(chunk)
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

    def _finish(self, branch: Branch) -> None:
        for stage, further in branch.stages.values():
            self._convert(stage, further, None)
            self._finish(further)

    def _remove(self, branch: Branch, delivery: Delivery) -> None:
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
