"""The ways to say where audio comes from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from stream_audio._public import public
from stream_audio.audio.format import channels_wanted
from stream_audio.contracts.source import Source
from stream_audio.devices.input_device import InputDevice
from stream_audio.devices.wanted import device_wanted
from stream_audio.errors import ConfigTypeError

if TYPE_CHECKING:
    from stream_audio.files.raw_format import RawFormat
    from stream_audio.sources.virtual import Fault


def _listed(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    if not isinstance(faults, Iterable):
        raise ConfigTypeError(f"faults takes a list of Fault objects, not {faults!r}")
    return tuple(faults)


def _channels(wanted: int | Sequence[int] | None) -> int | tuple[int, ...] | None:
    return None if wanted is None else channels_wanted(wanted)


@public
class AudioSource:
    """Makers of sources; a source opens its device when the session starts.

    A source is a description: it may be used in several sessions.
    """

    @staticmethod
    def default_device(
        *,
        sample_rate: int | None = None,
        channels: int | Sequence[int] | None = None,
        period: int | None = None,
        latency: Literal["low", "high"] | float = "low",
    ) -> Source:
        """Record from the device that is the default input when the session starts.

        The one that the environment variable ``STREAM_AUDIO_DEVICE`` names, or else the system's.
        The source stays with it: when another device becomes the default, ``DefaultChanged``
        tells on PulseAudio and PipeWire.

        Parameters
        ----------
        sample_rate, channels, period, latency
            As for :meth:`device`.
        """
        from stream_audio.sources.device import DeviceSource

        return DeviceSource(None, sample_rate, _channels(channels), period, latency)

    @staticmethod
    def device(
        name: str | InputDevice | re.Pattern[str] | Callable[[InputDevice], object],
        *,
        sample_rate: int | None = None,
        channels: int | Sequence[int] | None = None,
        period: int | None = None,
        latency: Literal["low", "high"] | float = "low",
    ) -> Source:
        """Record from the device that is meant, and never from another one.

        Parameters
        ----------
        name : str, InputDevice, re.Pattern or callable
            A string is an id or a name of :func:`~stream_audio.list_input_devices`, or a part
            that only one has; with the host API after a comma where several APIs have a device
            of that name. A pattern is searched for in the names, then in the names with the host
            API, then in the ids. A function is called with each :class:`~stream_audio.InputDevice`
            and says whether it is meant. Exactly one device must fit when the session starts.
        sample_rate : int, optional
            Hz that the device is opened with; ``None``: its default. What a sink gets is the
            matter of its format.
        channels : int or sequence of int, optional
            1 to 64: the device's first so many. A list: these of its channels, counted from 0;
            ``[4, 5]`` are an interface's inputs 5 and 6. ``None``: all that it has.
        period : int, optional
            Frames a callback; ``None``: what suits the host. JACK always uses its own.
        latency : "low", "high" or float
            What the host is asked for; a number is in seconds.
        """
        from stream_audio.sources.device import DeviceSource

        return DeviceSource(device_wanted(name), sample_rate, _channels(channels), period, latency)

    @staticmethod
    def jack(
        name: str | None = None,
        *,
        channels: int | Sequence[int] | None = None,
        client_name: str = "stream-audio",
    ) -> Source:
        """Record from a client of the JACK server, or from whatever the user connects.

        Parameters
        ----------
        name : str, optional
            The client to record from; its ports are connected, and kept connected to nothing
            else. ``None``: no connection is made or looked at; frames come, silent at first, and
            are what others connect to our ports ``in_1``, ``in_2``, …
        channels : int or sequence of int, optional
            As for :meth:`device`. Without a name, how many ports there are; ``None``: two.
        client_name : str
            What we are called; the server appends a number if there is one of that name.

        Raises
        ------
        BackendError, DeviceNotFoundError, HostUnresponsiveError
            At the start: there is no server, no such client, or no answer.
        """
        from stream_audio.sources.jack_device import JackSource

        return JackSource(name, _channels(channels), client_name)

    @staticmethod
    def file(
        path: str | os.PathLike[str],
        *,
        pace: Literal["real_time", "freewheel"] = "real_time",
        loop: bool = False,
        raw: RawFormat | None = None,
    ) -> Source:
        """Play a sound file of any format that libsndfile reads, as if it came from a device.

        It goes through the same ring, router and sinks. No frame of it is lost before the router,
        however slow the sinks are. All that can be decoded is read, whatever length its header
        claims. When the file ends the source does; if it cannot be read to its end, or nobody can
        tell whether that is the end, the source's report says why.

        Parameters
        ----------
        path : str or os.PathLike
            A regular file. Opened when the session starts.
        pace : "real_time" or "freewheel"
            Real time delivers 10 ms at a time when they would have been captured; freewheeling
            goes as fast as the ring has room.
        loop : bool
            Whether it begins again at its end, without a gap, until the session is stopped.
        raw : RawFormat, optional
            What it holds, if it is samples without a header.

        Raises
        ------
        FileError
            At the start: it is missing, unreadable, or no sound file; it says what it is then.
        """
        from stream_audio.sources.file import FileSource

        return FileSource(path, pace, loop, raw)

    @staticmethod
    def virtual(
        signal: Literal["sine", "noise", "silence", "counter"] = "sine",
        *,
        sample_rate: int = 48_000,
        channels: int = 2,
        period: int = 256,
        frames: int | None = None,
        frequency: float = 440.0,
        level: float = -12.0,
        drift_ppm: float = 0.0,
        jitter: float = 0.0,
        latency: float | None = None,
        pace: Literal["real_time", "freewheel"] = "real_time",
        faults: Iterable[Fault] = (),
        seed: int = 0,
    ) -> Source:
        """Record from a scripted device that needs no hardware; for tests and demonstrations.

        It delivers through the same callback, ring and router as a sound card.

        Parameters
        ----------
        signal : "sine", "noise", "silence" or "counter"
            The counter's value is ``(frame mod 2**23) * 2**-23`` in every channel, which tells
            each frame's position exactly.
        sample_rate : int
            Hz.
        channels : int
            1 to 64; all get the same signal, but for noise.
        period : int
            Frames a callback.
        frames : int, optional
            The source ends after so many; when every source has ended, the session does.
        frequency : float
            Of the sine, in Hz.
        level : float
            Peak level of sine and noise in dBFS.
        drift_ppm : float
            How much faster the device's clock runs than the computer's, in parts per million.
        jitter : float
            Each callback is early or late by up to so many seconds, evenly distributed.
        latency : float, optional
            Seconds from the converter to the hand-over: a packet's last frame is as old when the
            callback is due. The device then tells ADC times, as good hosts do; without it, it
            tells none.
        pace : "real_time" or "freewheel"
            Freewheeling delivers as fast as the ring has room, and loses nothing.
        faults : iterable of Fault
            What goes wrong, and when; see :class:`stream_audio.testing.Fault`.
        seed : int
            Of noise and jitter.
        """
        from stream_audio.sources.virtual import VirtualSource

        return VirtualSource(
            signal=signal,
            sample_rate=sample_rate,
            channels=channels,
            period=period,
            frames=frames,
            frequency=frequency,
            level=level,
            drift_ppm=drift_ppm,
            jitter=jitter,
            latency=latency,
            pace=pace,
            faults=_listed(faults),
            seed=seed,
        )
