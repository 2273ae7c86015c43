"""What the cameras saw, a pose -> what the centre camera would have seen from there, as a network takes it."""

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from bcclone.images import Image, Preprocessing
from bcclone.simulator.camera import bonnet
from bcclone.simulator.replay.frames import Seen
from bcclone.simulator.replay.ride import Pose
from bcclone.vehicle import MOUNTS
from bcclone.view import warp_to

_AHEAD_OF_AXLE_M = 2.6  # the centre camera, of the rear axle, which is what follows a path
_KNOWN = 128  # of 255: most of the pixel was seen


class Views:
    """Makes views as one preprocessing has them; a whole frame is images.PRESETS["carnd-160x320-rgb"].

    The nearest camera gives what it saw, the next ones what it lacks; what none of them saw repeats the nearest one's
    edge. The bonnet is the centre frame's own.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._preprocessing = preprocessing
        mask = np.repeat(np.where(bonnet("center")[0], 255, 0).astype(np.uint8)[..., np.newaxis], 3, axis=2)
        self._bonnet = replace(preprocessing, color="RGB").apply(mask)[..., 0] >= _KNOWN

    def view(self, seen: Seen, pose: Pose) -> Image:
        """Return the network's input, uint8 (height, width, 3), from this pose; seen: the centre frame at least."""
        if seen.centre is None:
            raise ValueError("a view without a centre frame")
        centre = self._preprocessing.apply(seen.centre)
        if pose == Pose():
            return centre
        beside_m = pose.beside_m + _AHEAD_OF_AXLE_M * math.sin(pose.turned)
        nearest, *others = sorted(seen.cameras, key=lambda camera: abs(beside_m - MOUNTS[camera][0]))
        view = self._from(nearest, seen, pose, (0, 0, self._preprocessing.width, self._preprocessing.height))
        view[self._bonnet, 3] = 255
        for camera in others:
            lacking = (view[..., 3] < _KNOWN).astype(np.uint8)
            left, top, width, height = box = cv2.boundingRect(lacking)
            if not width:
                break
            more = self._from(camera, seen, pose, box)
            part = view[top : top + height, left : left + width]
            filled = (part[..., 3] < _KNOWN) & (more[..., 3] >= _KNOWN)
            np.copyto(part, more, where=filled[..., np.newaxis])
        made = self._preprocessing.convert_colors(np.asarray(cv2.cvtColor(view, cv2.COLOR_RGBA2RGB), np.uint8))
        np.copyto(made, centre, where=self._bonnet[..., np.newaxis])
        return made

    def _from(self, camera: str, seen: Seen, pose: Pose, box: Sequence[int]) -> Image:
        """Return a part of the view made of one camera's frame, RGBA; box: left, top, width, height of the part."""
        right, _, ahead = MOUNTS[camera]
        beside_m = pose.beside_m + _AHEAD_OF_AXLE_M * math.sin(pose.turned) - right
        ahead_m = MOUNTS["center"][2] - ahead - _AHEAD_OF_AXLE_M * (1 - math.cos(pose.turned))
        left, top, width, height = box
        corner = np.array([[1.0, 0.0, -left], [0.0, 1.0, -top], [0.0, 0.0, 1.0]])
        warp = warp_to(beside_m, pose.turned, ahead_m).through(corner @ self._preprocessing.pixels, np.eye(3))
        return warp.apply(seen.cameras[camera], width, height)
