"""The format lerobot: a LeRobot data set; versions 2 and 3 are read, with images or videos, and 3 is written.

Read by meta/info.json and the Parquet files, with pyarrow.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bcclone.lab.exchange.driven_columns import Column, Driving, find_driving
from bcclone.lab.exchange.exchange_settings import OF_TABLES, ImportSettings
from bcclone.lab.exchange.findings import Findings
from bcclone.lab.exchange.foreign_units import check_scale
from bcclone.lab.exchange.lerobot_videos import EpisodeVideo, records_of
from bcclone.lab.exchange.lerobot_writer import ACTION, INFO, RECORDED, STATE, write
from bcclone.lab.exchange.rows import POINT, ExchangedRow, Format, read_inside, row_of
from bcclone.recording.row import CAMERAS, RowError
from bcclone.system.codec import explained, number, parse_json, path_inside, whole_number
from bcclone.system.errors import UserError, first_line

_OURS = (
    "episode_index",
    "frame_index",
    "recording",
    "time_ms",
    "driver",
    "take_over",
    "track",
    "position",
    "timestamp",
)
_OF_LEROBOT = {"index", "task_index", *_OURS}
_NAMES = 1000  # of a feature, at most
_LINKS = "copy a data set of links with cp -rL first"
_PREFERRED = {  # where several columns fit; ours have the log's values to the last bit
    "steering": (RECORDED, ACTION), "throttle": (RECORDED, ACTION), "brake": (RECORDED, ACTION),
    "speed_mph": (RECORDED, STATE),
}  # fmt: skip
Read = TypeVar("Read")


@dataclass(frozen=True)
class _Columns:
    """Which columns hold what. images, videos: camera -> column; others: columns that nothing reads."""

    images: Mapping[str, str]
    videos: Mapping[str, str]
    driving: Driving
    fps: float
    others: tuple[str, ...]


def _numbers_of(record: Mapping[str, Any], columns: Mapping[str, Column]) -> dict[str, Any]:
    """Return the values of columns in a record; raises KeyError for a missing column, RowError for a place."""
    values = {}
    for name, column in columns.items():
        value = record[column.feature]
        if isinstance(value, list):
            if column.place >= len(value):
                raise RowError(f"{column.feature} has {len(value)} values, expected {column.place + 1} or more")
            value = value[column.place]
        values[name] = value
    return values


def _read(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield the frames of a data set; those that cannot be read are counted.

    Raises UserError for a data set of another form, for files outside the folder, for a file that cannot be read, and
    for a steering of a wrong unit. Without `time_ms`, times are counted from 1970, an hour for each episode.
    """
    folder = settings.source
    columns = _columns(folder / INFO, _read_info(folder), settings, findings)
    findings.columns_left_out = columns.others
    paths = sorted((folder / "data").rglob("*.parquet"))
    if not paths:
        raise UserError(f"{folder}/data: there are no Parquet files; download the whole data set")
    steering = list(_of_files(folder, paths, lambda path, _: _steering_of(path, columns.driving.columns["steering"])))
    check_scale(columns.driving.scale, steering, str(folder), settings)
    with ExitStack() as stack:
        videos = {
            camera: stack.enter_context(EpisodeVideo(folder, key, columns.fps))
            for camera, key in columns.videos.items()
        }
        yield from _of_files(folder, paths, lambda path, name: _rows_of(path, name, columns, videos, findings))


def _of_files(folder: Path, paths: Iterable[Path], read: Callable[[Path, str], Iterator[Read]]) -> Iterator[Read]:
    """Yield what is read from each file by its path and name; raises UserError for one that cannot be read."""
    for path in paths:
        with explained(path, "a file of this data set", f"download the data set again; {_LINKS}"):
            yield from read(path_inside(folder, str(path.relative_to(folder))), str(path))


def _steering_of(path: Path, column: Column) -> Iterator[float]:
    """Yield the steering of a file's rows that have one."""
    for record in records_of(path, {column.feature}):
        with suppress(ValueError):
            yield number("steering", _numbers_of(record, {"steering": column})["steering"])


def _rows_of(
    path: Path, name: str, columns: _Columns, videos: Mapping[str, EpisodeVideo], findings: Findings
) -> Iterator[ExchangedRow]:
    images = set(columns.images.values())
    wanted = {*images, *_OURS, *(each.feature for each in columns.driving.columns.values())}
    for index, record in enumerate(records_of(path, wanted, images), start=1):
        place = f"{name}: row {index}"
        try:
            yield _row(record, columns, videos, place)
        except ValueError as error:
            findings.leave_out(place, error)


def _row(record: Mapping[str, Any], columns: _Columns, videos: Mapping[str, EpisodeVideo], place: str) -> ExchangedRow:
    """Return a row; raises ValueError for its values, KeyError for a missing column."""
    values = columns.driving.converted(_numbers_of(record, columns.driving.columns))
    episode, frame = (whole_number(name, record[name]) for name in ("episode_index", "frame_index"))
    seconds = frame / columns.fps
    values |= {"episode": episode, "time_ms": episode * 3_600_000 + round(1000 * seconds)}
    values |= {
        name: record[name] for name in ("recording", "time_ms", "driver", "take_over", "track") if name in record
    }
    if values.get("track"):
        position = record.get("position")
        if not isinstance(position, list) or len(position) != len(POINT):
            raise RowError(f"its position is {str(position)[:40]!r}, expected four numbers")
        values |= zip(POINT, position, strict=True)
    images: dict[str, Any] = {camera: _image(name, record[name]) for camera, name in columns.images.items()}
    if videos:
        seconds = number("timestamp", record.get("timestamp", seconds))
        images |= {camera: video.frame_at(episode, seconds) for camera, video in videos.items()}
    return row_of(values, images, place)


def _image(name: str, value: Any) -> bytes:
    content = value["bytes"] if isinstance(value, dict) else None
    if not isinstance(content, bytes):
        raise RowError(f"{name} holds no image file")
    return content


def _read_info(folder: Path) -> Mapping[str, Any]:
    """Return the description of a data set, with `features` and `fps`; raises UserError for any other file."""
    path, expected = folder / INFO, "expected `features` and `fps`"
    try:
        info = parse_json(read_inside(folder, INFO, "json"))
        fps = number("fps", info["fps"], 0.001, 10_000)
        features = {one: each for one, each in info["features"].items() if isinstance(each["dtype"], str)}
    except OSError as error:
        remedy = f"name the folder of a LeRobot data set; {_LINKS}"
        raise UserError(f"{path}: cannot be read: {error.strerror}; {remedy}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{expected} ({first_line(error)})"
        raise UserError(f"{path}: not the description of a LeRobot data set, {reason}") from None
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
    of_numbers = {name: each for name, each in features.items() if name not in kinds and name not in _OF_LEROBOT}
    columns = [
        Column(name, feature, place)
        for feature, each in of_numbers.items()
        for place, name in enumerate(_flat_names(each.get("names"))[:_NAMES] or [feature])
    ]
    driving = find_driving(path, columns, settings, findings, _PREFERRED)
    read = {*cameras.values(), *(each.feature for each in driving.columns.values()), *_OF_LEROBOT}
    return _Columns(
        images={camera: name for camera, name in cameras.items() if kinds[name] == "image"},
        videos={camera: name for camera, name in cameras.items() if kinds[name] == "video"},
        driving=driving,
        fps=info["fps"],
        others=tuple(name for name in features if name not in read),
    )


def _flat_names(names: Any) -> list[str]:
    """Return the names of a feature, which older data sets group: {"motors": [...]}."""
    if isinstance(names, Mapping):
        return [str(name) for group in names.values() for name in (group if isinstance(group, list) else [group])]
    return [str(name) for name in names] if isinstance(names, list) else []


FORMAT = Format(
    "lerobot",
    lambda path: (path / INFO).is_file(),
    _read,
    write,
    needs=("pyarrow", "bcclone[export]"),
    options=OF_TABLES,
    expected=INFO,
)
