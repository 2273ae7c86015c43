"""Print a completion script for a shell, which completes commands, options and file names of `bcclone`.

bash: bcclone completion bash > ~/.local/share/bash-completion/completions/bcclone
zsh: bcclone completion zsh > DIR/_bcclone, where DIR is a folder of $fpath
tcsh: bcclone completion tcsh > FILE, where ~/.tcshrc sources FILE
"""

import argparse

from bcclone.commands import COMMANDS, load_command
from bcclone.commands.options import actions_of, declare, local_path, print_result

SUMMARY = "print a completion script for a shell"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell that reads the script")


def run(arguments: argparse.Namespace) -> int:
    """Print the shell's script; return the exit code."""
    import shtab

    script = shtab.complete(_full_parser(), arguments.shell)
    print_result(arguments, {"shell": arguments.shell, "script": script}, script)
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    return "nothing was written"


def _full_parser() -> argparse.ArgumentParser:
    """Return one parser with all commands; `bcclone` itself loads only the one that it runs."""
    import shtab

    parser = argparse.ArgumentParser(prog="bcclone")
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        declare(load_command(name), command)
        for action in actions_of(command):
            is_argument = not action.option_strings and not action.choices
            if action.type is local_path or is_argument:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return parser
