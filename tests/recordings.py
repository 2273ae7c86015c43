"""Recordings that a test damages or makes longer."""

import os
from datetime import datetime, timedelta

import h5py
import numpy as np
from numpy.lib import recfunctions

from bcclone.camera.images import encode_jpeg
from bcclone.recording.row import image_stamp


def images_of(recording, camera="center"):
    return sorted((recording / "IMG").glob(f"{camera}_*.jpg"))


def rewrite(recording, change):
    """Change a recording's log.

    change: gets the rows, each a list of texts; returns other rows, or changes these
    """
    log = recording / "driving_log.csv"
    rows = [line.split(",") for line in log.read_text().splitlines()]
    changed = change(rows) or rows
    log.write_text("".join(",".join(row) + "\n" for row in changed))


def mirrored(rows):
    """Return the rows of a log, each a list of texts, with their steering mirrored."""
    return [[*row[:3], repr(-float(row[3])), *row[4:]] for row in rows]


def spoil(recording):
    """Damage four images in four ways; return their names."""
    missing, cut, small, empty = images_of(recording)[10:50:10]
    missing.unlink()
    cut.write_bytes(cut.read_bytes()[:2000])
    small.write_bytes(encode_jpeg(np.zeros((80, 160, 3), np.uint8)))
    empty.write_bytes(b"")
    return [image.name for image in (missing, cut, small, empty)]


def many_rows(recording, folder, count):
    """Make a long recording of hard links to the images of a short one."""
    images = [images_of(recording, camera) for camera in ("center", "left", "right")]
    (folder / "IMG").mkdir(parents=True)
    begin = datetime(2026, 1, 1)
    with (folder / "driving_log.csv").open("w") as log:
        for number in range(count):
            stamp = image_stamp(begin + number * timedelta(milliseconds=66))
            names = []
            for images_of_camera in images:
                # one after the other, because a file takes at most 65,000 links
                image = images_of_camera[number % len(images_of_camera)]
                camera = image.name.partition("_")[0]
                name = f"{camera}_{stamp}.jpg"
                os.link(image, folder / "IMG" / name)
                names.append(name)
            steering = (number % 200 - 100) / 100
            log.write(",".join(names) + f",{steering},0.5,0,20.5\n")
    return folder


def remove_column(path, name):
    """Take a column from the rows of a store, as if the store were older than the column."""
    with h5py.File(path, "r+") as file:
        rows = file["rows"][()]
        del file["rows"]
        kept = [column for column in rows.dtype.names if column != name]
        file.create_dataset("rows", data=recfunctions.repack_fields(rows[kept]))
