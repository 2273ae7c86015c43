"""Make the view of the centre camera beside or across the recorded path, from the frames of a row."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bcclone.dataset.geometry import HEIGHT_M, CameraMove, warp_to
from bcclone.dataset.images import BadImage, Image, read_frame
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.vehicle import CAMERA_AHEAD_M, MOUNTS
from bcclone.evaluate.rollout import RelativePose
from bcclone.simulator.camera import bonnet
from bcclone.system.opencv import cv2

_KNOWN = 128  # of 255: most of the pixel was seen


@dataclass(frozen=True)
class RowFrames:
    """The frames of a row.

    centre: RGB uint8 (160, 320, 3), None if it cannot be read; cameras: camera -> RGBA uint8 (160, 320, 4), of those
    that can. Alpha is 255 where a frame shows the world. It is 0 on the bonnet and in the outermost columns, so that a
    repeated border is not taken for the world.
    """

    centre: Image | None
    cameras: Mapping[str, Image]


def read_row(paths: Mapping[str, str]) -> RowFrames:
    """Read the frames of a row, camera -> path; unreadable ones are left out."""
    centre, cameras = None, {}
    for camera, path in paths.items():
        try:
            frame = read_frame(path)
        except BadImage:
            continue
        cameras[camera] = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2RGBA), np.uint8)
        cameras[camera][..., 3] = _world_mask(camera)
        centre = frame if camera == "center" else centre
    return RowFrames(centre, cameras)


class Views:
    """Makes views as inputs of one preprocessing; preprocessing.PRESETS["carnd-160x320-rgb"] gives full frames.

    The nearest camera's frame is warped, and filled up from the next ones where it lacks pixels; pixels that no camera
    saw repeat the nearest one's border. The bonnet is the centre frame's own.

    in_heights: poses are in camera heights, and the camera is one of another car, without the simulator's bonnet.
    """

    def __init__(self, preprocessing: Preprocessing, in_heights: bool = False) -> None:
        self._preprocessing, self._unit_m = preprocessing, HEIGHT_M if in_heights else 1.0
        self._full = _Box(0, 0, preprocessing.width, preprocessing.height)
        hides = bonnet("center")[0] & (not in_heights)
        mask = np.repeat(np.where(hides, 255, 0).astype(np.uint8)[..., np.newaxis], 3, axis=2)
        hidden = replace(preprocessing, color="RGB").apply(mask)[..., 0]
        self._bonnet = np.where(hidden >= _KNOWN, 255, 0).astype(np.uint8)

    def prepare(self, frame: Image) -> Image:
        """Return the network's input for a camera's own frame, RGB uint8 (160, 320, 3)."""
        return self._preprocessing.apply(frame)

    def view(self, frames: RowFrames, pose: RelativePose, centre: Image) -> Image:
        """Return the network's input from a pose, uint8 (height, width, channels); centre: from the centre camera."""
        if pose == RelativePose():
            return centre
        offset_m = pose.lateral_offset_m * self._unit_m + CAMERA_AHEAD_M * math.sin(pose.yaw_rad)
        nearest, *others = sorted(frames.cameras, key=lambda camera: abs(offset_m - MOUNTS[camera][0]))
        view = self._warped(nearest, frames, pose, self._full)
        missing = _unseen(view) & ~self._bonnet
        for camera in others:
            box = _box_of(missing)
            if box is None:
                break
            region = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
            more = self._warped(camera, frames, pose, box)
            filled = missing[region] & ~_unseen(more)
            cv2.copyTo(more, filled, view[region])
            missing[region] ^= filled
        result = self._preprocessing.convert_colors(np.asarray(cv2.cvtColor(view, cv2.COLOR_RGBA2RGB), np.uint8))
        cv2.copyTo(centre, self._bonnet, result)
        return result

    def _warped(self, camera: str, frames: RowFrames, pose: RelativePose, box: "_Box") -> Image:
        """Return a region of the view from one camera's frame, RGBA uint8 (height, width, 4)."""
        right, _, ahead = MOUNTS[camera]
        offset_m = pose.lateral_offset_m * self._unit_m + CAMERA_AHEAD_M * math.sin(pose.yaw_rad) - right
        ahead_m = MOUNTS["center"][2] - ahead - CAMERA_AHEAD_M * (1 - math.cos(pose.yaw_rad))
        corner = np.array([[1.0, 0.0, -box.left], [0.0, 1.0, -box.top], [0.0, 0.0, 1.0]])
        move = CameraMove(offset_m, pose.yaw_rad, ahead_m=ahead_m)
        warp = warp_to(move).through(corner @ self._preprocessing.pixels, np.eye(3))
        return warp.apply(frames.cameras[camera], box.width, box.height)


class _Box(NamedTuple):
    """A region of a view, in pixels."""

    left: int
    top: int
    width: int
    height: int


def _box_of(missing: Image) -> _Box | None:
    """Return the smallest region with all missing pixels, None without any.

    The outermost columns count only together with others, since they are missing in every camera.
    """
    left, top, width, height = cv2.boundingRect(missing[:, 1:-1])
    return _Box(left, top, width + 2, height) if width else None


def _unseen(view: Image) -> Image:
    """Return 255 for the pixels of an RGBA view that its camera did not see, (height, width)."""
    return np.asarray(cv2.threshold(cv2.extractChannel(view, 3), _KNOWN - 1, 255, cv2.THRESH_BINARY_INV)[1], np.uint8)


@cache
def _world_mask(camera: str) -> npt.NDArray[np.uint8]:
    """Return 255 for the pixels of a camera that show the world, 0 for the others, (160, 320)."""
    mask = np.where(bonnet(camera)[0], 0, 255).astype(np.uint8)
    mask[:, [0, -1]] = 0
    return mask
