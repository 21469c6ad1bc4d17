"""Record to a WAV file for some seconds; Ctrl-C ends it early and keeps what was recorded.

python examples/record.py talk.wav --seconds 60
python examples/record.py tone.wav --seconds 2 --virtual     without a microphone
"""

import argparse

from stream_audio import AudioSource, FileSink, FormatPreset, StreamAudio, StreamAudioError


def main() -> None:
    parser = argparse.ArgumentParser(description="Record to a WAV file.")
    parser.add_argument("path", help="the .wav file to write; it must not exist yet")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--virtual", action="store_true", help="a tone instead of a microphone")
    arguments = parser.parse_args()

    source = AudioSource.virtual() if arguments.virtual else AudioSource.default_device()
    try:
        builder = (
            StreamAudio.builder()
            .add_source("input", source)
            .add_sink(FileSink(arguments.path), format=FormatPreset.NATIVE)
            .duration(arguments.seconds)  # exact to the frame
        )
        with builder.start() as session:
            try:
                session.wait()
            except KeyboardInterrupt:
                print("stopping")  # the end of the with block delivers the rest
    except StreamAudioError as error:
        raise SystemExit(f"error: {error}") from None
    print(session.report())


if __name__ == "__main__":
    main()
