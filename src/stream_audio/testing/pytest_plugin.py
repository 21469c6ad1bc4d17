"""Fixtures for tests of programs that record. pytest finds them once the package is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stream_audio.testing import Incident, VirtualClock, VirtualDevices

INCIDENTS = (
    "unplugged",
    "unplugged-unnoticed",
    "replugged",
    "other-rate",
    "other-channels",
    "refusing",
    "hanging",
    "moved",
    "suspended",
)


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """Make a clock on which an hour takes no time; see ``stream_audio.testing.VirtualClock``."""
    from stream_audio.testing import VirtualClock

    return VirtualClock()


@pytest.fixture
def virtual_devices(virtual_clock: VirtualClock) -> Iterator[VirtualDevices]:
    """Let devices of the test's own stand in for the machine's, on the virtual clock."""
    from stream_audio.testing import VirtualDevices

    with VirtualDevices(virtual_clock) as devices:
        yield devices


@pytest.fixture(params=INCIDENTS)
def device_incidents(request: pytest.FixtureRequest) -> list[Incident]:
    """Run the test once with each script of what may happen to a device; the first comes at 1 s.

    Of the scripts, "unplugged", "unplugged-unnoticed" and "hanging" have no end.
    """
    from stream_audio.testing import Incident

    scripts = {
        "unplugged": [Incident.absent(1.0)],
        "unplugged-unnoticed": [Incident.absent(1.0, leaves="dead")],
        "replugged": [Incident.absent(1.0, 2.0)],
        "other-rate": [Incident.absent(1.0, 2.0), Incident.changed(2.0, sample_rate=16_000)],
        "other-channels": [Incident.absent(1.0, 2.0), Incident.changed(2.0, channels=4)],
        "refusing": [Incident.absent(1.0, 1.0), Incident.refusing(2.0, 1.0)],
        "hanging": [Incident.absent(1.0, 1.0), Incident.hanging(2.0)],
        "moved": [Incident.moved(1.0)],
        "suspended": [Incident.suspended(1.0, 1.0)],
    }
    return scripts[request.param]
