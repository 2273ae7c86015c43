"""Draw a drive while it is driven: every second answered frame -> clips with the overlay, MP4s.

A process of its own draws all clips in one pass over the frames, beside the drive. If drawing is
slower than driving, the drive waits, so that no frames gather in memory.
"""

import math
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

from bcclone.camera.images import Image, decode_jpeg
from bcclone.evaluation.watched_world import DrivenFrame, Watch
from bcclone.pictures.clip import new_clip
from bcclone.pictures.encoder import H264_BESIDE, ClipWriter
from bcclone.pictures.overlay import Overlay, make_overlay
from bcclone.pictures.run_data import FrameInfo, RunData
from bcclone.simulator.world import FRAME_SECONDS
from bcclone.system.errors import UserError
from bcclone.system.pool import process_pool


@dataclass(frozen=True)
class DriveClip:
    """A clip of a drive: where it is written, and what it shows."""

    path: Path  # ends in .mp4
    width: int  # of a picture, in pixels
    seconds: float = math.inf  # simulated time that it shows, from the beginning


@contextmanager
def drawn_clips(name: str, clips: Sequence[DriveClip]) -> Iterator[Watch]:
    """Yield a function that takes each frame of a drive; the clips are complete after the block.

    If the block fails, no clip is written. Raises UserError when ffmpeg fails.

    name: the title on the pictures
    """
    with ExitStack() as opened:
        # a clip is drawn into a folder beside its place: when the drive fails, ffmpeg may still
        # write its file for a moment, which goes with the folder
        unfinished = [
            replace(clip, path=opened.enter_context(_folder_beside(clip.path)) / clip.path.name)
            for clip in clips
        ]
        with _drawing_process(name, unfinished) as watch:
            yield watch
        for clip, drawn in zip(clips, unfinished, strict=True):
            _put_in_place(drawn.path, clip.path)


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    with TemporaryDirectory(
        prefix=f".{path.name}.", dir=path.parent, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def _put_in_place(drawn: Path, path: Path) -> None:
    if drawn.exists():  # not after a drive without a frame
        with new_clip(path) as temporary:
            drawn.replace(temporary)


# Every second frame is drawn, 12.5 pictures for each second: as smooth as recordings of the Unity
# program, and the drawing keeps up with the drive, which it otherwise holds back.
_FRAMES_PER_PICTURE = 2
_PICTURES_PER_SECOND = 1 / (_FRAMES_PER_PICTURE * FRAME_SECONDS)


@contextmanager
def _drawing_process(name: str, clips: Sequence[DriveClip]) -> Iterator[Watch]:
    """Yield a function that takes each frame and sends those to draw to a process of their own.

    The process ends with the block.
    """
    receiver, sender = multiprocessing.get_context("spawn").Pipe(duplex=False)
    with sender, process_pool(1, _begin_process, (receiver,)) as pool:
        receiver.close()  # the process has its own
        drawing = pool.submit(_draw, name, clips)

        def send(frame: DrivenFrame | None) -> None:
            try:
                sender.send(frame)
            except OSError:  # the process reads no more: the next line raises why
                drawing.result()
                raise

        numbers = count()

        def watch(frame: DrivenFrame) -> None:
            if next(numbers) % _FRAMES_PER_PICTURE == 0:
                send(frame)

        try:
            yield watch
            send(None)  # the end of the drive
            drawing.result()
        except BrokenExecutor:
            raise UserError(
                "the process that draws the clip ended unexpectedly; see whether memory ran out"
            ) from None


# ---- in the process that draws

_NICENESS = 19  # as the command nice adds it: the most
_frames: list[Connection] = []  # where this process receives the frames from


def _begin_process(receiver: Connection) -> None:
    """Begin this process, which gives way to the drive, whose latency is measured."""
    _frames.append(receiver)
    if hasattr(os, "nice"):  # not on Windows
        os.nice(_NICENESS)


def _draw(name: str, clips: Sequence[DriveClip]) -> None:
    """Draw the frames that come, up to a None, into all clips."""
    with ExitStack() as opened:
        frames = opened.enter_context(_frames.pop())
        drawings = []
        for clip in clips:
            clip_writer = ClipWriter(clip.path, _PICTURES_PER_SECOND, H264_BESIDE)
            writer = opened.enter_context(clip_writer)
            drawings.append(_Drawing(name, clip, writer))
        for index, driven in enumerate(iter(frames.recv, None)):
            frame = decode_jpeg(driven.jpeg)
            info = _info_of(driven, index)
            for drawing in drawings:
                drawing.add(frame, info, driven.point.track)


def _info_of(driven: DrivenFrame, index: int) -> FrameInfo:
    """Return what the overlay shows of a frame. index: number of its picture in the clip."""
    point = driven.point
    return FrameInfo(
        seconds=index / _PICTURES_PER_SECOND,
        index=index,
        steering=driven.steering,
        speed_mph=driven.speed_mph,
        latency_ms=driven.latency_ms,
        cross_track_m=point.cross_track_m,
        place=(point.x_m, point.z_m),
    )


class _Drawing:
    """A clip while it is drawn."""

    def __init__(self, name: str, clip: DriveClip, writer: ClipWriter) -> None:
        self._name = name
        self._clip = clip
        self._writer = writer
        self._overlay: Overlay | None = None  # from the first frame on, which says what is known

    def add(self, frame: Image, info: FrameInfo, track: str) -> None:
        """Draw the next frame of the drive, RGB uint8 (height, width, 3), up to the clip's end."""
        if info.seconds >= self._clip.seconds:
            return
        if self._overlay is None:
            height, width, _ = frame.shape
            data = RunData((info,), "sent", track)
            size = (width, height)
            self._overlay = make_overlay(self._name, self._clip.width, data, size, False)
        elif self._overlay.track_map is not None:
            self._overlay.track_map.places.append(info.place)
        self._writer.write(self._overlay.draw(frame, info))
