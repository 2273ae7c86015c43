r"""The format tub: a tub of donkeycar, version 2, which keeps the JPEG files.

manifest.json has five lines: names of the inputs, their types, metadata, metadata of the manifest, and the list of
catalogs with the indexes of deleted records. Each catalog has one JSON object for each record; its
.catalog_manifest has the length of each line, so that a record can be found. Lines end with \r\n. Source: donkeycar
5.3, parts/tub_v2.py and parts/datastore_v2.py. Inputs that donkeycar does not have begin with `bcclone/`.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bcclone.lab.exchange.exchange_settings import ImportSettings
from bcclone.lab.exchange.findings import Findings
from bcclone.lab.exchange.rows import (
    IMAGE_ENDINGS,
    POINT,
    ExchangedRow,
    Format,
    Source,
    read_image,
    read_inside,
    row_of,
    suffix_of,
)
from bcclone.recording.drivers import HUMAN, MODEL
from bcclone.recording.row import RowError
from bcclone.system.codec import one_line, parse_json, path_inside, whole_number
from bcclone.system.errors import UserError, first_line

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


def _write(source: Source, folder: Path) -> None:
    (folder / _IMAGES).mkdir()
    catalogs: list[str] = []
    records: list[dict[str, Any]] = []
    sessions: dict[str, None] = {}
    for index, row in enumerate(source):
        if len(records) == _RECORDS_PER_CATALOG:
            catalogs.append(_write_catalog(folder, len(catalogs), records))
            records = []
        record = _record(row, index, folder)
        sessions[record["_session_id"]] = None
        records.append(record)
    catalogs.append(_write_catalog(folder, len(catalogs), records))
    _write_manifest(folder, source, catalogs, list(sessions))


def _record(row: ExchangedRow, index: int, folder: Path) -> dict[str, Any]:
    """Write the images of a row; return its record."""
    day = time.strftime("%y-%m-%d", time.gmtime(row.time_ms / 1000))
    values = row.values()
    record: dict[str, Any] = {
        "_index": index,
        "_session_id": f"{day}_{row.episode}",
        _MODE: _MODE_OF[values.get("driver", HUMAN)],
    }
    record |= {key: values[name] for name, key in _INPUTS.items() if values.get(name) is not None}
    for camera, image in row.images.items():
        key = _IMAGE_INPUT[camera]
        record[key] = f"{index}_{key.replace('/', '_')}_{suffix_of(image)}"
        (folder / _IMAGES / record[key]).write_bytes(image)
    return record


def _write_catalog(folder: Path, number: int, records: Sequence[Mapping[str, Any]]) -> str:
    """Write a catalog and its manifest; return its name."""
    name = f"catalog_{number}"
    lines = [json.dumps(record, allow_nan=False, sort_keys=True) + _LINE_END for record in records]
    (folder / f"{name}.catalog").write_text("".join(lines), encoding="ascii", newline="")
    about = {
        "path": f"{name}.catalog_manifest", "created_at": time.time(), "start_index": records[0]["_index"],
        "line_lengths": [len(line) for line in lines],
    }  # fmt: skip
    line = json.dumps(about, sort_keys=True) + _LINE_END
    (folder / f"{name}.catalog_manifest").write_text(line, encoding="ascii", newline="")
    return f"{name}.catalog"


def _write_manifest(folder: Path, source: Source, catalogs: Sequence[str], sessions: Sequence[str]) -> None:
    left_out = {"time_ms"} | (set() if source.has_drivers else {"take_over"})
    left_out |= set() if source.has_trace else {"track", *POINT}
    inputs = {_IMAGE_INPUT[camera]: "image_array" for camera in source.cameras} | {_MODE: "str"}
    inputs |= {key: _TYPES.get(name, "float") for name, key in _INPUTS.items() if name not in left_out}
    metadata = {"bcclone/drivers": source.has_drivers}
    last = sessions[-1]
    session = {"last_id": len(sessions) - 1, "last_full_id": last, "all_full_ids": list(sessions)}
    paths = {
        "paths": list(catalogs), "current_index": source.rows, "max_len": _RECORDS_PER_CATALOG, "deleted_indexes": [],
    }  # fmt: skip
    lines = (list(inputs), list(inputs.values()), metadata, {"created_at": time.time(), "sessions": session}, paths)
    content = "".join(json.dumps(line) + _LINE_END for line in lines)
    (folder / _MANIFEST).write_text(content, encoding="ascii", newline="")


def _read(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield the records of a tub, those marked as deleted included; others that cannot be read are counted.

    Raises UserError for a manifest or catalog that cannot be read, and for one outside the folder.
    """
    folder = settings.source
    manifest = folder / _MANIFEST
    try:
        lines = [parse_json(line) for line in read_inside(folder, _MANIFEST, "json").splitlines()]
        metadata, catalogs, deleted = lines[2], lines[-1]["paths"], set(lines[-1]["deleted_indexes"])
        if len(set(catalogs)) < len(catalogs):
            raise UserError(f"{manifest}: it names a catalog twice; remove one of the names")
        catalogs = [one_line("a catalog", name) for name in catalogs]
    except OSError as error:
        raise UserError(f"{manifest}: cannot be read: {error.strerror}; name the folder of a tub") from None
    except (ValueError, KeyError, TypeError, IndexError):
        raise UserError(
            f"{manifest}: not the manifest of a tub; expected one of donkeycar 4 or later; convert an older tub with "
            "donkeycar's own script, convert_to_tub_v2.py"
        ) from None
    has_drivers = isinstance(metadata, dict) and bool(metadata.get("bcclone/drivers"))
    has_drivers = has_drivers or any(_OTHER_MODE.search(_read_catalog(folder, catalog)) for catalog in catalogs)
    tub = _Tub(folder, deleted, has_drivers)
    for catalog in catalogs:
        for index, line in enumerate(_read_catalog(folder, catalog).splitlines(), start=1):
            place = f"{folder / catalog}: record {index}"
            try:
                yield tub.row(place, line)
            except ValueError as error:
                findings.leave_out(place, error)
    findings.images_without_record = len(_images_in(folder) - tub.images)
    findings.columns_left_out = tuple(sorted(tub.inputs - _READ))


def _read_catalog(folder: Path, name: str) -> bytes:
    try:
        return read_inside(folder, name, "json")
    except OSError as error:
        named_by = f"{folder / _MANIFEST} names it; copy the whole tub again"
        raise UserError(f"{folder / name}: cannot be read: {error.strerror}; {named_by}") from None


def _images_in(folder: Path) -> set[str]:
    """Return the names of the files of a tub's folder of images."""
    try:
        paths = path_inside(folder, _IMAGES).iterdir()
        return {path.name for path in paths if path.name.lower().endswith(IMAGE_ENDINGS)}
    except (OSError, ValueError):
        return set()


class _Tub:
    """Reads records.

    has_drivers: whether a row says who drove; images: the names of those read so far; inputs: of what the records hold.
    """

    def __init__(self, folder: Path, deleted: set[int], has_drivers: bool) -> None:
        self._folder, self._deleted, self._has_drivers = folder, deleted, has_drivers
        self.images: set[str] = set()
        self.inputs: set[str] = set()

    def row(self, place: str, line: bytes) -> ExchangedRow:
        """Return the row of a record; raises ValueError."""
        try:
            record = parse_json(line)
        except ValueError as error:
            reason = first_line(error)[:100] if line.strip(b"\0 ") else f"{len(line)} bytes of nothing"
            raise RowError(f"not a record: {reason}") from None
        if not isinstance(record, dict):
            raise RowError(f"it is {str(record)[:40]!r}, expected names and values in braces")
        self.inputs |= record.keys()
        names = {camera: one_line(key, record[key]) for camera, key in _IMAGE_INPUT.items() if key in record}
        self.images.update(names.values())
        mode = one_line(_MODE, record.get(_MODE, "user"))
        pilot = {name: key for name, key in _PILOT_INPUTS.get(mode, {}).items() if record.get(key) is not None}
        called = _INPUTS | pilot
        values = {"steering": 0.0} | {name: record[key] for name, key in called.items() if key in record}
        if isinstance(values["steering"], float) and abs(values["steering"]) < _AT_REST:
            values["steering"] = 0.0
        session = str(record.get("_session_id", "0")).rpartition("_")[2]
        values["episode"] = session if session.isdecimal() else 0
        if self._has_drivers:
            values["driver"] = HUMAN if mode == "user" else MODEL
            values["take_over"] = record.get(_INPUTS["take_over"]) if mode == "user" else None
        images = {camera: read_image(self._folder, f"{_IMAGES}/{name}") for camera, name in names.items()}
        is_deleted = whole_number("_index", record.get("_index", -1)) in self._deleted
        return row_of(values, images, place, is_deleted, called)


FORMAT = Format("tub", lambda path: (path / _MANIFEST).is_file(), _read, _write, expected=_MANIFEST)
