"""The table of all commands, in the groups of `bcclone --help`.

The other modules of this package have the commands. A command takes settings, which are made from
its command line (options.py), and returns a `Result`, which cli.py prints. Its module is imported
only when the command runs, so that --help needs no large package.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bcclone.commands.options import Command


@dataclass(frozen=True)
class Entry:
    """A command in the table."""

    module: str  # name of the module in this package that has the command
    function: str  # name of the command's function, which is decorated with @command
    summary: str  # what the command does, for --help
    # name of the module in this package that adds options of a wing to the command; "" for none
    extended_by: str = ""


GROUPS = {
    "the main job": {
        "preprocess": Entry(
            "data", "preprocess", "turn recordings into a store", extended_by="sharded_data"
        ),
        "model": Entry("training", "model", "train a network on a store"),
        "drive": Entry("driving", "drive", "drive the simulator's car with a model"),
        "video": Entry("driving", "video", "make a clip of a run"),
    },
    "recordings": {
        "edit": Entry(
            "editing",
            "edit",
            "look at a recording; delete and restore its rows; correct its steering",
        ),
        "import": Entry("models", "import_", "read recordings of other programs"),
        "export": Entry(
            "models", "export", "write recordings and models in other programs' formats"
        ),
    },
    "models": {
        "plots": Entry("training", "plots", "draw a model, its samples and its decisions"),
        "improve": Entry("models", "improve", "train a model on where it goes wrong"),
        "calibrate": Entry("models", "calibrate", "fit a model to a car's camera and steering"),
        "import-model": Entry("models", "import_model", "convert an older Keras model"),
    },
    "scoring": {
        "evaluate": Entry("scoring", "evaluate", "score a model by a simulated drive"),
        "suite": Entry("scoring", "suite", "score models by many simulated drives"),
        "replay": Entry("scoring", "replay", "score models on a recording"),
        "predict": Entry("scoring", "predict", "predict the steering of frames"),
        "margin": Entry(
            "scoring", "margin", "map from where a model comes back to the middle of the road"
        ),
    },
    "the simulator": {
        "play": Entry("simulator", "play", "drive the built-in simulator yourself"),
        "simulate record": Entry(
            "simulator", "simulate_record", "let the built-in expert drive, and record it"
        ),
        "simulate drive": Entry(
            "simulator", "simulate_drive", "let a drive server drive the simulated car"
        ),
    },
    "a new installation": {
        "demo": Entry("demo", "demo", "record, train and drive, without the simulator"),
        "doctor": Entry("installation", "doctor", "check this machine"),
        "trained-models": Entry(
            "installation", "trained_models", "copy the trained models that come with bcclone"
        ),
        "completion": Entry("installation", "completion", "print a completion script for a shell"),
    },
}
COMMANDS = {name: entry for group in GROUPS.values() for name, entry in group.items()}
# the first words of the commands that have two words, such as "simulate"
FAMILIES = tuple(dict.fromkeys(name.split()[0] for name in COMMANDS if " " in name))


def split_line(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the name of a command, and the words after it.

    words: of a command line; if they begin with no command, the name is ""
    """
    for count in (2, 1):
        name = " ".join(words[:count])
        if name in COMMANDS:
            return name, words[count:]
    return "", words


def load_command(name: str) -> "Command":
    """Return the command of a name in COMMANDS, with what a wing adds; its modules are imported."""
    entry = COMMANDS[name]
    command: Command = getattr(_module(entry.module), entry.function)
    if entry.extended_by:
        command = _module(entry.extended_by).extended(command)
    return command


def _module(name: str) -> Any:
    return import_module(f"{__name__}.{name}")
