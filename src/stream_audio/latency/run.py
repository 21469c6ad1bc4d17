"""All that was asked for, one measurement after the other, into one document."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import product
from typing import Any

from stream_audio import AudioSource, StreamAudioError
from stream_audio.contracts.source import Source
from stream_audio.devices.list import input_device
from stream_audio.latency.compare import (
    PeerError,
    Reference,
    Turn,
    comparison,
    run_turn,
    steady,
    true_rate,
)
from stream_audio.latency.machine import PACKAGES, describe
from stream_audio.latency.measure import (
    WARM_UP,
    Format,
    Measured,
    Setup,
    look_at,
    measure,
    summary,
)
from stream_audio.latency.options import Options
from stream_audio.latency.peers import PEER_PACKAGES, Wanted, installed_peers
from stream_audio.latency.progress import Progress
from stream_audio.latency.round_trip import measure_round_trip
from stream_audio.reports.schema import SCHEMA
from stream_audio.waiting.clock import MonotonicClock

VIRTUAL_PERIOD = 256
TURN_OVERHEAD = 3.0
"""Seconds of a contender's turn besides those that count: its start, and its rests."""

Stop = Callable[[], bool]


class Script:
    """One run of the script. ``document`` holds what there is so far.

    Parameters
    ----------
    options : Options
        What to measure.
    stopped : callable
        Whether the user has had enough.
    """

    def __init__(self, options: Options, stopped: Stop) -> None:
        self._options = options
        self._stopped = stopped
        self._progress = Progress(self._total())
        self._true_rate = 0.0
        packages = (*PACKAGES, *PEER_PACKAGES) if options.compare else PACKAGES
        self.document: dict[str, Any] = {
            "schema": SCHEMA,
            "machine": describe(packages),
            "settings": _settings(options),
            "interrupted": False,
            "runs": [],
        }

    def run(self) -> None:
        """Measure everything that was asked for, until told to stop."""
        try:
            if self._options.round_trip:
                self._round_trip()
            else:
                self._runs()
                if self._options.compare and not self._stopped():
                    self._compare()
        finally:
            self._progress.clear()
            self.document["interrupted"] = self._stopped()

    # ---- sessions of ours ----

    def _runs(self) -> None:
        options = self._options
        seen: set[tuple[str, int, int]] = set()
        for load, period in product(options.load, options.periods):
            source, found = self._source(period)
            for chunk in options.chunks:
                # On JACK all periods are one, and a chunk of one period may be asked for twice.
                one = (load, found.period, chunk or found.period)
                if one in seen or self._stopped():
                    continue
                seen.add(one)
                setup = Setup(
                    source=source,
                    format=found,
                    chunk=chunk or found.period,
                    load=load,
                    delay=options.delay / 1000,
                    switch_interval=options.switch_interval,
                    clock=MonotonicClock(),
                )
                self._run(setup)

    def _run(self, setup: Setup) -> None:
        kinds = self._options.kinds
        groups = [kinds] if self._options.soak else [[kind] for kind in kinds]
        parts: list[Measured] = []
        for group in groups:
            if self._stopped():
                break
            label = f"{'+'.join(group)}, load {setup.load}, period {setup.format.period}"
            parts.append(measure(setup, group, self._options.seconds, self._go_on(f"{label}…")))
            self._progress.step(WARM_UP + self._options.seconds)
        if parts:
            self._true_rate = _true_rate(parts[0])
            self.document["runs"].append(summary(parts, encode=self._options.json))

    def _source(self, period: int) -> tuple[Source, Format]:
        options = self._options
        if options.device is None:
            virtual = AudioSource.virtual(
                "noise",
                sample_rate=options.rate or 48_000,
                channels=options.channels or 2,
                period=period or VIRTUAL_PERIOD,
            )
            found = Format(options.rate or 48_000, options.channels or 2, period or VIRTUAL_PERIOD)
            self.document["device"] = {"name": "virtual", "host_api": "none"}
            return virtual, found
        settings: dict[str, Any] = {
            "sample_rate": options.rate,
            "channels": options.channels,
            "period": period or None,
            "latency": options.latency,
        }
        if options.device == "default":
            device = AudioSource.default_device(**settings)
        else:
            device = AudioSource.device(options.device, **settings)
        found = look_at(device)
        name = None if options.device == "default" else options.device
        full = input_device(name)
        self.document["device"] = {"name": full.name, "host_api": full.host_api}
        return device, found

    # ---- others ----

    def _compare(self) -> None:
        """Let every contender have its turn in every round, so that all meet the same machine."""
        names = installed_peers()
        first = self.document["runs"][0]
        device = self.document["device"]
        wanted = Wanted(
            device["name"],
            device["host_api"],
            first["sample_rate"],
            first["channels"],
            first["period"],
        )
        turns: dict[tuple[str, str], list[Turn]] = {}
        failures: dict[str, str] = {}
        with ExitStack() as cleanup:
            reference = self._reference(wanted, cleanup)
            planned = [
                (number, load, name)
                for number in range(self._options.rounds)
                for load in self._options.load
                for name in names
            ]
            for number, load, name in planned:
                if self._stopped():
                    break
                go_on = self._go_on(f"{name}, load {load}, round {number + 1}…")
                try:
                    turn = run_turn(name, wanted, load, self._options.seconds, go_on)
                except PeerError as error:
                    failures[name] = str(error)
                else:
                    if turn is not None:
                        turns.setdefault((load, name), []).append(turn)
                self._progress.step(self._options.seconds + TURN_OVERHEAD)
        frames_at = reference.frames_at if reference else steady(self._true_rate)
        compared: dict[str, Any] = {}
        for (load, name), of_one in turns.items():
            figures = comparison(of_one, frames_at, wanted.sample_rate, wanted.period)
            compared.setdefault(load, {})[name] = figures
        self.document["compare"] = {
            "reference": reference is not None,
            "true_rate": self._true_rate,
            "loads": compared,
            "failures": failures,
        }

    def _reference(self, wanted: Wanted, cleanup: ExitStack) -> Reference | None:
        """Return a running reference, or ``None`` where the device can be opened only once."""
        references = [
            Reference(wanted.source(), wanted.period, wanted.sample_rate) for _ in range(2)
        ]
        try:
            cleanup.enter_context(references[0])
            with references[1]:
                return references[0]
        except StreamAudioError:
            cleanup.close()
            return None

    def _round_trip(self) -> None:
        options = self._options
        self.document["round_trip"] = measure_round_trip(
            options.seconds,
            input=None if options.device == "default" else options.device,
            output=options.output,
            sample_rate=options.rate,
            period=options.periods[0],
            latency=options.latency,
            level=options.level,
            go_on=self._go_on("round trip…"),
        )

    # ---- progress ----

    def _go_on(self, label: str) -> Callable[[float], bool]:
        def go_on(passed: float) -> bool:
            self._progress.show(label, passed)
            return not self._stopped()

        return go_on

    def _total(self) -> float:
        options = self._options
        if options.round_trip:
            return float(options.seconds)
        sessions = len(options.load) * len(options.periods) * len(options.chunks)
        if not options.soak:
            sessions *= len(options.kinds)
        total = sessions * (WARM_UP + options.seconds)
        if options.compare:
            turns = options.rounds * len(options.load) * len(installed_peers())
            total += turns * (options.seconds + TURN_OVERHEAD)
        return float(total)


def _true_rate(part: Measured) -> float:
    notes = next(iter(part.notes.values()))
    return true_rate(notes.arrived, notes.ends, part.setup.format.sample_rate)


def _settings(options: Options) -> dict[str, Any]:
    names = ("device", "output", "load", "delay", "switch_interval")
    more = ("soak", "sweep", "compare", "round_trip", "rate", "channels", "latency")
    settings = {name: getattr(options, name) for name in (*names, *more)}
    derived = {"consumers": options.kinds, "duration": options.seconds}
    return settings | derived | {"periods": options.periods, "chunks": options.chunks}
