"""A web server that streams the microphone: to any number of listeners, who come and go.

    pip install fastapi uvicorn
    python examples/web_microphone.py            then open http://127.0.0.1:8000
    python examples/web_microphone.py --virtual  without a microphone

It listens on this machine alone; think before you change that.
"""

import argparse
import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, StreamingResponse

from stream_audio import (
    AudioChunk,
    AudioSource,
    Backlog,
    CallbackSink,
    ChannelSink,
    FormatPreset,
    Session,
    StreamAudio,
    StreamAudioBuilder,
    StreamAudioError,
)

PAGE = """<!doctype html><title>Microphone</title>
<audio controls autoplay src="/microphone.wav"></audio>"""


def wav_header(sample_rate: int, channels: int) -> bytes:
    """Return the header of a 16-bit WAV file of unknown length."""
    block = channels * 2
    layout = (1, channels, sample_rate, sample_rate * block, block, 16)
    unknown = 0xFFFFFFFF
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", unknown, b"WAVE", b"fmt ", 16, *layout, b"data", unknown
    )


class Level:
    """The level of the last tenth of a second."""

    def __init__(self) -> None:
        self.peak = -200.0

    def hear(self, chunk: AudioChunk) -> None:
        """Take the next chunk."""
        self.peak = max(-200.0, float(chunk.peak.max()))  # JSON has no infinity


async def listen(session: Session) -> AsyncIterator[bytes]:
    """Yield a WAV file without an end to one listener."""
    channel = ChannelSink(backlog=Backlog(2**20))  # who is slower than that misses something
    handle = await session.aadd_sink(channel)
    try:
        first = True
        async for chunk in channel:
            if first:
                yield wav_header(chunk.sample_rate, chunk.channels)
                first = False
            missing = sum(gap.frames for gap in chunk.gaps)
            yield bytes(missing * chunk.channels * 2) + chunk.to_pcm16()
    finally:
        await handle.aremove()  # the listener is gone


def make_app(session: Session, level: Level) -> FastAPI:
    app = FastAPI()

    @app.get("/", response_class=HTMLResponse)
    async def page() -> str:
        return PAGE

    @app.get("/level")
    async def peak() -> dict[str, float]:
        return {"peak": level.peak}

    @app.get("/microphone.wav")
    async def microphone() -> StreamingResponse:
        return StreamingResponse(listen(session), media_type="audio/wav")

    return app


class Server(uvicorn.Server):
    """Ends the session first when it is to shut down: else it would wait for listeners forever."""

    def __init__(self, config: uvicorn.Config, session: Session) -> None:
        super().__init__(config)
        self.session = session

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what never ends by itself, then the rest; called by uvicorn, after Ctrl-C."""
        await self.session.aclose()
        await super().shutdown(sockets)


async def serve(builder: StreamAudioBuilder, port: int) -> None:
    level = Level()
    async with builder.add_sink(CallbackSink(level.hear)) as session:
        config = uvicorn.Config(make_app(session, level), port=port, log_level="warning")
        try:
            await Server(config, session).serve()
        finally:
            print(session.report())


def main() -> None:
    parser = argparse.ArgumentParser(description="Stream the microphone to browsers.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--virtual", action="store_true", help="a tone instead of a microphone")
    arguments = parser.parse_args()

    source = AudioSource.virtual() if arguments.virtual else AudioSource.default_device()
    builder = StreamAudio.builder().add_source("microphone", source).format(FormatPreset.NATIVE)
    try:
        asyncio.run(serve(builder, arguments.port))
    except StreamAudioError as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
