"""Convert an older Keras model (.h5 or .keras, Keras 1 to 3) to a model file that stores its preprocessing.

The converted model can be driven, scored and fine-tuned without --preprocess. The network is rebuilt layer by layer;
no code in the old file is run.
"""

import argparse

from bcclone.commands.options import add_settings, chosen, describe_unchanged, local_path, notify, print_result
from bcclone.model.import_model import ImportSettings, import_model

SUMMARY = "convert an older Keras model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("old", type=local_path, metavar="OLD", help="a Keras .h5 or .keras file of another program")
    add_settings(parser, ImportSettings)


def run(arguments: argparse.Namespace) -> int:
    """Import the model; return the exit code."""
    result = import_model(chosen(ImportSettings, arguments), notify)
    print_result(
        arguments,
        result,
        f"its frames are prepared as {result.preprocessing} (--preprocess {arguments.preprocess})\n"
        f"{result.model}: written; next: bcclone drive {result.model} run1",
    )
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what Ctrl-C leaves behind."""
    return describe_unchanged(arguments.output or ImportSettings.output)
