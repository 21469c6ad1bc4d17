"""ALSA's devices without a word to ALSA: while a JACK stream of ours runs, nothing is opened.

PortAudio's listing opens each PCM, which takes tens of milliseconds of a core that JACK's clients
may need. What cards there are stands in ``/proc/asound``; plug-ins are those of the last listing.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from dataclasses import replace

from stream_audio._native.portaudio import LIBRARY_VARIABLE
from stream_audio.devices.candidate import Candidate, Way
from stream_audio.devices.input_device import InputDevice

CARDS = "/proc/asound"

USUAL_RATE = 48_000
USUAL_CHANNELS = 2
"""Of a card that does not say."""

_SETTINGS = ("ALSA_CONFIG_PATH", "ALSA_CONFIG_DIR", LIBRARY_VARIABLE)
_PCM = re.compile(r"^(\d+)-(\d+): [^:]*: ([^:]*) :.*\bcapture\b", re.MULTILINE)
_CARD = re.compile(r"^ *(\d+) \[(\S+) *\]: \S+ - (.*)$", re.MULTILINE)
_CAPTURE = re.compile(r"^Capture:$.*?^ +Channels: (\d+)$(?:.*?^ +Rates: (\d+))?", re.M | re.S)


class LastListing:
    """What PortAudio listed last, and with which settings of ALSA."""

    def __init__(self) -> None:
        self._candidates: list[Candidate] = []
        self._settings: tuple[str | None, ...] = ()

    def remember(self, candidates: Sequence[Candidate]) -> None:
        """Keep a list, but not what it takes to open the devices."""
        self._candidates = [replace(candidate, native=None) for candidate in candidates]
        self._settings = _settings()

    def now(self, cards: str = CARDS) -> list[Candidate]:
        """Return the devices of the cards that are there, and the plug-ins that were."""
        known = self._candidates if self._settings == _settings() else []
        found = [_known(known, card) or card for card in _cards(cards)]
        ids = {candidate.id for candidate in found}
        others = [each for each in known if each.way is Way.PLUGIN and each.id not in ids]
        return [*found, *others]


last_listing = LastListing()


def hardware_id(card: str, device: str, cards: str = CARDS) -> str:
    """Return the id of a card's device: the card's own, where the system tells it."""
    with contextlib.suppress(OSError):  # its number will do
        card = _read(cards, f"card{card}", "id").strip()
    return f"alsa:hw:CARD={card},DEV={device}"


def _read(*path: str) -> str:
    with open(os.path.join(*path), encoding="utf-8", errors="replace") as file:
        return file.read()


def _settings() -> tuple[str | None, ...]:
    return tuple(os.environ.get(name) for name in _SETTINGS)


def _known(known: Sequence[Candidate], card: Candidate) -> Candidate | None:
    return next((each for each in known if each.id == card.id), None)


def _cards(cards: str) -> list[Candidate]:
    try:
        pcms = _read(cards, "pcm")
        listed = _read(cards, "cards")
    except OSError:
        return []  # there is no sound card
    names = {number: name.strip() for number, _, name in _CARD.findall(listed)}
    return [
        _candidate(str(int(card)), str(int(device)), names.get(str(int(card)), ""), name, cards)
        for card, device, name in _PCM.findall(pcms)
    ]


def _candidate(card: str, device: str, card_name: str, name: str, cards: str) -> Candidate:
    channels, rate = _says(cards, f"card{card}", f"stream{device}")
    return Candidate(
        device=InputDevice(
            name=f"{card_name}: {name.strip()} (hw:{card},{device})",
            host_api="ALSA",
            channels=channels,
            sample_rate=rate,
            low_latency=0.01,
            high_latency=0.1,
            is_default=False,
            id=hardware_id(card, device, cards),
        ),
        source=f"alsa:{card},{device}",
        way=Way.HARDWARE,
        native=None,
    )


def _says(*stream: str) -> tuple[int, int]:
    """Return channels and rate, which USB devices tell."""
    try:
        told = _CAPTURE.search(_read(*stream))
    except OSError:
        told = None
    if told is None:
        return USUAL_CHANNELS, USUAL_RATE
    return int(told[1]), int(told[2] or USUAL_RATE)
