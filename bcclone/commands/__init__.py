"""The table of all commands, in the groups of `bcclone --help`; the other modules have them.

Only the module of the command that runs is imported, so that --help needs no large package.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bcclone.commands.command import Command

GROUPS = {
    "the main job": {
        "preprocess": "turn recordings into a store",
        "model": "train a network on a store",
        "drive": "drive the simulator's car with a model",
        "video": "make a clip of a run",
    },
    "recordings": {
        "edit": "look at a recording; delete and restore its rows; correct its steering",
        "import": "read recordings of other programs",
        "export": "write recordings and models in other programs' formats",
    },
    "models": {
        "plots": "draw a model, its samples and its decisions",
        "improve": "train a model on where it goes wrong",
        "calibrate": "fit a model to a car's camera and steering",
        "import-model": "convert an older Keras model",
    },
    "scoring": {
        "evaluate": "score a model by a simulated drive",
        "suite": "score models by many simulated drives",
        "replay": "score models on a recording",
        "predict": "predict the steering of frames",
        "margin": "map from where a model comes back to the middle of the road",
    },
    "the simulator": {
        "play": "drive the built-in simulator yourself",
        "simulate record": "let the built-in expert drive, and record it",
        "simulate drive": "let a drive server drive the simulated car",
    },
    "a new installation": {
        "demo": "record, train and drive, without the simulator",
        "doctor": "check this machine",
        "trained-models": "copy the trained models that come with bcclone",
        "completion": "print a completion script for a shell",
    },
}
COMMANDS = {name: summary for group in GROUPS.values() for name, summary in group.items()}


def load_command(name: str) -> "Command":
    """Return a command by its name; raises KeyError for another one."""
    if name == "demo":
        from bcclone.commands import demo

        return demo.COMMANDS[name]
    if name in GROUPS["the main job"]:
        from bcclone.commands import main_job

        return main_job.COMMANDS[name]
    if name in GROUPS["recordings"]:
        from bcclone.commands import recordings

        return recordings.COMMANDS[name]
    if name in GROUPS["models"] or name in GROUPS["scoring"]:
        from bcclone.commands import models

        return models.COMMANDS[name]
    if name in GROUPS["the simulator"]:
        from bcclone.commands import simulator

        return simulator.COMMANDS[name]
    from bcclone.commands import installation

    return installation.COMMANDS[name]


def similar_commands(typed: str) -> list[str]:
    """Return the commands with a similar name, or that do something similar: `trane`, `model`."""
    from bcclone.system.errors import similar_names

    does = {
        name: {name, *name.split(), summary.partition(" ")[0].strip(",")}
        for name, summary in COMMANDS.items()
    }
    near = set(similar_names(typed, set().union(*does.values()))[:1])
    return [name for name, words in does.items() if words & near]


def split_line(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the name of a command, and the words after it.

    words: of a command line; if they begin with no command, the name is ""
    """
    for count in (2, 1):
        name = " ".join(words[:count])
        if name in COMMANDS:
            return name, words[count:]
    return "", words
