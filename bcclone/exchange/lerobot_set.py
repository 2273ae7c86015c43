"""The format lerobot: a LeRobot data set of version 2 or 3, with images or videos -> rows.

A feature is a column of the data set: an image, a video, a number or a list of numbers.
meta/info.json declares the features, and where the Parquet files and the videos are, as paths with
names in braces. Source: LeRobot 0.6, datasets/utils.py and video_utils.py.
"""

from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.exchange.control_columns import Column, Controls, find_controls
from bcclone.exchange.exchange_settings import OF_TABLES, ImportSettings
from bcclone.exchange.exchanged_row import (
    ExchangedRow,
    LeftOut,
    SourceFacts,
    SourceItem,
    row_of,
)
from bcclone.exchange.foreign_table import no_column
from bcclone.exchange.formats import Format
from bcclone.exchange.lerobot_files import INFO, REMEDY, SetPaths, files_of, read_records
from bcclone.exchange.lerobot_videos import EpisodeVideo
from bcclone.exchange.source_files import read_inside
from bcclone.exchange.table_words import by_camera_in
from bcclone.recording.row import CAMERAS, RowError
from bcclone.system.codec import explained, number, parse_record, whole_number
from bcclone.system.errors import UserError

# features that every data set has, none of which is a control
_INDEXES = {"episode_index", "frame_index", "timestamp", "index", "task_index"}
_PREFERRED = {  # name in NUMBERS -> the feature that holds it, where several columns fit
    "steering": "action",
    "throttle": "action",
    "brake": "action",
    "speed_mph": "observation.state",
}
# time from the first frame of an episode to the first frame of the next one
_EPISODE_MS = 3_600_000


def _read(settings: ImportSettings) -> Generator[SourceItem, None, None]:
    """Yield the rows of a data set.

    The first episode begins in 1970, each further one an hour later. Raises UserError for a data
    set of another form, for files outside the folder, for a file that cannot be read, and for a
    steering of a wrong unit.
    """
    folder = settings.source
    description = _read_description(folder)
    columns = _find_columns(description, settings)
    pattern = description.paths.pattern
    if not files_of(folder, pattern):
        raise UserError(
            f"{folder}/{pattern}: there are no Parquet files; download the whole data set"
        )
    _check_steering(folder, pattern, columns.controls, settings)
    needed = {"episode_index", "frame_index", *columns.images.values()}
    needed |= {column.feature for column in columns.controls.columns.values()}
    with ExitStack() as stack:
        videos = {
            camera: stack.enter_context(
                EpisodeVideo(folder, feature, description.paths, description.fps)
            )
            for camera, feature in columns.videos.items()
        }
        for place, record in read_records(folder, pattern, needed, {"timestamp"}):
            try:
                row = _row(record, columns, description.fps, videos, place)
            except ValueError as error:
                yield LeftOut.of(place, error)
                continue
            yield row
    yield SourceFacts(notes=columns.controls.notes, columns_left_out=columns.others)


def _check_steering(
    folder: Path, pattern: str, controls: Controls, settings: ImportSettings
) -> None:
    """Raise UserError for a steering of a wrong unit."""
    column = controls.columns.get("steering")
    if column is None:
        return
    steering = []
    for _, record in read_records(folder, pattern, [column.feature]):
        with suppress(ValueError):
            steering.append(number("steering", _value_of(record, column)))
    controls.check_steering(steering, folder, settings)


def _row(
    record: Mapping[str, Any],
    columns: "_Columns",
    fps: float,
    videos: Mapping[str, EpisodeVideo],
    place: str,
) -> ExchangedRow:
    """Return the row of a record; raises ValueError for one that cannot be used.

    place: file and number of the record, for messages
    """
    controls = columns.controls
    stated = {name: _value_of(record, column) for name, column in controls.columns.items()}
    # there is no column for a steering that will be estimated
    values: dict[str, Any] = {"steering": 0.0, **controls.converted(stated)}
    episode = whole_number("episode_index", record["episode_index"])
    frame = whole_number("frame_index", record["frame_index"])
    seconds = frame / fps
    values["episode"] = episode
    values["time_ms"] = episode * _EPISODE_MS + round(1000 * seconds)
    images: dict[str, Any] = {}
    for camera, feature in columns.images.items():
        image = record[feature]
        content = image.get("bytes") if isinstance(image, dict) else None
        if not isinstance(content, bytes):
            raise RowError(f"{feature} holds no image file")
        images[camera] = content
    if videos:
        # the frames of a video are found by the stated time, which may differ from that of the rate
        seconds = number("timestamp", record.get("timestamp", seconds))
        images |= {camera: video.frame_at(episode, seconds) for camera, video in videos.items()}
    return row_of(values, images, place)


def _value_of(record: Mapping[str, Any], column: Column) -> Any:
    """Return the value of a column in a record; raises RowError if its list is too short."""
    value = record[column.feature]
    if not isinstance(value, list):
        return value
    if column.place >= len(value):
        raise RowError(
            f"{column.feature} has {len(value)} values, expected {column.place + 1} or more"
        )
    return value[column.place]


# ---- the description


@dataclass(frozen=True)
class _Description:
    """What meta/info.json says of a data set."""

    path: Path  # path of info.json
    fps: float  # frames a second
    # name of a feature -> its declaration, which has a `dtype`, and perhaps `names`
    features: Mapping[str, Mapping[str, Any]]
    paths: SetPaths

    @property
    def cameras(self) -> dict[str, str]:
        """Return feature -> "image" or "video", for the features with pictures."""
        kinds = {name: feature["dtype"] for name, feature in self.features.items()}
        return {name: kind for name, kind in kinds.items() if kind in ("image", "video")}


def _read_description(folder: Path) -> _Description:
    """Return the description of a data set; raises UserError for one of another form."""
    path = folder / INFO
    expected = f"expected `features` and `fps`; {REMEDY}"
    with explained(path, "the description of a LeRobot data set", expected):
        info = parse_record(read_inside(folder, INFO, "json"))
        fps = number("fps", info["fps"], 0.001, 10_000)
        paths = SetPaths.of(info)
        features = {
            name: declared
            for name, declared in info["features"].items()
            if isinstance(declared["dtype"], str)
        }
    return _Description(path, fps, features, paths)


# ---- the columns


@dataclass(frozen=True)
class _Columns:
    """The columns from which the rows are read."""

    images: Mapping[str, str]  # camera -> feature that holds its images
    videos: Mapping[str, str]  # camera -> feature that is its video
    controls: Controls
    others: tuple[str, ...]  # features that nothing reads


def _find_columns(description: _Description, settings: ImportSettings) -> _Columns:
    """Return the columns to read; raises UserError for a set without a camera or a steering."""
    kinds = description.cameras  # feature -> "image" or "video"
    cameras = _find_cameras(description.path, kinds, settings.image_column)
    # no controls, for a steering that will be estimated
    controls = Controls(columns={}, factor=1.0, words="", speed_unit="mph")
    if not settings.steering:
        columns = [
            Column(name, feature, place)
            for feature, declared in description.features.items()
            if feature not in kinds and feature not in _INDEXES
            for place, name in enumerate(_names_of(feature, declared))
        ]
        controls = find_controls(description.path, columns, settings, _PREFERRED)
    read = {*cameras.values(), *_INDEXES}
    read.update(column.feature for column in controls.columns.values())
    return _Columns(
        images={camera: name for camera, name in cameras.items() if kinds[name] == "image"},
        videos={camera: name for camera, name in cameras.items() if kinds[name] == "video"},
        controls=controls,
        others=tuple(feature for feature in description.features if feature not in read),
    )


def _find_cameras(path: Path, features: Collection[str], asked: str | None) -> dict[str, str]:
    """Return camera -> feature; raises UserError where it is not clear which one looks forward.

    features: the features with pictures
    asked: the feature that --image-column names, None if it is not given
    """
    if not features:
        raise UserError(f"{path}: it has no camera, expected a feature of dtype image or video")
    if asked and asked in features:
        return {"center": asked}
    if asked:
        reason = f"no camera {asked[:60]!r}"
        raise no_column(path, "the camera", "--image-column", list(features), reason)
    cameras = {
        camera: name for camera in CAMERAS for name in features if name.rpartition(".")[2] == camera
    }
    if "center" not in cameras and len(features) == 1:
        cameras = {"center": next(iter(features))}
    elif "center" not in cameras:
        cameras = by_camera_in({name: name for name in features})
    if "center" not in cameras:
        reason = "several may look forward"
        raise no_column(path, "the camera", "--image-column", list(features), reason)
    return cameras


def _names_of(feature: str, declared: Mapping[str, Any]) -> Sequence[str]:
    """Return the names of a feature's numbers; the feature's own name if they have none.

    declared: declaration of the feature; older data sets have groups of names: {"motors": [...]}
    """
    names = declared.get("names")
    if isinstance(names, Mapping):
        grouped: list[Any] = []
        for group in names.values():
            if isinstance(group, list):
                grouped += group
            else:
                grouped.append(group)
        names = grouped
    if not isinstance(names, list) or not names:
        return [feature]
    most = 1000  # names that are read; the list is from a stranger
    return [str(name) for name in names[:most]]


FORMAT = Format(
    "lerobot",
    lambda path: (path / INFO).is_file(),
    _read,
    needs=("pyarrow", "bcclone[lerobot]"),
    options=OF_TABLES | {"image_column"},
    expected=INFO,
)
