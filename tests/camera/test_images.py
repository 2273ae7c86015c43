"""Frames are decoded and prepared as defined, files in order; unusable ones are refused, with their
index.
"""

import io
import os
import struct
import sys

import cv2
import numpy as np
import PIL.Image
import pytest

from bcclone.camera.images import (
    BadImage,
    decode_jpeg,
    encode_jpeg,
    is_upright,
    jpeg_size,
    read_frame,
    upright_jpeg,
)
from bcclone.dataset.preprocessing import Preprocessing, PreprocessingMismatch
from bcclone.dataset.writer import decode_files


def a_frame(seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (16, 32, 3), dtype=np.uint8)
    return cv2.resize(coarse, (320, 160))


def stored_with(orientation, frame, endian="<"):
    """Return a JPEG whose EXIF data say how to turn it, so that it is shown as the frame."""
    turned = {
        1: frame, 2: frame[:, ::-1], 3: frame[::-1, ::-1], 4: frame[::-1],
        5: frame.transpose(1, 0, 2), 6: np.rot90(frame), 8: np.rot90(frame, -1),
        7: frame[::-1, ::-1].transpose(1, 0, 2),
    }[orientation]  # fmt: skip
    exif = PIL.Image.Exif()
    exif.endian = endian
    exif[0x010F] = "a camera"
    exif[0x0112] = orientation
    encoded = io.BytesIO()
    picture = PIL.Image.fromarray(np.ascontiguousarray(turned))
    picture.save(encoded, "JPEG", exif=exif, quality=95)
    return encoded.getvalue()


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_frame_that_exif_data_turn_is_upright(orientation, endian):
    frame = a_frame()
    data = stored_with(orientation, frame, endian)
    assert jpeg_size(data) == (320, 160)
    assert is_upright(data) == (orientation == 1)
    memory = np.zeros((160, 320, 3), np.uint8)
    for decoded in (decode_jpeg(data), decode_jpeg(data, into=memory)):
        assert np.abs(decoded.astype(int) - frame).mean() < 4
    assert np.array_equal(memory, decoded)
    upright = upright_jpeg(data)
    assert is_upright(upright)
    assert (upright is data) == (orientation == 1)


def test_exif_data_that_are_cut_or_wrong_turn_nothing():
    data = stored_with(3, a_frame())
    begin = data.index(b"Exif")
    for spoiled in (
        data[: begin + 12] + b"\xff" * 8 + data[begin + 20 :],
        data.replace(
            b"\x12\x01\x03\x00\x01\x00\x00\x00\x03", b"\x12\x01\x03\x00\x01\x00\x00\x00\x63"
        ),
    ):
        assert spoiled != data
        assert is_upright(spoiled)
        decode_jpeg(spoiled)


def test_a_jpeg_of_many_scans_is_refused():
    encoded = io.BytesIO()
    PIL.Image.new("RGB", (320, 160)).save(encoded, "JPEG", progressive=True)
    progressive = encoded.getvalue()
    assert decode_jpeg(progressive).shape == (160, 320, 3)
    head, *scans = progressive.split(b"\xff\xda")
    # a scan takes 12 bytes, and 40 us to decode
    bomb = b"\xff\xda".join([head, scans[0], *[scans[-1][:10]] * 1000]) + b"\xff\xd9"
    with pytest.raises(BadImage, match="1001 scans"):
        decode_jpeg(bomb)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (encode_jpeg(a_frame())[:3000], "not a complete JPEG"),
        (encode_jpeg(a_frame())[:-2], "not a complete JPEG"),
        (encode_jpeg(a_frame()[:80]), "320x80 pixels, expected 320x160"),
    ],
    ids=["empty", "truncated", "without its end", "other size"],
)
def test_an_unusable_image_is_refused_with_the_reason(data, reason):
    with pytest.raises(BadImage, match=reason):
        decode_jpeg(data)


def test_a_header_with_huge_dimensions_is_refused_before_decoding():
    data = bytearray(encode_jpeg(a_frame()))
    header = data.index(b"\xff\xc0")
    data[header + 5 : header + 9] = struct.pack(">HH", 65_000, 65_000)
    with pytest.raises(BadImage, match="65000x65000"):
        decode_jpeg(bytes(data))


@pytest.mark.parametrize(
    "rows", [(-1, None), (60, 60), (60, 161), (1.5, None), (160, None), (0, 99.0)]
)
def test_crop_rows_outside_the_frame_are_refused(rows):
    with pytest.raises(ValueError, match="expected (0 to 160|a whole number)"):
        Preprocessing(crop_top=rows[0], crop_bottom=rows[1])


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "no json",
        Preprocessing().to_json().replace("RGB", "XYZ"),
        Preprocessing().to_json().replace("linear", "lanczos"),
        Preprocessing().to_json().replace("}", ', "gamma": 2}'),
        Preprocessing().to_json().replace("}", ', "crop_top": 0}'),
    ],
)
def test_the_error_for_an_unsupported_definition_shows_both(text):
    with pytest.raises(PreprocessingMismatch) as refusal:
        Preprocessing.from_json(text)
    assert text in str(refusal.value)
    assert Preprocessing().to_json() in str(refusal.value)


def jpeg(shade):
    return encode_jpeg(np.full((160, 320, 3), shade, np.uint8))


def test_large_files_are_read_completely(tmp_path):
    data = jpeg(90)
    comment = b"\xff\xfe\xff\xff" + bytes(65_533)
    (tmp_path / "large.jpg").write_bytes(data[:2] + 3 * comment + data[2:])
    assert (read_frame(str(tmp_path / "large.jpg")) == decode_jpeg(data)).all()
    (tmp_path / "exact.jpg").write_bytes((data[:2] + comment + data[2:])[: 1 << 16])
    paths = [str(tmp_path / "exact.jpg"), str(tmp_path / "none.jpg")]
    with decode_files(paths, Preprocessing(width=16, height=8)) as parts:
        ((frames, _, errors),) = parts
    assert len(frames) == 0
    assert "not a complete JPEG" in errors[0]
    assert "No such file" in errors[1]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_link_to_an_image_is_followed_and_nothing_else_than_a_file_is_read(tmp_path):
    (tmp_path / "image.jpg").write_bytes(encode_jpeg(a_frame()))
    (tmp_path / "link.jpg").symlink_to("image.jpg")
    assert (read_frame(str(tmp_path / "link.jpg")) == read_frame(str(tmp_path / "image.jpg"))).all()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "circle.jpg").symlink_to("circle.jpg")
    (tmp_path / "huge.jpg").touch()
    os.truncate(tmp_path / "huge.jpg", 1 << 42)
    for name, reason in (
        ("pipe", "not a regular"),
        ("zero", "not a regular"),
        ("circle", "levels"),
        ("huge", "larger"),
    ):
        with pytest.raises(BadImage, match=reason):
            read_frame(str(tmp_path / f"{name}.jpg"))
