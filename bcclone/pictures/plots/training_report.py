"""A training and its pictures -> a report: on what, how well, what the network saw, what to run next."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bcclone.dataset.vehicle import FULL_LOCK_DEGREES
from bcclone.pictures.plot_list import PLOTS
from bcclone.pictures.report import Report, shown_command
from bcclone.train.training_state import TrainResult


def training_report(result: TrainResult, data: Sequence[str], pictures: Mapping[str, Path]) -> Report:
    """Return the report of a training. data: what it was trained on; pictures: name -> path of those drawn."""
    samples, seconds = result.samples, f"{result.seconds:,.0f} s"
    sentences = [
        f"The network was trained on {samples.train:,} samples of {' '.join(data)} for {result.epochs} epochs, in "
        f"{seconds} at {result.samples_per_second:,.0f} samples/s; {result.ended} ended it.",
        _describe_error(result),
        *_describe_more(result),
        "These errors do not tell whether the car stays on the road; a drive does, so score it next.",
    ]
    figures = [
        ("figure", "value"),
        ("epochs", f"{result.epochs}, the model is of epoch {result.epoch}"),
        ("training loss", f"{result.loss:.4f}"),
        ("validation loss", _number(result.val_loss)),
        ("validation error, mean absolute", _number(result.val_mae)),
        ("test loss", _number(result.test_loss)),
        ("samples", f"{samples.train:,} training, {samples.validation:,} validation, {samples.test:,} test"),
        ("speed", f"{result.samples_per_second:,.0f} samples/s, {result.data_wait_share:.1%} waiting for data"),
        ("time", seconds),
    ]
    shown = {plot.caption: pictures[plot.name] for plot in PLOTS if plot.caption and plot.name in pictures}
    return Report(f"Training of {result.model}", sentences, None, shown, figures, _commands(Path(result.model)))


def _describe_error(result: TrainResult) -> str:
    model = f"The model is that of epoch {result.epoch}"
    if result.val_loss is None or result.val_mae is None:
        return f"{model}: its training loss is {result.loss:.4f}; there were no validation samples."
    degrees = result.val_mae * FULL_LOCK_DEGREES
    return (
        f"{model}: on {result.samples.validation:,} validation samples its loss is {result.val_loss:.4f}, and its "
        f"steering is off its labels by {result.val_mae:.3f} on average, which is {degrees:.1f} degrees."
    )


def _describe_more(result: TrainResult) -> list[str]:
    """Return a sentence on the best epoch, if there were validation samples, and one on test samples."""
    sentences = []
    if result.val_loss is not None:
        more = ", the last one: more epochs may help" if result.best_epoch == result.epochs else f" of {result.epochs}"
        sentences.append(f"The validation loss was smallest in epoch {result.best_epoch}{more}.")
    if result.test_loss is not None:
        sentences.append(f"On {result.samples.test:,} test samples the model's loss is {result.test_loss:.4f}.")
    return sentences


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _commands(model: Path) -> Mapping[str, str]:
    return {
        "Score it in the built-in simulator": shown_command("evaluate", model, "-o", "score", "--run", "run1"),
        "Make a clip of that drive": shown_command("video", "run1", "--overlay"),
        "Let it drive the Udacity simulator": shown_command("drive", model, "run2"),
        "Drive with it in the browser, and take over": shown_command("play", "--model", model),
    }
