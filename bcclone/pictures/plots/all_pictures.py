"""Draw all pictures of a model: a model file, with its samples -> PNGs in a folder.

After a training, also write a report: what the network was trained on, how well it answers, what it
sees, and what to run next.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.camera.vehicle import FULL_LOCK_DEGREES
from bcclone.dataset.conversion import open_samples
from bcclone.feed.feed_settings import AugmentSettings
from bcclone.pictures.plot_settings import PlotSettings
from bcclone.pictures.plots.subject import NotDrawn, Subject
from bcclone.pictures.report import REPORT_NAME, next_commands, write_report
from bcclone.system.errors import UserError, first_line, shown_command
from bcclone.system.files import PICTURE, check_output, make_folder
from bcclone.system.process import Notify
from bcclone.system.tensorflow_quietly import load_tensorflow, onednn_for_batches
from bcclone.system.values import names_of
from bcclone.training.result import TrainResult
from bcclone.training.run import START_NAME
from bcclone.training.training_state import read_history

# name of a picture -> its caption in the report of a training, which leaves out the others
_CAPTIONS = {
    "history": "The losses and errors of each epoch",
    "crop": "What the network sees of a frame",
    "steering": "The steering of the training samples",
    "samples": "Samples as they are fed, before and after augmentation",
    "saliency": "Where the network looks: the pixels that its steering depends on most",
    "predictions": "The network's steering beside the recorded steering and the labels",
}


def _plots() -> dict[str, Callable[[Subject, Path], None]]:
    """Return the function that draws each picture."""
    # they load Keras, whose settings load_tensorflow() chooses
    from bcclone.pictures.plots import model_pictures, training_pictures
    from bcclone.pictures.plots.network_diagram import plot_network

    return {
        "history": training_pictures.plot_history,
        "crop": model_pictures.plot_crop,
        "recovery-frames": training_pictures.plot_recovery_frames,
        "steering": training_pictures.plot_steering,
        "samples": training_pictures.plot_samples,
        "activations": model_pictures.plot_activations,
        "saliency": model_pictures.plot_saliency,
        "predictions": model_pictures.plot_predictions,
        "network": plot_network,
    }


@dataclass(frozen=True)
class PlotResult:
    """The pictures in a folder."""

    folder: Path
    pictures: Mapping[str, Path | str]  # name of a picture -> its path, or why it was not drawn
    notes: tuple[str, ...] = ()  # what the user should know about the pictures

    @property
    def drawn(self) -> dict[str, Path]:
        return {name: path for name, path in self.pictures.items() if isinstance(path, Path)}

    def as_json(self) -> dict[str, Any]:
        drawn = {name: str(path) for name, path in self.drawn.items()}
        skipped = {name: reason for name, reason in self.pictures.items() if name not in drawn}
        return {"output": str(self.folder), "drawn": drawn, "skipped": skipped}


def draw_pictures(
    subject: Subject, folder: Path, only: Collection[str] = ()
) -> dict[str, Path | str]:
    """Draw all pictures, or only the named ones, into an existing folder.

    Return name of a picture -> its path, or why it was not drawn.
    """
    pictures: dict[str, Path | str] = {}
    for name, draw in _plots().items():
        if only and name not in only:
            continue
        path = folder / f"{name}.png"
        try:
            check_output(path, PICTURE, force=True)
            draw(subject, path)
            pictures[name] = path
        except (NotDrawn, UserError) as error:
            pictures[name] = str(error)
    return pictures


def plot(settings: PlotSettings, notify: Notify = lambda line: None) -> PlotResult:
    """Draw the pictures of a model.

    A picture that the model or its samples do not allow is left out, with a reason. Raises
    UserError for a file that is no model, for samples that cannot be read, and for a folder that
    cannot be created.

    notify: called with a line for each log that was read
    """
    load_tensorflow(onednn=onednn_for_batches())
    from bcclone.model.model_file import load_model

    with open_samples(settings.data, notify) if settings.data else nullcontext() as data:
        file = load_model(settings.model, settings.preprocess)
        # in the run folder of its training, a model has its history; start.h5 is of another one
        log = settings.model.with_name("history.csv")
        has_history = log.is_file() and settings.model.name != START_NAME
        history = read_history(log) if has_history else []
        folder = settings.output or settings.model.with_name(
            "plots" if has_history else f"{settings.model.stem}-plots"
        )
        make_folder(folder, "another --output")

        # the samples are shown as the training took them, as far as the model file states it
        stated = file.training.settings
        augmented = {name: stated[name] for name in names_of(AugmentSettings) if name in stated}
        augment = AugmentSettings(**{"augment": False} | augmented)
        zero_fraction = settings.zero_fraction
        if zero_fraction is None:
            zero_fraction = stated.get("zero_fraction", 1.0)
        subject = Subject(file, data, history, float(zero_fraction), augment)
        pictures = draw_pictures(subject, folder, settings.only)

        notes = []
        trained_on = file.training.store_content_hash
        if data and trained_on and data.content_hash != trained_on:
            notes.append(f"{data.path} is not what the model was trained on, or has changed since")
        return PlotResult(folder, pictures, tuple(notes))


def draw_training(
    result: TrainResult,
    data: Sequence[str],
    notify: Notify = lambda line: None,
) -> Path | None:
    """Draw the pictures of a training, and write its report into its run folder.

    Return the report's path. An error is told in a note, since the training itself has not failed;
    then None is returned.

    data: what the model was trained on, a store or recordings
    """
    model = result.run / "model.h5"
    report = result.run / REPORT_NAME
    try:
        drawn = plot(PlotSettings(model, tuple(data), result.run / "plots")).drawn
        write_training_report(report, result, data, drawn)
    except Exception as error:
        again = shown_command("plots", model, *data)
        notify(f"note: not all pictures could be drawn: {first_line(error)}; try: {again}")
        return None
    return report


def write_training_report(
    path: Path, result: TrainResult, data: Sequence[str], pictures: Mapping[str, Path]
) -> None:
    """Write the report of a training.

    data: what the model was trained on, a store or recordings
    pictures: name -> path, for the pictures that were drawn
    """
    samples = result.samples
    sentences = [
        f"The network was trained on {samples.train:,} samples of {' '.join(data)} for "
        f"{result.epochs} epochs, in {result.seconds:,.0f} s at "
        f"{result.samples_per_second:,.0f} samples/s; {result.ended} ended it.",
        f"The model is {result.origin}: {_describe_error(result)}.",
    ]
    if result.note:
        sentences.append(f"{result.note[0].upper()}{result.note[1:]}.")
    sentences.append(
        "These errors do not tell whether the car stays on the road; a drive does, "
        "so score it next."
    )
    shown = {caption: pictures[name] for name, caption in _CAPTIONS.items() if name in pictures}
    commands = next_commands(result.model, "evaluate drive play")
    commands["Make a clip of the drive"] = shown_command("video", "run1", "--overlay")
    write_report(
        path,
        f"Training of {result.model}",
        sentences,
        pictures=shown,
        figures=_figures_of(result),
        commands=commands,
    )


def _describe_error(result: TrainResult) -> str:
    if result.val_loss is None or result.val_mae is None:
        unknown = "there were no validation samples"
        if result.loss is None:  # the model is not the trained one
            return unknown
        return f"its training loss is {result.loss:.4f}; {unknown}"
    more = f" of {result.epochs}"
    if result.best_epoch == result.epochs:
        more = ", the last one: more epochs may help"
    degrees = result.val_mae * FULL_LOCK_DEGREES
    return (
        f"on {result.samples.validation:,} validation samples its loss is {result.val_loss:.4f}, "
        f"and its steering is off its labels by {result.val_mae:.3f} on average, "
        f"which is {degrees:.1f} degrees. "
        f"The validation loss was smallest in epoch {result.best_epoch}{more}"
    )


def _figures_of(result: TrainResult) -> list[tuple[str, str]]:
    """Return the rows of the report's table, its heading first."""
    figures = [
        ("figure", "value"),
        ("epochs", f"{result.epochs}, the model is {result.origin}"),
    ]
    losses = {
        "training loss": result.loss,
        "validation loss": result.val_loss,
        "validation error, mean absolute": result.val_mae,
        "test loss": result.test_loss,
    }
    for name, loss in losses.items():
        figures.append((name, "none" if loss is None else f"{loss:.4f}"))
    _, *table_rows = result.table.cells()  # without the heading
    for name, loss_text, mae, r, side in table_rows:
        value = f"loss {loss_text}, mean absolute error {mae}, r {r}, right side {side}"
        figures.append((f"validation: {name}", value))
    samples = result.samples
    counts = f"{samples.train:,} training, {samples.validation:,} validation, {samples.test:,} test"
    speed = (
        f"{result.samples_per_second:,.0f} samples/s, {result.data_wait_share:.1%} waiting for data"
    )
    figures.append(("samples", counts))
    if result.batch_size:
        figures.append(("batch size", f"{result.batch_size:,} samples"))
    figures += [("speed", speed), ("time", f"{result.seconds:,.0f} s")]
    return figures
