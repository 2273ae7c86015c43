"""The commands: each module with a SUMMARY parses its options, calls a library function and prints the result."""

import re
from importlib import import_module
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from types import ModuleType

HAS_CLUSTER, HAS_LAB = (find_spec(f"bcclone.{wing}") is not None for wing in ("cluster", "lab"))
_FIRST = ("preprocess", "model", "drive", "video")  # the workflow; the other commands follow by their names
_OF_THE_LAB = {"monitor", "improve", "margin", "export", "import", "calibrate"}
_SUMMARY = re.compile(r'^SUMMARY = "(.+)"$', re.MULTILINE)


def _find_commands() -> dict[str, str]:
    """Return command -> SUMMARY, read from the text of each module, because importing them all is slow."""
    commands = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        summary = _SUMMARY.search(path.read_text(encoding="utf-8"))
        name = path.stem.removesuffix("_").replace("_", "-")
        if summary and (HAS_LAB or name not in _OF_THE_LAB):
            commands[name] = summary[1]
    return {name: commands[name] for name in dict.fromkeys((*_FIRST, *commands))}


COMMANDS = _find_commands()


def load_command(name: str) -> ModuleType:
    """Return the module of one of COMMANDS; it declares SUMMARY, add_arguments(), run() and interrupted()."""
    module = f"{name}_" if iskeyword(name) else name.replace("-", "_")
    return import_module(f"{__name__}.{module}")
