"""Read the reference drive from a log: how it was driven, row by row, and the images of each row."""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.dataset.vehicle import FULL_LOCK_DEGREES, MPH, STEERING_LAG_SECONDS, WHEELBASE_M, YAW_GAIN
from bcclone.recording.files import ImageIndex
from bcclone.recording.log import read_log
from bcclone.recording.row import CAMERAS
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError

_SMOOTHED_ROWS = 9  # 0.6 s, against the steps of a keyboard


@dataclass(frozen=True)
class RecordedDrive:
    """A recorded drive, or a fraction of one, a value per row in each field.

    steering, throttle: as recorded; speed: m/s; seconds: until the next row; ends: whether a gap follows, whose
    duration does not count; lagged: the steering that the car's yaw follows; images: camera -> path, of those that
    exist.
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
        """Return the duration of the drive without its gaps."""
        return sum(self.seconds)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Return the cameras with images."""
        return tuple(camera for camera in CAMERAS if any(camera in paths for paths in self.images))

    @property
    def smoothed_steering(self) -> FloatArray:
        """Return the running mean of the steering over nine rows, (rows,)."""
        ones = np.ones(_SMOOTHED_ROWS)
        sums, counts = np.convolve(self.steering, ones), np.convolve(np.ones(len(self)), ones)
        return np.asarray(sums / counts)[_SMOOTHED_ROWS // 2 :][: len(self)]


def read_reference(log_path: Path, fraction: tuple[float, float] = (0.0, 1.0)) -> RecordedDrive:
    """Read a recorded drive; raises UserError if it is no log, or has no centre images.

    fraction: start and end of the rows to read, in order of time, 0 to 1.
    """
    index, table = ImageIndex(log_path), read_log(log_path).rows
    first, last = (round(position * len(table)) for position in fraction)
    rows = table.iloc[first:last].to_dict("records")
    images = tuple(_images(index, row) for row in rows)
    if not any("center" in paths for paths in images):
        missing = f"none of its centre images is in {index.folders[0]} or beside the log; put them there"
        raise UserError(
            f"{log_path}: {missing if rows else 'the chosen fraction has no rows; choose another --fraction'}"
        )
    times, episodes = ([row[name] for row in rows] for name in ("time_ms", "episode"))
    after = range(1, len(rows))
    ends = (*(episodes[row] != episodes[row - 1] for row in after), True)
    gaps = (*((times[row] - times[row - 1]) / 1000 for row in after), 0.0)
    seconds = tuple(0.0 if end else gap for gap, end in zip(gaps, ends, strict=True))
    steering = tuple(float(row["steering"]) for row in rows)
    return RecordedDrive(
        steering=steering,
        throttle=tuple(float(row["throttle"]) for row in rows),
        speed=tuple(row["speed_mph"] * MPH for row in rows),
        seconds=seconds,
        ends=ends,
        lagged=_lagged(steering, seconds, ends),
        images=images,
    )


def follow(lagged: float, steering: float, seconds: float) -> float:
    """Return the steering that the car's yaw follows after some seconds: a first-order lag behind the wheels."""
    return lagged + (1 - math.exp(-seconds / STEERING_LAG_SECONDS)) * (steering - lagged)


def curvature(lagged: float) -> float:
    """Return the curvature of the car's path, 1/m, to the right positive: a kinematic bicycle's."""
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
