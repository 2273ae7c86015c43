"""The rows of a table -> whether they are those of several cameras.

A recording has the pictures of the camera that looks forward. A table may have a row for each
picture of several cameras instead: rows whose images, or whose column of cameras, are called as
cameras or take turns; or several rows at a time, by their times. Also which of several columns is
of which camera, by their names.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

import numpy as np

from bcclone.exchange.plain_names import plain
from bcclone.exchange.questions import Missing
from bcclone.exchange.table import SourceTable
from bcclone.exchange.times import Times, times_of_images
from bcclone.recording.row import CAMERAS
from bcclone.recording.written_times import SHORTEST_STEP_MS

_OF_CAMERAS = re.compile("(?:camera|cam|sensor|topic|frame)(?:_(?:id|name))?")
_MOST_CAMERAS = 12  # of a car
# how the images of several cameras, or flipped ones, are called
_SIDE = re.compile(
    "(?<![a-z])(left|center|centre|right|front|rear|back|flip|flipped|mirror)(?![a-z])"
)


def ask_of_cameras(
    table: SourceTable,
    image_column: str,
    times: Times | None,
    pictures: Sequence[str],
    frame_rate: float | None = None,
) -> Iterator[Missing]:
    """Yield a question for a table that has a row for each image of several cameras.

    image_column: "" where no column names the images
    times: when the rows were taken, None where that is unknown
    pictures: the picture of each row; rows with the same one and the same time count once
    frame_rate: the stated one
    """
    for name, cells in table.columns.items():
        if name != image_column and not _OF_CAMERAS.fullmatch(plain(name)):
            continue
        filled = list(filter(None, cells))
        found = _cameras_of(filled)
        counted = _rate_of_counter(filled) if found else None
        if not found or (counted and (not counted.is_steady or counted.rate == frame_rate)):
            continue
        facts = {"column": name, "values": found}
        if counted:
            yield Missing("cameras or numbers", "frame_rate", "HZ", facts | {"rate": counted.rate})
        else:
            yield Missing("cameras", facts=facts)
        return
    if times and (rows := _rows_at_once(times, pictures)):
        yield Missing("cameras at once", facts={"rows": rows})


def _cameras_of(cells: Sequence[str]) -> list[str]:
    """Return the names of cameras in cells, or of their images without the numbers of frames: these
    take turns, or are called as cameras; [] for those of one camera.
    """
    # the numbers of frames are of many digits, or the number behind a name is of a camera
    for digits in (r"\d{3,}", r"\d+"):
        values = [re.sub(digits, "#", cell) for cell in cells]
        counts = Counter(values)
        if not 1 < len(counts) <= min(_MOST_CAMERAS, len(values) // 2):
            continue
        changes = sum(before != after for before, after in pairwise(values))
        often = [value for value, count in counts.items() if count >= 0.05 * len(values)]
        called = {side for value in often for side in _SIDE.findall(value.lower())}
        is_in_turns = changes > max(3, 0.2 * len(values))
        if is_in_turns or len(called) > 1:
            return list(counts)
    return []


@dataclass(frozen=True)
class _Counter:
    """Numbers in names that count the pictures of one camera in each second."""

    rate: int  # the usual number of pictures in a second
    is_steady: bool  # it is always so many, as with a picture of each of so many cameras


def _rate_of_counter(cells: Sequence[str]) -> _Counter | None:
    """Return how the short numbers in names count the pictures of each second; None where what
    else is in the names is not the same second for several.
    """
    usual_share = 0.8
    short = re.compile(r"(?<!\d)\d{1,2}(?!\d)")
    seconds = Counter(PurePosixPath(short.sub("", cell)).stem for cell in cells)
    sizes = Counter(seconds.values())
    size, groups = sizes.most_common(1)[0]
    times = times_of_images(list(seconds))
    if size < 2 or not isinstance(times, Times) or (times.milliseconds % 1000).any():
        return None
    return _Counter(size, groups >= usual_share * len(seconds))


def _rows_at_once(times: Times, pictures: Sequence[str]) -> int:
    """Return how many rows follow each other faster than those of a camera before each step that is
    long, as the rows of so many cameras do; 0 where it is not always the same number.
    """
    fewest_groups = 3
    longer = 5.0  # times as long as the steps within a group
    usual_share = 0.8  # of the groups
    frames = set(zip(times.milliseconds.tolist(), pictures, strict=True))
    known = np.sort([time_ms for time_ms, _ in frames if not np.isnan(time_ms)])
    steps = np.diff(known)
    within = steps < SHORTEST_STEP_MS
    # a clock of whole seconds has several rows of one camera in each
    if not within.any() or within.all() or not (known % 1000).any():
        return 0
    if steps[~within].min() < longer * steps[within].max():
        return 0
    sizes = np.diff(np.concatenate([[-1], np.flatnonzero(~within), [len(steps)]]))
    counts = Counter(sizes.tolist())
    size, groups = counts.most_common(1)[0]
    is_usual = groups >= max(fewest_groups, usual_share * len(sizes))
    return int(size) if is_usual and size > 1 else 0


# ---- names of cameras


_FORWARD = ("front", "forward", "centre", "middle", "mid")  # a camera that looks there


def camera_of_name(name: str) -> str:
    """Return a plain name without the words for cameras and images: left_camera -> left."""
    return re.sub("_?(?:camera|cam|images?|img)_?", "", plain(name))


def with_center(by_camera: Mapping[str, str]) -> dict[str, str]:
    """Return name of a camera -> what has its images, where one that looks forward is the center if
    none is called that.
    """
    forward = (by_camera[name] for name in _FORWARD if name in by_camera)
    center = by_camera.get(CAMERAS[0]) or next(forward, "")
    return dict(by_camera) | ({CAMERAS[0]: center} if center else {})
