"""How Sphinx makes the site out of this folder; ``scripts/docs`` runs it."""

import re

import stream_audio

project = "stream-audio"
author = "the stream-audio authors"
version = release = stream_audio.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
html_theme = "furo"
html_title = f"stream-audio {version}"
html_show_copyright = False
exclude_patterns = ["build"]
myst_heading_anchors = 3
# No inventory is fetched: a build needs no network, and names of others stay plain text.
intersphinx_mapping: dict[str, tuple[str, str]] = {}

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "inherited-members": False}
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True

REPOSITORY = "https://github.com/stream-audio/stream-audio/blob/main/"
OUTSIDE = re.compile(r"\]\((?:\.\./)+([^)]+)\)")
"""A link that leaves the folder: to the README, an example, a file of source code."""


def lead_out(_app: object, _page: str, text: list[str]) -> None:
    """Let links to files that are no pages lead to the repository."""
    text[0] = OUTSIDE.sub(rf"]({REPOSITORY}\1)", text[0])


def setup(app: object) -> None:
    """Connect what is ours; Sphinx calls this."""
    app.connect("source-read", lead_out)  # type: ignore[attr-defined]
