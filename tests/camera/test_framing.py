"""Pictures of other cameras become frames: stretched, or seen by the simulator's camera through the
other's lens.
"""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from bcclone.camera.framing import Framing, Lens, read_framing
from bcclone.camera.images import BadImage
from bcclone.system.errors import UserError
from tests.other_camera import road_frames, seen_by

NARROW = Framing(160, 120, lens=Lens(130.0, 45.0, 82.0, roll_degrees=2.0))


def noise(width, height):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_a_frame_of_the_simulators_size_stays_as_it_is():
    frame = noise(320, 160)
    assert np.array_equal(Framing.of(frame).apply(frame), frame)
    assert NARROW.apply(frame) is frame
    with pytest.raises(BadImage, match="no rows 0 to 161"):
        Framing.of(frame, (0, 161))


def test_kept_rows_and_columns_are_stretched():
    picture = noise(640, 480)
    expected = cv2.resize(picture[160:480, 40:600], (320, 160), interpolation=cv2.INTER_AREA)
    assert np.array_equal(Framing(640, 480, (160, 480), (40, 600)).apply(picture), expected)
    small = Framing(160, 120, (40, 120), (10, 150))
    assert np.array_equal(small.for_size(640, 480).apply(picture), small.apply(picture))


def test_another_cameras_picture_of_a_road_becomes_the_simulators_frame():
    (frame,) = road_frames(1)
    back = NARROW.apply(seen_by(NARROW, frame)).astype(int)
    seen = slice(40, 110), slice(80, 240)  # the other camera sees less
    assert np.abs(back[seen] - frame[seen]).mean() < 12
    other = replace(NARROW, lens=replace(NARROW.lens, horizon_row=52.0))
    assert np.abs(other.apply(seen_by(NARROW, frame)).astype(int)[seen] - frame[seen]).mean() > 18


@pytest.mark.parametrize("fisheye", [False, True])
def test_straight_ahead_is_the_vanishing_point_and_a_turned_picture_turns_about_it(fisheye):
    lens = Lens(130.0, 45.0, 82.0, fisheye=fisheye)
    rays = np.array([[0.0, 0.1, -0.1], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    (columns, rows) = lens.pixels(rays, 160, 120)
    assert (columns[0], rows[0]) == pytest.approx((82.0, 45.0))
    assert rows == pytest.approx([45.0] * 3, abs=0.2)
    assert columns[1] - 82.0 == pytest.approx(13.0, rel=0.05)
    turned = replace(lens, roll_degrees=30.0).pixels(rays, 160, 120)
    assert turned[:, 0] == pytest.approx((82.0, 45.0))
    assert turned[1, 1] > 50 > 40 > turned[1, 2]  # the horizon sinks to the right


def test_a_fisheye_sees_more_at_its_edge():
    pinhole = Lens(80.0, 59.5, 79.5)
    fisheye = Lens(80.0, 59.5, 79.5, fisheye=True)
    ray = np.array([[1.0], [0.0], [1.0]])
    assert pinhole.pixels(ray, 160, 120)[0, 0] == pytest.approx(79.5 + 80)
    assert fisheye.pixels(ray, 160, 120)[0, 0] == pytest.approx(79.5 + 80 * math.pi / 4)
    assert (pinhole.degrees_across(160), fisheye.degrees_across(160)) == pytest.approx(
        (90.0, 114.6), abs=0.1
    )


def test_a_picture_with_more_pixels_becomes_nearly_the_same_frame():
    (frame,) = road_frames(1)
    picture = seen_by(NARROW, frame)
    larger = cv2.resize(picture, (640, 480), interpolation=cv2.INTER_CUBIC)
    assert np.abs(NARROW.apply(larger).astype(int) - NARROW.apply(picture)).mean() < 3
    with pytest.raises(BadImage, match="640x400 pixels, expected 160x120"):
        NARROW.apply(noise(640, 400))


def test_it_is_stored_as_text_and_what_is_none_is_refused(tmp_path):
    for framing in (NARROW, Framing(640, 480, rows=(160, 480))):
        (tmp_path / "framing.json").write_text(framing.to_json())
        assert read_framing(tmp_path / "framing.json") == framing
    for text, message in [
        ("", "JSON|Expecting"),
        ('{"width": 160}', "height is missing"),
        ('{"width": 160, "height": 120, "rows": [100, 140]}', "no rows 100 to 140"),
        (
            '{"width": 160, "height": 120, '
            '"lens": {"focal_px": 0, "horizon_row": 0, "vanishing_column": 0}}',
            "focal",
        ),
        (NARROW.to_json().replace("45.0", "NaN"), "NaN"),
        (NARROW.to_json().replace('"rows": null', '"rows": [0, 9]'), "both a lens and rows"),
    ]:
        (tmp_path / "framing.json").write_text(text)
        with pytest.raises(UserError, match=message):
            read_framing(tmp_path / "framing.json")
    with pytest.raises(UserError, match="cannot be read"):
        read_framing(tmp_path / "nothing.json")
