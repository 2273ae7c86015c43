"""Train the network on a store, or on recordings without one.

Each training writes settings, history, checkpoints, model and pictures into its own run folder, runs/NAME/. At the end
the model is copied to the output.
"""

import argparse
from pathlib import Path

from bcclone.commands.options import (
    add_output_options,
    add_settings,
    build,
    describe_unchanged,
    given,
    local_path,
    notify,
    print_json,
)
from bcclone.feed.augment.augment_settings import AugmentSettings
from bcclone.feed.feed_settings import STRATEGIES, FeedSettings
from bcclone.train.run_settings import SETTING_NAMES, RunSettings, read_settings
from bcclone.train.train_settings import NETWORKS, CheckpointSettings, TrainSettings
from bcclone.train.training_state import TrainResult

_TITLES = {
    "network": "\n".join(f"{name:<18} {text}" for name, text in NETWORKS.items()),
    "augmentation": "random changes to the samples, new ones in each epoch; 0 turns a kind off",
    "feed": "how samples are loaded; all feeds but hdf5, hdf5-chunks and shards give the same batches\n\n"
    + "\n".join(f"{name:<13} {text}" for name, text in STRATEGIES.items()),
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
    add_settings(parser, RunSettings)
    parser.add_argument(
        "--settings",
        type=local_path,
        metavar="FILE",
        help="read settings from this TOML file; options override them (default: none)",
    )
    for kind in (TrainSettings, AugmentSettings, FeedSettings, CheckpointSettings):
        add_settings(parser, kind, titles=_TITLES)
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, or resume a training; return the exit code."""
    from bcclone.cluster.shards import open_if_store
    from bcclone.train.run import run as run_training

    result = run_training(run_settings(arguments), notify, open_if_store)
    if arguments.json:
        print_json(result.as_json())
    elif result.worker:
        print(f"worker {result.worker}: trained up to epoch {result.epochs}; worker 0 writes {result.model}")
    elif not result.was_complete:
        _print_result(result)
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what Ctrl-C leaves behind."""
    return describe_unchanged(_output(arguments))


def run_settings(arguments: argparse.Namespace) -> RunSettings:
    """Return the settings that the options and the settings file choose; raises UserError."""
    values = read_settings(arguments.settings, _output(arguments)) if arguments.settings else {}
    values |= given(arguments, *SETTING_NAMES)
    files = given(arguments, "output", "start", "runs", "name", "resume", "force", "workers", "worker_index")
    return build(RunSettings.from_values, values, data=tuple(arguments.data), **files)


def _output(arguments: argparse.Namespace) -> Path:
    return arguments.output or RunSettings.output


def _print_result(result: TrainResult) -> None:
    val_loss = "none" if result.val_loss is None else f"{result.val_loss:.4f}"
    print(
        f"{result.model}: epoch {result.epoch} of {result.epochs}, val_loss {val_loss}, {result.samples.train} "
        f"training and {result.samples.validation} validation samples, {result.seconds:.1f} s, "
        f"{result.samples_per_second:.0f} samples/s; the run is in {result.run}\n"
        f"next: python drive.py {result.model} run1"
    )
