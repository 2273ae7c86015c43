"""The options that shape a training; all default to None, so that a settings file or a resumed run can set them."""

import argparse
from pathlib import Path

from bcclone.commands.options import add_settings
from bcclone.feed.settings import STRATEGIES, FeedSettings
from bcclone.train.settings import NETWORKS, CheckpointSettings, TrainSettings

_TITLES = {
    "network": "\n".join(f"{name:<18} {text}" for name, text in NETWORKS.items()),
    "augmentation": "how samples are augmented, differently in each epoch; 0 turns a kind off",
    "feed": "how the samples reach the network; all but hdf5 and hdf5-chunks give the same batches\n\n"
    + "\n".join(f"{name:<13} {text}" for name, text in STRATEGIES.items()),
}


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Declare them, group by group; all but --settings bear the name of a setting."""
    parser.add_argument(
        "--settings", type=Path, metavar="FILE", help="read settings from this TOML file; options override them"
    )
    for kind in (TrainSettings, FeedSettings, CheckpointSettings):
        add_settings(parser, kind, titles=_TITLES)
