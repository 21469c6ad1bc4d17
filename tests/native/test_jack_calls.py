"""Calls that may hang with a JACK server: how long one is waited for."""

import ctypes
import threading

import pytest

from stream_audio._native import jack
from stream_audio.errors import HostUnresponsiveError

HELD = 0.05
"""Seconds for which another thread holds the GIL each time."""

RETURNS = 8
"""How often the call gives the GIL up and wants it back."""


def test_a_thread_that_holds_the_gil_is_not_taken_for_a_server_that_hangs(monkeypatch):
    monkeypatch.setattr(jack, "TURN_SECONDS", 0.01)
    ended = threading.Event()

    def hold():
        holding, releasing = ctypes.PyDLL(None), ctypes.CDLL(None)
        while not ended.is_set():
            holding.usleep(round(HELD * 1e6))
            releasing.usleep(0)

    def answer():
        for _ in range(RETURNS):
            ctypes.CDLL(None).usleep(1000)
        return "answer"

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert jack.Call(answer).result(HELD * RETURNS / 2) == "answer"
    finally:
        ended.set()
        holder.join()


def test_a_call_that_hangs_is_given_up():
    hangs = threading.Event()
    call = jack.Call(hangs.wait)
    try:
        with pytest.raises(HostUnresponsiveError):
            call.result(0.02)
        assert not call.done
    finally:
        hangs.set()
    assert call.result(10) is True
