"""Calling an asynchronous sink from a worker thread."""

import asyncio

import pytest

from stream_audio import SinkError
from stream_audio.adapter.loop_sink import blocking_form
from support.loops import LOOPS, run_on

pytestmark = pytest.mark.parametrize("loop", LOOPS)


class Stuck:
    def __init__(self):
        self.entered = asyncio.Event()
        self.calls = 0

    async def write(self, chunk):
        self.calls += 1
        self.entered.set()
        await asyncio.Event().wait()


def test_a_call_that_is_abandoned_is_cancelled(loop):
    async def main():
        sink = Stuck()
        blocking = blocking_form(sink)
        call = asyncio.ensure_future(asyncio.to_thread(blocking.write, None))
        await sink.entered.wait()
        blocking.abandon()
        with pytest.raises(SinkError, match="cancelled"):
            await call

    run_on(loop, main())


def test_no_call_begins_once_the_sink_is_abandoned(loop):
    """The worker may hold a chunk, and be about to write it, when its sink is given up."""

    async def main():
        sink = Stuck()
        blocking = blocking_form(sink)
        blocking.abandon()
        with pytest.raises(SinkError, match="cancelled"):
            await asyncio.to_thread(blocking.write, None)
        assert sink.calls == 0

    run_on(loop, main())
