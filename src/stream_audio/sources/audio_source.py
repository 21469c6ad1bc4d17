"""The ways to say where audio comes from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from stream_audio._public import public
from stream_audio.audio.format import channels_wanted
from stream_audio.contracts.source import OnLost, Source
from stream_audio.devices.input_device import InputDevice
from stream_audio.devices.wanted import device_wanted
from stream_audio.errors import ConfigTypeError

if TYPE_CHECKING:
    from stream_audio.devices.playing import PlayingProgram
    from stream_audio.files.raw_format import RawFormat
    from stream_audio.sources.feed import Feed
    from stream_audio.sources.stream import Readable
    from stream_audio.sources.virtual import Fault


def _listed(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    if not isinstance(faults, Iterable):
        raise ConfigTypeError(f"faults takes a list of Fault objects, not {faults!r}")
    return tuple(faults)


def _channels(wanted: int | Sequence[int] | None) -> int | tuple[int, ...] | None:
    return None if wanted is None else channels_wanted(wanted)


@public
class AudioSource:
    """Functions that make sources; a source opens its device when the session starts.

    A source is only a description, so you may use it in several sessions.
    """

    @staticmethod
    def default_device(
        *,
        sample_rate: int | None = None,
        channels: int | Sequence[int] | None = None,
        period: int | None = None,
        latency: Literal["low", "high"] | float = "low",
        on_lost: OnLost | None = None,
        lost_timeout: float | None = None,
        follow: bool = False,
    ) -> Source:
        """Record from the device that is the default input when the session starts.

        The environment variable ``STREAM_AUDIO_DEVICE`` may name it; otherwise it is the system's
        default. The source stays with that device. On PulseAudio and PipeWire the session sends
        ``DefaultChanged`` when another device becomes the default.

        Parameters
        ----------
        sample_rate, channels, period, latency, on_lost, lost_timeout
            As for :meth:`device`. After a loss the source takes whatever is the default then.
        follow : bool
            Whether the source goes over when another device becomes the default, where the host
            tells. The time between the two devices is a gap, and ``SourceSwitched`` names both.
        """
        from stream_audio.sources.device import DeviceSource

        return DeviceSource(
            None, sample_rate, _channels(channels), period, latency, on_lost, lost_timeout, follow
        )

    @staticmethod
    def device(
        name: str | InputDevice | re.Pattern[str] | Callable[[InputDevice], object],
        *,
        sample_rate: int | None = None,
        channels: int | Sequence[int] | None = None,
        period: int | None = None,
        latency: Literal["low", "high"] | float = "low",
        on_lost: OnLost | None = None,
        lost_timeout: float | None = None,
    ) -> Source:
        """Record from the device that you name, and never from another.

        Parameters
        ----------
        name : str, InputDevice, re.Pattern or callable
            A string is an id or a name from :func:`~stream_audio.list_input_devices`, or a part of
            one that only one device has. Where several host APIs have a device of that name, add
            the host API after a comma. A pattern is searched for in the names, then in the names
            with the host API, then in the ids. A function is called with each
            :class:`~stream_audio.InputDevice` and says whether it is the one. Exactly one device
            must fit when the session starts.
        sample_rate : int, optional
            The rate in Hz at which the device is opened; ``None``: its default. Each sink's format
            decides what the sink gets.
        channels : int or sequence of int, optional
            A number, 1 to 64: that many of the device's first channels. A list: these of its
            channels, counted from 0; ``[4, 5]`` are an interface's inputs 5 and 6. ``None``: all
            of them.
        period : int, optional
            Frames for each callback; ``None``: what suits the host. JACK always uses its own.
        latency : "low", "high" or float
            The latency to ask the host for; a number is in seconds.
        on_lost : "wait", "default" or "stop", optional
            What to do when the device is lost: unplugged, or its server has gone. "wait": go on
            when the device is back; it is looked for again and again, and at once when devices
            change. "default": go on with the default device if this one is not there. "stop": end
            the source. ``None``: "wait", but "stop" with :func:`stream_audio.listen`. The outage
            is one gap with the cause ``device_lost``, of exact length. A device that comes back
            with another rate or number of channels is converted.
        lost_timeout : float, optional
            Seconds after a loss until the source ends; ``None``: it waits as long as the session
            runs.
        """
        from stream_audio.sources.device import DeviceSource

        return DeviceSource(
            device_wanted(name),
            sample_rate,
            _channels(channels),
            period,
            latency,
            on_lost,
            lost_timeout,
        )

    @staticmethod
    def system(
        output: str | InputDevice | None = None,
        *,
        sample_rate: int | None = None,
        channels: int | Sequence[int] | None = None,
        period: int | None = None,
        latency: Literal["low", "high"] | float = "low",
        exclude_self: bool = False,
        on_lost: OnLost | None = None,
        lost_timeout: float | None = None,
        follow: bool = False,
    ) -> Source:
        """Record what the computer plays, through PipeWire or PulseAudio.

        While nothing plays, the source delivers silence from the start, also if the server has put
        the output to sleep. The report counts frames that no packet brought as ``idle``; they are
        no loss. An output that stays silent for a minute sends ``DigitalSilence`` once.

        Parameters
        ----------
        output : str or InputDevice, optional
            The output to record, by its name, a part of it, or its monitor. ``None``: the output
            that is the default when the session starts. The source stays with that output, and the
            session sends ``DefaultChanged`` when another becomes the default.
        sample_rate, channels, period, latency, on_lost, lost_timeout
            As for :meth:`device`.
        exclude_self : bool
            Whether to leave out what this process plays. PipeWire and PulseAudio cannot do that
            through the interface that is used here; see :func:`~stream_audio.capabilities`.
        follow : bool
            Whether the source goes over when another output becomes the default. The time between
            the two is a gap, and ``SourceSwitched`` names both.

        Raises
        ------
        LoopbackUnavailable
            Raised at the start: there is no such server; the hint says what to install. Or the
            server cannot leave this process out.
        DeviceNotFoundError, AmbiguousDeviceError
            Raised at the start: the server has no such output, or several fit.
        """
        from stream_audio.sources.loopback import SystemSource

        return SystemSource(
            output,
            sample_rate,
            _channels(channels),
            period,
            latency,
            exclude_self,
            on_lost,
            lost_timeout,
            follow,
        )

    @staticmethod
    def application(
        name_or_pid: str | int | PlayingProgram,
        *,
        sample_rate: int | None = None,
        channels: int | Sequence[int] | None = None,
        period: int | None = None,
        latency: Literal["low", "high"] | float = "low",
        on_lost: Literal["wait", "stop"] | None = None,
        lost_timeout: float | None = None,
    ) -> Source:
        """Record what one program plays, and nothing else, through PipeWire or PulseAudio.

        Nothing is moved or muted: the program plays on as before. When its stream ends, or while
        it does not play yet, the source waits for its next one: an outage, as of a lost device.
        With ``on_lost="stop"`` the program must play at the start, and the source ends with it.

        Parameters
        ----------
        name_or_pid : str, int or PlayingProgram
            An entry of :func:`~stream_audio.list_playing`, its id, or the program's name, binary
            or process id. A part of a name or title will do if only one stream has it. A stream
            that plays goes before one that is paused.
        sample_rate, channels, period, latency, on_lost, lost_timeout
            As for :meth:`device`.

        Raises
        ------
        LoopbackUnavailable
            Raised at the start: there is no such server; the hint says what to install.
        DeviceNotFoundError
            Raised at the start with ``on_lost="stop"``: no such program plays. The hint lists
            those that do.
        AmbiguousDeviceError
            Raised at the start: several streams fit. The hint lists them.
        """
        from stream_audio.devices.playing import program_wanted
        from stream_audio.sources.loopback import ApplicationSource

        return ApplicationSource(
            program_wanted(name_or_pid),
            sample_rate,
            _channels(channels),
            period,
            latency,
            on_lost,
            lost_timeout,
        )

    @staticmethod
    def jack(
        name: str | None = None,
        *,
        channels: int | Sequence[int] | None = None,
        client_name: str = "stream-audio",
        on_lost: OnLost | None = None,
        lost_timeout: float | None = None,
    ) -> Source:
        """Record from a client of the JACK server, or from whatever the user connects.

        Parameters
        ----------
        name : str, optional
            The client to record from. The session connects its ports, and removes any other
            connection. ``None``: the session neither makes nor watches connections. Frames come,
            silent at first, from whatever others connect to our ports ``in_1``, ``in_2``, …
        channels : int or sequence of int, optional
            Channels as for :meth:`device`. Without a name, the number of ports; ``None``: two.
        client_name : str
            Name of our client; the server appends a number if that name is taken.
        on_lost, lost_timeout
            As for :meth:`device`.

        Raises
        ------
        BackendError, DeviceNotFoundError, HostUnresponsiveError
            Raised at the start: there is no server, no such client, or no answer.
        """
        from stream_audio.sources.jack_device import JackSource

        return JackSource(name, _channels(channels), client_name, on_lost, lost_timeout)

    @staticmethod
    def file(
        path: str | os.PathLike[str],
        *,
        pace: Literal["real_time", "freewheel"] = "real_time",
        loop: bool = False,
        raw: RawFormat | None = None,
    ) -> Source:
        """Play a sound file of any format that libsndfile reads, as if it came from a device.

        The file goes through the same ring, router and sinks. No frame is lost before the router,
        however slow the sinks are. The source reads all that can be decoded, whatever length the
        header claims. When the file ends, the source ends. If it cannot be read to its end, or
        nobody can tell whether that is the end, the source's report says why.

        Parameters
        ----------
        path : str or os.PathLike
            A regular file, which is opened when the session starts.
        pace : "real_time" or "freewheel"
            "real_time" delivers 10 ms at a time, when they would have been captured. "freewheel"
            delivers as fast as the ring has room.
        loop : bool
            Whether the file begins again at its end, without a gap, until the session is stopped.
        raw : RawFormat, optional
            A description of the samples, for a file without a header.

        Raises
        ------
        FileError
            Raised at the start: the file is missing, unreadable, or not a sound file. The error
            then says what it is.
        """
        from stream_audio.sources.file import FileSource

        return FileSource(path, pace, loop, raw)

    @staticmethod
    def feed(
        sample_rate: int,
        channels: int,
        when_full: Literal["gap", "block", "raise"] = "gap",
    ) -> Feed:
        """Record what your program pushes in: from a call, a robot, another library.

        Give the feed to ``add_source``, start the session, and then call
        :meth:`Feed.write` on any thread. :meth:`Feed.close` ends the source.

        Parameters
        ----------
        sample_rate : int
            Sample rate in Hz, 1000 and more.
        channels : int
            A number from 1 to 64.
        when_full : "gap", "block" or "raise"
            What a write does when the ring (``StreamConfig(ring_duration=…)``, 30 s) has no room.
            "gap" takes what fits, and the rest is a gap: for audio that comes in real time.
            "raise" takes nothing and raises ``FeedFullError``. "block" waits, for audio that need
            not keep pace with a clock; sinks then hold the program up rather than lose anything.
        """
        from stream_audio.sources.feed import Feed

        return Feed(sample_rate, channels, when_full)

    @staticmethod
    def stream(
        file: Readable,
        *,
        raw: RawFormat | None = None,
        when_full: Literal["block", "gap"] = "block",
    ) -> Source:
        """Record what comes through a pipe, or from any other file object: WAV, or raw PCM.

        The end of the stream ends the source. The length in the head of a WAV that is piped may be
        0 or the largest number there is; the source then reads to the end. A read that blocks
        never holds ``stop()`` up. The session does not close the file, and one session alone can
        read it.

        Parameters
        ----------
        file : file object
            Any object with ``read(size)`` that returns bytes, such as ``sys.stdin.buffer`` or the
            ``stdout`` of a ``subprocess.Popen``.
        raw : RawFormat, optional
            A description of the samples, for a stream without a header. ``None``: a WAV file, of
            which the start reads the head, and waits for it up to 10 s.
        when_full : "block" or "gap"
            What happens when the ring has no room. "block" reads no further, so that whoever
            writes to the pipe waits, and nothing is lost. "gap" reads on, for audio that comes in
            real time; what does not fit is a gap.

        Raises
        ------
        FileError
            Raised at the start: no WAV file comes, or one whose kind of audio is not supported.
        SessionStateError
            Raised at the start: a session has read it before.
        """
        from stream_audio.sources.stream import StreamSource

        return StreamSource(file, raw, when_full)

    @staticmethod
    def virtual(
        signal: Literal["sine", "noise", "silence", "counter", "chirp", "room"] = "sine",
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
        on_lost: OnLost = "stop",
        lost_timeout: float | None = None,
    ) -> Source:
        """Record from a scripted device that needs no hardware; for tests and demonstrations.

        It delivers through the same callback, ring and router as a sound card.

        Parameters
        ----------
        signal : "sine", "noise", "silence", "counter", "chirp" or "room"
            The counter's value is ``(frame mod 2**23) * 2**-23`` in every channel, which tells
            each frame's position exactly. A chirp (200 to 3500 Hz, each second anew) and the noise
            of a room depend on the clock's time alone: devices with different rates, drifts and
            starts hear the same sound.
        sample_rate : int
            Sample rate in Hz.
        channels : int
            A number from 1 to 64. All channels get the same signal, except "noise".
        period : int
            Frames for each callback.
        frames : int, optional
            The source ends after that many frames. When every source has ended, the session ends.
        frequency : float
            Frequency of the sine in Hz.
        level : float
            Peak level of sine and noise in dBFS.
        drift_ppm : float
            How much faster the device's clock runs than the computer's, in parts per million.
        jitter : float
            Each callback is early or late by up to that many seconds, evenly distributed.
        latency : float, optional
            Seconds from the converter to the hand-over, which is the age of a packet's last frame
            when the callback is due. The device then reports ADC times, as good hosts do. Without
            it, the device reports none.
        pace : "real_time" or "freewheel"
            "freewheel" delivers as fast as the ring has room, and loses nothing.
        faults : iterable of Fault
            What goes wrong, and when; see :class:`stream_audio.testing.Fault`.
        seed : int
            Seed of noise and jitter.
        on_lost, lost_timeout
            As for :meth:`device`: after a fault that kills it, another such device follows.
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
            on_lost=on_lost,
            lost_timeout=lost_timeout,
        )
