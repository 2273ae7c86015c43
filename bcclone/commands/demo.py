"""Run the whole workflow without the simulator: record laps, preprocess, train, drive and score a lap, make the clips.

Steps that are complete in the folder are skipped; remove the folder to start again.
"""

import argparse

from bcclone.commands.options import add_browser, add_settings, chosen, notify, print_result, show_report
from bcclone.demo import DemoSettings, run_demo, show_result

SUMMARY = "record, train and drive, without the simulator"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_settings(parser, DemoSettings)
    add_browser(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; return exit code 1 when the car needed an intervention."""
    settings = chosen(DemoSettings, arguments)
    result = run_demo(settings, notify)
    print_result(arguments, result.as_json(), "\n" + "\n".join(show_result(result)))
    show_report(arguments, result.page)
    return int(not result.on_the_road)


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    return "completed steps are kept; the same command continues with the next one"
