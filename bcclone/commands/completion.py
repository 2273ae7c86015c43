"""Print a completion script for a shell, which completes commands, options and file names of `bcclone`.

bash: bcclone completion bash > ~/.local/share/bash-completion/completions/bcclone
zsh: bcclone completion zsh > DIR/_bcclone, where DIR is a folder of $fpath
tcsh: bcclone completion tcsh > FILE, where ~/.tcshrc sources FILE
"""

import argparse
from dataclasses import dataclass

from bcclone.commands import COMMANDS, FAMILIES, load_command
from bcclone.commands.options import Command, Given, Result, declare
from bcclone.system.settings import argument


@dataclass(frozen=True)
class Shell:
    """A shell."""

    shell: str = argument("the shell that reads the script", choices=("bash", "zsh", "tcsh"))


COMMAND = Command("print a completion script for a shell", (Shell,))


def run(given: Given) -> Result:
    """Return the shell's script."""
    import shtab

    shell = given.make(Shell).shell
    script = shtab.complete(_full_parser(), shell)
    return Result({"shell": shell, "script": script}, script)


def _full_parser() -> argparse.ArgumentParser:
    """Return one parser with all commands; `bcclone` itself loads only the one that it runs."""
    import shtab

    parser = argparse.ArgumentParser(prog="bcclone")
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command")
    families = {
        name: commands.add_parser(name, help=f"commands: {name} ...").add_subparsers(dest="use") for name in FAMILIES
    }
    for name, text in COMMANDS.items():
        family, _, use = name.rpartition(" ")
        command = families.get(family, commands).add_parser(use, help=text)
        declare(load_command(name), command)
        for action in command._actions:
            if getattr(action.type, "__name__", "") == "path" or not (action.option_strings or action.choices):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return parser
