"""A live stream for browsers over WebSockets, in which a slow one costs nobody else anything.

    pip install fastapi uvicorn websockets
    python examples/web_listeners.py             then open http://127.0.0.1:8000
    python examples/web_listeners.py --virtual   without a microphone

Each browser has a channel of its own, which keeps two seconds. One that falls further behind
misses the oldest audio, hears silence in its place, and is told how much that was.
"""

import argparse
import asyncio
import contextlib
import json
import socket

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse

from stream_audio import (
    AudioFormat,
    AudioSource,
    Backlog,
    ChannelSink,
    Session,
    StreamAudio,
    StreamAudioBuilder,
    StreamAudioError,
)

PAGE = """<!doctype html><title>Live</title><button>Listen</button> <span></span><script>
document.querySelector("button").onclick = () => {
  const context = new AudioContext(), socket = new WebSocket(`ws://${location.host}/live`)
  let about, next = 0
  socket.binaryType = "arraybuffer"
  socket.onmessage = ({data}) => {
    if (typeof data === "string") {
      about = {...about, ...JSON.parse(data)}
      document.querySelector("span").textContent = `${about.missed ?? 0} frames missed`
      return
    }
    const samples = new Int16Array(data), frames = samples.length / about.channels
    const buffer = context.createBuffer(about.channels, frames, about.sample_rate)
    for (let channel = 0; channel < about.channels; channel++) {
      const target = buffer.getChannelData(channel)
      for (let i = 0; i < frames; i++) target[i] = samples[i * about.channels + channel] / 32768
    }
    const player = context.createBufferSource()
    player.buffer = buffer
    player.connect(context.destination)
    next = Math.max(next, context.currentTime + 0.1)
    player.start(next)
    next += buffer.duration
  }
}
</script>"""


async def send_live(session: Session, browser: WebSocket) -> None:
    """Send all that comes to one browser, until it goes or the session ends."""
    channel = ChannelSink(backlog=Backlog("2 s", "drop_oldest"))
    handle = await session.aadd_sink(channel, format=AudioFormat(48_000))
    missed = 0
    first = True
    try:
        async for chunk in channel:
            if first:
                about = {"sample_rate": chunk.sample_rate, "channels": chunk.channels}
                await browser.send_text(json.dumps(about))
                first = False
            if chunk.gaps:
                missed += sum(gap.frames for gap in chunk.gaps)
                await browser.send_text(json.dumps({"missed": missed}))
            await browser.send_bytes(chunk.to_pcm16())
    finally:
        await handle.aremove(drain=False)


def make_app(session: Session) -> FastAPI:
    app = FastAPI()

    @app.get("/", response_class=HTMLResponse)
    async def page() -> str:
        return PAGE

    @app.websocket("/live")
    async def live(browser: WebSocket) -> None:
        await browser.accept()
        sending = asyncio.create_task(send_live(session, browser))
        gone = asyncio.create_task(browser.receive())  # nothing comes but the end
        await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
        for task in (sending, gone):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await task
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # it is closed already
            await browser.close()

    return app


class Server(uvicorn.Server):
    """Ends the session first when it is to shut down: that ends each live stream."""

    def __init__(self, config: uvicorn.Config, session: Session) -> None:
        super().__init__(config)
        self.session = session

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the session, then the rest; called by uvicorn, after Ctrl-C."""
        await self.session.aclose()
        await super().shutdown(sockets)


async def serve(builder: StreamAudioBuilder, port: int) -> None:
    async with builder as session:
        config = uvicorn.Config(make_app(session), port=port, log_level="warning")
        try:
            await Server(config, session).serve()
        finally:
            print(session.report())


def main() -> None:
    parser = argparse.ArgumentParser(description="Stream live to browsers.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--virtual", action="store_true", help="a tone instead of a microphone")
    arguments = parser.parse_args()

    source = AudioSource.virtual() if arguments.virtual else AudioSource.default_device()
    builder = StreamAudio.builder().add_source("microphone", source)
    try:
        asyncio.run(serve(builder, arguments.port))
    except StreamAudioError as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
