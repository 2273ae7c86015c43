"""Read a LeRobot data set of version 2 or 3, its cameras images or videos, by meta/info.json and its Parquet files."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.lab.exchange.driven_columns import is_brake, is_speed, is_steering, is_throttle
from bcclone.lab.exchange.exchange_settings import RATIO, ImportSettings
from bcclone.lab.exchange.findings import Findings
from bcclone.lab.exchange.foreign_table import plain
from bcclone.lab.exchange.foreign_units import SteeringScale, speed_factor, steering_scale
from bcclone.lab.exchange.lerobot import ACTION, INFO, RECORDED, STATE, load_pyarrow
from bcclone.lab.exchange.lerobot_videos import EpisodeVideo
from bcclone.lab.exchange.rows import NUMBERS, ExchangedRow, number, read_inside, whole_number
from bcclone.recording.drivers import DrivenRow
from bcclone.recording.row import CAMERAS, RowError
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


@dataclass(frozen=True)
class _Columns:
    """Which columns hold what.

    images, videos: camera -> column; numbers: name of a number -> column and place in it; scale: of the steering.
    """

    images: Mapping[str, str]
    videos: Mapping[str, str]
    numbers: Mapping[str, tuple[str, int]]
    factors: Mapping[str, float]
    scale: SteeringScale
    fps: float


def read(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield the frames of a data set; those that cannot be read are counted.

    Raises UserError for a data set of another form, for files outside the folder, and for a file that cannot be read.
    Without our own column `recorded`, the numbers are taken from any feature, by their names. Without `time_ms`, times
    are counted from 1970, an hour for each episode.
    """
    folder = settings.source
    pyarrow, _ = load_pyarrow()
    info = _read_info(folder)
    columns = _columns(folder / INFO, info, settings)
    findings.notes.append(columns.scale.words)
    read = {*columns.images.values(), *columns.videos.values(), *(name for name, _ in columns.numbers.values()), *_OWN}
    findings.columns_left_out = tuple(name for name in info["features"] if name not in read | _OF_LEROBOT)
    paths = sorted((folder / "data").rglob("*.parquet"))
    if not paths:
        raise UserError(f"{folder}/data: there are no Parquet files; download the whole data set")
    with ExitStack() as stack:
        videos = {
            camera: stack.enter_context(EpisodeVideo(folder, key, columns.fps))
            for camera, key in columns.videos.items()
        }
        for path in paths:
            try:
                inside = path_inside(folder, str(path.relative_to(folder)))
                yield from _rows_of(inside, str(path), columns, videos, findings)
            except UserError:
                raise
            except (OSError, KeyError, ValueError, pyarrow.ArrowException) as error:
                reason = f"no column {error}" if isinstance(error, KeyError) else first_line(error)
                remedy = f"download the data set again; {_LINKS}"
                raise UserError(f"{path}: cannot be read: {reason}; {remedy}") from None


def _rows_of(
    path: Path, name: str, columns: _Columns, videos: Mapping[str, EpisodeVideo], findings: Findings
) -> Iterator[ExchangedRow]:
    for index, record in enumerate(_records_of(path, columns), start=1):
        place = f"{name}: row {index}"
        try:
            yield _row(record, columns, videos, place)
        except RowError as error:
            findings.leave_out(place, error)


def _records_of(path: Path, columns: _Columns) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a file; raises ValueError for columns of other types, and for ones that would fill memory."""
    _, parquet = load_pyarrow()
    images = list(columns.images.values())
    wanted = {*images, *_OWN, *(column for column, _ in columns.numbers.values())}
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


def _columns(path: Path, info: Mapping[str, Any], settings: ImportSettings) -> _Columns:
    """Return which columns hold what; raises UserError for a data set without a camera or a steering."""
    features = info["features"]
    kinds = {name: each["dtype"] for name, each in features.items() if each["dtype"] in ("image", "video")}
    if not kinds:
        raise UserError(f"{path}: it has no camera, expected a feature of dtype image or video")
    cameras = {camera: name for camera in CAMERAS for name in kinds if name.rpartition(".")[2] == camera}
    if "center" not in cameras:
        cameras = {"center": next(iter(kinds))}
    names = {
        column: _flat_names(each.get("names"))[:_MOST_NAMES] or [column]
        for column, each in features.items()
        if column not in kinds and column not in _OF_LEROBOT and isinstance(each, Mapping)
    }
    numbers: dict[str, tuple[str, int]] = {}
    for column in (STATE, ACTION, RECORDED):  # the last one counts
        numbers |= {name: (column, place) for place, name in enumerate(names.get(column, ())) if name in NUMBERS}
    factors: dict[str, float] = {}
    for name, asked, fits in (
        ("steering", settings.steering_column, is_steering),
        ("throttle", settings.throttle_column, is_throttle),
        ("brake", None, is_brake),
        ("speed_mph", settings.speed_column, is_speed),
    ):
        if asked is None and name in numbers:
            continue
        candidates = {
            each: (column, place)
            for column, of_column in names.items()
            for place, each in enumerate(of_column)
            if (each == asked if asked else fits(plain(each)))
        }
        if name == "speed_mph":
            factors = {each: factor for each in candidates if (factor := speed_factor(each, settings.speed_unit))}
            candidates = {each: where for each, where in candidates.items() if each in factors}
        if len(candidates) == 1:
            ((found, numbers[name]),) = candidates.items()
            factors = {name: factors.get(found, 1.0), **factors}
        elif name == "steering" or asked:
            raise _no_number(
                path, name, list(candidates) or [each for of_column in names.values() for each in of_column]
            )
    column, place = numbers["steering"]
    steering = names[column][place]
    return _Columns(
        images={camera: name for camera, name in cameras.items() if kinds[name] == "image"},
        videos={camera: name for camera, name in cameras.items() if kinds[name] == "video"},
        numbers=numbers,
        factors={name: factors.get(name, 1.0) for name in NUMBERS},
        scale=steering_scale(settings, steering, RATIO),
        fps=info["fps"],
    )


def _no_number(path: Path, name: str, candidates: Sequence[str]) -> UserError:
    listed = ", ".join(repr(each[:40])[1:-1] for each in candidates[:20]) or "no names"
    option = f"--{name.removesuffix('_mph')}-column"
    return UserError(f"{path}: which feature is the {name}? Name it with {option}; there are: {listed}", exit_code=2)


def _flat_names(names: Any) -> list[str]:
    """Return the names of a feature, which older data sets group: {"motors": [...]}."""
    if isinstance(names, Mapping):
        return [str(name) for group in names.values() for name in (group if isinstance(group, list) else [group])]
    return [str(name) for name in names] if isinstance(names, list) else []


def _row(record: Mapping[str, Any], columns: _Columns, videos: Mapping[str, EpisodeVideo], place: str) -> ExchangedRow:
    """Return a row; raises RowError for its values, KeyError for a missing column."""
    values = dict.fromkeys(NUMBERS, 0.0)
    for name, where in columns.numbers.items():
        values[name] = number(name, _value(record, *where)) * columns.factors[name]
    if columns.scale.factor != 1.0:
        values["steering"] = columns.scale.convert(values["steering"])
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
            recording=whole_number("recording", record.get("recording", 0)),
            episode=episode,
            time_ms=whole_number("time_ms", record.get("time_ms", made_up_ms)),
            images=images,
            steering=values["steering"],
            throttle=values["throttle"],
            brake=values["brake"],
            speed_mph=values["speed_mph"],
            driven=DrivenRow(driver, take_over or None) if driver else None,
            point=_point(track, record.get("position")) if track else None,
            place=place,
        )
    except RowError:
        raise
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
