r"""The format tub: a tub of donkeycar; those of donkeycar 4 and 5 are written, which keeps the JPEG files.

manifest.json has five lines: names of the inputs, their types, metadata, metadata of the manifest, and the list of
catalogs with the indexes of deleted records. Each catalog has one JSON object for each record; its
.catalog_manifest has the length of each line, so that a record can be found. Lines end with \r\n. Source: donkeycar
5.3, parts/tub_v2.py and parts/datastore_v2.py. Inputs that donkeycar does not have begin with `bcclone/`.

Tubs of donkeycar 2 and 3 have a file record_N.json for each record, beside its image; meta.json has the inputs and the
time of the start, and exclude.json the numbers of deleted records. `milliseconds` count from the start; early versions
have no times. Source: donkeycar 3.1, parts/datastore.py.
"""

import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.exchange.deleted_records import MANIFEST as _MANIFEST
from bcclone.exchange.deleted_records import WHOLE_TUB as _WHOLE
from bcclone.exchange.deleted_records import read_deleted
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.formats import (
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
from bcclone.exchange.left_out import ACCIDENTS, Findings
from bcclone.exchange.table_times import check_rate, counted, times_of
from bcclone.recording.row import RANGES, ROUNDING, RowError
from bcclone.recording.run_tables import HUMAN, MODEL
from bcclone.system.codec import explained, number, one_line, parse_json, whole_number
from bcclone.system.errors import UserError, first_line

_IMAGES, _RECORDS_PER_CATALOG, _LINE_END = "images", 1000, "\r\n"
_IMAGE_INPUT = {
    "center": "cam/image_array",
    "left": "cam/image_array_left",
    "right": "cam/image_array_right",
}
_INPUTS = {  # name of a value -> input of a tub
    "time_ms": "_timestamp_ms", "steering": "user/angle", "throttle": "user/throttle",
    **{name: f"bcclone/{name}" for name in ("recording", "brake", "speed_mph", "take_over", "track", *POINT)},
}  # fmt: skip
_TYPES = {"recording": "int", "take_over": "int", "track": "str"}  # of the others: float
_MODE, _MODE_OF = "user/mode", {HUMAN: "user", MODEL: "local"}
_BY_USER = "user/angle", "user/steering"  # one version of donkeycar 5 had the second name
_BY_PILOT = "pilot/angle", "pilot/steering"
_THROTTLE_OF = {"local": ("pilot/throttle",)}
_RECORD_FILE = re.compile(r"record_(\d{1,18})\.json")
_TIMES_OF_FILES = ("milliseconds", "_timestamp_ms", "timestamp")
_OTHER_MODE = re.compile(rb'"user/mode"\s*:\s*"(?!user")')
_READ = {
    "_index", "_session_id", _MODE, *_IMAGE_INPUT.values(), *_INPUTS.values(), *_BY_USER, *_BY_PILOT, "pilot/throttle",
    *_TIMES_OF_FILES,
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
    inputs |= {
        key: _TYPES.get(name, "float") for name, key in _INPUTS.items() if name not in left_out
    }
    names = list(sessions)
    session = {"last_id": len(names) - 1, "last_full_id": names[-1], "all_full_ids": names}
    paths = {
        "paths": catalogs,
        "current_index": len(rows),
        "max_len": _RECORDS_PER_CATALOG,
        "deleted_indexes": [],
    }
    about = {"created_at": time.time(), "sessions": session}
    metadata = {"bcclone/drivers": rows.has_drivers}
    _write_lines(folder / _MANIFEST, [list(inputs), list(inputs.values()), metadata, about, paths])


def _write_lines(path: Path, values: Iterable[Any], sort_keys: bool = False) -> list[int]:
    """Write JSON values, one a line; return the lengths of the lines."""
    lines = [
        json.dumps(value, allow_nan=False, sort_keys=sort_keys) + _LINE_END for value in values
    ]
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


@dataclass(frozen=True)
class _Tub:
    """A tub. images: folder of the images in it; inputs: that each record should have; deleted:
    numbers of records.

    records: the place of each, and its values, or why it has none; has_drivers: whether a row says
    who drove; is_ours: written by bcclone, with the steering of models as the user's; time: the
    input with the time, for messages.
    """

    images: str
    inputs: Collection[str]
    deleted: Collection[Any]
    records: Iterable[tuple[str, dict[str, Any] | RowError]]
    has_drivers: bool
    is_ours: bool = False
    time: str = _INPUTS["time_ms"]


def read_tub(
    settings: ImportSettings, findings: Findings, read: Callable[[Path, str], Any] = read_image
) -> Iterator[ExchangedRow]:
    """Yield the records of a tub, those marked as deleted included; others that cannot be read are
    counted.

    read: folder and name of an image in it -> what the row has of it. Raises UserError for a
    manifest or catalog that cannot be read, and for one outside the folder.
    """
    folder, files = settings.source, _record_files(settings.source)
    has_manifest = not files or (folder / _MANIFEST).is_file()
    tub = _tub_of_catalogs(folder) if has_manifest else _tub_of_files(settings, files, findings)
    inputs: set[str] = set()
    images: set[str] = set()
    count = beyond = 0
    times: list[int] = []
    for place, record in tub.records:
        with findings.usable(place):
            if isinstance(record, RowError):
                raise record
            inputs |= record.keys()
            names = {
                camera: one_line(key, record[key])
                for camera, key in _IMAGE_INPUT.items()
                if key in record
            }
            images.update(names.values())
            values, called = _values_of(record, tub, settings.steering)
            count += 1
            steering = values.get("steering")
            beyond += (
                isinstance(steering, float) and abs(steering) > RANGES["steering"][1] + ROUNDING
            )
            index = whole_number("_index", record.get("_index", -1))
            values["time_ms"] = _time_of(record, values, index, tub, settings)
            contents = {camera: read(folder, tub.images + name) for camera, name in names.items()}
            is_deleted, called = index in tub.deleted, called | {"time_ms": tub.time}
            yield (
                row := replace(row_of(values, contents, place, is_deleted, called), number=index)
            )
            times += [row.time_ms] * (
                _INPUTS["recording"] not in record
            )  # not of ours, which may hold several
    check_rate(np.array(times, float), f"{folder}: {tub.time}")
    if beyond > ACCIDENTS * count:
        raise UserError(
            f"{folder}: the steering of {beyond} of {count} records is beyond -1 to 1, as in degrees; a tub has the "
            "fraction of full steering; make a table of image and steering, and import that with --unit deg"
        )
    of_tub = {
        path.name
        for path in (folder / tub.images).glob("*")
        if path.name.lower().endswith(IMAGE_ENDINGS)
    }
    findings.images_without_record = len(of_tub - images)
    findings.columns_left_out = tuple(sorted(inputs - _READ))


def _tub_of_catalogs(folder: Path) -> _Tub:
    """Return a tub of donkeycar 4 or later; raises UserError for a manifest or catalog that cannot
    be read.
    """
    manifest = folder / _MANIFEST
    with explained(manifest, "the manifest of a tub", _WHOLE):
        lines = [parse_json(line) for line in read_inside(folder, _MANIFEST, "json").splitlines()]
        inputs, metadata = set(lines[0]), lines[2]
        names = [one_line("a catalog", name) for name in lines[-1]["paths"]]
    catalogs: dict[Path, bytes] = {}  # one that is named again would be read again
    for name in names:
        with explained(
            folder / name, "a catalog", f"{manifest} names it; copy the whole tub again"
        ):
            catalogs[folder / name] = read_inside(folder, name, "json")
    records = (
        (f"{catalog}: record {index}", _parsed(line))
        for catalog, content in catalogs.items()
        for index, line in enumerate(content.splitlines(), start=1)
    )
    is_ours = isinstance(metadata, dict) and bool(metadata.get("bcclone/drivers"))
    has_drivers = is_ours or any(map(_OTHER_MODE.search, catalogs.values()))
    return _Tub(f"{_IMAGES}/", inputs, read_deleted(folder), records, has_drivers, is_ours)


def _record_files(folder: Path) -> list[tuple[int, Path]]:
    """Return the number and the path of each record of a tub of donkeycar 2 or 3, in the order of
    the numbers.
    """
    found = ((_RECORD_FILE.fullmatch(path.name), path) for path in folder.glob("record_*.json"))
    return sorted((int(match[1]), path) for match, path in found if match)


def _tub_of_files(
    settings: ImportSettings, files: Sequence[tuple[int, Path]], findings: Findings
) -> _Tub:
    """Return a tub of donkeycar 2 or 3; raises UserError for a meta.json or exclude.json that
    cannot be read.
    """
    folder = settings.source
    about = folder / "meta.json"
    with explained(about, "the description of a tub", "correct it, or remove it"):
        meta = parse_json(read_inside(folder, about.name, "json")) if about.exists() else {}
        inputs, start_ms = (
            set(meta.get("inputs", ())),
            round(1000 * number("start", meta.get("start", 0))),
        )
    records: dict[Path, dict[str, Any] | RowError] = {}
    has_drivers = False
    for _, path in files:
        try:
            content = read_inside(folder, path.name, "json")
        except OSError as error:
            records[path] = RowError(f"cannot be read: {error.strerror}")
        else:
            records[path], has_drivers = (
                _parsed(content),
                has_drivers or _OTHER_MODE.search(content) is not None,
            )
    stated = [record if isinstance(record, dict) else {} for record in records.values()]
    keys = [key for key in _TIMES_OF_FILES if any(key in record for record in stated)]
    found = (times_of([str(record.get(key, ""))[:100] for record in stated], key) for key in keys)
    times = next(filter(None, found), None)
    if keys and not times and settings.frame_rate is None:
        raise UserError(
            f"{folder}: {keys[0]!r} of its records holds no times; count them with --frame-rate 20"
        )
    if not times:
        times = counted([index for index, _ in files], settings)
        findings.notes.append(f"times: {times.words}")
    start_ms *= not times.is_since_1970
    for (index, _), record, time_ms in zip(files, stated, times.milliseconds, strict=True):
        record |= {
            "_index": index,
            _INPUTS["time_ms"]: None if time_ms is None else time_ms + start_ms,
        }
    places = ((str(path), record) for path, record in records.items())
    return _Tub("", inputs, read_deleted(folder), places, has_drivers, time=times.source)


def _parsed(line: bytes) -> dict[str, Any] | RowError:
    """Return the values of a record, or why it has none."""
    try:
        record = parse_json(line)
    except ValueError as error:
        reason = first_line(error)[:100] if line.strip(b"\0 ") else f"{len(line)} bytes of nothing"
        return RowError(f"not a record: {reason}")
    expected = "expected names and values in braces"
    return (
        record if isinstance(record, dict) else RowError(f"it is {str(record)[:40]!r}, {expected}")
    )


def _time_of(
    record: Mapping[str, Any],
    values: Mapping[str, Any],
    index: int,
    tub: _Tub,
    settings: ImportSettings,
) -> Any:
    """Return the time of a record, counted or as it says, None where row_of() refuses it; raises
    RowError.
    """
    if settings.frame_rate:
        return counted([index], settings).milliseconds[0]
    if tub.images and not values.get("time_ms") and _INPUTS["recording"] not in record:
        raise RowError(f"no {tub.time!r}; if no record has one, count them with --frame-rate 20")
    return values.get("time_ms")


def _values_of(
    record: Mapping[str, Any], tub: _Tub, estimated: str | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of a record by the names of FIELDS, and which inputs hold them; raises
    ValueError.

    estimated: from what the steering is, which is then not read.
    """
    mode = one_line(_MODE, record.get(_MODE, "user"))
    called = dict(_INPUTS)
    steering_keys = _BY_USER if mode == "user" or tub.is_ours else _BY_PILOT
    called["steering"] = next(
        (key for key in steering_keys if record.get(key) is not None), steering_keys[0]
    )
    called["throttle"] = next(
        (key for key in _THROTTLE_OF.get(mode, ()) if key in record), called["throttle"]
    )
    values = {
        name: record.get(key) for name, key in called.items() if key in record or key in tub.inputs
    }
    steering = values.get("steering")
    if isinstance(steering, float) and abs(steering) < _AT_REST:
        values["steering"] = 0.0
    values |= {"steering": 0.0} if estimated else {}
    session = str(record.get("_session_id", "0")).rpartition("_")[2]
    values["episode"] = session if session.isdecimal() else 0
    if tub.has_drivers:
        values["driver"] = HUMAN if mode == "user" else MODEL
        values["take_over"] = record.get(_INPUTS["take_over"]) if mode == "user" else None
    return values, called


FORMAT = Format(
    "tub",
    lambda path: (path / _MANIFEST).is_file() or bool(_record_files(path)),
    read_tub,
    _write,
    options=frozenset(("frame_rate",)),
    expected=f"{_MANIFEST} or record_N.json",
)
