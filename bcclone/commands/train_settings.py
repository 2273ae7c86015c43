"""Options and a settings file -> what a training is told, for a new run or for one that is resumed."""

import argparse
import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from bcclone.commands.options import add_numbers, build, differences, given
from bcclone.errors import UserError
from bcclone.feed.settings import STRATEGIES, FeedSettings
from bcclone.train.run_folder import RunFolder
from bcclone.train.settings import KEPT, LOSSES, SCHEDULES, TrainSettings, UpkeepSettings, parse_duration

_FEED = ("feed", "chunk_size", "workers", "max_queue_size", "multiprocessing")
_TRAIN = tuple(field.name for field in fields(TrainSettings))
_UPKEEP = tuple(field.name for field in fields(UpkeepSettings))
_KINDS = (TrainSettings, UpkeepSettings, FeedSettings)
_TYPES = {field.name: field.type for kind in _KINDS for field in fields(kind) if field.name != "start_method"}
_EXPECTED = {int: "a whole number", float: "a number", str: "a text in quotes", bool: "true or false"}
_LIMITS = ("epochs", "time", "patience")


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Declare what shapes a training; all default to None, so that a settings file, or the run resumed, is heard."""
    add = parser.add_argument
    add("--settings", type=Path, metavar="FILE", help="settings in TOML, which options given here override")
    add("--epochs", type=int, help="passes over the training samples (40); 0: as many as --time allows")
    add(
        "--time",
        type=_duration,
        help="end after so long, for example 10m or 1h30m, validation included; the schedule is fitted to it "
        "(0: no limit)",
    )
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
    add("--patience", type=int, help="stop after so many epochs without a better validation loss (0: never)")
    add(
        "--keep",
        choices=KEPT,
        help="the model of which epoch: the last, or the best, of least validation loss, which goes well "
        "with --patience (last)",
    )
    add(
        "--zero-share",
        type=float,
        help="largest share of an epoch's samples that go straight on, drawn anew for each epoch; 1: all there are (1)",
    )
    add(
        "--seq-length",
        type=int,
        metavar="N",
        help="how many consecutive frames of a camera the network is given, up to 20; drive.py keeps as many "
        "of the drive (1)",
    )
    add("--seed", type=int, help="seed of weights, order, variations and dropout (0)")
    _add_flag(
        parser,
        "deterministic",
        "exactly the same weights each time on a GPU, too, at some cost; a CPU gives them anyway",
    )
    _add_augmentation(parser)
    device = parser.add_argument_group("device")
    _add_flag(
        device,
        "mixed-precision",
        "compute in 16 bits where that is safe; faster on GPUs with tensor cores, slower on CPUs",
    )
    device.add_argument("--gpus", type=_gpus, metavar="N", help="GPUs that share each batch: a number, or all (1)")
    device.add_argument(
        "--gpu-memory", type=int, metavar="MB", help="take no more of each GPU (0: as much as it comes to need)"
    )
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
    _add_feed(parser)


def _add_flag(parser: argparse._ActionsContainer, name: str, text: str) -> None:
    parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=None, help=text)


def _add_augmentation(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("augmentation", "how samples are varied, anew in each epoch; 0 is not at all")
    _add_flag(group, "augment", "vary the samples, in another way in each epoch (on)")
    add_numbers(
        group,
        ("shift-m", "M", "the camera is moved aside by up to so much, with the steering that brings it back (0.8)"),
        ("turn-degrees", "DEGREES", "and turned aside: standard deviation (5)"),
        ("pitch-degrees", "DEGREES", "and nods: standard deviation (0.7)"),
        ("look", "X", "strength of changes in brightness, contrast, colour and haze (2)"),
        ("shadows", "SHARE", "of the samples that get shadows (0.5)"),
        ("blur", "SHARE", "that are unsharp (0.2)"),
        ("noise", "SHARE", "that have the noise of a bad JPEG (0.2)"),
        ("patches", "SHARE", "that have something before the lens (0.8)"),
    )


def _add_feed(parser: argparse.ArgumentParser) -> None:
    feed = parser.add_argument_group(
        "feed",
        "how the samples reach the network; all but hdf5 and hdf5-chunks give the same batches\n\n"
        + "\n".join(f"{name:<13} {text}" for name, text in STRATEGIES.items()),
    )
    feed.add_argument("--feed", choices=STRATEGIES, metavar="NAME", help="one of those (what suits store and memory)")
    feed.add_argument("--chunk-size", type=int, help="samples that hdf5-chunks shuffles together (16384)")
    feed.add_argument("--workers", type=int, help="processes or threads that fetch (0: what suits the feed)")
    feed.add_argument("--max-queue-size", type=int, help="batches fetched ahead (0: what suits the feed)")
    _add_flag(feed, "multiprocessing", "sequence: processes instead of threads")


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _gpus(text: str) -> int:
    try:
        return 0 if text.lower() == "all" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number or all") from None


@dataclass(frozen=True)
class Wanted:
    """The settings that were asked for, by the settings file or, before it, by options; the rest is left open."""

    values: Mapping[str, Any]

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> "Wanted":
        """Read the options and the settings file; raises UserError for a file that is wrong."""
        stored = _read(arguments.settings) if arguments.settings else {}
        return cls(stored | given(arguments, *_FEED, *_TRAIN, *_UPKEEP))

    def _of(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: self.values[name] for name in names if name in self.values}

    @property
    def upkeep(self) -> UpkeepSettings:
        """Return what is kept of the training; a resume need not keep the same."""
        return build(UpkeepSettings, **self._of(_UPKEEP))

    def feed(self, suits: str) -> FeedSettings:
        """Return the feed of a new run. suits: the strategy where none was asked for."""
        return build(FeedSettings, **({"feed": suits} | self._of(_FEED)))

    def new(self) -> TrainSettings:
        """Return the settings of a new run."""
        return build(TrainSettings, **self._of(_TRAIN))

    def resumed_feed(self, folder: RunFolder) -> FeedSettings:
        """Return the run's feed, or another that gives the samples in the same order."""
        stored = folder.feed
        wanted: FeedSettings = build(replace, stored, **self._of(_FEED))
        if wanted.ordering != stored.ordering:
            raise UserError(
                f"{folder.path} was begun with --feed {stored.feed} --chunk-size {stored.chunk_size}; --feed "
                f"{wanted.feed} --chunk-size {wanted.chunk_size} gives the samples in another order: leave them out to "
                "resume the run, or leave out --resume"
            )
        return wanted

    def resumed(self, folder: RunFolder) -> TrainSettings:
        """Return the run's settings, with the limits that were asked for anew; nothing else may differ."""
        stored = folder.settings
        wanted: TrainSettings = build(replace, stored, **self._of(_TRAIN))
        if any(value != getattr(stored, name) for name, value in asdict(wanted).items() if name not in _LIMITS):
            raise UserError(
                f"{folder.path} was begun with other options; leave them out to resume it, or leave out --resume:"
                f"{differences(stored, wanted)}"
            )
        return wanted


def resolved(settings: TrainSettings, feed: FeedSettings, upkeep: UpkeepSettings) -> dict[str, Any]:
    """Return all settings by the names of their options, as a settings file has them."""
    chosen = {name: getattr(feed, name) for name in _FEED}
    values = asdict(settings) | chosen | asdict(upkeep)
    return {name.replace("_", "-"): value for name, value in values.items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path}: cannot read the settings: {error.strerror}; name another --settings") from None
    except (ValueError, RecursionError) as error:  # both of TOML and of UTF-8
        raise UserError(f"{path}: not a settings file: {error}; expected lines such as learning-rate = 0.001") from None
    values: dict[str, Any] = {}
    for key, value in stored.items():
        name = _known(path, key)
        if name in values:
            raise UserError(f"{path}: {key} is there twice, with dashes and with underscores")
        values[name] = _checked(path, key, name, value)
    try:
        for kind in _KINDS:
            kind(**{field.name: values[field.name] for field in fields(kind) if field.name in values})
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    return values


def _known(path: Path, key: str) -> str:
    """Return the name of the setting that is meant."""
    name = key.replace("-", "_")
    if name not in _TYPES:
        known = [known.replace("_", "-") for known in (*_TRAIN, *_UPKEEP, *_FEED)]
        near = difflib.get_close_matches(key.replace("_", "-"), known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        raise UserError(f"{path}: no setting is called {key!r}; {hint}")
    return name


def _checked(path: Path, key: str, name: str, value: Any) -> Any:
    """Return a setting's value, of the right type."""
    try:
        if name == "time" and isinstance(value, str):
            return parse_duration(value)
        if name == "gpus" and isinstance(value, str):
            return _gpus(value)
        if _TYPES[name] is float and type(value) is int:
            return float(value)
    except (ValueError, OverflowError, argparse.ArgumentTypeError) as error:
        raise UserError(f"{path}: {key}: {error}") from None
    if type(value) is not _TYPES[name]:
        form = ', or a text such as "10m"' if name == "time" else ""
        raise UserError(f"{path}: {key} is {str(value)[:60]!r}, expected {_EXPECTED[_TYPES[name]]}{form}")  # type: ignore[index]
    return value
