"""Live transcripts from a speech service over a WebSocket, in the manner of the well-known ones.

    pip install "stream-audio[websocket]" pocketsphinx
    python examples/speech_service.py --serve                  a service of your own, here
    python examples/speech_service.py                          the client, in another terminal
    python examples/speech_service.py --file talk.wav          without a microphone
    python examples/speech_service.py --url wss://… --token …  a service that speaks the same way

The client says {"type": "start", "sample_rate": …, "token": …}, then sends 16-bit samples, then
{"type": "finish"}. The service answers with partial and final transcripts, and after each block
with how many samples it has had. What it had not confirmed when a connection broke comes again.
"""

import argparse
import asyncio
import json
from typing import Any

from stream_audio import (
    AudioChunk,
    AudioSource,
    FormatPreset,
    SinkDisconnected,
    SinkReconnected,
    StreamAudio,
    StreamAudioError,
    StreamEvent,
    WebSocketSink,
)

RATE = 16_000


class Client:
    """Prints what the service hears."""

    def __init__(self, url: str, token: str) -> None:
        self.token = token
        self.first = 0
        self.sink = WebSocketSink(
            url,
            on_open=self.opened,
            confirm=self.confirmed,
            on_message=self.heard,
            finish=json.dumps({"type": "finish"}),
        )

    def opened(self, chunk: AudioChunk) -> str:
        """Say what will come; each connection begins to count anew."""
        self.first = chunk.frame
        return json.dumps({"type": "start", "sample_rate": RATE, "token": self.token})

    def confirmed(self, message: str | bytes) -> int | None:
        """Return up to which frame the service has all, if it says so."""
        answer = json.loads(message)
        return self.first + answer["samples"] if answer["type"] == "received" else None

    def heard(self, message: str | bytes) -> None:
        """Show a transcript."""
        answer = json.loads(message)
        if answer["type"] in ("partial", "final"):
            print(f"{answer['type']}: {answer['text']}", flush=True)


def tell(event: StreamEvent) -> None:
    match event:
        case SinkDisconnected(error=error):
            print(f"(no connection: {error})", flush=True)
        case SinkReconnected(seconds=seconds):
            print(f"(connected again after {seconds:.1f} s; nothing is lost)", flush=True)


async def serve(port: int, token: str) -> None:
    from pocketsphinx import Decoder, Endpointer
    from websockets.asyncio.server import ServerConnection
    from websockets.asyncio.server import serve as serve_websockets

    async def recognise(connection: ServerConnection) -> None:
        start: dict[str, Any] = json.loads(await connection.recv())
        if start["token"] != token:
            await connection.close(1008, "unknown token")
            return
        endpointer = Endpointer(sample_rate=start["sample_rate"])
        decoder = Decoder(samprate=start["sample_rate"], loglevel="FATAL")
        waiting, samples, partial, in_utterance = b"", 0, "", False

        async def say(kind: str) -> None:
            hypothesis = decoder.hyp()
            text = hypothesis.hypstr if hypothesis is not None else ""
            nonlocal partial
            if text and (kind == "final" or text != partial):
                await connection.send(json.dumps({"type": kind, "text": text}))
            partial = text if kind == "partial" else ""

        async for message in connection:
            if isinstance(message, str):
                break  # {"type": "finish"}
            waiting += message
            while len(waiting) >= endpointer.frame_bytes:
                block, waiting = (
                    waiting[: endpointer.frame_bytes],
                    waiting[endpointer.frame_bytes :],
                )
                speech = endpointer.process(block)
                if speech is None:
                    continue
                if not in_utterance:
                    decoder.start_utt()
                    in_utterance = True
                await asyncio.to_thread(decoder.process_raw, speech)
                if not endpointer.in_speech:
                    decoder.end_utt()
                    in_utterance = False
                    await say("final")
            if in_utterance:
                await say("partial")
            samples += len(message) // 2
            await connection.send(json.dumps({"type": "received", "samples": samples}))
        if in_utterance:
            decoder.end_utt()
            await say("final")

    async with serve_websockets(recognise, "127.0.0.1", port):
        print(f"listening on ws://127.0.0.1:{port}", flush=True)
        await asyncio.get_running_loop().create_future()


def main() -> None:
    parser = argparse.ArgumentParser(description="Transcribe speech over a WebSocket.")
    parser.add_argument("--serve", action="store_true", help="be the service")
    parser.add_argument("--port", type=int, default=8010)
    parser.add_argument("--url", help="the service; default: the one of this machine")
    parser.add_argument("--token", default="not-a-secret")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--file", help="a sound file instead of a microphone")
    parser.add_argument("--virtual", action="store_true", help="silence instead of a microphone")
    arguments = parser.parse_args()
    try:
        if arguments.serve:
            asyncio.run(serve(arguments.port, arguments.token))
            return
        source = AudioSource.default_device()
        if arguments.file:
            source = AudioSource.file(arguments.file, pace="freewheel")
        elif arguments.virtual:
            source = AudioSource.virtual("silence", sample_rate=RATE, channels=1)
        client = Client(arguments.url or f"ws://127.0.0.1:{arguments.port}", arguments.token)
        builder = StreamAudio.builder().add_source("speech", source).on_event(tell)
        builder.format(FormatPreset.TRANSCRIPTION).add_sink(client.sink, name="service")
        with builder.duration(arguments.seconds).start() as session:
            session.wait()
    except StreamAudioError as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        return
    print(session.report())


if __name__ == "__main__":
    main()
