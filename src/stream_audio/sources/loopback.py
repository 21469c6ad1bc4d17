"""Sources that are what the computer plays: an output, or one program."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from stream_audio._checks import name_text
from stream_audio._record import Record
from stream_audio.contracts.opening import Opening
from stream_audio.contracts.source import OnLost, OpenSource, Source
from stream_audio.devices.input_device import InputDevice
from stream_audio.devices.loopback import cannot_exclude_self, loopback_connection
from stream_audio.devices.output import find_output
from stream_audio.devices.playing import ProgramWanted, find_program
from stream_audio.errors import ConfigTypeError
from stream_audio.sources.device import check_settings
from stream_audio.sources.losing import again, check_losing
from stream_audio.sources.pulse_device import Role, open_pulse


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

    def __post_init__(self) -> None:
        check_losing(self.on_lost, self.lost_timeout)
        check_settings(self.sample_rate, self.period, self.latency)
        if not isinstance(self.exclude_self, bool):
            raise ConfigTypeError(f"exclude_self must be a bool, not {self.exclude_self!r}")
        if self.output is not None and not isinstance(self.output, InputDevice):
            name_text("output", self.output)

    def again(self, lost: OpenSource) -> tuple[Source, ...]:
        """Return the same output, or whatever is the default one then."""
        if self.output is None:
            return again(self, lost)
        return again(replace(self, output=lost.device_id.removeprefix("pulse:")), lost)

    def open(self, opening: Opening) -> OpenSource:
        """Find the output and open its monitor; PortAudio is not asked."""
        connection = loopback_connection("what the computer plays")
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
    on_lost: OnLost | None = "stop"
    lost_timeout: float | None = None

    def __post_init__(self) -> None:
        check_losing(self.on_lost, self.lost_timeout)
        check_settings(self.sample_rate, self.period, self.latency)

    def again(self, lost: OpenSource) -> tuple[Source, ...]:
        """Return the same program: its next stream is the next take."""
        return again(self, lost)

    def open(self, opening: Opening) -> OpenSource:
        """Find the program's stream and open it, and nothing else."""
        connection = loopback_connection("a single program")
        try:
            return open_pulse(
                find_program(self.program, connection),
                opening,
                sample_rate=self.sample_rate,
                channels=self.channels,
                period=self.period,
                latency=self.latency,
                role=Role.NONE,
            )
        finally:
            connection.release()  # the stream keeps it
