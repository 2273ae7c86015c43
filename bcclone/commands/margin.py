"""Map a model's margins: at each few metres of a road, from which offset and heading does the car come back?

States of the car (place, offset, heading, at a held speed) are enumerated, each frame is rendered and answered by the
model, and the states are followed by the simulated car's own law of motion. The map shows from how far to the left and
to the right of the middle the car comes back, where this is least, and what to record there. With several models, each
has its map, side by side.
"""

import argparse

from bcclone.commands import wings
from bcclone.commands.options import (
    add_browser,
    add_settings,
    chosen,
    local_path,
    notify,
    print_result,
    results_folder,
    show_report,
)
from bcclone.lab.margin.margin_settings import MarginSettings

SUMMARY = "map where a model comes back to the middle of the road, and where it leaves it"
_KEPT = "parts"  # folder of the finished parts, in the folder of the results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("models", type=local_path, nargs="+", metavar="MODEL", help="a model file, or several")
    add_settings(parser, MarginSettings)
    parser.add_argument(
        "-o",
        "--output",
        type=local_path,
        metavar="DIR",
        help="folder to write a report, pictures and figures into; it also keeps the finished parts, so that the same "
        "command goes on where it was interrupted (default: none)",
    )
    add_browser(parser)


def run(arguments: argparse.Namespace) -> int:
    """Map the margins; return the exit code."""
    with results_folder(arguments.output):
        settings = chosen(MarginSettings, arguments, kept=arguments.output / _KEPT if arguments.output else None)
        from bcclone.lab.margin.margin_map import margin_table
        from bcclone.lab.margin.margins import map_margins
        from bcclone.lab.margin.record_next import advice_lines, figures_of, record_next

        with wings.open_pool(settings.scheduler, notify) as pool:
            maps = map_margins(arguments.models, settings, notify, pool)
        advice = {name: record_next(one) for name, one in maps.items()}
        lines = [*margin_table(maps), *advice_lines(advice, settings.track, settings.reverse)]
        print_result(arguments, figures_of(maps, advice), "\n".join(lines))
        if arguments.output is not None:
            from bcclone.lab.margin.margin_files import write_margins

            paths = write_margins(arguments.output, maps, advice, settings, arguments.models)
            for path in paths:
                notify(f"wrote {path}")
            show_report(arguments, paths[-1])
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    if arguments.output and (kept := arguments.output / _KEPT).exists():
        return f"{kept} keeps the finished parts; the same command computes the others"
    return "nothing was written"
