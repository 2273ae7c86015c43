"""Pictures of the user's camera: to calibrate an export with, and to compare it on."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bcclone.dataset.images import BadImage, Image, decode_image
from bcclone.system.codec import read_bytes
from bcclone.system.errors import UserError
from bcclone.system.opencv import cv2

_ENDINGS = (".jpg", ".jpeg", ".png")
# as in recordings, in tables and in tubs
_SIDE_CAMERA = re.compile(r"(left|right)_|\d+_(cam_image_array_)?(left|right)_?\.", re.IGNORECASE)
_PICTURES, _FEWEST = 400, 20


@dataclass(frozen=True)
class Pictures:
    """Pictures of a camera, uint8 (height, width, 3).

    calibrating, comparing: every other one; unreadable: how many files had to be left out.
    """

    calibrating: Sequence[Image]
    comparing: Sequence[Image]
    unreadable: int


def read_pictures(folder: Path, camera: tuple[int, int]) -> Pictures:
    """Return at most 400 pictures from all over a recording, a tub or a folder, in the camera's size.

    Raises UserError where there are fewer than 20 that can be read.
    """
    paths = sorted(
        Path(where, name)
        for where, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(_ENDINGS) and not _SIDE_CAMERA.match(name)
    )
    frames: list[Image] = []
    unreadable = 0
    for index in np.unique(np.linspace(0, len(paths) - 1, min(2 * _PICTURES, len(paths))).astype(int)):
        try:
            frames.append(_of_size(decode_image(read_bytes(paths[index], "image")), camera))
        except (BadImage, OSError):
            unreadable += 1
    if len(frames) < _FEWEST:
        raise UserError(
            f"{folder}: {len(frames)} pictures (.jpg, .png) that can be read, expected {_FEWEST} or more of the "
            "car's camera; name a recording, a tub or a folder of pictures"
        )
    frames = [frames[index] for index in np.linspace(0, len(frames) - 1, min(_PICTURES, len(frames))).astype(int)]
    return Pictures(frames[::2], frames[1::2], unreadable)


def _of_size(picture: Image, size: tuple[int, int]) -> Image:
    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
