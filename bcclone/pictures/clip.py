"""Make a clip: a run -> pictures of its frames, in an MP4 or a GIF.

encoder.py writes the pictures.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bcclone.camera.images import BadImage, Image, cv2, resized
from bcclone.model.policy import Policy, load_policy
from bcclone.pictures.encoder import encode, new_clip
from bcclone.pictures.overlay import Overlay
from bcclone.pictures.run import GAP_SECONDS, Run, nothing_to_show, read_run
from bcclone.pictures.settings import ClipSettings
from bcclone.system.errors import UserError
from bcclone.system.files import CLIP, writes
from bcclone.system.numbers import Float32Array, Memory
from bcclone.system.process import ProgressBar
from bcclone.system.tensorflow_quietly import load_tensorflow

if TYPE_CHECKING:  # it loads TensorFlow
    from bcclone.model.saliency import Saliency


@dataclass(frozen=True)
class Clip:
    """A clip that was written, and what it lacks."""

    output: Path
    frames: int  # pictures in the clip
    rate: float  # pictures a second
    skipped: tuple[str, ...]  # "name: reason" for each frame of the run that is not shown
    notes: tuple[str, ...]  # which data is missing, and why

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


@writes(CLIP, "path")
def make_clip(settings: ClipSettings) -> Clip:
    """Write a clip as H.264 in an MP4, or as a GIF.

    Broken frames are skipped, and frames whose size most frames do not have. Raises UserError if no
    frame can be shown or the encoder fails; the file at settings.path is then unchanged.
    """
    run = read_run(settings.run, times_only=not settings.overlay)
    reference = None
    if settings.model:
        reference = ReferenceDrive(*load_reference(settings.model, settings.preprocess), run)
    overlay = None
    if settings.overlay:
        name = run.folder.resolve().name
        width = settings.run_width or run.size[0]
        overlay = Overlay(
            name, width, run.size, run.infos, run.driver, run.track, reference is not None
        )
    rate = settings.rate(run.frame_rate)
    indices = _choose_frames(settings, run, rate)
    pictures = _pictures(settings, run, overlay, reference, indices)

    # a link in the clip's place is followed only if the user has named it
    with (
        new_clip(settings.path, follow=settings.output is not None) as temporary,
        ProgressBar("encoding", len(indices), "frames") as progress,
    ):
        count = encode(temporary, _counted(pictures, progress), rate)
        if not count:
            raise nothing_to_show(run.folder, run.names, run.skipped)
    skipped = [f"{name}: {reason}" for name, reason in run.skipped.items()]
    return Clip(settings.path, count, rate, tuple(skipped), run.notes)


def _counted(pictures: Iterator[Image | None], progress: ProgressBar) -> Iterator[Image | None]:
    for picture in pictures:
        progress.advance(1)
        yield picture


def _pictures(
    settings: ClipSettings,
    run: Run,
    overlay: Overlay | None,
    reference: "ReferenceDrive | None",
    indices: Sequence[int],
) -> Iterator[Image | None]:
    """Yield a picture, RGB uint8 (height, width, 3), for each index.

    The picture of a repeated index is drawn once. In place of a broken frame comes the previous
    picture in a GIF, which shows each frame at its time, and otherwise None.

    indices: numbers of the run's frames, ascending
    """
    picture: Image | None = None
    driven = 0  # number of the first frame whose place is not on the overlay's map
    for index, repeats in groupby(indices):
        frame = run.decode(index)
        if frame is None:
            if not settings.is_gif:
                picture = None
        elif overlay is None:
            picture = _scaled(settings, frame)
        else:
            for info in run.infos[driven : index + 1]:
                overlay.drive(info.place)
            driven = index + 1
            steering, saliency = reference.answer(index, frame) if reference else (None, None)
            shown = _smoothed(frame) if settings.is_gif else frame
            picture = overlay.draw(shown, run.infos[index], steering, saliency)
        for _ in repeats:
            yield picture


def _scaled(settings: ClipSettings, frame: Image) -> Image:
    """Return the picture of a frame without an overlay."""
    shown = _smoothed(frame) if settings.is_gif else frame
    width = settings.run_width
    if width is None:
        return shown
    height = round(frame.shape[0] * width / frame.shape[1])
    return resized(shown, (width, height), cv2.INTER_CUBIC)


# a bilateral filter keeps edges: each pixel becomes a mean of its neighbours, in which alike and
# near ones have the greatest weights
_SMOOTHED_ACROSS = 7  # diameter of a pixel's neighbourhood, in pixels
_BRIGHTNESS_DEVIATION = 60.0  # standard deviation of the weights by brightness, of 255
_DISTANCE_DEVIATION = 5.0  # standard deviation of the weights by distance, in pixels


def _smoothed(frame: Image) -> Image:
    """Return a frame without its noise, which would take most of the bytes of a GIF."""
    smoothed = cv2.bilateralFilter(
        cv2.medianBlur(frame, 3), _SMOOTHED_ACROSS, _BRIGHTNESS_DEVIATION, _DISTANCE_DEVIATION
    )
    return np.asarray(smoothed, np.uint8)


# tolerance of times and of products such as 0.3 * 10, which may be just below or above 3 and then
# counts as 3
_ROUNDING = 1e-6


def _choose_frames(settings: ClipSettings, run: Run, rate: float) -> list[int]:
    """Return the index of the frame to show in each picture; raises UserError if there is none.

    In a GIF, that is the newest frame at the time of the picture.

    rate: pictures a second
    """
    begin, end = settings.span
    duration = float(run.seconds[-1])
    if not settings.is_gif:
        indices = np.flatnonzero((run.seconds >= begin) & (run.seconds < end))
    else:
        if end > duration:  # the last frame of the run is shown, too
            count = math.floor((duration - begin) * rate + _ROUNDING) + 1
        else:
            count = math.ceil((end - begin) * rate - _ROUNDING)
        times = begin + np.arange(max(count, 0)) / rate
        indices = np.searchsorted(run.seconds, times + _ROUNDING, side="right") - 1
    if not len(indices):
        raise UserError(
            f"{run.folder}: no frame in the range {begin:g}:{end:g}, "
            f"expected a range that overlaps 0 to {duration:.1f} s; choose another range"
        )
    chosen: list[int] = indices.tolist()
    return chosen


# ---- a reference model, whose steering is shown beside the driver's; the car does not follow it


def load_reference(path: Path, preprocess: str | None = None) -> tuple[Policy, "Saliency"]:
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
    """The answers of a model along one run.

    Frames may be left out in these calls: the model is shown those of them that its answer depends
    on.
    """

    def __init__(self, policy: Policy, saliency: "Saliency", run: Run) -> None:
        self._policy = policy
        self._saliency = saliency
        self._run = run
        self._memory: Memory = ()
        self._next = 0  # number of the first frame that the model has not been shown
        # how many frames an answer depends on; for a recurrent network, all frames of the drive
        self._length = sys.maxsize if policy.carries_states else policy.seq_length

    def answer(self, index: int, frame: Image) -> tuple[float | None, Float32Array]:
        """Return the model's steering, and how much each pixel decided, (160, 320), 0 to 1.

        The steering is -1 to 1, None if it is not finite. Raises UserError for frames that the
        model cannot take.

        index: number of the frame in the run, from 0; larger than in the call before
        frame: RGB uint8 (160, 320, 3)
        """
        # show the model the frames that a clip leaves out, as far as the answer depends on them
        seconds = self._run.seconds
        try:
            for shown in range(max(self._next, index - self._length + 1), index + 1):
                if shown and seconds[shown] - seconds[shown - 1] > GAP_SECONDS:
                    self._memory = ()
                pixels = frame if shown == index else self._run.decode(shown)
                if pixels is not None:
                    image = self._policy.preprocessing.apply(pixels)
                    answer, self._memory = self._policy.next_answer(image, self._memory)
        except BadImage as error:
            raise UserError(
                f"{self._run.folder}: the model cannot take these frames: {error}; "
                "leave --model out"
            ) from None
        self._next = index + 1
        saliency = self._saliency.of_input(image)
        if not np.isfinite(answer.steering):
            return None, saliency
        return min(max(answer.steering, -1.0), 1.0), saliency
