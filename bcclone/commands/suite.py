"""Score models by a suite: many simulated drives of each, under other speeds, latency, weather, cameras and roads.

The standard suite has 20 scenarios, each a row of the table. The suite testing drives the lake in 37 weathers: fog,
rain and snow from 10 to 100 %, day and night. The suite roads drives 30 random roads at 15 and 25 mph, and lake and
mountain in both directions. The drives run in parallel on all cores.
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
from bcclone.evaluate.evaluate_settings import SuiteSettings

SUMMARY = "score models by many simulated drives"
_KEPT = "drives"  # folder of the finished drives, in the folder of the results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("models", type=local_path, nargs="+", metavar="MODEL", help="a model file, or several")
    add_settings(parser, SuiteSettings)
    wings.add_monitor(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=local_path,
        metavar="DIR",
        help="folder to write a report, pictures and figures into; it also keeps the finished drives, so that the same "
        "command goes on where it was interrupted (default: none)",
    )
    add_browser(parser)


def run(arguments: argparse.Namespace) -> int:
    """Drive and score; return the exit code."""
    with results_folder(arguments.output):
        settings = chosen(SuiteSettings, arguments, kept=arguments.output / _KEPT if arguments.output else None)
        watch = wings.find_watch(arguments)
        from bcclone.evaluate.suite import evaluate_suite
        from bcclone.evaluate.suite_result import suite_table

        with wings.open_pool(settings.scheduler, notify) as pool:
            result = evaluate_suite(arguments.models, settings, notify, pool, watch)
        print_result(arguments, result.figures(), "\n".join(suite_table(result)))
        if arguments.output is not None:
            from bcclone.pictures.score_files import write_suite

            paths = write_suite(arguments.output, result)
            for path in paths:
                notify(f"wrote {path}")
            show_report(arguments, paths[-1])
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    if arguments.output and (kept := arguments.output / _KEPT).exists():
        return f"{kept} keeps the finished drives; the same command drives the others"
    return "nothing was written"
