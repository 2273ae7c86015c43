"""Settings of a calibration; loads no large package."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.evaluation.settings import Rows
from bcclone.system.settings import Checked, Force, SettingError, argument, setting


@dataclass(frozen=True)
class CalibrateSettings(Checked):
    """What to calibrate, on what, and what the user knows already; None is what is to be found."""

    model: Path = argument("a model file, such as models/any-road.h5")
    frames: Path = argument("a tub or a recording")
    output: Path = setting(
        Path("car.h5"), "the calibrated model to write", unit="FILE", writes=True
    )
    force: Force = setting(False)
    left_positive: bool | None = setting(
        None,
        "the recorded steering is positive to the left, or with --no- to the right; needed only if "
        "the pictures do not tell it",
        shown="as the pictures turn",
    )
    framing: Path | None = setting(None, "framing.json of the camera", unit="FILE", shown="found")
    rows: Rows | None = setting(
        None,
        "rows of a picture, such as 160:480, to stretch to a frame, in place of a lens",
        shown="found",
    )
    focal_px: float | None = setting(
        None, "focal length, in pixels of a picture", 1, 1e6, unit="PX", shown="found"
    )
    horizon_row: float | None = setting(
        None,
        "row of the horizon in a picture: where a straight, level road would end",
        -1e5,
        1e5,
        unit="ROW",
        shown="found",
    )
    gain: float | None = setting(
        None, "factor from the network's steering to the car's", -1e4, 1e4, unit="X", shown="fitted"
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
        parts = [name for name in ("focal_px", "horizon_row") if getattr(self, name) is not None]
        if len(whole) > 1 or (whole and parts):
            first_name, second_name = (*whole, *parts)[:2]
            # settings' names in braces, such as {rows}, become their options
            raise SettingError(
                f"{{{first_name}}} and {{{second_name}}} both say how a picture is cut; leave one "
                "of them out"
            )
