"""Copy the trained models that come with bcclone into a folder: lake.h5, any-road.h5 and any-camera.h5.

A clone contains them, in models/. After an installation by name, this command writes them there.
"""

from dataclasses import dataclass
from pathlib import Path

from bcclone.commands.options import Command, Given, Result
from bcclone.model.trained_models import copy_trained_models
from bcclone.system.settings import argument


@dataclass(frozen=True)
class Copies:
    """Where the models are copied to."""

    folder: Path = argument("folder to copy them into", Path("models"), unit="DIR")


COMMAND = Command(
    "copy the trained models that come with bcclone",
    (Copies,),
    left="each model was copied completely, or not at all",
)


def run(given: Given) -> Result:
    """Copy the models."""
    result = copy_trained_models(given.make(Copies).folder)
    lines = [f"{path}: {'written' if path in result.written else 'there already'}" for path in result.models]
    return Result(result, "\n".join([*lines, f"next: bcclone evaluate {result.models[-1]}"]))
