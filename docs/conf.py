"""How Sphinx builds these pages: make docs."""

import re
from collections.abc import Iterator
from typing import Any

from bcclone.commands import COMMANDS, load_command
from bcclone.commands.command import make_parser

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
    "models/making/README": "/repository/making",
    "models/README": "/repository/models",
    "writeup_images/README": "/repository/writeup",
    "README": "/index",
}


def setup(app: Any) -> None:
    """Change links that lead out of docs/.

    Those to the pages above lead to where they are shown here, and those to the lab log to its
    file. Sphinx gives a page as a list with one text, in which it is changed.
    """
    app.connect("source-read", _change_page)
    app.connect("include-read", _change_included_page)


def _change_page(app: Any, name: str, source: list[str]) -> None:
    text = source[0]
    for path, page in _REPOSITORY.items():
        text = re.sub(rf"\]\((?:\.\./)+{path}\.md(#[\w-]+)?", f"]({page}.md", text)
    if name == "reference/cli":
        text += "\n".join(_help_of_commands())
    source[0] = _with_lab_log(text, up="")


def _help_of_commands() -> Iterator[str]:
    """Yield a section with the options of all commands, which the page in the repository leaves to
    --help.
    """
    yield "\n## Options of each command\n"
    for command in COMMANDS:
        text = make_parser(load_command(command), f"bcclone {command}").format_help()
        yield f"### bcclone {command} --help\n\n```text\n{text}```\n"


def _change_included_page(app: Any, path: Any, parent: str, source: list[str]) -> None:
    text = re.sub(r"\]\((?:\.\./models/)?making/README\.md", "](/repository/making.md", source[0])
    # it is shown in docs/repository/, mostly a folder deeper than it lies
    source[0] = _with_lab_log(text, up="" if "making" in str(path) else "../")


def _with_lab_log(text: str, up: str) -> str:
    """Let links to the lab log lead to its file."""
    link = r"\]\(((?:\.\./)+benchmarks/lab-log/[\w-]+\.md)(?:#[\w-]+)?\)"
    return re.sub(link, rf"](path:{up}\1)", text)
