"""What a report says to those who read it."""

from stream_audio import Gap, GapCause, SessionReport, SinkReport, SourceReport

RATE = 48_000


def gaps(count: int) -> tuple[Gap, ...]:
    return tuple(
        Gap("mic", RATE * index, 10 + index, GapCause.RING_FULL, 1000.0 + index)
        for index in range(count)
    )


def report(missing: int = 0, *, dropped: int = 0, error: str = "", problems=()) -> SessionReport:
    lost, not_delivered = gaps(missing), gaps(dropped)
    source = SourceReport(
        captured=RATE * 9,
        lost=sum(gap.frames for gap in lost),
        paused=0,
        synthetic=0,
        position=RATE * 9 + sum(gap.frames for gap in lost),
        sample_rate=RATE,
        channels=2,
        gaps=lost,
        overflows=0,
        ring_highest=480,
        longest_callback=0.0,
        error=error,
    )
    frames = sum(gap.frames for gap in not_delivered)
    sink = SinkReport(RATE * 9, RATE * 9 - frames, frames, 0, 0, not_delivered, "")
    return SessionReport({"mic": source}, {"a.wav": sink}, tuple(problems), False, {}, ())


def test_its_repr_is_one_short_line_whatever_is_missing():
    assert repr(report()) == "<SessionReport complete: 1 source, 1 sink>"
    many = report(10_000, dropped=5000, error="it is\ngone", problems=["a", "b"])
    assert repr(many) == (
        "<SessionReport incomplete: 1 source, 1 sink, 50095000 frames lost, "
        "12547500 frames dropped, 1 failed, does not balance>"
    )
    for part in (many, many.sources["mic"], many.sinks["a.wav"]):
        assert len(repr(part)) < 150
        assert "\n" not in repr(part)


def test_few_gaps_are_shown_each():
    text = str(report(11))
    assert text.count("  gap at ") == 11
    assert "more gaps" not in text
    assert "  gap at 3.000 s: 13 frames (ring_full)" in text


def test_of_many_gaps_the_first_and_the_last_are_shown_and_the_rest_counted():
    lines = str(report(10_000)).splitlines()
    shown = [line for line in lines if line.startswith("  gap at ")]
    assert len(shown) == 10
    assert shown[0] == "  gap at 0.000 s: 10 frames (ring_full)"
    assert shown[-1] == "  gap at 9999.000 s: 10009 frames (ring_full)"
    rest = sum(gap.frames for gap in gaps(10_000)[5:-5])
    (counted,) = (line for line in lines if "more gaps" in line)
    assert counted == f"  … 9990 more gaps: {rest} frames …"
    assert lines.index(counted) == lines.index(shown[4]) + 1
    assert len(lines) < 20


def test_what_a_sink_lost_is_shown_in_its_own_frames():
    assert "  gap at frame 48000: 11 frames (ring_full)" in str(report(dropped=2))


def test_a_source_that_ended_early_tells_why():
    assert "  ended early: the microphone is gone" in str(report(error="the microphone is gone"))
