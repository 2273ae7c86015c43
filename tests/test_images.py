"""Frames are decoded whole and of the right size or not at all, and prepared in one way."""

import struct

import cv2
import numpy as np
import pytest

from bcclone.images import (
    PRESETS,
    BadImage,
    Preprocessing,
    PreprocessingMismatch,
    decode_jpeg,
    encode_jpeg,
)


def a_frame(seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (16, 32, 3), dtype=np.uint8)
    return cv2.resize(coarse, (320, 160))


def test_a_frame_survives_jpeg_as_rgb():
    frame = np.zeros((160, 320, 3), np.uint8)
    frame[..., 0] = 200
    decoded = decode_jpeg(encode_jpeg(frame))
    assert decoded.shape == (160, 320, 3)
    assert abs(decoded.astype(int) - frame).max() < 8


def test_a_frame_can_be_decoded_and_prepared_into_memory_that_is_there():
    data = encode_jpeg(a_frame())
    room = np.zeros((160, 320, 3), np.uint8)
    decoded = decode_jpeg(data, into=room)
    assert np.shares_memory(decoded, room)
    assert (room == decode_jpeg(data)).all()
    for preset in ("nvidia-66x200-yuv", "carnd-128-rgb"):
        preprocessing = PRESETS[preset]
        small = np.zeros((2, preprocessing.height, preprocessing.width, 3), np.uint8)
        preprocessing.apply(decoded, small[1])
        assert (small[1] == preprocessing.apply(decoded)).all()
        assert not small[0].any()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"not a picture" * 50, "not a complete JPEG"),
        (encode_jpeg(a_frame())[:3000], "not a complete JPEG"),
        (encode_jpeg(a_frame())[:-2], "not a complete JPEG"),
        (encode_jpeg(a_frame()[:80]), "320x80 pixels, expected 320x160"),
    ],
    ids=["empty", "garbage", "truncated", "without its end", "other size"],
)
def test_what_is_no_whole_frame_is_refused_with_the_reason(data, reason):
    with pytest.raises(BadImage, match=reason):
        decode_jpeg(data)


def test_a_header_that_announces_huge_dimensions_costs_nothing():
    data = bytearray(encode_jpeg(a_frame()))
    place = data.index(b"\xff\xc0")
    data[place + 5 : place + 9] = struct.pack(">HH", 65_000, 65_000)
    with pytest.raises(BadImage, match="65000x65000"):
        decode_jpeg(bytes(data))


def test_preprocessing_resizes_as_defined():
    frame = a_frame()
    assert (Preprocessing().apply(frame) == cv2.resize(frame, (128, 128), interpolation=cv2.INTER_LINEAR)).all()
    assert Preprocessing(width=64, height=32).apply(frame).shape == (32, 64, 3)
    with pytest.raises(BadImage, match="200x100 pixels, expected 320x160"):
        Preprocessing().apply(np.zeros((100, 200, 3), np.uint8))


def test_the_definition_survives_storage_and_its_hash_tells_definitions_apart():
    definition = Preprocessing(width=64, height=32)
    assert Preprocessing.from_json(definition.to_json()) == definition
    assert definition.digest == Preprocessing(width=64, height=32).digest != Preprocessing().digest


def test_definitions_of_older_files_keep_their_text_and_their_hash():
    text = '{"color": "RGB", "frame_height": 160, "frame_width": 320, "height": 32, '
    text += '"interpolation": "linear", "width": 64}'
    assert Preprocessing(width=64, height=32).to_json() == text
    assert Preprocessing(width=64, height=32).digest.startswith("4584ac11e90c")
    assert Preprocessing().digest.startswith("656236bb4302")


def test_presets_cut_resize_and_convert_in_this_order():
    frame = a_frame()
    resized = cv2.resize(frame[60:135], (200, 66), interpolation=cv2.INTER_LINEAR)
    assert (PRESETS["carnd-128-rgb"].apply(frame) == Preprocessing().apply(frame)).all()
    assert (PRESETS["nvidia-66x200-yuv"].apply(frame) == cv2.cvtColor(resized, cv2.COLOR_RGB2YUV)).all()
    swapped = cv2.cvtColor(np.ascontiguousarray(resized[..., ::-1]), cv2.COLOR_RGB2YUV)
    assert (PRESETS["nvidia-66x200-yuv-bgr"].apply(frame) == swapped).all()
    for preset in PRESETS.values():
        assert Preprocessing.from_json(preset.to_json()) == preset
    assert len({preset.digest for preset in PRESETS.values()}) == len(PRESETS)


def test_grey_images_have_three_equal_channels_and_are_grey_in_rgb():
    preprocessing = PRESETS["gray-80x120"]
    frame = np.random.default_rng(0).integers(0, 256, (160, 320, 3), dtype=np.uint8)
    into = np.zeros((80, 120, 3), np.uint8)
    prepared = preprocessing.apply(frame, into)
    resized = cv2.resize(frame, (120, 80), interpolation=cv2.INTER_LINEAR)
    assert (prepared == cv2.cvtColor(resized, cv2.COLOR_RGB2GRAY)[..., np.newaxis]).all()
    assert (into == prepared).all()
    assert (preprocessing.to_rgb(prepared) == prepared).all()


@pytest.mark.parametrize("rows", [(-1, None), (60, 60), (60, 161), (1.5, None), (160, None), (0, 99.0)])
def test_rows_that_a_frame_does_not_have_are_refused(rows):
    with pytest.raises(ValueError, match="expected some of 160 rows"):
        Preprocessing(crop_top=rows[0], crop_bottom=rows[1])


def test_all_rows_are_one_definition_however_they_are_named():
    assert Preprocessing(crop_bottom=160).digest == Preprocessing().digest


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "no json",
        '{"width": 128}',
        Preprocessing().to_json().replace("RGB", "HSV"),
        Preprocessing().to_json().replace("}", ', "gamma": 2}'),
        Preprocessing().to_json().replace("}", ', "crop_top": 0}'),
    ],
)
def test_an_unknown_definition_is_refused_with_both_shown(text):
    with pytest.raises(PreprocessingMismatch) as refusal:
        Preprocessing.from_json(text)
    assert text in str(refusal.value)
    assert Preprocessing().to_json() in str(refusal.value)


def test_the_preprocessing_is_told_in_words():
    assert Preprocessing().describe() == "320x160 -> 128x128 RGB"
    assert PRESETS["nvidia-66x200-yuv"].describe() == "320x160, rows 60-135 -> 200x66 YUV"
    assert Preprocessing(crop_top=40).describe() == "320x160, rows 40-160 -> 128x128 RGB"
