"""The commands doctor, trained-models and completion, for a new installation.

- doctor: this machine -> what it lacks, and how to fix that;
- trained-models: a folder -> the models that come with bcclone, copied into it;
- completion: the name of a shell -> a script for it.
"""

import argparse
from pathlib import Path

from bcclone.commands import COMMANDS as ALL
from bcclone.commands import load_command
from bcclone.commands.command import Command, Result, add_options, command
from bcclone.system.doctor import DoctorSettings, as_text, examine
from bcclone.system.errors import UserError
from bcclone.system.files import make_folder, sha256_of, write_bytes
from bcclone.system.settings import argument


@command(after_interrupt="nothing was changed")
def doctor(settings: DoctorSettings) -> Result:
    """Check every requirement of bcclone on this machine, and explain how to fix what is missing.

    The command changes and downloads nothing. The exit code is 1 if a check failed; a warning is
    not a failure.
    """
    checks = examine(settings)
    ok = all(check.state != "failed" for check in checks)
    return Result({"checks": checks, "ok": ok}, as_text(checks), code=int(not ok))


@command(after_interrupt="each model was copied completely, or not at all")
def trained_models(
    folder: Path = argument("folder to copy them into", Path("models"), unit="DIR", writes=True),
) -> Result:
    """Copy the trained models that come with bcclone into a folder: lake.h5, any-road.h5 and
    any-camera.h5.

    A clone contains them, in models/. After an installation by name, this command writes them
    there.
    """
    from bcclone.commands.next_steps import after_model

    models, written = _copy_trained_models(folder)
    lines = []
    for path in models:
        state = "written" if path in written else "there already"
        lines.append(f"{path}: {state}")
    lines.append(after_model(models[-1]))
    return Result({"models": models, "written": written}, "\n".join(lines))


def _copy_trained_models(folder: Path) -> tuple[list[Path], list[Path]]:
    """Write the trained models into a folder, but for those that it has already.

    Returns the files of all models, and those that were written. Raises UserError, before anything
    is written, if a file with a model's name has another content.
    """
    from bcclone.model.model_path import shipped_model

    sources = sorted(shipped_model("lake.h5").parent.glob("*.h5"))
    make_folder(folder)
    source_of = {folder / source.name: source for source in sources}
    to_write = [
        path
        for path, source in source_of.items()
        if not path.is_file() or sha256_of(path) != sha256_of(source)
    ]
    for path in to_write:
        if path.exists():
            raise UserError(f"{path} exists already; remove it, or name another folder")
    for path in to_write:
        write_bytes(path, source_of[path].read_bytes())
    return list(source_of), to_write


@command()
def completion(
    shell: str = argument("the shell that reads the script", choices=("bash", "zsh", "tcsh")),
) -> Result:
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
    # The script needs the options of all commands, so all are loaded here; `bcclone` itself loads
    # only the command that it runs. "simulate drive" is a command of "simulate".
    families = {"": commands}
    for name, summary in ALL.items():
        family, _, word = name.rpartition(" ")
        if family not in families:
            of_family = commands.add_parser(family, help=f"commands: {family} ...")
            families[family] = of_family.add_subparsers(dest="use")
        of_command = families[family].add_parser(word, help=summary)
        add_options(load_command(name), of_command)
        for action in of_command._actions:
            if _may_be_a_file(action):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    script = shtab.complete(parser, shell)
    return Result({"shell": shell, "script": script}, script)


def _may_be_a_file(action: argparse.Action) -> bool:
    """Return whether a shell should complete the value of an option or argument as a path."""
    is_path = getattr(action.type, "__name__", "") == "path"
    return is_path or not (action.option_strings or action.choices)


COMMANDS: dict[str, Command] = {
    "doctor": doctor,
    "trained-models": trained_models,
    "completion": completion,
}
