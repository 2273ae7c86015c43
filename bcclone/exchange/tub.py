r"""The format tub: a tub of donkeycar -> rows, and back; and which of its records are deleted.

A tub of donkeycar 4 and 5 is a folder of images, catalogs and a manifest. manifest.json has five
lines: names of the inputs, their types, metadata, metadata of the manifest, and the list of
catalogs with the indexes of deleted records. Each catalog has one JSON object for each record; its
.catalog_manifest has the length of each line, so that a record can be found. Lines end with \r\n.
Source: donkeycar 5.3 and 5.4, parts/tub_v2.py and parts/datastore_v2.py. Inputs that donkeycar does
not have begin with `bcclone/`.

Tubs of donkeycar 2 and 3 have a file record_N.json for each record, beside its image; meta.json has
the inputs and the time of the start, and exclude.json the numbers of deleted records.
`milliseconds` count from the start; early versions have no times. Source: donkeycar 3.1,
parts/datastore.py.
"""

import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_rows import (
    ACCIDENTS_SHARE,
    MISSING,
    POINT,
    Items,
    LeftOut,
    Row,
    Seen,
    row_of,
)
from bcclone.exchange.inquiry import Inquiry
from bcclone.exchange.questions import Missing
from bcclone.exchange.source_files import is_image, read_image, read_inside, suffix_of
from bcclone.exchange.time_columns import no_times
from bcclone.exchange.times import Times, counted, times_of
from bcclone.recording.row import RANGES, ROUNDING, RowError
from bcclone.recording.run_tables import HUMAN, MODEL
from bcclone.system.codec import (
    explained,
    number,
    one_line,
    parse_json,
    parse_record,
    whole_number,
)
from bcclone.system.errors import UserError, first_line, shown_command
from bcclone.system.location import is_hidden

MANIFEST = "manifest.json"
_EXCLUDED = "exclude.json"  # file of donkeycar 2 and 3
_IMAGES = "images"  # the folder in a tub
_MODE = "user/mode"  # the input that says who drove
_IMAGE_INPUTS = {  # camera -> the input with the name of its image's file
    "center": "cam/image_array",
    "left": "cam/image_array_left",
    "right": "cam/image_array_right",
}
_INPUTS = {  # name in FIELDS of a row -> the input that holds the value
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
_CATALOG = re.compile(r"catalog_(\d{1,9})\.catalog")
_RECORD_FILE = re.compile(r"record_(\d{1,18})\.json")  # of donkeycar 2 and 3
# names of the input that holds the steering; one version of donkeycar 5 has the second name
_BY_USER = ("user/angle", "user/steering")
_BY_PILOT = ("pilot/angle", "pilot/steering")
_PILOT_THROTTLE = "pilot/throttle"
_TIMES_OF_FILES = ("milliseconds", "_timestamp_ms", "timestamp")  # inputs that may hold the time
_READ = {  # inputs that the import reads; all others are listed as left out
    "_index",
    "_session_id",
    _MODE,
    *_IMAGE_INPUTS.values(),
    *_INPUTS.values(),
    *_BY_USER,
    *_BY_PILOT,
    _PILOT_THROTTLE,
    *_TIMES_OF_FILES,
}
_LATEST_MS = 253e12  # of times: those of the year 9999, in milliseconds since 1970
_AT_REST = 1e-12  # a smaller steering is what rounding leaves of a joystick's 0, such as 2.8e-17


def is_tub(path: Path) -> bool:
    return (path / MANIFEST).is_file() or bool(_catalogs_of(path) or _record_files(path))


@dataclass(frozen=True)
class _Tub:
    """A tub that was opened."""

    images: str  # path of the image folder in the tub: "images/", or "" in donkeycar 2 and 3
    inputs: Collection[str]  # names of the values that each record should have
    deleted: Collection[Any]  # numbers of the deleted records
    # for each record: file and record for messages, and its values or why they cannot be read
    records: Sequence[tuple[str, dict[str, Any] | RowError]]
    # bcclone wrote the tub: user/angle is the steering of every row, also where a model drove
    is_ours: bool = False
    time_input: str = _INPUTS["time_ms"]  # name of the input that holds the time, for messages

    @cached_property
    def has_drivers(self) -> bool:
        """Return whether rows get a driver: a model drove some, or bcclone wrote who drove."""
        values = [record for _, record in self.records if isinstance(record, dict)]
        return self.is_ours or any(record.get(_MODE, "user") != "user" for record in values)


def read_tub(
    settings: ImportSettings, seen: Seen, read: Callable[[Path, str, bool], Any] = read_image
) -> Items:
    """Yield the records of a tub, also deleted ones.

    Raises UserError for a manifest or catalog that cannot be read, and for a steering or times that
    a tub does not have.

    read: folder, image name in it, and whether links are followed -> the image that the row holds,
        by default the file's content
    """
    folder = settings.source
    follow_links = settings.follow_links
    files = _record_files(folder)
    inquiry = Inquiry(settings)
    if files and not (folder / MANIFEST).is_file():
        tub = _open_files(settings, files, seen, inquiry)
    else:
        tub = _open_catalogs(folder, seen, follow_links)
    seen.is_middle_of_format = not settings.steering
    if settings.left_positive:
        seen.notes.append("steering: positive to the left")
    image_inputs = dict(_IMAGE_INPUTS)
    if settings.image_column:
        image_inputs = {"center": settings.image_column}
    _ask(tub, settings, image_inputs, inquiry)
    inquiry.check()
    inputs: set[str] = set()  # names of the values that any record has
    images: set[str] = set()  # names of the images that records name
    for place, record in tub.records:
        try:
            if isinstance(record, RowError):
                raise record
            inputs.update(record)
            names = _images_of(record, image_inputs)
            images.update(names.values())
            index = whole_number("_index", record.get("_index", -1))
            values, called = _values_of(record, index, tub, settings)
            contents = {
                camera: read(folder, tub.images + name, follow_links)
                for camera, name in names.items()
            }
            row = row_of(values, contents, place, index in tub.deleted, called)
        except ValueError as error:
            yield LeftOut.of(place, error)
            continue
        steering = 0.0 - row.steering if settings.left_positive else row.steering
        yield replace(row, record_number=index, steering=steering, picture=names["center"])
    present = (folder / tub.images).glob("*")
    found = {path.name for path in present if is_image(path.name) and not is_hidden(path.name)}
    seen.columns_left_out = sorted(inputs - _READ - set(image_inputs.values()))
    seen.images_without_record = len(found - images)


def _ask(
    tub: _Tub, settings: ImportSettings, image_inputs: Mapping[str, str], inquiry: Inquiry
) -> None:
    """Ask for what no record of a tub states: the camera that looks forward, and the times; and
    name a steering in another unit, and times of no camera.
    """
    records = [record for _, record in tub.records if isinstance(record, dict)]
    center = image_inputs["center"]
    inquiry.note("records", str(settings.source), records=len(records))
    cameras = sorted(
        {key for record in records[:100] for key, value in record.items() if is_image(str(value))}
    )
    if cameras and not any(center in record for record in records):
        inquiry.ask([Missing("camera", "image_column", "CAMERA", {"cameras": cameras})])
    times_ms: list[float] = []
    pictures: list[str] = []  # at these times
    steered: list[float] = []
    untimed = 0  # records that lack a time alone
    for record in records:
        try:
            index = whole_number("_index", record.get("_index", -1))
            values, _ = _values_of(record, index, tub, settings)
        except _Untimed:
            untimed += 1
            continue
        except ValueError:
            continue
        steering = values.get("steering")
        time_ms = values.get("time_ms")
        if isinstance(steering, int | float):
            steered.append(steering)
        # a tub that bcclone wrote may hold several recordings, whose times may overlap
        if isinstance(time_ms, int | float) and _INPUTS["recording"] not in record:
            times_ms.append(time_ms)
            pictures.append(str(record.get(center)))
    if untimed and not times_ms:
        inquiry.ask(no_times())
    times = Times(np.array(times_ms, float), tub.time_input)
    is_fast = any(times.check_rate(pictures))
    if is_fast or max(times_ms, default=0) > _LATEST_MS:
        first, second = times_ms[0], times_ms[min(1, len(times_ms) - 1)]
        facts: dict[str, Any] = {"column": tub.time_input}
        facts |= {"first": repr(first), "second": repr(second)}
        inquiry.ask([Missing("times of a tub", "frame_rate", "HZ", facts)])
    beyond = sum(abs(steering) > RANGES["steering"][1] + ROUNDING for steering in steered)
    if beyond > ACCIDENTS_SHARE * len(steered):
        facts = {"beyond": beyond, "rows": len(steered)}
        inquiry.ask([Missing("steering of a tub", facts=facts)])


class _Untimed(RowError):
    """A record without a time."""


def _images_of(record: Mapping[str, Any], image_inputs: Mapping[str, str]) -> dict[str, str]:
    """Return camera -> name of a record's image; raises ValueError without that of the centre."""
    names = {
        camera: one_line(key, record[key]) for camera, key in image_inputs.items() if key in record
    }
    if "center" not in names:
        others = [key for key, value in record.items() if is_image(str(value))]
        raise LeftOut(
            f"no {image_inputs['center']!r}; name the camera that looks forward with "
            f"--image-column; there are: {', '.join(others)[:500]}",
            MISSING,
        )
    return names


def _values_of(
    record: Mapping[str, Any], index: int, tub: _Tub, settings: ImportSettings
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of a record by the names in FIELDS, and which inputs hold them."""
    mode = one_line(_MODE, record.get(_MODE, "user"))
    called = dict(_INPUTS)
    steering_keys = _BY_USER if mode == "user" or tub.is_ours else _BY_PILOT
    given = [key for key in steering_keys if record.get(key) is not None]
    called["steering"] = (given or steering_keys)[0]
    if mode == "local" and _PILOT_THROTTLE in record:
        called["throttle"] = _PILOT_THROTTLE
    # an input that the tub declares and the record lacks becomes None, which row_of() refuses
    values = {
        name: record.get(key) for name, key in called.items() if key in record or key in tub.inputs
    }
    steering = values.get("steering")
    # a steering that will be estimated is not read
    if settings.steering or (isinstance(steering, float) and abs(steering) < _AT_REST):
        values["steering"] = 0.0
    if settings.frame_rate:
        values["time_ms"] = round(1000 * index / settings.frame_rate)
    elif tub.images and not values.get("time_ms") and "recording" not in values:
        raise _Untimed(f"no {tub.time_input!r}")
    session = str(record.get("_session_id", "0")).rpartition("_")[2]
    values["episode"] = session if session.isdecimal() else 0
    if tub.has_drivers:
        values["driver"] = HUMAN if mode == "user" else MODEL
        values["take_over"] = record.get(_INPUTS["take_over"]) if mode == "user" else None
    return values, {**called, "time_ms": tub.time_input}


def _parsed(line: bytes) -> dict[str, Any] | RowError:
    """Return the values of a record, or why they cannot be read."""
    try:
        record = parse_record(line)
    except ValueError as error:
        reason = first_line(error)[:100]
        if not line.strip(b"\0 "):  # a power failure leaves a line of zero bytes
            reason = f"{len(line)} bytes of nothing"
        return RowError(f"not a record: {reason}")
    if isinstance(record, dict):
        return record
    return RowError(f"it is {str(record)[:40]!r}, expected names and values in braces")


# ---- donkeycar 4 and 5


def _catalogs_of(folder: Path) -> list[str]:
    """Return the names of the catalogs in the folder of a tub, in the order of their records."""
    found = (_CATALOG.fullmatch(path.name) for path in folder.glob("catalog_*.catalog"))
    by_number = sorted((int(match[1]), match[0]) for match in found if match)
    return [name for _, name in by_number]


def _open_catalogs(folder: Path, seen: Seen, follow_links: bool) -> _Tub:
    """Return a tub of donkeycar 4 or later.

    The manifest is written anew with each record, so a power failure may leave it empty, while the
    catalogs are whole: then these alone are read.
    """
    manifest = folder / MANIFEST
    present = _catalogs_of(folder)
    readable = partial(
        explained, manifest, "the manifest of a tub", "copy the whole tub again, with its catalogs"
    )
    content = b""
    if manifest.exists():
        with readable():
            content = read_inside(folder, MANIFEST, "json", follow_links)
    try:
        with readable():
            lines = [parse_record(line) for line in content.splitlines()]
            names = [one_line("a catalog", name) for name in lines[-1]["paths"]]
            inputs, metadata = set(lines[0]), lines[2]
            deleted = read_deleted(folder, follow_links)
            if present and not names:
                raise ValueError("it names no catalog")
    except UserError:
        if not present:
            raise
        names, inputs, metadata, deleted = present, set(), {}, set()
        seen.notes.append(
            f"{MANIFEST} is missing or damaged: all records of the {len(present)} catalogs in the "
            "folder are read, also those that were deleted"
        )
    contents: dict[Path, bytes] = {}  # by path, so that a catalog that is named twice is read once
    for name in names:
        remedy = (
            f"{manifest} names it; copy the whole tub again, or remove this file: all records of "
            "the other catalogs are then read, also those that were deleted"
        )
        with explained(folder / name, "a catalog", remedy):
            contents[folder / name] = read_inside(folder, name, "json", follow_links)
    return _Tub(
        images=f"{_IMAGES}/",
        inputs=inputs,
        deleted=deleted,
        records=[
            (f"{path}: record {index}", _parsed(line))
            for path, content in contents.items()
            for index, line in enumerate(content.splitlines(), start=1)
        ],
        is_ours=isinstance(metadata, dict) and bool(metadata.get("bcclone/drivers")),
    )


# ---- donkeycar 2 and 3


def _record_files(folder: Path) -> list[tuple[int, Path]]:
    """Return the number and the path of each record of a tub of donkeycar 2 or 3, in order."""
    found = ((_RECORD_FILE.fullmatch(path.name), path) for path in folder.glob("record_*.json"))
    return sorted((int(match[1]), path) for match, path in found if match)


def _open_files(
    settings: ImportSettings, files: Sequence[tuple[int, Path]], seen: Seen, inquiry: Inquiry
) -> _Tub:
    """Return a tub of donkeycar 2 or 3; times that no record states are asked for."""
    folder = settings.source
    follow_links = settings.follow_links
    about = folder / "meta.json"
    with explained(about, "the description of a tub", "correct it, or remove it"):
        meta = {}
        if about.exists():
            meta = parse_record(read_inside(folder, about.name, "json", follow_links))
        inputs = set(meta.get("inputs", ()))
        start_ms = round(1000 * number("start", meta.get("start", 0)))
    records: list[tuple[str, dict[str, Any] | RowError]] = []
    for _, path in files:
        try:
            record = _parsed(read_inside(folder, path.name, "json", follow_links))
        except OSError as error:
            record = RowError(f"cannot be read: {error.strerror}")
        records.append((str(path), record))

    # the times of all records are read together
    stated = [record if isinstance(record, dict) else {} for _, record in records]
    numbers = [index for index, _ in files]
    key = next((key for key in _TIMES_OF_FILES if any(key in each for each in stated)), "")
    times: Times | Missing | None = None
    if settings.frame_rate:
        times = counted(numbers, settings.frame_rate)
    elif key:
        times = times_of([each.get(key, "") for each in stated], key)
    if not isinstance(times, Times):
        inquiry.ask([times] if times else no_times())
        times = counted(numbers, 1)
    seen.notes.append(times.words)
    for row, (place, record) in enumerate(records):
        time_ms = times.of(row)
        if times.column == "milliseconds" and time_ms is not None:
            time_ms += start_ms
        if isinstance(record, dict):
            numbered = {**record, "_index": numbers[row], _INPUTS["time_ms"]: time_ms}
            records[row] = (place, numbered)
    return _Tub(
        images="",
        inputs=inputs,
        deleted=read_deleted(folder, follow_links),
        records=records,
        time_input=times.column or _INPUTS["time_ms"],
    )


# ---- the deleted records


def deleted_file(folder: Path) -> Path:
    """Return the file that lists the deleted records of a tub.

    In tubs of donkeycar 2 and 3, the file is missing if no record is deleted.
    """
    manifest = folder / MANIFEST
    if manifest.is_file() or _catalogs_of(folder):
        return manifest
    return folder / _EXCLUDED


def read_deleted(folder: Path, follow_links: bool = False) -> set[int]:
    """Return the numbers of a tub's deleted records; raises UserError if they cannot be read."""
    path = deleted_file(folder)
    if path.name == _EXCLUDED and not path.exists():
        return set()
    remedy = "correct it, or remove it"
    if path.name == MANIFEST:
        command = shown_command("import", folder, "-o", "recordings/NAME")
        remedy = f"copy the tub again, or import the records that it has: {command}"
    with explained(path, "a list of deleted records", remedy):
        content = read_inside(folder, path.name, "json", follow_links)
        if path.name == MANIFEST:
            indexes = parse_json(content.splitlines()[-1])["deleted_indexes"]
        else:
            indexes = parse_json(content)
        return {whole_number("a deleted index", index) for index in indexes}


# ---- an export, as a tub of donkeycar 4 and 5; JPEG files are copied unchanged

# name in FIELDS of a row -> type of the input; float for all others
_TYPES = {"recording": "int", "take_over": "int", "track": "str"}
_MODE_OF = {HUMAN: "user", MODEL: "local"}
_RECORDS_PER_CATALOG = 1000
_LINE_END = "\r\n"


def write_tub(rows: Iterable[Row], folder: Path) -> None:
    """Write one or more rows, all with images of the same cameras, into an empty folder."""
    (folder / _IMAGES).mkdir()
    records: list[dict[str, Any]] = []
    inputs: dict[str, str] = {}  # name of an input -> its type
    has_drivers = False
    has_trace = False  # whether a row has the car's position on a track
    for index, row in enumerate(rows):
        records.append(_write_row(row, index, folder))
        inputs = {_IMAGE_INPUTS[camera]: "image_array" for camera in row.images}
        has_drivers = has_drivers or row.driven is not None
        has_trace = has_trace or row.point is not None
    inputs[_MODE] = "str"
    left_out = {"time_ms"}  # donkeycar does not declare the input of the time
    if not has_drivers:
        left_out.add("take_over")
    if not has_trace:
        left_out.update(("track", *POINT))
    inputs |= {
        key: _TYPES.get(name, "float") for name, key in _INPUTS.items() if name not in left_out
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
        _MODE: _MODE_OF[values.get("driver", HUMAN)],
    }
    for name, key in _INPUTS.items():
        if values.get(name) is not None:
            record[key] = values[name]
    for camera, image in row.images.items():
        key = _IMAGE_INPUTS[camera]
        # donkeycar's form: 0_cam_image_array_.jpg
        record[key] = f"{index}_{key.replace('/', '_')}_{suffix_of(image)}"
        (folder / _IMAGES / record[key]).write_bytes(image)
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
