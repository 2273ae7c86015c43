"""Read a LeRobot data set of version 2 or 3, its cameras images or videos, by meta/info.json and its Parquet files."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bcclone.lab.exchange.exchange_settings import ImportSettings
from bcclone.lab.exchange.findings import Findings
from bcclone.lab.exchange.foreign_units import SteeringScale, check_scale, steering_scale
from bcclone.lab.exchange.lerobot import INFO, load_pyarrow
from bcclone.lab.exchange.lerobot_numbers import Number, find_numbers, flat_names
from bcclone.lab.exchange.lerobot_videos import EpisodeVideo
from bcclone.lab.exchange.rows import ExchangedRow, number, read_inside, whole_number
from bcclone.recording.drivers import DrivenRow
from bcclone.recording.row import CAMERAS, NUMBERS, RowError
from bcclone.recording.run_tables import TracePoint
from bcclone.system.errors import UserError, first_line
from bcclone.system.reading import MOST_JSON, MOST_TABLE, open_limited, parse_json, path_inside

_OWN = ("episode_index", "frame_index", "recording", "time_ms", "driver", "take_over", "track", "position", "timestamp")
_OF_LEROBOT = {"index", "task_index", *_OWN}
_LEAST_FPS, _MOST_FPS = 0.001, 10_000
_ROWS_AT_ONCE = 16  # an image that a file stores once may be that of every row
_UNPACKED, _TIMES_UNPACKED = 1 << 24, 8  # bytes of a column, and how many times those of its file; JPEGs do not shrink
_MOST_NAMES = 1000  # of a feature
_LINKS = "copy a data set of links with cp -rL first"
Read = TypeVar("Read", ExchangedRow, float)


@dataclass(frozen=True)
class _Columns:
    """Which columns hold what. images, videos: camera -> column; numbers: by name; scale: of the steering."""

    images: Mapping[str, str]
    videos: Mapping[str, str]
    numbers: Mapping[str, Number]
    scale: SteeringScale
    fps: float


def read(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield the frames of a data set; those that cannot be read are counted.

    Raises UserError for a data set of another form, for files outside the folder, for a file that cannot be read, and
    for a steering of a wrong unit.
    Without our own column `recorded`, the numbers are taken from any feature, by their names. Without `time_ms`, times
    are counted from 1970, an hour for each episode.
    """
    folder = settings.source
    info = _read_info(folder)
    columns = _columns(folder / INFO, info, settings, findings)
    findings.notes.append(columns.scale.words)
    read = {
        *columns.images.values(),
        *columns.videos.values(),
        *(each.column for each in columns.numbers.values()),
        *_OWN,
    }
    findings.columns_left_out = tuple(name for name in info["features"] if name not in read | _OF_LEROBOT)
    paths = sorted((folder / "data").rglob("*.parquet"))
    if not paths:
        raise UserError(f"{folder}/data: there are no Parquet files; download the whole data set")
    steering = list(_of_files(folder, paths, lambda path, _: _steering_of(path, columns.numbers["steering"])))
    check_scale(columns.scale, steering, str(folder), settings)
    with ExitStack() as stack:
        videos = {
            camera: stack.enter_context(EpisodeVideo(folder, key, columns.fps))
            for camera, key in columns.videos.items()
        }
        yield from _of_files(folder, paths, lambda path, name: _rows_of(path, name, columns, videos, findings))


def _of_files(folder: Path, paths: Iterable[Path], read: Callable[[Path, str], Iterator[Read]]) -> Iterator[Read]:
    """Yield what is read from each file by its path and name; raises UserError for one that cannot be read."""
    pyarrow, _ = load_pyarrow()
    for path in paths:
        try:
            yield from read(path_inside(folder, str(path.relative_to(folder))), str(path))
        except UserError:
            raise
        except (OSError, KeyError, ValueError, pyarrow.ArrowException) as error:
            reason = f"no column {error}" if isinstance(error, KeyError) else first_line(error)
            raise UserError(f"{path}: cannot be read: {reason}; download the data set again; {_LINKS}") from None


def _steering_of(path: Path, steering: Number) -> Iterator[float]:
    """Yield the steering of a file's rows that have one."""
    for record in _records_of(path, (), {steering.column}):
        with suppress(RowError):
            if math.isfinite(value := steering.of(record)):
                yield value


def _rows_of(
    path: Path, name: str, columns: _Columns, videos: Mapping[str, EpisodeVideo], findings: Findings
) -> Iterator[ExchangedRow]:
    images = list(columns.images.values())
    wanted = {*images, *_OWN, *(each.column for each in columns.numbers.values())}
    for index, record in enumerate(_records_of(path, images, wanted), start=1):
        place = f"{name}: row {index}"
        try:
            yield _row(record, columns, videos, place)
        except RowError as error:
            findings.leave_out(place, error)


def _records_of(path: Path, images: Sequence[str], wanted: set[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the wanted columns of a file's rows, some of which may be images.

    Raises ValueError for columns of other types, and for ones that would fill memory.
    """
    _, parquet = load_pyarrow()
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


def _columns(path: Path, info: Mapping[str, Any], settings: ImportSettings, findings: Findings) -> _Columns:
    """Return which columns hold what; raises UserError for a data set without a camera or a steering."""
    features = info["features"]
    kinds = {name: each["dtype"] for name, each in features.items() if each["dtype"] in ("image", "video")}
    if not kinds:
        raise UserError(f"{path}: it has no camera, expected a feature of dtype image or video")
    cameras = {camera: name for camera in CAMERAS for name in kinds if name.rpartition(".")[2] == camera}
    if "center" not in cameras:
        cameras = {"center": next(iter(kinds))}
    names = {
        column: flat_names(each.get("names"))[:_MOST_NAMES] or [column]
        for column, each in features.items()
        if column not in kinds and column not in _OF_LEROBOT and isinstance(each, Mapping)
    }
    numbers = find_numbers(path, names, settings, findings)
    return _Columns(
        images={camera: name for camera, name in cameras.items() if kinds[name] == "image"},
        videos={camera: name for camera, name in cameras.items() if kinds[name] == "video"},
        numbers=numbers,
        scale=steering_scale(settings, numbers["steering"].name),
        fps=info["fps"],
    )


def _row(record: Mapping[str, Any], columns: _Columns, videos: Mapping[str, EpisodeVideo], place: str) -> ExchangedRow:
    """Return a row; raises RowError for its values, KeyError for a missing column."""
    numbers = {name: each.of(record) for name, each in columns.numbers.items()}
    steering, throttle, brake, speed_mph = (numbers.get(name, 0.0) for name in NUMBERS)
    if columns.scale.factor != 1.0:
        steering = columns.scale.convert(steering)
    driver, track, take_over = record.get("driver"), record.get("track"), record.get("take_over")
    episode, frame = (whole_number(name, record[name]) for name in ("episode_index", "frame_index"))
    seconds = frame / columns.fps
    made_up_ms = episode * 3_600_000 + round(1000 * seconds)
    images: dict[str, Any] = {camera: _image(name, record[name]) for camera, name in columns.images.items()}
    if videos:
        seconds = number("timestamp", record.get("timestamp", seconds))
        images |= {camera: video.frame_at(episode, seconds) for camera, video in videos.items()}
    try:
        return ExchangedRow(
            whole_number("recording", record.get("recording", 0)),
            episode,
            whole_number("time_ms", record.get("time_ms", made_up_ms)),
            images,
            steering,
            throttle,
            brake,
            speed_mph,
            driven=DrivenRow(driver, take_over or None) if driver else None,
            point=_point(track, record.get("position")) if track else None,
            place=place,
        )
    except RowError:
        raise
    except ValueError as error:
        raise RowError(str(error)) from None


def _image(name: str, value: Any) -> bytes:
    content = value["bytes"] if isinstance(value, dict) else None
    if not isinstance(content, bytes):
        raise RowError(f"{name} holds no image file")
    return content


def _point(track: str, position: Any) -> TracePoint:
    if not isinstance(position, list) or len(position) != 4:  # noqa: PLR2004 seconds, x, z and distance
        raise RowError(f"its position is {str(position)[:40]!r}, expected four numbers")
    return TracePoint(position[0], track, *position[1:])
