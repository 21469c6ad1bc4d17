"""The servers that the other tests rely on start, fail and come back as they should."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stream_audio._native.portaudio import PACKAGED_LIBRARY, library_path
from support import servers

SHARED_MEMORY = Path("/dev/shm")


class PaDeviceInfo(ctypes.Structure):
    """The beginning of PortAudio's structure of that name."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("host_api", ctypes.c_int),
        ("max_input_channels", ctypes.c_int),
    )


def portaudio_inputs() -> set[str]:
    """The input devices that PortAudio lists for this process, now."""
    portaudio = ctypes.CDLL(library_path() or "libportaudio.so.2")
    portaudio.Pa_GetDeviceInfo.restype = ctypes.POINTER(PaDeviceInfo)
    assert portaudio.Pa_Initialize() == 0
    try:
        devices = [
            portaudio.Pa_GetDeviceInfo(index).contents
            for index in range(portaudio.Pa_GetDeviceCount())
        ]
        return {device.name.decode() for device in devices if device.max_input_channels > 0}
    finally:
        portaudio.Pa_Terminate()


def jack_sample_rate() -> int | None:
    """The sample rate of the server that this process's libjack finds now, or None."""
    libjack = ctypes.CDLL("libjack.so.0")
    libjack.jack_client_open.restype = ctypes.c_void_p
    no_start_server = 1
    client = libjack.jack_client_open(b"probe", no_start_server, None)
    if client is None:
        return None
    sample_rate = libjack.jack_get_sample_rate(ctypes.c_void_p(client))
    libjack.jack_client_close(ctypes.c_void_p(client))
    return int(sample_rate)


def opens(pcm: str) -> bool:
    """Whether this process's libasound can capture from that PCM now."""
    libasound = ctypes.CDLL("libasound.so.2")
    handle = ctypes.c_void_p()
    capture = 1
    if libasound.snd_pcm_open(ctypes.byref(handle), pcm.encode(), capture, 0) != 0:
        return False
    libasound.snd_pcm_close(handle)
    return True


def shared_files(pid: int) -> set[tuple[str, int]]:
    """Path and inode of what a process has mapped of /dev/shm, except the common registry."""
    mappings = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    return {
        (mapping[5], int(mapping[4]))
        for mapping in mappings
        if len(mapping) == 6  # a deleted file has one more word
        and mapping[5].startswith("/dev/shm/")
        and not mapping[5].endswith("jack-shm-registry")
    }


def still_there(files: set[tuple[str, int]]) -> set[str]:
    return {
        path for path, inode in files if Path(path).exists() and Path(path).stat().st_ino == inode
    }


def record_monitor(sink: str, seconds: float) -> np.ndarray:
    """Record a sink's monitor, 48 kHz mono, from its first sample that is not zero."""
    form = ["--raw", "--format=float32le", "--rate=48000", "--channels=1", "--latency-msec=20"]
    parec = servers.require_program("parec", "pulseaudio-utils")
    heard = np.empty(0, np.float32)
    with subprocess.Popen(
        [parec, f"--device={sink}.monitor", *form], stdout=subprocess.PIPE
    ) as recorder:
        assert recorder.stdout is not None
        while len(heard) < seconds * 48000:
            block = np.frombuffer(recorder.stdout.read(4800 * 4), np.float32)
            heard = np.concatenate([heard, block if len(heard) else np.trim_zeros(block, "f")])
        recorder.kill()
    return heard


def test_jack_runs_until_it_is_stopped_and_restores_the_environment() -> None:
    before = dict(os.environ)
    with servers.Jack(sample_rate=44100, period=128) as jack:
        assert jack.is_running
        assert os.environ["JACK_DEFAULT_SERVER"] == jack.name
        assert jack_sample_rate() == 44100
    assert not jack.is_running
    assert "JACK server starting" in jack.log
    assert dict(os.environ) == before


def test_a_process_can_use_one_jack_server_after_another() -> None:
    with servers.Jack() as first:
        assert jack_sample_rate() == 48000
        first.restart()
        assert jack_sample_rate() == 48000
    with servers.Jack(sample_rate=44100) as second:
        assert second.name != first.name
        assert jack_sample_rate() == 44100
        second.kill()
        assert jack_sample_rate() is None
        second.restart()
        assert jack_sample_rate() == 44100


@pytest.mark.skipif(
    library_path() == PACKAGED_LIBRARY, reason="the wheel's PortAudio knows nothing of JACK"
)
def test_portaudio_lists_the_counter_on_each_new_server(
    jack: servers.Jack, jack_counter: servers.JackCounter
) -> None:
    assert "counter" in portaudio_inputs()
    jack.kill()
    jack.restart()
    assert "counter" not in portaudio_inputs()
    with servers.JackCounter():
        assert "counter" in portaudio_inputs()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_jack_leaves_nothing_behind(end: str) -> None:
    with servers.Jack() as jack, servers.JackCounter():
        folder = jack.folder
        files = shared_files(jack.pid)
        assert still_there(files)
        if end == "kill":
            jack.kill()
            assert still_there(files)
    assert not still_there(files)
    assert not [path for path in SHARED_MEMORY.iterdir() if jack.name in path.name]
    assert jack.name.encode() not in (SHARED_MEMORY / "jack-shm-registry").read_bytes()
    assert not folder.exists()


def test_a_test_that_crashes_takes_its_server_along(tmp_path: Path) -> None:
    crash = (
        "import os; from support import servers; print(servers.Jack().start().name); os.abort()"
    )
    support = Path(servers.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-uc", crash],
        cwd=support,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    socket = SHARED_MEMORY / f"jack_{result.stdout.strip()}_{os.getuid()}_0"
    servers.wait_until(lambda: not socket.exists(), "jackd ends")


def test_a_stalled_jack_server_makes_xruns(
    jack: servers.Jack, jack_counter: servers.JackCounter
) -> None:
    before = jack.xruns
    jack.stall(0.2)
    servers.wait_until(lambda: jack.xruns > before, "an xrun in the log")
    told = servers.wait_until(jack_counter.told, "the client is told of it")
    assert jack_counter.stop() >= told


def test_the_counter_outlives_a_killed_server(
    jack: servers.Jack, jack_counter: servers.JackCounter
) -> None:
    jack.kill()
    assert jack_counter.stop() >= 0


def test_the_counter_says_that_it_found_no_server() -> None:
    with (
        servers.environment({"JACK_DEFAULT_SERVER": "nobody", "JACK_NO_START_SERVER": "1"}),
        pytest.raises(servers.ServerError, match="no server"),
        servers.JackCounter(),
    ):
        pass


def test_pulse_plays_a_tone_of_the_right_frequency_and_level(pulse: servers.PulseAudio) -> None:
    with pulse.play_tone(1000.0, level_dbfs=-20.0):
        heard = record_monitor("speakers", seconds=1.0)[4800:][:38400]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    frequency = spectrum.argmax() * 48000 / len(heard)
    level = 20 * np.log10(np.sqrt(2 * np.mean(heard**2)))
    assert frequency == pytest.approx(1000.0, abs=1.5)
    assert level == pytest.approx(-20.0, abs=0.1)


def test_a_tone_ends_with_its_block_and_plays_on_its_own_sink() -> None:
    with servers.PulseAudio(sinks=("speakers", "headset"), sample_rate=44100) as pulse:
        with pulse.play_tone(440.0, sink="headset"):
            states = pulse.ask("list", "short", "sinks")
            assert "RUNNING" in next(line for line in states.splitlines() if "headset" in line)
            assert "RUNNING" not in next(line for line in states.splitlines() if "speak" in line)
        servers.wait_until(lambda: not pulse.ask("list", "short", "sink-inputs"), "silence")


def test_portaudio_lists_each_new_daemons_monitors() -> None:
    before = dict(os.environ)
    with servers.PulseAudio(sinks=("speakers", "headset")) as pulse:
        assert {"speakers_monitor", "headset_monitor", "null_capture"} <= portaudio_inputs()
        pulse.kill()
        assert "speakers_monitor" not in portaudio_inputs()
        pulse.restart()
        assert "speakers_monitor" in portaudio_inputs()
    with servers.PulseAudio(sinks=("desk",)):
        assert {"speakers_monitor", "desk_monitor"} & portaudio_inputs() == {"desk_monitor"}
    assert dict(os.environ) == before


def test_pulse_leaves_nothing_behind() -> None:
    before = set(SHARED_MEMORY.glob("pulse-*"))
    with servers.PulseAudio() as pulse, pulse.play_tone(440.0):
        folder = pulse.folder
        pulse.kill()
    assert set(SHARED_MEMORY.glob("pulse-*")) <= before
    assert not folder.exists()


def test_portaudio_lists_the_null_device(alsa_null: str) -> None:
    assert alsa_null in portaudio_inputs()


def test_alsa_sees_each_new_configuration_in_the_same_process() -> None:
    before = os.environ.get("ALSA_CONFIG_PATH")
    assert not opens("first")
    for name, other in [("first", "second"), ("second", "first")]:
        with servers.alsa_config(f"pcm.{name} {{ type null }}\n"):
            assert opens(name)
            assert not opens(other)
    assert not opens("second")
    assert os.environ.get("ALSA_CONFIG_PATH") == before


def test_a_missing_program_names_its_package() -> None:
    with pytest.raises(servers.MissingProgramError, match="apt-get install some-package"):
        servers.require_program("no-such-program", "some-package")


def test_a_server_that_cannot_start_shows_its_log_and_restores_the_environment() -> None:
    before = dict(os.environ)
    with pytest.raises(servers.ServerError, match="jackdmp"):
        servers.Jack(period=-1).start()
    assert dict(os.environ) == before


def test_only_the_variable_set_by_hand_skips(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("STREAM_AUDIO_SERVERS", "off")
    with pytest.raises(pytest.skip.Exception):
        request.getfixturevalue("servers_wanted")


def test_every_test_here_is_marked(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("servers")
