"""Count what an import takes and what it leaves out, and check that enough is left."""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.exchange.formats import BROKEN, KINDS, ExchangedRow
from bcclone.recording.log import EPISODE_GAP_MS
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError, number_of

_LEAST_SHARE = 0.1  # of the rows that must be left
# share of the rows with a number out of its range; of more, the unit or the column is wrong
ACCIDENTS = 0.01
_EXAMPLES = 3  # of each kind
_SHOWN_COLUMNS = 20
_STRAIGHT, _STANDING_THROTTLE, _STANDING_MPH = 0.01, 0.01, 0.5


@dataclass(frozen=True)
class Summary:
    """What an import saw.

    size: width and height of most images, before they are fitted; sizes: "160x120" -> images;
    aspect: of that size; frame_rate: usual rows a second, None for a single row;
    images_without_record: files that no row names, or frames of a video; records_without_image to
    broken_lines: rows that are left out; left_out: the first ones of each kind, with place and
    reason; below_min_throttle: rows that --min-throttle leaves out; standing: rows with a speed, or
    else a throttle, of about 0, None if the source has neither; columns_left_out: that were not
    read; notes: how the source was read; left, straight, right: shares of the steering;
    steering_mean: -1 to 1, right positive.
    """

    size: tuple[int, int]
    sizes: dict[str, int]
    aspect: float
    frame_rate: float | None
    images_without_record: int
    records_without_image: int
    empty_images: int
    unreadable_images: int
    broken_lines: int
    left_out: tuple[str, ...]
    below_min_throttle: int
    standing: int | None
    columns_left_out: tuple[str, ...]
    notes: tuple[str, ...]
    left: float
    straight: float
    right: float
    steering_mean: float

    def lines(self) -> Iterator[str]:
        rate = f", {self.frame_rate:g} frames a second" if self.frame_rate else ""
        yield f"images: {', '.join(self.sizes)} pixels, {self.aspect:g} to 1{rate}"
        yield from self.notes
        steering = f"{self.left:.0%} left, {self.straight:.0%} straight, {self.right:.0%} right"
        yield f"steers {steering}; {self.steering_mean:+.3f} on average"
        if counts := _describe_left_out(vars(self)):
            yield f"left out: {', '.join(counts)}"
            yield from (f"  {line}" for line in self.left_out)
        if self.below_min_throttle:
            yield f"left out: {number_of(self.below_min_throttle, 'row')} below --min-throttle"
        if self.images_without_record:
            yield f"{number_of(self.images_without_record, 'image')} without record"
        if self.standing:
            yield f"{number_of(self.standing, 'row')} standing still; --min-throttle leaves out rows without throttle"
        if self.columns_left_out:
            yield f"not read: {', '.join(self.columns_left_out[:_SHOWN_COLUMNS])}"


def shares_of(steering: FloatArray) -> dict[str, Any]:
    """Return how much of the steering, (rows,), is to which side, and its mean, by the names of
    Summary.
    """
    left, right = steering < -_STRAIGHT, steering > _STRAIGHT
    shares = {"left": left, "straight": ~(left | right), "right": right, "steering_mean": steering}
    return {
        name: round(float(share.mean()), 4) if len(steering) else 0.0
        for name, share in shares.items()
    }


def _describe_left_out(counts: Mapping[str, Any]) -> list[str]:
    """Return how many rows are left out for each reason, in words. counts: of KINDS, perhaps among
    others.
    """
    return [
        f"{counts[kind]} {one if counts[kind] == 1 else kind.replace('_', ' ')}"
        for kind, one in KINDS.items()
        if counts[kind]
    ]


class Findings:
    """Counts what an import takes and what it leaves out, and checks that enough is left.

    images_without_record, columns_left_out, notes: set by the reader of the source;
    frames_are_rows: count images without a record as left out, as for a video; forwards: 1, or -1
    if the car drives forwards with a negative throttle; direction: how that was found, in words.
    """

    def __init__(self, min_throttle: float | None = None) -> None:
        self.min_throttle, self.forwards, self.direction = min_throttle, 1, ""
        self.images_without_record, self.frames_are_rows = 0, False
        self.columns_left_out: tuple[str, ...] = ()
        self.notes: list[str] = []
        self.left_out: Counter[str] = Counter()
        self.examples: list[str] = []
        self._below_min_throttle, self._greatest_throttle = 0, -1.0
        self._lock = threading.Lock()
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._numbers: list[tuple[float, float, float]] = []
        self._times: defaultdict[int, list[int]] = defaultdict(list)

    def leave_out(self, place: str, error: ValueError | str, kind: str = BROKEN) -> None:
        """Count a row that cannot be used. kind: one of KINDS, unless the error has one."""
        kind = getattr(error, "kind", kind)
        with self._lock:  # a thread reads, another one writes
            self.left_out[kind] += 1
            if self.left_out[kind] <= _EXAMPLES:
                self.examples.append(f"{place}: {error}")

    @contextmanager
    def usable(self, place: str) -> Iterator[None]:
        """Leave out the row at a place if the block raises ValueError."""
        try:
            yield
        except ValueError as error:
            self.leave_out(place, error)

    def drives(self, row: ExchangedRow) -> bool:
        """Return whether a row has --min-throttle; counts the others."""
        throttle = self.forwards * row.throttle
        self._greatest_throttle = max(self._greatest_throttle, throttle)
        drives = self.min_throttle is None or throttle >= self.min_throttle
        self._below_min_throttle += not drives
        return drives

    def take(self, row: ExchangedRow, size: tuple[int, int]) -> None:
        """Count a row that is written. size: width and height of its image as it was."""
        self._sizes[size] += 1
        self._numbers.append((row.steering, row.throttle, row.speed_mph))
        self._times[row.recording].append(row.time_ms)

    def check(self, source: Path) -> None:
        """Raise UserError if under 10 % of the rows are usable, or --min-throttle leaves less of
        these.
        """
        frames = self.images_without_record if self.frames_are_rows else 0
        usable, lost = len(self._numbers) + self._below_min_throttle, self.left_out.total() + frames
        if not usable and not lost:
            raise UserError(f"{source}: it has no rows; name a source that has some")
        if usable < max(_LEAST_SHARE * (usable + lost), 1):
            without_row = [f"{frames} frames without a row"] if frames else []
            reasons = ", ".join((*_describe_left_out(self.left_out), *without_row))
            first = f"; the first: {self.examples[0]}" if self.examples else ""
            raise UserError(
                f"{source}: {usable} of {usable + lost} rows can be used, expected a tenth or more ({reasons}){first}; "
                "correct the source, or copy it again"
            )
        if self.min_throttle is not None and len(self._numbers) < max(_LEAST_SHARE * usable, 1):
            least, greatest = (
                self.forwards * self.min_throttle,
                self.forwards * self._greatest_throttle,
            )
            raise UserError(
                f"{source}: {len(self._numbers)} of {usable} rows have a throttle of {least:g} or "
                f"{'more' if self.forwards > 0 else 'less'}, expected a tenth of them; the strongest is {greatest:g}"
                f"{self.direction and f'; {self.direction}'}; choose a smaller --min-throttle, or leave it out"
            )

    def summary(self) -> Summary:
        """Return what was seen; at least one row was taken."""
        steps = np.concatenate(
            [np.diff(np.sort(np.asarray(times, np.int64))) for times in self._times.values()]
        )
        steps = steps[(steps > 0) & (steps <= EPISODE_GAP_MS)]
        usual = (
            steps[steps <= 1.5 * np.median(steps)] if len(steps) else steps
        )  # without rows that are left out
        steering, throttle, speed = np.array(self._numbers, np.float64).T
        size = self._sizes.most_common(1)[0][0]
        moves, limit = (speed, _STANDING_MPH) if np.any(speed) else (throttle, _STANDING_THROTTLE)
        return Summary(
            size=size,
            sizes={
                f"{width}x{height}": count for (width, height), count in self._sizes.most_common()
            },
            aspect=round(size[0] / size[1], 3),
            frame_rate=round(1000 / float(usual.mean()), 1) if len(usual) else None,
            images_without_record=self.images_without_record,
            left_out=tuple(self.examples),
            below_min_throttle=self._below_min_throttle,
            standing=int(np.sum(np.abs(moves) < limit)) if np.any(moves) else None,
            columns_left_out=self.columns_left_out,
            notes=(*self.notes, *filter(None, [self.direction])),
            **shares_of(steering),
            **{kind: self.left_out[kind] for kind in KINDS},
        )
