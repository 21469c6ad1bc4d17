"""A ring whose host hangs: its memory goes back to the system, its addresses stay."""

from pathlib import Path

from stream_audio._native import ffi, lib
from stream_audio._native.capture import Capture

RATE, CHANNELS = 48_000, 2
SECONDS = 60


def resident():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def test_memory_goes_back_and_a_late_callback_may_still_write():
    capture = Capture(lib.sa_clock_real(), RATE, CHANNELS, SECONDS * RATE, 256)
    try:
        before = resident()
        capture.abandon()
        assert before - resident() > 0.9 * SECONDS * RATE * CHANNELS * 4
        frames = ffi.new("float[]", 256 * CHANNELS)
        host = ffi.new("sa_host_info *")
        lib.sa_capture_push(capture.native, frames, 256, host)
        assert capture.stored == 256
    finally:
        capture.close()
