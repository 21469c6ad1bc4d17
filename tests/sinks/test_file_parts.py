"""A recording in several files: exact to the frame, whatever ends one and begins the next."""

import errno
import json
import os
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio import (
    AudioChunk,
    ConfigError,
    DiskLow,
    FallbackUsed,
    FileClosed,
    FileMoved,
    FileSink,
    FileSinkError,
    Gap,
    GapCause,
    SinkInfo,
    SourceInfo,
)
from stream_audio.files import part_ledger, wav
from stream_audio.files.encoder import SAMPLE_BYTES
from support.effort import examples

RATE = 1000
TOP = 2**15 - 1  # the largest sample
NOON = datetime(2026, 7, 14, 12).timestamp()


def numbered(frame, frames, *missing, source="mic"):
    """Return a chunk whose samples tell their place; ``missing``: lengths of gaps before it."""
    gaps = []
    start = frame - sum(missing)
    for length in missing:
        gaps.append(Gap(source, start, length, GapCause.RING_FULL, start / RATE))
        start += length
    data = ((np.arange(frame, frame + frames) % TOP + 1) / 2**15).astype(np.float32)
    return AudioChunk(source, data[:, None], RATE, frame, frame / RATE, 0.0, tuple(gaps))


class Session:
    """A sink and what it tells, without threads. Capture times count from ``epoch``."""

    def __init__(self, path, *, epoch=NOON, **settings):
        self.events = []
        self.sink = FileSink(path, **settings)
        sources = (SourceInfo("mic", RATE, 1),)
        self.sink.start(
            SinkInfo(
                "file", sources, self.events.append, epoch, lambda: 0.0, wall_now=lambda: epoch
            )
        )

    def write(self, *chunks):
        for chunk in chunks:
            self.sink.write(chunk)

    def record(self, frames, chunk=100):
        """Write so many frames and end."""
        for frame in range(0, frames, chunk):
            self.sink.write(numbered(frame, min(chunk, frames - frame)))
        self.sink.stop()

    def told(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def files(self):
        return [event.path for event in self.told(FileClosed)]


def samples(path):
    return np.rint(soundfile.read(path)[0] * 2**15).astype(int).tolist()


def all_samples(paths):
    return [value for path in paths for value in samples(path)]


def expected(*frames):
    return [frame % TOP + 1 for frame in frames]


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


# ---- by time, by size ----


def test_files_of_a_second(tmp_path):
    session = Session(tmp_path / "a.wav", rotate=1)
    session.record(2500, chunk=300)
    assert names(tmp_path) == ["a-0001.wav", "a-0002.wav", "a-0003.wav"]
    assert [event.frames for event in session.told(FileClosed)] == [1000, 1000, 500]
    assert [soundfile.info(path).frames for path in session.files] == [1000, 1000, 500]
    assert all_samples(session.files) == expected(*range(2500))
    assert session.sink.frames == 2500
    assert session.sink.path == session.files[-1]


def test_no_empty_file_follows_a_full_one(tmp_path):
    session = Session(tmp_path / "a.wav", rotate=1)
    session.record(2000)
    assert names(tmp_path) == ["a-0001.wav", "a-0002.wav"]


@pytest.mark.parametrize("subtype", SAMPLE_BYTES)
def test_files_of_a_size_never_exceed_it(tmp_path, subtype):
    session = Session(tmp_path / "a.wav", rotate="10kB", subtype=subtype)
    session.record(20_000, chunk=777)
    *full, _ = session.files
    frame = SAMPLE_BYTES[subtype]
    for path in full:
        assert 10_000 - frame - 1 <= path.stat().st_size <= 10_000
    assert all_samples(session.files) == expected(*range(20_000))


@settings(derandomize=True, deadline=None, max_examples=examples(60))
@given(
    rotate=st.sampled_from([0.1, 0.333, 1, "10kB", None]),
    gaps=st.sampled_from(["silence", "skip", "split"]),
    pieces=st.lists(
        st.tuples(st.lists(st.integers(1, 3000), max_size=2), st.integers(1, 1500)), max_size=12
    ),
)
def test_the_files_together_are_the_recording_in_one(tmp_path_factory, rotate, gaps, pieces):
    """Whatever the lengths of chunks, gaps and files."""
    folder = tmp_path_factory.mktemp("parts")
    session = Session(folder / "a.wav", rotate=rotate, gaps=gaps)
    end, content, lost = 0, [], []
    for missing, frames in pieces:
        frame = end + sum(missing)
        chunk = numbered(frame, frames, *missing)
        session.write(chunk)
        content += [0] * sum(missing) if gaps == "silence" else []
        end = chunk.end
        content += expected(*range(frame, end))
        lost += chunk.gaps
    session.sink.stop()
    assert all_samples(session.files) == content
    assert session.sink.frames == len(content)
    told = [gap for event in session.told(FileClosed) for gap in event.gaps]
    assert sum(gap.frames for gap in told) == sum(gap.frames for gap in lost)
    assert [frame for gap in told for frame in range(gap.frame, gap.end)] == [
        frame for gap in lost for frame in range(gap.frame, gap.end)
    ]
    if isinstance(rotate, float):
        longest = max((event.frames for event in session.told(FileClosed)), default=0)
        assert longest <= round(rotate * RATE)


def test_a_gap_of_hours_fills_file_after_file(tmp_path):
    session = Session(tmp_path / "a.wav", rotate="1h")
    session.write(numbered(0, 500), numbered(500 + 5 * 3600 * RATE, 500, 5 * 3600 * RATE))
    session.sink.stop()
    closed = session.told(FileClosed)
    assert [event.frames for event in closed] == [3600 * RATE] * 5 + [1000]
    assert [sum(gap.frames for gap in event.gaps) for event in closed] == [
        3600 * RATE - 500,
        *[3600 * RATE] * 4,
        500,
    ]
    starts = [event.gaps[0].frame for event in closed]
    assert starts == [500, *(hour * 3600 * RATE for hour in range(1, 6))]
    assert all(event.gaps[0].time == event.gaps[0].frame / RATE for event in closed)


# ---- at the clock ----


@pytest.fixture(params=["UTC", "Asia/Kolkata"])
def _zone(request, monkeypatch):
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_zone")
def test_aligned_files_begin_at_the_full_minute(tmp_path):
    start = datetime(2026, 7, 14, 12, 58, 30, 500_000).timestamp()
    template = "{start:%H-%M-%S}.wav"
    session = Session(tmp_path / template, rotate="1m", align=True, epoch=start)
    session.record(160 * RATE, chunk=70)
    assert names(tmp_path) == ["12-58-30.wav", "12-59-00.wav", "13-00-00.wav", "13-01-00.wav"]
    frames = [event.frames for event in session.told(FileClosed)]
    assert frames == [29_500, 60_000, 60_000, 10_500]
    assert all_samples(session.files) == expected(*range(160 * RATE))


def test_aligned_files_follow_the_wall_clock_and_not_the_devices(tmp_path):
    """A device that is 1 % fast delivers more frames a minute."""
    session = Session(tmp_path / "{start:%M%S}.wav", rotate="1m", align=True)
    fast = 1.01
    for frame in range(0, 300 * RATE, 50):
        chunk = numbered(frame, 50)
        session.write(
            AudioChunk("mic", chunk.data, RATE, frame, frame / RATE / fast, 0.0, chunk.gaps)
        )
    session.sink.stop()
    assert names(tmp_path) == [f"0{minute}00.wav" for minute in range(5)]
    assert {event.frames for event in session.told(FileClosed)[:-1]} <= {60_599, 60_600, 60_601}
    assert all_samples(session.files) == expected(*range(300 * RATE))


# ---- names ----


def test_a_template_names_each_file(tmp_path):
    session = Session(tmp_path / "{start:%Y%m%d-%H%M%S}-{index:02}.wav", rotate=2)
    session.record(5 * RATE)
    assert names(tmp_path) == [
        "20260714-120000-01.wav",
        "20260714-120002-02.wav",
        "20260714-120004-03.wav",
    ]


def test_a_template_names_a_single_file_too(tmp_path):
    session = Session(tmp_path / "{start:%Y}.wav")
    assert session.sink.path == tmp_path / "2026.wav"
    session.record(10)
    assert names(tmp_path) == ["2026.wav"]


def test_a_name_that_is_taken_does_not_end_a_recording_under_way(tmp_path):
    (tmp_path / "a-0002.wav").write_text("precious")
    session = Session(tmp_path / "a.wav", rotate=1)
    session.record(2500)
    assert (tmp_path / "a-0002.wav").read_text() == "precious"
    assert names(tmp_path) == ["a-0001.wav", "a-0002-1.wav", "a-0002.wav", "a-0003.wav"]
    assert all_samples(session.files) == expected(*range(2500))


def test_at_the_start_a_name_that_is_taken_is_an_error(tmp_path):
    (tmp_path / "a-0001.wav").write_text("precious")
    with pytest.raises(FileSinkError, match="a-0001"):
        Session(tmp_path / "a.wav", rotate=1)
    Session(tmp_path / "a.wav", rotate=1, unique=True).record(10)
    assert "a-0001-1.wav" in names(tmp_path)


@pytest.mark.parametrize("setting", [{"overwrite": True}, {"unique": True}])
def test_a_recording_never_overwrites_its_own_files(tmp_path, setting):
    session = Session(tmp_path / "{start:%H%M}.wav", rotate=1, **setting)
    session.record(2500)
    assert names(tmp_path) == ["1200-1.wav", "1200-2.wav", "1200.wav"]
    assert all_samples(session.files) == expected(*range(2500))


def test_overwriting_replaces_each_file_of_an_earlier_recording(tmp_path):
    Session(tmp_path / "a.wav", rotate=1, overwrite=True).record(3000)
    session = Session(tmp_path / "a.wav", rotate=1, overwrite=True)
    session.record(2500)
    assert names(tmp_path) == ["a-0001.wav", "a-0002.wav", "a-0003.wav"]
    assert all_samples(session.files) == expected(*range(2500))


# ---- the next file ----


def test_no_chunk_waits_for_a_file_to_be_created(tmp_path, monkeypatch):
    """The next one is there before its first frame comes."""
    session = Session(tmp_path / "a.wav", rotate=10)
    created_at = []
    original = os.open
    frame = 0

    def watch(*args):
        created_at.append(frame)
        return original(*args)

    monkeypatch.setattr(os, "open", watch)
    for frame in range(0, 35 * RATE, 100):
        session.write(numbered(frame, 100))
    monkeypatch.undo()
    session.sink.stop()
    assert created_at == [7900, 17_900, 27_900]


def test_a_next_file_that_is_not_needed_is_taken_away(tmp_path):
    session = Session(tmp_path / "a.wav", rotate=10)
    session.write(*(numbered(frame, 100) for frame in range(0, 9000, 100)))
    assert names(tmp_path) == ["a-0001.wav", "a-0002.wav"]
    session.sink.stop()
    assert names(tmp_path) == ["a-0001.wav"]


def test_a_next_file_whose_name_would_be_wrong_is_not_used(tmp_path):
    session = Session(tmp_path / "{start:%S}.wav", rotate=10, gaps="split")
    session.write(numbered(0, 8500), numbered(8700, 100, 200))
    session.sink.stop()
    assert names(tmp_path) == ["00.wav", "08.wav"]


def test_a_next_file_that_was_removed_is_created_again(tmp_path):
    session = Session(tmp_path / "a.wav", rotate=10)
    session.write(*(numbered(frame, 100) for frame in range(0, 9000, 100)))
    (tmp_path / "a-0002.wav").unlink()
    session.write(*(numbered(frame, 100) for frame in range(9000, 12_000, 100)))
    session.sink.stop()
    assert [event.frames for event in session.told(FileClosed)] == [10_000, 2000]
    assert names(tmp_path) == ["a-0001.wav", "a-0002.wav"]


# ---- keep ----


def test_only_the_last_files_are_kept(tmp_path):
    session = Session(tmp_path / "a.wav", rotate=1, keep=3, ledger=True)
    for frame in range(0, 7500, 100):
        session.write(numbered(frame, 100))
        assert sum(name.endswith(".wav") for name in names(tmp_path)) <= 4  # the next one too
    session.sink.stop()
    kept = [f"a-000{i}.wav" for i in (6, 7, 8)]
    assert names(tmp_path) == sorted([*kept, *(f"{name}.json" for name in kept)])
    assert all_samples(tmp_path / name for name in kept) == expected(*range(5000, 7500))


def test_a_file_that_is_not_its_own_is_never_deleted(tmp_path):
    session = Session(tmp_path / "a.wav", rotate=1, keep=1)
    session.write(numbered(0, 1500))
    (tmp_path / "b.wav").write_text("precious")
    (tmp_path / "b.wav").replace(tmp_path / "a-0002.wav")  # in its place
    session.write(*(numbered(frame, 100) for frame in range(1500, 5000, 100)))
    with pytest.raises(FileSinkError, match="removed") as caught:
        session.sink.stop()
    assert (caught.value.path, caught.value.frames) == (tmp_path / "a-0002.wav", 0)
    assert names(tmp_path) == ["a-0002.wav", "a-0005.wav"]
    assert (tmp_path / "a-0002.wav").read_text() == "precious"
    assert tmp_path / "a-0002.wav" not in session.files


def test_a_ledger_that_it_did_not_write_is_not_deleted(tmp_path):
    notes = tmp_path / "a-0001.wav.json"
    notes.write_text("notes")
    session = Session(tmp_path / "a.wav", rotate=1, keep=1)
    session.record(3000)
    assert names(tmp_path) == ["a-0001.wav.json", "a-0003.wav"]
    assert notes.read_text() == "notes"


@pytest.mark.parametrize("what", ["a-0001.wav", "a-0001.wav.json"])
def test_what_somebody_changed_is_not_deleted(tmp_path, what):
    session = Session(tmp_path / "a.wav", rotate=1, keep=2, ledger=True)
    session.write(*(numbered(frame, 100) for frame in range(0, 1200, 100)))
    with (tmp_path / what).open("ab") as file:
        file.write(b"precious")
    session.write(*(numbered(frame, 100) for frame in range(1200, 4500, 100)))
    session.sink.stop()
    left = {"a-0001.wav", "a-0001.wav.json"} if what == "a-0001.wav" else {what}
    assert set(names(tmp_path)) == left | {
        f"a-000{i}.wav{end}" for i in (4, 5) for end in ("", ".json")
    }


@pytest.mark.parametrize("keep", ["3 s", "0.05 min"])
def test_files_are_kept_for_a_time(tmp_path, keep):
    session = Session(tmp_path / "a.wav", rotate=1, keep=keep)
    for frame in range(0, 9500, 100):
        session.write(numbered(frame, 100))
        sounds = len(names(tmp_path))
        assert sounds <= 3 + 1 + 1 + 1  # of the last 3 s, the one being written, and the next
    session.sink.stop()
    assert names(tmp_path) == [f"a-{i:04}.wav" for i in range(6, 11)] or names(tmp_path) == [
        f"a-{i:04}.wav" for i in range(7, 11)
    ]


def test_a_folder_by_date_goes_with_the_last_file_in_it(tmp_path):
    epoch = datetime(2026, 7, 14, 23, 59, 57).timestamp()
    template = tmp_path / "{start:%Y/%m-%d}" / "{start:%H%M%S}.wav"
    session = Session(template, epoch=epoch, rotate=1, keep=2)
    session.write(*(numbered(frame, 100) for frame in range(0, 2500, 100)))
    assert (tmp_path / "2026" / "07-14" / "235958.wav").exists()
    session.write(*(numbered(frame, 100) for frame in range(2500, 6500, 100)))
    session.sink.stop()
    assert names(tmp_path / "2026") == ["07-15"]
    assert names(tmp_path / "2026" / "07-15") == ["000002.wav", "000003.wav"]


def run_of(path, frames, *, start, **settings):
    Session(path, epoch=NOON + start, rotate=1, **settings).record(frames)


TEMPLATE = "{start:%H%M%S}.wav"


def test_files_of_earlier_runs_count_if_asked(tmp_path):
    for start in (0, 10):
        run_of(tmp_path / TEMPLATE, 3000, start=start, ledger=True)
    run_of(tmp_path / TEMPLATE, 2000, start=20, ledger=True, keep=3, keep_earlier=True)
    kept = ["120012.wav", "120020.wav", "120021.wav"]
    assert names(tmp_path) == sorted([*kept, *(f"{name}.json" for name in kept)])
    run_of(tmp_path / TEMPLATE, 1000, start=30, ledger=True, keep="10s", keep_earlier=True)
    kept = ["120020.wav", "120021.wav", "120030.wav"]
    assert names(tmp_path) == sorted([*kept, *(f"{name}.json" for name in kept)])


def test_files_of_earlier_runs_are_found_in_folders_by_date(tmp_path):
    template = tmp_path / "{start:%Y}" / "{start:%m-%d}" / TEMPLATE
    run_of(template, 2000, start=0, ledger=True)
    run_of(template, 1000, start=86_400, ledger=True, keep=2, keep_earlier=True)
    assert [path.name for path in sorted(tmp_path.rglob("*.wav"))] == ["120001.wav", "120000.wav"]


def test_only_what_is_certainly_of_an_earlier_run_is_deleted(tmp_path):
    """Never by its name alone."""
    run_of(tmp_path / TEMPLATE, 9000, start=0, ledger=True)
    other = tmp_path / "other"
    other.mkdir()
    run_of(tmp_path / "{start:%H%M%S}-b.wav", 1000, start=0, ledger=True)  # another recording

    (tmp_path / "120000.wav.json").unlink()  # none
    with (tmp_path / "120001.wav").open("ab") as file:  # another size
        file.write(b"x")
    (tmp_path / "120002.wav.json").write_text("[]")
    (tmp_path / "120003.wav.json").write_bytes(b"\xff" * 100)
    moved = tmp_path / "120004.wav.json"
    moved.rename(tmp_path / "120099.wav.json")  # of another name
    told = json.loads((tmp_path / "120005.wav.json").read_text())
    (tmp_path / "120005.wav.json").write_text(json.dumps(told | {"complete": False}))
    told = json.loads((tmp_path / "120006.wav.json").read_text())
    (tmp_path / "120006.wav.json").write_text(json.dumps(told | {"file": "../120006.wav"}))
    (tmp_path / "120007.wav").replace(other / "120007.wav")
    (tmp_path / "120007.wav").symlink_to(other / "120007.wav")
    before = set(names(tmp_path))
    run_of(tmp_path / TEMPLATE, 1000, start=60, ledger=True, keep=1, keep_earlier=True)
    gone = {"120008.wav", "120008.wav.json"}
    assert set(names(tmp_path)) == before - gone | {"120100.wav", "120100.wav.json"}
    assert (other / "120007.wav").exists()


def test_a_start_that_is_taken_back_deletes_nothing_of_earlier_runs(tmp_path):
    run_of(tmp_path / TEMPLATE, 3000, start=0, ledger=True)
    before = names(tmp_path)
    session = Session(
        tmp_path / TEMPLATE, epoch=NOON + 60, rotate=1, keep=1, keep_earlier=True, ledger=True
    )
    session.sink.discard()
    assert names(tmp_path) == before


# ---- gaps ----


def test_each_gap_begins_a_new_file(tmp_path):
    session = Session(tmp_path / "a.wav", gaps="split")
    session.write(numbered(5, 10, 5), numbered(15, 5), numbered(30, 10, 4, 6), numbered(41, 9, 1))
    session.sink.stop()
    assert [samples(path) for path in session.files] == [
        expected(*range(5, 20)),
        expected(*range(30, 40)),
        expected(*range(41, 50)),
    ]
    assert [[gap.frames for gap in event.gaps] for event in session.told(FileClosed)] == [
        [5],
        [4, 6],
        [1],
    ]


def ledger(path):
    return json.loads(path.with_name(path.name + ".json").read_text())


def test_the_ledger_beside_the_file_tells_what_is_missing(tmp_path):
    path = tmp_path / "a.wav"
    session = Session(path, ledger=True)
    session.write(numbered(0, 100), numbered(130, 70, 10, 20), numbered(205, 95, 5))
    session.sink.stop()
    found = ledger(path)
    assert datetime.fromisoformat(found.pop("start")).timestamp() == NOON
    assert found.pop("bytes") == path.stat().st_size
    assert len(found.pop("recording")) == 32
    assert found.pop("gaps") == [
        {"at": 100, "source": "mic", "frame": 100, "frames": 10, "cause": "ring_full"},
        {"at": 110, "source": "mic", "frame": 110, "frames": 20, "cause": "ring_full"},
        {"at": 200, "source": "mic", "frame": 200, "frames": 5, "cause": "ring_full"},
    ]
    assert found == {
        "schema": 1,
        "file": "a.wav",
        "index": 1,
        "complete": True,
        "sink": "file",
        "source": "mic",
        "sample_rate": RATE,
        "channels": 1,
        "gaps_are": "silence",
        "start_frame": 0,
        "begins": 0.0,
        "frames": 300,
        "missing_frames": 35,
    }
    assert names(tmp_path) == ["a.wav", "a.wav.json"]


@pytest.mark.parametrize("gaps", ["silence", "skip", "split"])
def test_each_file_has_a_ledger_that_accounts_for_its_span(tmp_path, gaps):
    session = Session(tmp_path / "a.wav", gaps=gaps, rotate=1, ledger=True)
    frame = 0
    for i in range(30):
        missing = 37 * i if i % 4 == 0 else 0
        session.write(numbered(frame + missing, 100, *[missing] * bool(missing)))
        frame += missing + 100
    session.sink.stop()
    end = 0
    for path in session.files:
        found = ledger(path)
        missing = found["missing_frames"]
        before = sum(gap["frames"] for gap in found["gaps"] if gap["at"] == 0)
        if gaps == "silence":
            assert found["start_frame"] == end
            end += found["frames"]
        else:
            assert found["start_frame"] == end + before
            end += found["frames"] + missing
        assert datetime.fromisoformat(found["start"]).timestamp() == pytest.approx(
            NOON + found["start_frame"] / RATE
        )
    assert end == frame


def test_the_ledger_is_there_before_the_file_is_complete(tmp_path):
    path = tmp_path / "a.wav"
    session = Session(path, ledger=True)
    session.write(numbered(0, 100), numbered(110, 100, 10))
    for frame in range(210, 2000, 100):
        session.write(numbered(frame, 100))
    found = ledger(path)
    assert (found["complete"], found["missing_frames"]) == (False, 10)
    session.sink.stop()


def test_a_ledger_is_whole_whenever_it_is_read(tmp_path):
    """Written over its end, the missing frames before it."""
    session = Session(tmp_path / "a.wav", ledger=True)
    frame = missing = 0
    for i in range(200):
        gap = i % 7
        session.write(numbered(frame + gap, 300, *[gap] * bool(gap)))
        frame += 300 + gap
        missing += gap
        found = ledger(tmp_path / "a.wav")
        assert found["missing_frames"] == sum(each["frames"] for each in found["gaps"]) <= missing
    session.sink.stop()
    found = ledger(tmp_path / "a.wav")
    assert (found["missing_frames"], found["frames"]) == (missing, frame)
    assert [each["at"] for each in found["gaps"]] == [each["frame"] for each in found["gaps"]]


def test_a_ledger_costs_what_it_adds(tmp_path, monkeypatch):
    """Not all that it told before, again and again."""
    written = []
    original = os.pwrite
    monkeypatch.setattr(
        part_ledger,
        "write_at",
        lambda fd, data, at: written.append(original(fd, data, at)),
    )
    costs = []
    for losses in (200, 400, 800):
        session = Session(tmp_path / f"{losses}.wav", ledger=True)
        session.write(*(numbered(2000 * i + 5, 1995, 5) for i in range(losses)))
        session.sink.stop()
        costs.append(sum(written))
        written.clear()
        assert len(ledger(tmp_path / f"{losses}.wav")["gaps"]) == losses
    assert costs[2] < 2.1 * costs[1] < 4.4 * costs[0]
    assert costs[2] < 2 * (tmp_path / "800.wav.json").stat().st_size + 800 * 200


def test_a_ledger_that_could_not_be_written_stays_whole_and_is_made_good(tmp_path, monkeypatch):
    session = Session(tmp_path / "a.wav", ledger=True)
    session.write(numbered(0, 1500), numbered(1510, 1500, 10))
    before = ledger(tmp_path / "a.wav")
    original = os.pwrite

    def torn(descriptor, data, at):
        original(descriptor, bytes(data)[:60], at)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    size = (tmp_path / "a.wav.json").stat().st_size
    tail = (tmp_path / "a.wav.json").read_bytes().index(b"\n ],")
    calls = []

    def failing(descriptor, data, at):
        calls.append(at)
        if len(calls) % 2:
            torn(descriptor, data, at)
        original(descriptor, data, at)

    with monkeypatch.context() as patch:
        patch.setattr(part_ledger, "write_at", failing)
        session.write(numbered(3040, 1500, 30), numbered(4540, 1500))
    assert set(calls) == {tail}
    assert (tmp_path / "a.wav.json").stat().st_size == size
    assert ledger(tmp_path / "a.wav") == before
    session.sink.stop()
    assert ledger(tmp_path / "a.wav")["missing_frames"] == 40


def test_a_ledger_replaces_nothing_unasked(tmp_path):
    (tmp_path / "a.wav.json").write_text("mine")
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "a.wav-1.json").symlink_to(tmp_path / "victim")
    (tmp_path / "a.wav.json.part").symlink_to(tmp_path / "victim")
    Session(tmp_path / "a.wav", ledger=True).record(500)
    assert (tmp_path / "a.wav.json").read_text() == "mine"
    assert (tmp_path / "victim").read_text() == "precious"
    assert json.loads((tmp_path / "a.wav-2.json").read_text())["frames"] == 500


def test_a_ledger_replaces_a_link_and_not_what_it_leads_to(tmp_path):
    (tmp_path / "victim").write_text("precious")
    for name in ("a.wav.json", "a.wav.json.part"):
        (tmp_path / name).symlink_to(tmp_path / "victim")
    session = Session(tmp_path / "a.wav", ledger=True, overwrite=True)
    assert (tmp_path / "a.wav.json").is_symlink()  # until the session has begun
    session.record(500)
    assert ledger(tmp_path / "a.wav")["frames"] == 500
    assert not (tmp_path / "a.wav.json").is_symlink()
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_ledger_and_its_file_are_replaced_when_the_session_has_begun(tmp_path):
    for name in ("a.wav", "a.wav.json"):
        (tmp_path / name).write_text("old")
    for ends in ("discard", "stop"):
        session = Session(tmp_path / "a.wav", ledger=True, overwrite=True)
        assert [(tmp_path / name).read_text() for name in ("a.wav", "a.wav.json")] == ["old"] * 2
        if ends == "discard":
            session.sink.discard()
            assert names(tmp_path) == ["a.wav", "a.wav.json"]
            assert (tmp_path / "a.wav.json").read_text() == "old"
    session.sink.begun()
    assert ledger(tmp_path / "a.wav")["complete"] is False
    session.record(300)
    assert ledger(tmp_path / "a.wav")["frames"] == 300
    assert not session.told(FileMoved)


@pytest.mark.parametrize("atomic", [False, True])
def test_a_ledger_whose_name_cannot_be_is_found_at_the_start(tmp_path, atomic):
    path = tmp_path / ("a" * 248 + ".wav")
    with pytest.raises(FileSinkError, match="long"):
        Session(path, ledger=True, atomic=atomic)
    assert names(tmp_path) == []


@pytest.mark.parametrize("atomic", [False, True])
def test_a_unique_name_has_a_ledger_of_that_name(tmp_path, atomic):
    for name in ("a.wav", "a-1.wav.json"):
        (tmp_path / name).write_text("mine")
    Session(tmp_path / "a.wav", unique=True, ledger=True, atomic=atomic).record(200)
    # That a name is free is certain at the end of an atomic one only.
    sound, its_ledger = ("a-1.wav", "a-1.wav-1.json") if atomic else ("a-2.wav", "a-2.wav.json")
    assert json.loads((tmp_path / its_ledger).read_text())["file"] == sound
    assert soundfile.info(tmp_path / sound).frames == 200
    assert (tmp_path / "a-1.wav.json").read_text() == "mine"


@pytest.mark.parametrize("mode", [0o600, None])
def test_a_ledger_has_the_permissions_of_its_file(tmp_path, mode):
    (tmp_path / "a.wav").write_text("old")
    (tmp_path / "a.wav").chmod(0o640)
    Session(tmp_path / "a.wav", ledger=True, overwrite=True, mode=mode).record(200)
    assert (tmp_path / "a.wav.json").stat().st_mode & 0o777 == (mode or 0o640)


# ---- broadcast ----


def bext_samples(path):
    data = path.read_bytes()
    return int.from_bytes(data[data.index(b"bext") + 8 + 338 :][:8], "little")


def test_the_time_references_of_files_join_without_a_sample_between(tmp_path):
    """As an editor places them: counted in frames, not in the jittering times of chunks."""
    epoch = datetime(2026, 7, 14, 10).timestamp()
    session = Session(tmp_path / "a.wav", rotate=1, bext=True, epoch=epoch)
    random = np.random.default_rng(3)
    for frame in range(0, 4000, 100):
        chunk = numbered(frame, 100)
        jittered = frame / RATE + (random.uniform(0, 0.01) if frame else 0)
        session.write(AudioChunk("mic", chunk.data, RATE, frame, jittered, 0.0))
    session.sink.stop()
    ten = 10 * 3600 * RATE
    assert [bext_samples(path) for path in session.files] == [ten + i * RATE for i in range(4)]


# ---- what goes wrong ----


class Disk:
    """In place of `os.pwrite`: refuses samples for files whose path has a certain part."""

    def __init__(self, monkeypatch):
        self.broken = ()
        self.error = errno.ENOSPC
        self.room = 0
        self.original = os.pwrite
        monkeypatch.setattr(wav.os, "pwrite", self.pwrite)

    def pwrite(self, file, data, offset):
        path = os.readlink(f"/proc/self/fd/{file}")
        if offset and any(part in path for part in self.broken):
            if self.room == 0:
                raise OSError(self.error, os.strerror(self.error))
            size = min(self.room, len(data))
            self.room -= size
            return self.original(file, data[:size], offset)
        return self.original(file, data, offset)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


FINAL = [errno.ENOSPC, errno.EDQUOT, errno.EROFS]


@pytest.mark.parametrize("name", ["a.wav", "a.aiff"])
@pytest.mark.parametrize("own_gap", [0, 50])
def test_what_is_left_of_a_chunk_that_was_taken_in_part_becomes_silence(
    tmp_path, monkeypatch, name, own_gap
):
    """As with on_failure="skip": the rest is a gap of the chunk that follows."""
    session = Session(tmp_path / name, subtype="PCM_16")
    session.write(numbered(0, 700))
    pwrite = os.pwrite

    def broken(file, data, offset):
        if offset + len(data) > 2 * 1200:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pwrite(file, data, offset)

    monkeypatch.setattr(os, "pwrite", broken)
    missing = (own_gap,) if own_gap else ()
    failing = numbered(700 + own_gap, 700, *missing)
    for _ in range(2):  # another try goes on where the first one stopped
        with pytest.raises(FileSinkError) as caught:
            session.write(failing)
        assert caught.value.retryable
    taken = caught.value.taken
    assert 300 <= taken <= 500
    monkeypatch.undo()
    session.write(numbered(failing.end, 300, 700 - taken))
    session.sink.stop()
    in_file = [*range(700), *[None] * own_gap, *range(700 + own_gap, 700 + own_gap + taken)]
    in_file += [None] * (700 - taken) + [*range(failing.end, failing.end + 300)]
    assert samples(tmp_path / name) == [0 if n is None else n % TOP + 1 for n in in_file]


@pytest.mark.parametrize("number", FINAL)
def test_the_error_says_what_is_saved_where_and_why(tmp_path, disk, number):
    path = tmp_path / "a.wav"
    session = Session(path)
    session.write(numbered(0, 700), numbered(700, 700))
    disk.broken, disk.error, disk.room = ("a.wav",), number, 500
    with pytest.raises(FileSinkError) as caught:
        session.write(numbered(1400, 700))
    assert caught.value.path == path
    assert caught.value.frames == 1400
    assert not caught.value.retryable
    assert caught.value.host_text == os.strerror(number)
    assert "1400 frames are saved" in str(caught.value)
    # Valid before anybody closes it, and after.
    assert samples(path) == expected(*range(1400))
    session.sink.stop()
    assert samples(path) == expected(*range(1400))
    assert [event.frames for event in session.told(FileClosed)] == [1400]


@pytest.mark.parametrize("number", [*FINAL, errno.EIO])
@pytest.mark.parametrize("room", [0, 333])
def test_the_fallback_goes_on_without_a_missing_frame(tmp_path, disk, number, room):
    path, fallback = tmp_path / "a.wav", tmp_path / "b.wav"
    session = Session(path, fallback=fallback)
    session.write(numbered(0, 700))
    disk.broken, disk.error, disk.room = ("a.wav",), number, room
    session.write(numbered(750, 300, 50), numbered(1050, 300))
    session.sink.stop()
    assert samples(path) == expected(*range(700))
    assert samples(fallback) == [0] * 50 + expected(*range(750, 1350))
    (told,) = session.told(FallbackUsed)
    assert (told.sink, told.path, told.frames, told.fallback) == ("file", path, 700, fallback)
    assert told.error.errno == number
    assert session.sink.path == fallback
    assert session.sink.frames == 1350
    assert session.files == [path, fallback]


def test_a_fallback_may_be_a_folder(tmp_path, disk):
    (tmp_path / "other").mkdir()
    session = Session(tmp_path / "a-{index}.wav", rotate=1, fallback=tmp_path / "other")
    session.write(numbered(0, 1500))
    disk.broken = ("/a-2.wav",)
    disk.broken = (str(tmp_path / "a-2.wav"),)
    session.write(numbered(1500, 1400))
    session.sink.stop()
    assert names(tmp_path / "other") == ["a-3.wav", "a-4.wav"]
    assert all_samples(session.files) == expected(*range(2900))


def test_a_fallback_that_fails_too_is_told(tmp_path, disk):
    session = Session(tmp_path / "a.wav", fallback=tmp_path / "missing" / "b.wav")
    session.write(numbered(0, 700))
    disk.broken = ("a.wav",)
    with pytest.raises(FileSinkError) as caught:
        session.write(numbered(700, 700))
    assert caught.value.host_text.startswith(os.strerror(errno.ENOSPC))
    assert "missing/b.wav" in caught.value.host_text
    (tmp_path / "missing").mkdir()
    session.write(numbered(700, 700))  # whoever tries again
    session.sink.stop()
    assert samples(tmp_path / "missing" / "b.wav") == expected(*range(700, 1400))


def test_an_error_in_the_fallback_is_the_end(tmp_path, disk):
    session = Session(tmp_path / "a.wav", fallback=tmp_path / "b.wav")
    session.write(numbered(0, 100))
    disk.broken = ("a.wav",)
    session.write(numbered(100, 100))
    disk.broken = ("a.wav", "b.wav")
    with pytest.raises(FileSinkError) as caught:
        session.write(numbered(200, 100))
    assert (caught.value.path, caught.value.frames) == (tmp_path / "b.wav", 100)
    session.sink.stop()
    assert all_samples(session.files) == expected(*range(200))


def test_a_retry_within_a_chunk_repeats_and_loses_nothing(tmp_path, disk):
    """The chunk spans three files, and the third one cannot be written at first."""
    session = Session(tmp_path / "a.wav", rotate=0.5)
    disk.broken, disk.error = ("a-0003",), errno.EIO
    chunk = numbered(300, 1200, 300)
    with pytest.raises(FileSinkError) as caught:
        session.write(chunk)
    assert caught.value.retryable
    disk.broken = ()
    session.write(chunk)
    session.sink.stop()
    assert [event.frames for event in session.told(FileClosed)] == [500, 500, 500]
    assert all_samples(session.files) == [0] * 300 + expected(*range(300, 1500))


@pytest.mark.parametrize("gaps", ["silence", "skip", "split"])
def test_a_chunk_that_was_given_up_halfway_does_not_shift_what_follows(tmp_path, disk, gaps):
    session = Session(tmp_path / "a.wav", rotate=0.5, gaps=gaps)
    disk.broken, disk.error = ("a-0002",), errno.EIO
    with pytest.raises(FileSinkError):
        session.write(numbered(0, 700))
    disk.broken = ()
    given_up = Gap("mic", 0, 700, GapCause.SINK_FAILED, 0.0)
    following = numbered(700, 100)
    session.write(
        AudioChunk("mic", following.data, RATE, 700, 0.7, 0.0, (given_up, *following.gaps))
    )
    session.sink.stop()
    found = all_samples(session.files)
    silence = [0] * 200 if gaps == "silence" else []
    assert found == expected(*range(500)) + silence + expected(*range(700, 800))


def test_a_limit_of_the_file_system_begins_another_file(tmp_path, disk):
    """FAT has no files past 4 GiB."""
    session = Session(tmp_path / "a.wav")
    session.write(numbered(0, 700))
    disk.broken, disk.error, disk.room = ("/a.wav",), errno.EFBIG, 333
    session.write(numbered(700, 700), numbered(1400, 100))
    session.sink.stop()
    assert names(tmp_path) == ["a-0002.wav", "a.wav"]
    assert [event.frames for event in session.told(FileClosed)] == [700, 800]
    assert all_samples(session.files) == expected(*range(1500))


def test_a_limit_below_any_file_is_an_error(tmp_path, disk):
    session = Session(tmp_path / "a.wav")
    disk.broken, disk.error = ("a",), errno.EFBIG
    with pytest.raises(FileSinkError, match="cannot write to"):
        session.write(numbered(0, 700))
    session.sink.stop()
    assert names(tmp_path) == ["a.wav"]


def test_rf64_never_begins_another_file_at_4_gib(tmp_path):
    session = Session(tmp_path / "a.wav", rf64="never")
    session.write(numbered(2**31, 1000, 2**31), numbered(2**31 + 1000, 1000))
    session.sink.stop()
    assert names(tmp_path) == ["a-0002.wav", "a.wav"]
    first, second = session.told(FileClosed)
    assert first.frames + second.frames == 2**31 + 2000
    assert (tmp_path / "a.wav").stat().st_size > 2**32 - 10
    assert second.frames < 3000
    assert samples(second.path)[-2000:] == expected(*range(2**31, 2**31 + 2000))


# ---- files that go away ----


def test_a_removed_file_ends_the_recording_within_a_second(tmp_path):
    path = tmp_path / "a.wav"
    session = Session(path)
    session.write(numbered(0, 500))
    path.unlink()
    with pytest.raises(FileSinkError, match="removed") as caught:
        session.write(*(numbered(frame, 100) for frame in range(500, 2000, 100)))
    assert (caught.value.path, caught.value.frames) == (path, 0)
    assert not caught.value.retryable
    assert session.sink.frames == 0
    with pytest.raises(FileSinkError, match="removed"):  # and stays so
        session.write(numbered(2000, 1))
    session.sink.stop()
    assert names(tmp_path) == []


def test_the_fallback_takes_over_from_a_removed_file(tmp_path):
    session = Session(tmp_path / "a.wav", fallback=tmp_path / "b.wav")
    session.write(numbered(0, 500))
    (tmp_path / "a.wav").unlink()
    session.write(*(numbered(frame, 100) for frame in range(500, 3000, 100)))
    session.sink.stop()
    (told,) = session.told(FallbackUsed)
    assert told.frames == 0
    found = samples(tmp_path / "b.wav")
    assert found == expected(*range(3000 - len(found), 3000))
    assert len(found) > 1400


@pytest.mark.parametrize("atomic", [False, True])
def test_a_moved_file_is_followed_and_told_once(tmp_path, atomic):
    session = Session(tmp_path / "a.wav", atomic=atomic, ledger=True)
    session.write(numbered(0, 500))
    (tmp_path / ("a.wav.part" if atomic else "a.wav")).rename(tmp_path / "b.wav")
    session.write(*(numbered(frame, 100) for frame in range(500, 5000, 100)))
    session.sink.stop()
    (told,) = session.told(FileMoved)
    assert (told.path, told.new_path) == (tmp_path / "a.wav", tmp_path / "b.wav")
    assert session.files == [tmp_path / "b.wav"]
    assert names(tmp_path) == ["b.wav", "b.wav.json"]
    assert samples(tmp_path / "b.wav") == expected(*range(5000))


def test_a_file_that_was_moved_away_is_not_deleted(tmp_path):
    session = Session(tmp_path / "a.wav", rotate=3, keep=1)
    session.write(*(numbered(frame, 100) for frame in range(0, 500, 100)))
    (tmp_path / "a-0001.wav").rename(tmp_path / "precious.wav")
    session.write(*(numbered(frame, 100) for frame in range(500, 10_000, 100)))
    session.sink.stop()
    assert names(tmp_path) == ["a-0004.wav", "precious.wav"]


# ---- space ----


def test_a_disk_that_gets_low_is_told_early_and_then_seldom(tmp_path, monkeypatch):
    free = 10**9
    original = os.fstatvfs

    def fake(descriptor):
        found = original(descriptor)
        return os.statvfs_result((4096, 4096, *found[2:4], free // 4096, *found[5:]))

    monkeypatch.setattr(os, "fstatvfs", fake)
    session = Session(tmp_path / "a.wav")
    minute = 60 * 2 * RATE
    told_at = []
    for second in range(0, 20 * 60, 10):
        free = minute * 20 - second * 2 * RATE
        before = len(session.told(DiskLow))
        session.write(numbered(second * RATE, 10 * RATE))
        if len(session.told(DiskLow)) > before:
            told_at.append(20 - second / 60)
    session.sink.stop()
    told = session.told(DiskLow)
    assert 4 <= len(told) <= 9
    assert told_at[0] == pytest.approx(10, abs=0.4)
    for event in told:
        assert event.path == tmp_path / "a.wav"
        assert event.minutes == pytest.approx(event.free_bytes / minute, rel=0.05)


def test_a_disk_that_is_low_at_the_start_is_told_at_once(tmp_path, monkeypatch):
    original = os.fstatvfs
    monkeypatch.setattr(
        os,
        "fstatvfs",
        lambda file: os.statvfs_result(
            (4096, 4096, *original(file)[2:4], 10, *original(file)[5:])
        ),
    )
    session = Session(tmp_path / "a.wav")
    (told,) = session.told(DiskLow)
    assert told.free_bytes == 40_960
    assert told.minutes == pytest.approx(40_960 / (2 * RATE) / 60)
    session.sink.stop()


# ---- starts that fail ----


@pytest.mark.parametrize("atomic", [False, True])
def test_a_start_that_is_taken_back_leaves_no_file(tmp_path, atomic):
    session = Session(tmp_path / "a.wav", atomic=atomic)
    session.sink.discard()
    assert names(tmp_path) == []
    session.sink.stop()


def test_an_empty_recording_is_a_file(tmp_path):
    session = Session(tmp_path / "a.wav")
    session.sink.stop()
    assert soundfile.info(tmp_path / "a.wav").frames == 0


def test_atomic_files_appear_when_they_are_complete(tmp_path):
    session = Session(tmp_path / "a.wav", atomic=True, rotate=10)
    session.write(*(numbered(frame, 100) for frame in range(0, 5000, 100)))
    assert names(tmp_path) == ["a-0001.wav.part"]
    session.write(*(numbered(frame, 100) for frame in range(5000, 11_000, 100)))
    assert names(tmp_path) == ["a-0001.wav", "a-0002.wav.part"]
    session.sink.stop()
    assert names(tmp_path) == ["a-0001.wav", "a-0002.wav"]


# ---- settings that cannot work ----


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"overwrite": True, "unique": True}, "exclude"),
        ({"keep": 3}, "keep"),
        ({"keep": 0, "rotate": "1h"}, "keep"),
        ({"keep": "7 parsecs", "rotate": "1h"}, "keep"),
        ({"keep": "1 GB", "rotate": "1h"}, "keep"),
        ({"keep": "0s", "rotate": "1h"}, "keep"),
        ({"keep": 3, "rotate": "1h", "keep_earlier": True}, "ledger=True"),
        ({"keep_earlier": True, "ledger": True}, "keep"),
        ({"align": True}, "align"),
        ({"rotate": "soon"}, "rotate"),
        ({"mode": 0o1777}, "mode"),
        ({"rf64": "maybe"}, "rf64"),
        ({"fsync": 0}, "fsync"),
        ({"bext": {"author": "x"}}, "author"),
        ({"format": "XYZ"}, "format"),
        ({"fallback": "{strat}/b.wav"}, "field"),
        ({"fallback": "b.flac"}, "fallback"),
        ({"fallback": "missing"}, "fallback"),
        ({"gaps": "noise"}, "gaps"),
    ],
)
def test_what_cannot_work_is_refused_where_it_is_said(settings, words):
    with pytest.raises(ConfigError, match=words):
        FileSink("a.wav", **settings)


def test_a_setting_that_a_container_does_not_have_is_refused():
    with pytest.raises(TypeError, match="quality"):
        FileSink("a.wav", quality=3)
