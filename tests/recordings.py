"""Recordings that a test damages or makes longer."""

import os

import h5py
import numpy as np
from numpy.lib import recfunctions

from bcclone.camera.images import encode_jpeg


def images_of(recording, camera="center"):
    return sorted((recording / "IMG").glob(f"{camera}_*.jpg"))


def rewrite(recording, change):
    """Change a recording's log: change(rows) gets the texts of each row, and returns rows, or
    changes these.
    """
    log = recording / "driving_log.csv"
    rows = [line.split(",") for line in log.read_text().splitlines()]
    log.write_text("".join(",".join(row) + "\n" for row in change(rows) or rows))


def spoil(recording):
    """Damage four images in four ways; return their names."""
    center = images_of(recording)
    center[10].unlink()
    center[20].write_bytes(center[20].read_bytes()[:2000])
    center[30].write_bytes(encode_jpeg(np.zeros((80, 160, 3), np.uint8)))
    center[40].write_bytes(b"")
    return [center[place].name for place in (10, 20, 30, 40)]


def many_rows(recording, folder, count):
    """Make a long recording of hard links to the images of a short one."""
    images = [images_of(recording, camera) for camera in ("center", "left", "right")]
    (folder / "IMG").mkdir(parents=True)
    with (folder / "driving_log.csv").open("w") as log:
        for number in range(count):
            seconds, milliseconds = divmod(number * 66, 1000)
            hours, minutes = divmod(seconds // 60, 60)
            stamp = f"2026_01_{1 + hours // 24:02d}_{hours % 24:02d}_{minutes:02d}_{seconds % 60:02d}_{milliseconds:03d}"
            sources = [
                of_camera[number % len(of_camera)] for of_camera in images
            ]  # a file takes 65,000 links
            names = [f"{source.name.partition('_')[0]}_{stamp}.jpg" for source in sources]
            for source, name in zip(sources, names, strict=True):
                os.link(source, folder / "IMG" / name)
            log.write(",".join(names) + f",{(number % 200 - 100) / 100},0.5,0,20.5\n")
    return folder


def remove_column(path, name):
    """Take a column from the rows of a store, as if the store had been made before the column
    existed.
    """
    with h5py.File(path, "r+") as file:
        rows = file["rows"][()]
        del file["rows"]
        others = [other for other in rows.dtype.names if other != name]
        file.create_dataset("rows", data=recfunctions.repack_fields(rows[others]))
