"""What scripts/bench peers writes about the libraries, itself among them, is what was found."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def peers(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import peers

    yield peers
    for name in ("peers", "peer_sources"):
        sys.modules.pop(name, None)


def after_a_loss(*heard, **figures):
    heard = [(0.0, "first"), *heard]
    usual = {"error": None, "said": None, "ended": False, "position": None, "started": 0.0}
    return {"opened": True, "disturbed": 3.0, "heard": heard} | usual | figures


@pytest.mark.parametrize(
    ("trial", "figures", "cell"),
    [
        ("spinning", {"lost": 0.84}, "84 %"),
        ("asleep-20", {"lost_seconds": 18.42}, "18.4 s"),
        ("asleep-5", {"lost_seconds": 0.1}, "nothing"),
        ("killed", {"seconds": 4.5, "of": 5.0}, "opens, with 4.5 s of 5.0 s"),
        ("killed", {"unreadable": "bad header", "of": 5.0}, "does not open"),
        ("opening", {"failed": "no device"}, "failed: no device"),
        ("restarted", {"opened": False, "error": "E: why"}, "not opened: E: why"),
        ("restarted", after_a_loss(), "hangs, says nothing"),
        ("restarted", after_a_loss((12.0, "silence")), "records silence, says nothing"),
        ("restarted", after_a_loss((12.0, "first"), position=11.8), "recovers, outage counted"),
        ("restarted", after_a_loss((12.0, "first"), position=7.0), "recovers, outage forgotten"),
        ("restarted", after_a_loss(ended=True, error="OSError: x"), "ends, says so (OSError)"),
        ("unplugged", after_a_loss((4.0, "second")), "records the other one, says nothing"),
        ("unplugged", after_a_loss((12.0, "silence")), "records silence, says nothing"),
        ("unplugged", after_a_loss(said="SourceLost"), "waits, says so (SourceLost)"),
        ("unplugged", after_a_loss(ended=True), "ends, says nothing"),
    ],
)
def test_a_cell_says_what_the_trial_found(peers, trial, figures, cell):
    assert peers.told(trial, figures) == cell


def test_the_page_names_versions_what_is_missing_and_every_trial(peers):
    cells = {"one": dict.fromkeys(peers.TRIALS, "nothing")}
    page = peers.page({"JACK": cells}, {"one": "1.2"}, ["another"])
    assert "one 1.2" in page
    assert "Not installed: another." in page
    assert page.count("| nothing |") == len(peers.TRIALS) == len(peers.QUESTIONS)
    assert all(len(line) <= 99 for line in page.splitlines() if not line.startswith("|"))
