"""Train the network on a store, or directly on recordings.

Each training writes settings, history, checkpoints, model and pictures into its own run folder, runs/NAME/. At the end
the model is copied to the output.
"""

import argparse
from pathlib import Path
from typing import Any

from bcclone.commands import wings
from bcclone.commands.options import (
    add_settings,
    chosen,
    describe_unchanged,
    given_for,
    list_of,
    local_path,
    notify,
    print_json,
)
from bcclone.feed.feed_settings import STRATEGIES
from bcclone.train.settings_file import read_settings
from bcclone.train.train_settings import NETWORKS, SETTING_NAMES, RunFiles, TrainSettings
from bcclone.train.training_state import TrainResult

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
    parser.add_argument(
        "--settings",
        type=local_path,
        metavar="FILE",
        help="read settings from this TOML file; options override them (default: none)",
    )
    parser.add_argument("--no-plots", action="store_true", help="do not draw the pictures of bcclone plots at the end")
    add_settings(parser, TrainSettings, titles=_TITLES)
    wings.add_workers(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, or resume a training; return the exit code."""
    result = _train(arguments)
    if result is None:  # a worker that writes nothing
        return 0
    if not (arguments.no_plots or result.was_complete):
        _draw_pictures(result, arguments)
    if arguments.json:
        print_json(result.as_json())
    elif not result.was_complete:
        _print_result(result)
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what Ctrl-C leaves behind."""
    return describe_unchanged(_output(arguments))


def chosen_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the options and the settings file choose, by name; raises UserError."""
    values = read_settings(arguments.settings, _output(arguments)) if arguments.settings else {}
    options = given_for(TrainSettings, arguments)
    return values | {name: options[name] for name in SETTING_NAMES if name in options}


def _train(arguments: argparse.Namespace) -> TrainResult | None:
    """Train, alone or as one of several workers; return None for a worker that writes nothing."""
    values = chosen_settings(arguments)
    settings = None if arguments.resume else TrainSettings(**given_for(RunFiles, arguments), **values)
    trainer = wings.find_trainer(arguments, values.get("gpus", 1))
    if settings:
        return trainer.run(settings, notify, wings.open_store)
    return trainer.resume(chosen(RunFiles, arguments), values, notify, wings.open_store)


def _output(arguments: argparse.Namespace) -> Path:
    return arguments.output or RunFiles.output


def _draw_pictures(result: TrainResult, arguments: argparse.Namespace) -> None:
    """Draw the pictures of the run's model; an error is reported and does not fail the training."""
    from bcclone.pictures.plots.all_pictures import draw_all
    from bcclone.pictures.plots.plot_settings import PlotSettings

    model = result.run / "model.h5"
    try:
        draw_all(PlotSettings(model, tuple(arguments.data), result.run / "plots"), open_store=wings.open_store)
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        notify(
            f"note: not all pictures could be drawn: {reason}; try: bcclone plots {model} {' '.join(arguments.data)}"
        )


def _print_result(result: TrainResult) -> None:
    val_loss = "none" if result.val_loss is None else f"{result.val_loss:.4f}"
    print(
        f"{result.model}: epoch {result.epoch} of {result.epochs}, val_loss {val_loss}, {result.samples.train} "
        f"training and {result.samples.validation} validation samples, {result.seconds:.1f} s, "
        f"{result.samples_per_second:.0f} samples/s; the run is in {result.run}\n"
        f"next: python drive.py {result.model} run1"
    )
