"""The commands that README and docs/ show, page by page: those in blocks of a shell, and those
within a sentence.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from bcclone.commands import COMMANDS, load_command, split_line
from bcclone.commands.command import make_parser
from benchmarks.__main__ import make_benchmark
from tests.running import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(
    r"(?: *<!-- not run by a test: (?P<why>[^\n]*) -->\n+)?"
    r"^(?P<indent> *)```(?:sh|powershell)\n(?P<lines>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_OURS = r"(?:python (?:preprocess|model|drive|video)\.py|bcclone|python -m benchmarks) "


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


def parse(text):
    """Parse a shown command, script or benchmark; raise KeyError or SystemExit if it is not
    accepted.
    """
    words = [word for word in shlex.split(text) if word not in ("python", "bcclone")]
    is_benchmark = words[:2] == ["-m", "benchmarks"]
    name, options = (
        (words[2], words[3:])
        if is_benchmark
        else split_line([words[0].removesuffix(".py"), *words[1:]])
    )
    # an option of bcclone itself, or the first word of several commands
    if words[0] in ("--version", "--help") or any(
        one.startswith(f"{' '.join(words)} ") for one in COMMANDS
    ):
        return
    command = make_benchmark(name) if is_benchmark else load_command(name)
    if options:  # otherwise the command is only mentioned
        make_parser(command, name).parse_args(
            [word.replace("RECORDING...", "RECORDING") for word in options]
        )
