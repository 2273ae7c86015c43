"""Folders of frames with tables, and videos, as other programs leave them; the colour of a frame shows its number."""

import cv2
import numpy as np
import pytest

SIZE = (96, 64)
FIRST_NS = 1_479_425_441_182_877_835


def color_of(index):
    return (40 + 8 * (index % 25), 120, 200 - 8 * (index % 25))


def picture(index, size=SIZE):
    """An RGB picture of one colour, uint8 (height, width, 3)."""
    return np.full((size[1], size[0], 3), color_of(index), np.uint8)


def write_image(path, index, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, picture(index, size)[:, :, ::-1])[1].tobytes())


def make_frames(folder, names, table=None, name="labels.csv"):
    """Write images of these names, and a table of rows of cells, the header first."""
    for index, each in enumerate(names):
        write_image(folder / each, index)
    if table is not None:
        (folder / name).write_text("".join(",".join(map(str, row)) + "\n" for row in table))
    return folder


def make_car(folder, count=8):
    """A folder like a challenge's: frames called by their nanoseconds, and the angle of the steering wheel in rad."""
    ids = [FIRST_NS + 50_000_000 * index for index in range(count)]
    rows = [("frame_id", "steering_angle"), *((each, 0.1 * (index - 3)) for index, each in enumerate(ids))]
    return make_frames(folder, [f"frames/{each}.jpg" for each in ids], rows)


def make_video(path, count=20, size=SIZE, rate=20, codec="libx264"):
    """Write a video whose frame N has color_of(N)."""
    av = pytest.importorskip("av", reason="pip install 'bcclone[video]'")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index in range(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index, size), format="rgb24")))
        container.mux(stream.encode())
    return path
