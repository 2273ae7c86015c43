"""Make a recording of a few rows; run code without root's privileges."""

import contextlib
import os
from pathlib import Path

import numpy as np

# imported before a block without privileges, because Python may lie in a folder of root's
import pandas  # noqa: F401, ICN001

from bcclone.camera.images import encode_jpeg
from tests.pictures.video_runs import name_of

IMAGE = encode_jpeg(np.zeros((160, 320, 3), np.uint8))
DRIVEN = "0.1,0.3,0,12"


def make_recording(folder, rows=3, image=IMAGE, driven=DRIVEN, step_ms=100):
    """Write a recording of the centre camera: its log, and one image for all rows, or none."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = [name_of(number * step_ms) for number in range(rows)]
    (folder / "driving_log.csv").write_text("".join(f"{name},,,{driven}\n" for name in names))
    if image is not None:
        for name in names:
            (folder / name).write_bytes(image)
    return folder


@contextlib.contextmanager
def without_privileges():
    """Run a block as an unprivileged user where this is root, who may read and write everything."""
    nobody = 65534
    user = os.geteuid()
    os.seteuid(user or nobody)
    try:
        yield
    finally:
        os.seteuid(user)
