"""The format tub: a tub of donkeycar -> rows; and which of its records are deleted.

A tub is donkeycar's folder of recorded images and values. tub_writer.py writes tubs, and describes
the files of donkeycar 4 and 5.

Tubs of donkeycar 2 and 3 have a file record_N.json for each record, beside its image; meta.json has
the inputs and the time of the start, and exclude.json the numbers of deleted records.
`milliseconds` count from the start; early versions have no times. Source: donkeycar 3.1,
parts/datastore.py.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.rows import ACCIDENTS_SHARE, Items, LeftOut, read_image, read_inside, row_of
from bcclone.exchange.seen import Seen
from bcclone.exchange.table import is_image
from bcclone.exchange.times import check_rate, counted, no_times, times_of
from bcclone.exchange.tub_writer import IMAGE_INPUTS, IMAGES, INPUTS, MANIFEST, MODE
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

_EXCLUDED = "exclude.json"  # file of donkeycar 2 and 3
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
    MODE,
    *IMAGE_INPUTS.values(),
    *INPUTS.values(),
    *_BY_USER,
    *_BY_PILOT,
    _PILOT_THROTTLE,
    *_TIMES_OF_FILES,
}
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
    has_drivers: bool  # rows get a driver: a model drove some, or bcclone wrote who drove
    # bcclone wrote the tub: user/angle is the steering of every row, also where a model drove
    is_ours: bool = False
    time_input: str = INPUTS["time_ms"]  # name of the input that holds the time, for messages


def read_tub(
    settings: ImportSettings, seen: Seen, read: Callable[[Path, str], Any] = read_image
) -> Items:
    """Yield the records of a tub, also deleted ones.

    Raises UserError for a manifest or catalog that cannot be read or is outside the folder, and for
    a steering or times that a tub does not have.

    read: folder and image name in it -> the image that the row holds, by default the file's content
    """
    folder = settings.source
    files = _record_files(folder)
    if files and not (folder / MANIFEST).is_file():
        tub = _open_files(settings, files, seen)
    else:
        tub = _open_catalogs(folder, seen)
    if settings.left_positive:
        seen.notes.append("steering: positive to the left")
    image_inputs = dict(IMAGE_INPUTS)
    if settings.image_column:
        image_inputs = {"center": settings.image_column}
    _check_cameras(folder, tub, image_inputs["center"])
    inputs: set[str] = set()  # names of the values that any record has
    images: set[str] = set()  # names of the images that records name
    times_ms: list[int] = []
    steered: list[float] = []  # the absolute steering of each record
    for place, record in tub.records:
        try:
            if isinstance(record, RowError):
                raise record
            inputs.update(record)
            names = {
                camera: one_line(key, record[key])
                for camera, key in image_inputs.items()
                if key in record
            }
            images.update(names.values())
            index = whole_number("_index", record.get("_index", -1))
            values, called = _values_of(record, index, tub, settings)
            if isinstance(values.get("steering"), int | float):
                steered.append(abs(values["steering"]))
            contents = {camera: read(folder, tub.images + name) for camera, name in names.items()}
            row = row_of(values, contents, place, index in tub.deleted, called)
        except ValueError as error:
            yield LeftOut.of(place, error)
            continue
        steering = 0.0 - row.steering if settings.left_positive else row.steering
        yield replace(row, record_number=index, steering=steering)
        # a tub that bcclone wrote may hold several recordings, whose times may overlap
        if INPUTS["recording"] not in record:
            times_ms.append(row.time_ms)
    check_rate(np.array(times_ms, float), f"{folder}: {tub.time_input}")
    beyond = sum(steering > RANGES["steering"][1] + ROUNDING for steering in steered)
    if beyond > ACCIDENTS_SHARE * len(steered):
        raise UserError(
            f"{folder}: the steering of {beyond} of {len(steered)} records is beyond -1 to 1, "
            "as in degrees; a tub has the fraction of full steering; make a table of image and "
            "steering, and import that with --unit deg"
        )
    present = (folder / tub.images).glob("*")
    found = {path.name for path in present if is_image(path.name) and not is_hidden(path.name)}
    seen.columns_left_out = sorted(inputs - _READ - set(image_inputs.values()))
    seen.images_without_record = len(found - images)


def _check_cameras(folder: Path, tub: _Tub, center: str) -> None:
    """Raise UserError if no record has an image of the centre camera, but of others."""
    known = [record for _, record in tub.records if isinstance(record, dict)]
    if any(center in record for record in known):
        return
    others = {key for record in known for key, value in record.items() if is_image(str(value))}
    if others:
        raise UserError(
            f"{folder}: no record has an image {center!r}; name the camera that looks forward with "
            f"--image-column; there are: {', '.join(sorted(others))[:500]}",
            exit_code=2,
        )


# ---- donkeycar 4 and 5

# matches a record whose mode is not "user": a model drove
_OTHER_MODE = re.compile(rb'"user/mode"\s*:\s*"(?!user")')


def _catalogs_of(folder: Path) -> list[str]:
    """Return the names of the catalogs in the folder of a tub, in the order of their records."""
    found = (_CATALOG.fullmatch(path.name) for path in folder.glob("catalog_*.catalog"))
    by_number = sorted((int(match[1]), match[0]) for match in found if match)
    return [name for _, name in by_number]


def _open_catalogs(folder: Path, seen: Seen) -> _Tub:
    """Return a tub of donkeycar 4 or later.

    The manifest is written anew with each record, so a power failure may leave it empty, while the
    catalogs are whole: then these alone are read. Raises UserError for a manifest or catalog that
    cannot be read.
    """
    manifest = folder / MANIFEST
    present = _catalogs_of(folder)
    remedy = "copy the whole tub again, with its catalogs"
    content = b""
    if manifest.exists():
        with explained(manifest, "the manifest of a tub", remedy):
            content = read_inside(folder, MANIFEST, "json")
    try:
        with explained(manifest, "the manifest of a tub", remedy):
            lines = [parse_record(line) for line in content.splitlines()]
            names = [one_line("a catalog", name) for name in lines[-1]["paths"]]
            inputs, metadata = set(lines[0]), lines[2]
            deleted = read_deleted(folder)
        if present and not names:
            raise UserError(f"{manifest}: it names no catalog")
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
            contents[folder / name] = read_inside(folder, name, "json")
    is_ours = isinstance(metadata, dict) and bool(metadata.get("bcclone/drivers"))
    return _Tub(
        images=f"{IMAGES}/",
        inputs=inputs,
        deleted=deleted,
        records=[
            (f"{path}: record {index}", _parsed(line))
            for path, content in contents.items()
            for index, line in enumerate(content.splitlines(), start=1)
        ],
        has_drivers=is_ours or any(map(_OTHER_MODE.search, contents.values())),
        is_ours=is_ours,
    )


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


# ---- donkeycar 2 and 3


def _record_files(folder: Path) -> list[tuple[int, Path]]:
    """Return the number and the path of each record of a tub of donkeycar 2 or 3, in order."""
    found = ((_RECORD_FILE.fullmatch(path.name), path) for path in folder.glob("record_*.json"))
    return sorted((int(match[1]), path) for match, path in found if match)


def _open_files(settings: ImportSettings, files: Sequence[tuple[int, Path]], seen: Seen) -> _Tub:
    """Return a tub of donkeycar 2 or 3.

    Raises UserError for a meta.json or exclude.json that cannot be read, and for records without
    times.
    """
    folder = settings.source
    about = folder / "meta.json"
    with explained(about, "the description of a tub", "correct it, or remove it"):
        meta = parse_record(read_inside(folder, about.name, "json")) if about.exists() else {}
        inputs = set(meta.get("inputs", ()))
        start_ms = round(1000 * number("start", meta.get("start", 0)))
    records: list[tuple[str, dict[str, Any] | RowError]] = []
    has_drivers = False
    for _, path in files:
        try:
            content = read_inside(folder, path.name, "json")
        except OSError as error:
            records.append((str(path), RowError(f"cannot be read: {error.strerror}")))
            continue
        records.append((str(path), _parsed(content)))
        has_drivers = has_drivers or _OTHER_MODE.search(content) is not None

    # the unit of the times is found from all records together
    stated = [record if isinstance(record, dict) else {} for _, record in records]
    numbers = [index for index, _ in files]
    key = next((key for key in _TIMES_OF_FILES if any(key in each for each in stated)), "")
    if settings.frame_rate:
        milliseconds, words = counted(numbers, settings.frame_rate)
        key = ""
    else:
        found = times_of([each.get(key, "") for each in stated], key or "time")
        if found is None:
            raise no_times(f"{folder}: its records" + (f", {key!r}" if key else ""))
        milliseconds, words = found
    if key != "milliseconds":  # the others do not count from the start
        start_ms = 0
    seen.notes.append(words)
    # these are the dicts in `records`, which get their number and time here
    for index, each, time_ms in zip(numbers, stated, milliseconds, strict=True):
        each["_index"] = index
        each[INPUTS["time_ms"]] = None if np.isnan(time_ms) else round(time_ms) + start_ms
    return _Tub(
        images="",
        inputs=inputs,
        deleted=read_deleted(folder),
        records=records,
        has_drivers=has_drivers,
        time_input=key or INPUTS["time_ms"],
    )


# ---- a record


def _values_of(
    record: Mapping[str, Any], index: int, tub: _Tub, settings: ImportSettings
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of a record by the names in FIELDS, and which inputs hold them.

    Raises ValueError.

    index: number of the record
    """
    mode = one_line(MODE, record.get(MODE, "user"))
    is_by_user = mode == "user"
    called = dict(INPUTS)
    steering_keys = _BY_USER if is_by_user or tub.is_ours else _BY_PILOT
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
        raise RowError(
            f"no {tub.time_input!r}; if no record has one, count them with --frame-rate 20"
        )
    session = str(record.get("_session_id", "0")).rpartition("_")[2]
    values["episode"] = session if session.isdecimal() else 0
    if tub.has_drivers:
        values["driver"] = HUMAN if is_by_user else MODEL
        values["take_over"] = record.get(INPUTS["take_over"]) if is_by_user else None
    return values, {**called, "time_ms": tub.time_input}


# ---- the deleted records


def deleted_file(folder: Path) -> Path:
    """Return the file that lists the deleted records of a tub.

    In tubs of donkeycar 2 and 3, the file is missing if no record is deleted.
    """
    manifest = folder / MANIFEST
    if manifest.is_file() or _catalogs_of(folder):
        return manifest
    return folder / _EXCLUDED


def read_deleted(folder: Path) -> set[int]:
    """Return the numbers of a tub's deleted records; raises UserError if they cannot be read."""
    path = deleted_file(folder)
    if path.name == MANIFEST:
        command = shown_command("import", folder, "-o", "recordings/NAME")
        remedy = f"copy the tub again, or import the records that it has: {command}"
        with explained(path, "the manifest of a tub", remedy):
            last_line = read_inside(folder, MANIFEST, "json").splitlines()[-1]
            return _whole_numbers(parse_json(last_line)["deleted_indexes"])
    if not path.exists():
        return set()
    with explained(path, "a list of numbers", "correct it, or remove it"):
        return _whole_numbers(parse_json(read_inside(folder, _EXCLUDED, "json")))


def _whole_numbers(indexes: Collection[object]) -> set[int]:
    return {whole_number("a deleted index", index) for index in indexes}
