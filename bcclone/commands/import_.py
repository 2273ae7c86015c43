"""Write a donkeycar tub, a LeRobot data set or a CSV table as a recording, which preprocess.py takes.

The recording has driving_log.csv and IMG/, as the simulator writes them. If the source has drivers or positions, they
are imported, too.
"""

import argparse

from bcclone.commands.options import (
    add_settings,
    chosen,
    describe_unchanged,
    local_path,
    notify,
    number_of,
    print_result,
)
from bcclone.lab.exchange.exchange_settings import ImportSettings

SUMMARY = "read recordings of other programs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("source", type=local_path, metavar="SOURCE", help="folder of a tub or a data set, or a table")
    add_settings(parser, ImportSettings)


def run(arguments: argparse.Namespace) -> int:
    """Import; return the exit code."""
    settings = chosen(ImportSettings, arguments)
    from bcclone.lab.exchange.recording_import import import_recording

    result = import_recording(settings)
    if result.converted:
        notify(f"note: {number_of(result.converted, 'image')} converted to JPEG of 320x160 pixels")
    if result.deleted:
        notify(
            f"note: {number_of(result.deleted, 'row')} marked as deleted, as in the source; "
            f"to change that: bcclone edit {result.output}"
        )
    print_result(
        arguments,
        result,
        f"{result.output}: {number_of(result.recordings, 'recording')} from {result.format}, "
        f"{number_of(result.rows, 'row')}, {result.seconds:.1f} s\n"
        f"next: bcclone preprocess {result.output} -o data.h5",
    )
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what Ctrl-C leaves behind."""
    return describe_unchanged(arguments.output or ImportSettings.output)
