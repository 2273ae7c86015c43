"""Find frames to predict: a folder of images, or a recording -> the files of its frames, in order.

The names of the frames may tell their times.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bcclone.camera.images import IMAGE_ENDINGS
from bcclone.evaluation.rollout import read_reference
from bcclone.recording.files import find_log, is_recording
from bcclone.recording.row import EPISODE_GAP_MS, RowError, time_of
from bcclone.system.errors import UserError
from bcclone.system.location import is_hidden
from bcclone.system.numbers import FloatArray


@dataclass(frozen=True)
class NamedFrame:
    """The file of a frame."""

    frame_id: str
    path: str
    begins: bool  # whether it is the first frame of a drive: the model forgets the frames before


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
                f"{path} and {other} have one name, so their frame_id would be the same; "
                "give only one of their folders"
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
    """Return the frames of the centre camera of a recording.

    Raises UserError if two images have one name, as a.jpg and a.jpeg do.
    """
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
            elif files[frame_id].path != path:
                raise UserError(
                    f"{path} and {files[frame_id].path} have one name, so their frame_id would be "
                    "the same; rename one of them, in the log, too"
                )
        begins = begins or ends
    return tuple(files.values())


def _images(paths: Iterator[Path]) -> list[Path]:
    """Return the images in the order of their names, in which numbers count by their value."""

    def sort_key(path: Path) -> list[str | int]:
        parts: list[str | int] = [*re.split(r"([0-9]+)", str(path))]
        parts[1::2] = map(int, parts[1::2])  # the numbers stand between the words
        return parts

    images = [
        path for path in paths if path.suffix.lower() in IMAGE_ENDINGS and not is_hidden(path.name)
    ]
    return sorted(images, key=sort_key)


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
