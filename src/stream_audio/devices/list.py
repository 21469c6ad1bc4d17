"""The input devices of this machine, as each host lists them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from stream_audio._log import log
from stream_audio._native.jack import stream_runs
from stream_audio._native.portaudio import Generation
from stream_audio._native.pulse import NoPulseServerError, PulseConnection
from stream_audio._native.warm import Reuse
from stream_audio._public import public
from stream_audio.devices.alsa_cards import last_listing
from stream_audio.devices.alsa_state import alsa_state
from stream_audio.devices.candidate import Candidate, merge
from stream_audio.devices.find import find_input
from stream_audio.devices.input_device import InputDevice, no_input_device
from stream_audio.devices.jack import jack_inputs
from stream_audio.devices.portaudio import portaudio_inputs
from stream_audio.devices.pulse import other_ways, pulse_inputs
from stream_audio.devices.role import default_candidate
from stream_audio.devices.wanted import Wanted
from stream_audio.errors import HostUnresponsiveError, StreamAudioError

_stand_in: Callable[[], Sequence[Candidate]] | None = None


def stand_in(hosts: Callable[[], Sequence[Candidate]] | None) -> None:
    """List what ``hosts`` returns in place of the machine's devices; ``None``: no longer."""
    global _stand_in
    _stand_in = hosts


def has_stand_in() -> bool:
    """Whether other devices than the machine's are listed."""
    return _stand_in is not None


class Listing:
    """What every host lists now. Keeps the lists valid until :meth:`release`.

    A host that does not answer, or is broken, hides nothing of the others: the log names it.

    Parameters
    ----------
    to_open : bool
        Whether a device of it may be opened. If not, and a JACK stream runs, nothing is done that
        could cost its clients an xrun: ALSA's devices are those that the system tells of.
    reuse : Reuse, optional
        What may be used again, to open a device; ``None``: nothing.

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

    def __init__(self, *, to_open: bool = True, reuse: Reuse | None = None) -> None:
        self._to_open = to_open
        self._reuse = Reuse(0.0) if reuse is None else reuse
        self.failures: list[StreamAudioError] = []
        self.generation: Generation | None = None
        self.pulse: PulseConnection | None = None
        self.candidates, others = merge(self._hosts() if _stand_in is None else [_stand_in()])
        self.every = [*self.candidates, *others]
        if self.failures and not self.candidates:
            self.release()
            raise self.failures[0]
        for failure in self.failures:
            log.warning("%s", failure)

    def _hosts(self) -> list[Sequence[Candidate]]:
        # Of several defaults that of the first of these is the system's.
        pulse = self._ask(self._pulse)
        portaudio = other_ways(self._ask(self._portaudio), pulse)
        return [pulse, portaudio, self._ask(self._jack)]

    def _ask(self, host: Callable[[], Sequence[Candidate]]) -> Sequence[Candidate]:
        try:
            return host()
        except StreamAudioError as error:
            self.failures.append(error)
            return ()

    def _pulse(self) -> Sequence[Candidate]:
        try:
            self.pulse = self._reuse.take(PulseConnection, PulseConnection)
        except NoPulseServerError:
            return ()  # nothing is wrong with a machine that has none
        return pulse_inputs(self.pulse)

    def _portaudio(self) -> Sequence[Candidate]:
        if not self._to_open and stream_runs():
            return last_listing.now()
        # Only PulseAudio has been asked by now.
        pulse_hangs = any(isinstance(each, HostUnresponsiveError) for each in self.failures)
        state = (alsa_state(), pulse_hangs, self._of_pulse())
        self.generation = self._reuse.take(
            Generation,
            lambda: Generation(without_pulse=pulse_hangs, state=state if state[0] else None),
            lambda kept: kept.state == state,
        )
        return portaudio_inputs(self.generation)

    def _jack(self) -> Sequence[Candidate]:
        return jack_inputs(to_open=self._to_open)

    def _of_pulse(self) -> object:
        """Return what ALSA's plug-ins find behind them."""
        if self.pulse is None:
            return None
        sources = [(each.name, each.channel_map, each.sample_rate) for each in self.pulse.sources]
        return self.pulse.default_source, sources

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
        """Let go of the hosts; streams that were opened keep theirs."""
        if self.pulse is not None:
            self.pulse.release()
            self.pulse = None
        if self.generation is not None:
            self.generation.release()
            self.generation = None


@public
def list_input_devices() -> list[InputDevice]:
    """Return the current input devices: each source once, by the best way to it.

    Each call makes a new list, without disturbing running sessions. While a session records from
    JACK, ALSA's plug-ins are those of the previous listing, and nothing of ALSA is opened. If a
    host does not answer, a warning in the log names it, and the devices of the others are listed.

    Raises
    ------
    BackendError
        PortAudio is not installed, or it finds no audio backend, and no other host has devices.
    HostUnresponsiveError
        A host does not answer, and no other one has devices.
    """
    listing = Listing(to_open=False)
    try:
        default = _default_id(listing)
        return [
            replace(candidate.device, is_default=candidate.id == default)
            for candidate in listing.candidates
        ]
    finally:
        listing.release()


@public
def default_input_device() -> InputDevice:
    """Return the device that ``AudioSource.default_device()`` records from.

    If the environment variable ``STREAM_AUDIO_DEVICE`` is set, that is the device that it names.

    Raises
    ------
    DeviceNotFoundError, AmbiguousDeviceError
        There is no input device, or the environment names none.
    BackendError, HostUnresponsiveError
        As for :func:`list_input_devices`.
    """
    return input_device(None)


def input_device(wanted: Wanted | None) -> InputDevice:
    """Return the device that ``AudioSource.device(wanted)`` would open now; ``None``: the default.

    Raises
    ------
    DeviceNotFoundError, AmbiguousDeviceError, BackendError, HostUnresponsiveError
        As for :func:`find_input`; or no host could be asked.
    """
    listing = Listing(to_open=False)
    try:
        if wanted is None:
            return replace(default_candidate(listing).device, is_default=True)
        found = find_input(wanted, listing)
        return replace(found.device, is_default=found.id == _default_id(listing))
    finally:
        listing.release()


def _default_id(listing: Listing) -> str | None:
    try:
        return default_candidate(listing).id
    except LookupError:
        return None
