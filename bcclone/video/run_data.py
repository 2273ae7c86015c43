"""Run folder and its frames -> what is known of each: steering, speed, latency, where the car was."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bcclone.errors import UserError
from bcclone.recording.run_tables import TracePoint, read_answers, read_trace
from bcclone.video.frames import Frames, Seconds, seconds_by_name, since_first

Mask = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Moment:
    """One frame's facts; None where they are not known.

    seconds: of driving since the first frame; steering, model_steering: -1 (left) to 1 (right), of who drove and of
    the model that is asked; cross_track_m: to the right of the centre line; place: number of the frame, which tells
    the map how far the driven line has come; mask: which pixels decided, float32 (height, width), 0 to 1.
    """

    seconds: float
    place: int = 0
    steering: float | None = None
    model_steering: float | None = None
    speed_mph: float | None = None
    latency_ms: float | None = None
    cross_track_m: float | None = None
    mask: Mask | None = None
    ended: bool = False


Array = npt.NDArray[np.float64]

_OF_LOG = ("steering", "speed_mph")


@dataclass(frozen=True)
class Facts:
    """What is known of a run's frames, one value a frame, NaN where it is not known; None where it never is.

    seconds: of driving since the first frame; driver: whose steering it is; track: the name of the map's track;
    places: x and z on it, metres, (frames, 2). notes: what is left out, and why.
    """

    seconds: Seconds
    driver: str
    steering: Array | None = None
    speed_mph: Array | None = None
    latency_ms: Array | None = None
    cross_track_m: Array | None = None
    track: str | None = None
    places: Array | None = None
    notes: tuple[str, ...] = ()


def time_frames(frames: Frames) -> Seconds:
    """Return when each frame was taken, (frames,): of a simulated drive by its own clock, not the wall's."""
    return _seconds(frames, read_trace(frames.folder))


def read_facts(frames: Frames) -> Facts:
    """Return all that the folder tells of its frames; raises UserError for a table that cannot be read."""
    trace, answers = read_trace(frames.folder), read_answers(frames.folder)
    names = _base_names(frames)
    log, notes = _read_log(frames)
    steering, speed_mph = (_column([log.get(name, {}).get(column) for name in names]) for column in _OF_LOG)
    points = [trace.get(name) for name in names]
    beside, x, z = (
        _column([None if point is None else getattr(point, name) for point in points])
        for name in ("cross_track_m", "x_m", "z_m")
    )
    tracks = {point.track for point in points if point}
    there = len(tracks) == 1  # of runs on two tracks neither map is right
    return Facts(
        _seconds(frames, trace),
        "human" if frames.are_of_a_recording else "sent",
        steering,
        speed_mph,
        _column([answers.get(name) for name in names]),
        cross_track_m=beside if there else None,
        track=tracks.pop() if there else None,
        places=np.column_stack([x, z]) if there and x is not None and z is not None else None,
        notes=notes,
    )


def _base_names(frames: Frames) -> list[str]:
    return [Path(name).name for name in frames.names]


def _seconds(frames: Frames, trace: Mapping[str, TracePoint]) -> Seconds:
    points = [trace.get(name) for name in _base_names(frames)]
    seconds = np.array([np.nan if point is None else point.seconds for point in points])
    if np.isfinite(seconds).all() and (np.diff(seconds) >= 0).all():
        return since_first(seconds)
    return seconds_by_name(frames.names)


def _read_log(frames: Frames) -> tuple[dict[str, dict[str, float]], tuple[str, ...]]:
    """Return what the log says by the name of the centre image, and a note where it does not say it."""
    from bcclone.recording import find_log, read_log

    try:
        log = read_log(find_log(str(frames.folder)))
    except UserError as error:
        return {}, (f"steering and speed are left out: {error}",)
    columns = log.rows[["center", *_OF_LOG]]
    rows = {name: dict(zip(_OF_LOG, values, strict=True)) for name, *values in columns.itertuples(index=False)}
    if not log.bad_rows:
        return rows, ()
    first = log.bad_rows[0]
    told = f"{log.path}: {len(log.bad_rows)} rows are left out; the first, row {first.row}: {first.reason}"
    return rows, (told,)


def _column(values: list[float | None]) -> Array | None:
    """Return values as an array, None when there is none of them."""
    column = np.array([np.nan if value is None else value for value in values], np.float64)
    return None if np.isnan(column).all() else column
