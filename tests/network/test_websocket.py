"""A WebSocketSink sends as it captures, and what may be lost on the way comes again."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from stream_audio import (
    AudioSource,
    Backlog,
    ConfigError,
    ConfigTypeError,
    FormatPreset,
    GapCause,
    Retry,
    SinkDisconnected,
    SinkReconnected,
    StreamAudio,
    StreamConfig,
    WebSocketSink,
)
from stream_audio.network import websocket_errors, websocket_link
from stream_audio.network.replies import Replies
from stream_audio.testing import VirtualClock
from support.frames_server import ThreadServer, encode, span
from support.processes import require_program, wait_until

RATE = 48_000
CHUNK = 4800
GIVE_UP = 60.0
TESTS = Path(__file__).resolve().parents[1]


def building(sink, *, frames=20 * CHUNK, pace="freewheel", events=None, name="uplink", **settings):
    settings = {"raise_on_sink_failure": False} | settings
    backlog, on_failure = settings.pop("backlog", None), settings.pop("on_failure", "detach")
    source = AudioSource.virtual("counter", frames=frames, channels=1, pace=pace)
    made = StreamAudio.builder().config(StreamConfig(**settings)).format(FormatPreset.NATIVE)
    if events is not None:
        made.on_event(events.append)
    made.add_sink(sink, name=name, backlog=backlog, on_failure=on_failure)
    return made.add_source("mic", source)


def ended(session):
    assert session.wait(GIVE_UP)
    report = session.stop()
    assert report.balanced, report
    return report.sinks["uplink"]


def record(sink, **settings):
    return ended(building(sink, **settings).start())


def of_type(events, kind):
    return [event for event in events if isinstance(event, kind)]


class Frames:
    """Notes spans of each connection; confirms if it is told to."""

    def __init__(self, *, confirms=False, breaks_after=()):
        self.spans = []
        self.confirms = confirms
        self.breaks_after = list(breaks_after)

    async def __call__(self, connection):
        own = []
        self.spans.append(own)
        breaks_after = self.breaks_after.pop(0) if self.breaks_after else 10**9
        async for message in connection:
            own.append(span(message))
            if len(own) > breaks_after:
                connection.transport.abort()
                return
            if self.confirms:
                await connection.send(str(own[-1][1]))

    @property
    def all(self):
        return [each for own in self.spans for each in own]


def test_each_chunk_is_a_message_and_what_is_confirmed_is_delivered():
    frames = Frames(confirms=True)
    with ThreadServer(frames) as server:
        report = record(WebSocketSink(server.url, encode=encode, confirm=int))
    assert frames.spans == [[(frame, frame + CHUNK) for frame in range(0, 20 * CHUNK, CHUNK)]]
    assert (report.delivered, report.sent, report.error) == (20 * CHUNK, 0, "")


@pytest.mark.parametrize(("kind", "size"), [("pcm16", 2), ("float32", 4)])
def test_plain_samples_with_silence_for_what_is_missing(kind, size):
    got = bytearray()

    async def handle(connection):
        async for message in connection:
            got.extend(message)

    with ThreadServer(handle) as server:
        session = building(WebSocketSink(server.url, encode=kind), frames=None, pace="real_time")
        session = session.start()
        wait_until(lambda: len(got) > 2 * CHUNK * size, "something came")
        report = session.stop()
    assert report.sinks["uplink"].sent * size == len(got)


def test_an_unconfirmed_end_of_a_connection_comes_again_and_an_event_says_so():
    frames, events = Frames(breaks_after=[5, 3]), []
    with ThreadServer(frames) as server:
        sink = WebSocketSink(server.url, encode=encode, replay=0.5, retry=Retry(None, first=0.01))
        session = building(sink, frames=None, pace="real_time", events=events).start()
        wait_until(lambda: len(frames.spans) == 3 and len(frames.spans[2]) > 8, "it went on")
        session.stop()
    lost, found = of_type(events, SinkDisconnected), of_type(events, SinkReconnected)
    assert len(lost) == len(found) == 2
    assert all("the connection to ws://127.0.0.1" in str(event.error) for event in lost)
    for before, after, event in zip(frames.spans, frames.spans[1:], found, strict=False):
        assert all(a[1] == b[0] for a, b in pairwise(after))  # without a hole
        assert after[0][0] <= before[-1][1]  # nor one between the two
        assert event.replayed >= 5 * CHUNK
        assert event.sink == "uplink"
        assert 0 <= event.seconds < GIVE_UP


def test_what_is_confirmed_is_not_sent_again_and_the_rest_once_more_in_order():
    frames, events, confirmed = Frames(confirms=True, breaks_after=[7, 4]), [], [0]

    def confirm(message):
        confirmed.append(int(message))
        return confirmed[-1]

    with ThreadServer(frames) as server:
        sink = WebSocketSink(
            server.url, encode=encode, confirm=confirm, retry=Retry(None, first=0.05)
        )
        report = record(sink, frames=40 * CHUNK, events=events)
    assert (report.delivered, report.error) == (40 * CHUNK, "")
    assert len(frames.spans) == 3
    first = [own[0][0] for own in frames.spans]
    assert first == [0, 7 * CHUNK, 11 * CHUNK]  # what came with the break was not confirmed
    for own in frames.spans:
        assert all(a[1] == b[0] for a, b in pairwise(own))
    assert frames.spans[2][-1][1] == 40 * CHUNK
    assert all(event.replayed >= CHUNK for event in of_type(events, SinkReconnected))
    assert len(of_type(events, SinkReconnected)) == 2


def test_a_connection_that_breaks_at_the_very_end_is_made_again_for_what_it_lost():
    """Nothing is written any more that could notice it."""
    frames = Frames(confirms=True, breaks_after=[19])
    with ThreadServer(frames) as server:
        report = record(WebSocketSink(server.url, encode=encode, confirm=int))
    assert (report.delivered, report.error) == (20 * CHUNK, "")
    assert frames.spans[1] == [(19 * CHUNK, 20 * CHUNK)]


def test_a_connection_that_breaks_just_before_the_end_is_made_again_for_the_last_seconds():
    """Nobody confirms anything; the server has the end, and the last message, all the same."""
    broke, heard, spans = threading.Event(), [], []

    async def handle(connection):
        async for message in connection:
            if isinstance(message, str):
                heard.append(message)
                return
            spans.append(span(message))
            if spans[-1][1] == 20 * CHUNK and not broke.is_set():
                broke.set()
                connection.transport.abort()
                return

    with ThreadServer(handle) as server:
        sink = WebSocketSink(server.url, encode=encode, replay=0.5, finish="finish")
        plain = sink.stop
        sink.stop = lambda: (
            broke.wait(GIVE_UP),
            wait_until(lambda: not sink.is_up(), ""),
            plain(),
        )
        report = record(sink)
    assert (report.sent, report.error) == (20 * CHUNK, "")
    assert heard == ["finish"]
    assert spans[20:] == spans[15:20]


def test_a_server_that_closes_each_connection_soon_is_not_stormed():
    frames = Frames(breaks_after=[0] * 1000)
    with ThreadServer(frames) as server:
        sink = WebSocketSink(server.url, encode=encode, retry=Retry(None, first=0.2, longest=5.0))
        session = building(sink, frames=None, pace="real_time", chunk_duration=0.02).start()
        time.sleep(1.2)
        connections = len(frames.spans)
        session.stop(timeout=1.0)
    assert 2 <= connections <= 4  # at once, and after 0.2, 0.4 and 0.8 s


# ---- servers that are killed ----


class Process:
    """The server in a process of its own, on one port for good."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}"
        self.path = folder / "spans"
        self.process = None

    def start(self):
        command = [sys.executable, "-m", "support.frames_server", str(self.port), self.path]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, cwd=TESTS, env=os.environ | {"PYTHONPATH": str(TESTS)}
        )
        assert self.process.stdout.readline() == b"ready\n"

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def connections(self):
        found = []
        for line in self.path.read_text().splitlines():
            if line == "open":
                found.append([])
            else:
                found[-1].append(tuple(map(int, line.split())))
        return [spans for spans in found if spans]


@pytest.mark.parametrize("times", [3, pytest.param(10, marks=pytest.mark.long)])
def test_a_server_that_is_killed_and_restarted_has_each_frame_and_confirmed_ones_once(
    tmp_path, times
):
    server, confirmed, marks = Process(tmp_path), [0], [0]

    def confirm(message):
        confirmed.append(int(message))
        return confirmed[-1]

    sink = WebSocketSink(server.url, encode=encode, confirm=confirm)
    server.start()
    session = building(sink, frames=None, pace="real_time", chunk_duration=0.02).start()
    try:
        for _ in range(times):
            wait_until(lambda: confirmed[-1] > marks[-1] + RATE // 4, "it confirms")
            server.kill()
            time.sleep(0.3)
            marks.append(confirmed[-1])
            server.start()
        wait_until(lambda: confirmed[-1] > marks[-1] + RATE // 4, "it confirms")
        report = session.stop()
    finally:
        server.kill()
    assert report.balanced, report
    uplink = report.sinks["uplink"]
    assert (uplink.delivered, uplink.error, uplink.gaps) == (uplink.offered, "", ())
    connections = server.connections()
    assert len(connections) == times + 1
    for spans, mark in zip(connections, marks, strict=True):
        assert spans[0][0] == mark  # it goes on after the last frame that was confirmed
        assert all(a[1] == b[0] for a, b in pairwise(spans))
    for before, after in pairwise(connections):
        assert after[0][0] <= before[-1][1]  # what was on its way comes again, and no hole is left
    assert connections[-1][-1][1] == uplink.delivered


def test_ten_minutes_without_a_server_go_to_disk_and_arrive_in_order():
    frames, clock = Frames(), VirtualClock()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sink, events = WebSocketSink(f"ws://127.0.0.1:{port}", encode=encode), []
    source = AudioSource.virtual("counter", channels=1, sample_rate=8000)
    made = StreamAudio.builder().config(StreamConfig(clock=clock, chunk_duration=0.5))
    made.format(FormatPreset.NATIVE).on_event(events.append)
    made.add_sink(sink, name="uplink", backlog=Backlog("5 s", "spill"))
    session = made.add_source("mic", source).start()
    clock.sleep(600.0)
    stats = session.stats().sinks["uplink"]
    assert stats.pending > 590 * 8000
    assert stats.spilled_bytes > 500 * 8000 * 4
    assert stats.delivered == 0
    assert stats.retries > 100  # at the latest every 5 s
    with ThreadServer(frames, port=port):
        report = session.stop()
    assert report.balanced, report
    uplink = report.sinks["uplink"]
    assert (uplink.dropped, uplink.error) == (0, "")
    assert uplink.sent == frames.all[-1][1] >= 600 * 8000
    assert frames.all[0][0] == 0
    assert all(a[1] == b[0] for a, b in pairwise(frames.all))
    (lost,) = of_type(events, SinkDisconnected)
    assert "Connection refused" in str(lost.error)
    assert len(of_type(events, SinkReconnected)) == 1


# ---- slow ones, frozen ones ----


def test_a_server_at_a_tenth_of_real_time_gets_all_and_is_not_taken_for_dead():
    """96 kB/s captured, 10 kB/s read; pings wait behind audio for longer than the keep-alive."""
    got, slow = [], threading.Event()

    async def handle(connection):
        async for message in connection:
            got.append(span(message))
            if not slow.is_set():
                await asyncio.sleep(len(message) / 19_200)

    events = []
    with ThreadServer(handle, max_queue=1) as server:
        sink = WebSocketSink(server.url, encode=encode, keepalive=0.5)
        session = building(sink, frames=None, pace="real_time", events=events).start()
        time.sleep(4.0)
        slow.set()  # it catches up in the end
        report = session.stop()
    assert report.balanced, report
    uplink = report.sinks["uplink"]
    assert (uplink.dropped, uplink.error) == (0, "")
    assert got[0][0] == 0
    assert got[-1][1] == uplink.sent
    assert all(a[1] == b[0] for a, b in pairwise(got))
    assert of_type(events, SinkDisconnected) == []


def test_a_slow_server_holds_up_neither_the_session_nor_its_end():
    async def handle(connection):
        await connection.wait_closed()

    with ThreadServer(handle, max_queue=1) as server:
        sink = WebSocketSink(server.url, encode=lambda chunk: bytes(200_000))
        session = building(sink, frames=None, pace="real_time").start()
        wait_until(lambda: session.stats().sinks["uplink"].pending > 10 * CHUNK, "it is slow")
        began = time.monotonic()
        report = session.stop(timeout=0.5)
        assert time.monotonic() - began < 10
        assert report.balanced, report
        assert GapCause.STOP_TIMEOUT in {gap.cause for gap in report.sinks["uplink"].gaps}
        wait_until(lambda: not any_thread("stream-audio-network"), "its thread ends")


def any_thread(name):
    return any(thread.name.startswith(name) for thread in threading.enumerate())


HALF_OPEN = """
import subprocess, sys, time
from tests_of_it import *

frames, events = Frames(confirms=True), []
port = "7001"
drop = ["iptables", "-I", "INPUT", "-p", "tcp", "--dport", port, "-j", "DROP"]
with ThreadServer(frames, port=7001) as server:
    sink = WebSocketSink(server.url, encode=encode, confirm=int, keepalive=0.5)
    session = building(sink, frames=None, pace="real_time", events=events).start()
    wait_until(lambda: len(frames.all) > 5, "it runs")
    subprocess.run(drop, check=True)
    wait_until(lambda: of_type(events, SinkDisconnected), "it notices", seconds=60)
    drop[1] = "-D"
    subprocess.run(drop, check=True)
    wait_until(lambda: of_type(events, SinkReconnected), "it is back", seconds=60)
    time.sleep(0.5)
    report = session.stop()
assert report.balanced and report.sinks["uplink"].dropped == 0, report
ends = sorted(frames.all)
assert ends[0][0] == 0 and ends[-1][1] == report.sinks["uplink"].delivered
assert all(b[0] <= a[1] for a, b in zip(ends, ends[1:]))
print(events)
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
        timeout=120,
        env=os.environ | {"PYTHONPATH": f"{TESTS}:{tmp_path}"},
    )
    assert done.returncode == 0, done.stderr


# ---- what can go wrong ----


@contextmanager
def certificate(folder):
    """A certificate for 127.0.0.1 that nobody has signed but itself."""
    path = folder / "certificate.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        " -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    require_program("openssl", "openssl")
    subprocess.run(
        [*command.split(), "-keyout", path, "-out", folder / "public.pem"],
        check=True,
        capture_output=True,
    )
    with path.open("ab") as file:
        file.write((folder / "public.pem").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    yield context, folder / "public.pem"


def test_a_server_is_verified_and_an_authority_of_ones_own_can_be_named(tmp_path):
    frames = Frames()
    with certificate(tmp_path) as (context, public), ThreadServer(frames, ssl=context) as server:
        report = record(WebSocketSink(server.url, encode=encode))
        assert f"the certificate of {server.url} is not valid" in report.error
        assert "self-signed certificate" in report.error
        assert "cafile" in report.error
        assert report.delivered == 0
        mine = ssl.create_default_context(cafile=public)
        report = record(WebSocketSink(server.url, encode=encode, tls=mine))
    assert (report.sent, report.error) == (20 * CHUNK, "")


def test_encryption_that_a_server_does_not_speak_is_an_error():
    with socket.socket() as plain:
        plain.bind(("127.0.0.1", 0))
        plain.listen()

        def answer():
            connection, _ = plain.accept()
            with connection:
                connection.recv(1)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(65_536)

        threading.Thread(target=answer, daemon=True).start()
        report = record(WebSocketSink(f"wss://127.0.0.1:{plain.getsockname()[1]}"))
    assert "no encrypted connection to wss://127.0.0.1" in report.error
    assert "WRONG_VERSION_NUMBER" in report.error


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (401, "HTTP 401). Look at the credentials"),
        (403, "HTTP 403"),
        (404, "HTTP 404"),
        (307, "HTTP 307). It names another address"),
    ],
)
def test_a_server_that_refuses_is_a_clear_error_at_once(code, words):
    def refuse(connection, request):
        response = connection.respond(code, "no\n")
        response.headers["Location"] = "ws://127.0.0.1:9/"
        return response

    with ThreadServer(Frames(), process_request=refuse) as server:
        report = record(WebSocketSink(server.url))
    assert f"{server.url} refuses the connection" in report.error
    assert words in report.error


def test_a_server_that_is_overloaded_is_tried_again():
    answers = [503, 429]

    def process(connection, request):
        return connection.respond(answers.pop(0), "later\n") if answers else None

    with ThreadServer(Frames(), process_request=process) as server:
        report = record(WebSocketSink(server.url, encode=encode, retry=Retry(5, first=0.001)))
    assert (report.sent, report.error) == (20 * CHUNK, "")


def test_where_nobody_listens_the_tries_end_with_a_clear_error():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{free.getsockname()[1]}"
    report = record(WebSocketSink(url, retry=Retry(1, first=0.001)))
    assert report.error == f"cannot connect to {url} (the host says: Connection refused)"


def test_a_host_that_does_not_exist_is_a_clear_error():
    report = record(WebSocketSink("ws://no.such.host.invalid", retry=Retry(0)))
    assert "cannot connect to ws://no.such.host.invalid" in report.error


def test_a_handshake_that_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(websocket_errors, "HANDSHAKE", 0.2)
    monkeypatch.setattr(websocket_link, "HANDSHAKE", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        report = record(WebSocketSink(url, retry=Retry(0)))
    assert report.error == f"{url} did not answer within 0.2 s"


def test_a_handshake_may_take_ten_seconds():
    assert websocket_link.HANDSHAKE == 10.0


@pytest.mark.parametrize("confirms", [False, True])
def test_a_reply_over_a_mebibyte_ends_the_sink(confirms):
    async def handle(connection):
        async for _ in connection:
            await connection.send(bytes(2**20 + 1))

    confirm = (lambda message: None) if confirms else None
    with ThreadServer(handle) as server:
        sink = WebSocketSink(server.url, confirm=confirm, on_message=lambda message: None)
        report = ended(building(sink, frames=None, pace="real_time").start())
    assert "is over 1048576 bytes" in report.error


def test_a_message_that_the_server_does_not_take_ends_the_sink():
    with ThreadServer(Frames(), max_size=100) as server:
        report = ended(building(WebSocketSink(server.url), frames=None, pace="real_time").start())
    assert "takes no message of that size (the host says: 1009" in report.error


def test_a_thousand_replies_that_wait_end_the_sink():
    go_on, handled = threading.Event(), []

    def slow(message):
        handled.append(message)
        go_on.wait(GIVE_UP)

    async def handle(connection):
        async for _ in connection:
            for number in range(600):
                await connection.send(str(number))

    with ThreadServer(handle) as server:
        sink = WebSocketSink(server.url, on_message=slow)
        session = building(sink, frames=None, pace="real_time").start()
        wait_until(lambda: session.stats().sinks["uplink"].dropped, "it failed")
        go_on.set()
        report = ended(session)
    assert "1000 replies" in report.error
    assert handled[:3] == ["0", "1", "2"]


def test_a_confirmation_that_cannot_be_true_is_an_error():
    async def handle(connection):
        async for _ in connection:
            await connection.send(str(10**12))

    with ThreadServer(handle) as server:
        sink = WebSocketSink(server.url, confirm=int)
        report = ended(building(sink, frames=None, pace="real_time").start())
    assert "confirm raised" in report.error
    assert "were not written yet" in report.error


@pytest.mark.parametrize("which", ["encode", "on_open"])
def test_a_function_that_raises_fails_the_sink_and_says_which(which):
    def broken(chunk):
        raise ZeroDivisionError("on purpose")

    with ThreadServer(Frames()) as server:
        report = record(WebSocketSink(server.url, **{which: broken}))
    assert report.error == f"{which} raised (the host says: ZeroDivisionError: on purpose)"


def test_a_handler_that_raises_is_logged_and_goes_on(caplog):
    handled = []

    def handler(message):
        handled.append(message)
        raise ZeroDivisionError("on purpose")

    async def handle(connection):
        async for message in connection:
            if message == "finish":
                return
            await connection.send("heard")

    with ThreadServer(handle) as server:
        report = record(WebSocketSink(server.url, on_message=handler, finish="finish"))
    assert report.error == ""
    assert len(handled) == 20
    assert "on_message raised: ZeroDivisionError: on purpose" in caplog.text


# ---- talk besides audio ----


def test_messages_first_and_last_and_the_server_has_the_last_word():
    heard, replies = [], []

    async def handle(connection):
        async for message in connection:
            if isinstance(message, str):
                heard.append(message)
            if message == "finish":
                await connection.send("the end")
                return

    with ThreadServer(handle) as server:
        sink = WebSocketSink(
            server.url,
            on_open=lambda chunk: (f"rate {chunk.sample_rate}", f"from {chunk.frame}"),
            on_message=replies.append,
            finish="finish",
        )
        report = record(sink)
    assert report.error == ""
    assert heard == ["rate 48000", "from 0", "finish"]
    assert replies == ["the end"]


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_a_handler_of_messages_that_raises_gets_the_next_one(error, caplog):
    handled, failed = [], []

    def handle(message):
        handled.append(message)
        raise error

    replies = Replies(None, handle, failed.append)
    for message in ("one", "two"):
        assert replies.put(message)
    replies.close(GIVE_UP)
    assert handled == ["one", "two"]
    assert caplog.text.count(f"on_message raised: {error.__name__}") == 2


@pytest.mark.parametrize("error", [ZeroDivisionError(), SystemExit()])
def test_a_confirmation_that_raises_is_told_whatever_it_is(error):
    def confirm(message):
        raise error

    failed = []
    replies = Replies(confirm, None, failed.append)
    replies.put("one")
    replies.close(GIVE_UP)
    assert failed == [error]


def test_a_server_that_never_closes_costs_no_more_than_the_stop_timeout(caplog):
    async def handle(connection):
        async for _ in connection:
            pass

    with ThreadServer(handle) as server:
        sink = WebSocketSink(server.url, finish="finish")
        began = time.monotonic()
        report = record(sink, stop_timeout=1.0)
    assert time.monotonic() - began < 10
    assert report.error == ""
    assert "did not close the connection in time" in caplog.text


def test_a_message_of_the_users_own_may_be_sent_at_any_time():
    heard = []

    async def handle(connection):
        heard.extend([each async for each in connection if isinstance(each, str)])

    with ThreadServer(handle) as server:
        sink = WebSocketSink(server.url)
        session = building(sink, frames=None, pace="real_time").start()
        wait_until(lambda: session.stats().sinks["uplink"].delivered, "it is connected")
        sink.send("mark")
        session.stop()
    assert heard == ["mark"]


# ---- secrets ----

SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("ws://me:{secret}@127.0.0.1:{port}/", {}),
        ("ws://127.0.0.1:{port}/?token={secret}", {}),
        ("ws://127.0.0.1:{port}/{secret}/stream", {}),
        ("ws://127.0.0.1:{port}/", {"headers": {"Authorization": f"Bearer {SECRET}"}}),
        ("ws://127.0.0.1:{port}/", {"headers": lambda: {"X-Api-Key": SECRET}}),
    ],
)
def test_no_secret_is_told_though_the_server_repeats_it(url, settings, caplog, tmp_path):
    caplog.set_level("DEBUG")
    told = []

    def refuse(connection, request):
        told.append(str(request.headers) + request.path)
        return None if len(told) < 3 else connection.respond(401, SECRET)

    async def handle(connection):
        await connection.recv()
        await connection.close(1011, f"bad token {SECRET}")

    events = []
    with ThreadServer(handle, process_request=refuse) as server:
        sink = WebSocketSink(url.format(secret=SECRET, port=server.port), **settings)
        session = building(sink, frames=None, pace="real_time", events=events).start()
        report = ended(session)
    assert "HTTP 401" in report.error
    errors = [event.error for event in events if hasattr(event, "error")]
    assert "bad token …" in str(errors[0])
    texts = [repr(sink), str(report), repr(report), repr(events), caplog.text, repr(session)]
    texts += [str(vars(session.report())), repr(session.stats())]
    for error in errors:
        assert error.__cause__ is None
        texts += [str(error), repr(error), str(vars(error))]
    for text in texts:
        assert SECRET not in text


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("ws://me:secret@example.com/", {}),
        ("ws://example.com/?api_key=secret", {}),
        ("ws://example.com/", {"Authorization": "Bearer secret"}),
        ("ws://example.com/", {"Cookie": "a=secret"}),
        ("ws://127.0.0.1.example.com/", {"x-api-key": "secret"}),
        ("ws://example.com/", lambda: {"x-api-key": "secret"}),
    ],
)
def test_credentials_are_not_sent_in_plain_text_unless_asked_for(url, headers):
    with pytest.raises(ConfigError, match="would be sent in plain text") as raised:
        WebSocketSink(url, headers=headers)
    assert "secret" not in str(raised.value)
    WebSocketSink(url, headers=headers, plain_text=True)
    WebSocketSink(url.replace("ws:", "wss:"), headers=headers)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
def test_on_this_machine_they_are(host):
    WebSocketSink(f"ws://me:secret@{host}:8000/")


def test_what_is_no_secret_needs_no_encryption():
    WebSocketSink("ws://example.com/stream?rate=48000", headers={"User-Agent": "recorder"})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"url": "http://host"}, "url must be wss://host or ws://host"),
        ({"url": "ws://"}, "url must be"),
        ({"url": "ws://host:port"}, "cannot be read"),
        ({"url": "ws://host/a b"}, "url must be"),
        ({"url": 1}, "url must be a string"),
        ({"encode": "mp3"}, "encode must be one of pcm16, float32"),
        ({"replay": 61}, "replay must be from 0 to 60"),
        ({"keepalive": 0}, "keepalive must be from 0.1"),
        ({"confirm": "ack"}, "confirm must be a function"),
        ({"headers": {"a": 1}}, "headers must be strings"),
        ({"tls": True}, "tls must be an ssl.SSLContext"),
        ({"finish": 1}, "finish must be a string or bytes"),
        ({"retry": 3}, "retry must be a Retry"),
    ],
)
def test_what_cannot_work_is_an_error_at_once(arguments, words):
    with pytest.raises((ConfigError, ConfigTypeError)) as raised:
        WebSocketSink(**{"url": "ws://localhost"} | arguments)
    assert words in str(raised.value)


def test_an_async_handler_is_refused():
    async def handler(message):
        pass

    with pytest.raises(ConfigTypeError, match="cannot be async"):
        WebSocketSink("ws://localhost", on_message=handler)


def test_samples_of_several_sources_need_an_encoder():
    source = AudioSource.virtual("counter", frames=CHUNK, channels=1, pace="freewheel")
    made = StreamAudio.builder().add_source("a", source).add_source("b", source)
    with pytest.raises(ConfigError, match="samples alone do not tell a, b apart"):
        made.add_sink(WebSocketSink("ws://localhost")).start()


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "websockets", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install .stream-audio\[websocket\]."):
        WebSocketSink("ws://localhost")
