"""Takes come and go without a look at memory that is gone: under AddressSanitizer."""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CSRC = ROOT / "csrc"
NAME = "stream_audio._native._core"
LEFT_OUT = {"platform_windows.c", "generate_binding.py"}

# The tests' own plug-ins are loaded after the core, so that nobody imports the usual one first.
RUN = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location({name!r}, {core!r})
sys.modules[spec.name] = core = importlib.util.module_from_spec(spec)
spec.loader.exec_module(core)
import stream_audio._native
assert stream_audio._native._core is core
import pytest
sys.exit(pytest.main(["-q", "-s", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def compiler():
    words = shlex.split(os.environ.get("CC") or "cc")
    if shutil.which(words[0]) is None:
        pytest.fail("no C compiler; on Debian: apt install gcc libc6-dev")
    return words


def run(words, **settings):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, **settings)
    assert done.returncode == 0, f"{shlex.join(map(str, words))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    """The extension module, built with checks and a sanitizer."""
    folder = tmp_path_factory.mktemp("core")
    binding, library = folder / "_core.c", folder / "_core.so"
    cdef, prelude = CSRC / "native.cdef.h", CSRC / "native.prelude.h"
    run([sys.executable, CSRC / "generate_binding.py", NAME, cdef, prelude, binding])
    sources = [each for each in sorted(CSRC.glob("*.c")) if each.name not in LEFT_OUT]
    flags = ["-std=gnu11", "-shared", "-fPIC", "-O1", "-g", "-pthread", "-DSA_CHECKS"]
    flags += ["-D_CFFI_NO_LIMITED_API", "-fsanitize=address", "-fno-omit-frame-pointer"]
    include = [f"-I{CSRC}", f"-I{sysconfig.get_paths()['include']}"]
    run([*compiler(), *flags, *include, binding, *sources, "-o", library, "-lm", "-ldl"])
    return library


def python(core, *arguments):
    """Run tests on that core; return what became of the process."""
    libasan = run([*compiler(), "-print-file-name=libasan.so"]).strip()
    # Python keeps what it has at exit; that is no leak of ours.
    environment = {
        "LD_PRELOAD": libasan,
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",
    }
    return subprocess.run(
        [sys.executable, "-c", RUN.format(name=NAME, core=str(core)), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=ROOT,
        env=os.environ | environment,
    )


@pytest.mark.long
def test_no_reader_of_an_earlier_take_is_touched(core):
    done = python(core, "tests/engine/test_track.py")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert " passed" in done.stdout


TOUCHES = """
from stream_audio import AudioSource
from stream_audio._native import lib
from stream_audio.contracts.opening import Opening
from stream_audio.engine.take import Take
from stream_audio.testing import VirtualClock

def test_it():
    opened = AudioSource.virtual().open(Opening(VirtualClock(), None))
    take = Take(opened, 0.1, None)
    native = take.reader.native
    take.let_go()
    lib.sa_reader_read(native)
"""


@pytest.mark.long
def test_it_would_be_seen(core, tmp_path):
    test = tmp_path / "test_touches.py"
    test.write_text(TOUCHES)
    done = python(core, test, "--noconftest", "-c", os.devnull)
    assert done.returncode != 0
    assert "heap-use-after-free" in done.stderr, f"{done.stdout}\n{done.stderr}"
