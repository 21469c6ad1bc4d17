"""The input devices of this machine, as each host lists them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from stream_audio._native.portaudio import Generation
from stream_audio.devices.candidate import Candidate, merge
from stream_audio.devices.input_device import InputDevice, no_input_device
from stream_audio.devices.portaudio import portaudio_inputs
from stream_audio.errors import StreamAudioError

_log = logging.getLogger("stream_audio")


class Listing:
    """What every host lists now. Keeps PortAudio's list valid until :meth:`release`.

    A host that does not answer, or is broken, hides nothing of the others: the log names it.

    Attributes
    ----------
    candidates : list of Candidate
        Each source once, by the best way to it.
    every : list of Candidate
        These, and the other ways to the same sources.
    failures : list of StreamAudioError
        Hosts that could not be asked.

    Raises
    ------
    StreamAudioError
        No host could be asked.
    """

    def __init__(self) -> None:
        self.failures: list[StreamAudioError] = []
        self.generation: Generation | None = None
        # Of several defaults that of the first of these is the system's.
        self.candidates, others = merge([self._portaudio()])
        self.every = [*self.candidates, *others]
        if self.failures and not self.candidates:
            self.release()
            raise self.failures[0]
        for failure in self.failures:
            _log.warning("%s", failure)

    def _portaudio(self) -> Sequence[Candidate]:
        try:
            self.generation = Generation()
        except StreamAudioError as error:
            self.failures.append(error)
            return ()
        return portaudio_inputs(self.generation)

    @property
    def default(self) -> Candidate:
        """The system's default input.

        Raises
        ------
        DeviceNotFoundError
            There is no input device.
        """
        for candidate in self.candidates:
            if candidate.device.is_default:
                return candidate
        raise no_input_device()

    def release(self) -> None:
        """Let go of PortAudio; streams that were opened keep it."""
        if self.generation is not None:
            self.generation.release()
            self.generation = None


def list_input_devices() -> list[InputDevice]:
    """Return the input devices as they are now: each source once, the best way to it first.

    Each call makes a new list; running sessions are not touched. A host that does not answer is
    named in a warning of the log, and the devices of the others are listed.

    Raises
    ------
    BackendError
        PortAudio is not installed, or it finds no audio backend, and no other host has devices.
    HostUnresponsiveError
        A host does not answer, and no other one has devices.
    """
    listing = Listing()
    try:
        return [candidate.device for candidate in listing.candidates]
    finally:
        listing.release()


def default_input_device() -> InputDevice:
    """Return the device that ``AudioSource.default_device()`` records from.

    Raises
    ------
    DeviceNotFoundError
        There is no input device.
    BackendError, HostUnresponsiveError
        As for :func:`list_input_devices`.
    """
    listing = Listing()
    try:
        return listing.default.device
    finally:
        listing.release()
