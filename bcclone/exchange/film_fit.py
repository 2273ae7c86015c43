"""A film and the steering of its table -> how well the film turns as the table steers.

Both belong together if the steering follows the turns of the camera, which the pictures show. So
this tells whether a frame gets the row of its own moment.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
import pandas as pd

from bcclone.camera.images import BadImage, Image, decode_jpeg
from bcclone.diagnosis.bends import SMOOTH_SECONDS, turn_rate
from bcclone.diagnosis.motion import TurnMeter, Turns
from bcclone.diagnosis.recorded_rows import RecordedRows
from bcclone.exchange.video_file import Video, VideoFrame
from bcclone.system.numbers import BoolArray, FloatArray, correlation, mean_around
from bcclone.system.process import ProgressBar

LONGEST_GAP_SECONDS = 1.5  # longest gap to interpolate in; some tables have one row a second
_MOST_FRAMES = 3000  # frames from the start of a film whose turns are measured


# ---- the film


@dataclass(frozen=True)
class FilmTurns:
    """How the camera of a film turned, in its first frames."""

    seconds: FloatArray  # time of each frame, (frames,), rising
    turns: Turns

    @cached_property
    def rate(self) -> FloatArray:
        """Return how fast the camera turned after each frame but the last, (steps,).

        In pixels a second, to the right positive.
        """
        rows = pd.DataFrame({"time_ms": 1000 * self.seconds, "line": range(len(self.seconds))})
        for name in ("steering", "throttle", "speed_mph"):
            rows[name] = 0.0
        return turn_rate(RecordedRows.of_tables(rows, rows[:0]), self.turns)

    @property
    def middles(self) -> FloatArray:
        """Return the time in the middle between two successive frames, (steps,)."""
        return (self.seconds[1:] + self.seconds[:-1]) / 2

    def at(self, seconds: FloatArray) -> "FilmTurns":
        """Return the first frames with other times, (frames,); further frames are left out."""
        steps = slice(0, len(seconds) - 1)
        turns = self.turns
        return FilmTurns(
            seconds,
            Turns(turns.right[steps], turns.down[steps], turns.match[steps], turns.usable[steps]),
        )


def measure_turns(video: Video, count: int) -> FilmTurns | None:
    """Return how the camera turned in the first frames of a film; None for fewer than two frames.

    count: how many frames the film has
    """
    most = min(count, _MOST_FRAMES)
    meter = TurnMeter()
    seconds = []
    with ProgressBar("comparing the film with its table", most, "frames") as progress:
        for frame in islice(video.frames(), most):
            seconds.append(frame.seconds)
            meter.add(_picture(frame))
            progress.advance(1)
    if len(seconds) < 2:
        return None
    # nothing comes before the first frame, so that it has no shift
    follows = np.diff(seconds) <= LONGEST_GAP_SECONDS
    return FilmTurns(np.array(seconds), Turns.of(meter.shifts[1:], follows))


def _picture(frame: VideoFrame) -> Image | None:
    """Return a frame as it comes into a recording, None if it cannot be read."""
    try:
        return decode_jpeg(frame.stretched_jpeg())
    except BadImage:
        return None


# ---- the table


@dataclass(frozen=True)
class SteeredTimes:
    """The steering of a table at its times."""

    seconds: FloatArray  # time of each row, (rows,), rising
    steering: FloatArray  # -1 left to 1 right, (rows,)
    speed: FloatArray | None  # in any unit; None if it is unknown

    @cached_property
    def turning(self) -> FloatArray:
        """Return by how much the car should turn at each row, in any unit, (rows,)."""
        turning = self.steering
        if self.speed is not None and np.any(self.speed):
            turning = self.steering * self.speed  # the yaw rate is the curvature times the speed
        one_part = np.zeros(len(turning), np.int64)
        return mean_around(self.seconds, turning, SMOOTH_SECONDS, np.ones(len(turning)), one_part)

    def turning_at(self, seconds: FloatArray) -> FloatArray:
        """Return by how much the car should turn at some times; NaN where no row is near."""
        turning = np.interp(seconds, self.seconds, self.turning, left=np.nan, right=np.nan)
        after = np.clip(np.searchsorted(self.seconds, seconds), 1, len(self.seconds) - 1)
        gap = self.seconds[after] - self.seconds[after - 1]
        return np.where(gap <= LONGEST_GAP_SECONDS, turning, np.nan)


# ---- how well a reading fits


@dataclass(frozen=True)
class Fit:
    """How well the turns of a film follow the steering of a table, in one reading."""

    r: float = 0.0  # correlation; negative if the steering is positive to the left
    seconds: float = 0.0  # of the film that were compared

    @property
    def transformed(self) -> float:
        """Return Fisher's transform of the size of the correlation."""
        return math.atanh(min(abs(self.r), 0.999))

    @property
    def error(self) -> float:
        """Return the standard error of `transformed`."""
        independent_seconds = 1.5  # turns so far apart are independent of each other
        return 1 / math.sqrt(max(self.seconds / independent_seconds - 3, 0.5))

    @property
    def is_clear(self) -> bool:
        """Return whether film and table surely belong together in this reading."""
        least_r = 0.6  # recordings without a fault have a greater correlation
        return abs(self.r) > least_r and self.transformed > 2 * self.error

    def is_better_than(self, other: "Fit") -> bool:
        """Return whether this fit is clearly better than another one."""
        least_gain = 0.3  # of `transformed`
        gain = self.transformed - other.transformed
        return self.is_clear and gain > max(least_gain, self.error)

    def is_surely_better_than(self, other: "Fit") -> bool:
        """Return whether this fit, the best of very many, is clearly better than another one."""
        least_gain = 0.5  # of `transformed`
        sure_errors = 5.0  # the best of many thousand fits by chance is hardly as good
        is_no_chance = self.transformed > sure_errors * self.error
        return is_no_chance and self.transformed > other.transformed + least_gain


def fit_of(film: FilmTurns, table: SteeredTimes) -> Fit:
    """Return how well the turns fit the steering, at the best delay between both.

    film: its seconds are the table's
    """
    longest_delay = 0.6  # seconds to either side; the car turns after it is steered
    delays = np.arange(-longest_delay, longest_delay + 0.05, 0.1)
    return max((_fit(film, table, delay) for delay in delays), key=lambda fit: abs(fit.r))


def _fit(film: FilmTurns, table: SteeredTimes, delay: float) -> Fit:
    """Return how well the turns fit the steering `delay` seconds later."""
    fewest_steps = 50
    turning = table.turning_at(film.middles + delay)
    compared: BoolArray = film.turns.usable & np.isfinite(turning)
    if compared.sum() < fewest_steps:
        return Fit()
    r = correlation(film.rate[compared], turning[compared]) or 0.0
    return Fit(r, float(np.diff(film.seconds)[compared].sum()))


def best_offset(film: FilmTurns, table: SteeredTimes) -> tuple[float, Fit]:
    """Return at which time of the table the film begins, by what fits best, and how well it fits.

    Offsets are tried at which about half of the film or more lies within the table.
    """
    farthest = 600.0  # seconds from the table's begin, or from its end
    coarse = 0.1  # seconds from one try to the next
    fine = 0.025
    least_share = 0.4  # of the film that must be compared
    length = float(film.seconds[-1])
    first, last = float(table.seconds[0]), float(table.seconds[-1])
    least_seconds = least_share * float(np.diff(film.seconds)[film.turns.usable].sum())

    def best_of(offsets: FloatArray) -> tuple[float, Fit]:
        fits = [(offset, _fit(film, table, offset)) for offset in offsets.tolist()]
        enough = [(offset, fit) for offset, fit in fits if fit.seconds >= least_seconds]
        return max(enough, key=lambda found: abs(found[1].r), default=(0.0, Fit()))

    tried = np.arange(first - length / 2, last - length / 2, coarse)
    about, _ = best_of(tried[(tried < first + farthest) | (tried > last - farthest)])
    return best_of(np.arange(about - coarse, about + coarse + fine / 2, fine))
