"""How frames are prepared is a text, the same in every command, which Preprocessing.describe()
prints back.
"""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcclone.dataset.preprocessing import (
    PRESETS,
    Preprocessing,
    choose_preprocessing,
    color_matrices,
    preprocessing_of,
)
from bcclone.dataset.preprocessing_text import COLORS, EACH_IMAGE, scaling_of
from bcclone.system.errors import UserError

FRAME = np.random.default_rng(0).integers(0, 256, (160, 320, 3), dtype=np.uint8)
SCALES = [
    "",
    "raw",
    "0..1",
    "-1..1",
    "-0.5..0.5",
    "mean 120 deviation 60",
    "mean 1 2 3 deviation 0.5 4 5",
    EACH_IMAGE,
]


@given(
    st.tuples(st.integers(8, 400), st.integers(8, 200), st.sampled_from(COLORS)),
    st.tuples(st.integers(0, 79), st.integers(81, 160), st.integers(0, 159), st.integers(161, 320)),
    st.sampled_from(["linear", "area"]),
    st.sampled_from([0, 3, 7]),
    st.sampled_from(["", "blur size color", "color blur size", "color size"]),
    st.sampled_from(SCALES),
)
def test_a_description_is_read_again(size, crop, interpolation, blur, order, scale):
    rows = dict(zip(("crop_top", "crop_bottom", "crop_left", "crop_right"), crop, strict=True))
    steps = {"interpolation": interpolation, "blur": blur, "order": order, "scale": scale}
    preprocessing = Preprocessing(*size, **rows, **steps)
    assert Preprocessing.of(preprocessing.describe()) == preprocessing
    assert Preprocessing.of(preprocessing.describe()).describe() == preprocessing.describe()
    assert Preprocessing.from_json(preprocessing.to_json()) == preprocessing


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("nvidia-66x200-yuv, /255", "rows 60-135, 200x66, YUV, 0..1"),
        ("rows 60-135, 200 x 66, yuv, x / 127.5 - 1", "rows 60-135, 200x66, YUV, -1..1"),
        ("120x80, grey, area", "120x80, GRAY, area"),
        (
            "frame 160x120, 160x120, mean and deviation",
            f"frame 160x120, 160x120, RGB, {EACH_IMAGE}",
        ),
        ("course-66x200-yuv", "rows 60-135, YUV, blur 3, 200x66, 0..1"),
    ],
)
def test_what_users_write_is_understood(text, meant):
    assert preprocessing_of(text).describe() == meant


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nvidia-66x200-yvu", "did you mean nvidia-66x200-yuv"),
        ("rows 60-135, rows 2-100", "expected each once"),
        ("rows 60-200", "rows 60-200, expected 0 to 160 of the frame"),
        ("columns 40-400", "columns 40-400, expected 0 to 320"),
        ("64x64, (x - 127.5) / 127.5", "0..1"),
        ("64x64, blur 4", "an odd number"),
        ("4x4", "expected 8 to 1024"),
        ("64x64, x / 0", "expected a preset"),
    ],
)
def test_a_text_that_is_none_is_refused_with_what_was_expected(text, reason):
    with pytest.raises(UserError, match=reason):
        preprocessing_of(text)


def test_steps_are_applied_in_the_order_of_the_text_as_opencv_does():
    cropped = FRAME[60:135]
    yuv = cv2.GaussianBlur(cv2.cvtColor(cropped, cv2.COLOR_RGB2YUV), (3, 3), 0)
    assert (PRESETS["course-66x200-yuv"].apply(FRAME) == cv2.resize(yuv, (200, 66))).all()
    small = cv2.resize(FRAME[60:140, 40:280], (64, 64), interpolation=cv2.INTER_AREA)
    area = Preprocessing.of("rows 60-140, columns 40-280, 64x64, BGR, blur 5, area")
    assert (area.apply(FRAME) == cv2.GaussianBlur(small[..., ::-1], (5, 5), 0)).all()
    grey = cv2.cvtColor(cv2.resize(FRAME, (32, 16)), cv2.COLOR_RGB2GRAY)[..., np.newaxis]
    into = np.zeros((16, 32, 1), np.uint8)
    assert (Preprocessing.of("32x16, GRAY").apply(FRAME, into) == grey).all()
    assert (into == grey).all()
    early = cv2.resize(cv2.cvtColor(FRAME, cv2.COLOR_RGB2GRAY), (32, 16))
    assert (Preprocessing.of("GRAY, 32x16").apply(FRAME)[..., 0] == early).all()


@pytest.mark.parametrize("color", COLORS)
def test_the_matrices_of_colours_convert_as_opencv_does_and_back(color):
    preprocessing = Preprocessing(color=color)
    converted = preprocessing.convert_colors(FRAME).astype(float)
    matrix, back_matrix = color_matrices(color)
    ones = np.ones((*FRAME.shape[:2], 1))
    computed = (np.concatenate([FRAME, ones], -1) @ matrix.T).clip(0, 255)
    assert np.abs(computed - converted).max() < 1.5
    if preprocessing.channels == 3:
        inside = np.abs(converted - 127.5).max(axis=-1) < 127  # OpenCV cuts the others off
        back = np.concatenate([converted, ones], -1) @ back_matrix.T
        assert np.abs(back - FRAME)[inside].max() < 3


def test_a_scale_maps_0_to_255():
    for scale, ends in (("0..1", (0, 1)), ("-1..1", (-1, 1)), ("mean 51 deviation 102", (-0.5, 2))):
        scaling = scaling_of(scale)
        assert (scaling.offset, 255 * scaling.scale + scaling.offset) == pytest.approx(ends)
    assert scaling_of("mean 0 255 51 deviation 51").offset == pytest.approx([0, -5, -1])


def test_a_store_has_no_scale_and_no_file_states_one():
    assert choose_preprocessing("rows 60-140, 64x64, 0..1", None) == Preprocessing(
        64, 64, crop_top=60, crop_bottom=140
    )
    assert Preprocessing(scale="0..1").to_json() == Preprocessing().to_json()
