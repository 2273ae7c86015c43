r"""Write rows to export as a tub of donkeycar 4 and 5; JPEG files are copied unchanged.

A tub is a folder of images, catalogs and a manifest. manifest.json has five lines: names of the
inputs, their types, metadata, metadata of the manifest, and the list of catalogs with the indexes
of deleted records. Each catalog has one JSON object for each record; its .catalog_manifest has the
length of each line, so that a record can be found. Lines end with \r\n. Source: donkeycar 5.3,
parts/tub_v2.py and parts/datastore_v2.py. Inputs that donkeycar does not have begin with
`bcclone/`.
"""

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bcclone.exchange.rows import POINT, Row, suffix_of
from bcclone.recording.run_tables import HUMAN, MODEL

MANIFEST = "manifest.json"
IMAGES = "images"  # the folder in a tub
MODE = "user/mode"  # the input that says who drove
IMAGE_INPUTS = {  # camera -> the input with the name of its image's file
    "center": "cam/image_array",
    "left": "cam/image_array_left",
    "right": "cam/image_array_right",
}
INPUTS = {  # name in FIELDS of rows.py -> the input that holds the value
    "time_ms": "_timestamp_ms",
    "steering": "user/angle",
    "throttle": "user/throttle",
    "recording": "bcclone/recording",
    "brake": "bcclone/brake",
    "speed_mph": "bcclone/speed_mph",
    "take_over": "bcclone/take_over",
    "track": "bcclone/track",
    **{name: f"bcclone/{name}" for name in POINT},
}
# name in FIELDS of rows.py -> type of the input; float for all others
_TYPES = {"recording": "int", "take_over": "int", "track": "str"}
_MODE_OF = {HUMAN: "user", MODEL: "local"}
_RECORDS_PER_CATALOG = 1000
_LINE_END = "\r\n"


def write_tub(rows: Iterable[Row], folder: Path) -> None:
    """Write one or more rows, all with images of the same cameras, into an empty folder."""
    (folder / IMAGES).mkdir()
    records: list[dict[str, Any]] = []
    inputs: dict[str, str] = {}  # name of an input -> its type
    has_drivers = False
    has_trace = False  # whether a row has the car's position on a track
    for index, row in enumerate(rows):
        records.append(_write_row(row, index, folder))
        inputs = {IMAGE_INPUTS[camera]: "image_array" for camera in row.images}
        has_drivers = has_drivers or row.driven is not None
        has_trace = has_trace or row.point is not None
    inputs[MODE] = "str"
    left_out = {"time_ms"}  # donkeycar does not declare the input of the time
    if not has_drivers:
        left_out.add("take_over")
    if not has_trace:
        left_out.update(("track", *POINT))
    inputs |= {
        key: _TYPES.get(name, "float") for name, key in INPUTS.items() if name not in left_out
    }
    catalogs: list[str] = []
    for first in range(0, len(records), _RECORDS_PER_CATALOG):
        catalogs.append(f"catalog_{len(catalogs)}.catalog")
        _write_catalog(folder / catalogs[-1], records[first : first + _RECORDS_PER_CATALOG])

    # names of the sessions, in order, each once
    sessions = list(dict.fromkeys(record["_session_id"] for record in records))
    about = {
        "created_at": time.time(),
        "sessions": {
            "last_id": len(sessions) - 1,
            "last_full_id": sessions[-1],
            "all_full_ids": sessions,
        },
    }
    paths = {
        "paths": catalogs,
        "current_index": len(records),
        "max_len": _RECORDS_PER_CATALOG,
        "deleted_indexes": [],
    }
    metadata = {"bcclone/drivers": has_drivers}
    lines = [list(inputs), list(inputs.values()), metadata, about, paths]
    _write_lines(folder / MANIFEST, lines)


def _write_row(row: Row, index: int, folder: Path) -> dict[str, Any]:
    """Write the images of a row, and return its record, which names them."""
    day = time.strftime("%y-%m-%d", time.gmtime(row.time_ms / 1000))
    values = row.values()
    record: dict[str, Any] = {
        "_index": index,
        "_session_id": f"{day}_{row.episode}",
        MODE: _MODE_OF[values.get("driver", HUMAN)],
    }
    for name, key in INPUTS.items():
        if values.get(name) is not None:
            record[key] = values[name]
    for camera, image in row.images.items():
        key = IMAGE_INPUTS[camera]
        # donkeycar's form: 0_cam_image_array_.jpg
        record[key] = f"{index}_{key.replace('/', '_')}_{suffix_of(image)}"
        (folder / IMAGES / record[key]).write_bytes(image)
    return record


def _write_catalog(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Write a catalog of records, and its manifest."""
    lengths = _write_lines(path, records, sort_keys=True)
    manifest = path.with_suffix(".catalog_manifest")
    about = {
        "path": manifest.name,
        "created_at": time.time(),
        "start_index": records[0]["_index"],
        "line_lengths": lengths,
    }
    _write_lines(manifest, [about], sort_keys=True)


def _write_lines(path: Path, values: Iterable[Any], sort_keys: bool = False) -> list[int]:
    """Write JSON values, one a line; return the lengths of the lines."""
    lines = [
        json.dumps(value, allow_nan=False, sort_keys=sort_keys) + _LINE_END for value in values
    ]
    path.write_text("".join(lines), encoding="ascii", newline="")
    return [len(line) for line in lines]
