"""Sources that are what the computer plays: an output, or one program."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from stream_audio._checks import name_text
from stream_audio._record import Record
from stream_audio.audio.format import MAX_CHANNELS
from stream_audio.contracts.opening import Opening
from stream_audio.contracts.source import OnLost, OpenSource, Source, UntoldDevice
from stream_audio.devices.input_device import InputDevice
from stream_audio.devices.loopback import cannot_exclude_self, loopback_connection
from stream_audio.devices.output import find_output
from stream_audio.devices.playing import ProgramWanted, find_program, same_program
from stream_audio.errors import ConfigError, ConfigTypeError, DeviceNotFoundError
from stream_audio.sources.channels import channels_to_open
from stream_audio.sources.device import check_settings
from stream_audio.sources.losing import again, check_follow, check_losing
from stream_audio.sources.pulse_device import Role, open_pulse

UNKNOWN_RATE = 48_000
"""Sample rate in Hz of a program that does not play yet, unless the user says one."""


class SystemSource(Record):
    """See :meth:`AudioSource.system`; without an output, the default one."""

    output: str | InputDevice | None
    sample_rate: int | None
    channels: int | tuple[int, ...] | None
    period: int | None
    latency: Literal["low", "high"] | float
    exclude_self: bool
    on_lost: OnLost | None = None
    lost_timeout: float | None = None
    follow: bool = False

    def __post_init__(self) -> None:
        check_losing(self.on_lost, self.lost_timeout)
        check_follow(self.follow)
        if self.follow and self.output is not None:
            raise ConfigError(
                "follow=True is for the default output, and output names one",
                hint="Leave one of them out",
            )
        check_settings(self.sample_rate, self.period, self.latency)
        if not isinstance(self.exclude_self, bool):
            raise ConfigTypeError(f"exclude_self must be a bool, not {self.exclude_self!r}")
        if self.output is not None and not isinstance(self.output, InputDevice):
            name_text("output", self.output)

    def again(self, lost: OpenSource) -> tuple[Source, ...]:
        """Return the same output, or whatever is the default one then; never an input."""
        default = replace(self, output=None, on_lost=None)
        if self.output is None:
            return again(default, lost)
        same = replace(default, output=lost.device_id, follow=False)
        others = again(default, lost) if self.on_lost == "default" else ()
        return (*again(same, lost), *others)

    def open(self, opening: Opening) -> OpenSource:
        """Find the output and open its monitor; PortAudio is not asked."""
        connection = loopback_connection("what the computer plays", opening.reuse)
        try:
            if self.exclude_self:
                raise cannot_exclude_self(connection)
            return open_pulse(
                find_output(self.output, connection),
                opening,
                sample_rate=self.sample_rate,
                channels=self.channels,
                period=self.period,
                latency=self.latency,
                role=Role.NONE if self.output is not None else Role.DEFAULT_OUTPUT,
            )
        finally:
            connection.release()  # the stream keeps it


class ApplicationSource(Record):
    """See :meth:`AudioSource.application`."""

    program: ProgramWanted
    sample_rate: int | None
    channels: int | tuple[int, ...] | None
    period: int | None
    latency: Literal["low", "high"] | float
    on_lost: OnLost | None = None
    lost_timeout: float | None = None

    def __post_init__(self) -> None:
        check_losing(self.on_lost, self.lost_timeout)
        if self.on_lost == "default":
            raise ConfigError(
                "there is no default program to go on with", hint="Use on_lost='wait' or 'stop'"
            )
        check_settings(self.sample_rate, self.period, self.latency)

    def again(self, lost: OpenSource) -> tuple[Source, ...]:
        """Return the same program: its next stream is the next take."""
        program = getattr(lost, "program", None)
        wanted = self.program if program is None else same_program(program)
        return again(replace(self, program=wanted, on_lost="stop", lost_timeout=None), lost)

    def open(self, opening: Opening) -> OpenSource:
        """Find the program's stream and open it, and nothing else; or wait for it."""
        connection = loopback_connection("a single program", opening.reuse)
        try:
            try:
                found = find_program(self.program, connection)
            except DeviceNotFoundError as error:
                if self.on_lost == "stop":
                    raise
                return ProgramToCome(self, opening, error.message)
            return open_pulse(
                found,
                opening,
                sample_rate=self.sample_rate,
                channels=self.channels,
                period=self.period,
                latency=self.latency,
                role=Role.NONE,
            )
        finally:
            connection.release()  # the stream keeps it


class ProgramToCome(UntoldDevice):
    """A program that does not play yet: an instant of silence, which begins the timeline.

    It is lost at once, and the program's first stream is the next take.
    """

    freewheel = False
    silence_is_normal = True
    is_monitor = True
    latency = None

    def __init__(self, source: ApplicationSource, opening: Opening, reason: str) -> None:
        self.description = reason
        self.sample_rate = source.sample_rate or UNKNOWN_RATE
        self.channels, self.own_channels = channels_to_open(
            source.channels, reason, MAX_CHANNELS, opening.formats, any_number=True
        )
        self._instant = self.sample_rate // 100
        self.capture = opening.capture(self.sample_rate, self.channels, self._instant)
        self._reason = reason

    def start(self) -> None:
        """Bring the silence, and end."""
        self.capture.push_idle(self._instant)
        self.capture.finish()

    def stop(self) -> None:
        """Do nothing: it has ended."""

    def is_active(self) -> bool:
        """Return False."""
        return False

    def end_reason(self) -> str:
        """Return that no such program plays."""
        return self._reason

    def lost(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Free the capture."""
        self.capture.close()
