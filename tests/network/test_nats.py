"""A NatsSink feeds a stream, and readers elsewhere have each frame once."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

import nats
from stream_audio import (
    AudioSource,
    ConfigError,
    ConfigTypeError,
    FileSink,
    FormatPreset,
    GapCause,
    NatsSink,
    Retry,
    SessionStateError,
    SinkDisconnected,
    SinkError,
    SinkReconnected,
    StreamAudio,
    StreamConfig,
)
from stream_audio.nats import Reader
from support.nats import Nats
from support.processes import require_program, wait_until

RATE = 48_000
CHUNK = 4800
GIVE_UP = 60.0
SECRET = "hunter2-hunter2"


@pytest.fixture(scope="module")
def server():
    with Nats() as running:
        running.create()
        yield running


def building(sink, *, frames=20 * CHUNK, pace="freewheel", events=None, sources=1, **settings):
    settings = {"raise_on_sink_failure": False} | settings
    made = StreamAudio.builder().config(StreamConfig(**settings)).format(FormatPreset.NATIVE)
    if events is not None:
        made.on_event(events.append)
    for number in range(sources):
        source = AudioSource.virtual("counter", frames=frames, channels=1, pace=pace)
        made.add_source(f"mic {number}", source)
    return made.add_sink(sink, name="uplink")


def record(sink, **settings):
    session = building(sink, **settings).start()
    assert session.wait(GIVE_UP)
    report = session.stop()
    assert report.balanced, report
    return report.sinks["uplink"]


def numbers_in(chunks):
    """The frame numbers that the samples of float32 chunks tell."""
    return np.rint(np.concatenate([chunk.data[:, 0] for chunk in chunks]) * 2**23)


def test_a_reader_yields_the_chunks_that_were_sent(server):
    sink = NatsSink(server.url, session="talk", encode="float32")
    report = record(sink, sources=2)
    assert (report.delivered, report.sent, report.error) == (40 * CHUNK, 0, "")
    with Reader(server.url, session="talk") as reader:
        chunks = list(reader)
    for source in ("mic 0", "mic 1"):
        own = [chunk for chunk in chunks if chunk.source == source]
        assert [chunk.frame for chunk in own] == list(range(0, 20 * CHUNK, CHUNK))
        np.testing.assert_array_equal(numbers_in(own), np.arange(20 * CHUNK))
        assert all(chunk.gaps == () for chunk in own)
        assert all(abs(chunk.wall_time - time.time()) < GIVE_UP for chunk in own)
        assert own[1].timestamp - own[0].timestamp == pytest.approx(0.1)
    assert reader.frames == {("talk", "mic 0"): 20 * CHUNK, ("talk", "mic 1"): 20 * CHUNK}


def test_a_reader_of_one_source_gets_no_other(server):
    record(NatsSink(server.url, session="one"), sources=2)
    with Reader(server.url, session="one", source="mic 1") as reader:
        assert {chunk.source for chunk in reader} == {"mic 1"}


def test_several_readers_each_get_all_while_it_is_recorded(server):
    sink = NatsSink(server.url, session="live", encode="float32")
    session = building(sink, frames=None, pace="real_time").start()
    readers = [Reader(server.url, session="live") for _ in range(3)]
    found = [[] for _ in readers]

    def read(reader, chunks):
        chunks += reader

    threads = [
        threading.Thread(target=read, args=each) for each in zip(readers, found, strict=True)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: all(len(chunks) > 3 for chunks in found), "they read as it is recorded")
    delivered = session.stop().sinks["uplink"].delivered
    for thread, reader in zip(threads, readers, strict=True):
        thread.join(GIVE_UP)
        reader.close()
    for chunks in found:
        np.testing.assert_array_equal(numbers_in(chunks), np.arange(delivered))


def test_it_goes_on_from_a_frame_a_time_or_where_it_was(server):
    record(NatsSink(server.url, session="again", encode="float32"))
    with Reader(server.url, session="again", start=7 * CHUNK + 100) as reader:
        rest = numbers_in(list(reader))
    np.testing.assert_array_equal(rest, np.arange(7 * CHUNK + 100, 20 * CHUNK))
    with Reader(server.url, session="again") as reader:
        early = [reader.get(GIVE_UP) for _ in range(5)]
        position, frames = reader.position, reader.frames
    with Reader(server.url, session="again", after=position, start=frames) as reader:
        late = list(reader)
    np.testing.assert_array_equal(numbers_in(early + late), np.arange(20 * CHUNK))
    assert late[0].frame == 5 * CHUNK


def test_it_begins_at_a_time(server):
    sink = NatsSink(server.url, session="since", encode="float32")
    session = building(sink, frames=None, pace="real_time").start()
    wait_until(lambda: session.stats().sinks["uplink"].delivered > 5 * CHUNK, "it runs")
    since = time.time()
    time.sleep(0.3)
    session.stop()
    with Reader(server.url, session="since", since=since) as reader:
        chunks = list(reader)
    assert chunks[0].wall_time == pytest.approx(since, abs=2 / RATE)
    assert chunks[0].frame > 3 * CHUNK
    assert all(a.end == b.frame for a, b in pairwise(chunks))


def test_it_feeds_any_sink(server, tmp_path):
    record(NatsSink(server.url, session="feed", encode="float32"))
    feed = AudioSource.feed(RATE, channels=1, when_full="block")
    made = StreamAudio.builder().format(FormatPreset.NATIVE).add_source("far", feed)
    made.add_sink(FileSink(tmp_path / "far.wav", subtype="FLOAT"))
    with made.start() as session, Reader(server.url, session="feed") as reader:
        for chunk in reader:
            feed.write(chunk.data, chunk.time)
        feed.close()
        assert session.wait(GIVE_UP)
    samples, rate = soundfile.read(tmp_path / "far.wav")
    assert rate == RATE
    np.testing.assert_array_equal(np.rint(samples * 2**23), np.arange(20 * CHUNK))


# ---- servers that are killed ----


@pytest.mark.parametrize("times", [3, pytest.param(10, marks=pytest.mark.long)])
@pytest.mark.parametrize("window", [120.0, pytest.param(0.1, marks=pytest.mark.long)])
def test_a_server_that_is_killed_and_restarted_costs_no_frame_and_doubles_none(times, window):
    """``window``: for so long the broker itself knows what it had before."""
    events, chunks = [], []
    with Nats() as server:
        server.create(duplicate_window=window)
        sink = NatsSink(
            server.url,
            session="killed",
            encode="float32",
            retry=Retry(None, first=0.05, longest=0.2),
        )
        settings = {"chunk_duration": 0.02, "stop_timeout": 30.0}
        session = building(sink, frames=None, pace="real_time", events=events, **settings).start()
        with Reader(server.url, session="killed") as reader:

            def read():
                chunks.extend(reader)

            reading = threading.Thread(target=read)
            reading.start()
            for _ in range(times):
                mark = sum(chunk.frames for chunk in tuple(chunks))
                wait_until(
                    lambda mark=mark: sum(c.frames for c in tuple(chunks)) > mark + RATE // 5,
                    "frames arrive at the reader",
                )
                server.kill()
                time.sleep(0.2)
                server.restart()
            wait_until(lambda: chunks[-1].frame > mark + RATE // 2, "it goes on", seconds=30)
            report = session.stop()
            reading.join(GIVE_UP)
            assert not reading.is_alive()
    assert report.balanced, report
    uplink = report.sinks["uplink"]
    assert (uplink.delivered, uplink.error, uplink.gaps) == (uplink.offered, "", ())
    np.testing.assert_array_equal(numbers_in(chunks), np.arange(uplink.delivered))
    assert all(chunk.gaps == () for chunk in chunks)
    lost = [event for event in events if isinstance(event, SinkDisconnected)]
    found = [event for event in events if isinstance(event, SinkReconnected)]
    assert len(lost) == len(found) == times


HALF_OPEN = """
import subprocess, sys, time
from tests_of_it import *

events = []
with Nats() as server:
    server.create()
    drop = ["iptables", "-I", "INPUT", "-p", "tcp", "--dport", str(server.port), "-j", "DROP"]
    sink = NatsSink(server.url, session="half", encode="float32")
    session = building(sink, frames=None, pace="real_time", events=events).start()
    wait_until(lambda: session.stats().sinks["uplink"].delivered, "it runs")
    subprocess.run(drop, check=True)
    wait_until(lambda: any(isinstance(e, SinkDisconnected) for e in events), "", seconds=60)
    drop[1] = "-D"
    subprocess.run(drop, check=True)
    wait_until(lambda: any(isinstance(e, SinkReconnected) for e in events), "", seconds=60)
    report = session.stop()
    uplink = report.sinks["uplink"]
    assert report.balanced and (uplink.dropped, uplink.error) == (0, ""), report
    with Reader(server.url) as reader:
        np.testing.assert_array_equal(numbers_in(list(reader)), np.arange(uplink.delivered))
"""


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a network of its own")
def test_a_connection_on_which_nothing_arrives_any_more_is_given_up_and_made_again(tmp_path):
    require_program("iptables", "iptables")
    (tmp_path / "tests_of_it.py").write_text(Path(__file__).read_text())
    command = ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$0" -c "$1"', sys.executable]
    done = subprocess.run(
        [*command, HALF_OPEN],
        capture_output=True,
        text=True,
        timeout=180,
        env=os.environ | {"PYTHONPATH": f"{Path(__file__).parents[1]}:{tmp_path}"},
    )
    assert done.returncode == 0, done.stderr


def test_without_a_server_it_waits_and_then_all_arrives():
    with Nats() as server:
        server.create()
        server.kill()
        sink = NatsSink(
            server.url, session="late", encode="float32", retry=Retry(None, first=0.05)
        )
        session = building(sink, frames=None, pace="real_time").start()
        wait_until(lambda: session.stats().sinks["uplink"].retries > 2, "it tries")
        assert session.stats().sinks["uplink"].delivered == 0
        server.restart()
        wait_until(lambda: session.stats().sinks["uplink"].delivered, "it arrives")
        uplink = session.stop().sinks["uplink"]
        assert (uplink.dropped, uplink.error) == (0, "")
        with Reader(server.url) as reader:
            np.testing.assert_array_equal(numbers_in(list(reader)), np.arange(uplink.delivered))


# ---- what stands in the stream ----


def stored(url, subject):
    async def read():
        client = await nats.connect(url)
        stream = client.jetstream()
        consumer = await stream.subscribe(subject, ordered_consumer=True)
        found = []
        while True:
            try:
                found.append(await consumer.next_msg(timeout=0.5))
            except nats.errors.TimeoutError:
                break
        await client.close()
        return found

    return asyncio.run(read())


def test_a_message_says_what_it_holds(server):
    record(NatsSink(server.url, session="said", encode="pcm16"), frames=CHUNK)
    message, end = stored(server.url, "audio.said.>")
    assert message.subject == "audio.said.mic%200"
    assert len(message.data) == CHUNK * 2
    headers = message.headers
    assert headers["Nats-Msg-Id"] == "said.mic%200.0-4800"
    expected = {
        "Schema": "1", "Session": "said", "Source": "mic%200", "Frame": "0", "Frames": "4800",
        "Rate": "48000", "Channels": "1", "Format": "pcm16",
    }  # fmt: skip
    assert {name: headers[f"Stream-Audio-{name}"] for name in expected} == expected
    assert float(headers["Stream-Audio-Wall-Time"]) == pytest.approx(time.time(), abs=GIVE_UP)
    assert "Stream-Audio-Gaps" not in headers
    assert end.headers["Stream-Audio-End"] == "4800"


def test_chunks_are_cut_below_what_a_message_may_have():
    with Nats("max_payload: 32768") as server:
        server.create()
        sink = NatsSink(server.url, session="cut", encode="float32")
        report = record(sink, frames=RATE, chunk_duration=0.5)
        assert (report.delivered, report.error) == (RATE, "")
        with Reader(server.url, session="cut") as reader:
            chunks = list(reader)
    assert len(chunks) > 5
    np.testing.assert_array_equal(numbers_in(chunks), np.arange(RATE))


def test_what_the_stream_has_thrown_away_is_a_gap(server):
    sink = NatsSink(server.url, session="hole", encode="float32")
    record(sink)

    async def delete(*numbers):
        client = await nats.connect(server.url)
        for message in found:
            if message.metadata.num_delivered and message.metadata.sequence.stream in numbers:
                await client.jetstream().delete_msg("AUDIO", message.metadata.sequence.stream)
        await client.close()

    found = stored(server.url, "audio.hole.>")
    asyncio.run(delete(*(found[i].metadata.sequence.stream for i in (5, 6))))
    with Reader(server.url, session="hole", patience=0.0) as reader:
        chunks = list(reader)
    (after,) = [chunk for chunk in chunks if chunk.gaps]
    (gap,) = after.gaps
    assert (gap.frame, gap.frames, gap.cause) == (5 * CHUNK, 2 * CHUNK, GapCause.NOT_RECEIVED)
    assert sum(chunk.frames for chunk in chunks) == 18 * CHUNK


def test_a_message_of_somebody_else_is_an_error(server):
    async def publish():
        client = await nats.connect(server.url)
        await client.jetstream().publish("audio.alien.mic", b"hello")
        await client.close()

    asyncio.run(publish())
    with (
        Reader(server.url, session="alien") as reader,
        pytest.raises(ConfigError, match="NatsSink did not write it"),
    ):
        reader.get(GIVE_UP)


# ---- what can go wrong ----


def test_without_a_stream_it_says_so():
    with Nats() as server:
        report = record(NatsSink(server.url))
        with Reader(server.url) as reader, pytest.raises(SinkError, match="no stream of"):
            reader.get(GIVE_UP)
    assert "no stream of nats://127.0.0.1" in report.error
    assert "nats stream add AUDIO" in report.error


def test_where_nobody_listens_the_tries_end_with_a_clear_error():
    with Nats() as server:
        url = server.url
    report = record(NatsSink(url, retry=Retry(1, first=0.001)))
    assert report.error == f"cannot connect to {url} (the host says: Connection refused)"


def test_wrong_credentials_are_a_clear_error_without_them(caplog):
    caplog.set_level("DEBUG")
    with Nats("authorization { user: me, password: right }") as server:
        url = server.url.replace("//", f"//me:{SECRET}@")
        events = []
        sinks = [NatsSink(url), NatsSink(server.url, user="me", password=SECRET)]
        sinks.append(NatsSink(server.url, token=SECRET))
        for sink in sinks:
            report = record(sink, events=events)
            assert "refuses the connection" in report.error
            for text in (repr(sink), str(report), repr(report), repr(events), caplog.text):
                assert SECRET not in text
        server.create(server.url.replace("//", "//me:right@"))
        report = record(NatsSink(server.url, user="me", password="right"))
        assert (report.delivered, report.error) == (20 * CHUNK, "")


def test_a_server_is_verified(tmp_path):
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        f" -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout {tmp_path}/key.pem"
        f" -out {tmp_path}/public.pem"
    )
    require_program("openssl", "openssl")
    subprocess.run(command.split(), check=True, capture_output=True)
    settings = f'tls {{ cert_file: "{tmp_path}/public.pem", key_file: "{tmp_path}/key.pem" }}'
    with Nats(settings) as server:
        report = record(NatsSink(server.url.replace("nats:", "tls:")))
    assert "the certificate of tls://127.0.0.1" in report.error
    assert "self-signed certificate" in report.error


def test_a_stream_that_takes_no_message_of_that_size_ends_the_sink():
    with Nats() as server:
        server.create(max_msg_size=100)
        report = record(NatsSink(server.url))
    assert "message size exceeds maximum allowed" in report.error


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"servers": "http://host"}, "url must be tls://host or nats://host"),
        ({"servers": []}, "servers must not be empty"),
        ({"servers": "nats://me:secret@example.com"}, "would be sent in plain text"),
        ({"servers": "nats://example.com", "token": "secret"}, "would be sent in plain text"),
        ({"servers": ["tls://a", "nats://b"], "token": "secret"}, "would be sent in plain text"),
        ({"subject": "a.*"}, "subject must be words"),
        ({"subject": "a..b"}, "subject must be words"),
        ({"session": ""}, "session must not be empty"),
        ({"token": 7}, "token must be a string"),
        ({"tls": 1}, "tls must be an ssl.SSLContext"),
    ],
)
@pytest.mark.parametrize("kind", [NatsSink, Reader])
def test_what_cannot_work_is_an_error_at_once(kind, settings, words):
    with pytest.raises((ConfigError, ConfigTypeError)) as raised:
        kind(**settings)
    assert words in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_format_that_holds_no_such_audio_is_an_error_at_the_start():
    source = AudioSource.virtual("sine", sample_rate=44_100, frames=CHUNK, pace="freewheel")
    made = StreamAudio.builder().format(FormatPreset.NATIVE).add_source("mic", source)
    with pytest.raises(ConfigError, match="OPUS cannot hold 2 channels at 44100 Hz"):
        made.add_sink(NatsSink(encode="opus")).start()


def test_two_recordings_without_a_name_have_two():
    assert NatsSink().session != NatsSink().session


def test_a_reader_that_is_closed_says_so_and_nothing_waits_for_it(server):
    reader = Reader(server.url, session="nobody")
    with pytest.raises(TimeoutError, match=r"no chunk within 0.01 s"):
        reader.get(timeout=0.01)
    reader.close()
    with pytest.raises(SessionStateError, match="the reader is closed"):
        reader.get()
    names = [thread.name for thread in threading.enumerate()]
    assert not any(
        name.startswith(("stream-audio-reader", "stream-audio-network")) for name in names
    )
