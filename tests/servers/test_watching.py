"""What sound servers tell of devices that come and go."""

import subprocess
import sys
import time

import pytest

from stream_audio import (
    AudioSource,
    CallbackSink,
    DefaultChanged,
    DeviceAdded,
    DeviceRemoved,
    DeviceWatcher,
    StreamAudio,
    watch_devices,
)
from support import servers

GIVE_UP = 20.0


def until(watcher: DeviceWatcher, kind: type, id: str) -> None:
    """Take events until there is one of that kind and device."""
    while (event := watcher.get(GIVE_UP)) is not None:
        if isinstance(event, kind):
            about = event.new if isinstance(event, DefaultChanged) else event.device.id
            if about == id:
                return
    raise AssertionError(f"no {kind.__name__} of {id}")


@pytest.mark.parametrize("name", ["PulseAudio", "PipeWire"])
def test_a_source_that_is_plugged_in_and_out_is_told(servers_wanted: None, name: str) -> None:
    kind = {"PulseAudio": servers.PulseAudio, "PipeWire": servers.PipeWire}[name]
    with kind() as server, watch_devices() as watcher:
        module = server.load_sink("usb")
        until(watcher, DeviceAdded, "pulse:usb.monitor")
        server.ask("set-default-source", "usb.monitor")
        until(watcher, DefaultChanged, "pulse:usb.monitor")
        server.unload(module)
        until(watcher, DeviceRemoved, "pulse:usb.monitor")


def test_a_server_that_dies_and_comes_back_is_told(pulse: servers.PulseAudio) -> None:
    with watch_devices() as watcher:
        pulse.kill()
        until(watcher, DeviceRemoved, "pulse:speakers.monitor")
        pulse.restart()
        until(watcher, DeviceAdded, "pulse:speakers.monitor")


def test_a_jack_server_that_starts_is_told(jack: servers.Jack) -> None:
    with watch_devices() as watcher:
        jack.kill()
        until(watcher, DeviceRemoved, "jack:system")
        jack.restart()
        until(watcher, DeviceAdded, "jack:system")


def test_a_jack_client_that_only_makes_ports_is_told(jack: servers.Jack) -> None:
    """Beside no other change: neither a client nor a socket comes or goes."""
    with servers.JackCounter("late", 0) as late, watch_devices() as watcher:
        assert "jack:late" not in {device.id for device in watcher.devices}
        assert watcher.get(1.0) is None  # what the client itself made known is over
        late.add_port()
        until(watcher, DeviceAdded, "jack:late")
        late.add_port()
        until(watcher, DeviceRemoved, "jack:late")  # it has two channels now
        until(watcher, DeviceAdded, "jack:late")
        assert [each.channels for each in watcher.devices if each.id == "jack:late"] == [2]


def test_a_jack_server_that_starts_again_tells_of_ports_too(jack: servers.Jack) -> None:
    with watch_devices() as watcher:
        jack.kill()
        until(watcher, DeviceRemoved, "jack:system")
        jack.restart()
        until(watcher, DefaultChanged, "jack:system")
        with servers.JackCounter("late", 0) as late:
            assert watcher.get(1.0) is None
            late.add_port()
            until(watcher, DeviceAdded, "jack:late")


@pytest.mark.long
def test_twenty_hot_plugs_cost_a_running_capture_no_xrun(pulse: servers.PulseAudio) -> None:
    with servers.Jack(period=1024), servers.JackCounter() as counter, watch_devices() as watcher:
        until_quiet(watcher)
        builder = StreamAudio.builder().add_source("mic", AudioSource.device("counter"))
        with builder.add_sink(CallbackSink(lambda chunk: None)).start() as session:
            time.sleep(1.0)  # until what the start cost is over
            before = counter.told()
            for _ in range(10):
                module = pulse.load_sink("usb")
                until(watcher, DeviceAdded, "pulse:usb.monitor")
                pulse.unload(module)
                until(watcher, DeviceRemoved, "pulse:usb.monitor")
            assert counter.told() == before
        assert session.report().sources["mic"].lost == 0


def until_quiet(watcher: DeviceWatcher) -> None:
    """Take the events of a start."""
    while watcher.get(1.0) is not None:
        pass


IDLE = """
import time
from stream_audio import watch_devices

with watch_devices() as watcher:
    while watcher.get(1.0) is not None:
        pass
    before = time.process_time()
    assert watcher.get(4.0) is None
    print(time.process_time() - before)
"""


@pytest.mark.long
def test_nothing_is_done_while_nothing_changes(pulse: servers.PulseAudio) -> None:
    """Less than a millisecond of a core a second, in a process that does nothing else."""
    done = subprocess.run([sys.executable, "-c", IDLE], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 4 * 0.001
