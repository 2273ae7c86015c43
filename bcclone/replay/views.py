"""What the cameras saw, a pose -> what the centre camera would have seen from there, as a network takes it."""

import itertools
import math
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from bcclone.decode import read_frame
from bcclone.images import BadImage, Image, Preprocessing
from bcclone.replay.rollout import Pose
from bcclone.simulator.camera import bonnet
from bcclone.vehicle import CAMERA_AHEAD_M, MOUNTS
from bcclone.view import CameraMove, warp_to

_ROWS_AHEAD = 32


@dataclass(frozen=True)
class Seen:
    """What the cameras saw in a row.

    centre: RGB uint8 (160, 320, 3), None where it cannot be read; cameras: camera -> RGBA uint8 (160, 320, 4), of those
    that can. A is 255 where the picture shows the world; 0 on the bonnet and along both sides, so that a side that is
    repeated beyond its end is known for what it is.
    """

    centre: Image | None
    cameras: Mapping[str, Image]


def read_seen(images: Sequence[Mapping[str, str]]) -> Iterator[Seen]:
    """Yield what was seen in each row; images: camera -> path, a row each."""
    pending: deque[Future[Seen]] = deque()
    rest = iter(images)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            pending.extend(pool.submit(read_row, paths) for paths in itertools.islice(rest, _ROWS_AHEAD))
            while pending:
                seen = pending.popleft().result()
                pending.extend(pool.submit(read_row, paths) for paths in itertools.islice(rest, 1))
                yield seen
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def read_row(paths: Mapping[str, str]) -> Seen:
    """Read what was seen in one row; images that cannot be read are left out."""
    centre, cameras = None, {}
    for camera, path in paths.items():
        try:
            frame = read_frame(path)
        except BadImage:
            continue
        cameras[camera] = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2RGBA), np.uint8)
        cameras[camera][..., 3] = _shows_world(camera)
        centre = frame if camera == "center" else centre
    return Seen(centre, cameras)


@cache
def _shows_world(camera: str) -> npt.NDArray[np.uint8]:
    """Return 255 for the pixels of a camera that show the world, 0 for the others, (160, 320)."""
    shows = np.where(bonnet(camera)[0], 0, 255).astype(np.uint8)
    shows[:, [0, -1]] = 0
    return shows


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
