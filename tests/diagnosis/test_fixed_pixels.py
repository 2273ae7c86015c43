"""What stands still in the pictures of a driving car is found, and covered."""

import cv2
import numpy as np
import pytest

from bcclone.diagnosis.fixed_pixels import covered, find_fixed_pixels

ROWS = 60


def passed_places():
    """Return frames that each show another place of a landscape."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (60, 600, 3), np.uint8)
    landscape = cv2.GaussianBlur(cv2.resize(coarse, (320 + 40 * ROWS, 160)), (0, 0), 1.5)
    return [landscape[:, 40 * row : 40 * row + 320].copy() for row in range(ROWS)]


def clock(frame, row, corner, seconds=1):
    text = f"2026-11-28 10:{row * seconds // 60:02d}:{row * seconds % 60:02d}"
    for color, width in ((0, 3), (255, 1)):
        cv2.putText(frame, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (color,) * 3, width)


def logo(frame, row):
    pattern = np.random.default_rng(1).integers(0, 256, (30, 50, 3), np.uint8)
    place = frame[10:40, 250:300]
    place[:] = cv2.addWeighted(place, 0.3, pattern, 0.7, 0)


def bonnet(frame, row):
    cv2.ellipse(frame, (160, 170), (150, 40), 0, 0, 360, (30, 30, 30), -1)


def dark_bar(frame, row):
    frame[140:] = 0


@pytest.mark.parametrize(
    ("draw", "pixel"),
    [
        (lambda frame, row: clock(frame, row, (120, 15)), (11, 140)),
        # the last figures change from picture to picture
        (lambda frame, row: clock(frame, row, (5, 150), seconds=7), (146, 118)),
        (logo, (25, 270)),
        (bonnet, (131, 160)),
        (dark_bar, (150, 20)),
    ],
    ids=["top", "seconds", "half transparent", "bonnet", "bar"],
)
def test_what_stands_still_is_found_and_covered(draw, pixel):
    plain = passed_places()
    frames = [frame.copy() for frame in plain]
    for row, frame in enumerate(frames):
        draw(frame, row)
    fixed = find_fixed_pixels(frames.__getitem__, ROWS)
    assert fixed[pixel]
    assert fixed.mean() < 0.2
    # all that was drawn and has sharp edges is covered, and nothing else has changed
    result = covered(frames[30], fixed)
    assert (result[~fixed] == frames[30][~fixed]).all()
    edges = [cv2.Laplacian(frame[fixed.any(axis=1)], cv2.CV_32F) for frame in (result, frames[30])]
    assert np.abs(edges[0]).mean() < np.abs(edges[1]).mean()


def test_a_black_border_is_covered_though_the_film_fills_less_than_half_of_the_frame():
    frames = [np.zeros((160, 320, 3), np.uint8) for _ in range(ROWS)]
    shown = np.zeros((160, 320), np.bool_)
    shown[30:130, 70:220] = True
    for frame, place in zip(frames, passed_places(), strict=True):
        frame[shown] = place[shown]
    fixed = find_fixed_pixels(frames.__getitem__, ROWS)
    assert fixed[~shown].all()
    assert (fixed & shown).sum() < 0.15 * shown.sum()


def test_a_sky_that_keeps_its_level_is_no_overlay():
    """Where it ends is not the same in two frames."""
    frames = passed_places()
    columns = np.arange(320)
    for row, frame in enumerate(frames):
        ends = 40 + 15 * np.sin(columns / 30 + row)
        frame[np.arange(160)[:, np.newaxis] < ends] = 255
    assert not find_fixed_pixels(frames.__getitem__, ROWS).any()


def test_nothing_is_found_where_nothing_stands_still_or_everything_does():
    frames = passed_places()
    read = frames.__getitem__
    assert not find_fixed_pixels(read, ROWS).any()
    assert covered(frames[0], find_fixed_pixels(read, ROWS)) is frames[0]
    clock(frames[0], 0, (5, 150))
    assert not find_fixed_pixels(lambda row: frames[0], ROWS).any()
    assert not find_fixed_pixels(lambda row: None, ROWS).any()
