"""Settings of a calibration: the model, the drive, and what the user knows of camera and car.

calibration.py finds the rest. No large package is loaded.
"""

from dataclasses import dataclass
from pathlib import Path

from bcclone.evaluation.evaluate_settings import Rows
from bcclone.system.settings import (
    Checked,
    Degrees,
    Force,
    Hertz,
    Metres,
    Seconds,
    SettingError,
    argument,
    setting,
)

FISHEYE = "fisheye"
LENSES = ("pinhole", FISHEYE)
# settings that have the names of a Lens's fields, and set them
_OF_LENS = ("focal_px", "horizon_row", "vanishing_column", "roll_degrees")


@dataclass(frozen=True)
class CalibrateSettings(Checked):
    """What to calibrate, on what, and what the user knows already.

    `labels` is None for a tub and a recording, which hold the steering themselves. The calibration
    finds the framing, the lens, the gain and the bias where they are None.
    """

    model: Path = argument("a model file, such as models/any-road.h5")
    frames: Path = argument("a tub, a recording, or a folder of pictures")
    labels: Path | None = argument("a table of their steering", None, shown="that of FRAMES")
    output: Path = setting(Path("car.h5"), "the calibrated model to write", unit="FILE")
    force: Force = setting(False)
    seconds: Seconds | None = setting(
        None, "use only the first seconds of driving", 5, 100_000, shown="all"
    )
    steering_column: str = setting(
        "",
        "the column of the labels with the steering",
        unit="NAME",
        shown="steering_angle, steering or angle, or the only other one",
    )
    left_positive: bool = setting(False, "the recorded steering is positive to the left")
    rate: Hertz = setting(20.0, "frames a second, where frame_id holds no time")
    framing: Path | None = setting(None, "framing.json to use", unit="FILE", shown="found")
    rows: Rows | None = setting(
        None, "stretch these rows of a picture, without a lens", shown="found"
    )
    focal_px: float | None = setting(
        None, "focal length, in pixels of a picture", 1, 1e6, unit="PX", shown="found"
    )
    horizon_row: float | None = setting(
        None,
        "row of a picture at which a straight, level road ends",
        -1e5,
        1e5,
        unit="ROW",
        shown="found",
        rare=True,
    )
    vanishing_column: float | None = setting(
        None,
        "column of a picture at which it ends",
        -1e5,
        1e5,
        unit="COLUMN",
        shown="found",
        rare=True,
    )
    roll_degrees: Degrees | None = setting(
        None, "by which pictures are turned clockwise", -90, 90, shown="0", rare=True
    )
    lens: str | None = setting(None, "kind of lens", choices=LENSES, shown="found", rare=True)
    gain: float | None = setting(
        None, "factor from the network's steering to the car's", -1e4, 1e4, unit="X", shown="fitted"
    )
    bias: float | None = setting(
        None,
        "steering of the car where the network's is 0",
        -1e4,
        1e4,
        unit="X",
        shown="fitted",
        rare=True,
    )
    delay_seconds: float | None = setting(
        None,
        "how much later than the network the driver steers",
        -2,
        2,
        option="delay",
        unit="SECONDS",
        shown="fitted",
        rare=True,
    )
    camera_height_m: Metres | None = setting(
        None,
        "height of the camera above the road, for curvatures in 1/m",
        maximum=100,
        above=0,
        option="camera-height",
        shown="unknown",
        rare=True,
    )
    steering_ratio: float | None = setting(
        None,
        "angle of the steering wheel to that of the wheels, as a note in the model",
        maximum=1000,
        above=0,
        unit="X",
        shown="unknown",
        rare=True,
    )

    def validate(self) -> None:
        if self.output.suffix != ".h5":
            raise SettingError(
                "{output} {path}, expected a name that ends in .h5", path=self.output
            )
        if self.rows:
            first, last = self.rows
            if not 0 <= first < last:
                raise SettingError(
                    "{rows} {value}, expected two rows such as 160:480, the upper one first",
                    value=f"{first}:{last}",
                )
        # a framing, or rows, say all; the values of a lens may be given together
        whole = [name for name in ("framing", "rows") if getattr(self, name) is not None]
        parts = [name for name in (*_OF_LENS, "lens") if getattr(self, name) is not None]
        if len(whole) > 1 or (whole and parts):
            first_name, second_name = (*whole, *parts)[:2]
            # settings' names in braces, such as {rows} and {lens}, become their options
            text = "{FIRST} and {SECOND} both say how a picture is cut; leave one of them out"
            raise SettingError(text.replace("FIRST", first_name).replace("SECOND", second_name))

    @property
    def known_lens(self) -> dict[str, float]:
        """Return what the user knows of the lens, values of Lens by name, fisheye as 0 or 1."""
        known = {}
        for name in _OF_LENS:
            value = getattr(self, name)
            if value is not None:
                known[name] = value
        if self.lens is not None:
            known["fisheye"] = float(self.lens == FISHEYE)
        return known
