"""The format tub: a tub of donkeycar -> rows.

A tub is donkeycar's folder of recorded images and values. tub_writer.py writes tubs, and describes
the files of donkeycar 4 and 5.

Tubs of donkeycar 2 and 3 have a file record_N.json for each record, beside its image; meta.json has
the inputs and the time of the start, and exclude.json the numbers of deleted records.
`milliseconds` count from the start; early versions have no times. Source: donkeycar 3.1,
parts/datastore.py.
"""

import re
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.exchange.deleted_records import MANIFEST, catalogs_of, read_deleted
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_row import (
    ACCIDENTS_SHARE,
    LeftOut,
    SourceFacts,
    SourceItem,
    row_of,
)
from bcclone.exchange.formats import Format
from bcclone.exchange.source_files import IMAGE_ENDINGS, read_image, read_inside
from bcclone.exchange.table_times import check_rate, counted
from bcclone.exchange.tub_writer import IMAGE_INPUTS, IMAGES, INPUTS, MODE, write_tub
from bcclone.exchange.written_times import Times, times_of
from bcclone.recording.row import RANGES, ROUNDING, RowError
from bcclone.recording.run_tables import HUMAN, MODEL
from bcclone.system.codec import (
    explained,
    number,
    one_line,
    parse_record,
    whole_number,
)
from bcclone.system.errors import UserError, first_line
from bcclone.system.location import is_hidden


@dataclass(frozen=True)
class _Tub:
    """A tub that was opened; its records are read while they are iterated."""

    images: str  # path of the image folder in the tub: "images/", or "" in donkeycar 2 and 3
    inputs: Collection[str]  # names of the values that each record should have
    deleted: Collection[Any]  # numbers of the deleted records
    # for each record: file and record for messages, and its values or why they cannot be read
    records: Iterable[tuple[str, dict[str, Any] | RowError]]
    has_drivers: bool  # rows get a driver: a model drove some, or bcclone wrote who drove
    # bcclone wrote the tub: user/angle is the steering of every row, also where a model drove
    is_ours: bool = False
    time_input: str = INPUTS["time_ms"]  # name of the input that holds the time, for messages
    # how the times were found, where they are not the records' own; what a damaged manifest hides
    notes: Sequence[str] = ()


def read_tub(
    settings: ImportSettings, read: Callable[[Path, str], Any] = read_image
) -> Generator[SourceItem, None, None]:
    """Yield the records of a tub, also deleted ones.

    Raises UserError for a manifest or catalog that cannot be read or is outside the folder.

    read: folder and image name in it -> the image that the row holds, by default the file's content
    """
    folder = settings.source
    tub = _open_tub(settings)
    inputs: set[str] = set()  # names of the values that any record has
    images: set[str] = set()  # names of the images that records name
    times_ms: list[int] = []
    # of each record whose values can be read, whether its steering is beyond -1 to 1
    beyond: list[bool] = []
    for place, record in tub.records:
        if isinstance(record, RowError):
            yield LeftOut.of(place, record)
            continue
        inputs.update(record)
        try:
            names = _image_names(record)
            images.update(names.values())
            values, called = _values_of(record, tub, settings.steering)
            beyond.append(_is_beyond(values.get("steering")))
            index = whole_number("_index", record.get("_index", -1))
            values["time_ms"] = _time_of(record, values, index, tub, settings)
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
    _check_unit(folder, beyond)
    yield SourceFacts(
        notes=tub.notes,
        columns_left_out=sorted(inputs - _READ),
        images_without_record=len(_images_in(folder / tub.images) - images),
    )


def _check_unit(folder: Path, beyond: Sequence[bool]) -> None:
    """Raise UserError if the steering of many records is beyond -1 to 1.

    beyond: of each record, whether its steering is
    """
    if sum(beyond) > ACCIDENTS_SHARE * len(beyond):
        raise UserError(
            f"{folder}: the steering of {sum(beyond)} of {len(beyond)} records is beyond -1 to 1, "
            "as in degrees; a tub has the fraction of full steering; make a table of image and "
            "steering, and import that with --unit deg"
        )


def _images_in(folder: Path) -> set[str]:
    names = {path.name for path in folder.glob("*") if not is_hidden(path.name)}
    return {name for name in names if name.lower().endswith(IMAGE_ENDINGS)}


def _image_names(record: Mapping[str, Any]) -> dict[str, str]:
    """Return camera -> name of its image, for the images of a record; raises ValueError."""
    return {
        camera: one_line(key, record[key]) for camera, key in IMAGE_INPUTS.items() if key in record
    }


def _is_beyond(steering: Any) -> bool:
    try:
        return abs(number("steering", steering)) > RANGES["steering"][1] + ROUNDING
    except ValueError:  # no number: the record is left out for that
        return False


def _open_tub(settings: ImportSettings) -> _Tub:
    """Return the tub of a source; raises UserError for one whose files cannot be read."""
    folder = settings.source
    files = _record_files(folder)
    if files and not (folder / MANIFEST).is_file():
        tub = _tub_of_files(settings, files)
    else:
        tub = _tub_of_catalogs(folder)
    if settings.left_positive:
        tub = replace(tub, notes=[*tub.notes, "steering: positive to the left"])
    return tub


# ---- donkeycar 4 and 5

# matches a record whose mode is not "user": a model drove
_OTHER_MODE = re.compile(rb'"user/mode"\s*:\s*"(?!user")')


@dataclass(frozen=True)
class _Manifest:
    """What the manifest of a tub says of it."""

    inputs: Collection[str]  # names of the values that each record should have
    metadata: Any
    catalogs: Sequence[str]  # names of the files with the records
    deleted: Collection[int]  # numbers of the deleted records
    notes: Sequence[str] = ()


def _read_manifest(folder: Path) -> _Manifest:
    """Return the manifest of a tub; where it is damaged, what its catalogs alone tell.

    The manifest is written anew with each record, so a power failure may leave it empty, while the
    catalogs are whole. Raises UserError if there is no catalog, either.
    """
    manifest = folder / MANIFEST
    present = catalogs_of(folder)
    remedy = "copy the whole tub again, with its catalogs"
    content = b""
    if manifest.exists():
        with explained(manifest, "the manifest of a tub", remedy):
            content = read_inside(folder, MANIFEST, "json")
    try:
        with explained(manifest, "the manifest of a tub", remedy):
            lines = [parse_record(line) for line in content.splitlines()]
            catalogs = [one_line("a catalog", name) for name in lines[-1]["paths"]]
            stated = _Manifest(set(lines[0]), lines[2], catalogs, read_deleted(folder))
        if present and not catalogs:
            raise UserError(f"{manifest}: it names no catalog")
    except UserError:
        if not present:
            raise
        note = (
            f"{MANIFEST} is missing or damaged: all records of the {len(present)} catalogs in the "
            "folder are read, also those that were deleted"
        )
        return _Manifest(set(), {}, present, set(), [note])
    further = [name for name in present if name not in stated.catalogs]
    if not further:
        return stated
    note = f"{MANIFEST} does not name, so that they are not read: {', '.join(further[:10])}"
    return replace(stated, notes=[note])


def _tub_of_catalogs(folder: Path) -> _Tub:
    """Return a tub of donkeycar 4 or later.

    Raises UserError for a manifest or catalog that cannot be read.
    """
    manifest = _read_manifest(folder)
    catalogs: dict[Path, bytes] = {}  # by path, so that a catalog that is named twice is read once
    for name in manifest.catalogs:
        remedy = (
            f"{folder / MANIFEST} names it; copy the whole tub again, or remove this file: all "
            "records of the other catalogs are then read, also those that were deleted"
        )
        with explained(folder / name, "a catalog", remedy):
            catalogs[folder / name] = read_inside(folder, name, "json")
    records = (
        (f"{catalog}: record {index}", _parsed(line))
        for catalog, content in catalogs.items()
        for index, line in enumerate(content.splitlines(), start=1)
    )
    metadata = manifest.metadata
    is_ours = isinstance(metadata, dict) and bool(metadata.get("bcclone/drivers"))
    has_drivers = is_ours or any(map(_OTHER_MODE.search, catalogs.values()))
    return _Tub(
        images=f"{IMAGES}/",
        inputs=manifest.inputs,
        deleted=manifest.deleted,
        records=records,
        has_drivers=has_drivers,
        is_ours=is_ours,
        notes=manifest.notes,
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

_RECORD_FILE = re.compile(r"record_(\d{1,18})\.json")
_TIMES_OF_FILES = ("milliseconds", "_timestamp_ms", "timestamp")  # inputs that may hold the time


def _record_files(folder: Path) -> list[tuple[int, Path]]:
    """Return the number and the path of each record of a tub of donkeycar 2 or 3, in order."""
    found = ((_RECORD_FILE.fullmatch(path.name), path) for path in folder.glob("record_*.json"))
    return sorted((int(match[1]), path) for match, path in found if match)


def _tub_of_files(settings: ImportSettings, files: Sequence[tuple[int, Path]]) -> _Tub:
    """Return a tub of donkeycar 2 or 3.

    Raises UserError for a meta.json or exclude.json that cannot be read.
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
    times = _times_of_files(settings, stated, numbers)
    notes = [] if times.unit else [f"times: {times.words}"]
    if times.is_since_1970:
        start_ms = 0
    # these are the dicts in `records`, which get their number and time here
    for index, record, time_ms in zip(numbers, stated, times.milliseconds, strict=True):
        record["_index"] = index
        record[INPUTS["time_ms"]] = None if time_ms is None else time_ms + start_ms
    return _Tub(
        images="",
        inputs=inputs,
        deleted=read_deleted(folder),
        records=records,
        has_drivers=has_drivers,
        time_input=times.source,
        notes=notes,
    )


def _times_of_files(
    settings: ImportSettings, records: Sequence[Mapping[str, Any]], numbers: Sequence[int]
) -> Times:
    """Return the times that records state, or else times counted by --frame-rate.

    numbers: numbers of the records in their file names, from which times are counted

    Raises UserError for times that cannot be understood.
    """
    keys = [key for key in _TIMES_OF_FILES if any(key in record for record in records)]
    for key in keys:
        times = times_of([str(record.get(key, ""))[:100] for record in records], key)
        if times:
            return times
    if keys and settings.frame_rate is None:
        raise UserError(
            f"{settings.source}: {keys[0]!r} of its records holds no times; count them with "
            "--frame-rate 20"
        )
    return counted(numbers, settings)


# ---- a record

# names of the input that holds the steering; one version of donkeycar 5 has the second name
_BY_USER = ("user/angle", "user/steering")
_BY_PILOT = ("pilot/angle", "pilot/steering")
_PILOT_THROTTLE = "pilot/throttle"
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


def _time_of(
    record: Mapping[str, Any],
    values: Mapping[str, Any],
    index: int,
    tub: _Tub,
    settings: ImportSettings,
) -> Any:
    """Return the time of a record: counted by --frame-rate, or the record's own.

    Raises RowError for a record of donkeycar 4 or later without a time. The type and range of the
    time are checked later, by row_of().
    """
    if settings.frame_rate:
        return counted([index], settings).milliseconds[0]
    time_ms = values.get("time_ms")
    has_catalogs = bool(tub.images)
    if has_catalogs and not time_ms and INPUTS["recording"] not in record:
        raise RowError(
            f"no {tub.time_input!r}; if no record has one, count them with --frame-rate 20"
        )
    return time_ms


def _values_of(
    record: Mapping[str, Any], tub: _Tub, estimated: str | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of a record by the names in FIELDS, and which inputs hold them.

    Raises ValueError.

    estimated: --steering, such as from-motion; the record's steering is then not read
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
    if estimated or (isinstance(steering, float) and abs(steering) < _AT_REST):
        values["steering"] = 0.0
    session = str(record.get("_session_id", "0")).rpartition("_")[2]
    values["episode"] = session if session.isdecimal() else 0
    if tub.has_drivers:
        values["driver"] = HUMAN if is_by_user else MODEL
        values["take_over"] = record.get(INPUTS["take_over"]) if is_by_user else None
    return values, {**called, "time_ms": tub.time_input}


FORMAT = Format(
    "tub",
    lambda path: (path / MANIFEST).is_file() or bool(catalogs_of(path) or _record_files(path)),
    read_tub,
    write_tub,
    options=frozenset(("frame_rate", "left_positive")),
    expected=f"{MANIFEST} or record_N.json",
)
