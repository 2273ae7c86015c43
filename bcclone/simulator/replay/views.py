"""What the cameras saw, a pose -> what the centre camera would have seen from there, as a network takes it."""

import math
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from bcclone.images import Image, Preprocessing
from bcclone.simulator.camera import bonnet
from bcclone.simulator.replay.frames import Seen
from bcclone.simulator.replay.ride import Pose
from bcclone.vehicle import CAMERA_AHEAD_M, MOUNTS
from bcclone.view import CameraMove, warp_to

_KNOWN = 128  # of 255: most of the pixel was seen


class _Box(NamedTuple):
    """A part of a view, pixels."""

    left: int
    top: int
    width: int
    height: int


class Views:
    """Makes views as one preprocessing has them; a whole frame is images.PRESETS["carnd-160x320-rgb"].

    The nearest camera gives what it saw, the next ones what it lacks; what none of them saw repeats the nearest one's
    edge. The bonnet is the centre frame's own.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._preprocessing = preprocessing
        self._whole = _Box(0, 0, preprocessing.width, preprocessing.height)
        mask = np.repeat(np.where(bonnet("center")[0], 255, 0).astype(np.uint8)[..., np.newaxis], 3, axis=2)
        hidden = replace(preprocessing, color="RGB").apply(mask)[..., 0]
        self._bonnet = np.where(hidden >= _KNOWN, 255, 0).astype(np.uint8)

    def prepare(self, frame: Image) -> Image:
        """Return the network's input for a camera's own frame, RGB uint8 (160, 320, 3)."""
        return self._preprocessing.apply(frame)

    def view(self, seen: Seen, pose: Pose, centre: Image) -> Image:
        """Return the network's input, uint8 (height, width, 3), from a pose; centre: that of the centre camera."""
        if pose == Pose():
            return centre
        beside_m = pose.beside_m + CAMERA_AHEAD_M * math.sin(pose.turned)
        nearest, *others = sorted(seen.cameras, key=lambda camera: abs(beside_m - MOUNTS[camera][0]))
        view = self._from(nearest, seen, pose, self._whole)
        lacking = _unknown(view) & ~self._bonnet
        for camera in others:
            box = _box_of(lacking)
            if box is None:
                break
            part = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
            more = self._from(camera, seen, pose, box)
            filled = lacking[part] & ~_unknown(more)
            cv2.copyTo(more, filled, view[part])
            lacking[part] ^= filled
        made = self._preprocessing.convert_colors(np.asarray(cv2.cvtColor(view, cv2.COLOR_RGBA2RGB), np.uint8))
        cv2.copyTo(centre, self._bonnet, made)
        return made

    def _from(self, camera: str, seen: Seen, pose: Pose, box: _Box) -> Image:
        """Return a part of the view made of one camera's frame, RGBA uint8 (height, width, 4)."""
        right, _, ahead = MOUNTS[camera]
        beside_m = pose.beside_m + CAMERA_AHEAD_M * math.sin(pose.turned) - right
        ahead_m = MOUNTS["center"][2] - ahead - CAMERA_AHEAD_M * (1 - math.cos(pose.turned))
        corner = np.array([[1.0, 0.0, -box.left], [0.0, 1.0, -box.top], [0.0, 0.0, 1.0]])
        move = CameraMove(beside_m, pose.turned, ahead_m=ahead_m)
        warp = warp_to(move).through(corner @ self._preprocessing.pixels, np.eye(3))
        return warp.apply(seen.cameras[camera], box.width, box.height)


def _unknown(view: Image) -> Image:
    """Return 255 for the pixels of an RGBA view that its camera did not see, (height, width)."""
    return np.asarray(cv2.threshold(cv2.extractChannel(view, 3), _KNOWN - 1, 255, cv2.THRESH_BINARY_INV)[1], np.uint8)


def _box_of(lacking: Image) -> _Box | None:
    """Return the smallest part with all that is lacking, None where that is nothing.

    Both outermost columns count only together with others: every camera lacks them.
    """
    left, top, width, height = cv2.boundingRect(lacking[:, 1:-1])
    return _Box(left, top, width + 2, height) if width else None
