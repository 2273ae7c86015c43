"""Make a clip: one run, or two side by side -> pictures of their frames, in an MP4 or a GIF.

encoder.py writes the pictures.
"""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.camera.images import Image, cv2, resized
from bcclone.pictures.clip_settings import GIF, ClipSettings
from bcclone.pictures.drawing import GROUND
from bcclone.pictures.encoder import cut, encode
from bcclone.pictures.overlay import make_overlay
from bcclone.pictures.reference_model import ReferenceDrive, ReferenceModel, load_reference
from bcclone.pictures.run_data import FrameInfo, RunFrames, find_frames, read_run_data
from bcclone.system.errors import UserError
from bcclone.system.files import CLIP, MADE_BY, replacing, writes
from bcclone.system.numbers import FloatArray, IndexArray
from bcclone.system.process import ProgressBar


@dataclass(frozen=True)
class Clip:
    """A clip that was written, and what it lacks."""

    path: Path
    frames: int  # pictures in the clip
    rate: float  # pictures a second
    skipped: tuple[str, ...]  # "name: reason" for each frame of the runs that is not shown
    notes: tuple[str, ...]  # which data is missing, and why

    @property
    def seconds(self) -> float:
        return self.frames / self.rate

    def as_json(self) -> dict[str, Any]:
        return {
            "output": str(self.path),
            "frames": self.frames,
            "skipped": len(self.skipped),
            "seconds": round(self.seconds, 3),
        }

    def as_text(self) -> str:
        return (
            f"{self.path}: {self.frames} frames, {self.seconds:.1f} s at {self.rate:g} a second, "
            f"{len(self.skipped)} skipped"
        )


# marks at the end of a clip, by which @writes knows a file of ours and may replace it; players skip
# them: an MP4's box of free space, and a GIF's comment
_MP4_END = b"\0\0\0\x0ffree" + MADE_BY
_GIF_END = b"!\xfe\x07" + MADE_BY + b"\0;"


@contextmanager
def new_clip(path: Path, follow: bool = False) -> Iterator[Path]:
    """Yield where to write a clip; it replaces an older file only when the block has ended well.

    follow: whether a link at the path is followed
    """
    with replacing(path, follow=follow) as temporary:
        yield temporary
        with temporary.open("r+b") as file:
            if path.suffix == GIF:
                file.seek(-1, os.SEEK_END)  # _GIF_END repeats the last byte, which ends a GIF
                file.write(_GIF_END)
            else:
                file.seek(0, os.SEEK_END)
                file.write(_MP4_END)


def write_begin(clip: Path, path: Path, seconds: float) -> None:
    """Write the first seconds of a clip as a clip of its own, without encoding it anew."""
    with new_clip(path) as temporary:
        cut(clip, temporary, seconds)


@writes(CLIP, "path")
def make_clip(settings: ClipSettings) -> Clip:
    """Write a clip as H.264 in an MP4, or as a GIF.

    Broken frames are skipped, and frames whose size most frames do not have. Raises UserError if no
    frame can be shown or the encoder fails; the file at settings.path is then unchanged.
    """
    # read all runs first: a mistake in one of them is found before the encoder starts
    runs = [find_frames(folder) for folder in settings.runs]
    model = load_reference(settings.model, settings.preprocess) if settings.model else None
    tracks = [ClipTrack(frames, settings, model) for frames in runs]
    indices = _choose_frames(settings, tracks)
    rate = settings.rate or min(max(tracks[0].data.frame_rate, 1.0), settings.fastest)

    pictures: Iterator[Image | None]
    pictures, *others = [
        track.pictures(shown) for track, shown in zip(tracks, indices, strict=True)
    ]
    if others:
        pictures = _side_by_side(tracks, zip(pictures, *others, strict=True))

    # a link in the clip's place is followed only if the user has named it
    with (
        new_clip(settings.path, follow=settings.output is not None) as temporary,
        ProgressBar("encoding", len(indices[0]), "frames") as progress,
    ):
        count = encode(temporary, _counted(pictures, progress), rate)
        if not count:
            raise runs[0].nothing_to_show()

    skipped = []
    for frames in runs:
        skipped += [f"{name}: {reason}" for name, reason in frames.skipped.items()]
    notes = []
    for track in tracks:
        notes += [f"{track.frames.folder}: {note}" for note in track.data.notes]
    return Clip(settings.path, count, rate, tuple(skipped), tuple(notes))


def _counted(pictures: Iterator[Image | None], progress: ProgressBar) -> Iterator[Image | None]:
    for picture in pictures:
        progress.advance(1)
        yield picture


# the frames of a GIF are smoothed by a bilateral filter, which keeps edges: each pixel becomes a
# mean of its neighbours, in which alike and near ones have the greatest weights
_SMOOTHED_ACROSS = 7  # diameter of a pixel's neighbourhood, in pixels
_BRIGHTNESS_DEVIATION = 60.0  # standard deviation of the weights by brightness, of 255
_DISTANCE_DEVIATION = 5.0  # standard deviation of the weights by distance, in pixels


class ClipTrack:
    """One run of a clip, and how its frames are drawn.

    Raises UserError for a table that cannot be read, and for an unknown track.

    frames: the frames of the run
    settings: the settings of the clip
    model: a model whose steering and saliency are drawn on the overlay, None for none
    """

    def __init__(
        self, frames: RunFrames, settings: ClipSettings, model: ReferenceModel | None
    ) -> None:
        self.frames = frames
        self._settings = settings
        self._model = model
        self.data = read_run_data(frames, times_only=not settings.overlay)
        self._overlay = None
        if settings.overlay:
            name = frames.folder.resolve().name
            width = settings.run_width or frames.size[0]
            self._overlay = make_overlay(name, width, self.data, frames.size, model is not None)

    def pictures(self, indices: Sequence[int]) -> Iterator[Image | None]:
        """Yield a picture, RGB uint8 (height, width, 3), for each index.

        The picture of a repeated index is drawn once. The index after the last frame stands for the
        end of the run. In place of a broken frame comes the previous picture in real time, and
        otherwise None.

        indices: numbers of the run's frames, ascending
        """
        reference = None
        if self._model:
            reference = ReferenceDrive(*self._model, self.frames, self.data.seconds)
        picture: Image | None = None
        last: tuple[Image, FrameInfo] | None = None  # the last frame that is not broken
        for index, repeats in groupby(indices):
            if index == len(self.data.frames):
                picture = self._end_of(last)
            elif (frame := self.frames.decode(index)) is not None:
                info = self.data.frames[index]
                if reference is not None:
                    steering, saliency = reference.answer(index, frame)
                    info = replace(info, model_steering=steering, saliency=saliency)
                last = (frame, info)
                picture = self._draw(frame, info)
            elif not self._settings.in_real_time:
                picture = None
            for _ in repeats:
                yield picture

    def _end_of(self, last: tuple[Image, FrameInfo] | None) -> Image:
        """Return the picture that stands for the end of the run: its last frame, dimmed.

        last: this frame and its values, None if no frame can be shown
        """
        if last is None:
            return self.blank()
        frame, info = last
        return self._draw(frame, replace(info, ended=True))

    def blank(self) -> Image:
        """Return the picture, RGB uint8 (height, width, 3), that stands for a missing frame."""
        width, height = self.frames.size
        return self._draw(np.zeros((height, width, 3), np.uint8), FrameInfo(0.0))

    def _draw(self, frame: Image, info: FrameInfo) -> Image:
        """Return the picture of a frame; both are RGB uint8 (height, width, 3)."""
        shown = frame
        if self._settings.is_gif:  # noise would take most of the bytes of a GIF
            smoothed = cv2.bilateralFilter(
                cv2.medianBlur(frame, 3),
                _SMOOTHED_ACROSS,
                _BRIGHTNESS_DEVIATION,
                _DISTANCE_DEVIATION,
            )
            shown = np.asarray(smoothed, np.uint8)
        if self._overlay is not None:
            return self._overlay.draw(shown, info)
        width = self._settings.run_width
        if width is None:
            return shown
        height = round(frame.shape[0] * width / frame.shape[1])
        return resized(shown, (width, height), cv2.INTER_CUBIC)


def _choose_frames(settings: ClipSettings, tracks: Sequence[ClipTrack]) -> list[list[int]]:
    """Return for each run the index of the frame to show in each picture.

    For the pictures after a run is over, it is the index after its last frame. Raises UserError if
    there is no picture to show.
    """
    begin, end = settings.span
    seconds = [track.data.seconds for track in tracks]
    duration = max(float(track_seconds[-1]) for track_seconds in seconds)
    if settings.in_real_time:
        indices = _frames_in_real_time(settings, seconds, duration)
    else:  # only a clip of one run: two runs are shown in real time
        indices = [np.flatnonzero((seconds[0] >= begin) & (seconds[0] < end))]
    if not len(indices[0]):
        names = " and ".join(str(track.frames.folder) for track in tracks)
        raise UserError(
            f"{names}: no frame in the range {begin:g}:{end:g}, "
            f"expected a range that overlaps 0 to {duration:.1f} s; choose another range"
        )
    return [shown.tolist() for shown in indices]


# tolerance of times and of products such as 0.3 * 10, which may be just below or above 3 and then
# counts as 3
_ROUNDING = 1e-6


def _frames_in_real_time(
    settings: ClipSettings, seconds: Sequence[FloatArray], duration: float
) -> list[IndexArray]:
    """Return for each run the index of the newest frame at the time of each picture.

    After the end of the shorter run, it is the index after that run's last frame.

    seconds: for each run, the seconds from its first frame to each of its frames
    duration: seconds of the longest run
    """
    begin, end = settings.span
    rate = settings.rate
    if end > duration:  # the last frame of the run is shown, too
        count = math.floor((duration - begin) * rate + _ROUNDING) + 1
    else:
        count = math.ceil((end - begin) * rate - _ROUNDING)
    times = begin + np.arange(max(count, 0)) / rate
    indices = [
        np.searchsorted(track_seconds, times + _ROUNDING, side="right") - 1
        for track_seconds in seconds
    ]
    # the shorter of two runs is over before the other one
    if len(seconds) > 1:
        for track_seconds, shown in zip(seconds, indices, strict=True):
            shown[times > track_seconds[-1] + 1 / rate] = len(track_seconds)
    return indices


_GAP_PIXELS = 4  # between two runs side by side


def _side_by_side(
    tracks: Sequence[ClipTrack], pairs: Iterator[tuple[Image | None, ...]]
) -> Iterator[Image]:
    """Yield the pictures of two runs side by side, RGB uint8 (height, width, 3).

    If one picture is less high, the ground colour fills the space below it, as it fills the gap
    between both.

    pairs: pictures of the left and the right run; None for a picture that is missing
    """
    left_blank, right_blank = (track.blank() for track in tracks)
    height = max(len(left_blank), len(right_blank))
    for left, right in pairs:
        left_picture = left_blank if left is None else left
        right_picture = right_blank if right is None else right
        left_width = left_picture.shape[1]
        right_width = right_picture.shape[1]
        joined = np.full((height, left_width + _GAP_PIXELS + right_width, 3), GROUND, np.uint8)
        joined[: len(left_picture), :left_width] = left_picture
        joined[: len(right_picture), -right_width:] = right_picture
        yield joined
