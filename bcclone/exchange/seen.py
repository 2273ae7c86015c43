"""Count what an import takes and what it leaves out, and check that enough is left.

In: the rows of a source, and what its reader says of it. Out: a `Summary`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.exchange.rows import KINDS, LeftOut, Row
from bcclone.recording.row import EPISODE_GAP_MS
from bcclone.system.errors import UserError, number_of
from bcclone.system.numbers import FloatArray

_LEAST_SHARE = 0.1  # smallest share of the rows that must be usable
_EXAMPLES = 3  # most examples that are listed for each of KINDS
_SHOWN_COLUMNS = 20  # most columns that are listed as not read


@dataclass(frozen=True)
class Summary:
    """What an import saw."""

    size: tuple[int, int]  # width and height of most images, before they are fitted
    sizes: dict[str, int]  # "160x120" -> number of images of this size
    aspect: float  # width / height of `size`
    frame_rate: float | None  # usual number of rows a second, None for a single row
    images_without_record: int  # image files that no row names, or frames of a video without a row
    # number of rows that are left out for each of KINDS
    records_without_image: int
    empty_images: int
    unreadable_images: int
    broken_lines: int
    # the first such rows of each kind, with file, row and reason
    left_out: tuple[str, ...]
    below_min_throttle: int  # number of rows that --min-throttle leaves out
    # number of rows with a speed of about 0; if no row has a speed, with a throttle of about 0;
    # None if the source has neither
    standing: int | None
    columns_left_out: tuple[str, ...]  # columns that were not read
    notes: tuple[str, ...]  # how the source was read, in words
    # shares of the rows that steer to the left, straight on, and to the right
    left: float
    straight: float
    right: float
    steering_mean: float  # -1 to 1, right positive

    def with_steering(self, steering: Sequence[float], notes: Sequence[str]) -> "Summary":
        """Return the summary with a steering that was estimated, in place of the source's.

        steering: -1 to 1, of each row of the recording
        notes: how good it is, in words
        """
        figures = _steering_figures(np.array(steering, np.float64))
        return replace(self, notes=(*self.notes, *notes), **figures)

    def lines(self) -> Iterator[str]:
        """Yield the summary in words, line by line."""
        rate = f", {self.frame_rate:g} frames a second" if self.frame_rate else ""
        yield f"images: {', '.join(self.sizes)} pixels, {self.aspect:g} to 1{rate}"
        yield from self.notes
        steering = f"{self.left:.0%} left, {self.straight:.0%} straight, {self.right:.0%} right"
        yield f"steers {steering}; {self.steering_mean:+.3f} on average"
        counts = _describe_left_out(vars(self))
        if counts:
            yield f"left out: {', '.join(counts)}"
            yield from (f"  {line}" for line in self.left_out)
        if self.below_min_throttle:
            yield f"left out: {number_of(self.below_min_throttle, 'row')} below --min-throttle"
        if self.images_without_record:
            yield f"{number_of(self.images_without_record, 'image')} without record"
        if self.standing:
            rows = number_of(self.standing, "row")
            yield f"{rows} standing still; --min-throttle leaves out rows without throttle"
        if self.columns_left_out:
            yield f"not read: {', '.join(self.columns_left_out[:_SHOWN_COLUMNS])}"


def _describe_left_out(counts: Mapping[str, Any]) -> list[str]:
    """Return how many rows of each kind are left out, in words.

    counts: kind -> number of rows; other entries do not matter
    """
    return [number_of(counts[kind], word) for kind, word in KINDS.items() if counts[kind]]


class Seen:
    """Counts the rows of an import.

    A reader sets the public fields in the thread that reads; add() is called where the rows arrive.

    min_throttle: rows with less throttle are left out; below 0, those with more, since the car
        drives forwards with a negative throttle; None to leave out none
    """

    def __init__(self, min_throttle: float | None = None) -> None:
        self.notes: list[str] = []  # how the source was read, in words
        self.columns_left_out: Sequence[str] = ()
        self.images_without_record = 0  # image files that no row names
        self.frames_without_row = 0  # of a video; they count as rows that are left out
        self.converted = 0  # images that were not frames already
        self._min_throttle = min_throttle
        self._below_throttle = 0
        self._left_out: Counter[str] = Counter()  # key of KINDS -> number of rows
        self._examples: list[str] = []  # the first rows of each kind, with place and reason
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._numbers: list[tuple[float, float, float]] = []  # steering, throttle, speed
        # number of a recording -> times of its rows in milliseconds
        self._times: defaultdict[int, list[int]] = defaultdict(list)

    def drives(self, row: Row) -> bool:
        """Return whether a row has the least throttle; count it if it has not."""
        least = self._min_throttle
        if least is None or (row.throttle <= least if least < 0 else row.throttle >= least):
            return True
        self._below_throttle += 1
        return False

    def add(self, item: Row | LeftOut) -> None:
        """Count a row with frames, or one that is left out."""
        if isinstance(item, LeftOut):
            self._left_out[item.kind] += 1
            if self._left_out[item.kind] <= _EXAMPLES:
                self._examples.append(item.shown)
            return
        self.converted += item.converted
        self._sizes[item.size] += 1
        self._numbers.append((item.steering, item.throttle, item.speed_mph))
        self._times[item.recording].append(item.source_ms)

    def check(self, source: Path) -> None:
        """Raise UserError if less than a tenth of all rows are usable, or of these, less than a
        tenth reach --min-throttle.
        """
        rows = len(self._numbers)
        usable = rows + self._below_throttle
        # A frame of a video should have a row, so one without a row is lost. An image file that no
        # record names is not counted: there is no row with which something is wrong.
        lost = self._left_out.total() + self.frames_without_row
        if not usable and not lost:
            raise UserError(f"{source}: it has no rows; name a source that has some")
        if usable < max(_LEAST_SHARE * (usable + lost), 1):
            reasons = _describe_left_out(self._left_out)
            if self.frames_without_row:
                reasons.append(f"{self.frames_without_row} frames without a row")
            first = f"; the first: {self._examples[0]}" if self._examples else ""
            raise UserError(
                f"{source}: {usable} of {usable + lost} rows can be used, expected a tenth or more "
                f"({', '.join(reasons)}){first}; correct the source, or "
                "copy it again"
            )
        if rows < max(_LEAST_SHARE * usable, 1):
            raise UserError(
                f"{source}: {rows} of {usable} rows have the throttle of --min-throttle "
                f"{self._min_throttle:g}; choose one nearer to 0, or of the other sign if that "
                "drives forwards, or leave it out"
            )

    def summary(self) -> Summary:
        """Return what was counted; at least one row was."""
        steering, throttle, speed_mph = np.array(self._numbers, np.float64).T
        width, height = self._sizes.most_common(1)[0][0]
        standing = None
        if np.any(speed_mph):
            standing = int(np.sum(np.abs(speed_mph) < 0.5))
        elif np.any(throttle):
            standing = int(np.sum(np.abs(throttle) < 0.01))
        return Summary(
            size=(width, height),
            sizes={f"{size[0]}x{size[1]}": count for size, count in self._sizes.most_common()},
            aspect=round(width / height, 3),
            frame_rate=self._frame_rate(),
            images_without_record=self.images_without_record + self.frames_without_row,
            left_out=tuple(self._examples),
            below_min_throttle=self._below_throttle,
            standing=standing,
            columns_left_out=tuple(self.columns_left_out),
            notes=tuple(self.notes),
            **_steering_figures(steering),
            **{kind: self._left_out[kind] for kind in KINDS},
        )

    def _frame_rate(self) -> float | None:
        """Return the usual number of rows a second, None for a single row."""
        drives = [np.sort(np.asarray(times, np.int64)) for times in self._times.values()]
        steps = np.concatenate([np.diff(times) for times in drives])
        steps = steps[(steps > 0) & (steps <= EPISODE_GAP_MS)]
        if not len(steps):
            return None
        # a longer step spans rows that were left out
        usual = steps[steps <= 1.5 * np.median(steps)]
        return round(1000 / float(usual.mean()), 1)


def _steering_figures(steering: FloatArray) -> dict[str, Any]:
    """Return the shares of rows that steer to each side, and the mean steering, as in Summary.

    steering: (rows,)
    """
    left = steering < -0.01
    right = steering > 0.01
    per_row = {
        "left": left,
        "straight": ~(left | right),
        "right": right,
        "steering_mean": steering,
    }
    # the mean of a condition is the share of the rows that meet it
    return {name: round(float(values.mean()), 4) for name, values in per_row.items()}
