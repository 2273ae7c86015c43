"""Train the network on a store, or directly on recordings.

Each training writes settings, history, checkpoints, model, pictures and a report into its own run folder, runs/NAME/.
At the end the model is copied to the output.
"""

import argparse
from pathlib import Path
from typing import Any

from bcclone.commands import wings
from bcclone.commands.options import (
    add_browser,
    add_settings,
    add_settings_file,
    chosen,
    describe_unchanged,
    given_for,
    list_of,
    notify,
    print_result,
    show_report,
)
from bcclone.feed.feed_settings import STRATEGIES
from bcclone.train.settings_file import read_settings
from bcclone.train.train_settings import NETWORKS, SETTING_NAMES, RunFiles, TrainSettings

SUMMARY = "train a network on a store"
_TITLES = {
    "network": list_of(NETWORKS),
    "augmentation": "random changes to the samples, new ones in each epoch; 0 turns a kind off",
    "feed": "how samples are loaded; all feeds that shuffle the whole store give the same batches\n\n"
    + list_of({name: strategy.text for name, strategy in STRATEGIES.items()}),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "data",
        nargs="*",
        metavar="STORE",
        default=["data.h5"],
        help="store that preprocess.py wrote, or recordings (folders or logs), which --feed files reads (default: "
        "data.h5)",
    )
    parser.add_argument("--resume", action="store_true", help="continue the newest run with this store and output")
    add_settings_file(parser)
    parser.add_argument("--no-plots", action="store_true", help="draw no pictures and write no report at the end")
    add_browser(parser)
    add_settings(parser, TrainSettings, titles=_TITLES)
    wings.add_workers(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, or resume a training; return the exit code."""
    values = chosen_settings(arguments)
    settings = None if arguments.resume else TrainSettings(**given_for(RunFiles, arguments), **values)
    with wings.open_worker(arguments, values, notify) as worker:
        from bcclone.train import run as training

        if settings:
            result = training.run(settings, notify, wings.open_if_store, worker)
        else:
            result = training.resume(chosen(RunFiles, arguments), values, notify, wings.open_if_store, worker)
    if not worker.writes:
        return 0
    report = None
    if not (arguments.no_plots or result.was_complete):
        from bcclone.pictures.plots.all_pictures import draw_training

        report = draw_training(result, arguments.data, notify, wings.open_if_store)
    if arguments.json or not result.was_complete:  # else a notice has described it
        print_result(arguments, result.as_json(), result.as_text())
    if report:
        notify(f"wrote {report}")
        show_report(arguments, report)
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what Ctrl-C leaves behind."""
    return describe_unchanged(_output(arguments))


def chosen_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the options and the settings file choose, by name; raises UserError."""
    values = read_settings(arguments.settings, _output(arguments)) if arguments.settings else {}
    options = given_for(TrainSettings, arguments)
    return values | {name: options[name] for name in SETTING_NAMES if name in options}


def _output(arguments: argparse.Namespace) -> Path:
    return arguments.output or RunFiles.output
