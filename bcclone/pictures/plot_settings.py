"""The settings of drawing pictures of a model, and the pictures' names; nothing large is loaded."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.dataset.preprocessing_text import PreprocessingText
from bcclone.system.settings import Checked, Fraction, Names, argument, setting

# pictures/plots/all_pictures.py has the function of each
PICTURE_NAMES = (
    "history",
    "crop",
    "recovery-frames",
    "steering",
    "samples",
    "activations",
    "saliency",
    "predictions",
    "network",
)


@dataclass(frozen=True)
class PlotSettings(Checked):
    """Which pictures of a model to draw.

    data: what the model was trained on, a store or recordings (folders or logs), which some
        pictures need
    """

    model: Path = argument("a model file")
    data: tuple[str, ...] = argument(
        "what the model was trained on: a store, or recordings as folders or logs",
        (),
        unit="STORE",
        shown="data.h5, if it exists",
    )
    output: Path | None = setting(
        None,
        "folder to draw into",
        unit="FOLDER",
        shown="plots/ in the run folder of the model, or MODEL-plots if it has none",
    )
    only: Names = setting(
        (),
        f"pictures to draw, separated by commas: {', '.join(PICTURE_NAMES)}",
        shown="all",
        choices=PICTURE_NAMES,
    )
    preprocess: PreprocessingText | None = setting(None)
    zero_fraction: Fraction | None = setting(
        None,
        "largest fraction of samples with zero steering in the balanced histogram",
        shown="as in the training",
        rare=True,
    )
