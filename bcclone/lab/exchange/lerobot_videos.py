"""Find the frames of a LeRobot data set's videos: episode and seconds -> frame; each video is decoded once, forwards.

Version 3 joins episodes in a file, videos/KEY/chunk-000/file-000.mp4, and meta/episodes says from which second on an
episode lies in it; version 2 has a file for each, videos/chunk-000/KEY/episode_000000.mp4. Source: LeRobot 0.6,
datasets/utils.py and video_utils.py.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bcclone.lab.exchange.lerobot import load_pyarrow
from bcclone.lab.exchange.rows import ImageMissing, number, whole_number
from bcclone.lab.exchange.video_frames import VideoFrame, open_video
from bcclone.system.errors import UserError, first_line
from bcclone.system.reading import MOST_TABLE, open_limited, path_inside

_EPISODES = "meta/episodes"
_CHUNK = 1000  # episodes in a folder of version 2
_TOLERANCE = 0.6  # of the time between two frames
_MOST_EPISODES = 1_000_000


@dataclass(frozen=True)
class _Place:
    """Where an episode lies. file: path in the data set; start: its seconds there."""

    file: str
    start: float


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
        place = self._places.get(episode) if self._places else _of_version_2(self._key, episode)
        if place is None:
            raise ImageMissing(f"{_EPISODES} has no episode {episode} with videos of {self._key}")
        if place.file != self._file:
            self._begin(place.file)
        wanted = place.start + seconds
        while self._next is not None and abs(self._next.seconds - wanted) <= abs(self._seconds() - wanted):
            self._now, self._next = self._next, next(self._frames, None)
        if self._now is None or abs(self._now.seconds - wanted) > _TOLERANCE / self._fps:
            raise ImageMissing(f"{place.file} has no frame at {wanted:.3f} s")
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


def _of_version_2(key: str, episode: int) -> _Place:
    return _Place(f"videos/chunk-{episode // _CHUNK:03d}/{key}/episode_{episode:06d}.mp4", 0.0)


def _read_places(folder: Path, key: str) -> dict[int, _Place]:
    """Return the place of each episode as meta/episodes states them; none in version 2. Raises UserError."""
    pyarrow, _ = load_pyarrow()
    places: dict[int, _Place] = {}
    for path in sorted((folder / _EPISODES).rglob("*.parquet")):
        try:
            places |= _places_in(path_inside(folder, str(path.relative_to(folder))), key)
        except (OSError, KeyError, ValueError, pyarrow.ArrowException) as error:
            reason = f"no column {error}" if isinstance(error, KeyError) else first_line(error)
            raise UserError(f"{path}: cannot be read: {reason}; download the data set again") from None
    return places


def _places_in(path: Path, key: str) -> dict[int, _Place]:
    """Return the place of each episode in a file of meta/episodes; raises ValueError, KeyError, pyarrow's errors."""
    _, parquet = load_pyarrow()
    columns = [f"videos/{key}/{name}" for name in ("chunk_index", "file_index", "from_timestamp")]
    with open_limited(path, MOST_TABLE) as file:
        table = parquet.ParquetFile(file)
        if table.metadata.num_rows > _MOST_EPISODES:
            raise ValueError(f"{table.metadata.num_rows} episodes, expected at most {_MOST_EPISODES}")
        rows = table.read(["episode_index", *columns]).to_pylist()
    places = {}
    for row in rows:
        chunk, index = (whole_number(name, row[name]) for name in columns[:2])
        file_name = f"videos/{key}/chunk-{chunk:03d}/file-{index:03d}.mp4"
        places[whole_number("episode_index", row["episode_index"])] = _Place(
            file_name, number(columns[2], row[columns[2]])
        )
    return places
