"""Open an exported recording with the library of its format, and compare it with the CSV export of the same recording.

    python tests/lab/exchange/own_readers.py FORMAT TARGET FOLDER_OF_THE_CSV_EXPORT

Run it with a Python that has the library and pillow, which need not have bcclone: donkeycar wants an older NumPy, and
LeRobot brings PyTorch. Prints a JSON object with what is equal; an exception means that it is not.
"""

import csv
import importlib.metadata
import io
import json
import sys
from pathlib import Path

import numpy as np
import PIL.Image

NUMBERS = ("steering", "throttle", "brake", "speed_mph")
CAMERAS = ("center", "left", "right")


def expected_of(folder):
    """Return the rows of a CSV export: numbers, float64 (rows, 4); image bytes of each camera; and the cells."""
    with (folder / "table.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    numbers = np.array([[float(row[name]) for name in NUMBERS] for row in cells])
    images = {name: [(folder / row[name]).read_bytes() for row in cells] for name in CAMERAS if cells[0][name]}
    return cells, numbers, images


def pixels(content):
    return np.asarray(PIL.Image.open(io.BytesIO(content)).convert("RGB"))


def rgb_of(item):
    """Return a picture of LeRobot, float (3, height, width), as uint8 values (height, width, 3)."""
    return np.round(item.numpy() * 255).transpose(1, 2, 0)


def equal_pixels(found, expected):
    """Return the largest difference of a few pictures, which two JPEG decoders may make."""
    some = np.linspace(0, len(expected) - 1, 20).astype(int)
    return max(int(np.abs(np.asarray(found(at), int) - pixels(expected[at])).max()) for at in some)


def tub(target, cells, numbers, images):
    from donkeycar.parts.tub_v2 import Tub

    opened = Tub(str(target), read_only=True)
    records = list(opened)
    assert len(opened) == len(records) == len(cells)
    keys = ("user/angle", "user/throttle", "bcclone/brake", "bcclone/speed_mph")
    assert (np.array([[record[key] for key in keys] for record in records]) == numbers).all()
    assert [record["_timestamp_ms"] for record in records] == [int(row["time_ms"]) for row in cells]
    for camera, key in (("center", ""), ("left", "_left"), ("right", "_right")):
        if camera in images:
            names = [record[f"cam/image_array{key}"] for record in records]
            assert [(target / "images" / name).read_bytes() for name in names] == images[camera]
    before = (target / "manifest.json").read_bytes()
    writable = Tub(str(target))  # what tubclean does, and back
    writable.delete_records({3, 4})
    assert len(writable) == len(cells) - 2
    writable.restore_records({3, 4})
    writable.close()
    again = Tub(str(target), read_only=True)
    assert len(list(again)) == len(cells)
    (target / "manifest.json").write_bytes(before)
    return {"jpeg_bytes_equal": sorted(images), "numbers": "float64 equal"}


def lerobot(target, cells, numbers, images):
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    opened = LeRobotDataset(f"local/{target.name}", root=target)
    assert len(opened) == opened.num_frames == len(cells)
    stored = opened.hf_dataset.select_columns(["recorded"]).with_format("arrow")[:]["recorded"]
    assert (np.array(stored.to_pylist()) == numbers).all()  # its own tensors have single precision
    some = np.linspace(0, len(cells) - 1, 200).astype(int)
    items = {int(at): opened[int(at)] for at in some}
    for at, item in items.items():
        assert (item["action"].numpy() == numbers[at, :3].astype(np.float32)).all()
        assert int(item["time_ms"]) == int(cells[at]["time_ms"])
    worst = {
        camera: equal_pixels(lambda at, key=f"observation.images.{camera}": rgb_of(opened[int(at)][key]), contents)
        for camera, contents in images.items()
    }
    return {
        "episodes": opened.num_episodes, "fps": opened.fps, "numbers": "float64 equal",
        "pixel_difference": worst, "stats": sorted(opened.meta.stats),
    }  # fmt: skip


if __name__ == "__main__":
    name, target, folder = sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[3])
    check = {"tub": tub, "lerobot": lerobot}[name]
    library = "donkeycar" if name == "tub" else name
    found = check(target, *expected_of(folder))
    print(json.dumps({"library": f"{library} {importlib.metadata.version(library)}"} | found))
