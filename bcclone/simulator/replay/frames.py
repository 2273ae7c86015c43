"""Rows of a recording -> what their cameras saw, decoded ahead on all cores, in order."""

import itertools
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from bcclone.decode import read_frame
from bcclone.images import BadImage, Image
from bcclone.simulator.camera import bonnet

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
