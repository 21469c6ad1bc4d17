"""A source that is a device of this machine, whichever host it is on."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from stream_audio._checks import one_of, real_number, whole_number
from stream_audio._record import Record
from stream_audio.audio.format import MAX_SAMPLE_RATE
from stream_audio.contracts.opening import Opening
from stream_audio.contracts.source import OnLost, OpenSource, Source
from stream_audio.devices.find import find_input
from stream_audio.devices.jack import JackDevice
from stream_audio.devices.pulse import PulseInput, check_not_mixed
from stream_audio.devices.role import default_candidate, role_is_named
from stream_audio.devices.wanted import DeviceId, Wanted
from stream_audio.errors import DeviceNotFoundError
from stream_audio.sources.channels import channels_to_open
from stream_audio.sources.jack_device import CLIENT_NAME, open_jack
from stream_audio.sources.losing import check_follow, check_losing
from stream_audio.sources.portaudio_device import PortAudioSettings, open_portaudio
from stream_audio.sources.pulse_device import Role, open_pulse
from stream_audio.sources.scripted import ScriptedDevice

MAX_PERIOD = 65_536


def check_settings(
    sample_rate: int | None, period: int | None, latency: Literal["low", "high"] | float
) -> None:
    """Raise for a setting of a device that cannot work."""
    if sample_rate is not None:
        whole_number("sample_rate", sample_rate, 1000, MAX_SAMPLE_RATE)
    if period is not None:
        whole_number("period", period, 1, MAX_PERIOD)
    if isinstance(latency, str):
        one_of("latency", latency, ("low", "high"))
    else:
        real_number("latency", latency, 0, 10)


class DeviceSource(Record):
    """See :meth:`AudioSource.device`; without a name, the default input device."""

    name: Wanted | None
    sample_rate: int | None
    channels: int | tuple[int, ...] | None
    period: int | None
    latency: Literal["low", "high"] | float
    on_lost: OnLost | None = None
    lost_timeout: float | None = None
    follow: bool = False
    no_monitor: bool = False
    """As the default input, what the computer plays will not do: it takes an input's place."""

    def __post_init__(self) -> None:
        check_losing(self.on_lost, self.lost_timeout)
        check_follow(self.follow)
        check_settings(self.sample_rate, self.period, self.latency)

    def again(self, lost: OpenSource) -> tuple[Source, ...]:
        """Return the same device, at the rate that it had if it can, and what may replace it.

        What was found by a role is looked for by it again; a name stays the device that it found.
        Channels that were chosen one by one are not replaced by others.
        """
        name = None if self.name is None else DeviceId(lost.device_id)
        same = replace(self, name=name, no_monitor=not lost.is_monitor)
        tries = [
            replace(same, sample_rate=lost.sample_rate),
            same,
            replace(same, sample_rate=None),
        ]
        if isinstance(self.channels, int):
            tries.append(replace(same, sample_rate=None, channels=None))
        if self.on_lost == "default":
            default = replace(same, name=None, sample_rate=None, period=None)
            tries += [default, replace(default, channels=None)]
        return tuple(tries)

    def open(self, opening: Opening) -> OpenSource:
        """Find the device in a fresh list and open it."""
        listing = opening.listing()
        is_role = self.name is None
        found = default_candidate(listing) if self.name is None else find_input(self.name, listing)
        if isinstance(found.native, PulseInput):
            if is_role and self.no_monitor and found.native.source.is_monitor:
                # What a server calls the default once no input is left.
                raise DeviceNotFoundError(
                    f"there is no input device: the default is {found.name}, an output's monitor"
                )
            return open_pulse(
                found.native,
                opening,
                sample_rate=self.sample_rate,
                channels=self.channels,
                period=self.period,
                latency=self.latency,
                role=Role.DEFAULT_INPUT if is_role and not role_is_named() else Role.NONE,
            )
        if isinstance(found.native, ScriptedDevice):
            is_followed = is_role and not role_is_named()
            return found.native.open(self.sample_rate, self.channels, opening, is_role=is_followed)
        behind = None
        if found.server_source is not None:
            behind = check_not_mixed(found, listing.every)
        channels, own = channels_to_open(
            self.channels,
            found.name,
            behind or found.device.channels,
            opening.formats,
            any_number=found.takes_any_number and behind is None,
        )
        if isinstance(found.native, JackDevice):
            return open_jack(found.native, CLIENT_NAME, self.sample_rate, channels, own, opening)
        rate = self.sample_rate or found.device.sample_rate
        settings = PortAudioSettings(rate, self.period, self.latency)
        return open_portaudio(found, settings, channels, own, opening)
