"""Write recordings or a store in the format of another program: a CSV table, donkeycar, LeRobot, Minari, robomimic.

The target is written whole or not at all. Rows that `bcclone edit` has deleted are left out.
"""

import argparse

from bcclone.commands.options import (
    add_output_options,
    add_settings,
    build,
    describe_unchanged,
    given_for,
    notify,
    number_of,
    print_json,
)
from bcclone.exchange import ExportSettings

_SHOWN_SKIPS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("source", metavar="SOURCE", help="folder with recordings, a CSV file, a pattern, or a store")
    add_settings(parser, ExportSettings)
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Export; return the exit code."""
    settings = build(ExportSettings, **given_for(ExportSettings, arguments))
    from bcclone.exchange import export

    result = export(settings)
    for line in result.skipped[:_SHOWN_SKIPS]:
        notify(f"left out: {line}")
    if arguments.json:
        print_json(result.as_json())
    else:
        print(
            f"{result.output}: {result.format}, {number_of(result.rows, 'row')} in "
            f"{number_of(result.episodes, 'episode')}, cameras {', '.join(result.cameras)}, "
            f"{len(result.skipped)} left out, {result.seconds:.1f} s"
        )
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what Ctrl-C leaves behind."""
    return describe_unchanged(arguments.output or ExportSettings.output)
