"""``stream-audio doctor``."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import typer

import stream_audio
from stream_audio import (
    AudioSource,
    ChannelSink,
    FormatPreset,
    StreamAudio,
    StreamAudioError,
    StreamConfig,
)
from stream_audio.cli.options import AsJson, Device
from stream_audio.cli.outcome import FAILED, print_json, show

CAPTURE_SECONDS = 2.0

PACKAGES = ("stream-audio", "cffi", "numpy", "soundfile", "soxr")

QUIET = -90.0
"""dBFS below which no microphone is in a room."""


class Finding:
    """A line of the report: what was looked at, what was found, and what to do about it."""

    def __init__(self, about: str, found: str, advice: str = "", *, is_bad: bool = False) -> None:
        self.about = about
        self.found = _without_names(found)
        self.advice = _without_names(advice)
        self.is_bad = is_bad

    def __str__(self) -> str:
        mark = "!" if self.is_bad else "·" if self.advice else " "
        text = f"{mark} {self.about:<14} {self.found}"
        return f"{text}\n{'':17}{self.advice}" if self.advice else text

    def to_dict(self) -> dict[str, Any]:
        """Return it for programs."""
        state = "bad" if self.is_bad else "advice" if self.advice else "good"
        return {"about": self.about, "found": self.found, "advice": self.advice, "state": state}


def doctor(device: Device = None, as_json: AsJson = False) -> None:
    """Look at what recording needs, record for two seconds, and report; to be pasted.

    The report has no names of users, folders or machines.
    """
    findings = list(_findings(device))
    if as_json:
        print_json([finding.to_dict() for finding in findings])
    else:
        for finding in findings:
            show(str(finding))
    if any(finding.is_bad for finding in findings):
        raise typer.Exit(FAILED)


def _findings(device: str | None) -> Iterator[Finding]:
    yield from _versions()
    yield from _permissions()
    yield from _devices()
    yield from _capture(device)


def _versions() -> Iterator[Finding]:
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"{name} (not installed as a package)")
    yield Finding("versions", ", ".join(versions))
    python = f"{platform.python_implementation()} {platform.python_version()}"
    yield Finding("python", f"{python}, {platform.machine()}")
    yield Finding("system", f"{platform.system()} {platform.release()}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("cores", str(cores))


def _permissions() -> Iterator[Finding]:
    if sys.platform != "linux":
        return
    try:
        names = sorted(name for name in os.listdir("/dev/snd") if name.startswith("pcm"))
    except FileNotFoundError:
        yield Finding("sound cards", "none (/dev/snd is not there)")
    else:
        closed = [name for name in names if not os.access(f"/dev/snd/{name}", os.R_OK | os.W_OK)]
        if closed:
            advice = "Add yourself to the group audio: sudo usermod -aG audio $USER, then log in"
            found = f"{len(closed)} of {len(names)} devices may not be opened"
            yield Finding("sound cards", found, advice)
        else:
            yield Finding("sound cards", f"{len(names)} devices, which may be opened")
    import resource

    priority = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    memory = "any" if locked == resource.RLIM_INFINITY else f"{locked // 1024} KiB"
    found = f"priority {priority}, locked memory {memory}"
    if priority == 0 and os.geteuid() != 0:
        advice = "For JACK: a file in /etc/security/limits.d with '@audio - rtprio 95'"
        yield Finding("real time", found, advice)
    else:
        yield Finding("real time", found)


def _devices() -> Iterator[Finding]:
    try:
        listed = stream_audio.list_input_devices()
    except StreamAudioError as error:
        yield Finding("devices", error.message, error.hint or "", is_bad=True)
        return
    hosts = sorted({device.host_api for device in listed})
    yield Finding("host APIs", ", ".join(hosts) or "none")
    if not listed:
        yield Finding("devices", "none", "Connect a microphone", is_bad=True)
    for device in listed:
        default = ", the default" if device.is_default else ""
        monitor = ", a monitor" if device.is_monitor else ""
        yield Finding(
            "device",
            f"{device.name} ({device.host_api}), {device.channels} channels, "
            f"{device.sample_rate} Hz{default}{monitor}",
        )


def _capture(device: str | None) -> Iterator[Finding]:
    """Record for a while, and judge what came."""
    source = (
        AudioSource.default_device(on_lost="stop")
        if device is None
        else AudioSource.device(device, on_lost="stop")
    )
    channel = ChannelSink()
    builder = (
        StreamAudio.builder()
        .add_source("test", source)
        .format(FormatPreset.NATIVE)
        .add_sink(channel)
        .duration(CAPTURE_SECONDS)
        .config(StreamConfig(raise_on_sink_failure=False))
    )
    try:
        with builder.start() as session:
            until = CAPTURE_SECONDS + 10.0
            is_over = session.wait(until)
        report = session.report().sources["test"]
        chunks = list(channel)
    except StreamAudioError as error:
        yield Finding("test capture", error.message, error.hint or "", is_bad=True)
        return
    frames = f"{report.captured} frames at {report.sample_rate} Hz from {report.device}"
    if not is_over or not report.captured:
        advice = "Choose another device, or restart its server"
        yield Finding(
            "test capture", f"{frames}: it delivers nothing, or stands", advice, is_bad=True
        )
        return
    yield Finding("test capture", frames)
    if report.lost:
        causes = ", ".join(sorted({gap.cause for gap in report.gaps}))
        advice = "The machine is too busy, or its driver loses audio: try a longer period"
        yield Finding("loss", f"{report.lost} frames ({causes})", advice, is_bad=True)
    else:
        yield Finding("loss", "none")
    peak = max(float(chunk.peak.max()) for chunk in chunks)
    level = f"peak {peak:.1f} dBFS"
    if peak < QUIET:
        advice = "Is it muted, or is another device the right one? A monitor may well be silent"
        yield Finding("level", level, advice)
    elif peak > -0.1:
        yield Finding("level", level, "It clips: turn the input's gain down")
    else:
        yield Finding("level", level)


def _without_names(text: str) -> str:
    """Take the names of the user, the home folder and the machine out of the report."""
    secrets = {os.path.expanduser("~"): "~", platform.node(): "HOST"}
    for name in ("USER", "LOGNAME", "USERNAME"):
        secrets[os.environ.get(name, "")] = "USER"
    for secret, instead in secrets.items():
        if secret:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", instead, text)
    return text
