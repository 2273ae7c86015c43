"""Write a table with a model's steering for each frame; and read such tables.

predict() asks a model for each frame of a folder, or of the centre camera of a recording, and
writes a table. read_steering() returns the steering in a table by frame_id.

A table has a row for each frame, with the columns frame_id and steering_angle. A frame_id is the
name of the frame's file without its ending.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

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
from bcclone.evaluation.worker_model import not_finite
from bcclone.model.policy import load_policy
from bcclone.recording.files import find_log, is_recording
from bcclone.recording.log import EPISODE_GAP_MS, read_log
from bcclone.recording.row import RowError, time_of
from bcclone.system.arrays import FloatArray, Memory
from bcclone.system.atomic import replacing
from bcclone.system.codec import number, read_table
from bcclone.system.errors import UserError, shown
from bcclone.system.output import writes
from bcclone.system.prefetch import read_ahead
from bcclone.system.table import Table, TableColumn

# names of the columns of a table
ID = "frame_id"
STEERING = "steering_angle"


@dataclass(frozen=True)
class NamedFrame:
    """The file of a frame."""

    frame_id: str
    path: str
    begins: bool  # whether it is the first frame of a drive: the model forgets the frames before


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


@writes("table of predictions")
def predict(settings: PredictSettings) -> Predicted:
    """Write the steering that a model predicts for each frame.

    The frames of a folder are taken in the order of their names; numbers in the names are ordered
    by their value, so frame 10 comes after frame 9. If the names are times, a pause of more than a
    second begins another drive: a network of several frames forgets those before the pause. Raises
    UserError.
    """
    # what predicts, and from which inputs
    files = frame_files(settings.frames)
    policy = load_policy(settings.model, settings.preprocess)
    inputs = PictureInputs(policy.preprocessing, _framing(settings, policy.framing), settings.rows)

    # one frame after the other, since a network of several frames remembers the frames before
    steering: dict[str, float] = {}
    unreadable: list[str] = []
    sizes: Counter[str] = Counter()
    memory: Memory = ()
    with read_ahead("predicting", "frames", inputs.read, files) as images:
        for file, result in zip(files, images, strict=True):
            if file.begins:
                memory = ()
            if isinstance(result, str):  # why it could not be read
                unreadable.append(f"{file.path}: {result}")
                continue
            pixels, size = result
            sizes[size] += 1
            answer, memory = policy.next_answer(pixels, memory)
            steering[file.frame_id] = answer.steering

    if not steering:
        raise UserError(f"{unreadable[0]}; none of the {len(files)} frames can be used")
    # fail for an answer that is not finite, rather than write a table that looks complete
    broken = [file.path for file in files if not np.isfinite(steering.get(file.frame_id, 0.0))]
    if broken:
        raise not_finite(settings.model, f"at {broken[0]}")
    limited = {name: min(max(answer, -1.0), 1.0) for name, answer in steering.items()}
    beyond = sum(abs(answer) > 1 for answer in steering.values())
    write_steering(settings.output, limited)
    return Predicted(
        output=settings.output,
        frames=len(steering),
        unreadable=tuple(unreadable),
        sizes=dict(sizes),
        framing=inputs.framing,
        input_size=inputs.untouched_size,
        clipped=beyond,
        advice=policy.advice(beyond, len(steering)),
    )


@dataclass(frozen=True)
class PictureInputs:
    """Reads pictures as inputs of a network."""

    prepared: Preprocessing  # from a frame to the network's input
    framing: Framing | None  # cuts a picture into a frame; if None, the picture is stretched
    rows: tuple[int, int] | None  # first row and end of what is stretched; None for all rows

    @property
    def untouched_size(self) -> str:
        """Return "WIDTHxHEIGHT" of pictures that the network takes as they are, "" for none.

        This is the size of the network's input. Otherwise such a picture would be stretched to a
        frame, and shrunk back.
        """
        is_whole = not (self.framing or self.rows or self.prepared.crops)
        return f"{self.prepared.width}x{self.prepared.height}" if is_whole else ""

    def read(self, file: NamedFrame) -> tuple[Image, str] | str:
        """Return a prepared image and its picture's size, "WIDTHxHEIGHT"; or why it is not read."""
        try:
            pixels = read_picture(file.path)
            height, width = pixels.shape[:2]
            size = f"{width}x{height}"
            if size == self.untouched_size:
                as_it_is = replace(self.prepared, frame_width=width, frame_height=height)
                return as_it_is.apply(pixels), size
            framing = self.framing or Framing.of(pixels, self.rows)
            return self.prepared.apply(framing.apply(pixels)), size
        except BadImage as error:
            return str(error)


def frame_files(source: Path) -> tuple[NamedFrame, ...]:
    """Return the frames of a recording in order of time, or those of a folder by their names.

    If the folder itself has no images, the images in all its subfolders are taken. Raises UserError
    if there are no images, or two images of one name.

    source: a recording's folder or log, or a folder of images
    """
    if source.is_file() and source.suffix.lower() in IMAGE_ENDINGS:
        raise UserError(f"{source}: a single image; name its folder")
    if source.is_file() or is_recording(source):
        return _recorded(find_log(str(source)))  # its error says what the file is, if it is no log
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; name a folder of JPEGs or PNGs, or a recording")
    paths = _images(source.iterdir()) or _images(source.rglob("*"))
    if not paths:
        raise UserError(
            f"{source}: no images in it, expected files that end in {', '.join(IMAGE_ENDINGS)}"
        )
    by_id: dict[str, Path] = {}
    for path in paths:
        if not path.stem.isprintable():
            raise UserError(
                f"{source}: the name {path.name!r} cannot be written into a table; rename the image"
            )
        other = by_id.setdefault(path.stem, path)
        if other is not path:
            raise UserError(
                f"{path} and {other} have one name, which is their frame_id; "
                "name one folder of them"
            )

    # a pause begins another drive, if the names tell the time
    seconds = seconds_of(list(by_id))
    steps = np.zeros(len(paths)) if seconds is None else np.diff(seconds, prepend=seconds[0])
    begins = (steps > EPISODE_GAP_MS / 1000) | (np.arange(len(paths)) == 0)
    return tuple(
        NamedFrame(name, str(path), bool(is_first))
        for (name, path), is_first in zip(by_id.items(), begins, strict=True)
    )


def _recorded(log: Path) -> tuple[NamedFrame, ...]:
    """Return the frames of the centre camera of a recording."""
    reference = read_reference(log)
    files: dict[str, NamedFrame] = {}
    begins = True
    for images, ends in zip(reference.images, reference.ends, strict=True):
        path = images.get("center")
        if path:
            frame_id = Path(path).stem
            if frame_id not in files:  # rows may share an image, but a table has one row for it
                files[frame_id] = NamedFrame(frame_id, path, begins)
                begins = False
        begins = begins or ends
    return tuple(files.values())


def _images(paths: Iterator[Path]) -> list[Path]:
    """Return the images in the order of their names, in which numbers count by their value."""

    def sort_key(path: Path) -> list[str | int]:
        parts: list[str | int] = [*re.split(r"([0-9]+)", str(path))]
        parts[1::2] = map(int, parts[1::2])  # the numbers stand between the words
        return parts

    images = [
        path
        for path in paths
        if path.suffix.lower() in IMAGE_ENDINGS and not path.name.startswith(".")
    ]
    return sorted(images, key=sort_key)


def _framing(settings: PredictSettings, model_framing: Framing | None) -> Framing | None:
    """Return the framing to apply to the pictures.

    None if they are stretched, and for a recording whose pictures were framed at its import.
    """
    if settings.rows:
        return None
    framing = read_framing(settings.framing) if settings.framing else model_framing
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


def write_steering(path: Path, steering: Mapping[str, float]) -> None:
    """Write the steering by frame_id atomically."""
    table = Table((TableColumn(ID), TableColumn(STEERING)), list(steering.items()))
    with replacing(path) as temporary:
        temporary.write_text(table.csv(), encoding="utf-8", newline="")


def read_labels(path: Path, column: str = "") -> dict[str, float]:
    """Read the labels of frames from a table, as read_steering(), or from a recording.

    path: a table, or the folder or log of a recording
    column: the table's column with the steering, "" to find it
    """
    if not (path.is_dir() or is_recording(path)):
        return read_steering(path, column)
    try:
        log = find_log(str(path))
    except UserError as error:
        # a folder without a log, such as a tub, must be imported first; its labels then fit only
        # the frames of the import, whose images have new names
        raise UserError(
            f"{error}; an import renames the images, so name the recording as the frames, too"
        ) from None
    rows = read_log(log).rows
    names = (PurePath(name).stem for name in rows["center"])
    return dict(zip(names, map(float, rows["steering"]), strict=True))


_MOST_STEERING = 10_000.0  # largest number in a table; no steering wheel turns so many degrees


def read_steering(path: Path, column: str = "") -> dict[str, float]:
    """Read a table with the columns frame_id and steering; return the steering by frame_id.

    Other columns are ignored. Raises UserError for a table that cannot be read, with the line.

    column: name of the column with the steering; "" for the first of steering_angle, steering and
        angle that there is, or else the only column beside frame_id
    """
    steering: dict[str, float] = {}
    for line, cells in read_table(
        path, [ID], f"a table of {ID},{STEERING}", "correct it, or name another CSV file"
    ):
        name = _steering_column(path, cells, column)
        try:
            frame_id = cells[ID].strip()
            if frame_id in steering:
                raise ValueError(f"{ID} {shown(frame_id)} stands there twice")
            if not frame_id or not frame_id.isprintable():
                raise ValueError(f"{ID} {shown(frame_id)} is no name of a frame")
            steering[frame_id] = number(name, cells[name], -_MOST_STEERING, _MOST_STEERING)
        except ValueError as error:
            raise UserError(
                f"{path}: line {line}: {error}; correct it, or remove the line"
            ) from None
    if not steering:
        raise UserError(
            f"{path}: it has no rows, expected a line for each frame below {ID},{STEERING}"
        )
    return steering


def _steering_column(path: Path, columns: Collection[str], column: str) -> str:
    """Return the name of the column with the steering; raises UserError where it is unknown.

    column: as read_steering() takes it
    """
    if column and column in columns:
        return column
    others = [name for name in columns if name != ID]
    names = [name for name in (STEERING, "steering", "angle") if name in others]
    if not names and len(others) == 1:
        names = others
    if column or not names:  # the column that was asked for is missing, or none can be found
        given = shown(",".join(columns))
        raise UserError(
            f"{path}: its columns are {given}, expected {column or STEERING!r}; "
            "name the steering: --steering-column"
        )
    return names[0]


def seconds_of(frame_ids: Sequence[str]) -> FloatArray | None:
    """Return the seconds since the first frame, (frames,), by the names; None if one is no time.

    A time is a number of milliseconds, microseconds or nanoseconds since 1970, or written as the
    simulator does.
    """
    if not frame_ids:
        return None
    digits = len(frame_ids[0])
    units_by_digits = {13: 1e3, 16: 1e6, 19: 1e9}  # units a second
    if digits in units_by_digits and all(_is_number(name, digits) for name in frame_ids):
        unit = units_by_digits[digits]
        times = [int(name) for name in frame_ids]
    else:
        unit = 1e3
        try:
            times = [time_of(name) for name in frame_ids]
        except RowError:
            return None
    return np.array([time - times[0] for time in times], np.float64) / unit


def _is_number(name: str, digits: int) -> bool:
    return len(name) == digits and name.isascii() and name.isdecimal()
