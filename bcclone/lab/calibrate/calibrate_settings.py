"""Settings of a calibration; loads no large package."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.evaluate.prediction_settings import parse_rows
from bcclone.system.settings import SettingError, check_settings, setting

FISHEYE = "fisheye"
LENSES = ("pinhole", FISHEYE)
_OF_LENS = ("focal_px", "horizon_row", "vanishing_column", "roll_degrees")


@dataclass(frozen=True)
class CalibrateSettings:
    """What to calibrate, on what, and what the user knows already.

    model: a model file; frames: a tub, a recording, or a folder of pictures; labels: a table of the steering, None for
    a tub and a recording, which hold it. Whatever is None is found.
    """

    model: Path
    frames: Path
    labels: Path | None = None
    output: Path = setting(Path("car.h5"), "the calibrated model to write", unit="FILE", short="-o")
    force: bool = setting(False, "overwrite an existing model")
    seconds: float = setting(60.0, "use the first seconds of driving", unit="SECONDS", minimum=5, maximum=100_000)
    steering_column: str = setting(
        "", "the column of the labels with the steering", unit="NAME", shown="as of bcclone score"
    )
    left_positive: bool = setting(False, "the labels are positive to the left")
    rate: float = setting(
        20.0, "frames a second, where frame_id holds no time", unit="HZ", minimum=0, above_minimum=True, maximum=10_000
    )
    framing: Path | None = setting(None, "framing.json to use", unit="FILE", shown="found")
    rows: tuple[int, int] | None = setting(
        None, "stretch these rows of a picture, without a lens", unit="FROM:TO", parse=parse_rows, shown="found"
    )
    focal_px: float | None = setting(
        None, "focal length, in pixels of a picture", unit="PX", minimum=1, maximum=1e6, shown="found"
    )
    horizon_row: float | None = setting(
        None, "row of a picture at which a straight, level road ends", unit="ROW", minimum=-1e5, maximum=1e5,
        shown="found",
    )  # fmt: skip
    vanishing_column: float | None = setting(
        None, "column of a picture at which it ends", unit="COLUMN", minimum=-1e5, maximum=1e5, shown="found"
    )
    roll_degrees: float | None = setting(
        None, "by which pictures are turned clockwise", unit="DEGREES", minimum=-90, maximum=90, shown="0"
    )
    lens: str | None = setting(None, "kind of lens", choices=LENSES, shown="found")
    gain: float | None = setting(
        None, "factor from the network's steering to the car's", unit="X", minimum=-1e4, maximum=1e4, shown="fitted"
    )
    bias: float | None = setting(
        None, "steering of the car where the network's is 0", unit="X", minimum=-1e4, maximum=1e4, shown="fitted"
    )
    camera_height_m: float | None = setting(
        None, "height of the camera above the road, for curvatures in 1/m", unit="M", minimum=0, above_minimum=True,
        maximum=100, option="camera-height", shown="unknown",
    )  # fmt: skip
    steering_ratio: float | None = setting(
        None, "angle of the steering wheel to that of the wheels, as a note in the model", unit="X", minimum=0,
        above_minimum=True, maximum=1000, shown="unknown",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_settings(self)
        if self.rows and not 0 <= self.rows[0] < self.rows[1]:
            raise SettingError("{rows} {value}, expected two rows such as 160:480, the upper one first",
                               value=f"{self.rows[0]}:{self.rows[1]}")  # fmt: skip
        others = [name for name in (*_OF_LENS, "lens") if getattr(self, name) is not None]
        named = [name for name in ("framing", "rows") if getattr(self, name) is not None]
        if len(named) > 1 or (named and others):
            clash = (*named, *others)[:2]
            raise SettingError(
                f"{{{clash[0]}}} and {{{clash[1]}}} both say how a picture is cut; leave one of them out"
            )

    @property
    def known_lens(self) -> dict[str, float]:
        """Return what the user knows of the lens, values of Lens by name, fisheye as 0 or 1."""
        known = {name: getattr(self, name) for name in _OF_LENS}
        known["fisheye"] = None if self.lens is None else float(self.lens == FISHEYE)
        return {name: value for name, value in known.items() if value is not None}
