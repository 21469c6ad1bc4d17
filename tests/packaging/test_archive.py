"""PortAudio's archive is fetched or given, and nothing is built from another one."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

VENDOR = Path(__file__).parents[2] / "vendor" / "portaudio"
UNREACHABLE = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}


@pytest.fixture
def find_source(tmp_path):
    """Ask for the sources, without a network and without Debian's source packages."""
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.fail("cmake is not there; scripts/test installs it into .venv")
    program = tmp_path / "find.cmake"
    program.write_text(
        f'include("{VENDOR}/archive.cmake")\n'
        "find_portaudio_source(source)\n"
        'message(STATUS "found ${source}")\n',
        encoding="utf-8",
    )

    def find(**settings):
        defines = [f"-D{name}={value}" for name, value in settings.items()]
        return subprocess.run(
            [cmake, "-DAPT_GET=/bin/false", *defines, "-P", str(program)],
            cwd=tmp_path,
            env=os.environ | UNREACHABLE,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return find


def words(done):
    """What was said, whatever the width at which CMake wraps lines."""
    return " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("how", ["STREAM_AUDIO_PORTAUDIO_ARCHIVE", "downloads"])
def test_an_archive_with_another_sum_is_refused(how, find_source, tmp_path):
    archive = tmp_path / "portaudio-19.7.0.tar.gz"
    archive.write_bytes(b"not what it says it is")
    if how == "downloads":
        done = find_source(STREAM_AUDIO_PORTAUDIO_DOWNLOADS=tmp_path)
    else:
        done = find_source(STREAM_AUDIO_PORTAUDIO_ARCHIVE=archive)
    assert done.returncode != 0
    assert f"{archive} is not PortAudio 19.7.0: its SHA-256 is" in words(done)
    assert "found" not in done.stdout
    assert not (tmp_path / "source").exists()


def test_an_archive_that_cannot_be_had_is_an_error_that_says_what_to_do(find_source):
    done = find_source()
    assert done.returncode != 0
    assert "It could not be fetched" in words(done)
    assert "give its path: -DSTREAM_AUDIO_PORTAUDIO_ARCHIVE=PATH" in words(done)


def test_a_given_path_that_leads_nowhere_is_not_replaced_by_a_download(find_source, tmp_path):
    done = find_source(STREAM_AUDIO_PORTAUDIO_ARCHIVE=tmp_path / "gone.tar.gz")
    assert done.returncode != 0
    assert f"PortAudio's archive is not there: {tmp_path / 'gone.tar.gz'}" in words(done)
    assert "Fetching" not in words(done)
