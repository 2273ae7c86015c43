"""The bends of a film show the focal length of its camera, with an error that is honest."""

import numpy as np
import pytest

from bcclone.camera.lens import Lens
from bcclone.diagnosis.heading import Heading
from bcclone.realcar.film_focal import fit_focal

WIDTH = 320
HEIGHT = 240  # of the pictures; frames have 160 rows


def pairs_of(focal_px, turn_rad, fisheye=False, count=60):
    """Return points that a driving camera sees twice, in pixels of frames: pairs of (60, 2)."""
    random = np.random.default_rng(0)
    lens = Lens(focal_px, (HEIGHT - 1) / 2, (WIDTH - 1) / 2, fisheye=fisheye)
    half = np.tan(np.radians(min(lens.degrees_across(WIDTH), 140) / 2))
    pairs = []
    for pair in range(count):
        ahead = random.uniform(4, 40, 60)
        right = random.uniform(-half, half, 60) * ahead
        down = random.uniform(-half, half, 60) * ahead * HEIGHT / WIDTH
        yaw = turn_rad * (-1) ** (pair // 10)
        # the camera drives 0.7 m along an arc, and turns
        moved = np.array([right - 0.7 * np.sin(yaw / 2), down, ahead - 0.7])
        turn = [[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]]
        places = [
            lens.pixels(rays, WIDTH, HEIGHT).T + random.normal(0, 0.15, (60, 2))
            for rays in (np.array([right, down, ahead]), turn @ moved)
        ]
        pairs.append(tuple((place + 0.5) * [1, 160 / HEIGHT] - 0.5 for place in places))
    return pairs


HEADING = Heading(159.5, 79.5, 1.0, 1.0, 0.5)


@pytest.mark.parametrize(
    ("degrees", "fisheye"), [(40, False), (65, False), (100, False), (120, True)]
)
def test_bends_show_the_angle_of_view(degrees, fisheye):
    half = np.radians(degrees / 2)
    focal_px = WIDTH / 2 / (half if fisheye else np.tan(half))
    shown = fit_focal(pairs_of(focal_px, 0.06, fisheye), HEADING, HEIGHT / WIDTH)
    assert shown.is_sure
    assert shown.degrees == pytest.approx(degrees, abs=5)
    low, high = shown.range_degrees
    assert low < shown.degrees < high
    assert not shown.contradicts(focal_px, WIDTH)
    assert shown.contradicts(focal_px / 2, WIDTH)
    assert shown.focal_px(2 * WIDTH) == pytest.approx(2 * focal_px, rel=0.1)


def test_a_long_lens_that_hardly_turns_does_not_show_it():
    assert not fit_focal(pairs_of(600.0, 0.004), HEADING, HEIGHT / WIDTH).is_sure
