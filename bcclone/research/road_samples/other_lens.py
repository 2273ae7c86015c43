"""See a frame of the simulator through another lens: the frame -> the image of any camera at the
same place, RGB uint8 (height, width, 3).
"""

import math

import numpy as np

from bcclone.camera.geometry import FOCAL_PX, VANISHING_ROW
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.research.road_samples.any_camera import AnyCamera, CameraChoice, draw_camera
from bcclone.system.arrays import Float32Array, Random
from bcclone.system.opencv import cv2

_ROAD_RADIUS_M = 10.0  # of bends for which a lens is chosen: the random roads wind
# the simulator's lens shows 98 degrees from left to right, and the horizon in the upper half
_CHOICE = CameraChoice(
    narrowest_degrees=42.0, widest_degrees=96.0, aspects=(0.85, 2.4), horizons=(0.12, 0.5)
)


def through_other_lens(frame: Image, random: Random, height: int, width: int) -> Image:
    """Return what a random camera sees of a frame of the simulator.

    What the frame does not show repeats its edge.

    height, width: size of the returned image
    """
    camera = draw_camera(random, _ROAD_RADIUS_M, floor=False, choice=_CHOICE)
    columns, rows = _places(camera, height, width)
    # a pixel of the image shows several pixels of the frame
    wide = (float(columns.max()) - float(columns.min())) / width
    high = (float(rows.max()) - float(rows.min())) / height
    share = random.uniform(0.25, 0.5)  # spread of the blur in pixels of the image
    blurred = cv2.GaussianBlur(
        frame, (0, 0), sigmaX=max(share * wide, 0.1), sigmaY=max(share * high, 0.1)
    )
    view = cv2.remap(blurred, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(view, np.uint8)


def _places(camera: AnyCamera, height: int, width: int) -> tuple[Float32Array, Float32Array]:
    """Return which column and row of a frame each pixel shows, (height, width) each."""
    rays = camera.rays(height, width)
    right, up, ahead = rays[..., 0], rays[..., 1], rays[..., 2]
    # the simulator's camera is tilted downwards, so that the horizon is above the middle
    middle_row = (FRAME_HEIGHT - 1) / 2
    slope = (middle_row - VANISHING_ROW) / FOCAL_PX
    cosine = 1.0 / math.sqrt(1.0 + slope * slope)
    sine = slope * cosine
    depth = np.maximum(ahead * cosine - up * sine, 0.05)
    columns = (FRAME_WIDTH - 1) / 2 + FOCAL_PX * right / depth
    rows = middle_row - FOCAL_PX * (up * cosine + ahead * sine) / depth
    # far outside, the remapping needs no exact places
    columns = np.clip(columns, -10.0, FRAME_WIDTH + 10.0)
    rows = np.clip(rows, -10.0, FRAME_HEIGHT + 10.0)
    return columns.astype(np.float32), rows.astype(np.float32)
