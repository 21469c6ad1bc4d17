"""Devices that come and go, as events."""

import asyncio
import threading

import pytest

import stream_audio
from stream_audio import (
    ConfigTypeError,
    DefaultChanged,
    DeviceAdded,
    DeviceRemoved,
    watch_devices,
)
from stream_audio.sources import watching
from stream_audio.testing import Incident, VirtualClock, VirtualDevices

GIVE_UP = 30.0


def short(event):
    if isinstance(event, DefaultChanged):
        return ("default", event.old, event.new)
    return (type(event).__name__, event.device.name)


@pytest.fixture
def clock():
    """Stands still until the test advances it."""
    return VirtualClock(auto=False)


@pytest.fixture
def devices(clock):
    """A headset that goes and comes back as another one, and a webcam."""
    with VirtualDevices(clock) as devices:
        script = [Incident.absent(0.2, 0.2), Incident.changed(0.3, channels=2)]
        devices.add("headset", script=script)
        devices.add("webcam")
        yield devices


EXPECTED = [
    ("DeviceRemoved", "headset"),
    ("default", "virtual:headset", "virtual:webcam"),
    ("DeviceAdded", "headset"),
    ("default", "virtual:webcam", "virtual:headset"),
]


def test_an_iterator_has_each_change(devices, clock):
    with watch_devices() as watcher:
        assert [device.name for device in watcher.devices] == ["headset", "webcam"]
        clock.advance(1.0)
        events = [event for _, event in zip(range(4), watcher, strict=False)]
    assert [short(event) for event in events] == EXPECTED
    assert events[2].device.channels == 2
    assert events[3].source == ""


def test_an_async_iterator_has_each_change(devices, clock):
    async def watch():
        events = []
        with watch_devices() as watcher:
            asyncio.get_running_loop().run_in_executor(None, clock.advance, 1.0)
            async for event in watcher:
                events.append(event)
                if len(events) == 4:
                    break
        return events

    assert [short(event) for event in asyncio.run(watch())] == EXPECTED


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_a_callback_gets_each_change_and_may_raise(error, devices, clock, caplog):
    events, done = [], threading.Event()

    def note(event):
        events.append(event)
        if len(events) == 4:
            done.set()
        raise error

    with watch_devices(note):
        clock.advance(1.0)
        assert done.wait(GIVE_UP)
    assert [short(event) for event in events] == EXPECTED
    assert "the callback of watch_devices raised" in caplog.text


def test_a_cancelled_wait_loses_no_event(devices, clock):
    async def watch():
        with watch_devices() as watcher:
            task = asyncio.ensure_future(watcher.__anext__())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(clock.advance, 1.0)
            return [short(await watcher.__anext__()) for _ in range(4)]

    assert asyncio.run(watch()) == EXPECTED


def test_get_gives_up_and_close_lets_everybody_go(devices):
    watcher = watch_devices()
    assert watcher.get(timeout=0.01) is None
    got = []
    thread = threading.Thread(target=lambda: got.extend(watcher))
    thread.start()
    watcher.close()
    watcher.close()
    thread.join(GIVE_UP)
    assert not thread.is_alive()
    assert got == []


def test_each_trigger_is_one_listing(devices, clock, monkeypatch):
    listings = []
    listed = watching.list_input_devices

    def count():
        listings.append(1)
        return listed()

    monkeypatch.setattr(watching, "list_input_devices", count)
    with watch_devices() as watcher:
        clock.advance(1.0)
        for _ in range(4):
            assert watcher.get(GIVE_UP) is not None
    assert len(listings) == 1 + 3  # at first; gone, other channels, and back


def test_no_thread_is_left(devices):
    """Threads of other tests may end meanwhile."""
    before = set(threading.enumerate())
    with watch_devices():
        started = set(threading.enumerate()) - before
        assert [thread.name for thread in started] == ["stream-audio-script"]
    for thread in started:
        thread.join(GIVE_UP)
        assert not thread.is_alive()


def test_a_hanging_host_changes_nothing(devices, clock, monkeypatch):
    def hang():
        raise stream_audio.HostUnresponsiveError("JACK does not answer")

    with watch_devices() as watcher:
        monkeypatch.setattr(watching, "list_input_devices", hang)
        clock.advance(1.0)
        assert watcher.get(0.0) is None
        assert [device.name for device in watcher.devices] == ["headset", "webcam"]


def test_only_functions_are_called_back():
    with pytest.raises(ConfigTypeError, match="callback"):
        watch_devices("print")


def device(id, **other):
    settings = {
        "name": id,
        "host_api": "x",
        "channels": 1,
        "sample_rate": 48_000,
        "low_latency": 0.1,
        "high_latency": 0.1,
        "is_default": False,
    }
    return stream_audio.InputDevice(**(settings | other), id=id)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([device("a"), device("b")], []),
        ([device("b", latency=0.3), device("a", low_latency=0.2)], []),
        ([device("b")], [DeviceRemoved]),
        ([device("a"), device("b"), device("c")], [DeviceAdded]),
        ([device("a"), device("b", sample_rate=44_100)], [DeviceRemoved, DeviceAdded]),
        ([device("a", is_default=True), device("b")], [DefaultChanged]),
    ],
)
def test_differences_of_two_lists(after, expected):
    before = [device("a"), device("b")]
    found = list(watching.differences(before, after, 1.0))
    assert [type(event) for event in found] == expected
