"""What `stream-audio serve` shows browsers, what it refuses, and that none hurts a recording."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from stream_audio import (
    AudioChunk,
    ConfigError,
    StreamAudioError,
)
from stream_audio.cli.serve import token_in
from stream_audio.cli.web import access, server
from stream_audio.cli.web.access import checked_token, refusal
from stream_audio.cli.web.listener import MOST_WAITING, Listener
from stream_audio.cli.web.server import MOST_CONNECTIONS, WebServer
from stream_audio.cli.web.status import Status
from support.processes import wait_until
from support.serving import GIVE_UP, RATE, running

TOKEN = "0123456789abcdef-._~"
COMMAND = [sys.executable, "-m", "stream_audio"]


# ---- who may see it ----


@pytest.mark.parametrize(
    ("token", "path", "headers", "words"),
    [
        (None, "/", {"Host": "localhost:8420"}, None),
        (None, "/", {"Host": "LOCALHOST"}, None),
        (None, "/", {"Host": "127.0.0.1:1"}, None),
        (None, "/", {"Host": "[::1]:8420"}, None),
        (None, "/live", {"Host": "127.0.0.1:1", "Origin": "http://127.0.0.1:1"}, None),
        (None, "/live", {"Host": "127.0.0.1:1", "Origin": "http://127.0.0.1:2"}, "elsewhere"),
        (None, "/live", {"Host": "127.0.0.1:1", "Origin": "https://evil.example"}, "elsewhere"),
        (None, "/live", {"Host": "127.0.0.1:1", "Origin": "null"}, "elsewhere"),
        (None, "/", {"Host": "evil.example:8420"}, "localhost"),
        (None, "/live", {"Host": "evil.example", "Origin": "http://evil.example"}, "localhost"),
        (None, "/", {"Host": "127.0.0.1.evil.example"}, "localhost"),
        (None, "/", {"Host": "localhost@evil.example"}, "localhost"),
        (None, "/", {"Host": "192.168.1.5"}, "localhost"),
        (None, "/", {"Host": "[::1"}, "localhost"),
        (None, "/", {"Host": ""}, "localhost"),
        (None, "/", {}, "one Host"),
        (TOKEN, f"/?token={TOKEN}", {"Host": "recorder.example"}, None),
        (TOKEN, f"/live?a=b&token={TOKEN}", {"Host": "a", "Origin": "https://a"}, None),
        (TOKEN, f"/live?token={TOKEN}", {"Host": "a", "Origin": "https://b"}, "elsewhere"),
        (TOKEN, "/", {"Host": "localhost"}, "the token"),
        (TOKEN, f"/?token={TOKEN[:-1]}", {"Host": "localhost"}, "the token"),
        (TOKEN, f"/?token={TOKEN}x", {"Host": "localhost"}, "the token"),
        (TOKEN, "/?token=%ff%00", {"Host": "localhost"}, "the token"),
        (TOKEN, "/?token=", {"Host": "localhost"}, "the token"),
    ],
)
def test_a_request_is_let_in_or_refused(token, path, headers, words):
    found = refusal(token, path, Headers(headers))
    assert found is None if words is None else words in found[1]


def test_two_hosts_are_refused():
    headers = Headers([("Host", "localhost"), ("Host", "evil.example")])
    assert refusal(None, "/", headers)[0] == 400


def test_tokens_are_compared_in_constant_time(monkeypatch):
    compared = []
    monkeypatch.setattr(access.hmac, "compare_digest", lambda *both: compared.append(both))
    assert refusal(TOKEN, f"/?token={TOKEN}", Headers({"Host": "a"})) is not None
    assert compared == [(TOKEN.encode(), TOKEN.encode())]


@pytest.mark.parametrize("text", ["", "short", "with a space in its midst", "ä" * 20, "a/b" * 9])
def test_a_token_that_can_be_guessed_or_cannot_be_sent_is_refused(text):
    with pytest.raises(ConfigError, match="at least 16") as told:
        checked_token(text)
    assert len(text) < 5 or text not in str(told.value)


def test_elsewhere_than_on_the_loopback_there_is_a_token():
    found = set()
    for _ in range(2):
        one = WebServer("0.0.0.0", 0, None)
        one.close()
        found.add(one.url.partition("?token=")[2])
    assert len(found) == 2
    assert min(map(len, found)) >= 16


def test_a_port_that_is_taken_is_an_error_before_anything_is_recorded():
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(StreamAudioError, match=r"cannot listen on 127\.0\.0\.1") as told,
    ):
        WebServer("127.0.0.1", taken.getsockname()[1], None)
    assert "in use" in str(told.value)
    assert "--port" in str(told.value)


# ---- what browsers get ----


def figures_until(connection, condition):
    until = time.monotonic() + GIVE_UP
    while not condition(figures := json.loads(connection.recv(GIVE_UP))):
        assert time.monotonic() < until, figures
    return figures


def test_nothing_is_served_without_the_token(tmp_path):
    with running(tmp_path / "a.wav", TOKEN) as one:
        assert one.get("/")[0] == 403
        assert one.get("/?token=wrong")[0] == 403
        for path in ("/live", "/listen?source=mic"):
            with pytest.raises(InvalidStatus, match="403"):
                connect(f"ws://127.0.0.1:{one.server.port}{path}", proxy=None)
        status, headers, page = one.get(f"/?token={TOKEN}")
        assert (status, "<!doctype html>" in page) == (200, True)
        assert one.get(f"/else?token={TOKEN}")[0] == 404
        assert TOKEN not in page
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; connect-src 'self'")
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Server" not in headers
    assert "http:" not in page.replace("http://www.w3.org/2000/svg", "")  # all is in the page
    assert "https:" not in page
    assert len(page.encode()) < 10_000


def test_the_figures_are_those_of_the_session(tmp_path):
    with running(tmp_path / "a.wav") as one, connect(one.url("/live"), proxy=None) as live:
        one.hear(RATE)
        shown = figures_until(live, lambda figures: figures["sources"][0]["seconds"] == 1)
        (source,) = shown["sources"]
        assert (source["id"], source["rate"], source["channels"]) == ("mic", RATE, 2)
        peak = 20 * np.log10(np.abs(one.samples.astype(float) / 32768).max())
        assert max(source["held"]) == pytest.approx(peak, abs=0.1)
        assert len(source["spectrum"]) == 48
        assert max(source["spectrum"]) < -12
        assert shown["sinks"][0]["name"] == "a.wav"
        assert shown["losses"] == []
        one.feed.close()
        last = figures_until(live, lambda figures: not figures["running"] and figures["files"])
    assert last["files"] == [{"name": "a.wav", "frames": RATE}]


@pytest.mark.parametrize("channel", ["", "1"])
def test_who_listens_gets_the_frames_that_are_recorded(channel, tmp_path):
    with (
        running(tmp_path / "a.wav") as one,
        connect(one.url("/live"), proxy=None) as live,
        connect(one.url(f"/listen?source=mic&channel={channel}"), proxy=None) as listen,
    ):
        figures_until(live, lambda figures: figures["listeners"] == 1)
        one.hear(RATE)
        one.feed.close()
        messages = list(listen)
    recorded, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    np.testing.assert_array_equal(recorded, one.samples)
    wanted = recorded if channel == "" else recorded[:, int(channel)]
    next_frame = first = int(np.frombuffer(messages[0][:8], "<f8")[0])
    assert first == 0  # before the device had delivered anything
    for message in messages:
        heard = np.frombuffer(message[8:], "<i2").reshape(-1, *wanted.shape[1:])
        assert np.frombuffer(message[:8], "<f8")[0] == next_frame
        np.testing.assert_array_equal(heard, wanted[next_frame : next_frame + len(heard)])
        next_frame += len(heard)
    assert next_frame == len(recorded)


@pytest.mark.parametrize(
    "query", ["source=other", "", "source=mic&channel=7", "source=mic&channel=x"]
)
def test_what_is_not_there_cannot_be_listened_to(query, tmp_path):
    with (
        running(tmp_path / "a.wav") as one,
        connect(one.url(f"/listen?{query}"), proxy=None) as it,
        pytest.raises(ConnectionClosed, match="1008"),
    ):
        it.recv(GIVE_UP)


# ---- none hurts the recording ----


def test_what_a_browser_is_too_slow_for_is_dropped_and_counted():
    listener, frames = Listener("mic", None), 4800
    for number in range(100):
        data = np.zeros((frames, 1), np.float32)
        listener.put(AudioChunk("mic", data, RATE, number * frames, number / 10, number / 10))
    assert listener.dropped == 100 * frames - MOST_WAITING * RATE


def test_a_browser_that_reads_nothing_hurts_no_recording(tmp_path):
    with running(tmp_path / "a.wav") as one, connect(one.url("/live"), proxy=None) as live:
        deaf = socket.create_connection(("127.0.0.1", one.server.port))
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(
            b"GET /listen?source=mic HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        figures_until(live, lambda figures: figures["listeners"] == 1)
        until = time.monotonic() + GIVE_UP
        while not json.loads(live.recv(GIVE_UP))["dropped"]:
            assert time.monotonic() < until
            one.hear(RATE)
        deaf.close()
        figures_until(live, lambda figures: figures["listeners"] == 0)
    recorded, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    np.testing.assert_array_equal(recorded, one.samples)


def test_connections_are_limited_and_half_open_ones_hold_up_no_end(tmp_path):
    with running(tmp_path / "a.wav") as one:
        silent = [
            socket.create_connection(("127.0.0.1", one.server.port))
            for _ in range(MOST_CONNECTIONS)
        ]
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            one.get("/")  # there is no room
        silent.pop().close()
        wait_until(lambda: _answers(one), "there is room again")
        one.hear(RATE)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    for each in silent:
        each.close()
    assert soundfile.info(tmp_path / "a.wav").frames == RATE


def _answers(one):
    try:
        return one.get("/")[0] == 200
    except (ConnectionError, http.client.HTTPException):
        return False


def test_a_page_that_breaks_leaves_the_recording_alone(tmp_path, monkeypatch, caplog):
    def broken(*arguments, **settings):
        raise RuntimeError("broken")

    with running(tmp_path / "a.wav") as one:
        one.hear(RATE // 2)
        monkeypatch.setattr(Status, "catch_up", broken)
        wait_until(lambda: "the page has ended" in caplog.text, "it is told")
        one.hear(RATE // 2)
    assert soundfile.info(tmp_path / "a.wav").frames == RATE


# ---- the command ----


@contextmanager
def served(*arguments):
    command = [*COMMAND, "serve", *map(str, arguments), "--port", "0", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        try:
            yield process, json.loads(process.stdout.readline())["url"]
        finally:
            process.kill()


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=pytest.mark.long),
        pytest.param(signal.SIGHUP, marks=pytest.mark.long),
    ],
)
def test_a_signal_leaves_good_files_though_browsers_watch(number, tmp_path):
    path = tmp_path / "a.wav"
    with (
        served("-s", "mic=virtual", "--out", path) as (process, url),
        connect(url.replace("http", "ws") + "live", proxy=None) as live,
    ):
        figures_until(live, lambda figures: figures["sinks"][0]["delivered"] > 0)
        process.send_signal(number)
        output, errors = process.communicate(timeout=GIVE_UP)
    assert (process.returncode, errors) == (0, "")
    report = json.loads(output)
    assert report["balanced"]
    assert soundfile.info(path).frames == report["sources"]["mic"]["captured"] > 0


def test_the_token_may_come_from_a_file_and_stands_in_no_error(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    arguments = ("--virtual", "-d", "60", "--token-file", file, "--host", "0.0.0.0")
    with served(*arguments) as (process, url):
        assert TOKEN not in url  # nor in the log of a service
        port = url.split(":")[2].rstrip("/")
        with connect(f"ws://127.0.0.1:{port}/live?token={TOKEN}", proxy=None) as live:
            assert json.loads(live.recv(GIVE_UP))["running"]
        process.terminate()
        assert process.wait(GIVE_UP) == 0
    file.write_text("secret")
    with pytest.raises(ConfigError, match="at least 16") as told:
        token_in(file)
    assert "secret" not in str(told.value)
    with pytest.raises(ConfigError, match="cannot read the token"):
        token_in(tmp_path / "none")


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "websockets.asyncio.server", None)
    with pytest.raises(ConfigError, match="websockets") as told:
        server.WebServer("127.0.0.1", 0, None)
    assert "stream-audio[cli,web]" in str(told.value)
