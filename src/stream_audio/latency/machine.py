"""What the figures were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PACKAGES = ("stream-audio", "numpy", "cffi")

_POLICIES = {
    getattr(os, name): name
    for name in ("SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_IDLE")
    if hasattr(os, name)
}


def describe(packages: Iterable[str] = PACKAGES) -> dict[str, Any]:
    """Return the machine, its system, and the versions of what takes part."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "governor": _governor(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "switch_interval": sys.getswitchinterval(),
        "versions": {name: _version(name) for name in packages},
    }


def thread_classes() -> dict[str, int]:
    """Return how many threads of this process run in which scheduling class.

    The name has the priority where the class has one, as in ``"SCHED_FIFO 70"``. Empty where the
    system does not tell.
    """
    classes: Counter[str] = Counter()
    try:
        threads = list(Path("/proc/self/task").iterdir())
    except OSError:
        return {}
    for thread in threads:
        try:
            # Behind the name, which may hold anything: rt_priority and policy are fields 40, 41.
            fields = (thread / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        priority, policy = int(fields[37]), int(fields[38])
        name = _POLICIES.get(policy, f"policy {policy}")
        classes[f"{name} {priority}" if priority else name] += 1
    return dict(classes)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), "?")


def _governor() -> str:
    """Return what decides on the processors' speed; "?" where the system does not tell."""
    pattern = "cpu[0-9]*/cpufreq/scaling_governor"
    try:
        found = {path.read_text().strip() for path in _CPUS.glob(pattern)}
    except OSError:
        return "?"
    return ", ".join(sorted(found)) or "?"


_CPUS = Path("/sys/devices/system/cpu")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
