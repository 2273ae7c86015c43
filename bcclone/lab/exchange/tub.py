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
    ExchangedRow,
    Source,
    number,
    read_image,
    read_inside,
    suffix_of,
    text,
    whole_number,
)
from bcclone.recording.drivers import HUMAN, MODEL, DrivenRow
from bcclone.recording.row import RowError
from bcclone.recording.run_tables import TracePoint
from bcclone.system.errors import UserError, first_line
from bcclone.system.reading import MOST_JSON, parse_json, path_inside

MANIFEST = "manifest.json"
_IMAGES, _RECORDS_PER_CATALOG, _LINE_END = "images", 1000, "\r\n"
_IMAGE_INPUT = {"center": "cam/image_array", "left": "cam/image_array_left", "right": "cam/image_array_right"}
_NUMBER_INPUTS = ("user/angle", "user/throttle", "bcclone/brake", "bcclone/speed_mph")
_MODE_OF = {HUMAN: "user", MODEL: "local"}
_PILOT_INPUTS = {  # mode -> what drives instead of an input
    "local_angle": {"user/angle": "pilot/angle"},
    "local": {"user/angle": "pilot/angle", "user/throttle": "pilot/throttle"},
}
_OTHER_MODE = re.compile(rb'"user/mode"\s*:\s*"(?!user")')
_TAKE_OVER, _RECORDING, _TRACK = "bcclone/take_over", "bcclone/recording", "bcclone/track"
_POINT_INPUTS = ("bcclone/trace_seconds", "bcclone/x_m", "bcclone/z_m", "bcclone/cross_track_m")
_READ = {
    "_index", "_session_id", "_timestamp_ms", "user/mode", *_IMAGE_INPUT.values(), *_NUMBER_INPUTS,
    *_PILOT_INPUTS["local"].values(), _TAKE_OVER, _RECORDING, _TRACK, *_POINT_INPUTS,
}  # fmt: skip
_LONGEST_REASON = 100  # characters
_AT_REST = 1e-12  # a smaller steering is what rounding leaves of a joystick's 0, such as 2.8e-17


def write(source: Source, folder: Path) -> None:
    """Write the rows into an empty folder."""
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
    record: dict[str, Any] = {
        "_index": index, "_session_id": f"{day}_{row.episode}", "_timestamp_ms": row.time_ms,
        _RECORDING: row.recording,
        "user/mode": _MODE_OF[row.driver or HUMAN],
    }  # fmt: skip
    record |= dict(zip(_NUMBER_INPUTS, row.numbers, strict=True))
    if row.take_over:
        record[_TAKE_OVER] = row.take_over
    if row.point:
        record |= {_TRACK: row.track} | dict(zip(_POINT_INPUTS, row.position, strict=True))
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
    inputs = {_IMAGE_INPUT[camera]: "image_array" for camera in source.cameras}
    inputs |= dict.fromkeys(_NUMBER_INPUTS, "float") | {"user/mode": "str", _RECORDING: "int"}
    if source.has_drivers:
        inputs[_TAKE_OVER] = "int"
    if source.has_trace:
        inputs |= {_TRACK: "str"} | dict.fromkeys(_POINT_INPUTS, "float")
    metadata = {"bcclone/drivers": source.has_drivers}
    last = sessions[-1]
    session = {"last_id": len(sessions) - 1, "last_full_id": last, "all_full_ids": list(sessions)}
    paths = {
        "paths": list(catalogs), "current_index": source.rows, "max_len": _RECORDS_PER_CATALOG, "deleted_indexes": [],
    }  # fmt: skip
    lines = (list(inputs), list(inputs.values()), metadata, {"created_at": time.time(), "sessions": session}, paths)
    content = "".join(json.dumps(line) + _LINE_END for line in lines)
    (folder / MANIFEST).write_text(content, encoding="ascii", newline="")


def read(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield the records of a tub, those marked as deleted included; others that cannot be read are counted.

    Raises UserError for a manifest or catalog that cannot be read, and for one outside the folder.
    """
    folder = settings.source
    manifest = folder / MANIFEST
    try:
        lines = [parse_json(line) for line in read_inside(folder, MANIFEST, MOST_JSON).splitlines()]
        metadata, catalogs, deleted = lines[2], lines[-1]["paths"], set(lines[-1]["deleted_indexes"])
        if len(set(catalogs)) < len(catalogs):
            raise UserError(f"{manifest}: it names a catalog twice; remove one of the names")
        catalogs = [text("a catalog", name) for name in catalogs]
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
            except RowError as error:
                findings.leave_out(place, error)
    findings.images_without_record = len(_images_in(folder) - tub.images)
    findings.columns_left_out = tuple(sorted(tub.inputs - _READ))


def _read_catalog(folder: Path, name: str) -> bytes:
    try:
        return read_inside(folder, name, MOST_JSON)
    except OSError as error:
        path, manifest = folder / name, folder / MANIFEST
        raise UserError(
            f"{path}: cannot be read: {error.strerror}; {manifest} names it; copy the whole tub again"
        ) from None


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
        """Return the row of a record; raises RowError."""
        try:
            record = parse_json(line)
        except ValueError as error:
            reason = first_line(error)[:_LONGEST_REASON] if line.strip(b"\0 ") else f"{len(line)} bytes of nothing"
            raise RowError(f"not a record: {reason}") from None
        if not isinstance(record, dict):
            raise RowError(f"it is {str(record)[:40]!r}, expected names and values in braces")
        self.inputs |= record.keys()
        try:
            return self._row(place, record)
        except KeyError as error:
            raise RowError(f"no {error}") from None
        except RowError:
            raise
        except ValueError as error:
            raise RowError(str(error)) from None

    def _row(self, place: str, record: Mapping[str, Any]) -> ExchangedRow:
        names = {camera: text(key, record[key]) for camera, key in _IMAGE_INPUT.items() if key in record}
        self.images.update(names.values())
        mode = text("user/mode", record.get("user/mode", "user"))
        drives = {name: pilot for name, pilot in _PILOT_INPUTS.get(mode, {}).items() if record.get(pilot) is not None}
        names_read = (drives.get(name, name) for name in _NUMBER_INPUTS)
        steering, throttle, brake, speed_mph = (number(name, record.get(name, 0.0)) for name in names_read)
        steering = 0.0 if abs(steering) < _AT_REST else steering
        session = str(record.get("_session_id", "0")).rpartition("_")[2]
        return ExchangedRow(
            recording=whole_number(_RECORDING, record.get(_RECORDING, 0)),
            episode=int(session) if session.isdecimal() else 0,
            time_ms=whole_number("_timestamp_ms", record["_timestamp_ms"]),
            images={camera: read_image(self._folder, f"{_IMAGES}/{name}") for camera, name in names.items()},
            steering=steering,
            throttle=throttle,
            brake=brake,
            speed_mph=speed_mph,
            driven=_driven(record, mode) if self._has_drivers else None,
            point=_point(record),
            deleted=whole_number("_index", record.get("_index", -1)) in self._deleted,
            place=place,
        )


def _driven(record: Mapping[str, Any], mode: str) -> DrivenRow:
    return DrivenRow(HUMAN, record.get(_TAKE_OVER)) if mode == "user" else DrivenRow(MODEL)


def _point(record: Mapping[str, Any]) -> TracePoint | None:
    if _TRACK not in record:
        return None
    seconds, x_m, z_m, cross_track_m = (number(name, record[name]) for name in _POINT_INPUTS)
    return TracePoint(seconds, record[_TRACK], x_m, z_m, cross_track_m)
