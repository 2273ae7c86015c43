"""Write a table with a model's steering for one frame, or each of a folder or of a recording.

The table has the columns frame_id, which is the name of the frame's file without its ending, and
steering_angle, -1 to 1.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bcclone.camera.framing import Framing, check_framed, framing_of, read_framing
from bcclone.camera.images import (
    FRAME_HEIGHT,
    FRAME_WIDTH,
    IMAGE_ENDINGS,
    BadImage,
    Image,
    read_picture,
)
from bcclone.evaluation.settings import PredictSettings
from bcclone.model.model_path import check_model_path
from bcclone.model.policy import Memory, Policy, load_policy, not_finite
from bcclone.recording.files import ImageIndex, find_log, is_recording
from bcclone.recording.log import read_log
from bcclone.recording.row import EPISODE_GAP_MS
from bcclone.recording.written_times import WrittenTimes, times_in_names
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.system.errors import UserError
from bcclone.system.files import replacing, writes
from bcclone.system.location import is_hidden
from bcclone.system.prefetch import read_ahead
from bcclone.system.table import Table, TableColumn

_FRAME_SIZE = f"{FRAME_WIDTH}x{FRAME_HEIGHT}"


@dataclass(frozen=True)
class Predicted:
    """What predict() wrote into a table, and how."""

    output: Path  # the table
    frames: int  # rows of the table
    unreadable: tuple[str, ...]  # "path: reason" for each frame that is left out
    sizes: dict[str, int]  # "WIDTHxHEIGHT" of the pictures -> their number
    # what made the pictures into frames; None if they were stretched, or framed at their import
    framing: Framing | None
    notes: tuple[str, ...]  # how pictures became frames, and what was clipped, delayed or left out


@writes("table of predictions")
def predict(settings: PredictSettings) -> Predicted:
    """Write the steering that a model predicts for each frame.

    A network of several frames forgets those before the begin of a drive. Raises UserError.
    """
    check_model_path(settings.model)  # its message names swapped arguments
    frames = named_frames(settings.frames)
    policy = load_policy(settings.model, settings.preprocess)
    inputs = PictureInputs(policy, _framing(settings, policy), settings.rows)

    # one frame after the other, since a network of several frames remembers the frames before
    answered: list[NamedFrame] = []
    answers: list[float] = []
    unreadable: list[str] = []
    sizes: Counter[str] = Counter()
    memory: Memory = ()
    drive = 0
    paths = [frame.path for frame in frames]
    with read_ahead("predicting", "frames", inputs.read, paths) as images:
        for frame, result in zip(frames, images, strict=True):
            if frame.drive != drive:
                drive = frame.drive
                memory = ()
            if isinstance(result, str):  # why it could not be read
                unreadable.append(f"{frame.path}: {result}")
                continue
            pixels, size = result
            sizes[size] += 1
            answer, memory = policy.next_answer(pixels, memory)
            # fail for an answer that is not finite, rather than write a table that looks complete
            if not np.isfinite(answer.steering):
                raise not_finite(settings.model, f"at {frame.path}")
            answered.append(frame)
            answers.append(answer.steering)
    if not answered:
        raise UserError(
            f"{unreadable[0]}; none of the {len(frames)} frames can be used: correct that, or name "
            "others"
        )

    steering, delays = _as_late_as_the_driver(np.array(answers), answered, policy.delay_seconds)
    notes = [*inputs.notes(sizes), *delays]
    if clipped := int((np.abs(steering) > 1).sum()):
        notes.append(f"{clipped} of {len(steering)} answers are beyond -1 to 1, written as -1 or 1")
        if advice := policy.advice(clipped, len(steering)):
            notes.append(advice)
    if unreadable:
        notes.append(f"{len(unreadable)} frames are left out; the first: {unreadable[0]}")

    names = [frame.frame_id for frame in answered]
    rows = list(zip(names, np.clip(steering, -1, 1).tolist(), strict=True))
    if len(rows) == 1:
        notes.insert(0, f"the steering is {rows[0][1]:+.3f}, where -1 is left and 1 is right")
    table = Table((TableColumn("frame_id"), TableColumn("steering_angle")), rows)
    with replacing(settings.output) as temporary:
        temporary.write_text(table.csv(), encoding="utf-8", newline="")
    return Predicted(
        output=settings.output,
        frames=len(rows),
        unreadable=tuple(unreadable),
        sizes=dict(sizes),
        framing=inputs.framing,
        notes=tuple(notes),
    )


# ---- the frames


@dataclass(frozen=True)
class NamedFrame:
    """The file of a frame."""

    path: str
    drive: int = 0  # number of the drive that it belongs to
    seconds: float | None = None  # when it was taken; None if nothing says it

    @property
    def frame_id(self) -> str:
        return Path(self.path).stem


def named_frames(source: Path) -> Sequence[NamedFrame]:
    """Return the frames of a recording in order of time, or those of a folder by their names.

    Numbers in the names count by their value. Where all names hold times, another drive begins
    after a pause of more than a second, as in a recording, and where the time goes back. Raises
    UserError if there are no images, or two images of one name.

    source: a recording's folder or log, a folder of images, or one image
    """
    if source.is_file() and source.suffix.lower() in IMAGE_ENDINGS:
        return _distinct([_in_folder(source)])
    if source.is_file() or is_recording(source):
        return _distinct(_recorded(find_log(str(source))))
    if not source.is_dir():
        raise UserError(
            f"{source}: no such folder or file; name a JPEG or PNG, a folder of them, or a "
            "recording"
        )

    def in_order(path: Path) -> list[str | int]:
        parts: list[str | int] = [*re.split(r"([0-9]+)", path.name)]
        parts[1::2] = map(int, parts[1::2])  # the numbers stand between the words
        return parts

    paths = [
        path
        for path in source.iterdir()
        if path.suffix.lower() in IMAGE_ENDINGS and not is_hidden(path.name)
    ]
    if not paths:
        raise UserError(
            f"{source}: no images in it, expected files that end in {', '.join(IMAGE_ENDINGS)}; "
            "name the folder that holds them"
        )
    return _timed(_distinct(map(_in_folder, sorted(paths, key=in_order))))


def _timed(frames: Sequence[NamedFrame]) -> Sequence[NamedFrame]:
    """Return the frames with the times in their names, if all names hold one.

    Where the time goes back, as from the last picture of one camera to the first of the next, or
    where a pause is long, another drive begins.
    """
    found = times_in_names([frame.frame_id for frame in frames])
    if not isinstance(found, WrittenTimes):
        return frames
    seconds = [time_ms / 1000 for time_ms in found.milliseconds]
    steps = np.diff(seconds, prepend=seconds[0])
    # a name without a time; or whole seconds, which several pictures share
    if np.isnan(steps).any() or (len(steps) > 1 and not np.median(np.abs(steps[1:])) > 0):
        return frames
    drives = np.cumsum((steps < 0) | (steps > EPISODE_GAP_MS / 1000)).tolist()
    return [
        replace(frame, drive=drive, seconds=time)
        for frame, drive, time in zip(frames, drives, seconds, strict=True)
    ]


def _in_folder(path: Path) -> NamedFrame:
    """Return the frame of an image file; raises UserError for a name that a table cannot hold."""
    if not path.stem.isprintable():
        raise UserError(
            f"{path.parent}: the name {path.name!r} cannot be written into a table; rename the "
            "image"
        )
    return NamedFrame(str(path))


def _recorded(log: Path) -> list[NamedFrame]:
    """Return the frames of the centre camera of a recording; raises UserError if none exists."""
    index = ImageIndex(log)
    rows = read_log(log).rows
    frames = []
    for name, drive, time_ms in zip(rows["center"], rows["episode"], rows["time_ms"], strict=True):
        if path := index.find(name):
            frames.append(NamedFrame(path, int(drive), time_ms / 1000))
    if not frames:
        raise UserError(
            f"{log}: none of its centre images is in {index.folders[0]} or next to the log; "
            "put them there"
        )
    return frames


def _distinct(frames: Iterable[NamedFrame]) -> Sequence[NamedFrame]:
    """Return the frames, one of those that have the same file; raises UserError for two files of
    one name, as a.jpg and a.jpeg are.
    """
    by_id: dict[str, NamedFrame] = {}
    for frame in frames:
        first = by_id.setdefault(frame.frame_id, frame)
        if first.path != frame.path:
            raise UserError(
                f"{frame.path} and {first.path} have one name, so their frame_id would be the "
                "same; rename one of them, and in a log, too"
            )
    return list(by_id.values())


def _as_late_as_the_driver(
    steering: FloatArray, frames: Sequence[NamedFrame], delay_seconds: float
) -> tuple[FloatArray, list[str]]:
    """Return the answers as the driver of the calibration gives them, and a note on their delay."""
    late = f"{delay_seconds:.2f} s"
    if not delay_seconds or len(frames) == 1:
        return steering, []
    if any(frame.seconds is None for frame in frames):
        return steering, [
            f"the driver of the calibration steers {late} later than the model; the answers are "
            "not delayed by that, because the names of the images hold no times; rename them, such "
            "as 1479425441182.jpg for ms since 1970, or name a recording"
        ]
    drives = np.array([frame.drive for frame in frames])
    seconds = np.array([frame.seconds for frame in frames])
    note = f"the answers are {late} late, as the driver's of the calibration"
    return delayed(steering, seconds, drives, delay_seconds), [note]


def delayed(
    steering: FloatArray, seconds: FloatArray, drives: IndexArray, delay_seconds: float
) -> FloatArray:
    """Return the answers, later by a delay, within each drive, (frames,).

    A person who is late turns the wheel gradually towards where the network would have it. An
    exponential mean, a lag of first order, comes closer to that than the same answers later, and it
    smooths the noise of the network: benchmarks/lab-log/2026-11.md has the figures. Its mean delay
    is `delay_seconds`. If that is below 0, the pictures are late, and each answer becomes that of
    so much later.

    steering, seconds, drives: answer, time and number of the drive of each frame, (frames,)
    """
    later = np.empty_like(steering)
    for drive in np.unique(drives):
        own = drives == drive
        if delay_seconds > 0:
            later[own] = exponential_mean(steering[own], seconds[own], delay_seconds)
        else:
            later[own] = np.interp(seconds[own] - delay_seconds, seconds[own], steering[own])
    return later


# ---- from pictures to inputs of a network


class PictureInputs:
    """Reads pictures as inputs of a policy's network.

    Raises UserError for a network that frames pictures itself, if these are frames already.

    framing: cuts a picture into a frame; None for pictures that are frames, or are stretched
    rows: first row and end of what is stretched; None for all rows
    """

    def __init__(
        self, policy: Policy, framing: Framing | None, rows: tuple[int, int] | None = None
    ) -> None:
        self.framing = framing
        self._rows = rows
        self._prepared = policy.preprocessing
        if framing is None:
            policy = policy.without_framing()
        self._frames_itself = policy.frames_itself
        # Pictures of the size of the network's input are taken as they are, if it is not a part of
        # a frame. Otherwise they would be stretched to a frame, and shrunk back.
        self._input_size = ""
        if not (framing or rows or self._prepared.crops):
            self._input_size = f"{self._prepared.width}x{self._prepared.height}"

    def read(self, path: str) -> tuple[Image, str] | str:
        """Return a prepared image and its picture's size, "WIDTHxHEIGHT"; or why it is not read."""
        try:
            pixels = read_picture(path)
            height, width = pixels.shape[:2]
            size = f"{width}x{height}"
            if size == self._input_size:
                as_it_is = replace(self._prepared, frame_width=width, frame_height=height)
                return as_it_is.apply(pixels), size
            framing = self.framing or Framing.of(pixels, self._rows)
            if self._frames_itself:
                return framing.fitted(pixels), size
            return self._prepared.apply(framing.apply(pixels)), size
        except BadImage as error:
            return str(error)

    def notes(self, sizes: Mapping[str, int]) -> list[str]:
        """Return how pictures became frames, but for those that are frames already.

        sizes: "WIDTHxHEIGHT" of pictures -> their number
        """
        return [
            f"{count} frames of {size} pixels: {how}"
            for size, count in sizes.items()
            if (how := self._how(size))
        ]

    def _how(self, size: str) -> str:
        """Return how pictures of a size become frames; "" if they are frames already."""
        if self.framing:
            is_frame = size == _FRAME_SIZE and not self.framing.has_shape_of_frames
            return "" if is_frame else f"as pictures of {self.framing.describe()}"
        if self._rows:
            return f"rows {self._rows[0]} to {self._rows[1]}, stretched to {_FRAME_SIZE}"
        if size == _FRAME_SIZE:
            return ""
        if size == self._input_size:
            return "as they are, the size of the network's input"
        return f"all rows, stretched to {_FRAME_SIZE}"


def _framing(settings: PredictSettings, policy: Policy) -> Framing | None:
    """Return the framing to apply to the pictures; raises UserError.

    None if they are stretched, and for a recording whose pictures were framed at its import.
    """
    if policy.frames_itself and (settings.rows or settings.framing):
        raise UserError(
            f"{settings.model}: it frames its camera's pictures itself; leave out --rows and "
            "--framing, or name the .h5 that it was made from"
        )
    if settings.rows:
        return None
    framing = read_framing(settings.framing) if settings.framing else policy.framing
    if not is_recording(settings.frames):
        return framing
    log = find_log(str(settings.frames))
    check_framed(log, str(settings.framing or settings.model), framing)
    return None if framing_of(log) else framing


def exponential_mean(values: FloatArray, times: FloatArray, seconds: float) -> FloatArray:
    """Return the exponential mean of values until each of their times, (times,).

    Before the first time, its value is taken as constant; between two times, their mean.

    seconds: time constant, in which the weight of a value falls to 1 / e
    """
    means = values.copy()
    for index in range(1, len(values)):
        step = times[index] - times[index - 1]
        kept = math.exp(-step / seconds)
        between = (values[index - 1] + values[index]) / 2
        means[index] = kept * means[index - 1] + (1 - kept) * between
    return means
