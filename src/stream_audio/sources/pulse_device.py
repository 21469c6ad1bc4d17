"""A source that is one of a PulseAudio server's, or of PipeWire's in its place."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from stream_audio._native.capture import Capture
from stream_audio._native.pulse import PulseState, PulseStream
from stream_audio.contracts.opening import Opening
from stream_audio.devices.output import default_output_id
from stream_audio.devices.playing import program_id
from stream_audio.devices.pulse import (
    HIGH_LATENCY,
    LOW_LATENCY,
    PulseInput,
    default_name,
    host_api,
    pulse_id,
)
from stream_audio.sources.channels import channels_to_open

SMALLEST_FRAGMENT = 16
"""Frames."""


class Role(Enum):
    """Why a source was found, and so what is told of others that might have been."""

    NONE = "none"
    """It was named: nothing else is meant."""
    DEFAULT_INPUT = "default input"
    """It was the default source."""
    DEFAULT_OUTPUT = "default output"
    """It is the monitor of what was the default output."""


def open_pulse(
    found: PulseInput,
    opening: Opening,
    *,
    sample_rate: int | None,
    channels: int | tuple[int, ...] | None,
    period: int | None,
    latency: Literal["low", "high"] | float,
    role: Role,
) -> OpenPulse:
    """Open a source with all its channels, in their order; ``channels`` are the user's choice.

    Where it was found because it is a default, it is to say when it no longer is.
    """
    source = found.source
    opened, own = channels_to_open(channels, source.description, source.channels, opening.formats)
    rate = sample_rate or source.sample_rate
    fragment = period or max(SMALLEST_FRAGMENT, round(_seconds(latency) * rate))
    capture = opening.capture(rate, opened, fragment)
    try:
        stream = found.connection.open_stream(
            source, capture, sample_rate=rate, fragment=fragment, program=found.program
        )
    except BaseException:
        capture.close()
        raise
    return OpenPulse(found, capture, stream, own, role)


def _seconds(latency: Literal["low", "high"] | float) -> float:
    if latency == "low":
        return LOW_LATENCY
    return HIGH_LATENCY if latency == "high" else float(latency)


class OpenPulse:
    """A stream of a server and its capture."""

    freewheel = False

    def __init__(
        self,
        found: PulseInput,
        capture: Capture,
        stream: PulseStream,
        own_channels: tuple[int, ...],
        role: Role,
    ) -> None:
        self.capture = capture
        self.sample_rate = round(capture.sample_rate)
        self.channels = capture.channels
        self.own_channels = own_channels
        self.silence_is_normal = self.is_monitor = found.source.is_monitor
        self.description = f"{found.source.description}, {host_api(found.connection)}"
        self.device_id = (
            pulse_id(found.source.name) if found.program is None else program_id(found.program)
        )
        self.program = found.program
        self._found = found
        self._stream = stream
        self._role = role
        # What the stream and its source hold back, before a packet has told more.
        held_back = 0.0 if found.source.is_monitor else found.source.latency
        self._latency = stream.fragment / self.sample_rate + held_back

    @property
    def latency(self) -> float:
        """Seconds, as the server told with the last packet."""
        return self._stream.status().latency or self._latency

    def start(self) -> None:
        """Let the packets come."""
        self._stream.start()

    def stop(self) -> None:
        """Let no more come."""
        self._stream.stop()

    def is_active(self) -> bool:
        """Whether packets may come; what ended the stream also ends the capture."""
        return self._stream.status().state is not PulseState.ENDED

    def is_suspended(self) -> bool:
        """Whether the server has put the source to sleep; a monitor is silent meanwhile."""
        if self.is_monitor:
            return False
        return self._stream.status().state is PulseState.SUSPENDED

    def end_reason(self) -> str:
        """Return why the server ended the stream, if it did."""
        status = self._stream.status()
        if status.state is not PulseState.ENDED:
            return ""
        if status.moved:
            return f"{self.description} is gone: the server moved the stream to {status.reason}"
        return f"{self.description} is gone: {status.reason}"

    def role_taken_by(self) -> str:
        """Return the id of the device that is the default now, if this one was and is not."""
        default = ""
        if self._role is Role.DEFAULT_INPUT:
            name = default_name(self._found.connection)
            default = pulse_id(name) if name else ""
        elif self._role is Role.DEFAULT_OUTPUT:
            default = default_output_id(self._found.connection)
        return default if default != self.device_id else ""

    def lost(self) -> None:
        """Do nothing: no call waits for the server."""

    def close(self) -> None:
        """Close the stream, then free the capture."""
        self._stream.close()
        self.capture.close()
