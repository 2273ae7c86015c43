"""Copy the trained models that come with bcclone into a folder: lake.h5, any-road.h5 and any-camera.h5.

A clone contains them, in models/. After an installation by name, this command writes them there.
"""

import argparse
from pathlib import Path

from bcclone.commands.options import local_path, print_result
from bcclone.model.trained_models import copy_trained_models

SUMMARY = "copy the trained models that come with bcclone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "folder",
        nargs="?",
        type=local_path,
        default=Path("models"),
        metavar="DIR",
        help="folder to copy them into (default: models)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Copy the models; return the exit code."""
    result = copy_trained_models(arguments.folder)
    lines = [f"{path}: {'written' if path in result.written else 'there already'}" for path in result.models]
    print_result(arguments, result, "\n".join([*lines, f"next: bcclone evaluate {result.models[-1]}"]))
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    return "each model was copied completely, or not at all"
