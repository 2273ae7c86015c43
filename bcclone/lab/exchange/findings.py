"""Count what an import takes and what it leaves out, and check that enough is left."""

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from bcclone.lab.exchange.rows import ExchangedRow, ImageMissing, ImageUnusable
from bcclone.system.errors import UserError, number_of

EMPTY, UNREADABLE, MISSING, BROKEN = "empty_images", "unreadable_images", "records_without_image", "broken_lines"
KINDS = {  # why a row is left out -> its words for one and for several
    EMPTY: ("empty image", "empty images"),
    UNREADABLE: ("unreadable image", "unreadable images"),
    MISSING: ("record without image", "records without image"),
    BROKEN: ("broken line", "broken lines"),
}
_LEAST_SHARE = 0.1  # of the rows that must be left
_EXAMPLES = 3  # of each kind
_SHOWN_COLUMNS = 20
_STRAIGHT, _STANDING_THROTTLE, _STANDING_MPH = 0.01, 0.01, 0.5
_EPISODE_GAP_MS = 1000  # a longer one begins another episode


@dataclass(frozen=True)
class Summary:
    """What an import saw.

    size: width and height of most images, before they are fitted; sizes: "160x120" -> images; aspect: of that size;
    frame_rate: usual rows a second, None for a single row; images_without_record: files that no row names, or frames
    of a video; records_without_image to broken_lines: rows that are left out; left_out: the first ones of each kind,
    with place and reason; below_min_throttle: rows that --min-throttle leaves out; standing: rows with a speed, or else
    a throttle, of about 0, None if the source has neither; columns_left_out: that were not read; notes: how the source
    was read; left, straight, right: shares of the steering; steering_mean: -1 to 1, right positive.
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
        """Yield what an import saw, in words."""
        sizes = ", ".join(self.sizes) if len(self.sizes) > 1 else f"{self.size[0]}x{self.size[1]}"
        rate = f", {self.frame_rate:g} frames a second" if self.frame_rate else ""
        yield f"images: {sizes} pixels, {self.aspect:g} to 1{rate}"
        yield from self.notes
        steering = f"{self.left:.0%} left, {self.straight:.0%} straight, {self.right:.0%} right"
        yield f"steers {steering}; {self.steering_mean:+.3f} on average"
        counts = [(getattr(self, kind), words) for kind, words in KINDS.items() if getattr(self, kind)]
        if counts:
            yield f"left out: {', '.join(f'{count} {words[count != 1]}' for count, words in counts)}"
            yield from (f"  {line}" for line in self.left_out)
        if self.below_min_throttle:
            yield f"left out: {number_of(self.below_min_throttle, 'row')} below --min-throttle"
        if self.images_without_record:
            yield f"{number_of(self.images_without_record, 'image')} without record"
        if self.standing:
            yield f"{number_of(self.standing, 'row')} standing still; --min-throttle leaves out rows without throttle"
        if self.columns_left_out:
            yield f"not read: {', '.join(self.columns_left_out[:_SHOWN_COLUMNS])}"


@dataclass
class Findings:
    """Collects what an import sees.

    images_without_record, columns_left_out, notes: set by the reader of the source; frames_are_rows: images without
    record are left out, as those of a video are.
    """

    min_throttle: float | None = None
    images_without_record: int = 0
    frames_are_rows: bool = False
    columns_left_out: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    below_min_throttle: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _most_throttle: float = -1.0
    _sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    _numbers: list[tuple[float, float, float]] = field(default_factory=list)
    _times: dict[int, list[int]] = field(default_factory=dict)

    def leave_out(self, place: str, error: ValueError | str, kind: str = "") -> None:
        """Count a row that cannot be used. kind: one of KINDS, "" for that of the error."""
        of_error: dict[type, str] = {ImageUnusable: UNREADABLE, ImageMissing: MISSING}
        kind = kind or of_error.get(type(error), BROKEN)
        with self._lock:  # a thread reads, another one writes
            self.left_out[kind] += 1
            if self.left_out[kind] <= _EXAMPLES:
                self.examples.append(f"{place}: {error}")

    def drives(self, row: ExchangedRow) -> bool:
        """Return whether a row has --min-throttle; counts the others."""
        self._most_throttle = max(self._most_throttle, row.throttle)
        if self.min_throttle is None or row.throttle >= self.min_throttle:
            return True
        self.below_min_throttle += 1
        return False

    def take(self, row: ExchangedRow, size: tuple[int, int]) -> None:
        """Count a row that is written. size: width and height of its image as it was."""
        self._sizes[size] += 1
        self._numbers.append((row.steering, row.throttle, row.speed_mph))
        self._times.setdefault(row.recording, []).append(row.time_ms)

    def check(self, source: Path) -> None:
        """Raise UserError if nothing, or less than a tenth of the source, is left."""
        kept, lost = len(self._numbers) + self.below_min_throttle, self.left_out.total()
        frames = self.images_without_record if self.frames_are_rows else 0
        lost += frames
        if kept and kept >= _LEAST_SHARE * (kept + lost):
            if self._numbers:
                return
            raise UserError(
                f"{source}: no row has a throttle of {self.min_throttle:g} or more, the greatest is "
                f"{self._most_throttle:g}; choose a smaller --min-throttle"
            )
        if not lost:
            raise UserError(f"{source}: it has no rows; name a source that has some")
        without_row = f"{frames} frames without a row" if frames else ""
        left_out = ", ".join(filter(None, (self.describe_left_out(), without_row)))
        first = f"; the first: {self.examples[0]}" if self.examples else ""
        raise UserError(
            f"{source}: {kept} of {kept + lost} rows can be used, expected a tenth or more ({left_out}){first}; "
            "correct the source, or copy it again"
        )

    def describe_left_out(self) -> str:
        """Return how many rows are left out and why, "" for none."""
        counts = [(self.left_out[kind], words) for kind, words in KINDS.items() if self.left_out[kind]]
        return ", ".join(f"{count} {words[count != 1]}" for count, words in counts)

    def summary(self) -> Summary:
        """Return what was seen; at least one row was taken."""
        steering, throttle, speed = np.array(self._numbers, np.float64).T
        size = self._sizes.most_common(1)[0][0]
        standing = None
        if np.any(speed):
            standing = int(np.sum(np.abs(speed) < _STANDING_MPH))
        elif np.any(throttle):
            standing = int(np.sum(np.abs(throttle) < _STANDING_THROTTLE))
        kinds = {each.name: self.left_out[each.name] for each in fields(Summary) if each.name in KINDS}
        return Summary(
            size=size,
            sizes={f"{width}x{height}": count for (width, height), count in self._sizes.most_common()},
            aspect=round(size[0] / size[1], 3),
            frame_rate=self._frame_rate(),
            images_without_record=self.images_without_record,
            left_out=tuple(self.examples),
            below_min_throttle=self.below_min_throttle,
            standing=standing,
            columns_left_out=self.columns_left_out,
            notes=tuple(self.notes),
            left=_share(steering < -_STRAIGHT),
            straight=_share(np.abs(steering) <= _STRAIGHT),
            right=_share(steering > _STRAIGHT),
            steering_mean=round(float(steering.mean()), 4),
            **kinds,
        )

    def _frame_rate(self) -> float | None:
        steps = np.concatenate([np.diff(np.sort(np.asarray(times, np.int64))) for times in self._times.values()])
        steps = steps[(steps > 0) & (steps <= _EPISODE_GAP_MS)]
        usual = steps[steps <= 1.5 * np.median(steps)] if len(steps) else steps  # without rows that are left out
        return round(1000 / float(usual.mean()), 1) if len(usual) else None


def _share(which: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> float:
    return round(float(which.mean()), 4)
