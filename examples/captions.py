"""Live captions: what is said, as text, by a recogniser that runs on this machine.

pip install pocketsphinx                     its model for English comes with it
python examples/captions.py
python examples/captions.py --file talk.wav  without a microphone
"""

import argparse

from pocketsphinx import Decoder, Endpointer

from stream_audio import (
    AudioChunk,
    AudioSource,
    ChannelSink,
    FormatPreset,
    StreamAudio,
    StreamAudioError,
)

RATE = 16_000


class Captioner:
    """Finds where somebody speaks, and what is said there."""

    def __init__(self) -> None:
        self.endpointer = Endpointer(sample_rate=RATE)
        self.decoder = Decoder(samprate=RATE, loglevel="FATAL")
        self.block_frames = self.endpointer.frame_bytes // 2

    def hear(self, block: AudioChunk) -> str:
        """Take the next block; return what was said if somebody has just stopped speaking."""
        spoke = self.endpointer.in_speech
        speech = self.endpointer.process(block.to_pcm16())
        if speech is None:
            return ""
        if not spoke:
            self.decoder.start_utt()
        self.decoder.process_raw(speech)
        return "" if self.endpointer.in_speech else self.end()

    def end(self) -> str:
        """Return what was said since the last pause."""
        self.decoder.end_utt()
        hypothesis = self.decoder.hyp()
        return hypothesis.hypstr if hypothesis is not None else ""


def main() -> None:
    parser = argparse.ArgumentParser(description="Show what is said.")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--file", help="a sound file instead of a microphone")
    parser.add_argument("--virtual", action="store_true", help="silence instead of a microphone")
    arguments = parser.parse_args()

    source = AudioSource.default_device()
    if arguments.file:
        source = AudioSource.file(arguments.file, pace="freewheel")
    elif arguments.virtual:
        source = AudioSource.virtual("silence", sample_rate=RATE, channels=1)
    captioner = Captioner()
    channel = ChannelSink()
    builder = (
        StreamAudio.builder()
        .add_source("speech", source)
        .format(FormatPreset.TRANSCRIPTION)  # 16 kHz, mono
        .add_sink(channel)
        .duration(arguments.seconds)
    )
    try:
        with builder.start():
            for block in channel.chunks(captioner.block_frames, pad=True):
                if text := captioner.hear(block):
                    print(f"{block.frame / RATE:8.1f} s  {text}", flush=True)
            if captioner.endpointer.in_speech:
                print(captioner.end())
    except StreamAudioError as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
