"""Write a table with a model's steering for each frame of a folder, or of a recording's centre
camera.

The table has a row for each frame, with the columns frame_id and steering_angle; a frame_id is the
name of the frame's file without its ending.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Self

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
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.evaluation.evaluate_settings import PredictSettings
from bcclone.evaluation.rollout import read_reference
from bcclone.model.policy import Policy, load_policy, not_finite
from bcclone.recording.files import find_log, is_recording
from bcclone.recording.row import EPISODE_GAP_MS, RowError, time_of
from bcclone.system.errors import Table, TableColumn, UserError
from bcclone.system.files import replacing, writes
from bcclone.system.location import is_hidden
from bcclone.system.numbers import FloatArray, Memory, exponential_mean
from bcclone.system.pool import read_ahead


@dataclass(frozen=True)
class Predicted:
    """What predict() wrote into a table, and how."""

    output: Path  # the table
    frames: int  # rows of the table
    unreadable: tuple[str, ...]  # "path: reason" for each frame that is left out
    sizes: dict[str, int]  # "WIDTHxHEIGHT" of the pictures -> their number
    # what made the pictures into frames; None if they were stretched, or framed at their import
    framing: Framing | None
    input_size: str  # "WIDTHxHEIGHT" of pictures that the network takes as they are, "" for none
    clipped: int  # answers beyond -1 to 1; the table has -1 or 1 instead
    advice: str  # what may be wrong if most answers were clipped, else ""
    calibrated_delay_seconds: float  # how much later the driver of the calibration steers
    # by which the answers were delayed; 0 where the names of the frames tell no time
    delay_seconds: float


@writes("table of predictions")
def predict(settings: PredictSettings) -> Predicted:
    """Write the steering that a model predicts for each frame.

    The frames of a folder are taken in the order of their names. If the names are times, a pause of
    more than a second begins another drive: a network of several frames forgets those before the
    pause. Raises UserError.
    """
    # what predicts, and from which inputs
    files = frame_files(settings.frames)
    policy = load_policy(settings.model, settings.preprocess)
    inputs = PictureInputs.of(policy, _framing(settings, policy), settings.rows)

    # one frame after the other, since a network of several frames remembers the frames before
    steering: dict[str, float] = {}
    unreadable: list[str] = []
    sizes: Counter[str] = Counter()
    memory: Memory = ()
    paths = [file.path for file in files]
    with read_ahead("predicting", "frames", inputs.read, paths) as images:
        for file, result in zip(files, images, strict=True):
            if file.begins:
                memory = ()
            if isinstance(result, str):  # why it could not be read
                unreadable.append(f"{file.path}: {result}")
                continue
            pixels, size = result
            sizes[size] += 1
            answer, memory = policy.next_answer(pixels, memory)
            # fail for an answer that is not finite, rather than write a table that looks complete
            if not np.isfinite(answer.steering):
                raise not_finite(settings.model, f"at {file.path}")
            steering[file.frame_id] = answer.steering
    if not steering:
        raise UserError(
            f"{unreadable[0]}; none of the {len(files)} frames can be used: correct that, or name "
            "another folder"
        )

    # answers as the driver of the calibration steers
    delay_seconds = 0.0
    later = delayed(steering, files, policy.delay_seconds) if policy.delay_seconds else None
    if later:
        steering = later
        delay_seconds = policy.delay_seconds
    limited = {name: min(max(answer, -1.0), 1.0) for name, answer in steering.items()}
    beyond = sum(abs(answer) > 1 for answer in steering.values())
    table = Table((TableColumn("frame_id"), TableColumn("steering_angle")), list(limited.items()))
    with replacing(settings.output) as temporary:
        temporary.write_text(table.csv(), encoding="utf-8", newline="")
    return Predicted(
        output=settings.output,
        frames=len(steering),
        unreadable=tuple(unreadable),
        sizes=dict(sizes),
        framing=inputs.framing,
        input_size=inputs.untouched_size,
        clipped=beyond,
        advice=policy.advice(beyond, len(steering)),
        calibrated_delay_seconds=policy.delay_seconds,
        delay_seconds=delay_seconds,
    )


# ---- the frames


@dataclass(frozen=True)
class NamedFrame:
    """The file of a frame."""

    frame_id: str
    path: str
    begins: bool  # whether it is the first frame of a drive: the model forgets the frames before


def frame_files(source: Path) -> tuple[NamedFrame, ...]:
    """Return the frames of a recording in order of time, or those of a folder by their names.

    Numbers in the names count by their value. Raises UserError if there are no images, or two
    images of one name.

    source: a recording's folder or log, or a folder of images
    """
    if source.is_file() or is_recording(source):
        return _recorded(find_log(str(source)))  # its error says what the file is, if it is no log
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; name a folder of JPEGs or PNGs, or a recording")

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
    by_id: dict[str, Path] = {}
    for path in sorted(paths, key=in_order):
        if not path.stem.isprintable():
            raise UserError(
                f"{source}: the name {path.name!r} cannot be written into a table; rename the image"
            )
        _check_name(path, by_id.setdefault(path.stem, path))

    # a pause begins another drive, if the names tell the time
    seconds = seconds_of(list(by_id))
    steps = np.zeros(len(paths)) if seconds is None else np.diff(seconds, prepend=seconds[0])
    begins = (steps > EPISODE_GAP_MS / 1000) | (np.arange(len(paths)) == 0)
    return tuple(
        NamedFrame(name, str(path), bool(is_first))
        for (name, path), is_first in zip(by_id.items(), begins, strict=True)
    )


def _recorded(log: Path) -> tuple[NamedFrame, ...]:
    """Return the frames of the centre camera of a recording; raises as frame_files()."""
    reference = read_reference(log)
    files: dict[str, NamedFrame] = {}
    begins = True
    for images, ends in zip(reference.images, reference.ends, strict=True):
        path = images.get("center")
        if path:
            frame_id = Path(path).stem
            if frame_id not in files:
                files[frame_id] = NamedFrame(frame_id, path, begins)
                begins = False
            # rows may share an image, for which a table has one row; two images need two names
            _check_name(Path(path), Path(files[frame_id].path))
        begins = begins or ends
    return tuple(files.values())


def _check_name(path: Path, other: Path) -> None:
    """Raise UserError if two images have one name, as a.jpg and a.jpeg do."""
    if path != other:
        raise UserError(
            f"{path} and {other} have one name, so their frame_id would be the same; rename one of "
            "them, and in a log, too"
        )


def seconds_of(frame_ids: Sequence[str]) -> FloatArray | None:
    """Return the seconds since the first frame, (frames,), by the names; None if one is no time.

    A time is a number of milliseconds, microseconds or nanoseconds since 1970, or written as the
    simulator does.
    """
    if not frame_ids:
        return None
    digits = len(frame_ids[0])
    units_by_digits = {13: 1e3, 16: 1e6, 19: 1e9}  # units a second
    if digits in units_by_digits and all(
        len(name) == digits and name.isascii() and name.isdecimal() for name in frame_ids
    ):
        unit = units_by_digits[digits]
        times = [int(name) for name in frame_ids]
    else:
        unit = 1e3
        try:
            times = [time_of(name) for name in frame_ids]
        except RowError:
            return None
    return np.array([time - times[0] for time in times], np.float64) / unit


def delayed(
    steering: Mapping[str, float], files: Sequence[NamedFrame], seconds: float
) -> dict[str, float] | None:
    """Return the answers, later by some seconds, within each drive; None if a name is no time.

    A person who is late turns the wheel gradually towards where the network would have it. An
    exponential mean, a lag of first order, comes closer to that than the same answers later, and it
    smooths the noise of the network: benchmarks/lab-log/2026-11.md has the figures. Its mean delay
    is `seconds`. If `seconds` is below 0, the pictures are late, and each answer becomes that of so
    much later.

    steering: frame_id -> steering, for those of the files that could be read
    """
    times = seconds_of(list(steering))
    if times is None:
        return None
    values = np.array(list(steering.values()))
    # drives are numbered among all files, because the first frame of one may be unreadable
    numbers = dict(
        zip(
            [file.frame_id for file in files],
            accumulate(file.begins for file in files),
            strict=True,
        )
    )
    another = np.diff([numbers[name] for name in steering]) != 0
    back = np.diff(times) < 0
    later = np.empty(len(values))
    for drive in np.split(np.arange(len(values)), np.flatnonzero(another | back) + 1):
        if seconds > 0:
            later[drive] = exponential_mean(values[drive], times[drive], seconds)
        else:
            later[drive] = np.interp(times[drive] - seconds, times[drive], values[drive])
    return dict(zip(steering, later.tolist(), strict=True))


# ---- from pictures to inputs of a network


@dataclass(frozen=True)
class PictureInputs:
    """Reads pictures as inputs of a network."""

    prepared: Preprocessing  # from a frame to the network's input
    framing: Framing | None  # cuts a picture into a frame; if None, the picture is stretched
    rows: tuple[int, int] | None  # first row and end of what is stretched; None for all rows
    frames_itself: bool = False  # whether the network takes pictures, and frames them itself

    @classmethod
    def of(
        cls, policy: Policy, framing: Framing | None, rows: tuple[int, int] | None = None
    ) -> Self:
        """Return what reads pictures for a policy.

        Raises UserError for a policy that frames pictures itself, if these are frames already.

        framing: how the pictures become frames; None if they are frames, or are stretched
        """
        if framing is None:
            policy = policy.without_framing()
        return cls(policy.preprocessing, framing, rows, policy.frames_itself)

    @property
    def untouched_size(self) -> str:
        """Return "WIDTHxHEIGHT" of pictures that the network takes as they are, "" for none.

        This is the size of the network's input. Otherwise such a picture would be stretched to a
        frame, and shrunk back.
        """
        is_whole = not (self.framing or self.rows or self.prepared.crops)
        return f"{self.prepared.width}x{self.prepared.height}" if is_whole else ""

    def read(self, path: str) -> tuple[Image, str] | str:
        """Return a prepared image and its picture's size, "WIDTHxHEIGHT"; or why it is not read."""
        try:
            pixels = read_picture(path)
            height, width = pixels.shape[:2]
            size = f"{width}x{height}"
            if size == self.untouched_size:
                as_it_is = replace(self.prepared, frame_width=width, frame_height=height)
                return as_it_is.apply(pixels), size
            framing = self.framing or Framing.of(pixels, self.rows)
            if self.frames_itself:
                return framing.fitted(pixels), size
            return self.prepared.apply(framing.apply(pixels)), size
        except BadImage as error:
            return str(error)


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


def notes_of(predicted: Predicted, rows: tuple[int, int] | None) -> Sequence[str]:
    """Return notes: how pictures became frames, and what was clipped or left out."""
    notes = []
    for size, frames in predicted.sizes.items():
        how = _how_framed(predicted, rows, size)
        if how:
            notes.append(f"{frames} frames of {size} pixels: {how}")
    seconds = f"{predicted.calibrated_delay_seconds:.2f} s"
    if predicted.delay_seconds:
        notes.append(f"the answers are {seconds} late, as the driver's of the calibration")
    elif predicted.calibrated_delay_seconds:
        notes.append(
            f"the driver of the calibration steers {seconds} later than the model; the answers are "
            "not delayed by that, because the names of the frames tell no time"
        )
    if predicted.clipped:
        notes.append(
            f"{predicted.clipped} of {predicted.frames} answers are beyond -1 to 1, "
            "written as -1 or 1"
        )
        if predicted.advice:
            notes.append(predicted.advice)
    if predicted.unreadable:
        notes.append(
            f"{len(predicted.unreadable)} frames are left out; the first: {predicted.unreadable[0]}"
        )
    return notes


def _how_framed(predicted: Predicted, rows: tuple[int, int] | None, size: str) -> str:
    """Return how pictures of a size became frames; "" if they were frames already."""
    frame_size = f"{FRAME_WIDTH}x{FRAME_HEIGHT}"
    framing = predicted.framing
    if framing:
        # a picture of a frame's size is taken for a frame, unless the camera's have its shape, too
        if size == frame_size and not framing.has_shape_of_frames:
            return ""
        return f"as pictures of {framing.describe()}"
    if size == predicted.input_size and size != frame_size:
        return "as they are, the size of the network's input"
    if rows:
        return f"rows {rows[0]} to {rows[1]}, stretched to {frame_size}"
    return "" if size == frame_size else f"all rows, stretched to {frame_size}"
