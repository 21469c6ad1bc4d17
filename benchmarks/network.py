"""What a second of audio costs to send, beside the bare libraries, and what a fleet needs.

Each contender sends 48 kHz stereo of 16 bits, in chunks of 100 ms, for some seconds in real time
to a server in another process. Counted is the CPU time of the sending process, user and system.
The bare libraries send the same bytes in the same rhythm and do nothing else: no format, no
account, no backlog. A session with a sink that does nothing shows what capture itself takes.

The second part runs 50 virtual sources of 16 kHz mono into one stream, and counts what arrives.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import compiled
import machine
from report import table
from websockets.sync.client import connect

import nats
from stream_audio import (
    AudioFormat,
    AudioSource,
    CallbackSink,
    FormatPreset,
    NatsSink,
    PipeSink,
    StreamAudio,
    StreamConfig,
    WebSocketSink,
)
from stream_audio.testing import VirtualClock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.nats import Nats

SECONDS = 5.0
CHUNK = bytes(4800 * 2 * 2)
CHUNKS = round(SECONDS / 0.1)
FLEET = 50
SWALLOW = [sys.executable, "-c", "import sys\nwhile sys.stdin.buffer.read(65536): pass"]
WEBSOCKET = """
import asyncio
from websockets.asyncio.server import serve
async def handle(connection):
    async for _ in connection:
        pass
async def main():
    async with serve(handle, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()
asyncio.run(main())
"""


@contextmanager
def websocket_server() -> Iterator[str]:
    command = [sys.executable, "-c", WEBSOCKET]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"ws://127.0.0.1:{process.stdout.readline().strip()}"
        process.terminate()


def in_rhythm(send: Callable[[bytes], object]) -> None:
    began = time.monotonic()
    for number in range(CHUNKS):
        time.sleep(max(0.0, began + 0.1 * number - time.monotonic()))
        send(CHUNK)


def session_with(sink: Any) -> None:
    source = AudioSource.virtual("noise", pace="real_time")
    builder = StreamAudio.builder().format(FormatPreset.NATIVE).add_source("mic", source)
    builder.add_sink(sink, format=AudioFormat(dtype="int16"))
    with builder.duration(SECONDS).start() as session:
        session.wait()
    assert session.report().complete, session.report()


def bare_websocket(url: str) -> None:
    with connect(url, compression=None) as connection:
        in_rhythm(connection.send)


def bare_nats(url: str) -> None:
    async def run() -> None:
        client = await nats.connect(url)
        stream = client.jetstream()
        began = time.monotonic()
        for number in range(CHUNKS):
            await asyncio.sleep(max(0.0, began + 0.1 * number - time.monotonic()))
            await stream.publish("audio.bare.mic", CHUNK)
        await client.close()

    asyncio.run(run())


def bare_pipe() -> None:
    with subprocess.Popen(SWALLOW, stdin=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        in_rhythm(process.stdin.write)
        process.stdin.close()


def cpu_ms(run: Callable[[], None]) -> float:
    began = time.process_time()
    run()
    return 1000 * (time.process_time() - began) / SECONDS


def fleet(url: str) -> list[list[str]]:
    """Return, for each payload, what 50 sources of 16 kHz mono take a second, each."""
    rows = []
    for encode in ("pcm16", "flac", "opus"):
        before = stored(url)
        builder = StreamAudio.builder().format(AudioFormat(16_000, 1))
        for number in range(FLEET):
            builder.add_source(f"mic-{number:02}", AudioSource.virtual("sine", sample_rate=16_000))
        builder.add_sink(NatsSink(url, encode=encode))  # type: ignore[arg-type]
        began = time.process_time()
        with builder.duration(SECONDS).start() as session:
            session.wait()
        taken = time.process_time() - began
        report = session.report()
        assert report.complete, report
        each = (stored(url) - before) / FLEET / SECONDS
        spill = spilled_in_an_hour(encode) / 1e6
        cpu = f"{1000 * taken / FLEET / SECONDS:.1f} ms"
        rows.append([encode, f"{each / 1000:.1f} kB", f"{spill:.0f} MB", cpu])
    return rows


def spilled_in_an_hour(encode: str) -> float:
    """Return the bytes of one source that wait, by a minute without a server in virtual time."""
    clock, sources = VirtualClock(), 5
    config = StreamConfig(clock=clock, raise_on_sink_failure=False)
    builder = StreamAudio.builder().format(AudioFormat(16_000, 1)).config(config)
    for number in range(sources):
        builder.add_source(f"mic-{number}", AudioSource.virtual("sine", sample_rate=16_000))
    sink = NatsSink("nats://127.0.0.1:9", encode=encode)  # type: ignore[arg-type]
    session = builder.add_sink(sink, name="away", backlog="1 s").start()
    clock.sleep(60.0)
    stats = session.stats().sinks["away"]
    waiting = stats.spilled_bytes + stats.backlog_bytes
    session.stop(timeout=0.0)
    return 60 * waiting / sources


def stored(url: str) -> int:
    async def ask() -> int:
        client = await nats.connect(url)
        info = await client.jetstream().stream_info("AUDIO")
        await client.close()
        return int(info.state.bytes)

    return asyncio.run(ask())


def main() -> None:
    wanted = compiled.options(__doc__, rounds=5)
    bystanders = machine.Bystanders()
    with ExitStack() as servers:
        websocket = servers.enter_context(websocket_server())
        broker = servers.enter_context(Nats())
        broker.create()
        contenders: dict[str, Callable[[], None]] = {
            "a session, sent nowhere": lambda: session_with(CallbackSink(lambda chunk: None)),
            "WebSocketSink": lambda: session_with(WebSocketSink(websocket)),
            "websockets alone": lambda: bare_websocket(websocket),
            "NatsSink": lambda: session_with(NatsSink(broker.url)),
            "nats-py alone": lambda: bare_nats(broker.url),
            "PipeSink": lambda: session_with(PipeSink(SWALLOW)),
            "subprocess alone": bare_pipe,
        }
        taken: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(wanted.rounds):
            order = list(contenders)
            for name in order if number % 2 else order[::-1]:
                taken[name].append(cpu_ms(contenders[name]))
        sizes = fleet(broker.url)
    rows = [[name, f"{statistics.median(each):.1f} ms"] for name, each in taken.items()]
    paragraphs = [
        f"CPU time for a second of 48 kHz stereo, 16 bits, chunks of 100 ms, over {SECONDS:g} s; "
        "the median over the rounds.",
        table(["", "CPU a second"], rows),
        f"{FLEET} virtual sources of 16 kHz mono in one session and one stream, each a second; "
        "what an hour without a server takes on disk.",
        table(["payload", "stored", "an hour of spill", "CPU"], sizes),
    ]
    compiled.tell(
        wanted, "network", "Network", paragraphs, {"cpu_ms": taken, "fleet": sizes}, bystanders
    )


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
