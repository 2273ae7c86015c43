"""Draw all pictures of a model: a model file, with its samples and its run, or with an image ->
PNGs in a folder.

Of a training, also a report: on what, how well, what the network saw, what to run next.

TensorFlow is loaded before a module imports Keras.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.camera.vehicle import FULL_LOCK_DEGREES
from bcclone.dataset.conversion import open_samples
from bcclone.feed.feed_settings import AugmentSettings
from bcclone.pictures.plot_settings import PLOTS, PlotSettings
from bcclone.pictures.plots.subject import NotDrawn, Subject
from bcclone.pictures.report import REPORT_NAME, Report, next_commands, write_report
from bcclone.system.atomic import make_folder
from bcclone.system.errors import UserError, first_line, shown_command
from bcclone.system.json_values import names_of
from bcclone.system.output import PICTURE, check_output
from bcclone.system.progress import Notify
from bcclone.system.tensorflow_quietly import load_tensorflow, onednn_for_batches
from bcclone.training.result import TrainResult
from bcclone.training.training_folder import START_NAME
from bcclone.training.training_state import read_history

if TYPE_CHECKING:
    from bcclone.pictures.plots.one_image import ExploredImage


@dataclass(frozen=True)
class PlotResult:
    """The pictures in a folder: name -> path, or why it was not drawn. notes: remarks for the
    reader of them.
    """

    folder: Path
    pictures: Mapping[str, Path | str]
    notes: tuple[str, ...] = ()

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
    """Draw all pictures, or only the named ones, into an existing folder; return name -> path, or
    why there is none.
    """
    pictures: dict[str, Path | str] = {}
    for picture in PLOTS:
        if only and picture.name not in only:
            continue
        module, path = (
            import_module(f"bcclone.pictures.plots.{picture.module}"),
            folder / f"{picture.name}.png",
        )
        try:
            check_output(path, PICTURE, force=True)
            getattr(module, f"plot_{picture.name.replace('-', '_')}")(subject, path)
            pictures[picture.name] = path
        except (NotDrawn, UserError) as error:
            pictures[picture.name] = str(error)
    return pictures


def plot(settings: PlotSettings, notify: Notify = lambda line: None) -> PlotResult:
    """Draw the pictures of a model; a picture that the model or its samples do not allow is left
    out, with a reason.

    notify: takes a line for each log that was read. Raises UserError for a file that is no model,
    for samples that cannot be read, and for a folder that cannot be created.
    """
    load_tensorflow(onednn=onednn_for_batches())
    from bcclone.model.model_file import load_model

    with open_samples(settings.data, notify) if settings.data else nullcontext() as data:
        file = load_model(settings.model, settings.preprocess)
        run = _find_run(settings.model, settings.runs)
        folder = _make_folder(settings, run)
        history = read_history(run / "history.csv") if run else []
        stated = file.training.settings
        augmented = {name: stated[name] for name in names_of(AugmentSettings) if name in stated}
        augment = AugmentSettings(**{"augment": False} | augmented)
        most = (
            stated.get("zero_fraction", 1.0)
            if settings.zero_fraction is None
            else settings.zero_fraction
        )
        subject = Subject(file, data, history, settings.seed, float(most), augment)
        pictures = draw_pictures(subject, folder, settings.only)
        trained_on, notes = file.training.store_content_hash, []
        if data and trained_on and data.content_hash != trained_on:
            notes.append(f"{data.path} is not what the model was trained on, or has changed since")
        return PlotResult(folder, pictures, tuple(notes))


def explore_image(settings: PlotSettings) -> "ExploredImage":
    """Draw what a model sees and answers in the image of the settings, into the folder of the
    pictures.

    Raises UserError for a file that is no model, for one that is no camera frame, and for a folder
    that cannot be created; ValueError if the settings name no image.
    """
    if (image := settings.image) is None:
        raise ValueError(f"{settings.data} names no image, expected a JPEG")
    load_tensorflow()
    from bcclone.model.model_file import load_model
    from bcclone.pictures.plots.one_image import draw_image, read_image

    frame = read_image(image)
    file = load_model(settings.model, settings.preprocess)
    folder = _make_folder(settings, _find_run(settings.model, settings.runs))
    return draw_image(file, image, frame, folder / f"{image.stem}.png")


def draw_training(
    result: TrainResult,
    data: Sequence[str],
    notify: Notify = lambda line: None,
) -> Path | None:
    """Draw the pictures of a training and write its report into its run folder; return the report's
    path.

    An error is reported and does not fail the training; then there is no report, and None is
    returned. data: what the model was trained on, a store or recordings.
    """
    model, report = result.run / "model.h5", result.run / REPORT_NAME
    try:
        drawn = plot(PlotSettings(model, tuple(data), result.run / "plots")).drawn
        write_report(report, training_report(result, data, drawn))
    except Exception as error:
        again = shown_command("plots", model, *data)
        notify(f"note: not all pictures could be drawn: {first_line(error)}; try: {again}")
        return None
    return report


def training_report(
    result: TrainResult, data: Sequence[str], pictures: Mapping[str, Path]
) -> Report:
    """Return the report of a training. data: what it was trained on; pictures: name -> path of
    those drawn.
    """
    samples, seconds = result.samples, f"{result.seconds:,.0f} s"
    if result.val_loss is None or result.val_mae is None:
        error = f"its training loss is {result.loss:.4f}; there were no validation samples"
    else:
        more = (
            ", the last one: more epochs may help"
            if result.best_epoch == result.epochs
            else f" of {result.epochs}"
        )
        error = (
            f"on {samples.validation:,} validation samples its loss is {result.val_loss:.4f}, and its steering is off "
            f"its labels by {result.val_mae:.3f} on average, which is {result.val_mae * FULL_LOCK_DEGREES:.1f} "
            f"degrees. The validation loss was smallest in epoch {result.best_epoch}{more}"
        )
    sentences = [
        f"The network was trained on {samples.train:,} samples of {' '.join(data)} for {result.epochs} epochs, in "
        f"{seconds} at {result.samples_per_second:,.0f} samples/s; {result.ended} ended it.",
        f"The model is {result.origin}: {error}.",
        *([f"{result.note[0].upper()}{result.note[1:]}."] if result.note else []),
        "These errors do not tell whether the car stays on the road; a drive does, so score it next.",
    ]
    losses = {
        "training loss": result.loss,
        "validation loss": result.val_loss,
        "validation error, mean absolute": result.val_mae,
        "test loss": result.test_loss,
    }
    figures = [
        ("figure", "value"),
        ("epochs", f"{result.epochs}, the model is {result.origin}"),
        *((name, "none" if value is None else f"{value:.4f}") for name, value in losses.items()),
        *(
            (
                f"validation: {name}",
                f"loss {loss}, mean absolute error {mae}, r {r}, right side {side}",
            )
            for name, loss, mae, r, side in result.table.cells()[1:]
        ),
        (
            "samples",
            f"{samples.train:,} training, {samples.validation:,} validation, {samples.test:,} test",
        ),
        (
            "speed",
            f"{result.samples_per_second:,.0f} samples/s, {result.data_wait_share:.1%} waiting for data",
        ),
        ("time", seconds),
    ]
    shown = {
        picture.caption: pictures[picture.name]
        for picture in PLOTS
        if picture.caption and picture.name in pictures
    }
    commands = next_commands(result.model, "evaluate drive play")
    commands["Make a clip of the drive"] = shown_command("video", "run1", "--overlay")
    return Report(f"Training of {result.model}", sentences, None, shown, figures, commands)


def _find_run(model: Path, runs: Path) -> Path | None:
    """Return the newest run folder that holds this model, under any name, and a history; None if
    there is none.
    """
    if model.name != START_NAME and (model.parent / "history.csv").is_file():
        return model.parent
    content = model.read_bytes()
    same = (
        saved
        for saved in runs.glob("*/*.h5")
        if saved.name != START_NAME
        and saved.stat().st_size == len(content)
        and saved.read_bytes() == content
    )
    runs_of_it = [saved for saved in same if (saved.parent / "history.csv").is_file()]
    return max(runs_of_it, key=lambda saved: saved.stat().st_mtime).parent if runs_of_it else None


def _make_folder(settings: PlotSettings, run: Path | None) -> Path:
    folder = settings.output or (
        run / "plots" if run else settings.model.with_name(f"{settings.model.stem}-plots")
    )
    make_folder(folder, "another --output")
    return folder
