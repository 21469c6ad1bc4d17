"""A channel that nobody reads: told once as it begins to lose, and once when that is over."""

from contextlib import suppress

from stream_audio import (
    AudioSource,
    Backlog,
    ChannelSink,
    FormatPreset,
    GapDetected,
    StreamAudio,
    StreamConfig,
    StreamEvent,
)
from stream_audio.testing import VirtualClock

RATE = 48_000
SECOND = RATE * 2 * 4  # bytes


class Session:
    """A channel with room for a second, on a virtual clock that the test moves."""

    def __init__(self) -> None:
        self.events: list[StreamEvent] = []
        self.clock = VirtualClock(auto=False)
        self.channel = ChannelSink(backlog=Backlog(SECOND))
        self.builder = StreamAudio.builder().add_source("mic", AudioSource.virtual("counter"))
        self.builder.add_sink(self.channel, name="ears").format(FormatPreset.NATIVE)
        self.builder.on_event(self.events.append).config(StreamConfig(clock=self.clock))

    def read_all(self) -> None:
        with suppress(TimeoutError):
            while True:
                self.channel.get(timeout=0)

    @property
    def losses(self) -> list[GapDetected]:
        return [event for event in self.events if isinstance(event, GapDetected)]


def test_a_minute_of_losses_is_two_events_with_every_frame():
    one = Session()
    with one.builder.start() as session:
        one.clock.advance(60)
    first, rest = one.losses
    report = session.report().sinks["ears"]
    assert (first.sink, first.count) == ("ears", 1)
    assert first.frames + rest.frames == report.dropped > 58 * RATE
    assert rest.time - first.time > 55


def test_once_it_is_read_again_the_end_is_told_and_the_next_loss_is_another_beginning():
    one = Session()
    with one.builder.start():
        one.clock.advance(3)
        one.read_all()
        for _ in range(8):  # read in time
            one.clock.advance(0.5)
            one.read_all()
        one.clock.advance(3)
    first, rest, again, rest_again = one.losses
    assert rest.gap.frame == first.gap.end
    assert rest.time < again.time < rest_again.time
    assert again.gap.frame > rest.gap.end


def test_a_reader_that_is_half_as_fast_as_the_source_is_not_told_all_the_time():
    one = Session()
    with one.builder.start():
        for _ in range(100):
            one.clock.advance(0.2)
            one.channel.get(timeout=0)
    assert len(one.losses) == 2
