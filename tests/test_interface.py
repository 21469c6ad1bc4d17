"""What users may rely on does not change unnoticed."""

import difflib

from support.interface import SNAPSHOT, text


def test_everything_public_is_as_it_was_written_down():
    now, before = text(), SNAPSHOT.read_text(encoding="utf-8")
    difference = "\n".join(
        difflib.unified_diff(before.splitlines(), now.splitlines(), "written down", "now", n=0)
    )
    assert not difference, (
        f"{difference}\n\nThe public interface has changed. Say so with a line in CHANGELOG.md, "
        "then write it down: .venv/bin/python tests/support/interface.py"
    )
