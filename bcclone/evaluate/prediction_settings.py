"""The checked settings of predictions and of their score; loads nothing large, so that --help answers at once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from bcclone.system.settings import (
    Force,
    Hertz,
    Preset,
    Seconds,
    Setting,
    SettingError,
    argument,
    check_settings,
    setting,
    span_parser,
)

_MOST_ROW = 100_000
MOST_STEERING = 10_000.0  # of a table, more than any wheel turns in degrees


Rows = Annotated[tuple[int, int], Setting(unit="FROM:TO", parse=span_parser(int, "two rows such as 160:480"))]


def check_unused(settings: Any, labels: Path, *names: str) -> None:
    """Raise SettingError if one of these settings is not the default: labels that are no table have no use for it."""
    for name in names:
        if getattr(settings, name) != getattr(type(settings), name):
            raise SettingError(f"{{{name}}} is only for a table of labels, and {{labels}} is none; leave it out",
                               labels=labels)  # fmt: skip


@dataclass(frozen=True)
class PredictSettings:
    """Which model predicts the steering of which frames. frames: a recording, or a folder of images."""

    model: Path = argument("a model file of bcclone, Keras or ONNX")
    frames: Path = argument("a recording, or a folder of JPEGs or PNGs of any size, such as the images of a tub")
    output: Path = setting(Path("predictions.csv"), "the table to write", unit="FILE")
    rows: Rows | None = setting(
        None,
        "rows of each frame to keep before it is stretched to 320x160 pixels, in its own pixels from the top; 160:480 "
        "are the lower two thirds of 640x480; without the framing of the model",
        shown="all",
    )
    framing: Path | None = setting(
        None,
        "framing.json of the camera, from bcclone calibrate",
        unit="FILE",
        shown="that of the model, if it has one",
    )
    force: Force = setting(False)
    preprocess: Preset | None = setting(None)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.rows is not None and not 0 <= self.rows[0] < self.rows[1] <= _MOST_ROW:
            value = f"{self.rows[0]}:{self.rows[1]}"
            raise SettingError("{rows} {value}, expected two rows such as 160:480, the upper one first", value=value)
        if self.rows and self.framing:
            raise SettingError("{rows} and {framing} both say how a frame is cut; leave one of them out")


@dataclass(frozen=True)
class ScoreSettings:
    """How predictions are compared with labels."""

    steering_column: str = setting(
        "",
        "the column of the labels with the steering",
        unit="NAME",
        shown="steering_angle, steering or angle, or the only other one",
    )
    left_positive: bool = setting(
        False, "the labels are positive to the left, and the predictions to the right, as those of bcclone predict"
    )
    threshold: float = setting(
        0.1,
        "count how often the predictions are on the right side where the label is beyond this",
        0,
        MOST_STEERING,
        unit="X",
        rare=True,
    )
    fit_seconds: Seconds = setting(
        0.0,
        "fit a gain and a bias of the predictions to the labels of the first seconds, and score the rest",
        maximum=1e6,
        above=0,
        zero="no fit, everything is scored",
    )
    rate: Hertz = setting(0.0, "frames a second, where frame_id holds no time", zero="unknown")

    def __post_init__(self) -> None:
        check_settings(self)
