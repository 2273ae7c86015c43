"""The commands: each module declares its COMMAND; run() calls a library function and returns what to print."""

import re
from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from types import ModuleType

_FIRST = ("preprocess", "model", "drive", "video")  # the workflow; the other commands follow by their names
FAMILIES = ("monitor", "simulate")  # the first word of commands of two words
_SUMMARY = re.compile(r'^COMMAND = Command\(\s*"(.+?)",', re.MULTILINE)


def _find_commands() -> dict[str, str]:
    """Return command -> summary, read from the text of each module, because importing them all is slow."""
    commands = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if summary := _SUMMARY.search(path.read_text(encoding="utf-8")):
            family, _, use = path.stem.removesuffix("_").partition("_")
            name = f"{family} {use}" if family in FAMILIES else path.stem.removesuffix("_").replace("_", "-")
            commands[name] = summary[1]
    return {name: commands[name] for name in dict.fromkeys((*_FIRST, *commands))}


COMMANDS = _find_commands()


def split_line(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the name of the command that a line begins with, "" for none, and the other words."""
    names = (" ".join(words[:count]) for count in (2, 1))
    name = next((name for name in names if name in COMMANDS), "")
    return name, words[len(name.split()) :]


def load_command(name: str) -> ModuleType:
    """Return the module of one of COMMANDS; it declares COMMAND, run() and perhaps interrupted()."""
    module = f"{name}_" if iskeyword(name) else re.sub("[- ]", "_", name)
    return import_module(f"{__name__}.{module}")
