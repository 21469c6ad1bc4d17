"""An ALSA device as fast as the callback returns: overload through the real PortAudio."""

from stream_audio import (
    AudioSource,
    ChannelSink,
    FormatPreset,
    GapCause,
    StreamAudio,
    StreamConfig,
)


def test_overload_is_counted_to_the_frame(alsa_null: str) -> None:
    channel = ChannelSink()
    builder = (
        StreamAudio.builder()
        .add_source("flatout", AudioSource.device(alsa_null, sample_rate=48_000, channels=2))
        .format(FormatPreset.NATIVE)
        .add_sink(channel)
        .config(StreamConfig(ring_duration=0.5))
    )
    with builder.start() as session:
        session.wait(1)
    report = session.report()
    source = report.sources["flatout"]
    assert report.balanced, report
    assert source.captured > 48_000  # faster than real time
    assert source.captured + source.lost == source.position
    assert all(gap.cause == GapCause.RING_FULL for gap in source.gaps)
    chunks = list(channel)
    end = chunks[0].frame - sum(gap.frames for gap in chunks[0].gaps)
    for chunk in chunks:
        for gap in chunk.gaps:
            assert gap.frame == end
            end = gap.end
        assert chunk.frame == end
        end = chunk.end
