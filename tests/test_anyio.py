"""The way of docs/consumers.md for trio and anyio, on both of anyio's backends."""

import re
from pathlib import Path

import anyio
import numpy as np
import pytest

from stream_audio import AudioSource, ChannelSink, FormatPreset, StreamAudio, StreamConfig
from stream_audio.testing import VirtualClock

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "consumers.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
RATE = 48_000

pytestmark = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@pytest.fixture(scope="module")
def guide():
    """What the guide defines: ``running`` and ``chunks_of``."""
    code = next(block for block in BLOCKS if "import anyio" in block)
    names = {}
    exec(compile(code, str(GUIDE), "exec"), names)
    return names


def builder_of(channel, clock, frames=None):
    source = AudioSource.virtual("counter", channels=1, frames=frames)
    builder = StreamAudio.builder().add_source("mic", source).add_sink(channel)
    return builder.format(FormatPreset.NATIVE).config(StreamConfig(clock=clock))


def check_counts(chunks):
    end = 0
    for chunk in chunks:
        assert chunk.frame == end
        values = np.round(chunk.data[:, 0].astype(np.float64) * 2**23).astype(np.int64)
        np.testing.assert_array_equal(values, np.arange(chunk.frame, chunk.end))
        end = chunk.end
    return end


def test_every_chunk_arrives_and_the_session_balances(backend, guide):
    async def main():
        channel = ChannelSink()
        async with guide["running"](builder_of(channel, VirtualClock(), RATE * 3)) as session:
            chunks = [chunk async for chunk in guide["chunks_of"](channel)]
        assert not session.running
        assert session.report().balanced
        return check_counts(chunks)

    assert anyio.run(main, backend=backend) == RATE * 3


def test_readers_that_are_cancelled_lose_and_double_nothing(backend, guide):
    """A hundred of them, some while they wait, some with a chunk on its way."""

    async def main():
        clock = VirtualClock(auto=False)
        channel, chunks = ChannelSink(), []

        async def read():
            async for chunk in guide["chunks_of"](channel):
                chunks.append(chunk)  # noqa: PERF401 - one by one: it is cancelled

        async with guide["running"](builder_of(channel, clock)) as session:
            for number in range(100):
                async with anyio.create_task_group() as group:
                    group.start_soon(read)
                    for _ in range(number % 5):
                        await anyio.sleep(0)
                    clock.advance(0.07)
                    for _ in range(number % 3):
                        await anyio.sleep(0)
                    group.cancel_scope.cancel()
        with anyio.fail_after(60):
            await read()
        assert session.report().balanced
        assert check_counts(chunks) == session.report().sources["mic"].captured

    anyio.run(main, backend=backend)


def test_a_session_whose_task_is_cancelled_is_stopped(backend, guide):
    async def main():
        channel, sessions, begun = ChannelSink(), [], anyio.Event()

        async def use():
            async with guide["running"](builder_of(channel, VirtualClock(auto=False))) as session:
                sessions.append(session)
                begun.set()
                async for _ in guide["chunks_of"](channel):
                    pass

        async with anyio.create_task_group() as group:
            group.start_soon(use)
            await begun.wait()
            group.cancel_scope.cancel()
        (session,) = sessions
        assert not session.running
        assert session.report().balanced

    anyio.run(main, backend=backend)
