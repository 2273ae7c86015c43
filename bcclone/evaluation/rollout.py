"""A log -> the recorded drive; the steering of another driver, row by row -> deviation from it,
interventions, and the view of the centre camera there, made from the frames of a row.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from bcclone.camera.geometry import HEIGHT_M, CameraMove, warp_to
from bcclone.camera.images import Image, try_frame
from bcclone.camera.vehicle import CAMERA_AHEAD_M, MOUNTS, MPH, SteeringLaw
from bcclone.dataset.preprocessing import PRESETS, Preprocessing
from bcclone.recording.files import ImageIndex
from bcclone.recording.log import read_log
from bcclone.recording.row import CAMERAS
from bcclone.recording.run_tables import MOTION
from bcclone.simulator.camera import bonnet
from bcclone.simulator.score import autonomy_percent
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError
from bcclone.system.opencv import cv2, recolored

SMOOTHED_ROWS = 9  # 0.6 s, against the steps of a keyboard
_LOST_RADIANS = math.pi / 3  # at a larger yaw no view can be made
_OF_FILM = "The steering is estimated from these frames: what is called the human, or recorded, is this estimate."
_KNOWN = 128  # of 255: most of the pixel was seen


@dataclass(frozen=True)
class RecordedDrive:
    """A recorded drive, or a fraction of one, a value per row in each field but the last four.

    steering, throttle: as recorded; speed: m/s; seconds: until the next row; ends: whether a gap
    follows, whose duration does not count; curvature: of its path, 1/m, to the right positive;
    images: camera -> path, of those that exist. law: of the car; unit: of all lengths, not the
    metre if speed and law are estimated (estimated_drive.py); notes: what is assumed and how well
    it holds, in sentences; estimates: its figures.
    """

    steering: tuple[float, ...]
    throttle: tuple[float, ...]
    speed: tuple[float, ...]
    seconds: tuple[float, ...]
    ends: tuple[bool, ...]
    curvature: tuple[float, ...]
    images: tuple[Mapping[str, str], ...]
    law: SteeringLaw = SteeringLaw()
    unit: Literal["m", "camera heights"] = "m"
    notes: tuple[str, ...] = ()
    estimates: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.steering)

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds)

    @property
    def distance_m(self) -> float:
        """Return how far the car drove, 0 for a recording without speeds: nothing can be driven
        through it.
        """
        return sum(speed * seconds for speed, seconds in zip(self.speed, self.seconds, strict=True))

    @property
    def in_heights(self) -> bool:
        return self.unit != "m"

    @property
    def smoothed_steering(self) -> FloatArray:
        return running_mean(self.steering)


def read_reference(log_path: Path, fraction: tuple[float, float] = (0.0, 1.0)) -> RecordedDrive:
    """Read a recorded drive; raises UserError if it is no log, or has no centre images.

    fraction: start and end of the rows to read, in order of time, 0 to 1.
    """
    index, table = ImageIndex(log_path), read_log(log_path).rows
    first, last = (round(position * len(table)) for position in fraction)
    rows = table.iloc[first:last]
    images = tuple(
        {
            camera: path
            for camera in CAMERAS
            if row[camera] and (path := index.find(row[camera])) is not None
        }
        for row in rows[list(CAMERAS)].to_dict("records")
    )
    if not any("center" in paths for paths in images):
        missing = (
            f"none of its centre images is in {index.folders[0]} or next to the log; put them there"
        )
        raise UserError(
            f"{log_path}: {missing if images else 'the chosen fraction has no rows; choose another --fraction'}"
        )
    last_ones = np.append(np.diff(rows["episode"]) != 0, True)
    gaps = np.append(np.diff(rows["time_ms"]) / 1000, 0.0)
    ends, seconds = tuple(last_ones.tolist()), tuple(np.where(last_ones, 0.0, gaps).tolist())
    steering, throttle, speed = (
        tuple(values.tolist())
        for values in (rows["steering"], rows["throttle"], rows["speed_mph"] * MPH)
    )
    curvature = SteeringLaw().curvatures(steering, seconds, ends)
    notes = (_OF_FILM,) if MOTION.is_in(log_path.parent) else ()
    return RecordedDrive(steering, throttle, speed, seconds, ends, curvature, images, notes=notes)


def running_mean(steering: Sequence[float] | FloatArray) -> FloatArray:
    """Return the mean over nine values, four on either side of each, (values,)."""
    ones = np.ones(SMOOTHED_ROWS)
    sums, counts = np.convolve(steering, ones), np.convolve(np.ones(len(steering)), ones)
    return np.asarray(sums / counts)[SMOOTHED_ROWS // 2 :][: len(steering)]


@dataclass(frozen=True)
class RelativePose:
    """A car's pose relative to the reference car: metres to the right, and yaw to the right."""

    lateral_offset_m: float = 0.0
    yaw_rad: float = 0.0


@dataclass(frozen=True)
class RolloutScore:
    """Figures of a rollout, rounded. rms_cross_track_m: root mean square of the deviation."""

    autonomy_percent: float
    interventions: int
    interventions_per_km: float
    rms_cross_track_m: float


@dataclass
class Rollout:
    """A car that another driver steers along the reference drive.

    limit_m: deviation at which a person takes over and sets the car back. row: the present row;
    pose: the car's pose there; fresh: whether the car has just been set back, so that earlier
    frames do not belong to this pose; interventions: rows at whose end they happened; path:
    deviation at the end of each row, in metres to the right.
    """

    reference: RecordedDrive
    limit_m: float
    row: int = 0
    pose: RelativePose = field(default_factory=RelativePose)
    fresh: bool = True
    seconds: float = 0.0
    distance_m: float = 0.0
    interventions: list[int] = field(default_factory=list)
    path: list[float] = field(default_factory=list)
    _lagged: float = 0.0

    @property
    def ended(self) -> bool:
        return self.row == len(self.reference)

    def advance(self, steering: float) -> None:
        """Drive from this row to the next one with a steering, -1 to 1.

        The pose changes by the difference between the two cars' curvatures, along the reference
        path: path coordinates as in A. De Luca and others, "Feedback control of a nonholonomic
        car-like robot", 1998, section 2.2.
        """
        reference, row = self.reference, self.row
        seconds, metres = reference.seconds[row], reference.speed[row] * reference.seconds[row]
        steering = min(max(steering, -1.0), 1.0)
        begins = row == 0 or reference.ends[row - 1]
        self._lagged = reference.law.follow(
            reference.steering[row] if begins else self._lagged, steering, seconds
        )
        before, bend = self.pose, reference.curvature[row]
        own_metres = metres * (1 - bend * before.lateral_offset_m) / math.cos(before.yaw_rad)
        yaw_rad = (
            before.yaw_rad + own_metres * reference.law.curvature(self._lagged) - metres * bend
        )
        lateral_offset_m = before.lateral_offset_m + own_metres * math.sin(
            (before.yaw_rad + yaw_rad) / 2
        )
        self.seconds, self.distance_m, self.row = (
            self.seconds + seconds,
            self.distance_m + metres,
            row + 1,
        )
        self.path.append(lateral_offset_m)
        self.pose, self.fresh = RelativePose(lateral_offset_m, yaw_rad), False
        if abs(lateral_offset_m) > self.limit_m or abs(yaw_rad) > _LOST_RADIANS:
            self.interventions.append(row)
            self._set_back(steering)
        elif reference.ends[row]:  # the drive to the next row was not recorded
            self._set_back(steering)

    def advance_by(self, steerings: Iterable[float]) -> Self:
        """Drive as far as there are values of the steering; return this rollout."""
        for steering in steerings:
            self.advance(steering)
        return self

    @property
    def score(self) -> RolloutScore:
        rms = math.sqrt(sum(deviation**2 for deviation in self.path) / max(len(self.path), 1))
        return RolloutScore(
            autonomy_percent=round(autonomy_percent(len(self.interventions), self.seconds), 2),
            interventions=len(self.interventions),
            interventions_per_km=round(
                1000 * len(self.interventions) / max(self.distance_m, 1e-9), 3
            ),
            rms_cross_track_m=round(rms, 3),
        )

    def _set_back(self, steering: float) -> None:
        """Put the car where the reference car is; its yaw follows its own wheels at once."""
        self.pose, self.fresh, self._lagged = RelativePose(), True, steering


def rollouts_of(reference: RecordedDrive, limits_m: Iterable[float]) -> dict[float, Rollout]:
    """Return a rollout for each limit, at its beginning; none for a reference drive of no distance."""
    return (
        {limit_m: Rollout(reference, limit_m) for limit_m in limits_m}
        if reference.distance_m
        else {}
    )


@dataclass(frozen=True)
class RowFrames:
    """The frames of a row.

    centre: RGB uint8 (160, 320, 3), None if it cannot be read; cameras: camera -> RGBA uint8 (160,
    320, 4), of those that can. Alpha is 255 where a frame shows the world. It is 0 on the bonnet
    and in the outermost columns, so that a repeated border is not taken for the world.
    """

    centre: Image | None
    cameras: Mapping[str, Image]


def read_row(paths: Mapping[str, str]) -> RowFrames:
    """Read the frames of a row, camera -> path; unreadable ones are left out."""
    centre, cameras = None, {}
    for camera, path in paths.items():
        if (frame := try_frame(path)[0]) is None:
            continue
        cameras[camera] = recolored(frame, cv2.COLOR_RGB2RGBA)
        cameras[camera][..., 3] = _world_mask(camera)
        centre = frame if camera == "center" else centre
    return RowFrames(centre, cameras)


class Views:
    """Makes views as inputs of one preprocessing; preprocessing.PRESETS["carnd-160x320-rgb"] gives
    full frames.

    The nearest camera's frame is warped, and filled up from the next ones where it lacks pixels;
    pixels that no camera saw repeat the nearest one's border. The bonnet is the centre frame's own.

    in_heights: poses are in camera heights, and the camera is one of another car, without the
    simulator's bonnet.
    """

    def __init__(self, preprocessing: Preprocessing, in_heights: bool = False) -> None:
        self._preprocessing, self._unit_m = preprocessing, HEIGHT_M if in_heights else 1.0
        # what is drawn; of other preprocessings whole frames, which are then prepared
        drawn = self._drawn = (
            preprocessing if preprocessing.is_plain else PRESETS["carnd-160x320-rgb"]
        )
        self._full = _Box(0, 0, drawn.width, drawn.height)
        hides = bonnet("center")[0] & (not in_heights)
        mask = np.repeat(np.where(hides, 255, 0).astype(np.uint8)[..., np.newaxis], 3, axis=2)
        hidden = replace(drawn, color="RGB").apply(mask)[..., 0]
        self._bonnet = np.where(hidden >= _KNOWN, 255, 0).astype(np.uint8)

    def prepare(self, frame: Image) -> Image:
        """Return the network's input for a camera's own frame, RGB uint8 (160, 320, 3)."""
        return self._preprocessing.apply(frame)

    def view(self, frames: RowFrames, pose: RelativePose, centre: Image) -> Image:
        """Return the network's input from a pose, uint8 (height, width, channels); centre: from the
        centre camera.
        """
        if pose == RelativePose():
            return centre
        offset_m = pose.lateral_offset_m * self._unit_m + CAMERA_AHEAD_M * math.sin(pose.yaw_rad)
        nearest, *others = sorted(
            frames.cameras, key=lambda camera: abs(offset_m - MOUNTS[camera][0])
        )
        view = self._warped(nearest, frames, pose, self._full)
        missing = _unseen(view) & ~self._bonnet
        for camera in others:
            # the outermost columns are missing in every camera, so they alone need no other one
            left, top, width, height = cv2.boundingRect(missing[:, 1:-1])
            if not width:
                break
            box = _Box(left, top, width + 2, height)
            region = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
            more = self._warped(camera, frames, pose, box)
            filled = missing[region] & ~_unseen(more)
            cv2.copyTo(more, filled, view[region])
            missing[region] ^= filled
        result = self._drawn.convert_colors(recolored(view, cv2.COLOR_RGBA2RGB))
        is_done = self._drawn is self._preprocessing
        own = centre if is_done or frames.centre is None else frames.centre
        cv2.copyTo(own, self._bonnet, result)
        return result if is_done else self._preprocessing.apply(result)

    def _warped(self, camera: str, frames: RowFrames, pose: RelativePose, box: "_Box") -> Image:
        """Return a region of the view from one camera's frame, RGBA uint8 (height, width, 4)."""
        right, _, ahead = MOUNTS[camera]
        offset_m = (
            pose.lateral_offset_m * self._unit_m + CAMERA_AHEAD_M * math.sin(pose.yaw_rad) - right
        )
        ahead_m = MOUNTS["center"][2] - ahead - CAMERA_AHEAD_M * (1 - math.cos(pose.yaw_rad))
        corner = np.array([[1.0, 0.0, -box.left], [0.0, 1.0, -box.top], [0.0, 0.0, 1.0]])
        move = CameraMove(offset_m, pose.yaw_rad, ahead_m=ahead_m)
        warp = warp_to(move).through(corner @ self._drawn.pixels, np.eye(3))
        return warp.apply(frames.cameras[camera], box.width, box.height)


class _Box(NamedTuple):
    """A region of a view, in pixels."""

    left: int
    top: int
    width: int
    height: int


def _unseen(view: Image) -> Image:
    """Return 255 for the pixels of an RGBA view that its camera did not see, (height, width)."""
    return np.asarray(
        cv2.threshold(cv2.extractChannel(view, 3), _KNOWN - 1, 255, cv2.THRESH_BINARY_INV)[1],
        np.uint8,
    )


@cache
def _world_mask(camera: str) -> npt.NDArray[np.uint8]:
    """Return 255 for the pixels of a camera that show the world, 0 for the others, (160, 320)."""
    mask = np.where(bonnet(camera)[0], 0, 255).astype(np.uint8)
    mask[:, [0, -1]] = 0
    return mask
