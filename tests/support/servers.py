"""Real sound servers, without a sound card: the names, all of them context managers.

    from support import servers

    with servers.Jack() as jack, servers.JackCounter():
        ...                       # PortAudio sees the JACK device "counter"
        jack.restart()

    with servers.PulseAudio() as pulse, pulse.play_tone(440.0, level_dbfs=-12.0):
        ...                       # PortAudio sees the ALSA device "speakers_monitor"

    with servers.PipeWire() as pipewire:
        ...                       # the same, from pipewire-pulse

Each changes the environment of this process for as long as it runs, so that what is opened next
finds it: stop them in the reverse order of their start, and from one thread. A program that is
missing raises `MissingProgramError`, which names the Debian package: tests fail, they do not skip.
"""

from support.alsa import ALSA_NULL, ALSA_NULL_DEVICE, alsa_config
from support.jack import Jack, JackCounter, one_at_a_time
from support.pipewire import PipeWire
from support.processes import (
    MissingProgramError,
    Server,
    ServerError,
    environment,
    require_program,
    wait_until,
)
from support.pulse import PulseAudio

__all__ = [
    "ALSA_NULL",
    "ALSA_NULL_DEVICE",
    "Jack",
    "JackCounter",
    "MissingProgramError",
    "PipeWire",
    "PulseAudio",
    "Server",
    "ServerError",
    "alsa_config",
    "environment",
    "one_at_a_time",
    "require_program",
    "wait_until",
]
