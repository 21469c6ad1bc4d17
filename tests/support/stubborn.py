"""A PortAudio with one device whose host does as it pleases (tests/devices/stubborn_host.c)."""

import subprocess
from pathlib import Path

from support.processes import require_program

TESTS = Path(__file__).parents[1]
DEVICE = "mule"


def build_library(folder: Path) -> Path:
    """Compile it into the folder; what it refuses is said in the variable STUBBORN."""
    path = folder / "libstubborn.so"
    source = TESTS / "devices" / "stubborn_host.c"
    flags = ["-std=gnu11", "-O1", "-fPIC", "-shared", "-pthread", f"-I{TESTS.parent / 'csrc'}"]
    command = [require_program("cc", "gcc"), *flags, str(source), "-o", str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path
