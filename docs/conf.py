"""How Sphinx builds these pages: make docs."""

import re
from typing import Any

project = "bcclone"
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 4
html_show_copyright = False
html_theme = "furo"
html_title = "bcclone"
exclude_patterns = ["results"]
linkcheck_ignore = [r"http://127\.0\.0\.1"]

# pages beside what they are about, shown here, too; what the README says of installing and
# beginning stays there
_REPOSITORY = {
    "models/README": "/repository/models",
    "writeup_images/README": "/repository/writeup",
    "README": "/index",
}


_LAB_LOG = re.compile(r"\]\(((?:\.\./)+benchmarks/lab-log/[\w-]+\.md)(?:#[\w-]+)?\)")


def setup(app: Any) -> None:
    """Let links to those pages lead to where they are shown here, and those to the lab log to its
    file.
    """
    app.connect("source-read", _lead_here)
    app.connect(
        "include-read", lambda app, path, parent, source: _lead_to_lab_log(source, "../")
    )  # a folder deeper


def _lead_here(app: Any, name: str, source: list[str]) -> None:
    for path, page in _REPOSITORY.items():
        source[0] = re.sub(rf"\]\((?:\.\./)+{path}\.md(#[\w-]+)?", f"]({page}.md", source[0])
    _lead_to_lab_log(source)


def _lead_to_lab_log(source: list[str], up: str = "") -> None:
    source[0] = _LAB_LOG.sub(rf"](path:{up}\1)", source[0])
