"""Count what an import takes and what it leaves out, and check that enough is left."""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.exchange.exchanged_row import BROKEN, KINDS, ExchangedRow
from bcclone.recording.log import EPISODE_GAP_MS
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError, number_of

# largest share of the rows that may have a number out of its range by accident; if there are more,
# the unit or the column is wrong
ACCIDENTS_SHARE = 0.01
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
    # examples: the first such rows of each kind, with file, row and reason; --json has this name
    left_out: tuple[str, ...]
    below_min_throttle: int  # number of rows that --min-throttle leaves out
    # number of rows with a speed of about 0, or without any speed, a throttle of about 0; None if
    # the source has neither
    standing: int | None
    columns_left_out: tuple[str, ...]  # columns that were not read
    notes: tuple[str, ...]  # how the source was read, in words
    # shares of the rows that steer to the left, straight on, and to the right
    left: float
    straight: float
    right: float
    steering_mean: float  # -1 to 1, right positive

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
    described = []
    for kind, word in KINDS.items():
        if counts[kind] == 1:
            described.append(f"1 {word}")
        # the name of a kind is a plural, such as empty_images
        elif counts[kind]:
            described.append(f"{counts[kind]} {kind.replace('_', ' ')}")
    return described


class Findings:
    """Counts what an import takes and what it leaves out, and checks that enough is left.

    The stages of an import fill it in: the reader of the source sets images_without_record,
    frames_are_rows, columns_left_out and notes; find_direction() sets forwards and direction; the
    stage that estimates the steering calls estimate().
    """

    def __init__(self, min_throttle: float | None = None) -> None:
        self.min_throttle = min_throttle
        self.forwards = 1  # -1 if the car drives forwards with a negative throttle
        self.direction = ""  # how `forwards` was found, in words
        self.images_without_record = 0
        # whether images without a record count as rows that are left out, as frames of a video do
        self.frames_are_rows = False
        self.columns_left_out: tuple[str, ...] = ()
        self.notes: list[str] = []
        self.left_out_counts: Counter[str] = Counter()  # kind -> number of rows
        self.examples: list[str] = []  # the first rows of each kind, with place and reason
        self.converted = 0  # number of images that were not frames already
        self.has_estimates = False  # whether the steering is estimated
        self._estimates: list[float] = []
        self._estimate_notes: tuple[str, ...] = ()
        self._below_min_throttle = 0
        self._greatest_throttle = -1.0
        self._lock = threading.Lock()
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._numbers: list[tuple[float, float, float]] = []  # steering, throttle, speed
        # number of a recording -> times of its rows in milliseconds
        self._times: defaultdict[int, list[int]] = defaultdict(list)

    @property
    def rows(self) -> int:
        """Return how many rows were taken."""
        return len(self._numbers)

    def leave_out(self, place: str, error: ValueError | str, kind: str = BROKEN) -> None:
        """Count a row that cannot be used.

        place: file and row
        error: why it cannot be used
        kind: key of KINDS; the kind of the error counts instead, if it has one (UnusableImage)
        """
        kind = getattr(error, "kind", kind)
        with self._lock:  # a thread reads, another one writes
            self.left_out_counts[kind] += 1
            if self.left_out_counts[kind] <= _EXAMPLES:
                self.examples.append(f"{place}: {error}")

    @contextmanager
    def usable(self, place: str) -> Iterator[None]:
        """Leave out the row at a place if the block raises ValueError."""
        try:
            yield
        except ValueError as error:
            self.leave_out(place, error)

    def drives(self, row: ExchangedRow) -> bool:
        """Return whether a row has at least the throttle --min-throttle; count it if not."""
        throttle = self.forwards * row.throttle
        self._greatest_throttle = max(self._greatest_throttle, throttle)
        drives = self.min_throttle is None or throttle >= self.min_throttle
        self._below_min_throttle += not drives
        return drives

    def take(self, row: ExchangedRow, size: tuple[int, int], converted: int) -> None:
        """Count a row that is used.

        row: as the source has it, with its own time
        size: width and height of its centre image
        converted: how many of its images were converted to frames
        """
        self._sizes[size] += 1
        self._numbers.append((row.steering, row.throttle, row.speed_mph))
        self._times[row.recording].append(row.time_ms)
        self.converted += converted

    def estimate(self, steering: Sequence[float], notes: Sequence[str]) -> None:
        """Set the estimated steering of the rows that are written, and notes on it."""
        self.has_estimates = True
        self._estimates = list(steering)
        self._estimate_notes = tuple(notes)

    def check(self, source: Path) -> None:
        """Raise UserError if too few rows are left.

        These are fewer than a tenth of the rows that are usable, or of the usable rows fewer than a
        tenth that reach --min-throttle.
        """
        frames = self.images_without_record if self.frames_are_rows else 0
        usable = self.rows + self._below_min_throttle
        lost = self.left_out_counts.total() + frames
        if not usable and not lost:
            raise UserError(f"{source}: it has no rows; name a source that has some")
        if usable < max(_LEAST_SHARE * (usable + lost), 1):
            raise self._too_few_usable(source, usable, lost, frames)
        if self.min_throttle is not None and self.rows < max(_LEAST_SHARE * usable, 1):
            raise self._too_few_drive(source, usable, self.forwards * self.min_throttle)

    def _too_few_usable(self, source: Path, usable: int, lost: int, frames: int) -> UserError:
        reasons = _describe_left_out(self.left_out_counts)
        if frames:
            reasons.append(f"{frames} frames without a row")
        first = f"; the first: {self.examples[0]}" if self.examples else ""
        return UserError(
            f"{source}: {usable} of {usable + lost} rows can be used, expected a tenth or more "
            f"({', '.join(reasons)}){first}; correct the source, or copy it again"
        )

    def _too_few_drive(self, source: Path, usable: int, least: float) -> UserError:
        side = "more" if self.forwards > 0 else "less"
        strongest = self.forwards * self._greatest_throttle
        direction = f"; {self.direction}" if self.direction else ""
        return UserError(
            f"{source}: {self.rows} of {usable} rows have a throttle of {least:g} or {side}, "
            f"expected a tenth of them; the strongest is {strongest:g}{direction}; choose a "
            "smaller --min-throttle, or leave it out"
        )

    def summary(self) -> Summary:
        """Return what was seen; at least one row was taken."""
        steering, throttle, speed_mph = np.array(self._numbers, np.float64).T
        if self.has_estimates:
            steering = np.array(self._estimates, np.float64)
        width, height = self._sizes.most_common(1)[0][0]
        notes = list(self.notes)
        if self.direction:
            notes.append(self.direction)
        return Summary(
            size=(width, height),
            sizes={f"{size[0]}x{size[1]}": count for size, count in self._sizes.most_common()},
            aspect=round(width / height, 3),
            frame_rate=self._frame_rate(),
            images_without_record=self.images_without_record,
            left_out=tuple(self.examples),
            below_min_throttle=self._below_min_throttle,
            standing=_count_standing(throttle, speed_mph),
            columns_left_out=self.columns_left_out,
            notes=(*notes, *self._estimate_notes),
            **_shares_of(steering),
            **{kind: self.left_out_counts[kind] for kind in KINDS},
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


def _count_standing(throttle: FloatArray, speed_mph: FloatArray) -> int | None:
    """Count the rows in which the car stands, by its speed, or without any speed by its throttle.

    Returns None if all speeds and throttles are 0.

    throttle, speed_mph: (rows,)
    """
    if np.any(speed_mph):
        return int(np.sum(np.abs(speed_mph) < 0.5))
    if np.any(throttle):
        return int(np.sum(np.abs(throttle) < 0.01))
    return None


def _shares_of(steering: FloatArray) -> dict[str, Any]:
    """Return the shares of rows that steer to each side, and the mean steering, as in Summary.

    steering: (rows,)
    """
    left = steering < -0.01
    right = steering > 0.01
    shares = {
        "left": left,
        "straight": ~(left | right),
        "right": right,
        "steering_mean": steering,
    }
    return {name: round(float(share.mean()), 4) for name, share in shares.items()}
