"""The settings of drawing, and its result: names, paths and reasons.

Loads neither TensorFlow nor matplotlib, so that --help answers at once.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.system.settings import Fraction, Names, Preset, Seed, SettingError, check_settings, setting

# the same as in bcclone.pictures.plots.pictures, which loads matplotlib; a test compares
PICTURE_NAMES = (
    "history", "crop", "recovery", "recovery-frames", "steering", "samples", "activations", "saliency", "predictions",
    "network",
)  # fmt: skip
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}
_HISTOGRAM = "histogram of the steering"


@dataclass(frozen=True)
class PlotSettings:
    """Which pictures of a model to draw.

    data: what the model was trained on, a store or recordings (folders or logs); some pictures need it. Or one image,
    which is explored instead.
    """

    model: Path
    data: tuple[str, ...] = ()
    output: Path | None = setting(
        None,
        "folder to draw into",
        unit="FOLDER",
        shown="plots/ in the run folder of the model, or MODEL-plots if it has none",
    )
    only: Names = setting(
        (), f"pictures to draw, separated by commas: {', '.join(PICTURE_NAMES)}", shown="all", choices=PICTURE_NAMES
    )
    runs: Path = setting(Path("runs"), "folder of the run folders, one of which has the history of the model")
    preprocess: Preset | None = setting(None)
    zero_fraction: Fraction | None = setting(
        None,
        "largest fraction of samples with zero steering in the balanced histogram",
        shown="as in the training",
        group=_HISTOGRAM,
    )
    seed: Seed = setting(0, "seed of the samples that balancing leaves out", group=_HISTOGRAM)

    def __post_init__(self) -> None:
        check_settings(self)
        images = [name for name in self.data if _names_image(name)]
        if images and len(self.data) > 1:
            raise SettingError(
                "{image} beside other samples, expected one image alone, or a store or recordings", image=images[0]
            )
        if images and self.only:
            raise SettingError("an image is explored in one picture; leave out {only}")

    @property
    def image(self) -> Path | None:
        """Return the image to explore, None to draw pictures of samples."""
        return next((Path(name) for name in self.data if _names_image(name)), None)


def _names_image(name: str) -> bool:
    return Path(name).suffix.lower() in _IMAGE_SUFFIXES


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


@dataclass(frozen=True)
class SideView:
    """What a model answers for the view of a side camera: recorded, or else computed by moving the centre camera."""

    steering: float
    recorded: bool


@dataclass(frozen=True)
class ExploredImage:
    """The picture of an explored image, and what the model answers for it.

    recorded_steering: of its row, None if no recording lies beside the image; sides: camera -> its view; left_out:
    part of the picture -> why it was not drawn.
    """

    path: Path
    steering: float
    recorded_steering: float | None
    sides: Mapping[str, SideView]
    left_out: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints; null stands for the steering of a network that diverged."""
        return {
            "output": str(self.path),
            "steering": _finite(self.steering),
            "recorded_steering": self.recorded_steering,
            "sides": {
                side: {"steering": _finite(view.steering), "recorded": view.recorded}
                for side, view in self.sides.items()
            },
            "skipped": dict(self.left_out),
        }

    def as_text(self) -> str:
        """Return what the command prints."""
        recorded = "" if self.recorded_steering is None else f" (recorded: {self.recorded_steering:+.3f})"
        lines = [str(self.path), f"steering      {self.steering:+.3f}{recorded}"]
        for side, view in self.sides.items():
            source = "recorded view" if view.recorded else "view computed from the image"
            lines.append(f"{side:<6}camera  {view.steering:+.3f} ({source})")
        return "\n".join([*lines, *(f"left out: {part}: {reason}" for part, reason in self.left_out.items())])


def _finite(steering: float) -> float | None:
    return steering if math.isfinite(steering) else None
