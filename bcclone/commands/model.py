"""Train the network on a store, or on recordings without one.

Each training keeps a folder of its own, runs/NAME/, with its settings, history, checkpoint and best model;
the best model is copied from there to -o.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone import atomic
from bcclone.commands.options import add_json, build, given, print_json, say
from bcclone.errors import UserError
from bcclone.feed.settings import STRATEGIES, FeedSettings
from bcclone.train.run_folder import RunFolder, Task, new_path
from bcclone.train.settings import TrainSettings

if TYPE_CHECKING:
    from bcclone.feed.opening import TrainingData

_FEED_OPTIONS = ("feed", "chunk_size", "workers", "max_queue_size", "multiprocessing")
_OPTIONS = ("batch_size", "epochs", "learning_rate", "patience", "seed", "seq_length", "deterministic")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those that shape training default to None, so that --resume can take the run's."""
    parser.add_argument(
        "data",
        nargs="*",
        metavar="STORE",
        default=["data.h5"],
        help="what preprocess.py made (data.h5); or recordings: folders or logs, read with --feed files",
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("model.h5"), help="the model to write (model.h5)")
    parser.add_argument("--epochs", type=int, help="passes over the training samples (10)")
    parser.add_argument("--batch-size", type=int, help="samples a step (32)")
    parser.add_argument("--seq-length", type=int, metavar="N", help="train on windows of N consecutive frames (1)")
    parser.add_argument("--learning-rate", type=float, help="of the Adam optimizer (0.0003)")
    parser.add_argument(
        "--patience", type=int, help="stop after so many epochs without a better validation loss (0: never)"
    )
    parser.add_argument("--seed", type=int, help="seed of weights, order and dropout (0)")
    parser.add_argument(
        "--deterministic", action="store_true", default=None, help="exactly the same result each time, at some cost"
    )
    _add_feed(parser)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the run folders lie (runs)")
    parser.add_argument("--name", help="name of the run folder (date and time)")
    parser.add_argument("--resume", action="store_true", help="continue the newest run of this store and output")
    parser.add_argument("--force", action="store_true", help="write over an existing model")
    add_json(parser)


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
    feed.add_argument(
        "--multiprocessing", action="store_true", default=None, help="sequence: processes instead of threads"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train, or resume a training; return the exit code."""
    from bcclone.feed.opening import check_feed
    from bcclone.feed.selection import describe_windows

    _check_output_name(arguments)
    with _opened(arguments.data) as data:
        task = Task(str(data.path.resolve()), data.content_hash, str(arguments.output.resolve()))
        folder = RunFolder.find(arguments.runs, task, arguments.name) if arguments.resume else None
        if arguments.resume and folder is None:
            say(f"note: {arguments.runs} holds no run of {data.path} for {arguments.output}; starting afresh")
        _check_output(arguments, folder)
        feed = _resumed_feed(arguments, folder) if folder else _new_feed(arguments, data)
        check_feed(data, feed)
        settings = _resumed_settings(arguments, folder) if folder else _new_settings(arguments)
        if settings.seq_length > 1:
            say(f"note: {describe_windows(data, settings.seq_length)}")
        if folder and (done := folder.result):
            return _already_complete(arguments, folder, done)
        folder, result = _train(arguments, data, folder, task, settings, feed)
    if arguments.json:
        print_json(result)
    else:
        val_loss = "none" if result["val_loss"] is None else f"{result['val_loss']:.4f}"
        print(
            f"{result['model']}: the best of {result['epochs']} epochs is {result['best_epoch']}, val_loss {val_loss}, "
            f"{result['samples_per_second']:.0f} samples/s; the run is in {folder.path}\n"
            f"next: python drive.py {arguments.output} run1"
        )
    return 0


@contextmanager
def _opened(paths: list[str]) -> Iterator["TrainingData"]:
    """Open a store, or recordings whose images are read where they are."""
    from bcclone.images import Preprocessing
    from bcclone.preprocess import open_in_place
    from bcclone.samples import SampleSettings
    from bcclone.store import Store

    if len(paths) == 1 and not Path(paths[0]).is_dir() and Path(paths[0]).suffix != ".csv":
        with Store(Path(paths[0])) as store:
            yield store
        return
    samples, plan = open_in_place(tuple(paths), Preprocessing(), SampleSettings())
    for notice in plan.notices:
        say(f"note: {notice}")
    for skip in plan.skips:
        say(f"skipped: {skip.file}, row {skip.row}: {skip.reason}")
    yield samples


def _train(
    arguments: argparse.Namespace,
    data: "TrainingData",
    folder: RunFolder | None,
    task: Task,
    settings: TrainSettings,
    feed: FeedSettings,
) -> tuple[RunFolder, dict[str, Any]]:
    """Train in the folder of the run that is resumed, or in a new one; return it and the result."""
    from bcclone.tensorflow_quietly import load_tensorflow

    device = load_tensorflow()
    from bcclone.train.loop import prepare, train

    trainer = prepare(data, settings)
    if folder:
        say(f"resuming {folder.path} on {device}, feed {feed.feed}")
    else:
        path = new_path(arguments.runs, arguments.name)
        folder = RunFolder.create(path, task, settings, feed, arguments.force)
        say(f"training on {device}; the run is in {folder.path}")
    try:
        return folder, train(trainer, data, feed, folder, arguments.output, say)
    except KeyboardInterrupt:
        kept = f"the best model so far is {folder.best_model}; " if folder.best_model.exists() else ""
        raise KeyboardInterrupt(f"{kept}continue with the same command and --resume") from None


def _new_feed(arguments: argparse.Namespace, data: "TrainingData") -> FeedSettings:
    """Return the feed that was asked for, or the one that suits the samples, which is said."""
    from bcclone.feed.opening import choose_feed

    chosen = given(arguments, *_FEED_OPTIONS)
    if "feed" not in chosen:
        chosen["feed"], why = choose_feed(data)
        say(f"feed: {chosen['feed']} ({why}); choose another with --feed")
    return build(FeedSettings, **chosen)


def _resumed_feed(arguments: argparse.Namespace, folder: RunFolder) -> FeedSettings:
    """Return the run's feed, or another that gives the samples in the same order."""
    stored = folder.feed
    wanted: FeedSettings = build(replace, stored, **given(arguments, *_FEED_OPTIONS))
    if wanted.ordering != stored.ordering:
        raise UserError(
            f"{folder.path} was begun with --feed {stored.feed} --chunk-size {stored.chunk_size}; --feed {wanted.feed} "
            f"--chunk-size {wanted.chunk_size} gives the samples in another order: leave them out to resume the run, "
            "or leave out --resume"
        )
    return wanted


def _new_settings(arguments: argparse.Namespace) -> TrainSettings:
    return build(TrainSettings, **given(arguments, *_OPTIONS))


def _resumed_settings(arguments: argparse.Namespace, folder: RunFolder) -> TrainSettings:
    """Return the run's settings; of the options given anew, only more epochs may differ from them."""
    stored = folder.settings
    wanted: TrainSettings = build(replace, stored, **given(arguments, *_OPTIONS))
    if replace(wanted, epochs=stored.epochs) != stored:
        raise UserError(
            f"{folder.path} was begun with other options; leave them out to resume it, or leave out --resume:\n"
            f"  begun with: {stored}\n  given:      {wanted}"
        )
    if wanted.epochs > stored.epochs:
        folder.extend(wanted.epochs)
        return wanted
    return stored


def _already_complete(arguments: argparse.Namespace, folder: RunFolder, result: dict[str, Any]) -> int:
    if not folder.has_published(arguments.output):
        folder.publish(arguments.output)
    say(
        f"{folder.path} is complete already: {result['epochs']} epochs, the best is {result['best_epoch']}, in "
        f"{arguments.output}; train on with more --epochs, or anew without --resume"
    )
    if arguments.json:
        print_json(result)
    return 0


def _check_output_name(arguments: argparse.Namespace) -> None:
    if arguments.output.suffix != ".h5":
        raise UserError(f"{arguments.output}: a model's name must end in .h5")
    if arguments.output.resolve() in [Path(path).resolve() for path in arguments.data]:
        raise UserError(f"{arguments.output} is the store itself; name another -o")


def _check_output(arguments: argparse.Namespace, folder: RunFolder | None) -> None:
    """Refuse to write over what is no model, or, without leave, over a model that is not this run's."""
    from bcclone.store import root_attributes

    if "schema_version" in root_attributes(arguments.output):
        raise UserError(f"{arguments.output} is a store; name another -o")
    leave = arguments.force or (folder and (folder.may_overwrite or folder.has_published(arguments.output)))
    atomic.check_output(arguments.output, bool(leave), "write over it with --force, or name another -o")
