"""See a frame of the simulator through another lens: the frame -> the image of any camera at the
same place, RGB uint8 (height, width, 3).
"""

import numpy as np

from bcclone.camera.geometry import simulated_camera
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image, cv2
from bcclone.research.road_samples.any_camera import AnyCamera, CameraChoice, draw_camera
from bcclone.system.numbers import Float32Array, FloatArray, Random

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
    _, to_pixel = simulated_camera()
    # rounded, so that the places are the same on every processor
    across, along, depth = np.round(to_pixel, 9)
    rays = camera.rays(height, width) * (1.0, -1.0, 1.0)  # to the right, down and ahead
    ahead = np.maximum(_product(rays, depth), 0.05)
    # far outside, the remapping needs no exact places
    columns = np.clip(_product(rays, across) / ahead, -10.0, FRAME_WIDTH + 10.0)
    rows = np.clip(_product(rays, along) / ahead, -10.0, FRAME_HEIGHT + 10.0)
    return columns.astype(np.float32), rows.astype(np.float32)


def _product(rays: FloatArray, row: FloatArray) -> FloatArray:
    """Return the products of rays, (height, width, 3), and a row of a matrix, (height, width).

    NumPy's matrix product rounds differently on different processors.
    """
    return np.asarray(rays[..., 0] * row[0] + rays[..., 1] * row[1] + rays[..., 2] * row[2])
