"""A film and a table of times -> by what each frame of the film finds its row.

The times of a film are often wrong: many programs write any frames at a nominal rate. And a phone
or a logger may begin before the other. So the table's time of a frame has several readings, the
values of --film-times. If the table has as many rows as the film has frames, row N is of frame N.
Otherwise the pictures decide: in the right reading, the film turns as the table steers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bcclone.exchange.exchange_settings import BY_FILM, BY_ROWS, SPREAD, ImportSettings
from bcclone.exchange.film_fit import (
    FilmTurns,
    Fit,
    SteeredTimes,
    best_offset,
    fit_of,
    measure_turns,
)
from bcclone.exchange.video_file import Extent, Video
from bcclone.system.errors import UserError
from bcclone.system.numbers import FloatArray


@dataclass(frozen=True)
class FilmTimes:
    """By what the frames of a film find their rows."""

    name: str  # one of FILM_TIMES
    offset: float = 0.0  # the table's time of the first frame, in seconds
    factor: float = 1.0  # seconds of the table for one second of the film
    words: str = ""  # how well the pictures agree, for messages

    def at(self, seconds: float) -> float:
        """Return the table's time of a frame; not for BY_ROWS, which finds rows by number.

        seconds: time of the frame since the first one
        """
        return self.offset + self.factor * seconds


@dataclass(frozen=True)
class TimedTable:
    """What a film needs to know of a table with times."""

    path: Path
    steered: SteeredTimes  # its rows; without an offset, the film begins at 0
    of_frames: FloatArray  # if row N is of frame N: the time of each frame, NaN for none, (frames,)

    def spread(self, film: Extent) -> FilmTimes:
        """Return the times at which the first and last frame have those of the table."""
        first, last = self.steered.seconds[[0, -1]].tolist()
        return FilmTimes(SPREAD, first, (last - first) / max(film.seconds, 0.001))


def choose_film_times(
    path: Path, video: Video, table: TimedTable, settings: ImportSettings
) -> FilmTimes:
    """Return by what the frames of a film find their rows.

    Raises UserError where that is not clear, and where the pictures surely show that the film
    begins at another time.

    video: the film; it is read, so that its frames have to be read from another one
    """
    if settings.film_offset is not None or settings.film_times == BY_FILM:
        return FilmTimes(BY_FILM, settings.film_offset or 0.0)
    if settings.film_times == BY_ROWS:
        return FilmTimes(BY_ROWS)
    extent = video.extent()
    if settings.film_times == SPREAD:
        return table.spread(extent)
    if extent.frames == len(table.of_frames):
        return FilmTimes(BY_ROWS)
    # times that are counted are not the table's own, and say nothing about those of the film
    film = None if settings.frame_rate else measure_turns(video, extent.frames)
    if film is None:
        return FilmTimes(BY_FILM)
    return _Choice(path, table, extent, film).chosen()


# ---- by what the pictures show


@dataclass(frozen=True)
class _Tried:
    """A reading that was compared with the pictures."""

    times: FilmTimes
    seconds: FloatArray  # the table's time of each frame that was measured, (frames,)
    fit: Fit

    def differs_from(self, other: "_Tried") -> bool:
        """Return whether some frame gets another time, by more than the delay of a sensor."""
        least_seconds = 0.15
        common = min(len(self.seconds), len(other.seconds))
        return bool(np.abs(self.seconds[:common] - other.seconds[:common]).max() > least_seconds)


class _Choice:
    """Chooses between the readings of a film's times."""

    def __init__(self, path: Path, table: TimedTable, extent: Extent, film: FilmTurns) -> None:
        self._path = path
        self._table = table
        self._extent = extent
        self._film = film

    def chosen(self) -> FilmTimes:
        """Return the reading that is clearly the best, or that of the film's own times.

        Raises UserError as choose_film_times() does.
        """
        own = self._tried(FilmTimes(BY_FILM), self._film.seconds)
        others = [tried for tried in self._others() if tried.differs_from(own)]
        best = max([own, *others], key=lambda tried: tried.fit.transformed)
        offset, fit = best_offset(self._film, self._table.steered)
        if fit.is_surely_better_than(best.fit):
            raise self._other_offset(offset, fit, own.fit)
        if best.fit.is_better_than(own.fit):
            return self._with_words(best, own)
        # a row for nearly each frame speaks against the film's times, so these must be certain
        is_paired = any(tried.times.name == BY_ROWS for tried in others)
        if is_paired and not (own.fit.is_clear and best is own):
            raise self._not_clear([own, *others])
        return own.times

    def _others(self) -> list[_Tried]:
        """Return the readings that do not believe the film's times."""
        most_different = 0.1  # share by which the numbers of rows and frames may differ
        spread = self._table.spread(self._extent)
        spread_seconds = spread.offset + spread.factor * self._film.seconds
        others = [self._tried(spread, spread_seconds)]
        rows = len(self._table.of_frames)
        if abs(rows - self._extent.frames) <= most_different * self._extent.frames:
            seconds = _filled(self._table.of_frames[: len(self._film.seconds)])
            others.append(self._tried(FilmTimes(BY_ROWS), seconds))
        return others

    def _tried(self, times: FilmTimes, seconds: FloatArray) -> _Tried:
        fit = fit_of(self._film.at(seconds), self._table.steered)
        return _Tried(times, seconds, fit)

    def _with_words(self, best: _Tried, own: _Tried) -> FilmTimes:
        words = f"the pictures turn as the table steers (r {best.fit.r:.2f}; "
        words += f"by the film's own times {own.fit.r:.2f})"
        times = best.times
        return FilmTimes(times.name, times.offset, times.factor, words)

    def _other_offset(self, offset: float, fit: Fit, own: Fit) -> UserError:
        side = "later" if offset > 0 else "earlier"
        return UserError(
            f"{self._path}: its pictures turn as {self._table.path} steers if it begins "
            f"{abs(offset):.2f} s {side} than the table (correlation {fit.r:.2f}, otherwise "
            f"{own.r:.2f}); say --film-offset {offset:.2f}; or --film-offset 0 if both begin "
            "together",
            exit_code=2,
        )

    def _not_clear(self, tried: Sequence[_Tried]) -> UserError:
        seconds = self._table.steered.seconds
        fits = ", ".join(f"{each.times.name} {each.fit.r:.2f}" for each in tried)
        return UserError(
            f"{self._path}: {self._extent.frames} frames in {self._extent.seconds:.1f} s, but "
            f"{self._table.path} has {len(self._table.of_frames)} rows in "
            f"{float(np.ptp(seconds)):.1f} s, and the pictures do not show which times are right "
            f"(correlation of turns and steering: {fits}); say --film-times rows if row N is of "
            "frame N, --film-times film if the film's times are right, or --film-times spread if "
            "film and table begin and end together",
            exit_code=2,
        )


def _filled(seconds: FloatArray) -> FloatArray:
    """Return the times of frames up to the last known one, with those between in proportion.

    seconds: NaN for an unknown time, (frames,)
    """
    known = np.flatnonzero(np.isfinite(seconds))
    frames = np.arange(known[-1] + 1 if len(known) else 0)
    if not len(frames):
        return np.zeros(0)
    filled = np.interp(frames, known, seconds[known])
    return np.asarray(np.maximum.accumulate(filled))
