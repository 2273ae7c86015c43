"""The format lerobot: a LeRobot data set of version 2 or 3, with images or videos -> rows.

A feature is a column of the data set: an image, a video, a number or a list of numbers.
meta/info.json declares the features, and where the Parquet files and the videos are, as paths with
names in braces. Version 2 has a video file for each episode. In version 3, a video file holds
several episodes, and meta/episodes says at which second of which file an episode begins. Source:
LeRobot 0.6, datasets/utils.py and video_utils.py.
"""

import re
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import chain, islice
from pathlib import Path
from typing import Any

from bcclone.exchange.cameras import camera_of_name, with_center
from bcclone.exchange.controls import numbers_at, read_controls
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_rows import MISSING, Items, LeftOut, Row, Seen, row_of
from bcclone.exchange.inquiry import Inquiry
from bcclone.exchange.questions import Missing
from bcclone.exchange.source_files import path_in_source, read_inside
from bcclone.exchange.table import SourceTable
from bcclone.exchange.video_file import VideoFrame, open_video
from bcclone.recording.row import CAMERAS, RowError
from bcclone.system.arrays import FloatArray
from bcclone.system.codec import (
    explained,
    number,
    one_line,
    open_file,
    parse_record,
    whole_number,
)
from bcclone.system.errors import UserError, require_package
from bcclone.system.location import is_hidden

INFO = "meta/info.json"
_REMEDY = "download the data set again"
_EPISODES = "meta/episodes/*/*.parquet"
# features that every data set has, none of which is a control
_INDEXES = {"episode_index", "frame_index", "timestamp", "index", "task_index"}
_PREFERRED = {  # name in NUMBERS -> the feature that holds it, where several columns fit
    "steering": "action.",
    "throttle": "action.",
    "brake": "action.",
    "speed_mph": "observation.state.",
}
# time from the first frame of an episode to the first frame of the next one
_EPISODE_MS = 3_600_000
_MOST_NAMES = 1000  # of a feature's numbers that are read; the list is from a stranger


def is_lerobot(path: Path) -> bool:
    return (path / INFO).is_file()


def read_lerobot(settings: ImportSettings, seen: Seen) -> Items:
    """Yield the rows of a data set.

    The first episode begins in 1970, each further one an hour later. Raises UserError for a data
    set of another form, and for files outside the folder.
    """
    require_package("pyarrow", "the format lerobot", "bcclone[lerobot]")
    folder = settings.source
    info, fps, features = _read_info(folder, settings.follow_links)
    pattern = _NAME_IN_PATH.sub("*", info["data_path"])
    follow_links = settings.follow_links
    if not _files_of(folder, pattern, follow_links):
        raise UserError(f"{folder}/{pattern}: there are no Parquet files; {_REMEDY}")
    kinds = {name: feature["dtype"] for name, feature in features.items()}
    pictures = [name for name, kind in kinds.items() if kind in ("image", "video")]
    inquiry = Inquiry(settings)
    inquiry.note("data set", str(folder), cameras=pictures, rate=fps)
    cameras = _find_cameras(folder / INFO, pictures, settings.image_column, inquiry)
    controls: dict[str, FloatArray] = {}  # none for a steering that will be estimated
    read: dict[str, str] = {}
    table = SourceTable(folder, {})
    if not settings.steering:
        table = _read_numbers(folder, pattern, features, follow_links)
        controls, read = read_controls(table, settings, seen, inquiry, _PREFERRED)
    inquiry.check()
    used = (*cameras.values(), *_INDEXES, *read.values())
    seen.columns_left_out = [
        name
        for name in features
        if not any(column == name or column.startswith(f"{name}.") for column in used)
    ]

    images = {camera: name for camera, name in cameras.items() if kinds[name] == "image"}
    needed = ["episode_index", "frame_index", *images.values()]
    with ExitStack() as stack:
        videos = {
            camera: stack.enter_context(
                closing(_EpisodeVideo(folder, name, info, fps, follow_links))
            )
            for camera, name in cameras.items()
            if kinds[name] == "video"
        }
        records = _read_records(folder, pattern, follow_links, needed, ["timestamp"])
        for index, (place, record) in enumerate(records):
            try:
                numbers = {"steering": 0.0, **numbers_at(controls, read, table, index)}
                row = _row_of_record(record, numbers, images, videos, fps, place)
            except ValueError as error:
                yield LeftOut.of(place, error)
                continue
            yield row


def _row_of_record(
    record: Mapping[str, Any],
    numbers: Mapping[str, float | str],
    images: Mapping[str, str],
    videos: Mapping[str, "_EpisodeVideo"],
    fps: float,
    place: str,
) -> Row:
    """Return the row of a record; raises ValueError for one that cannot be used.

    images: camera -> feature that holds its image
    """
    episode = whole_number("episode_index", record["episode_index"])
    seconds = whole_number("frame_index", record["frame_index"]) / fps
    time_ms = episode * _EPISODE_MS + round(1000 * seconds)
    contents: dict[str, Any] = {}
    for camera, feature in images.items():
        image = record[feature]
        content = image.get("bytes") if isinstance(image, dict) else None
        if not isinstance(content, bytes):
            raise RowError(f"{feature} holds no image file")
        contents[camera] = content
    for camera, video in videos.items():
        # the frames of a video are found by the stated time, which may differ from that of the rate
        stated = number("timestamp", record.get("timestamp", seconds))
        contents[camera] = video.frame_at(episode, stated)
    return row_of({**numbers, "episode": episode, "time_ms": time_ms}, contents, place)


# ---- what meta/info.json says


def _read_info(folder: Path, follow_links: bool) -> tuple[dict[str, Any], float, Mapping[str, Any]]:
    """Return the description of a data set, its frames a second, and its features.

    The description has `data_path`, `chunks_size` and, for videos, `video_path`. A feature is its
    name -> its declaration, with a `dtype` and perhaps `names`.
    """
    expected = f"expected `features`, `fps`, `data_path` and `video_path`; {_REMEDY}"
    with explained(folder / INFO, "the description of a LeRobot data set", expected):
        info = parse_record(read_inside(folder, INFO, "json", follow_links))
        fps = number("fps", info["fps"], 0.001, 10_000)
        checked: dict[str, Any] = {
            "chunks_size": whole_number("chunks_size", info.get("chunks_size", 1000), 1),
            "data_path": one_line("data_path", info["data_path"]),
        }
        features = {
            name: declared
            for name, declared in info["features"].items()
            if isinstance(declared["dtype"], str)
        }
        if any(declared["dtype"] == "video" for declared in features.values()):
            checked["video_path"] = one_line("video_path", info["video_path"])
    return checked, fps, features


def _columns_of(feature: str, declared: Mapping[str, Any]) -> list[str]:
    """Return names for a feature's numbers, feature.name; its own where it does not say any.

    Older data sets have groups of names: {"motors": [...]}.
    """
    names = declared.get("names")
    if isinstance(names, Mapping):
        groups = [group if isinstance(group, list) else [group] for group in names.values()]
        names = list(chain.from_iterable(groups))
    names = names[:_MOST_NAMES] if isinstance(names, list) else []
    return [f"{feature}.{name}" for name in names] or [feature]


def _find_cameras(
    path: Path, features: Sequence[str], asked: str | None, inquiry: Inquiry
) -> dict[str, str]:
    """Return camera -> feature; ask for the one that looks forward where that is not clear.

    Raises UserError where there is none.
    """
    if not features:
        raise UserError(f"{path}: it has no camera, expected a feature of dtype image or video")
    if asked in features:
        return {"center": str(asked)}
    by_name = with_center({camera_of_name(name.rpartition(".")[2]): name for name in features})
    if len(features) == 1:
        by_name["center"] = features[0]
    if "center" not in by_name or asked:
        inquiry.ask([Missing("camera", "image_column", "CAMERA", {"cameras": features})])
    return {camera: by_name[camera] for camera in CAMERAS if camera in by_name}


# ---- Parquet files

# a name in braces in a path of info.json, and how many digits it stands for: {episode_index:06d}
_NAME_IN_PATH = re.compile(r"\{(\w+)(?::0?(\d{1,2})d?)?\}")
# few rows are read at once: a file may store one large image once, and use it in every row
_ROWS_AT_ONCE = 16


def _read_numbers(
    folder: Path, pattern: str, features: Mapping[str, Any], follow_links: bool
) -> SourceTable:
    """Return the numbers of a data set as a table."""
    columns_of = {
        feature: _columns_of(feature, declared)
        for feature, declared in features.items()
        if declared["dtype"].startswith(("float", "int")) and feature not in _INDEXES
    }
    columns: dict[str, list[Any]] = {
        column: [] for column in chain.from_iterable(columns_of.values())
    }
    for _, record in _read_records(folder, pattern, follow_links, [], list(columns_of)):
        for feature, names in columns_of.items():
            value = record.get(feature)
            values = value if isinstance(value, list) else [value]
            for place, column in enumerate(names):
                columns[column].append(values[place] if place < len(values) else None)
    return SourceTable(folder / INFO, columns)


def _files_of(folder: Path, pattern: str, follow_links: bool) -> list[Path]:
    """Return the files that a pattern finds, in the order of the numbers in their paths."""

    def by_numbers(name: str) -> tuple[list[int], str]:
        return [int(digits) for digits in re.findall(r"\d{1,18}", name)], name

    with explained(folder / INFO, "the description of a LeRobot data set", _REMEDY):
        paths = [path for path in folder.glob(pattern) if not is_hidden(path.name)]
        names = [str(path.relative_to(folder)) for path in paths]
        return [
            path_in_source(folder, name, follow_links) for name in sorted(names, key=by_numbers)
        ]


def _read_records(
    folder: Path,
    pattern: str,
    follow_links: bool,
    needed: Collection[str],
    optional: Collection[str] = (),
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the file and number of each row, for messages, and its values, by column.

    Raises UserError for files that cannot be read, lack a needed column, or would fill memory.
    """
    from pyarrow import parquet

    for path in _files_of(folder, pattern, follow_links):
        with explained(path, "a file of this data set", _REMEDY), open_file(path, "table") as file:
            size = file.seek(0, 2)
            table = parquet.ParquetFile(file)
            _check_unpacked(table.metadata, size)
            names = set(table.schema_arrow.names)
            missing = sorted(set(needed) - names)
            if missing:
                raise KeyError(missing[0])
            columns = [*needed, *(set(optional) & names)]
            batches = table.iter_batches(_ROWS_AT_ONCE, columns=columns)
            rows = chain.from_iterable(batch.to_pylist() for batch in batches)
            for index, row in enumerate(rows, start=1):
                yield f"{path}: row {index}", row


def _check_unpacked(metadata: Any, size: int) -> None:
    """Raise ValueError for a column that unpacks to much more than its file, of `size` bytes."""
    # bytes; a file of images hardly grows, since JPEGs are compressed already
    most = (1 << 24) + 8 * size
    for group_number in range(metadata.num_row_groups):
        group = metadata.row_group(group_number)
        for place in range(group.num_columns):
            column = group.column(place)
            if column.total_uncompressed_size > most:
                raise ValueError(
                    f"column {column.path_in_schema} has {column.total_uncompressed_size} bytes "
                    "unpacked"
                )


# ---- videos

# how far a frame may be from the time that was asked for, as a share of the time between frames
_TOLERANCE = 0.6


class _EpisodeVideo:
    """The video files of one camera, each decoded once, forwards."""

    def __init__(
        self, folder: Path, feature: str, info: Mapping[str, Any], fps: float, follow_links: bool
    ) -> None:
        self._folder = folder
        self._follow_links = follow_links
        self._feature = feature  # the camera
        self._info = info
        self._fps = fps
        self._has_episode_files = "{episode" in info["video_path"]
        # episode -> its file, and the second at which it begins there; empty in version 2
        self._places: dict[int, tuple[str, float]] = {}
        if not self._has_episode_files:
            self._places = self._read_places()
        self._open = ExitStack()  # closing it closes the file that is open
        self._begun = [""]  # all files that were opened; each is opened only once, the last one now
        self._frames: Iterator[VideoFrame] = iter(())  # frames of that file behind _next
        self._next: deque[VideoFrame] = deque()  # the frame that was found last, and that behind it

    def close(self) -> None:
        self._open.close()

    def frame_at(self, episode: int, seconds: float) -> VideoFrame:
        """Return the frame at a second of an episode; raises LeftOut if there is none.

        A frame before the last one that was asked for counts as missing.
        """
        file, start = self._place_of(episode)
        wanted = start + seconds

        def missed(frame: VideoFrame) -> float:
            return abs(frame.seconds - wanted)

        if file not in self._begun:
            self._begin(file)
        if file == self._begun[-1]:
            while len(self._next) > 1 and missed(self._next[1]) <= missed(self._next[0]):
                self._next.popleft()
                self._next.extend(islice(self._frames, 1))
            if self._next and missed(self._next[0]) <= _TOLERANCE / self._fps:
                return self._next[0]
        raise LeftOut(f"{file} has no frame at {wanted:.3f} s", MISSING)

    def _place_of(self, episode: int) -> tuple[str, float]:
        """Return the file that holds an episode, and the second at which it begins."""
        if self._has_episode_files:
            chunk = episode // self._info["chunks_size"]
            return self._path(episode_chunk=chunk, episode_index=episode), 0.0
        if episode not in self._places:
            reason = f"meta/episodes has no episode {episode} with videos of {self._feature}"
            raise LeftOut(reason, MISSING)
        return self._places[episode]

    def _read_places(self) -> dict[int, tuple[str, float]]:
        """Return episode -> file and second at which it begins, by meta/episodes."""
        chunk_name = f"videos/{self._feature}/chunk_index"
        file_name = f"videos/{self._feature}/file_index"
        start_name = f"videos/{self._feature}/from_timestamp"
        names = ("episode_index", chunk_name, file_name, start_name)
        places: dict[int, tuple[str, float]] = {}
        for place, row in _read_records(self._folder, _EPISODES, self._follow_links, names):
            with explained(place, "an episode of this data set", _REMEDY):
                episode = whole_number("episode_index", row["episode_index"])
                chunk = whole_number(chunk_name, row[chunk_name])
                file = whole_number(file_name, row[file_name])
                start = number(start_name, row[start_name])
            places[episode] = self._path(chunk_index=chunk, file_index=file), start
        return places

    def _path(self, **numbers: int) -> str:
        """Return the path of a file of this camera, with numbers for the names in braces."""
        values = {"video_key": self._feature} | {
            name: str(count) for name, count in numbers.items()
        }
        expected = f"expected {{{', '.join(values)}}} in video_path; {_REMEDY}"
        with explained(self._folder / INFO, "", expected):
            return _NAME_IN_PATH.sub(
                lambda place: values[place[1]].zfill(int(place[2] or 0)), self._info["video_path"]
            )

    def _begin(self, file: str) -> None:
        """Open a file, and close the file that is open."""
        self._open.close()
        self._begun.append(file)
        with explained(self._folder / file, "", _REMEDY):
            path = path_in_source(self._folder, file, self._follow_links)
        self._frames = self._open.enter_context(open_video(path)).frames()
        self._next = deque(islice(self._frames, 2))
