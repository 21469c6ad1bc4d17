"""The pages that the command line makes, in a headless Chromium: one for all tests."""

from itertools import pairwise

import numpy as np
import pytest
import soundfile

from stream_audio.latency import plot
from stream_audio.latency.figures import figures
from support.chromium import Chromium
from support.measured import DOCUMENT, RUN
from support.serving import RATE, running

SCREENS = [(320, "light"), (320, "dark"), (390, "dark"), (1200, "light"), (1200, "dark")]

# Keeps what each buffer was to play, and when.
LISTEN_IN = """
window.played = []
const start = AudioBufferSourceNode.prototype.start
AudioBufferSourceNode.prototype.start = function (at) {
  const channels = []
  for (let n = 0; n < this.buffer.numberOfChannels; n++)
    channels.push(Array.from(this.buffer.getChannelData(n), value => value * 32768))
  window.played.push([at, this.buffer.sampleRate, channels])
  return start.call(this, at)
}
"""


@pytest.fixture(scope="module")
def started():
    with Chromium() as browser:
        yield browser


@pytest.fixture
def browser(servers_wanted, request):
    return request.getfixturevalue("started")


def fits(browser, width, scheme):
    """Hold that a page can be read on a screen."""
    browser.look_like(width=width, scheme=scheme)
    browser.run("new Promise(requestAnimationFrame)")
    assert browser.overlaps() == []
    assert not browser.too_wide()
    assert browser.contrast() > 7


def test_the_page_of_serve_shows_levels_that_move_on_every_screen(browser, tmp_path):
    shown = "String(document.querySelector('.row')?.lastChild.textContent)"
    with running(tmp_path / "a.wav", "0123456789abcdef") as one:
        browser.open(one.page)
        one.hear(RATE // 2)
        browser.wait_for(f"{shown}.includes('-12.')")
        assert "0:00:00nothing lost" in browser.run("document.querySelector('.head').textContent")
        for width, scheme in SCREENS:
            fits(browser, width, scheme)
        wide = browser.run("document.querySelector('.bar i').getBoundingClientRect().width")
        one.hear(RATE // 2, highest=100)
        browser.wait_for(f"{shown}.includes('-50.')")
        narrow = browser.run("document.querySelector('.bar i').getBoundingClientRect().width")
        assert narrow < wide / 3
        assert browser.run("document.querySelector('path').getAttribute('d').length") > 48
        browser.wait_for("document.getElementById('files').innerText.includes('48,000 frames')")
        one.feed.close()
        browser.wait_for("document.getElementById('state').textContent === 'ended'")
        browser.wait_for("document.getElementById('files').innerText.includes('complete')")
        assert browser.errors == []


def test_what_a_browser_plays_is_what_is_recorded(browser, tmp_path):
    with running(tmp_path / "a.wav") as one:
        browser.look_like(width=390)
        browser.open(one.page, before=LISTEN_IN)
        browser.wait_for("document.querySelector('button') !== null")
        browser.run("document.querySelector('button').click()")
        browser.wait_for("document.getElementById('page').textContent.includes('1 listening')")
        heard = "window.played.reduce((n, [, , [left]]) => n + left.length, 0)"
        for frames in range(RATE // 5, RATE + 1, RATE // 5):
            one.hear(RATE // 5)
            browser.wait_for(f"{heard} > {frames} - {RATE // 20}")
        played = browser.run("window.played")
        browser.run("document.querySelector('button').click()")
        browser.wait_for("document.getElementById('page').textContent === ''")
        assert browser.errors == []
    recorded, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    heard = np.concatenate([np.array(channels).T for _, _, channels in played])
    np.testing.assert_array_equal(heard, recorded[: len(heard)])
    late = [
        next_at - at - len(channels[0]) / RATE
        for (at, _, channels), (next_at, *_) in pairwise(played)
    ]
    assert {rate for _, rate, _ in played} == {RATE}
    assert min(late) > -1e-6  # none upon another; only a browser that was late leaves a hole
    assert np.median(late) < 1e-6


def measured(seconds, spread, count=500):
    """Figures around a duration, with a tail."""
    random = np.random.default_rng(30)
    durations = seconds * random.lognormal(0, spread, count)
    return figures(durations, np.linspace(100, 105, count))


# Nanoseconds beside minutes, a single value, nothing at all, and a name that is markup.
KINDS = {
    "callback_to": {
        "ring": measured(1e-8, 0.1),
        "router": measured(0.5, 3),
        "<b>channel": figures([0.001] * 9),
        "none": figures([]),
        **{f"kind {number}": measured(0.001, 0.01) for number in range(8)},
    },
    "period_jitter": measured(0.002, 0.001),
    "dll_error": measured(1e-5, 0.5),
}


def test_the_page_of_latencies_can_be_read_on_every_screen(browser, tmp_path):
    path = tmp_path / "latency.html"
    plot.save(DOCUMENT | {"runs": [RUN | KINDS, RUN]}, path)
    browser.look_like(width=1200)
    browser.open(path.as_uri())
    widths = "Array.from(document.querySelectorAll('svg'), one => one.clientWidth)"
    smallest = (
        "Math.min(...Array.from(document.querySelectorAll('svg text'),"
        " one => one.getBoundingClientRect().height))"
    )
    for width, scheme in SCREENS:
        fits(browser, width, scheme)
        panels = browser.run(widths)
        assert len(panels) == 3 * 3
        assert min(panels) >= (350 if width >= 1200 else width - 32)
        assert browser.run(smallest) > 10
    titles = browser.run("Array.from(document.querySelectorAll('h2'), one => one.textContent)")
    assert [title.partition(":")[0] for title in titles] == [
        "Latency",
        "The device's clock",
        "Latency",
    ]
    keys = browser.run("Array.from(document.querySelectorAll('ul'), one => one.textContent)")
    assert "period jitter" in keys[1]
    assert not any("jitter" in key for key in (keys[0], keys[2]))
    assert "→ <b>channel: p50 1.00 ms" in keys[0]
    outside = """Array.from(document.querySelectorAll('svg text')).filter(one => {
        const [text, all] = [one, one.closest('svg')].map(each => each.getBoundingClientRect())
        return text.left < all.left - 1 || text.right > all.right + 1
    }).map(one => one.textContent)"""
    assert browser.run(outside) == []
    assert browser.errors == []
