"""Options of `bcclone evaluate --suite`: many drives of one or several models, side by side."""

import argparse
from typing import TYPE_CHECKING

from bcclone.commands.options import build, given, make_folder, print_json, say
from bcclone.errors import UserError

if TYPE_CHECKING:
    from bcclone.suite import Row

# what each row says itself
_OF_ONE_DRIVE = (
    "track", "reverse", "speed_mph", "latency_ms", "start_offset_m", "start_turn", "shove_m", "shove_every_m",
    "light", "fog", "sun_elevation", "sun_azimuth", "line_visibility", "road_visibility", "camera_shift_m",
    "camera_pitch", "in_process", "run",
)  # fmt: skip


def add_suite_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group("many drives")
    group.add_argument("--suite", action="store_true", help="drive every row of the suite, with each of the models")
    group.add_argument("--rows", nargs="+", metavar="NAME", help="with --suite: only rows of these names (all)")
    group.add_argument(
        "--recordings",
        nargs="+",
        metavar="RECORDING",
        help="with --suite: drive through these recordings, too, as bcclone replay does",
    )
    group.add_argument(
        "--jobs", type=int, metavar="N", help="with --suite: processes that drive side by side (one a core)"
    )


def refuse_suite_options(arguments: argparse.Namespace) -> None:
    """Refuse what only --suite understands."""
    for name in ("rows", "recordings", "jobs"):
        if getattr(arguments, name) is not None:
            raise UserError(f"--{name} is for many drives; add --suite")
    if len(arguments.models) > 1:
        raise UserError("only one model can be scored at a time; compare several with --suite")


def run_suite_command(arguments: argparse.Namespace) -> int:
    """Drive all rows and show what came of them; return the exit code."""
    _refuse_options_of_one_drive(arguments)
    if arguments.output is not None:
        make_folder(arguments.output)
    from bcclone.doctor.machine import usable_cores
    from bcclone.recording import find_logs
    from bcclone.suite import SuiteSettings, chosen_rows, run_suite
    from bcclone.suite.table import table_lines

    values = given(arguments, "laps", "texture_seed")
    rows: tuple[Row, ...] = build(chosen_rows, tuple(arguments.rows or ()), **values)
    jobs = usable_cores() if arguments.jobs is None else arguments.jobs
    settings = build(SuiteSettings, arguments.preprocess, jobs)
    logs = find_logs(arguments.recordings) if arguments.recordings else []
    result = run_suite(arguments.models, rows, settings, logs)
    if arguments.json:
        print_json(result.figures())
    else:
        print("\n".join(table_lines(result)))
    if arguments.output is not None:
        from bcclone.suite.pictures import write_suite

        for path in write_suite(arguments.output, result):
            say(f"wrote {path}")
    return 0


def _refuse_options_of_one_drive(arguments: argparse.Namespace) -> None:
    for name in _OF_ONE_DRIVE:
        if getattr(arguments, name) not in (None, False):
            option = "--speed" if name == "speed_mph" else f"--{name.replace('_', '-')}"
            raise UserError(f"{option} is for a single drive: the rows of the suite say it themselves; leave it out")
