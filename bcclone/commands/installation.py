"""What a new installation needs: a look at the machine, the trained models, the completion of a
shell.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from bcclone.commands import COMMANDS, FAMILIES, load_command
from bcclone.commands.options import Result, command, declare
from bcclone.system.doctor import DoctorSettings, examine
from bcclone.system.errors import shown_command
from bcclone.system.settings import argument


@dataclass(frozen=True)
class Copies:
    """Where the models are copied to."""

    folder: Path = argument("folder to copy them into", Path("models"), unit="DIR")


@dataclass(frozen=True)
class Shell:
    """A shell."""

    shell: str = argument("the shell that reads the script", choices=("bash", "zsh", "tcsh"))


@command("check this machine", left="nothing was changed")
def doctor(settings: DoctorSettings) -> Result:
    """Check every requirement of bcclone on this machine, and explain how to fix what is missing.

    The command changes and downloads nothing. The exit code is 1 if a check failed; a warning is
    not a failure.
    """
    examination = examine(settings)
    return Result.of(examination, code=int(not examination.ok))


@command(
    "copy the trained models that come with bcclone",
    left="each model was copied completely, or not at all",
)
def trained_models(copies: Copies) -> Result:
    """Copy the trained models that come with bcclone into a folder: lake.h5, any-road.h5 and
    any-camera.h5.

    A clone contains them, in models/. After an installation by name, this command writes them
    there.
    """
    from bcclone.model.model_path import copy_trained_models

    result = copy_trained_models(copies.folder)
    lines = [
        f"{path}: {'written' if path in result.written else 'there already'}"
        for path in result.models
    ]
    return Result(
        result, "\n".join([*lines, f"next: {shown_command('evaluate', result.models[-1])}"])
    )


@command("print a completion script for a shell")
def completion(given: Shell) -> Result:
    """Print a completion script for a shell, which completes commands, options and file names of
    `bcclone`.

    bash: bcclone completion bash > ~/.local/share/bash-completion/completions/bcclone
    zsh: bcclone completion zsh > DIR/_bcclone, where DIR is a folder of $fpath
    tcsh: bcclone completion tcsh > FILE, where ~/.tcshrc sources FILE
    """
    import shtab

    parser = argparse.ArgumentParser(prog="bcclone")
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command")
    families = {
        name: commands.add_parser(name, help=f"commands: {name} ...").add_subparsers(dest="use")
        for name in FAMILIES
    }
    for name, text in COMMANDS.items():  # `bcclone` itself loads only the one that it runs
        family, _, use = name.rpartition(" ")
        added = families.get(family, commands).add_parser(use, help=text)
        declare(load_command(name), added)
        for action in added._actions:
            if getattr(action.type, "__name__", "") == "path" or not (
                action.option_strings or action.choices
            ):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    script = shtab.complete(parser, given.shell)
    return Result({"shell": given.shell, "script": script}, script)
