"""The options that shape a training; all default to None, so that a settings file, or the run resumed, is heard."""

import argparse
from pathlib import Path

from bcclone.commands.options import add_numbers
from bcclone.feed.settings import STRATEGIES
from bcclone.train.settings import AUGMENTED_ON, KEPT, LOSSES, NETWORKS, SCHEDULES, parse_duration


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Declare them, group by group; all but --settings bear the name of a setting."""
    parser.add_argument(
        "--settings", type=Path, metavar="FILE", help="settings in TOML, which options given here override"
    )
    _add_length(parser)
    _add_steps(parser)
    _add_choice(parser)
    _add_network(parser)
    _add_samples(parser)
    _add_augmentation(parser)
    _add_device(parser)
    _add_upkeep(parser)
    _add_feed(parser)


def _add_length(parser: argparse.ArgumentParser) -> None:
    """Add how long it trains."""
    add = parser.add_argument
    add("--epochs", type=int, help="passes over the training samples (40); 0: as many as --time allows")
    add(
        "--time",
        type=_duration,
        help="end after so long, for example 10m or 1h30m, validation included; the schedule is fitted to it "
        "(0: no limit)",
    )


def _add_steps(parser: argparse.ArgumentParser) -> None:
    """Add what a step is, and how the weights change in it."""
    add = parser.add_argument
    add("--batch-size", type=int, help="samples a step (32)")
    add("--learning-rate", type=float, help="of the AdamW optimizer, at its highest (0.001)")
    add(
        "--schedule",
        choices=SCHEDULES,
        help="how the learning rate falls to a hundredth of that, constant: not at all (cosine)",
    )
    add("--warmup", type=float, help="share of the training in which it rises to there (0.02)")
    add("--clip-norm", type=float, help="longest gradient; longer ones are shortened to it; 0: any (1)")
    add(
        "--weight-decay",
        type=float,
        help="share of each weight that a step takes away, times the learning rate; biases are left alone (0.1)",
    )
    add("--loss", choices=LOSSES, help="mean squared, mean absolute, or Huber's, linear beyond 0.1 (mse)")


def _add_choice(parser: argparse.ArgumentParser) -> None:
    """Add when it ends early, and which epoch's model is kept."""
    add = parser.add_argument
    add("--patience", type=int, help="stop after so many epochs without a better validation loss (0: never)")
    add(
        "--keep",
        choices=KEPT,
        help="the model of which epoch: the last, or the best, of least validation loss, which goes well "
        "with --patience (last)",
    )


def _add_network(parser: argparse.ArgumentParser) -> None:
    """Add which network is trained, and how many frames it is shown."""
    group = parser.add_argument_group("network", "\n".join(f"{name:<18} {text}" for name, text in NETWORKS.items()))
    names = ", ".join(NETWORKS)
    group.add_argument("--network", choices=NETWORKS, metavar="NAME", help=f"which of them: {names} (cnn)")
    group.add_argument(
        "--seq-length",
        type=int,
        metavar="N",
        help="how many consecutive frames of a camera the network is shown at a time, up to 20: stacked as channels, "
        "or one after the other to gru and lstm (1, and 5 for gru and lstm, unless the store was made for another)",
    )


def _add_samples(parser: argparse.ArgumentParser) -> None:
    """Add what the network is given, and what is left to chance."""
    add = parser.add_argument
    add(
        "--zero-share",
        type=float,
        help="largest share of an epoch's samples that go straight on, drawn anew for each epoch; 1: all there are (1)",
    )
    add("--seed", type=int, help="seed of weights, order, augmentation and dropout (0)")
    _add_flag(
        parser,
        "deterministic",
        "exactly the same weights each time on a GPU, too, at some cost; a CPU gives them anyway",
    )


def _add_augmentation(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "augmentation", "how samples are augmented, anew in each epoch; 0 turns a kind off"
    )
    _add_flag(group, "augment", "augment the samples, in another way in each epoch (on)")
    group.add_argument(
        "--augment-on",
        choices=AUGMENTED_ON,
        help="where: on the cpu, by --workers threads, while the network trains; or on the device that trains, as the "
        "first part of a step (auto: the device if it is a GPU)",
    )
    add_numbers(
        group,
        ("shift-m", "M", "largest sideways shift of the camera, with the steering that brings it back (0.8)"),
        ("turn-degrees", "DEGREES", "random yaw of the camera, standard deviation, likewise (5)"),
        ("pitch-degrees", "DEGREES", "random pitch of the camera, standard deviation (0.7)"),
        ("look", "X", "strength of changes in brightness, contrast, colour and haze (2)"),
        ("shadows", "SHARE", "share of samples that get shadows (0.5)"),
        ("blur", "SHARE", "share of samples that are blurred (0.2)"),
        ("noise", "SHARE", "share of samples that get the noise of a bad JPEG (0.2)"),
        ("patches", "SHARE", "share of samples that get something in front of the lens (0.8)"),
    )


def _add_device(parser: argparse.ArgumentParser) -> None:
    device = parser.add_argument_group("device")
    _add_flag(
        device,
        "mixed-precision",
        "compute in 16 bits where that is safe; faster on GPUs with tensor cores, slower on CPUs",
    )
    device.add_argument("--gpus", type=parse_gpus, metavar="N", help="GPUs that share each batch: a number, or all (1)")
    device.add_argument(
        "--gpu-memory", type=int, metavar="MB", help="take no more of each GPU (0: as much as it comes to need)"
    )


def _add_upkeep(parser: argparse.ArgumentParser) -> None:
    upkeep = parser.add_argument_group("what is kept")
    upkeep.add_argument(
        "--checkpoint-minutes",
        type=float,
        metavar="M",
        help="minutes between checkpoints; one is written after each epoch, too (1)",
    )
    upkeep.add_argument("--checkpoint-steps", type=int, metavar="N", help="or steps between them (0: by the clock)")
    _add_flag(upkeep, "tensorboard", "write the figures for TensorBoard into the run folder, too")
    _add_flag(upkeep, "plots", "draw pictures at the end (on)")


def _add_feed(parser: argparse.ArgumentParser) -> None:
    feed = parser.add_argument_group(
        "feed",
        "how the samples reach the network; all but hdf5 and hdf5-chunks give the same batches\n\n"
        + "\n".join(f"{name:<13} {text}" for name, text in STRATEGIES.items()),
    )
    feed.add_argument("--feed", choices=STRATEGIES, metavar="NAME", help="one of those (what suits store and memory)")
    feed.add_argument("--chunk-size", type=int, help="samples that hdf5-chunks shuffles together (16384)")
    feed.add_argument(
        "--workers",
        type=int,
        help="threads that augment on the CPU (0: one for every two cores); and, in the feeds files, workers, sequence "
        "and tf-data, processes or threads that fetch (0: what suits the feed)",
    )
    feed.add_argument("--max-queue-size", type=int, help="batches fetched ahead (0: what suits the feed)")
    _add_flag(feed, "multiprocessing", "sequence: processes instead of threads")


def _add_flag(parser: argparse._ActionsContainer, name: str, text: str) -> None:
    parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=None, help=text)


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_gpus(text: str) -> int:
    """Return how many GPUs are meant, 0 for all; raises ArgumentTypeError for what is no number."""
    try:
        return 0 if text.lower() == "all" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number or all") from None
