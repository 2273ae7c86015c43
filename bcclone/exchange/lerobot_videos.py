"""The videos of a LeRobot data set -> the frame at a time of an episode.

Version 2 has a file for each episode. Videos of version 3 join episodes in a file, and
meta/episodes says from which second on an episode lies in it. Each video is decoded once, forwards.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from bcclone.exchange.exchanged_row import MISSING, UnusableImage
from bcclone.exchange.lerobot_files import REMEDY, SetPaths, read_records
from bcclone.exchange.video_file import VideoFrame, open_video
from bcclone.system.codec import explained, number, path_inside, whole_number

_EPISODES = "meta/episodes/*/*.parquet"
_TOLERANCE = 0.6  # of the time between two frames, by which a frame may miss its time


class EpisodeVideo:
    """The videos of one camera; a context manager, which closes the last one."""

    def __init__(self, folder: Path, feature: str, paths: SetPaths, fps: float) -> None:
        self._folder = folder
        self._feature = feature  # the camera
        self._paths = paths
        self._fps = fps
        # episode -> file, and seconds in it
        self._places: dict[int, tuple[str, float]] = {}
        if not paths.has_video_of_episode:
            self._places = self._read_places()
        self._open = ExitStack()
        self._file = ""  # that is open
        self._begun: set[str] = set()  # all files that were opened
        self._frames: Iterator[VideoFrame] = iter(())
        self._current: VideoFrame | None = None
        self._next: VideoFrame | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    def frame_at(self, episode: int, seconds: float) -> VideoFrame:
        """Return the frame at a time of an episode; raises UnusableImage where there is none.

        A frame before the one that was asked for last is missing, too: no video is decoded twice.
        """
        file, start = self._place_of(episode)
        wanted = start + seconds
        if file not in self._begun:
            self._begin(file)
        frame = None
        if file == self._file:
            frame = self._nearest(wanted)
        if frame is None or abs(frame.seconds - wanted) > _TOLERANCE / self._fps:
            raise UnusableImage(MISSING, f"{file} has no frame at {wanted:.3f} s")
        return frame

    def _place_of(self, episode: int) -> tuple[str, float]:
        """Return the file that holds an episode, and the second at which it begins."""
        if self._paths.has_video_of_episode:
            chunk = episode // self._paths.chunks_size
            return self._path(episode_chunk=chunk, episode_index=episode), 0.0
        if episode not in self._places:
            raise UnusableImage(
                MISSING, f"meta/episodes has no episode {episode} with videos of {self._feature}"
            )
        return self._places[episode]

    def _read_places(self) -> dict[int, tuple[str, float]]:
        """Return where each episode lies, by meta/episodes; raises UserError."""
        chunk_name = f"videos/{self._feature}/chunk_index"
        file_name = f"videos/{self._feature}/file_index"
        start_name = f"videos/{self._feature}/from_timestamp"
        names = ("episode_index", chunk_name, file_name, start_name)
        places: dict[int, tuple[str, float]] = {}
        for place, row in read_records(self._folder, _EPISODES, names):
            with explained(place, "an episode of this data set", REMEDY):
                episode = whole_number("episode_index", row["episode_index"])
                chunk = whole_number(chunk_name, row[chunk_name])
                file = whole_number(file_name, row[file_name])
                start = number(start_name, row[start_name])
            places[episode] = self._path(chunk_index=chunk, file_index=file), start
        return places

    def _path(self, **numbers: int) -> str:
        return self._paths.video_of(self._folder, self._feature, **numbers)

    def _begin(self, file: str) -> None:
        """Open a file instead of the one that is open."""
        self._open.close()
        self._begun.add(file)
        self._file = file
        with explained(self._folder / file, "", REMEDY):
            path = path_inside(self._folder, file)
        self._frames = self._open.enter_context(open_video(path)).frames()
        self._current = None
        self._next = next(self._frames, None)

    def _nearest(self, wanted: float) -> VideoFrame | None:
        """Return the frame of the open file that is nearest to a second, going forwards."""
        while self._next:
            if self._current:
                missed = abs(self._current.seconds - wanted)
                if abs(self._next.seconds - wanted) > missed:
                    break
            self._current = self._next
            self._next = next(self._frames, None)
        return self._current
