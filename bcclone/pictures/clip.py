"""Make a clip: a run -> pictures of its frames, in an MP4 or a GIF.

encoder.py writes the pictures.
"""

import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bcclone.camera.images import BadImage, Image, cv2, resized
from bcclone.model.policy import Policy, load_policy
from bcclone.pictures.clip_settings import GIF, ClipSettings
from bcclone.pictures.encoder import cut, encode
from bcclone.pictures.overlay import Overlay, make_overlay
from bcclone.pictures.run_data import (
    GAP_SECONDS,
    FrameInfo,
    RunData,
    RunFrames,
    find_frames,
    read_run_data,
)
from bcclone.system.errors import UserError
from bcclone.system.files import CLIP, MADE_BY, replacing, writes
from bcclone.system.numbers import Float32Array, FloatArray, Memory
from bcclone.system.process import ProgressBar
from bcclone.system.tensorflow_quietly import load_tensorflow

if TYPE_CHECKING:  # it loads TensorFlow
    from bcclone.model.saliency import Saliency


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
    frames = find_frames(settings.run)
    model = load_reference(settings.model, settings.preprocess) if settings.model else None
    data = read_run_data(frames, times_only=not settings.overlay)
    overlay = None
    if settings.overlay:
        name = frames.folder.resolve().name
        width = settings.run_width or frames.size[0]
        overlay = make_overlay(name, width, data, frames.size, model is not None)
    reference = ReferenceDrive(*model, frames, data.seconds) if model else None
    indices = _choose_frames(settings, frames.folder, data.seconds)
    rate = settings.rate or min(max(data.frame_rate, 1.0), settings.fastest)
    pictures = _pictures(settings, frames, data, overlay, reference, indices)

    # a link in the clip's place is followed only if the user has named it
    with (
        new_clip(settings.path, follow=settings.output is not None) as temporary,
        ProgressBar("encoding", len(indices), "frames") as progress,
    ):
        count = encode(temporary, _counted(pictures, progress), rate)
        if not count:
            raise frames.nothing_to_show()
    skipped = [f"{name}: {reason}" for name, reason in frames.skipped.items()]
    notes = [f"{frames.folder}: {note}" for note in data.notes]
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


def _pictures(
    settings: ClipSettings,
    frames: RunFrames,
    data: RunData,
    overlay: Overlay | None,
    reference: "ReferenceDrive | None",
    indices: Sequence[int],
) -> Iterator[Image | None]:
    """Yield a picture, RGB uint8 (height, width, 3), for each index.

    The picture of a repeated index is drawn once. In place of a broken frame comes the previous
    picture in real time, and otherwise None.

    indices: numbers of the run's frames, ascending
    """
    picture: Image | None = None
    for index, repeats in groupby(indices):
        frame = frames.decode(index)
        if frame is not None:
            info = data.frames[index]
            if reference is not None:
                steering, saliency = reference.answer(index, frame)
                info = replace(info, model_steering=steering, saliency=saliency)
            picture = _draw(settings, overlay, frame, info)
        elif not settings.in_real_time:
            picture = None
        for _ in repeats:
            yield picture


def _draw(settings: ClipSettings, overlay: Overlay | None, frame: Image, info: FrameInfo) -> Image:
    """Return the picture of a frame; both are RGB uint8 (height, width, 3)."""
    shown = frame
    if settings.is_gif:  # noise would take most of the bytes of a GIF
        smoothed = cv2.bilateralFilter(
            cv2.medianBlur(frame, 3), _SMOOTHED_ACROSS, _BRIGHTNESS_DEVIATION, _DISTANCE_DEVIATION
        )
        shown = np.asarray(smoothed, np.uint8)
    if overlay is not None:
        return overlay.draw(shown, info)
    width = settings.run_width
    if width is None:
        return shown
    height = round(frame.shape[0] * width / frame.shape[1])
    return resized(shown, (width, height), cv2.INTER_CUBIC)


# tolerance of times and of products such as 0.3 * 10, which may be just below or above 3 and then
# counts as 3
_ROUNDING = 1e-6


def _choose_frames(settings: ClipSettings, folder: Path, seconds: FloatArray) -> list[int]:
    """Return the index of the frame to show in each picture; raises UserError if there is none.

    In real time, that is the newest frame at the time of the picture.

    seconds: from the first frame of the run to each of its frames, (frames,)
    """
    begin, end = settings.span
    duration = float(seconds[-1])
    if not settings.in_real_time:
        indices = np.flatnonzero((seconds >= begin) & (seconds < end))
    else:
        rate = settings.rate
        if end > duration:  # the last frame of the run is shown, too
            count = math.floor((duration - begin) * rate + _ROUNDING) + 1
        else:
            count = math.ceil((end - begin) * rate - _ROUNDING)
        times = begin + np.arange(max(count, 0)) / rate
        indices = np.searchsorted(seconds, times + _ROUNDING, side="right") - 1
    if not len(indices):
        raise UserError(
            f"{folder}: no frame in the range {begin:g}:{end:g}, "
            f"expected a range that overlaps 0 to {duration:.1f} s; choose another range"
        )
    chosen: list[int] = indices.tolist()
    return chosen


# ---- a reference model, whose steering is shown beside the driver's; the car does not follow it

ReferenceModel = tuple[Policy, "Saliency"]


def load_reference(path: Path, preprocess: str | None = None) -> ReferenceModel:
    """Load a model that steers on the frames of recorded drives, and its saliency.

    Raises UserError for a file that is no model, and for a network whose saliency cannot be
    computed.

    preprocess: text of a preprocessing, if the file does not state its own; None if it does
    """
    # one thread is enough: the model takes one frame at a time, and the clip's encoder uses the
    # other cores. A program that loaded TensorFlow before has chosen its threads already
    if "tensorflow" not in sys.modules:
        load_tensorflow(threads=1)
    from bcclone.model.saliency import Saliency

    policy = load_policy(path, preprocess)
    return policy, Saliency(policy.model, policy.preprocessing)


class ReferenceDrive:
    """The answers of a model along one run; an earlier frame than the last begins anew.

    Frames may be left out in these calls: the model is shown those of them that its answer depends
    on. Several runs may share the model: each drive has a memory of its own.

    seconds: seconds of driving from the first frame of the run to each frame, (frames,)
    """

    def __init__(
        self, policy: Policy, saliency: "Saliency", frames: RunFrames, seconds: FloatArray
    ) -> None:
        self._policy = policy
        self._saliency = saliency
        self._frames = frames
        self._seconds = seconds
        self._memory: Memory = ()
        self._next = 0  # number of the first frame that the model has not been shown
        # how many frames an answer depends on; for a recurrent network, all frames of the drive
        self._length = self._policy.seq_length
        if self._policy.carries_states:
            self._length = sys.maxsize

    def answer(self, index: int, frame: Image) -> tuple[float | None, Float32Array]:
        """Return the model's steering, and how much each pixel decided, (160, 320), 0 to 1.

        The steering is -1 to 1, None if it is not finite. Raises UserError for frames that the
        model cannot take.

        index: number of the frame in the run, from 0
        frame: RGB uint8 (160, 320, 3)
        """
        if index < self._next:
            self._memory = ()
            self._next = 0
        # show the model the frames that a clip leaves out, as far as the answer depends on them
        first = max(self._next, index - self._length + 1)
        try:
            for shown in range(first, index + 1):
                if shown and self._seconds[shown] - self._seconds[shown - 1] > GAP_SECONDS:
                    self._memory = ()
                pixels = frame if shown == index else self._frames.decode(shown)
                if pixels is not None:
                    image = self._policy.preprocessing.apply(pixels)
                    answer, self._memory = self._policy.next_answer(image, self._memory)
        except BadImage as error:
            raise UserError(
                f"{self._frames.folder}: the model cannot take these frames: {error}; "
                "leave --model out"
            ) from None
        self._next = index + 1
        saliency = self._saliency.of_input(image)
        if not np.isfinite(answer.steering):
            return None, saliency
        return min(max(answer.steering, -1.0), 1.0), saliency
