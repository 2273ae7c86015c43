"""The format lerobot: a LeRobot data set of version 2 or 3, with images or videos -> rows.

meta/info.json declares the columns of the Parquet files, and where these and the videos are, with
names in braces. Videos of version 3 join episodes in a file, and meta/episodes says from which
second on an episode lies in it; version 2 has a file for each. Each video is decoded once,
forwards. Source: LeRobot 0.6, datasets/utils.py and video_utils.py.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.exchange.control_columns import Column, Controls, find_controls
from bcclone.exchange.exchange_settings import OF_TABLES, ImportSettings
from bcclone.exchange.foreign_table import by_camera_in, no_column
from bcclone.exchange.formats import (
    MISSING,
    ExchangedRow,
    Format,
    UnusableImage,
    read_inside,
    row_of,
)
from bcclone.exchange.labelled_video import VideoFrame, open_video
from bcclone.exchange.left_out import Findings
from bcclone.recording.row import CAMERAS, RowError
from bcclone.system.codec import (
    explained,
    number,
    one_line,
    open_file,
    parse_json,
    path_inside,
    whole_number,
)
from bcclone.system.errors import UserError

INFO = "meta/info.json"
# columns of every data set
_INDEXES = {"episode_index", "frame_index", "timestamp", "index", "task_index"}
_NAMES = 1000  # of a feature, at most
_REMEDY = "download the data set again; copy a data set of links with cp -rL first"
_PREFERRED = {  # number of a row -> the feature that is taken where several columns fit
    "steering": "action",
    "throttle": "action",
    "brake": "action",
    "speed_mph": "observation.state",
}
_EPISODES_PATH = "meta/episodes/*/*.parquet"
# of LeRobot, where info.json does not say them
_CHUNKS_SIZE, _DATA_PATH = 1000, "data/*/*.parquet"
_VIDEO_PATHS = {
    # version 2
    True: "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    False: "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
}
_PLACE = re.compile(
    r"\{(\w+)(?::0?(\d{1,2})d?)?\}"
)  # a name in a path of info.json, and the digits of its number
_TOLERANCE = 0.6  # of the time between two frames
_ROWS_AT_ONCE = 16  # an image that a file stores once may be that of every row
_UNPACKED, _TIMES_UNPACKED = (
    1 << 24,
    8,
)  # bytes of a column, and how many times those of its file; JPEGs do not shrink


@dataclass(frozen=True)
class _Columns:
    """Which columns hold what. images, videos: camera -> column; others: columns that nothing
    reads.

    data_path, video_path, chunks_size: of info.json.
    """

    images: Mapping[str, str]
    videos: Mapping[str, str]
    controls: Controls
    fps: float
    others: tuple[str, ...]
    data_path: str
    video_path: str
    chunks_size: int


def _read(settings: ImportSettings, findings: Findings) -> Iterator[ExchangedRow]:
    """Yield the frames of a data set; those that cannot be read are counted.

    Raises UserError for a data set of another form, for files outside the folder, for a file that
    cannot be read, and for a steering of a wrong unit. Times are counted from 1970, an hour for
    each episode.
    """
    folder = settings.source
    columns = _columns(settings, findings)
    findings.columns_left_out, controls = columns.others, columns.controls
    data = _PLACE.sub("*", columns.data_path)
    if not _files(folder, data):
        raise UserError(f"{folder}/{data}: there are no Parquet files; download the whole data set")
    if column := controls.columns.get("steering"):
        steering = []
        for _, record in _records(folder, data, [column.feature]):
            with suppress(ValueError):
                steering.append(number("steering", _value_of(record, column)))
        controls.check_steering(steering, folder, settings)
    needed = {"episode_index", "frame_index", *columns.images.values()}
    needed |= {each.feature for each in controls.columns.values()}
    with ExitStack() as stack:
        videos = {
            camera: _EpisodeVideo(folder, key, columns, stack)
            for camera, key in columns.videos.items()
        }
        for place, record in _records(folder, data, needed, {"timestamp"}):
            with findings.usable(place):
                yield _row(record, columns, videos, place)


def _row(
    record: Mapping[str, Any], columns: _Columns, videos: Mapping[str, "_EpisodeVideo"], place: str
) -> ExchangedRow:
    of_controls = columns.controls.columns
    values: dict[str, Any] = {"steering": 0.0}
    values |= columns.controls.converted(
        {name: _value_of(record, column) for name, column in of_controls.items()}
    )
    episode, frame = (whole_number(name, record[name]) for name in ("episode_index", "frame_index"))
    seconds = frame / columns.fps
    values |= {"episode": episode, "time_ms": episode * 3_600_000 + round(1000 * seconds)}
    images: dict[str, Any] = {}
    for camera, name in columns.images.items():
        images[camera] = record[name].get("bytes") if isinstance(record[name], dict) else None
        if not isinstance(images[camera], bytes):
            raise RowError(f"{name} holds no image file")
    seconds = number("timestamp", record.get("timestamp", seconds)) if videos else seconds
    images |= {camera: video.frame_at(episode, seconds) for camera, video in videos.items()}
    return row_of(values, images, place)


def _value_of(record: Mapping[str, Any], column: Column) -> Any:
    value = record[column.feature]
    if not isinstance(value, list):
        return value
    if column.place >= len(value):
        raise RowError(
            f"{column.feature} has {len(value)} values, expected {column.place + 1} or more"
        )
    return value[column.place]


def _files(folder: Path, pattern: str) -> list[Path]:
    """Return the files that a pattern finds, in the order of the numbers in their paths; raises
    UserError.
    """
    with explained(folder / INFO, "the description of a LeRobot data set", _REMEDY):
        names = [str(path.relative_to(folder)) for path in folder.glob(pattern)]
        names.sort(
            key=lambda name: ([int(number) for number in re.findall(r"\d{1,18}", name)], name)
        )
        return [path_inside(folder, name) for name in names]


def _records(
    folder: Path, pattern: str, needed: Collection[str], optional: Collection[str] = ()
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the place of each row of the Parquet files that a pattern finds, and its values in
    these columns.

    Raises UserError for files that cannot be read, lack a needed column, or would fill memory.
    """
    from pyarrow import parquet

    for path in _files(folder, pattern):
        with explained(path, "a file of this data set", _REMEDY), open_file(path, "table") as file:
            unpacked = _UNPACKED + _TIMES_UNPACKED * file.seek(0, 2)
            table = parquet.ParquetFile(file)
            groups = map(table.metadata.row_group, range(table.metadata.num_row_groups))
            columns = [
                group.column(index) for group in groups for index in range(group.num_columns)
            ]
            if large := [one for one in columns if one.total_uncompressed_size > unpacked]:
                raise ValueError(
                    f"column {large[0].path_in_schema} has {large[0].total_uncompressed_size} bytes unpacked"
                )
            names = table.schema_arrow.names
            if missing := sorted(set(needed) - set(names)):
                raise KeyError(missing[0])
            batches = table.iter_batches(
                _ROWS_AT_ONCE, columns=[*needed, *(set(optional) & set(names))]
            )
            rows = (row for batch in batches for row in batch.to_pylist())
            for index, row in enumerate(rows, start=1):
                yield f"{path}: row {index}", row


class _EpisodeVideo:
    """The videos of one camera. key: the camera's feature; columns: of the data set; stack: closes
    the last one.
    """

    def __init__(self, folder: Path, key: str, columns: _Columns, stack: ExitStack) -> None:
        self._folder, self._key, self._columns = folder, key, columns
        self._places: dict[
            int, tuple[str, float]
        ] = {}  # episode -> file, and seconds in it; none in version 2
        names = (
            "episode_index",
            *(f"videos/{key}/{name}" for name in ("chunk_index", "file_index", "from_timestamp")),
        )
        for place, row in (
            _records(folder, _EPISODES_PATH, names) if "{episode" not in columns.video_path else ()
        ):
            with explained(place, "an episode of this data set", _REMEDY):
                episode, chunk, file = (whole_number(name, row[name]) for name in names[:3])
                start = number(names[3], row[names[3]])
            self._places[episode] = self._path(chunk_index=chunk, file_index=file), start
        self._open = stack.enter_context(ExitStack())
        self._file, self._begun = "", set[str]()  # the file that is open, and all that were
        self._frames: Iterator[VideoFrame] = iter(())
        self._now: VideoFrame | None = None
        self._next: VideoFrame | None = None

    def frame_at(self, episode: int, seconds: float) -> VideoFrame:
        """Return the frame at a time of an episode; raises UnusableImage where the video has none.

        A frame before the one that was asked for last is missing, too: no video is decoded twice.
        """
        if "{episode" in self._columns.video_path:
            chunk = episode // self._columns.chunks_size
            file, start = self._path(episode_chunk=chunk, episode_index=episode), 0.0
        elif episode in self._places:
            file, start = self._places[episode]
        else:
            raise UnusableImage(
                MISSING, f"meta/episodes has no episode {episode} with videos of {self._key}"
            )
        if file not in self._begun:
            self._open.close()
            self._begun.add(file)
            self._file = file
            with explained(self._folder / file, "", _REMEDY):
                path = path_inside(self._folder, file)
            self._frames = self._open.enter_context(open_video(path)).frames()
            self._now, self._next = None, next(self._frames, None)
        wanted, frame = start + seconds, None
        if file == self._file:
            while self._next and (
                not self._now or abs(self._next.seconds - wanted) <= abs(self._now.seconds - wanted)
            ):
                self._now, self._next = self._next, next(self._frames, None)
            frame = self._now
        if frame is None or abs(frame.seconds - wanted) > _TOLERANCE / self._columns.fps:
            raise UnusableImage(MISSING, f"{file} has no frame at {wanted:.3f} s")
        return frame

    def _path(self, **numbers: int) -> str:
        """Return the path of a video, given the numbers in it."""
        values = {"video_key": self._key} | {name: str(number) for name, number in numbers.items()}
        with explained(
            self._folder / INFO, "", f"expected {{{', '.join(values)}}} in video_path; {_REMEDY}"
        ):
            return _PLACE.sub(
                lambda place: values[place[1]].zfill(int(place[2] or 0)), self._columns.video_path
            )


def _columns(settings: ImportSettings, findings: Findings) -> _Columns:
    """Return which columns hold what, by meta/info.json; raises UserError for a set without a
    camera or a steering.
    """
    path = settings.source / INFO
    with explained(
        path, "the description of a LeRobot data set", f"expected `features` and `fps`; {_REMEDY}"
    ):
        info = parse_json(read_inside(settings.source, INFO, "json"))
        fps = number("fps", info["fps"], 0.001, 10_000)
        chunks_size = whole_number("chunks_size", info.get("chunks_size", _CHUNKS_SIZE), 1)
        video_path = _VIDEO_PATHS[str(info.get("codebase_version")).startswith("v2")]
        data_path, video_path = (
            one_line(name, info.get(name) or usual)
            for name, usual in (("data_path", _DATA_PATH), ("video_path", video_path))
        )
        features = {
            one: each for one, each in info["features"].items() if isinstance(each["dtype"], str)
        }
    kinds = {
        name: each["dtype"]
        for name, each in features.items()
        if each["dtype"] in ("image", "video")
    }
    if not kinds:
        raise UserError(f"{path}: it has no camera, expected a feature of dtype image or video")
    cameras = {
        camera: name for camera in CAMERAS for name in kinds if name.rpartition(".")[2] == camera
    }
    if "center" not in cameras:
        cameras = (
            {"center": next(iter(kinds))}
            if len(kinds) == 1
            else by_camera_in({name: name for name in kinds})
        )
    if settings.image_column in kinds:
        cameras = {"center": settings.image_column}
    elif settings.image_column or "center" not in cameras:
        reason = (
            f"no camera {settings.image_column[:60]!r}"
            if settings.image_column
            else "several may look forward"
        )
        raise no_column(path, "the camera", "--image-column", list(kinds), reason)
    columns = [
        Column(name, feature, place)
        for feature, each in features.items()
        if feature not in {*kinds, *_INDEXES}
        for place, name in enumerate(_flat_names(each.get("names"))[:_NAMES] or [feature])
    ]
    unread = Controls({}, 1.0, "", "mph")
    controls = (
        unread
        if settings.steering
        else find_controls(path, columns, settings, findings, _PREFERRED)
    )
    read = {
        *cameras.values(),
        *(each.feature for each in controls.columns.values()),
        *_INDEXES,
    }
    images, videos = (
        {camera: name for camera, name in cameras.items() if kinds[name] == kind}
        for kind in ("image", "video")
    )
    others = tuple(name for name in features if name not in read)
    return _Columns(images, videos, controls, fps, others, data_path, video_path, chunks_size)


def _flat_names(names: Any) -> list[str]:
    """Return the names of a feature, which older data sets group: {"motors": [...]}."""
    if isinstance(names, Mapping):
        names = [
            name
            for group in names.values()
            for name in (group if isinstance(group, list) else [group])
        ]
    return list(map(str, names)) if isinstance(names, list) else []


FORMAT = Format(
    "lerobot",
    lambda path: (path / INFO).is_file(),
    _read,
    needs=("pyarrow", "bcclone[lerobot]"),
    options=OF_TABLES | {"image_column"},
    expected=INFO,
)
