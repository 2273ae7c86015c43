"""Views from another position: which way the content moves, and how similar they are to real
frames.
"""

import math

import numpy as np
import pytest

from bcclone.camera.geometry import CameraMove, warp_to
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH
from bcclone.dataset.preprocessing import PRESETS

FRAME_SIZE = FRAME_WIDTH, FRAME_HEIGHT
ROAD = slice(65, 136)  # rows that show the road and its shoulders, without the bonnet


def stripe(column=160, half=4):
    """A dark frame with a bright upright stripe."""
    frame = np.zeros((FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8)
    frame[:, column - half : column + half + 1] = 255
    return frame


def column_of_stripe(frame, row):
    weights = frame[row, :, 0].astype(float)
    return (weights * np.arange(frame.shape[1])).sum() / weights.sum()


@pytest.mark.parametrize("row", [40, 100])
def test_a_camera_with_a_yaw_to_the_right_shows_objects_farther_left(row):
    view = warp_to(CameraMove(0.0, math.radians(5))).apply(stripe(), *FRAME_SIZE)
    assert column_of_stripe(view, row) - 160 == pytest.approx(-12, abs=1)


@pytest.mark.parametrize(("row", "moved"), [(40, 0), (100, -13)])
def test_a_camera_farther_right_shows_the_road_farther_left_and_the_sky_unmoved(row, moved):
    view = warp_to(CameraMove(0.4, 0.0)).apply(stripe(), *FRAME_SIZE)
    assert column_of_stripe(view, row) - 160 == pytest.approx(moved, abs=1)


def test_a_camera_that_looks_backwards_is_refused():
    with pytest.raises(ValueError, match="90 degrees, expected less"):
        warp_to(CameraMove(0.0, math.radians(90)))


def smooth_frame():
    """A frame without edges, which looks the same after any interpolation."""
    columns, rows = np.meshgrid(np.arange(FRAME_WIDTH), np.arange(FRAME_HEIGHT))
    waves = [np.sin(columns / 31), np.cos(rows / 23), np.sin((columns + rows) / 41)]
    return np.stack([127 + 100 * wave for wave in waves], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("name", ["carnd-128-rgb", "nvidia-66x200-yuv"])
def test_prepared_images_are_warped_like_frames(name):
    preprocessing = PRESETS[name]
    warp = warp_to(CameraMove(0.3, math.radians(-4)))
    size = (preprocessing.width, preprocessing.height)
    pixels = preprocessing.frame_to_prepared
    expected = preprocessing.apply(warp.apply(smooth_frame(), *FRAME_SIZE))
    full_size = preprocessing.convert_colors(
        warp.between_images(pixels, np.eye(3)).apply(smooth_frame(), *size)
    )
    stored = warp.between_images(pixels, pixels).apply(preprocessing.apply(smooth_frame()), *size)
    for made in (full_size, stored):
        # at the edges, the neighbours of pixels differ
        inside = np.abs(made.astype(int) - expected)[:, 20:-20]
        assert inside.mean() < 1
        assert np.percentile(inside, 99) <= 3
