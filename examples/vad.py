"""Record whenever somebody speaks, as a voice detector hears it: a WAV file for each time.

pip install webrtcvad-wheels
python examples/vad.py
python examples/vad.py --file talk.wav       without a microphone
"""

import argparse
from collections import deque
from pathlib import Path

import webrtcvad

from stream_audio import (
    AudioChunk,
    AudioSource,
    FileSink,
    FormatPreset,
    StreamAudio,
    StreamAudioError,
    TriggerSink,
)

WINDOW = 0.03  # seconds; the detector takes 10, 20 or 30 ms
VOTES = 10


class VoiceDetector:
    """Hears a voice if most of the last windows sound like one: a click does not."""

    def __init__(self, aggressiveness: int) -> None:
        self.vad = webrtcvad.Vad(aggressiveness)
        self.votes: deque[bool] = deque([False] * VOTES, VOTES)

    def __call__(self, window: AudioChunk) -> bool:
        """Whether somebody speaks, after this window."""
        self.votes.append(self.vad.is_speech(window.to_pcm16(), window.sample_rate))
        return sum(self.votes) > VOTES // 2


def main() -> None:
    parser = argparse.ArgumentParser(description="Record whenever somebody speaks.")
    parser.add_argument("--folder", type=Path, default=Path(), help="where the files go")
    parser.add_argument("--aggressiveness", type=int, choices=range(4), default=2)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--file", help="a sound file instead of a microphone")
    parser.add_argument("--virtual", action="store_true", help="silence instead of a microphone")
    arguments = parser.parse_args()

    source = AudioSource.default_device()
    if arguments.file:
        source = AudioSource.file(arguments.file, pace="freewheel")
    elif arguments.virtual:
        source = AudioSource.virtual("silence", sample_rate=16_000, channels=1)
    sink = TriggerSink(
        lambda event: FileSink(arguments.folder / f"speech-{event.number:03}.wav"),
        pre_roll=0.5,  # also what the votes came too late for
        post_roll=0.5,
        when=VoiceDetector(arguments.aggressiveness),
        window=WINDOW,
    )
    builder = StreamAudio.builder().add_source("speech", source).add_sink(sink).on_event(print)
    builder.format(FormatPreset.TRANSCRIPTION).duration(arguments.seconds)
    try:
        with builder.start() as session:
            try:
                session.wait()
            except KeyboardInterrupt:
                print("stopping")
    except StreamAudioError as error:
        raise SystemExit(f"error: {error}") from None
    print(session.report())


if __name__ == "__main__":
    main()
