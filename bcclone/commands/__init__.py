"""The commands: each calls a library function with the settings that the user chose, and returns
what to print.
"""

import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bcclone.commands.options import Command

_FIRST = (
    "preprocess",
    "model",
    "drive",
    "video",
)  # the workflow; the other commands follow by their names
FAMILIES = ("simulate",)  # the first word of commands of two words
_DECLARED = re.compile(r'^@command\(\s*"(.+?)"[,)].*?^def (\w+)\(', re.MULTILINE | re.DOTALL)
# name -> module, function and summary, read from the text of the modules, because importing them
# all is slow
_FOUND = {
    re.sub(f"^({'|'.join(FAMILIES)})-", r"\1 ", function.rstrip("_").replace("_", "-")): (
        path.stem,
        function,
        summary,
    )
    for path in Path(__file__).parent.glob("*.py")
    for summary, function in _DECLARED.findall(path.read_text(encoding="utf-8"))
}
COMMANDS = {name: _FOUND[name][2] for name in dict.fromkeys((*_FIRST, *sorted(_FOUND)))}


def split_line(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the name of the command that a line begins with, "" for none, and the other words."""
    names = (" ".join(words[:count]) for count in (2, 1))
    name = next((name for name in names if name in COMMANDS), "")
    return name, words[len(name.split()) :]


def load_command(name: str) -> "Command":
    """Return one of COMMANDS."""
    module, function, _ = _FOUND[name]
    command: Command = getattr(import_module(f"{__name__}.{module}"), function)
    return command
