"""Imports: how many rows each source gives and with which steering, or that it is refused."""

import json
from unittest.mock import ANY

import numpy as np
import pandas as pd
import pytest

from tests.conftest import SHARED
from tests.golden.expected import check, digest
from tests.running import run_script

COLUMNS = ["center", "left", "right", "steering", "throttle", "brake", "speed"]
CASES = {
    "car": "real/car --table real/car/labels.csv --unit rad --left-positive --max-degrees 370",
    "tub_road": "real/tub_road",
    "tub_floor": "real/tub_floor --min-throttle 0.05",
    "calibrate_without_a_road": "cases/calibrate_without_a_road",
    "cells_beyond_the_header": "cases/cells_beyond_the_header",
    "classes_as_numbers": "cases/classes_as_numbers",
    "classes_as_numbers, ratio": "cases/classes_as_numbers --unit ratio",
    "decimal_commas_between_commas": "cases/decimal_commas_between_commas",
    "film_of_another_rate": "cases/film_of_another_rate/drive.avi",
    "film_of_raspivid": "cases/film_of_raspivid",
    "folder_of_tubs": "cases/folder_of_tubs",
    "frame_with_orientation": "cases/frame_with_orientation --straight 0 --frame-rate 20",
    "hdf5_of_another_program": "cases/hdf5_of_another_program/images.h5",
    "horizon_below_the_middle": "cases/horizon_below_the_middle/drive.mp4 --steering from-motion "
    "--fov 98",
    "lerobot_throttle_in_percent": "cases/lerobot_throttle_in_percent --unit deg --max-degrees 100",
    "lfs_pointers_of_pictures": "cases/lfs_pointers_of_pictures",
    "mac_double_of_a_log": "cases/mac_double_of_a_log",
    "onnx_of_pytorch": "cases/onnx_of_pytorch",
    "path_without_a_slash": "cases/path_without_a_slash --steering-column 2 --unit ratio",
    "servo_of_0_to_180": "cases/servo_of_0_to_180 --unit deg",
    "servo_of_0_to_180, straight": "cases/servo_of_0_to_180 --unit deg --straight 90 "
    "--max-degrees 90 --frame-rate 20",
    "steering_0_to_1": "cases/steering_0_to_1",
    "steering_taken_for_images": "cases/steering_taken_for_images --unit ratio",
    "tables_named_by_the_message": "cases/tables_named_by_the_message",
    "tub_after_power_failure": "cases/tub_after_power_failure",
    "tub_of_two_cameras": "cases/tub_of_two_cameras",
    "tub_with_nan_of_a_sensor": "cases/tub_with_nan_of_a_sensor",
}


def imported(source, folder, *options):
    """Return how many rows there are, digests of their columns; or the exit code of a refusal."""
    done = run_script("import", source, *options, "-o", folder / "out", "--json", code=ANY)
    if done.returncode:
        return {"refused": done.returncode}
    rows = pd.read_csv(folder / "out" / "driving_log.csv", names=COLUMNS)
    result = json.loads(done.stdout)
    values = ("steering", "throttle", "brake", "speed")
    pictures = sorted((folder / "out" / "IMG").iterdir())
    # rounded, for the order of a sum may change the last digit, and another processor that of a
    # steering from pictures; + 0.0 makes -0.0 of it 0.0
    digits = 4 if "from-motion" in options else 6
    return {
        "rows": len(rows),
        "format": result["format"],
        "deleted": result["deleted"],
        "left": float((rows["steering"] < 0).mean()),
        "steering of the first rows": [round(value, 6) + 0.0 for value in rows["steering"][:4]],
        **{name: digest(np.round(rows[name].to_numpy(float), digits) + 0.0) for name in values},
        "names of pictures": digest("\n".join(path.name for path in pictures)),
        "pictures": len(pictures),
        "first picture": digest(pictures[0].read_bytes()),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_import_of_a_shared_source(name, tmp_path):
    source, *options = CASES[name].split()
    if not (SHARED / source).exists():
        pytest.skip(f"needs {SHARED / source}")
    options = [str(SHARED / word) if word.startswith("real/") else word for word in options]
    check("imports", name, imported(SHARED / source, tmp_path, *options))


TABLES = {
    # the header, how a row is written, and the options
    "frames by name": ("frame,angle_deg", "{name},{degrees}", "--straight 0 --frame-rate 20"),
    "frames by name, left positive": (
        "image,steering",
        "{name},{ratio}",
        "--left-positive --straight 0 --frame-rate 20",
    ),
    "steering wheel": (
        "frame_id,steering_angle",
        "{stem},{degrees}",
        "--unit deg --max-degrees 375 --straight 0 --frame-rate 20",
    ),
    "throttle and speed": (
        "file;lenkwinkel;gas;speed_kmh",
        "{name};{ratio};0.3;12.5",
        "--steering-column lenkwinkel --unit ratio --image-column file --straight 0 "
        "--frame-rate 20",
    ),
    "times": (
        "t_ms,name,steering",
        "{ms},{name},{ratio}",
        "--time-column t_ms --image-column name --unit ratio --straight 0",
    ),
    "fixed rate": ("image,steering", "{name},{ratio}", "--frame-rate 10 --unit ratio --straight 0"),
}


@pytest.mark.parametrize("name", TABLES)
def test_import_of_frames_and_a_table(name, here):
    header, form, options = TABLES[name]
    folder = here / "frames"
    folder.mkdir()
    lines = [header]
    rows = pd.read_csv(here / "lake" / "driving_log.csv", names=COLUMNS)
    for number, row in enumerate(rows.itertuples()):
        path = here / "lake" / row.center
        path.rename(folder / f"f{number:04}.jpg")
        written = {"name": f"f{number:04}.jpg", "stem": f"f{number:04}", "ms": 50 * number}
        ratio = round(row.steering / 2, 4)
        lines.append(form.format(**written, ratio=ratio, degrees=round(ratio * 25, 3)))
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    check("imports", name, imported(folder, here, *options.split()))


@pytest.mark.slow
def test_import_of_a_film_and_a_table(here):
    run_script("video.py", "lake", "-o", "film.mp4", "--fps", 15, cwd=here)
    rows = pd.read_csv(here / "lake" / "driving_log.csv", names=COLUMNS)
    table = pd.DataFrame({"frame": range(len(rows)), "steering": rows["steering"] / 2})
    table.to_csv(here / "film.csv", index=False)
    result = imported(here / "film.mp4", here, "--unit", "ratio", "--straight", 0)
    result.pop("first picture", None)  # the encoder's
    check("imports", "film", result)
