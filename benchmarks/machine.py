"""What the figures were measured on, and how busy it was with other things."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from stream_audio.latency import machine
from stream_audio.latency.peers import PEER_PACKAGES

PACKAGES = (*machine.PACKAGES, *PEER_PACKAGES, "soundfile")


def describe() -> dict[str, Any]:
    """Return the machine and the versions of all that takes part."""
    return machine.describe(PACKAGES) | {
        "jack": _first_line("jackd", "--version"),
        "portaudio": _portaudio_version(),
    }


class Bystanders:
    """How much of the CPU went to processes that are not this one or its children."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy, self._stolen = _system_seconds()
        self._own = sum(os.times()[:4])

    def so_far(self) -> dict[str, float]:
        """Return means since the start; children count once they have been waited for."""
        elapsed = time.monotonic() - self._began
        busy, stolen = _system_seconds()
        others = busy - self._busy - (sum(os.times()[:4]) - self._own)
        return {
            "minutes": round(elapsed / 60, 1),
            "cores_used_by_others": round(max(0.0, others) / elapsed, 3),
            "cores_stolen_by_the_host": round((stolen - self._stolen) / elapsed, 3),
        }


def _system_seconds() -> tuple[float, float]:
    """CPU seconds since boot that were used, and that a hypervisor took (proc(5), /proc/stat)."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0, 0.0
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    ticks = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / ticks, steal / ticks


def _portaudio_version() -> str:
    """PortAudio's own words; a process of its own, because importing it talks and takes time."""
    code = "import sounddevice; print(sounddevice.get_portaudio_version()[1])"
    return _first_line(sys.executable, "-c", code)


def _first_line(program: str, *arguments: str) -> str:
    if shutil.which(program) is None:
        return "not installed"
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    return (done.stdout.strip().splitlines() or ["?"])[-1]
