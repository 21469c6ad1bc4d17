"""Record whenever it is loud: a WAV file for each time, from well before it began.

python examples/record_on_sound.py --threshold -35
python examples/record_on_sound.py --seconds 2 --virtual     without a microphone
"""

import argparse
from datetime import datetime
from pathlib import Path

from stream_audio import (
    AudioSource,
    EnergyGate,
    FileSink,
    FormatPreset,
    StreamAudio,
    StreamAudioError,
    StreamEvent,
    TriggerEnded,
    TriggerSink,
    TriggerStarted,
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Record whenever it is loud.")
    parser.add_argument("--folder", type=Path, default=Path(), help="where the files go")
    parser.add_argument("--threshold", type=float, default=-40.0, help="RMS in dBFS")
    parser.add_argument("--before", type=float, default=2.0, help="seconds of pre-roll")
    parser.add_argument("--after", type=float, default=2.0, help="seconds of post-roll")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--file", help="a sound file instead of a microphone")
    parser.add_argument("--virtual", action="store_true", help="a tone instead of a microphone")
    arguments = parser.parse_args()

    def file_of(event: TriggerStarted) -> FileSink:
        began = datetime.fromtimestamp(event.started)
        return FileSink(arguments.folder / f"{began:%Y-%m-%d %H.%M.%S} {event.number:03}.wav")

    def show(event: StreamEvent) -> None:
        if isinstance(event, TriggerStarted):
            print(f"event {event.number} begins at frame {event.frame}", flush=True)
        elif isinstance(event, TriggerEnded):
            print(f"event {event.number} ends at frame {event.frame}", flush=True)

    source = AudioSource.default_device()
    if arguments.file:
        source = AudioSource.file(arguments.file, pace="freewheel")
    elif arguments.virtual:
        source = AudioSource.virtual()
    sink = TriggerSink(
        file_of, arguments.before, arguments.after, when=EnergyGate(arguments.threshold)
    )
    builder = StreamAudio.builder().add_source("input", source).add_sink(sink).on_event(show)
    builder.format(FormatPreset.NATIVE).duration(arguments.seconds)
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
