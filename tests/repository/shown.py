"""The commands that README and docs/ show, page by page: those in blocks of a shell, and those within a sentence."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(
    r"(?: *<!-- not run by a test: (?P<why>[^\n]*) -->\n+)?^(?P<indent> *)```(?:sh|powershell)\n(?P<lines>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_OURS = r"(?:python (?:preprocess|model|drive|video)\.py|bcclone) "


@dataclass(frozen=True)
class Shown:
    """A command as a page shows it; `why_not` tells why no test runs it."""

    page: Path
    text: str
    why_not: str | None

    @property
    def ours(self):
        return bool(re.match(_OURS, self.text))


def shown_on(page):
    text = page.read_text()
    for block in _BLOCK.finditer(text):
        for line in block["lines"].splitlines():
            if command := line.partition(" #")[0].strip():
                yield Shown(page, command, block["why"])
    for command in re.findall(rf"`({_OURS}[^`]+)`", text):
        yield Shown(page, " ".join(command.split()), None)
