"""The command line: each module parses its options, calls one library function and prints the result."""

from importlib import import_module
from importlib.util import find_spec
from keyword import iskeyword
from types import ModuleType

HAS_CLUSTER, HAS_LAB = (find_spec(f"bcclone.{wing}") is not None for wing in ("cluster", "lab"))
COMMANDS = {
    "preprocess": "turn recordings into a store",
    "model": "train a network on a store",
    "drive": "drive the simulator's car with a model",
    "video": "make a clip of a run",
    "plots": "draw a model, its samples and its decisions",
    "play": "drive the built-in simulator yourself",
    "simulate": "record and drive without the simulator",
    "evaluate": "score models by simulated drives",
    "replay": "score models on a recording",
    "edit": "list, delete and restore rows of a recording",
    "import-model": "convert an older Keras model",
    "demo": "record, train and drive, without the simulator",
    "doctor": "check this machine",
    "completion": "print a completion script for a shell",
}
if HAS_LAB:
    COMMANDS |= {
        "monitor": "find out whether a model knows that it does not know",
        "improve": "train a model on where it goes wrong",
        "export": "write recordings and models in other programs' formats",
        "import": "read recordings of other programs",
    }


def load_command(name: str) -> ModuleType:
    """Return the module of one of COMMANDS; it declares add_arguments(), run() and interrupted()."""
    module = f"{name}_" if iskeyword(name) else name.replace("-", "_")
    return import_module(f"{__name__}.{module}")
