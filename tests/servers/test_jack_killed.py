"""A JACK server that dies takes nothing else with it."""

import time

from stream_audio import AudioSource, ChannelSink, Session, SourceLost, StreamAudio, StreamEvent
from support import servers


def start(channel: ChannelSink, events: list[StreamEvent]) -> Session:
    builder = StreamAudio.builder().add_source(
        "counter", AudioSource.device("counter", on_lost="stop")
    )
    return builder.add_sink(channel).on_event(events.append).start()


def test_a_new_session_records_within_ten_seconds_of_a_restart(jack: servers.Jack) -> None:
    for _ in range(3):
        with servers.JackCounter():
            channel = ChannelSink()
            events: list[StreamEvent] = []
            session = start(channel, events)
            assert channel.get(timeout=10) is not None
            jack.kill()
            # The dead server is noticed, and the session ends by itself with all it has.
            assert session.wait(10)
            report = session.stop()
            assert report.balanced, report
            assert report.sources["counter"].error
            assert sum(chunk.frames for chunk in channel) > 0
            assert [event.source for event in events if isinstance(event, SourceLost)]
        jack.restart()
        with servers.JackCounter():
            asked = time.monotonic()
            channel = ChannelSink()
            with start(channel, []) as session:
                assert channel.get(timeout=10) is not None
                assert time.monotonic() - asked < 10
            assert session.report().balanced


def test_stop_right_after_the_death_does_not_hang(jack: servers.Jack) -> None:
    with servers.JackCounter():
        channel = ChannelSink()
        session = start(channel, [])
        assert channel.get(timeout=10) is not None
        jack.kill()
        report = session.stop()
    assert report.balanced, report
    jack.restart()
