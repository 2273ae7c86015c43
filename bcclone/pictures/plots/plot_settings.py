"""The settings of drawing, and its result: names, paths and reasons.

Loads neither TensorFlow nor matplotlib, so that --help answers at once.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.system.settings import check_settings, parse_names, preprocess_setting, setting

# the same as in bcclone.pictures.plots.pictures, which loads matplotlib; a test compares
PICTURE_NAMES = (
    "history", "crop", "recovery", "recovery-frames", "steering", "samples", "activations", "saliency", "predictions",
    "network",
)  # fmt: skip
_HISTOGRAM = "histogram of the steering"


@dataclass(frozen=True)
class PlotSettings:
    """Which pictures of a model to draw.

    data: what the model was trained on, a store or recordings (folders or logs); some pictures need it.
    """

    model: Path
    data: tuple[str, ...] = ()
    output: Path | None = setting(
        None,
        "folder to draw into",
        unit="FOLDER",
        short="-o",
        shown="plots/ in the run folder of the model, or MODEL-plots if it has none",
    )
    only: tuple[str, ...] = setting(
        (),
        f"pictures to draw, separated by commas: {', '.join(PICTURE_NAMES)}",
        unit="NAMES",
        shown="all",
        parse=parse_names,
        choices=PICTURE_NAMES,
    )
    runs: Path = setting(Path("runs"), "folder of the run folders, one of which has the history of the model")
    preprocess: str | None = preprocess_setting()
    zero_fraction: float | None = setting(
        None,
        "largest fraction of samples with zero steering in the balanced histogram",
        unit="FRACTION",
        minimum=0,
        maximum=1,
        shown="as in the training",
        group=_HISTOGRAM,
    )
    seed: int = setting(0, "seed of the samples that balancing leaves out", minimum=0, group=_HISTOGRAM)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class Picture:
    """A picture by its name: the path of its file, or None and the reason why it was not drawn."""

    name: str
    path: Path | None
    reason: str = ""


@dataclass(frozen=True)
class PlotResult:
    """The pictures in a folder. notes: remarks for the reader of the pictures."""

    folder: Path
    pictures: tuple[Picture, ...]
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        drawn = {picture.name: str(picture.path) for picture in self.pictures if picture.path}
        skipped = {picture.name: picture.reason for picture in self.pictures if not picture.path}
        return {"output": str(self.folder), "drawn": drawn, "skipped": skipped}
