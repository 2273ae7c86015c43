"""Draw all pictures of a model: a model file, with its samples or a picture -> PNGs in a folder.

After a training, also write its report.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.camera.framing import Framing
from bcclone.camera.images import IMAGE_ENDINGS, BadImage, read_picture
from bcclone.dataset.conversion import open_samples
from bcclone.feed.feed_settings import AugmentSettings
from bcclone.model.model_path import check_keras_path
from bcclone.pictures.plots.subject import NotDrawn, Subject
from bcclone.pictures.settings import CAMERA_PICTURE_NAMES, PICTURE_NAMES, PlotSettings
from bcclone.system.errors import UserError, first_line, shown_command
from bcclone.system.files import PICTURE, check_output, make_folder
from bcclone.system.location import as_local
from bcclone.system.progress import Notify
from bcclone.system.tensorflow_quietly import load_tensorflow, onednn_for_batches
from bcclone.system.values import names_of
from bcclone.training.result import TrainResult
from bcclone.training.run import START_NAME
from bcclone.training.training_state import read_history

if TYPE_CHECKING:  # it loads TensorFlow
    from bcclone.model.model_file import ModelFile


def _plots() -> dict[str, Callable[[Subject, Path], None]]:
    """Return the function that draws each picture."""
    # they load Keras, whose settings load_tensorflow() chooses
    from bcclone.pictures.plots import model_pictures, training_pictures

    return {
        "history": training_pictures.plot_history,
        "crop": model_pictures.plot_crop,
        "steering": training_pictures.plot_steering,
        "samples": training_pictures.plot_samples,
        "activations": model_pictures.plot_activations,
        **{
            f"saliency-{situation}": partial(model_pictures.plot_saliency, situation)
            for situation in ("straight", "bend", "shadow")
        },
        "predictions": training_pictures.plot_predictions,
        "network": model_pictures.plot_network,
    }


def draw_pictures(
    subject: Subject, folder: Path, only: Collection[str] = ()
) -> tuple[dict[str, Path], dict[str, str]]:
    """Draw all pictures, or only the named ones, into an existing folder.

    Return name -> path of those that were drawn, and name -> reason of the others.
    """
    paths = {name: folder / f"{name}.png" for name in PICTURE_NAMES}
    return _drawn({name: partial(draw, subject) for name, draw in _plots().items()}, paths, only)


def _drawn(
    plots: Mapping[str, Callable[[Path], None]],
    paths: Mapping[str, Path],
    only: Collection[str],
) -> tuple[dict[str, Path], dict[str, str]]:
    """Draw as draw_pictures() does. plots: name -> function that draws into a path."""
    drawn: dict[str, Path] = {}
    skipped: dict[str, str] = {}
    for name, draw in plots.items():
        if only and name not in only:
            continue
        path = paths[name]
        try:
            check_output(path, PICTURE, force=True)
            draw(path)
            drawn[name] = path
        except (NotDrawn, UserError) as error:
            skipped[name] = str(error)
    return drawn, skipped


@dataclass(frozen=True)
class PlotResult:
    """The pictures in a folder."""

    output: Path  # the folder
    drawn: Mapping[str, Path]
    skipped: Mapping[str, str]  # name of a picture -> why it was not drawn


def plot(settings: PlotSettings, notify: Notify = lambda line: None) -> PlotResult:
    """Draw the pictures of a model and its samples, or of what it sees in one picture of a camera.

    A picture that the model or its samples do not allow is left out, with a reason. Raises
    UserError for a file that is not a model, for samples that cannot be read, and for a folder that
    cannot be created.

    notify: called with a line for each log that was read, and for samples of another training
    """
    check_keras_path(settings.model)  # its message names swapped arguments
    picture = _camera_picture(settings)
    load_tensorflow(onednn=onednn_for_batches())
    from bcclone.model.model_file import load_model

    if picture:
        file = load_model(settings.model, settings.preprocess)
        return _plot_camera_picture(file, picture, settings, notify)
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
            zero_fraction = float(stated.get("zero_fraction", 1.0))
        trained_on = file.training.store_content_hash
        if data and trained_on and data.content_hash != trained_on:
            changed = "is not what the model was trained on, or has changed since"
            notify(f"note: {data.path} {changed}")
        subject = Subject(file, data, history, zero_fraction, augment)
        return PlotResult(folder, *draw_pictures(subject, folder, settings.only))


# ---- of one picture of a camera


def _camera_picture(settings: PlotSettings) -> Path | None:
    """Return the one picture to draw of, None for samples; raises UserError for wrong names."""
    picture = None
    if len(settings.data) == 1 and settings.data[0].lower().endswith(IMAGE_ENDINGS):
        picture = as_local(settings.data[0])
    names = CAMERA_PICTURE_NAMES if picture else PICTURE_NAMES
    if wrong := [name for name in settings.only if name not in names]:
        of_what = f"of {picture}" if picture else "of a model and its samples"
        raise UserError(
            f"--only {','.join(wrong)}: not drawn {of_what}; expected some of {', '.join(names)}"
        )
    return picture


def _plot_camera_picture(
    file: "ModelFile", picture: Path, settings: PlotSettings, notify: Notify
) -> PlotResult:
    """Draw what a model sees in one picture of its camera; its name begins those of the PNGs."""
    from bcclone.pictures.plots.model_pictures import draw_camera_picture

    try:
        pixels = read_picture(str(picture))
        framing = file.framing or Framing.of(pixels)
        frame = framing.apply(pixels)
    except BadImage as error:
        raise UserError(f"{picture}: {error}; name a JPEG or PNG of the camera") from None
    if pixels.shape != frame.shape and not file.framing:
        height, width = pixels.shape[:2]
        notify(f"note: {picture} has {width}x{height} pixels, and is stretched to a frame")
    folder = settings.output or settings.model.with_name(f"{settings.model.stem}-plots")
    make_folder(folder, "another --output")
    paths = {name: folder / f"{picture.stem}-{name}.png" for name in CAMERA_PICTURE_NAMES}
    subject = Subject(file)
    plots = {
        name: partial(draw_camera_picture, name, subject, frame) for name in CAMERA_PICTURE_NAMES
    }
    return PlotResult(folder, *_drawn(plots, paths, settings.only))


# ---- after a training


def draw_training(
    result: TrainResult,
    data: Sequence[str],
    commands: Mapping[str, str],
    notify: Notify = lambda line: None,
) -> Path | None:
    """Draw the pictures of a training, and write its report into its run folder.

    Return the report's path. An error is told in a note, since the training itself has not failed;
    then None is returned.

    data: what the model was trained on, a store or recordings
    commands: what to do next -> the command, for the report
    """
    model = result.run / "model.h5"
    try:
        drawn = plot(PlotSettings(model, tuple(data), result.run / "plots")).drawn
        from bcclone.pictures.reports import write_training  # it loads the evaluation

        return write_training(result.run, result, data, drawn, commands)[-1]
    except Exception as error:
        again = shown_command("plots", model, *data)
        notify(f"note: not all pictures could be drawn: {first_line(error)}; try: {again}")
        return None
