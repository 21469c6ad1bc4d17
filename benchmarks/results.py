"""What is kept of a run: a section of RESULTS.md, and all figures beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE / "RESULTS.md"
FIGURES = HERE / "results"


def keep(name: str, title: str, text: str, figures: dict[str, Any]) -> None:
    """Put a section into the page, in the place of its last version, and figures into results/."""
    (FIGURES / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")
    PAGE.write_text(with_section(PAGE.read_text(), title, text))


def with_section(page: str, title: str, text: str) -> str:
    """Return the page with this section, where it stood before or else at the end."""
    section = f"## {title}\n\n{text.strip()}\n"
    old = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if old.search(page):
        return old.sub(lambda _: f"{section}\n", page).strip() + "\n"
    return f"{page.rstrip()}\n\n{section}"
