"""Make a clip: the frames of a run -> an MP4 or a GIF."""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bcclone.camera.images import BadImage, Image, cv2, resized
from bcclone.model.policy import Memory, Policy, load_policy
from bcclone.pictures.encoder import encode, new_clip
from bcclone.pictures.overlay import Overlay
from bcclone.pictures.recorded_run import GAP_SECONDS, RecordedRun, nothing_to_show, read_run
from bcclone.pictures.settings import ClipSettings
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import UserError
from bcclone.system.files import CLIP, inputs_of, writing
from bcclone.system.progress import ProgressBar
from bcclone.system.tensorflow_quietly import load_tensorflow

if TYPE_CHECKING:  # loads TensorFlow
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


def make_clip(settings: ClipSettings) -> Clip:
    """Write a clip as H.264 in an MP4, or as a GIF.

    Broken frames are skipped, and frames of another size. Raises UserError if no frame can be shown
    or the encoder fails; the file at settings.path is then unchanged.
    """
    with writing(settings.path, CLIP, settings.force, inputs_of(settings)):
        return _made_clip(settings)


def _made_clip(settings: ClipSettings) -> Clip:
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
    skipped = dict(run.skipped)

    # a link in the clip's place is followed only if the user has named it
    with (
        new_clip(settings.path, follow=settings.output is not None) as temporary,
        ProgressBar("encoding", len(indices), "frames") as progress,
    ):

        def pictures() -> Iterator[Image]:
            for picture in _pictures(settings, run, overlay, reference, indices, skipped):
                progress.advance(1)
                yield picture

        frames = encode(temporary, pictures(), rate)
        if not frames:
            raise nothing_to_show(run.folder, skipped)
    reasons = tuple(f"{name}: {reason}" for name, reason in skipped.items())
    return Clip(settings.path, frames, rate, reasons, run.notes)


def _pictures(
    settings: ClipSettings,
    run: RecordedRun,
    overlay: Overlay | None,
    reference: "ReferenceDrive | None",
    indices: Sequence[int],
    skipped: dict[str, str],
) -> Iterator[Image]:
    """Yield a picture, RGB uint8 (height, width, 3), for each index.

    The picture of a repeated index is drawn once. In place of a broken frame comes the previous
    picture in a GIF, which shows each frame at its time, and otherwise none.

    indices: numbers of the run's frames, ascending
    skipped: name -> reason; broken frames are added
    """
    picture: Image | None = None
    driven = 0  # number of the first frame whose place is not on the overlay's map
    for index, repeats in groupby(indices):
        try:
            frame = run.frame(index)
        except BadImage as error:
            skipped[run.names[index]] = str(error)
            if not settings.is_gif:
                picture = None
        else:
            shown = _smoothed(frame) if settings.is_gif else frame
            if overlay is None:
                picture = _scaled(shown, settings.run_width)
            else:
                for info in run.infos[driven : index + 1]:
                    overlay.drive(info.place)
                driven = index + 1
                steering, saliency = reference.answer(index, frame) if reference else (None, None)
                picture = overlay.draw(shown, run.infos[index], steering, saliency)
        for _ in repeats:
            if picture is not None:
                yield picture


def _scaled(frame: Image, width: int | None) -> Image:
    """Return a frame of another width; None for its own."""
    if width is None:
        return frame
    height = round(frame.shape[0] * width / frame.shape[1])
    return resized(frame, (width, height), cv2.INTER_CUBIC)


def _smoothed(frame: Image) -> Image:
    """Return a frame without its noise, which would take most of the bytes of a GIF."""
    # a bilateral filter keeps edges: each pixel becomes a mean of its neighbours, in which alike
    # and near ones have the greatest weights
    across = 7  # diameter of a pixel's neighbourhood, in pixels
    brightness_deviation = 60.0  # standard deviation of the weights by brightness, of 255
    distance_deviation = 5.0  # standard deviation of the weights by distance, in pixels
    median = cv2.medianBlur(frame, 3)
    smoothed = cv2.bilateralFilter(median, across, brightness_deviation, distance_deviation)
    return np.asarray(smoothed, np.uint8)


def _choose_frames(settings: ClipSettings, run: RecordedRun, rate: float) -> list[int]:
    """Return the index of the frame to show in each picture; raises UserError if there is none.

    In a GIF, that is the newest frame at the time of the picture.

    rate: pictures a second
    """
    # times and products such as 0.3 * 10 may be just below or above 3, and then count as 3
    rounding = 1e-6
    begin, end = settings.span
    duration = float(run.seconds[-1])
    if not settings.is_gif:
        indices = np.flatnonzero((run.seconds >= begin) & (run.seconds < end))
    else:
        if end > duration:  # the last frame of the run is shown, too
            pictures = math.floor((duration - begin) * rate + rounding) + 1
        else:
            pictures = math.ceil((end - begin) * rate - rounding)
        times = begin + np.arange(max(pictures, 0)) / rate
        indices = np.searchsorted(run.seconds, times + rounding, side="right") - 1
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

    Raises UserError for a file that is not a model, and for a network whose saliency cannot be
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

    def __init__(self, policy: Policy, saliency: "Saliency", run: RecordedRun) -> None:
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
        for shown in range(max(self._next, index - self._length + 1), index + 1):
            if shown and seconds[shown] - seconds[shown - 1] > GAP_SECONDS:
                self._memory = ()
            try:
                pixels = frame if shown == index else self._run.frame(shown)
            except BadImage:
                continue
            try:
                image = self._policy.preprocessing.apply(pixels)
            except BadImage as error:
                raise UserError(
                    f"{self._run.folder}: the model cannot take these frames: {error}; "
                    "leave --model out"
                ) from None
            answer, self._memory = self._policy.next_answer(image, self._memory)
        self._next = index + 1
        saliency = self._saliency.of_input(image)
        if not np.isfinite(answer.steering):
            return None, saliency
        return min(max(answer.steering, -1.0), 1.0), saliency
