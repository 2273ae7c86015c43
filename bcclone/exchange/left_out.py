"""Count what an import takes and what it leaves out, and check that enough is left.

In: the items that come out of the stages of an import. Out: a `Summary`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.camera.images import common_remedy
from bcclone.exchange.driving_direction import ThrottleRule
from bcclone.exchange.exchanged_row import KINDS, BelowThrottle, LeftOut, SourceFacts
from bcclone.exchange.framed_rows import FramedItem, FramedRow
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
    # examples: the first such rows of each kind, with file, row and reason (called left_out because
    # --json shows the field's name)
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
        # the shares and the mean
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
    described = []
    for kind, word in KINDS.items():
        if counts[kind] == 1:
            described.append(f"1 {word}")
        # the name of a kind is a plural, such as empty_images
        elif counts[kind]:
            described.append(f"{counts[kind]} {kind.replace('_', ' ')}")
    return described


class Tally:
    """Counts the items that come out of the stages of an import; it alone adds them up.

    rule: which rows --min-throttle leaves out
    """

    def __init__(self, rule: ThrottleRule) -> None:
        self.converted = 0  # number of images that were not frames already
        self._rule = rule
        self._notes: list[str] = []
        self._columns_left_out: list[str] = []
        self._images_without_record = 0
        self._frames_without_row = 0
        self._left_out: Counter[str] = Counter()  # key of KINDS -> number of rows
        self._examples: list[str] = []  # the first rows of each kind, with place and reason
        self._below_throttle = 0
        # of the usable rows; a throttle is positive here if it drives the car forwards, whichever
        # sign the source gives it
        self._greatest_throttle = -1.0
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._numbers: list[tuple[float, float, float]] = []  # steering, throttle, speed
        # number of a recording -> times of its rows in milliseconds
        self._times: defaultdict[int, list[int]] = defaultdict(list)

    @property
    def rows(self) -> int:
        """Return how many rows were counted that can be used."""
        return len(self._numbers)

    def counted(self, items: Iterable[FramedItem]) -> Iterator[FramedRow]:
        """Count the items, and yield the rows among them."""
        for item in items:
            self.add(item)
            if isinstance(item, FramedRow):
                yield item

    def add(self, item: FramedItem) -> None:
        match item:
            case FramedRow():
                self._add_row(item)
            case LeftOut():
                self._left_out[item.kind] += 1
                if self._left_out[item.kind] <= _EXAMPLES:
                    self._examples.append(str(item))
            case BelowThrottle():
                self._below_throttle += 1
                # this throttle is positive forwards already
                self._greatest_throttle = max(self._greatest_throttle, item.throttle)
            case SourceFacts():
                self._notes += item.notes
                self._columns_left_out += item.columns_left_out
                self._images_without_record += item.images_without_record
                self._frames_without_row += item.frames_without_row

    def _add_row(self, framed: FramedRow) -> None:
        row = framed.row
        self.converted += framed.converted
        forward_throttle = self._rule.forwards * row.throttle
        self._greatest_throttle = max(self._greatest_throttle, forward_throttle)
        self._sizes[framed.size] += 1
        self._numbers.append((row.steering, row.throttle, row.speed_mph))
        self._times[row.recording].append(framed.source_ms)

    def check(self, source: Path) -> None:
        """Raise UserError if too few rows are left.

        Too few are left if less than a tenth of all rows are usable, or less than a tenth of the
        usable rows reach --min-throttle.
        """
        usable = self.rows + self._below_throttle
        # A frame of a video should have a row, so one without a row is lost. An image file that no
        # record names is not counted: there is no row with which something is wrong.
        lost = self._left_out.total() + self._frames_without_row
        if not usable and not lost:
            raise UserError(f"{source}: it has no rows; name a source that has some")
        if usable < max(_LEAST_SHARE * (usable + lost), 1):
            raise self._too_few_usable(source, usable, lost)
        if self._rule.min_throttle is not None and self.rows < max(_LEAST_SHARE * usable, 1):
            raise self._too_few_drive(source, usable, self._rule.min_throttle)

    def _too_few_usable(self, source: Path, usable: int, lost: int) -> UserError:
        reasons = _describe_left_out(self._left_out)
        if self._frames_without_row:
            reasons.append(f"{self._frames_without_row} frames without a row")
        first = f"; the first: {self._examples[0]}" if self._examples else ""
        remedy = common_remedy(self._examples) or "correct the source, or copy it again"
        return UserError(
            f"{source}: {usable} of {usable + lost} rows can be used, expected a tenth or more "
            f"({', '.join(reasons)}){first}; {remedy}"
        )

    def _too_few_drive(self, source: Path, usable: int, min_throttle: float) -> UserError:
        # the throttles as the source has them
        least = self._rule.forwards * min_throttle
        strongest = self._rule.forwards * self._greatest_throttle
        side = "more" if self._rule.forwards > 0 else "less"
        direction = f"; {self._rule.words}" if self._rule.words else ""
        return UserError(
            f"{source}: {self.rows} of {usable} rows have a throttle of {least:g} or {side}, "
            f"expected a tenth of them; the strongest is {strongest:g}{direction}; choose a "
            "smaller --min-throttle, or leave it out"
        )

    def summary(self) -> Summary:
        """Return what was counted; at least one row was."""
        steering, throttle, speed_mph = np.array(self._numbers, np.float64).T
        notes = [*self._notes]
        if self._rule.words:
            notes.append(self._rule.words)
        width, height = self._sizes.most_common(1)[0][0]
        return Summary(
            size=(width, height),
            sizes={f"{size[0]}x{size[1]}": count for size, count in self._sizes.most_common()},
            aspect=round(width / height, 3),
            frame_rate=self._frame_rate(),
            images_without_record=self._images_without_record + self._frames_without_row,
            left_out=tuple(self._examples),
            below_min_throttle=self._below_throttle,
            standing=_count_standing(throttle, speed_mph),
            columns_left_out=tuple(self._columns_left_out),
            notes=tuple(notes),
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


def _count_standing(throttle: FloatArray, speed_mph: FloatArray) -> int | None:
    """Count the rows in which the car stands: by its speed; if no row has one, by its throttle.

    Returns None if all speeds and throttles are 0.

    throttle, speed_mph: (rows,)
    """
    if np.any(speed_mph):
        return int(np.sum(np.abs(speed_mph) < 0.5))
    if np.any(throttle):
        return int(np.sum(np.abs(throttle) < 0.01))
    return None


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
