"""A PulseAudio daemon of the test's own, whose speakers are a null sink.

libpulse reads its environment at each connection, also when it is ALSA's pulse plugin that
connects, so one process can use one daemon after another.
"""

import itertools
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from support.alsa import SYSTEM_CONFIG, null_pcm, pulse_pcm
from support.processes import Server, ServerError, end_process, require_program, wait_until

_tone_numbers = itertools.count(1)


class PulseAudio(Server):
    """A private daemon with null sinks; the first is the default, its monitor the default source.

    Until `stop`, this process's PulseAudio clients use it, and its ALSA has, beside the system's
    PCMs, one for each sink's monitor ("speakers_monitor") and "null_capture", silence as fast as
    it is read. The system's PCM "pulse" leads here too, and `PULSE_SOURCE` chooses its source.

    A sink that nobody has used yet delivers its first frames only after up to 2 s.

    Parameters
    ----------
    sinks
        Names of the null sinks, letters, digits and underscores.
    sample_rate, channels
        Of every sink; samples are float32, so that levels are exact.
    """

    program = "pulseaudio"
    package = "pulseaudio"

    def __init__(
        self,
        *,
        sinks: Sequence[str] = ("speakers",),
        sample_rate: int = 48000,
        channels: int = 2,
    ) -> None:
        super().__init__()
        self.sinks = tuple(sinks)
        self.sample_rate = sample_rate
        self.channels = channels

    @contextmanager
    def play_tone(
        self,
        frequency: float,
        level_dbfs: float = -12.0,
        seconds: float = 60.0,
        *,
        sink: str | None = None,
    ) -> Iterator[None]:
        """Play a sine on every channel of the sink, for `seconds` at most, until the block ends.

        The body runs once the daemon has taken the stream. `level_dbfs` is that of the sine's
        peak, so 0 is the loudest sine that does not clip.
        """
        name = f"tone-{next(_tone_numbers)}"
        recording = self.folder / f"{name}.raw"
        _sine(frequency, level_dbfs, seconds, self.sample_rate).tofile(recording)
        with self._playing(self._player(name, recording, sink or self.sinks[0]), name, recording):
            yield

    @contextmanager
    def _playing(self, command: Sequence[str], name: str, recording: Path) -> Iterator[None]:
        player = subprocess.Popen(command)
        try:
            wait_until(lambda: self._plays(player, name), f"{name} plays")
            yield
        finally:
            end_process(player)
            recording.unlink()

    def ask(self, *arguments: str) -> str:
        """What `pactl` answers; raises `subprocess.CalledProcessError` when it fails."""
        return subprocess.run(
            [require_program("pactl", "pulseaudio-utils"), *arguments],
            env=os.environ | {"LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    @contextmanager
    def play_constants(
        self, sink: str, values: Sequence[float], *, channel_map: str = "stereo"
    ) -> Iterator[None]:
        """Play a constant on each channel of the sink, for a minute at most."""
        name = f"constants-{next(_tone_numbers)}"
        recording = self.folder / f"{name}.raw"
        np.tile(np.float32(values), 60 * self.sample_rate).tofile(recording)
        player = self._player(name, recording, sink, len(values), f"--channel-map={channel_map}")
        with self._playing(player, name, recording):
            yield

    def load_sink(self, sink: str, *settings: str, channels: int | None = None) -> str:
        """Add a null sink, whose monitor delivers evenly, and return the module's number."""
        channels = channels or self.channels
        form = [f"rate={self.sample_rate}", f"channels={channels}", "format=float32le"]
        # PulseAudio's null sinks deliver in lumps of up to 2 s, unless they may not rewind.
        name = [f"sink_name={sink}", "norewinds=1"]
        return self.ask("load-module", "module-null-sink", *name, *form, *settings).strip()

    def unload(self, module: str) -> None:
        """Take a module away: what it made is unplugged."""
        self.ask("unload-module", module)

    @property
    def _socket(self) -> Path:
        return self.folder / "native"

    @property
    def _script(self) -> Path:
        return self.folder / "start.pa"

    @property
    def _alsa_config(self) -> Path:
        return self.folder / "asoundrc"

    def _prepare(self) -> None:
        null_sink = f"rate={self.sample_rate} channels={self.channels} format=float32le"
        self._script.write_text(
            f"load-module module-native-protocol-unix socket={self._socket} auth-anonymous=1\n"
            + "".join(
                f"load-module module-null-sink sink_name={sink} {null_sink}\n"
                for sink in self.sinks
            )
            + f"set-default-sink {self.sinks[0]}\n"
        )
        self._alsa_config.write_text(
            SYSTEM_CONFIG
            + "".join(pulse_pcm(f"{sink}_monitor", f"{sink}.monitor") for sink in self.sinks)
            + null_pcm("null_capture")
        )

    def _command(self) -> list[str]:
        return [
            self.program,
            *("-n", "-F", str(self._script)),  # this script and nothing else
            *("--daemonize=no", "--exit-idle-time=-1", "--disallow-exit", "--use-pid-file=no"),
            *("--disable-shm=yes", "--high-priority=no", "--realtime=no", "--log-target=stderr"),
        ]

    def _server_environment(self) -> dict[str, str]:
        # Nothing of the daemon touches the user's home or desktop session.
        return dict.fromkeys(
            ("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME"), str(self.folder)
        ) | {"DBUS_SESSION_BUS_ADDRESS": "disabled:", "DBUS_SYSTEM_BUS_ADDRESS": "disabled:"}

    def _client_environment(self) -> dict[str, str | None]:
        return {
            "PULSE_SERVER": f"unix:{self._socket}",  # also: no daemon is spawned
            "PULSE_COOKIE": str(self.folder / "cookie"),  # else clients write one into the home
            "PULSE_RUNTIME_PATH": str(self.folder / "run"),
            "PULSE_SINK": None,
            "PULSE_SOURCE": None,
            "ALSA_CONFIG_PATH": str(self._alsa_config),
        }

    def _answers(self) -> bool:
        return self._responds() and all(
            sink in self.ask("list", "short", "sinks") for sink in self.sinks
        )

    def _responds(self) -> bool:
        if not self._socket.exists():
            return False  # cheaper than asking
        try:
            self.ask("info")
        except subprocess.CalledProcessError:
            return False
        return True

    def _plays(self, player: subprocess.Popen[bytes], name: str) -> bool:
        if player.poll() is not None:
            raise ServerError(f"{name} ended at once, with status {player.returncode}")
        return name in self.ask("list", "sink-inputs")

    def _player(
        self, name: str, recording: Path, sink: str, channels: int = 1, *settings: str
    ) -> list[str]:
        pacat = require_program("pacat", "pulseaudio-utils")
        form = [
            "--raw",
            "--format=float32le",
            f"--rate={self.sample_rate}",
            f"--channels={channels}",
        ]
        place = [f"--device={sink}", f"--stream-name={name}", "--latency-msec=50"]
        return [pacat, "--playback", *form, *place, *settings, str(recording)]


def _sine(frequency: float, level_dbfs: float, seconds: float, sample_rate: int) -> np.ndarray:
    frames = np.arange(round(seconds * sample_rate))
    wave = np.sin(2 * np.pi * frequency * frames / sample_rate)
    return (10 ** (level_dbfs / 20) * wave).astype(np.float32)
