"""Log -> how the human drove, row by row, and where the images of each row are."""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bcclone.errors import UserError
from bcclone.recording import CAMERAS, ImageIndex, read_log
from bcclone.vehicle import FULL_LOCK_DEGREES, MPH, STEERING_LAG_SECONDS, WHEELBASE_M, YAW_GAIN

Array = npt.NDArray[np.float64]

_SMOOTHED_ROWS = 9  # 0.6 s, a keyboard's strokes


@dataclass(frozen=True)
class Human:
    """A recorded drive, or a part of one, each field a row.

    steering, throttle: as recorded; speed: m/s; seconds: until the next row; ends: that one does not follow, and the
    time until then does not count; lagged: the steering that the car's yaw follows; images: camera -> path, of those
    there are.
    """

    steering: tuple[float, ...]
    throttle: tuple[float, ...]
    speed: tuple[float, ...]
    seconds: tuple[float, ...]
    ends: tuple[bool, ...]
    lagged: tuple[float, ...]
    images: tuple[Mapping[str, str], ...]

    def __len__(self) -> int:
        return len(self.steering)

    @property
    def total_seconds(self) -> float:
        """Return how long the drive took, without its gaps."""
        return sum(self.seconds)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Return the cameras of which there are images."""
        return tuple(camera for camera in CAMERAS if any(camera in paths for paths in self.images))

    @property
    def smoothed_steering(self) -> Array:
        """Return the mean steering of each row and the four on either side, as far as there are, (rows,)."""
        ones = np.ones(_SMOOTHED_ROWS)
        sums, counts = np.convolve(self.steering, ones), np.convolve(np.ones(len(self)), ones)
        return np.asarray(sums / counts)[_SMOOTHED_ROWS // 2 :][: len(self)]


def read_human(log_path: Path, part: tuple[float, float] = (0.0, 1.0)) -> Human:
    """Read how a recording was driven; raises UserError when it is no log, or none of its centre images is there.

    part: from which to which share of its rows, in order of time.
    """
    index, table = ImageIndex(log_path), read_log(log_path).rows
    first, last = (round(share * len(table)) for share in part)
    rows = table.iloc[first:last].to_dict("records")
    images = tuple(_images(index, row) for row in rows)
    if not any("center" in paths for paths in images):
        missing = f"none of its centre images is in {index.folders[0]} or beside the log; put them there"
        raise UserError(f"{log_path}: {missing if len(rows) else 'that part of it has no rows; take another --part'}")
    times, episodes = ([row[name] for row in rows] for name in ("time_ms", "episode"))
    after = range(1, len(rows))
    ends = (*(episodes[row] != episodes[row - 1] for row in after), True)
    gaps = (*((times[row] - times[row - 1]) / 1000 for row in after), 0.0)
    seconds = tuple(0.0 if end else gap for gap, end in zip(gaps, ends, strict=True))
    steering = tuple(float(row["steering"]) for row in rows)
    return Human(
        steering=steering,
        throttle=tuple(float(row["throttle"]) for row in rows),
        speed=tuple(row["speed_mph"] * MPH for row in rows),
        seconds=seconds,
        ends=ends,
        lagged=_lagged(steering, seconds, ends),
        images=images,
    )


def follow(lagged: float, steering: float, seconds: float) -> float:
    """Return the steering that the car's yaw has come to, from `lagged`, after so long: a lag of the first order."""
    return lagged + (1 - math.exp(-seconds / STEERING_LAG_SECONDS)) * (steering - lagged)


def curvature(lagged: float) -> float:
    """Return the curvature of the path that the car drives, 1/m, to the right positive: a kinematic bicycle's."""
    return YAW_GAIN * math.tan(math.radians(lagged * FULL_LOCK_DEGREES)) / WHEELBASE_M


def _images(index: ImageIndex, row: Mapping[Hashable, Any]) -> Mapping[str, str]:
    found = {camera: index.find(row[camera]) for camera in CAMERAS if row[camera]}
    return {camera: path for camera, path in found.items() if path is not None}


def _lagged(steering: tuple[float, ...], seconds: tuple[float, ...], ends: tuple[bool, ...]) -> tuple[float, ...]:
    lagged, current, begins = [], 0.0, True
    for wanted, passed, end in zip(steering, seconds, ends, strict=True):
        current = wanted if begins else follow(current, wanted, passed)
        lagged.append(current)
        begins = end
    return tuple(lagged)
