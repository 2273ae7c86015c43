r"""The format tub: a tub of donkeycar, version 2, which keeps the JPEG files.

manifest.json has five lines: names of the inputs, their types, metadata, metadata of the manifest, and the list of
catalogs with the indexes of deleted records. Each catalog has one JSON object for each record; its
.catalog_manifest has the length of each line, so that a record can be found. Lines end with \r\n. Source: donkeycar
5.3, parts/tub_v2.py and parts/datastore_v2.py. Inputs that donkeycar does not have begin with `bcclone/`.
"""

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from bcclone.lab.exchange.exchange_settings import ImportSettings
from bcclone.lab.exchange.formats import (
    IMAGE_ENDINGS,
    POINT,
    ExchangedRow,
    ExportedRows,
    Format,
    read_image,
    read_inside,
    row_of,
    suffix_of,
)
from bcclone.lab.exchange.left_out import Findings
from bcclone.recording.row import RowError
from bcclone.recording.run_tables import HUMAN, MODEL
from bcclone.system.codec import explained, one_line, parse_json, whole_number
from bcclone.system.errors import first_line

_MANIFEST, _IMAGES, _RECORDS_PER_CATALOG, _LINE_END = "manifest.json", "images", 1000, "\r\n"
_IMAGE_INPUT = {"center": "cam/image_array", "left": "cam/image_array_left", "right": "cam/image_array_right"}
_INPUTS = {  # name of a value -> input of a tub
    "time_ms": "_timestamp_ms", "steering": "user/angle", "throttle": "user/throttle",
    **{name: f"bcclone/{name}" for name in ("recording", "brake", "speed_mph", "take_over", "track", *POINT)},
}  # fmt: skip
_TYPES = {"recording": "int", "take_over": "int", "track": "str"}  # of the others: float
_MODE, _MODE_OF = "user/mode", {HUMAN: "user", MODEL: "local"}
_PILOT_INPUTS = {  # mode -> what drives instead of an input
    "local_angle": {"steering": "pilot/angle"},
    "local": {"steering": "pilot/angle", "throttle": "pilot/throttle"},
}
_OTHER_MODE = re.compile(rb'"user/mode"\s*:\s*"(?!user")')
_READ = {
    "_index", "_session_id", _MODE, *_IMAGE_INPUT.values(), *_INPUTS.values(), *_PILOT_INPUTS["local"].values(),
}  # fmt: skip
_AT_REST = 1e-12  # a smaller steering is what rounding leaves of a joystick's 0, such as 2.8e-17


def _write(rows: ExportedRows, folder: Path) -> None:
    (folder / _IMAGES).mkdir()
    records = (_record(row, index, folder) for index, row in enumerate(rows))
    catalogs: list[str] = []
    sessions: dict[str, None] = {}
    while batch := list(islice(records, _RECORDS_PER_CATALOG)):
        name = f"catalog_{len(catalogs)}"
        catalogs.append(f"{name}.catalog")
        sessions |= dict.fromkeys(record["_session_id"] for record in batch)
        about = {
            "path": f"{name}.catalog_manifest", "created_at": time.time(), "start_index": batch[0]["_index"],
            "line_lengths": _write_lines(folder / catalogs[-1], batch, sort_keys=True),
        }  # fmt: skip
        _write_lines(folder / f"{name}.catalog_manifest", [about], sort_keys=True)
    left_out = {"time_ms"} | (set() if rows.has_drivers else {"take_over"})
    left_out |= set() if rows.has_trace else {"track", *POINT}
    inputs = {_IMAGE_INPUT[camera]: "image_array" for camera in rows.cameras} | {_MODE: "str"}
    inputs |= {key: _TYPES.get(name, "float") for name, key in _INPUTS.items() if name not in left_out}
    names = list(sessions)
    session = {"last_id": len(names) - 1, "last_full_id": names[-1], "all_full_ids": names}
    paths = {"paths": catalogs, "current_index": len(rows), "max_len": _RECORDS_PER_CATALOG, "deleted_indexes": []}
    about = {"created_at": time.time(), "sessions": session}
    metadata = {"bcclone/drivers": rows.has_drivers}
    _write_lines(folder / _MANIFEST, [list(inputs), list(inputs.values()), metadata, about, paths])


def _write_lines(path: Path, values: Iterable[Any], sort_keys: bool = False) -> list[int]:
    """Write JSON values, one a line; return the lengths of the lines."""
    lines = [json.dumps(value, allow_nan=False, sort_keys=sort_keys) + _LINE_END for value in values]
    path.write_text("".join(lines), encoding="ascii", newline="")
    return list(map(len, lines))


def _record(row: ExchangedRow, index: int, folder: Path) -> dict[str, Any]:
    """Write the images of a row; return its record."""
    day, values = time.strftime("%y-%m-%d", time.gmtime(row.time_ms / 1000)), row.values()
    mode = _MODE_OF[values.get("driver", HUMAN)]
    record: dict[str, Any] = {"_index": index, "_session_id": f"{day}_{row.episode}", _MODE: mode}
    record |= {key: values[name] for name, key in _INPUTS.items() if values.get(name) is not None}
    for camera, image in row.images.items():
        key = _IMAGE_INPUT[camera]
        record[key] = f"{index}_{key.replace('/', '_')}_{suffix_of(image)}"
        (folder / _IMAGES / record[key]).write_bytes(image)
    return record


def _read(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield the records of a tub, those marked as deleted included; others that cannot be read are counted.

    Raises UserError for a manifest or catalog that cannot be read, and for one outside the folder.
    """
    folder, manifest = settings.source, settings.source / _MANIFEST
    with explained(
        manifest,
        "the manifest of a tub",
        "name the folder of a tub of donkeycar 4 or later; its script convert_to_tub_v2.py converts older ones",
    ):
        lines = [parse_json(line) for line in read_inside(folder, _MANIFEST, "json").splitlines()]
        metadata, deleted = lines[2], set(lines[-1]["deleted_indexes"])
        # a catalog that is named again would be read again
        catalogs = list(dict.fromkeys(one_line("a catalog", name) for name in lines[-1]["paths"]))
    has_drivers = isinstance(metadata, dict) and bool(metadata.get("bcclone/drivers"))
    has_drivers = has_drivers or any(_OTHER_MODE.search(_read_catalog(folder, catalog)) for catalog in catalogs)
    inputs: set[str] = set()
    images: set[str] = set()
    for catalog in catalogs:
        for index, line in enumerate(_read_catalog(folder, catalog).splitlines(), start=1):
            place = f"{folder / catalog}: record {index}"
            with findings.usable(place):
                record = _parsed(line)
                inputs |= record.keys()
                names = {camera: one_line(key, record[key]) for camera, key in _IMAGE_INPUT.items() if key in record}
                images.update(names.values())
                values, called = _values_of(record, has_drivers)
                contents = {camera: read_image(folder, f"{_IMAGES}/{name}") for camera, name in names.items()}
                is_deleted = whole_number("_index", record.get("_index", -1)) in deleted
                yield row_of(values, contents, place, is_deleted, called)
    files = {path.name for path in (folder / _IMAGES).glob("*") if path.name.lower().endswith(IMAGE_ENDINGS)}
    findings.images_without_record = len(files - images)
    findings.columns_left_out = tuple(sorted(inputs - _READ))


def _read_catalog(folder: Path, name: str) -> bytes:
    with explained(folder / name, "a catalog", f"{folder / _MANIFEST} names it; copy the whole tub again"):
        return read_inside(folder, name, "json")


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        record = parse_json(line)
    except ValueError as error:
        reason = first_line(error)[:100] if line.strip(b"\0 ") else f"{len(line)} bytes of nothing"
        raise RowError(f"not a record: {reason}") from None
    if not isinstance(record, dict):
        raise RowError(f"it is {str(record)[:40]!r}, expected names and values in braces")
    return record


def _values_of(record: Mapping[str, Any], has_drivers: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of a record by the names of FIELDS, and which inputs hold them.

    has_drivers: whether a row says who drove. Raises ValueError.
    """
    mode = one_line(_MODE, record.get(_MODE, "user"))
    pilot = {name: key for name, key in _PILOT_INPUTS.get(mode, {}).items() if record.get(key) is not None}
    called = _INPUTS | pilot
    values = {"steering": 0.0} | {name: record[key] for name, key in called.items() if key in record}
    if isinstance(values["steering"], float) and abs(values["steering"]) < _AT_REST:
        values["steering"] = 0.0
    session = str(record.get("_session_id", "0")).rpartition("_")[2]
    values["episode"] = session if session.isdecimal() else 0
    if has_drivers:
        values["driver"] = HUMAN if mode == "user" else MODEL
        values["take_over"] = record.get(_INPUTS["take_over"]) if mode == "user" else None
    return values, called


FORMAT = Format("tub", lambda path: (path / _MANIFEST).is_file(), _read, _write, expected=_MANIFEST)
