"""Read the files of a LeRobot data set: Parquet files -> records; videos, an episode and seconds -> the frame there.

Version 3 joins episodes in a file, videos/KEY/chunk-000/file-000.mp4, and meta/episodes says from which second on an
episode lies in it; version 2 has a file for each, videos/chunk-000/KEY/episode_000000.mp4. Each video is decoded once,
forwards. Source: LeRobot 0.6, datasets/utils.py and video_utils.py.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bcclone.lab.exchange.rows import ImageMissing
from bcclone.lab.exchange.video_frames import VideoFrame, open_video
from bcclone.system.codec import explained, number, open_file, path_inside, whole_number
from bcclone.system.errors import UserError

_EPISODES = "meta/episodes"
_CHUNK = 1000  # episodes in a folder of version 2
_TOLERANCE = 0.6  # of the time between two frames
_EPISODES_AT_MOST = 1_000_000
_ROWS_AT_ONCE = 16  # an image that a file stores once may be that of every row
_UNPACKED, _TIMES_UNPACKED = 1 << 24, 8  # bytes of a column, and how many times those of its file; JPEGs do not shrink


def records_of(
    path: Path, wanted: Collection[str], images: Collection[str] = (), rows: int | None = None
) -> Iterator[Mapping[str, Any]]:
    """Yield the wanted columns of a Parquet file's rows, some of which may be images.

    rows: how many it may have. Raises ValueError for columns of other types, for ones that would fill memory, and for
    too many rows.
    """
    from pyarrow import parquet

    with open_file(path, "table") as file:
        most = _UNPACKED + _TIMES_UNPACKED * file.seek(0, 2)
        table = parquet.ParquetFile(file)
        if rows is not None and table.metadata.num_rows > rows:
            raise ValueError(f"{table.metadata.num_rows} rows, expected at most {rows}")
        groups = map(table.metadata.row_group, range(table.metadata.num_row_groups))
        for column in (group.column(index) for group in groups for index in range(group.num_columns)):
            if column.total_uncompressed_size > most:
                raise ValueError(f"column {column.path_in_schema} has {column.total_uncompressed_size} bytes unpacked")
        names = [field.name for field in table.schema_arrow if field.name in wanted]
        for name in names:
            _check_type(name, table.schema_arrow.field(name).type, name in images)
        for batch in table.iter_batches(_ROWS_AT_ONCE, columns=names):
            yield from batch.to_pylist()


def _check_type(name: str, type: Any, is_image: bool) -> None:
    from pyarrow import types

    one = type.value_type if types.is_list(type) or types.is_fixed_size_list(type) else type
    if is_image:
        fits = types.is_struct(type) and type.get_field_index("bytes") >= 0
    else:
        fits = types.is_integer(one) or types.is_floating(one) or types.is_string(one) or types.is_null(one)
    if not fits:
        expected = "the bytes of images" if is_image else "numbers or text"
        raise ValueError(f"column {name} has the type {str(type)[:60]}, expected {expected}")


class EpisodeVideo:
    """The videos of one camera; a context manager. key: the camera's feature; fps: frames a second."""

    def __init__(self, folder: Path, key: str, fps: float) -> None:
        self._folder, self._key, self._fps = folder, key, fps
        self._places = _read_places(folder, key)
        self._open = ExitStack()
        self._file: str | None = None
        self._closed: set[str] = set()
        self._frames: Iterator[VideoFrame] = iter(())
        self._now: VideoFrame | None = None
        self._next: VideoFrame | None = None

    def __enter__(self) -> "EpisodeVideo":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def frame_at(self, episode: int, seconds: float) -> VideoFrame:
        """Return the frame at a time of an episode; raises ImageMissing where the video has none.

        A frame before the one that was asked for last is missing, too: no video is decoded twice.
        """
        of_version_2 = f"videos/chunk-{episode // _CHUNK:03d}/{self._key}/episode_{episode:06d}.mp4", 0.0
        file, start = self._places.get(episode, ("", 0.0)) if self._places else of_version_2
        if not file:
            raise ImageMissing(f"{_EPISODES} has no episode {episode} with videos of {self._key}")
        if file != self._file:
            self._begin(file)
        wanted = start + seconds
        while self._next is not None and abs(self._next.seconds - wanted) <= abs(self._seconds() - wanted):
            self._now, self._next = self._next, next(self._frames, None)
        if self._now is None or abs(self._now.seconds - wanted) > _TOLERANCE / self._fps:
            raise ImageMissing(f"{file} has no frame at {wanted:.3f} s")
        return self._now

    def _seconds(self) -> float:
        return self._now.seconds if self._now else float("-inf")

    def _begin(self, file: str) -> None:
        """Open the next file."""
        self._open.close()
        self._now = self._next = None
        self._file = file
        if file in self._closed:
            return  # all of its frames are missing
        self._closed.add(file)
        try:
            path = path_inside(self._folder, file)
        except ValueError as error:
            raise UserError(f"{self._folder / file}: {error}; copy a data set of links with cp -rL first") from None
        self._frames = self._open.enter_context(open_video(path)).frames()
        self._next = next(self._frames, None)


def _read_places(folder: Path, key: str) -> dict[int, tuple[str, float]]:
    """Return the file of each episode and its seconds there, as meta/episodes states them; none in version 2."""
    chunk, file, start = columns = [f"videos/{key}/{name}" for name in ("chunk_index", "file_index", "from_timestamp")]
    places = {}
    for path in sorted((folder / _EPISODES).rglob("*.parquet")):
        with explained(path, "the episodes of a data set", "download the data set again"):
            inside = path_inside(folder, str(path.relative_to(folder)))
            for row in records_of(inside, ["episode_index", *columns], rows=_EPISODES_AT_MOST):
                name = f"chunk-{whole_number(chunk, row[chunk]):03d}/file-{whole_number(file, row[file]):03d}.mp4"
                episode = whole_number("episode_index", row["episode_index"])
                places[episode] = f"videos/{key}/{name}", number(start, row[start])
    return places
