"""Command line -> settings -> one library call -> printed result; each module is one command."""

from importlib import import_module
from types import ModuleType

COMMANDS = {
    "preprocess": "recordings -> store",
    "model": "store -> trained model",
    "drive": "model -> drive server for the simulator",
    "video": "run folder -> clip",
    "plots": "model, store -> pictures of what was learned, and from what",
    "simulate": "the simulator's side, without the simulator",
    "evaluate": "model -> laps driven and scored",
    "replay": "models, recording -> driven through it and scored",
    "import-model": "older Keras model -> model file",
    "demo": "the whole main job, from recording to a scored lap",
    "bench": "measurements, as a table and JSON",
    "doctor": "this machine -> what works, and how to mend what does not",
    "completion": "shell -> what completes bcclone's commands and options there",
}


def load_command(name: str) -> ModuleType:
    """Return the module of one of COMMANDS; it declares add_arguments(), run() and interrupted()."""
    return import_module(f"{__name__}.{name.replace('-', '_')}")
