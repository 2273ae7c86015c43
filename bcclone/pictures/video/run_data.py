"""Read the tables of a run: its folder -> steering, speed, latency and position on the track for each frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bcclone.pictures.video.run_frames import RunFrames, seconds_by_name
from bcclone.recording.drivers import MODEL, DrivenRow, read_drivers
from bcclone.recording.edits import seconds_since_first
from bcclone.recording.run_tables import TracePoint, read_answers, read_trace
from bcclone.system.arrays import Float32Array, FloatArray
from bcclone.system.errors import UserError

_LOG_COLUMNS = ("steering", "speed_mph")


@dataclass(frozen=True)
class FrameInfo:
    """The values of one frame on an overlay; None for an unknown one.

    seconds: of driving since the first frame; index: number of the frame, up to which the map draws the driven line;
    steering, model_steering: -1 (left) to 1 (right), of the driver and of the reference model; cross_track_m: to the
    right of the centre line; mask: how much each pixel decided, float32 (height, width), 0 to 1; taken_over: whether a
    person has taken over from the model; ended: whether the run is over.
    """

    seconds: float
    index: int = 0
    steering: float | None = None
    model_steering: float | None = None
    speed_mph: float | None = None
    latency_ms: float | None = None
    cross_track_m: float | None = None
    mask: Float32Array | None = None
    taken_over: bool = False
    ended: bool = False


@dataclass(frozen=True)
class RunData:
    """The values of a run's frames: arrays (frames,) with NaN for unknown values, None for unknown columns.

    seconds: of driving since the first frame; driver: label of the steering, "sent", "human", "expert"; taken_over:
    whether a person had taken over, bool; track: name of the track; positions: x and z on its map, (frames, 2), metres;
    notes: parts that are left out, with the reason.
    """

    seconds: FloatArray
    driver: str
    steering: FloatArray | None = None
    speed_mph: FloatArray | None = None
    latency_ms: FloatArray | None = None
    cross_track_m: FloatArray | None = None
    taken_over: npt.NDArray[np.bool_] | None = None
    track: str | None = None
    positions: FloatArray | None = None
    notes: tuple[str, ...] = ()

    def at(self, index: int) -> FrameInfo:
        """Return the values of one frame, without a reference model's."""

        def value_of(values: FloatArray | None) -> float | None:
            return None if values is None or not np.isfinite(values[index]) else float(values[index])

        return FrameInfo(
            float(self.seconds[index]),
            index,
            steering=value_of(self.steering),
            speed_mph=value_of(self.speed_mph),
            latency_ms=value_of(self.latency_ms),
            cross_track_m=value_of(self.cross_track_m),
            taken_over=self.taken_over is not None and bool(self.taken_over[index]),
        )


def read_run_data(frames: RunFrames) -> RunData:
    """Read the tables of a run folder; raises UserError for a table that cannot be read."""
    trace, answers, drivers = read_trace(frames.folder), read_answers(frames.folder), read_drivers(frames.folder)
    names = _base_names(frames)
    log, notes = _read_log(frames)
    steering, speed_mph = (_column([log.get(name, {}).get(column) for name in names]) for column in _LOG_COLUMNS)
    points = [trace.get(name) for name in names]
    offset_m, x, z = (
        _column([None if point is None else getattr(point, name) for point in points])
        for name in ("cross_track_m", "x_m", "z_m")
    )
    tracks = {point.track for point in points if point}
    if missing := [track for track in tracks if track.endswith(".json") and not Path(track).is_file()]:
        notes += (f"map and distance are left out: the road {missing[0]} is not here; make the clip where it is",)
    on_one_track = len(tracks) == 1 and not missing  # a run on two tracks fits neither map
    return RunData(
        _seconds(frames, trace),
        _driver(frames, drivers, trace),
        steering,
        speed_mph,
        _column([answers.get(name) for name in names]),
        cross_track_m=offset_m if on_one_track else None,
        taken_over=np.array([name in drivers and drivers[name].take_over is not None for name in names]),
        track=tracks.pop() if on_one_track else None,
        positions=np.column_stack([x, z]) if on_one_track and x is not None and z is not None else None,
        notes=notes,
    )


def _driver(frames: RunFrames, drivers: Mapping[str, DrivenRow], trace: Mapping[str, TracePoint]) -> str:
    if not frames.is_recording or any(row.driver == MODEL for row in drivers.values()):
        return "sent"
    return "expert" if trace and not drivers else "human"  # our simulator writes who drove unless its expert did


def read_times(frames: RunFrames) -> RunData:
    """Read only the times of the frames, for a clip without an overlay."""
    return RunData(_seconds(frames, read_trace(frames.folder)), "")


def _base_names(frames: RunFrames) -> list[str]:
    return [Path(name).name for name in frames.names]


def _seconds(frames: RunFrames, trace: Mapping[str, TracePoint]) -> FloatArray:
    """Return the seconds of driving, (frames,): simulated seconds if the trace has all frames, else by their names."""
    points = [trace.get(name) for name in _base_names(frames)]
    seconds = np.array([np.nan if point is None else point.seconds for point in points])
    if np.isfinite(seconds).all() and (np.diff(seconds) >= 0).all():
        return seconds_since_first(seconds)
    return seconds_by_name(frames.names)


def _read_log(frames: RunFrames) -> tuple[dict[str, dict[str, float]], tuple[str, ...]]:
    """Return the values of the log by the name of the centre image, and notes on what could not be read."""
    from bcclone.recording.files import find_log
    from bcclone.recording.log import read_log

    try:
        log = read_log(find_log(str(frames.folder)))
    except UserError as error:
        return {}, (f"steering and speed are left out: {error}",)
    columns = log.rows[["center", *_LOG_COLUMNS]]
    rows = {name: dict(zip(_LOG_COLUMNS, values, strict=True)) for name, *values in columns.itertuples(index=False)}
    if not log.bad_rows:
        return rows, ()
    first = log.bad_rows[0]
    return rows, (f"{log.path}: {len(log.bad_rows)} rows are left out; the first, row {first.row}: {first.reason}",)


def _column(values: Sequence[float | None]) -> FloatArray | None:
    """Return values as an array, NaN for None; None if all are unknown."""
    column = np.array([np.nan if value is None else value for value in values], np.float64)
    return None if np.isnan(column).all() else column
