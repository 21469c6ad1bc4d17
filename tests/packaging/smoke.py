"""Is what was installed whole? Run by the Python that it was installed for, outside of a checkout.

    python smoke.py VERSION             records, with the system's PortAudio out of the way
    python smoke.py VERSION bare        with ALSA's and JACK's libraries out of the way as well

It needs no pytest, and says on standard output what it found; anything wrong ends it.
"""

import ctypes
import os
import sys
import tempfile
from pathlib import Path

import soundfile

import stream_audio

PACKAGE = Path(stream_audio.__file__).parent
LIBRARY = PACKAGE / "_native" / "libstream_audio_portaudio.so"

NULL_DEVICE = "flatout"
ALSA_CONFIG = f"""</usr/share/alsa/alsa.conf>
pcm.{NULL_DEVICE} {{ type null hint {{ show on description "silence, as fast as it is read" }} }}
"""


def is_out_of_the_way(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return True
    return False


def look_at_what_was_installed(version: str) -> None:
    assert "site-packages" in PACKAGE.parts, PACKAGE
    assert stream_audio.__version__ == version, stream_audio.__version__
    assert LIBRARY.exists(), LIBRARY
    print(f"Python {sys.version.split()[0]}: {PACKAGE}")


def record_the_virtual_source(folder: Path) -> None:
    tone = stream_audio.AudioSource.virtual("sine", frames=48_000, pace="freewheel")
    path = folder / "tone.wav"
    with stream_audio.open(tone, sinks=[stream_audio.FileSink(path)]) as session:
        session.wait()
    report = session.report()
    assert report.balanced, report
    assert report.complete, report
    assert soundfile.info(path).duration == 1.0, soundfile.info(path)
    print("recorded the virtual source to a file, every frame accounted for")


def record_from_alsa(folder: Path) -> None:
    config = folder / "asoundrc"
    config.write_text(ALSA_CONFIG, encoding="utf-8")
    os.environ["ALSA_CONFIG_PATH"] = str(config)
    devices = [device.name for device in stream_audio.list_input_devices()]
    assert NULL_DEVICE in devices, devices
    source = stream_audio.AudioSource.device(NULL_DEVICE)
    assert stream_audio.record(duration=1, source=source).shape[0] > 0
    assert str(LIBRARY) in Path("/proc/self/maps").read_text(encoding="utf-8")
    print("recorded from ALSA through the package's own PortAudio")


def ask_for_a_device_in_vain() -> None:
    try:
        devices = stream_audio.list_input_devices()
    except stream_audio.BackendError as error:
        told = str(error)
    else:
        raise AssertionError(devices)
    assert "no audio backend" in told, told
    print(f"told that there is no device to be had: {told}")


def main(version: str, bare: bool) -> None:
    assert is_out_of_the_way("libportaudio.so.2")
    assert is_out_of_the_way("libasound.so.2") == bare
    assert not bare or is_out_of_the_way("libjack.so.0")
    look_at_what_was_installed(version)
    with tempfile.TemporaryDirectory() as folder:
        record_the_virtual_source(Path(folder))
        if bare:
            ask_for_a_device_in_vain()
        else:
            record_from_alsa(Path(folder))


if __name__ == "__main__":
    main(sys.argv[1], bare=sys.argv[2:] == ["bare"])
