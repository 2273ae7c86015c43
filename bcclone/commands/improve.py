"""Train a model on so that it drives better, and compare it on the rows of the suite, before and after.

RECORDING is one in which the model drives and a person takes over where it goes wrong (drivers.csv), or an earlier one
of a person alone. The corrections are mixed with the other recordings and with what the model does well, so that
nothing is unlearned. With --expert, the model drives the built-in simulator in rounds, and learns how the built-in
expert would have steered in the states that it got into (DAgger), until it drives the rows of the suite without an
intervention.
"""

import argparse

from bcclone.commands.options import add_settings, chosen, local_path, notify, print_result
from bcclone.lab.improve.improve_settings import ImproveSettings

SUMMARY = "train a model on where it goes wrong"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", type=local_path, metavar="MODEL", help="the model to improve")
    parser.add_argument(
        "recordings", nargs="*", metavar="RECORDING", help="folder, CSV file or pattern, as for preprocess.py"
    )
    add_settings(parser, ImproveSettings)


def run(arguments: argparse.Namespace) -> int:
    """Improve the model; return the exit code."""
    settings = chosen(ImproveSettings, arguments)
    from bcclone.lab.improve.improvement import improve

    result = improve(settings, notify)
    print_result(arguments, result.figures(), "\n".join(result.as_text()))
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    settings = chosen(ImproveSettings, arguments)
    return f"{settings.folder} keeps what was done so far; continue with the same command and --resume"
