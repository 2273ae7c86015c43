"""Convert an older Keras model (.h5 or .keras, Keras 1 to 3) to a model file that stores its preprocessing.

The converted model can be driven, scored and fine-tuned without --preprocess. The network is rebuilt layer by layer;
no code in the old file is run.
"""

import argparse

from bcclone.commands.options import (
    add_output_options,
    add_settings,
    build,
    describe_unchanged,
    given_for,
    local_path,
    notify,
    print_json,
)
from bcclone.model.import_model import ImportSettings, import_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("old", type=local_path, metavar="OLD", help="a Keras .h5 or .keras file of another program")
    add_settings(parser, ImportSettings)
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Import the model; return the exit code."""
    result = import_model(build(ImportSettings, **given_for(ImportSettings, arguments)), notify)
    if arguments.json:
        print_json(result.as_json())
    else:
        print(f"its frames are prepared as {result.preprocessing} (--preprocess {arguments.preprocess})")
        print(f"{result.model}: written; next: python drive.py {result.model} run1")
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what Ctrl-C leaves behind."""
    return describe_unchanged(arguments.output or ImportSettings.output)
