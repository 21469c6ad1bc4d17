"""The latency script on real servers: a device, a comparison, a signal's way out and in again."""

import json
import os
import re
import subprocess
import sys
import time

import pytest

GIVE_UP = 100.0
SCRIPT = [sys.executable, "-m", "stream_audio", "latency", "--json"]


def start(*arguments):
    return subprocess.Popen(
        [*SCRIPT, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def document(process):
    with process:
        said, complaints = process.communicate(timeout=GIVE_UP)
    assert process.returncode == 0, complaints
    return json.loads(said)


def test_a_device_is_measured_from_its_own_callbacks(jack, jack_counter):
    found = document(start("--device", "counter", "--duration", 0.5, "--consumers", "channel"))
    assert found["device"] == {"name": "counter", "host_api": "JACK Audio Connection Kit"}
    (run,) = found["runs"]
    assert (run["period"], run["chunk"], run["sample_rate"]) == (256, 256, 48_000)
    assert run["callback_to"]["channel"]["count"] > 50
    assert run["callback_to"]["ring"]["count"] > 50
    assert run["period_jitter"]["p50"] < 256 / 48_000
    assert run["balanced"]


def test_this_library_has_its_turn_in_a_comparison(jack, jack_counter):
    options = ("--duration", 0.5, "--consumers", "router", "--rounds", 1)
    compare = document(start("--device", "counter", "--compare", *options))["compare"]
    # Others take the system's PortAudio, which is hidden where the wheel is tried.
    assert "stream_audio" not in compare["failures"]
    assert compare["reference"]
    ours = compare["loads"]["none"]["stream_audio"]
    assert ours["turns"] == 1
    assert ours["lateness"]["count"] > 50
    assert ours["lateness"]["p50"] < 0.5


def connect(process, source, target):
    """Connect two ports as soon as the script has them."""
    until = time.monotonic() + GIVE_UP
    while subprocess.run(["jack_connect", source, target], capture_output=True).returncode:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        # Each try is a client that comes and goes. jackd 1.9.21 may leave one that is being
        # activated just then without callbacks, for good ("Process error").
        time.sleep(0.7)


def test_a_round_trip_through_jack_takes_whole_periods(jack):
    process = start("--round-trip", "--device", "system", "--duration", 6)
    connect(process, "stream-audio:out_1", "stream-audio:in_1")
    trip = document(process)["round_trip"]
    assert trip["host_api"] == "JACK Audio Connection Kit"
    # JACK hands a client its own output one period later; a cycle it skips may add another.
    assert all(frames % 256 == 0 for frames in trip["frames"])
    assert min(trip["frames"]) == 256
    assert trip["delay"]["min"] == pytest.approx(256 / 48_000)
    assert trip["gain_db"] == pytest.approx(0, abs=0.1)
    assert not trip["inverted"]


@pytest.mark.long
def test_a_round_trip_finds_the_channel_it_comes_back_on(jack):
    process = start("--round-trip", "--device", "system", "--duration", 6)
    connect(process, "stream-audio:out_2", "stream-audio:in_2")
    assert document(process)["round_trip"]["channel"] == 1


@pytest.mark.long
def test_a_round_trip_without_a_way_back_fails_with_a_hint(jack):
    process = start("--round-trip", "--device", "system", "--duration", 4.5)
    with process:
        said, complaints = process.communicate(timeout=GIVE_UP)
    assert process.returncode == 1
    assert said == ""
    assert re.search("nothing that was played to 'system' came back", complaints)
    assert "Connect the output to the input" in complaints


def test_a_round_trip_through_the_monitor_of_a_sink(pulse):
    options = ("--device", "speakers_monitor", "--output", "pulse", "--rate", 48_000)
    trip = document(start("--round-trip", *options, "--latency", 0.1, "--duration", 10))[
        "round_trip"
    ]
    assert trip["output"] == "pulse"
    assert 0.01 < trip["delay"]["min"] < 1.3
    assert -12 < trip["gain_db"] < 1  # a change of its delay splits a repetition in two


def test_devices_of_two_host_apis_cannot_form_a_round_trip(jack, pulse):
    result = subprocess.run(
        [*SCRIPT, "--round-trip", "--device", "system", "--output", "pulse, ALSA"],
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
        env=os.environ,
    )
    assert result.returncode == 1
    assert "of the same host API" in result.stderr
