"""A meeting recorder: a WAV file for each side, with pauses, and "what was that just now?".

    python examples/pauses_and_marks.py meeting --other "Monitor of Built-in Audio"
    python examples/pauses_and_marks.py meeting --virtual     without a microphone

While it runs, type a letter and Enter: m keeps the last half minute as a file of its own, p pauses
and goes on, q ends the meeting.
"""

import argparse
import contextlib
import sys
from pathlib import Path

import soundfile

from stream_audio import (
    AudioSource,
    FileSink,
    FormatPreset,
    Session,
    StreamAudio,
    StreamAudioError,
)

MARK_SECONDS = 30.0


class Meeting:
    """A running session and what can be done with it."""

    def __init__(self, session: Session, folder: Path, sources: list[str]) -> None:
        self.session = session
        self.folder = folder
        self.sources = sources
        self.marks = 0
        self.paused = False

    def mark(self) -> None:
        """Keep what was said just now, without disturbing the recording."""
        self.marks += 1
        for source in self.sources:
            clip = self.session.last(MARK_SECONDS, source)
            if clip is None:
                continue
            path = self.folder / f"mark-{self.marks}-{source}.wav"
            soundfile.write(path, clip.data, clip.sample_rate)
            print(f"{path.name}: {clip.duration:.1f} s up to {clip.end / clip.sample_rate:.1f} s")

    def pause_or_resume(self) -> None:
        """Leave out what follows, or take it in again, on all sides at the same moment."""
        if self.paused:
            self.session.resume()
        else:
            self.session.pause()
        self.paused = not self.paused
        print("paused" if self.paused else "going on")


def main() -> None:
    parser = argparse.ArgumentParser(description="Record a meeting.")
    parser.add_argument("folder", type=Path, help="made if it does not exist")
    parser.add_argument("--other", help="device that the other side is heard on, or a part of it")
    parser.add_argument("--virtual", action="store_true", help="tones instead of devices")
    arguments = parser.parse_args()

    sources = {"me": AudioSource.default_device()}
    if arguments.virtual:
        sources = {"me": AudioSource.virtual(), "others": AudioSource.virtual(frequency=220.0)}
    elif arguments.other:
        sources["others"] = AudioSource.device(arguments.other)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    builder = StreamAudio.builder().format(FormatPreset.NATIVE).history(MARK_SECONDS)
    for name, source in sources.items():
        builder.add_source(name, source)
        builder.add_sink(FileSink(arguments.folder / f"{name}.wav"), sources=name)
    try:
        with builder.start() as session, contextlib.suppress(KeyboardInterrupt):
            meeting = Meeting(session, arguments.folder, list(sources))
            print("recording; m marks, p pauses, q ends", flush=True)
            for line in sys.stdin:
                match line.strip():
                    case "m":
                        meeting.mark()
                    case "p":
                        meeting.pause_or_resume()
                    case "q":
                        break
                sys.stdout.flush()
    except StreamAudioError as error:
        raise SystemExit(f"error: {error}") from None
    print(session.report())


if __name__ == "__main__":
    main()
