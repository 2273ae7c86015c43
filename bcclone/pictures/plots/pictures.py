"""Draw pictures by their names: a Subject -> PNGs in a folder, or the reason why a picture cannot be drawn."""

from collections.abc import Callable, Collection
from pathlib import Path

from bcclone.pictures.plot_settings import Picture
from bcclone.pictures.plots.activations import plot_activations, plot_crop
from bcclone.pictures.plots.charts import plot_history, plot_recovery, plot_steering
from bcclone.pictures.plots.diagram import plot_network
from bcclone.pictures.plots.predictions import plot_predictions, plot_saliency
from bcclone.pictures.plots.sample_pictures import plot_recovery_frames, plot_samples, plot_windows
from bcclone.pictures.plots.subject import NotDrawn, Subject
from bcclone.system.errors import UserError


def draw_pictures(subject: Subject, folder: Path, only: Collection[str] = ()) -> list[Picture]:
    """Draw all pictures, or only the named ones, into an existing folder; files of the same names are replaced."""
    return [_draw(name, subject, folder / f"{name}.png") for name in PICTURES if not only or name in only]


def _draw(name: str, subject: Subject, path: Path) -> Picture:
    try:
        PICTURES[name](subject, path)
    except (NotDrawn, UserError) as error:
        return Picture(name, None, str(error))
    return Picture(name, path)


def _plot_samples(subject: Subject, path: Path) -> None:
    (plot_samples if subject.file.seq_length == 1 else plot_windows)(subject, path)


PICTURES: dict[str, Callable[[Subject, Path], None]] = {
    "history": plot_history,
    "crop": plot_crop,
    "recovery": plot_recovery,
    "recovery-frames": plot_recovery_frames,
    "steering": plot_steering,
    "samples": _plot_samples,
    "activations": plot_activations,
    "saliency": plot_saliency,
    "predictions": plot_predictions,
    "network": plot_network,
}
