"""Sound files of all readable formats, damaged at random, read and mended, in a process.

``python -m tests.support.mutated FIRST LAST FOLDER`` damages and reads the files of these numbers.
The folder then has a line for each finding, and what became of how many. A hang or a crash is for
the parent to notice; ``number`` says of which file.
"""

from __future__ import annotations

import io
import json
import random
import struct
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import numpy as np
import soundfile

from stream_audio import AudioSource, FileError, FormatPreset, RawFormat, StreamAudio, repair

FRAMES = 6_001
NO_LENGTH = frozenset({"IRCAM", "PAF", "PVF", "XI", "RAW"})
"""Formats whose headers say nothing of a length: what is cut off, or follows, nobody can tell."""


@dataclass(frozen=True)
class Whole:
    """A sound file before it is damaged."""

    name: str
    data: bytes
    frames: int
    channels: int
    rate: int
    raw: RawFormat | None = None

    @property
    def says_its_length(self) -> bool:
        return self.name.split()[0] not in NO_LENGTH and self.name != "MP3 uncounted"


def _written(container: str, subtype: str, channels: int, rate: int) -> bytes:
    stream = io.BytesIO()
    samples = np.random.default_rng(4).uniform(-0.4, 0.4, (FRAMES, channels))
    soundfile.write(stream, samples.astype(np.float32), rate, subtype, format=container)
    return stream.getvalue()


@cache
def corpus() -> tuple[Whole, ...]:
    """One file of each format and type of sample that libsndfile writes and reads, and more."""
    found = []
    for container in soundfile.available_formats():
        for subtype in soundfile.available_subtypes(container):
            whole = _whole(container, subtype)
            if whole is not None:
                found.append(whole)
    by_name = {whole.name: whole for whole in found}
    mp3 = by_name["MP3 MPEG_LAYER_III"]
    vorbis, opus = by_name["OGG VORBIS"], by_name["OGG OPUS"]
    tag = mp3.data.index(b"\xff\xfb", 100)
    uncounted = mp3.data[tag:]
    for name, data, like in (
        ("MP3 uncounted", uncounted, mp3),
        ("MP3 tagged", b"ID3\4\0\0\0\0\1\0" + bytes(128) + mp3.data + b"TAG".ljust(128), mp3),
        ("OGG chain", vorbis.data + vorbis.data, vorbis),
        ("OGG opus chain", opus.data + opus.data, opus),
        ("WAV LIST", _with_list(by_name["WAV PCM_16"].data), by_name["WAV PCM_16"]),
        ("FLAC tagged", b"ID3\4\0\0\0\0\1\0" + bytes(128) + by_name["FLAC PCM_16"].data, None),
    ):
        like = like or by_name["FLAC PCM_16"]
        frames = like.frames * (2 if "chain" in name else 1)
        if name == "MP3 uncounted":
            frames = uncounted_frames(data)
        found.append(Whole(name, data, frames, like.channels, like.rate))
    return tuple(found)


def uncounted_frames(data: bytes) -> int:
    """Return how many frames FFmpeg finds in an MP3 file."""
    with av.open(io.BytesIO(data)) as container:
        return sum(frame.samples for frame in container.decode(audio=0))


def _with_list(data: bytes) -> bytes:
    data += b"LIST" + struct.pack("<I", 12) + b"INFOISFTxxxx"
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def _whole(container: str, subtype: str) -> Whole | None:
    if container in ("SD2",):  # needs a second file
        return None
    for channels, rate in ((2, 48_000), (1, 48_000), (1, 16_000), (1, 8_000)):
        try:
            data = _written(container, subtype, channels, rate)
            raw = None
            if container == "RAW":
                try:
                    raw = RawFormat(subtype, rate, channels)
                except ValueError:
                    return None
                return Whole(f"RAW {subtype}", data, FRAMES, channels, rate, raw)
            with soundfile.SoundFile(io.BytesIO(data)) as file:
                frames = len(file.read())
                if file.channels != channels:
                    continue
                return Whole(f"{container} {subtype}", data, frames, channels, file.samplerate)
        except (soundfile.SoundFileError, ValueError, TypeError, AssertionError):
            continue
    return None


WAYS = ("cut", "size", "flips", "head", "gone", "more", "behind", "zeros", "cut size")
UNTOLD = (0, 0xFFFFFFFF)
SIZES = (0, 1, 1000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE)


def damaged(whole: Whole, pick: random.Random) -> tuple[bytes, str]:
    """Return the file damaged in some way, and the way."""
    data = bytearray(whole.data)
    way = pick.choice(
        ("cut", "size", "flips", "head", "gone", "more", "behind", "zeros", "cut size")
    )
    if "size" in way:
        place = pick.randrange(min(len(data) - 8, pick.choice((48, 100, 400))))
        layout = pick.choice("<>") + pick.choice("IIQ")
        value = pick.choice((*SIZES, pick.randrange(2**32), pick.randrange(len(data))))
        struct.pack_into(layout, data, place, value)
        if "cut" in way and value in UNTOLD:
            way += " untold"
    if "cut" in way:
        del data[pick.randrange(len(data)) :]
    if way == "flips":
        for _ in range(pick.choice((1, 2, 8, 64))):
            data[pick.randrange(len(data))] ^= pick.randrange(1, 256)
    if way == "head":
        for _ in range(pick.choice((1, 2, 8))):
            data[pick.randrange(min(len(data), 200))] ^= pick.randrange(1, 256)
    place = pick.randrange(len(data) + 1)
    if way == "gone":
        del data[place : place + pick.choice((1, 2, 100, 5000))]
    if way == "more":
        data[place:place] = pick.randbytes(pick.choice((1, 2, 100, 5000)))
    if way == "zeros":
        length = pick.choice((1, 100, 5000, 20_000))
        data[place : place + length] = bytes(min(length, len(data) - place))
    if way == "behind":
        data += pick.choice((pick.randbytes, bytes))(pick.choice((1, 2, 100, 5000)))
    return bytes(data), way


class Taken:
    """A sink that counts, and keeps the first samples."""

    blocking = False

    def __init__(self) -> None:
        self.frames = 0
        self.channels = 0

    def write(self, chunk: object) -> None:
        self.frames += chunk.frames
        self.channels = chunk.channels


def examined(number: int, folder: Path) -> tuple[str, list[str]]:
    """Damage a file, read and mend it; returns what became of it, and findings."""
    pick = random.Random(number)
    whole = pick.choice(corpus())
    data, way = damaged(whole, pick)
    path = folder / "damaged"
    path.write_bytes(data)
    findings = []
    sink = Taken()
    builder = StreamAudio.builder().format(FormatPreset.NATIVE).add_sink(sink)
    builder.add_source("file", AudioSource.file(path, pace="freewheel", raw=whole.raw))
    outcome = "refused"
    rate = 0
    try:
        with builder.start() as session:
            if not session.wait(60):
                findings.append("it hangs")
        report = session.report()
        source = report.sources["file"]
        rate = source.sample_rate
        outcome = "complete" if report.complete else "unclear" if source.unclear else "error"
        if not report.balanced or sink.frames != source.captured:
            findings.append(f"{report.problems} {sink.frames} {source.captured}")
    except FileError:
        pass
    same = (rate, sink.channels) == (whole.rate, whole.channels)
    # The first frame of an MP3 says what its encoder added: nobody knows if just that was hit.
    known = whole.says_its_length and not (
        whole.name[:3] == "MP3" and data[:400] != whole.data[:400]
    )
    known = known and "untold" not in way  # cut, and its length is not said: who could tell?
    if outcome == "complete" and same and known and sink.frames != whole.frames:
        findings.append(f"{sink.frames} frames of {whole.frames} are called complete")
    findings += _mended(path, whole, sink.frames if outcome in ("complete", "unclear") else 0)
    return outcome, [f"{number} {whole.name} {way}: {finding}" for finding in findings]


def _mended(path: Path, whole: Whole, frames: int) -> list[str]:
    """What repair makes of a file is what was read of it."""
    mended = path.with_name("mended")
    mended.unlink(missing_ok=True)
    try:
        report = repair(path, output=mended, raw=whole.raw)
    except FileError:
        return []
    if report.frames is not None and frames and report.frames != frames:
        return [f"repair finds {report.frames} frames, {frames} were read"]
    if report.output is None:
        return []
    try:
        again = repair(mended, output=path.with_name("again"))
    except FileError as error:
        if "page" in str(error):  # the last whole one is damaged, or some are missing before it
            return []
        return [f"the mended file is refused: {error}"]
    return [] if again.sound else [f"the mended file is damaged: {again}"]


def main() -> None:
    """Examine some files, and say what became of them."""
    first, last, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    outcomes: Counter[str] = Counter()
    # Not to the standard output: libsndfile writes there what it thinks of a sample dump.
    with (folder / "findings").open("w") as notes:
        for number in range(first, last):
            (folder / "number").write_text(str(number))
            outcome, findings = examined(number, folder)
            outcomes[outcome] += 1
            notes.writelines(f"{finding}\n" for finding in findings)
    (folder / "outcomes").write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main()
