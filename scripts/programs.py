#!/usr/bin/env python3
"""Write the Python programs of the README and the guides into a folder, one file a page.

The programs of a page go on where those before them ended.

scripts/programs.py FOLDER   the programs go to FOLDER, which is emptied first
"""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GIVEN = {
    "consumers": """from typing import Any

from stream_audio import AudioSource

microphone = AudioSource.default_device()
websocket: Any = None
""",
    # Tests have no annotations.
    "testing": "# mypy: allow-untyped-defs, allow-untyped-calls\n",
}
"""What a guide takes for granted."""

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def main() -> None:
    """Write them all."""
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
        if blocks:
            name = page.stem.lower().replace("-", "_")
            program = GIVEN.get(name, "") + "\n".join(blocks)
            (folder / f"{name}.py").write_text(program, encoding="utf-8")


if __name__ == "__main__":
    main()
