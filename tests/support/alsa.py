"""An ALSA configuration of the test's own, never that of the home directory.

ALSA reads `ALSA_CONFIG_PATH` anew whenever a PCM is opened or the devices are listed
(`snd_config_update`), in a process that has used ALSA before as well, and loads the files again
if their *names*, or the device, inode or modification time (in whole seconds) of one, have
changed. So a new name is always seen, and a file rewritten under its old name within a second is
not: `alsa_config` never uses a name twice, and no subprocess is needed. Files that those include
are not watched, and `ALSA_CONFIG_DIR` is read once per process.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.processes import environment

# The system's own configuration, first in every configuration here: with PCMs that all open and
# no "default" or "dmix" among them, PortAudio 19.6 aborts the process in Pa_Initialize
# (the assertion `devIdx < numDeviceNames` in BuildDeviceList).
SYSTEM_CONFIG = "</usr/share/alsa/alsa.conf>\n"

ALSA_NULL_DEVICE = "flatout"


def null_pcm(name: str) -> str:
    """Define a PCM that captures silence as fast as it is read, and lets playback vanish."""
    return _pcm(name, "null", "captures silence as fast as it is read")


def pulse_pcm(name: str, device: str) -> str:
    """Define a PCM that records the named PulseAudio source (or plays to the named sink)."""
    return _pcm(name, f'pulse\n    device "{device}"', f"PulseAudio {device}")


def _pcm(name: str, type_and_settings: str, description: str) -> str:
    return f"""\
pcm.{name} {{
    type {type_and_settings}
    hint {{
        show on
        description "{description}"
    }}
}}
"""


ALSA_NULL = SYSTEM_CONFIG + null_pcm(ALSA_NULL_DEVICE)
"""A configuration with the PCM "flatout": real PortAudio, as fast as its callback returns."""


@contextmanager
def alsa_config(text: str) -> Iterator[Path]:
    """Make `text` the whole of ALSA's configuration for this process and those it starts.

    PortAudio lists every PCM of it by its own name, if that opens; a list that it has already
    made stays as it is until it is initialized again.
    """
    with tempfile.TemporaryDirectory(prefix="stream-audio-") as folder:
        path = Path(folder, "asoundrc")
        path.write_text(text)
        with environment({"ALSA_CONFIG_PATH": str(path)}):
            yield path
