"""Read a LeRobot data set of version 2 or 3 with image features, by its meta/info.json and its Parquet files."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bcclone.lab.exchange.lerobot import ACTION, INFO, RECORDED, STATE, load_pyarrow
from bcclone.lab.exchange.rows import NUMBERS, ExchangedRow, number, read_inside, whole_number
from bcclone.recording.drivers import DrivenRow
from bcclone.recording.row import CAMERAS, RowError
from bcclone.recording.run_tables import TracePoint
from bcclone.system.errors import UserError, first_line
from bcclone.system.reading import MOST_JSON, MOST_TABLE, open_limited, parse_json, path_inside

_OWN = ("episode_index", "frame_index", "recording", "time_ms", "driver", "take_over", "track", "position")
_LEAST_FPS, _MOST_FPS = 0.001, 10_000
_ROWS_AT_ONCE = 16  # an image that a file stores once may be that of every row
_UNPACKED, _TIMES_UNPACKED = 1 << 24, 8  # bytes of a column, and how many times those of its file; JPEGs do not shrink
_MOST_NAMES = 1000  # of a feature
_LINKS = "copy a data set of links with cp -rL first"


def read(folder: Path) -> Iterator[ExchangedRow]:
    """Yield the frames of a data set; raises UserError for one of another form, and for files outside the folder.

    Without our own column `recorded`, steering, throttle and brake are taken from `action`, by their names. Without
    `time_ms`, times are counted from 1970, an hour for each episode.
    """
    pyarrow, _ = load_pyarrow()
    info = _read_info(folder)
    columns = _columns(folder / INFO, info)
    paths = sorted((folder / "data").rglob("*.parquet"))
    if not paths:
        raise UserError(f"{folder}/data: there are no Parquet files; download the whole data set")
    for path in paths:
        try:
            inside = path_inside(folder, str(path.relative_to(folder)))
            for index, record in enumerate(_records_of(inside, columns), start=1):
                yield _row(record, columns, f"{path}: row {index}")
        except RowError as error:
            raise UserError(f"{path}: row {index}: {error}; correct it in the source") from None
        except (OSError, KeyError, ValueError, pyarrow.ArrowException) as error:
            reason = f"no column {error}" if isinstance(error, KeyError) else first_line(error)
            remedy = f"download the data set again; {_LINKS}"
            raise UserError(f"{path}: cannot be read: {reason}; {remedy}") from None


def _records_of(path: Path, columns: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a file; raises ValueError for columns of other types, and for ones that would fill memory."""
    _, parquet = load_pyarrow()
    images = list(columns["cameras"].values())
    wanted = {*images, *_OWN, *(column for column, _ in columns["numbers"].values())}
    with open_limited(path, MOST_TABLE) as file:
        table = parquet.ParquetFile(file)
        _check_size(table.metadata, path.stat().st_size)
        names = [field.name for field in table.schema_arrow if field.name in wanted]
        for name in names:
            _check_type(name, table.schema_arrow.field(name).type, name in images)
        for batch in table.iter_batches(_ROWS_AT_ONCE, columns=names):
            yield from batch.to_pylist()


def _check_size(metadata: Any, size: int) -> None:
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            if column.total_uncompressed_size > _UNPACKED + _TIMES_UNPACKED * size:
                raise ValueError(f"column {column.path_in_schema} has {column.total_uncompressed_size} bytes unpacked")


def _check_type(name: str, type: Any, is_image: bool) -> None:
    pyarrow, _ = load_pyarrow()
    types = pyarrow.types
    if is_image:
        if not types.is_struct(type) or type.get_field_index("bytes") < 0:
            raise ValueError(f"column {name} has the type {str(type)[:60]}, expected the bytes of images")
        return
    one = type.value_type if types.is_list(type) or types.is_fixed_size_list(type) else type
    if not (types.is_integer(one) or types.is_floating(one) or types.is_string(one) or types.is_null(one)):
        raise ValueError(f"column {name} has the type {str(type)[:60]}, expected numbers or text")


def _read_info(folder: Path) -> Mapping[str, Any]:
    path = folder / INFO
    try:
        info: Mapping[str, Any] = parse_json(read_inside(folder, INFO, MOST_JSON))
        features, fps = info["features"], number("fps", info["fps"])
        if not _LEAST_FPS <= fps <= _MOST_FPS:
            raise UserError(f"{path}: fps is {fps:g}, expected {_LEAST_FPS:g} to {_MOST_FPS} frames a second")
        if not all(name.isprintable() and isinstance(each["dtype"], str) for name, each in features.items()):
            raise ValueError
    except OSError as error:
        remedy = f"name the folder of a LeRobot data set; {_LINKS}"
        raise UserError(f"{path}: cannot be read: {error.strerror}; {remedy}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: not the description of a LeRobot data set, expected `features` and `fps`") from None
    return {"features": features, "fps": fps}


def _columns(path: Path, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return which columns hold what: camera -> column, and column and place of each number."""
    features = info["features"]
    images = [name for name, each in features.items() if each["dtype"] == "image"]
    if not images:
        videos = [name for name, each in features.items() if each["dtype"] == "video"]
        what = f"its cameras are videos ({', '.join(videos)})" if videos else "it has no camera"
        raise UserError(f"{path}: {what}, expected features of dtype image; convert it with LeRobot's own tools first")
    cameras = {camera: name for camera in CAMERAS for name in images if name.rpartition(".")[2] == camera}
    if not cameras:
        cameras = {"center": images[0]}
    numbers: dict[str, tuple[str, int]] = {}
    for column in (STATE, ACTION, RECORDED):  # the last one counts
        names = _flat_names(features.get(column, {}).get("names"))[:_MOST_NAMES]
        numbers |= {name: (column, place) for place, name in enumerate(names) if name in NUMBERS}
    if "steering" not in numbers:
        named = ", ".join(repr(name[:40])[1:-1] for name in _flat_names(features.get(ACTION, {}).get("names")))
        raise UserError(
            f"{path}: no feature named 'steering' in {ACTION} (it has: {named or 'no names'}); "
            "name the one that steers 'steering' there, -1 to 1, right positive"
        )
    return {"cameras": cameras, "numbers": numbers, "fps": info["fps"]}


def _flat_names(names: Any) -> list[str]:
    """Return the names of a feature, which older data sets group: {"motors": [...]}."""
    if isinstance(names, Mapping):
        return [str(name) for group in names.values() for name in (group if isinstance(group, list) else [group])]
    return [str(name) for name in names] if isinstance(names, list) else []


def _row(record: Mapping[str, Any], columns: Mapping[str, Any], place: str) -> ExchangedRow:
    """Return a row; raises RowError for its values, KeyError for a missing column."""
    values = dict.fromkeys(NUMBERS, 0.0)
    values |= {name: number(name, _value(record, *where)) for name, where in columns["numbers"].items()}
    driver, track, take_over = record.get("driver"), record.get("track"), record.get("take_over")
    episode, frame = (whole_number(name, record[name]) for name in ("episode_index", "frame_index"))
    made_up_ms = episode * 3_600_000 + round(1000 * frame / columns["fps"])
    try:
        return ExchangedRow(
            recording=whole_number("recording", record.get("recording", 0)),
            episode=episode,
            time_ms=whole_number("time_ms", record.get("time_ms", made_up_ms)),
            images={camera: _image(name, record[name]) for camera, name in columns["cameras"].items()},
            steering=values["steering"],
            throttle=values["throttle"],
            brake=values["brake"],
            speed_mph=values["speed_mph"],
            driven=DrivenRow(driver, take_over or None) if driver else None,
            point=_point(track, record.get("position")) if track else None,
            place=place,
        )
    except ValueError as error:
        raise RowError(str(error)) from None


def _value(record: Mapping[str, Any], column: str, place: int) -> Any:
    value = record[column]
    if not isinstance(value, list):
        return value
    if place >= len(value):
        raise RowError(f"{column} has {len(value)} values, expected {place + 1} or more")
    return value[place]


def _image(name: str, value: Any) -> bytes:
    content = value["bytes"] if isinstance(value, dict) else None
    if not isinstance(content, bytes):
        raise RowError(f"{name} holds no image file")
    return content


def _point(track: str, position: Any) -> TracePoint:
    if not isinstance(position, list) or len(position) != 4:  # noqa: PLR2004 seconds, x, z and distance
        raise RowError(f"its position is {str(position)[:40]!r}, expected four numbers")
    return TracePoint(position[0], track, *position[1:])
