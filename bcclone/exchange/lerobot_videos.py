"""The videos of a LeRobot data set -> the frame at a time of an episode.

Version 2 has a video file for each episode. In version 3, a video file holds several episodes, and
meta/episodes says at which second of which file an episode begins. Each file is decoded once,
forwards.
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
# how far a frame may be from the time that was asked for, as a share of the time between frames
_TOLERANCE = 0.6


class EpisodeVideo:
    """The video files of one camera; a context manager, which closes the file that is open."""

    def __init__(self, folder: Path, feature: str, paths: SetPaths, fps: float) -> None:
        self._folder = folder
        self._feature = feature  # the camera
        self._paths = paths
        self._fps = fps
        # episode -> its file, and the second at which it begins there; empty in version 2
        self._places: dict[int, tuple[str, float]] = {}
        if not paths.has_video_of_episode:
            self._places = self._read_places()
        self._open = ExitStack()  # closing it closes the file that is open
        self._file = ""  # the file that is open, "" before the first
        self._begun: set[str] = set()  # all files that were opened; each is opened only once
        self._frames: Iterator[VideoFrame] = iter(())  # frames of the open file behind _next
        self._current: VideoFrame | None = None  # the frame that was found last
        self._next: VideoFrame | None = None  # the frame behind it

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
        """Return the frame at a time of an episode; raises UnusableImage if there is none.

        A frame before the last one that was asked for counts as missing, since no file is decoded
        twice.

        seconds: time since the episode began
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
        """Return episode -> file and second at which it begins, by meta/episodes.

        Raises UserError.
        """
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
        """Return the path of a file of this camera, by the numbers in the path."""
        return self._paths.video_of(self._folder, self._feature, **numbers)

    def _begin(self, file: str) -> None:
        """Open a file, and close the file that is open."""
        self._open.close()
        self._begun.add(file)
        self._file = file
        with explained(self._folder / file, "", REMEDY):
            path = path_inside(self._folder, file)
        self._frames = self._open.enter_context(open_video(path)).frames()
        self._current = None
        self._next = next(self._frames, None)

    def _nearest(self, wanted: float) -> VideoFrame | None:
        """Return the frame of the open file that is nearest to a second; skip those before it."""
        while self._next:
            if self._current:
                missed = abs(self._current.seconds - wanted)
                if abs(self._next.seconds - wanted) > missed:
                    break
            self._current = self._next
            self._next = next(self._frames, None)
        return self._current
