"""Image files are decoded in order, and an unreadable one is reported at its index."""

import zlib

import numpy as np

from bcclone.dataset.decode import decode_files, read_frame
from bcclone.dataset.images import Preprocessing, decode_jpeg, encode_jpeg

PREPROCESSING = Preprocessing(width=16, height=8)


def jpeg(shade):
    return encode_jpeg(np.full((160, 320, 3), shade, np.uint8))


def test_frames_are_in_order_with_errors_at_their_indices(tmp_path):
    files = [tmp_path / f"{number}.jpg" for number in range(200)]
    for number, path in enumerate(files):
        path.write_bytes(jpeg(number) if number != 77 else b"broken")
    shades, broken, done = [], [], 0
    for decoded in decode_files([str(path) for path in files], PREPROCESSING):
        shades += decoded.frames[:, 4, 8, 1].tolist()
        broken += [done + index for index in decoded.errors]
        done += len(decoded.frames) + len(decoded.errors)
        assert decoded.checksums == [zlib.crc32(frame.tobytes()) for frame in decoded.frames]
    assert broken == [77]
    wanted = [number for number in range(200) if number != 77]
    assert np.abs(np.array(shades) - wanted).max() <= 1


def test_large_files_are_read_completely(tmp_path):
    data = jpeg(90)
    comment = b"\xff\xfe\xff\xff" + bytes(65_533)
    (tmp_path / "large.jpg").write_bytes(data[:2] + 3 * comment + data[2:])
    assert (read_frame(str(tmp_path / "large.jpg")) == decode_jpeg(data)).all()
    (tmp_path / "exact.jpg").write_bytes((data[:2] + comment + data[2:])[: 1 << 16])
    (decoded,) = decode_files([str(tmp_path / "exact.jpg"), str(tmp_path / "none.jpg")], PREPROCESSING)
    assert len(decoded.frames) == 0
    assert "not a complete JPEG" in decoded.errors[0]
    assert "No such file" in decoded.errors[1]
