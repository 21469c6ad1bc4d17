"""Hand chunks to a worker thread through a ``queue.Queue``, as a transcriber would take them.

A session delivers 16 kHz mono unless another format is asked for, whatever the microphone has.

The queue is bounded. A worker that falls behind loses the oldest chunks, and is told how much by
``chunk.gap`` of the next one; the recording itself never waits for it.

    python examples/channel_queue.py
    python examples/channel_queue.py --seconds 3 --virtual     without a microphone
"""

import argparse
import queue
import threading

from stream_audio import AudioChunk, AudioSource, ChannelSink, StreamAudio, StreamAudioError

BLOCK_SECONDS = 1.0


def work(chunks: queue.Queue[AudioChunk | None]) -> None:
    """Collect blocks of a second and "process" each; ``None`` says that nothing will follow."""
    block = bytearray()
    number = 0
    while (chunk := chunks.get()) is not None:
        if chunk.gap:
            print(f"missing: {chunk.gap.frames} frames ({chunk.gap.cause})", flush=True)
        block += chunk.to_pcm16()
        block_bytes = round(BLOCK_SECONDS * chunk.sample_rate) * chunk.channels * 2
        while len(block) >= block_bytes:
            number += 1
            print(f"block {number}: {block_bytes} bytes of 16-bit samples", flush=True)
            del block[:block_bytes]  # here a transcriber would take block[:block_bytes]


def main() -> None:
    parser = argparse.ArgumentParser(description="Process the input on a worker thread.")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--virtual", action="store_true", help="a tone instead of a microphone")
    arguments = parser.parse_args()

    chunks: queue.Queue[AudioChunk | None] = queue.Queue(maxsize=100)  # 10 s of 100 ms chunks
    source = AudioSource.virtual() if arguments.virtual else AudioSource.default_device()
    builder = (
        StreamAudio.builder()
        .add_source("input", source)
        .add_sink(ChannelSink(chunks))
        .duration(arguments.seconds)
    )
    worker = threading.Thread(target=work, args=(chunks,))
    try:
        with builder.start() as session:
            worker.start()
            try:
                session.wait()
            except KeyboardInterrupt:
                print("stopping")
    except StreamAudioError as error:
        raise SystemExit(f"error: {error}") from None
    worker.join()
    print(session.report())


if __name__ == "__main__":
    main()
