"""Where a recorded drive was in the simulated world: the log and the files beside it -> places.

The trace of a drive names the road and where the car was on it at each row. A file world.json tells
in which direction it drove, and how the world looked; an older recording lacks it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bcclone.recording.run_tables import read_trace
from bcclone.simulator.track import Track, load_track
from bcclone.simulator.world_settings import Conditions
from bcclone.system.arrays import BoolArray, FloatArray
from bcclone.system.codec import read_json
from bcclone.system.files import write_text
from bcclone.system.location import Location, reaching
from bcclone.system.values import to_json

if TYPE_CHECKING:  # it loads pandas, and a play answers before that is there
    from bcclone.recording.log import Log

_WORLD_NAME = "world.json"
_ROWS_AT_ONCE = 1000  # whose distances from all points of a road are in memory at the same time


@dataclass(frozen=True)
class RecordedWorld:
    """How a drive went along its road, and how the world looked."""

    reverse: bool
    conditions: Conditions


def write_world(folder: Path, world: RecordedWorld) -> None:
    write_text(folder / _WORLD_NAME, json.dumps(to_json(world), indent=1) + "\n")


def read_world(folder: Location) -> RecordedWorld | None:
    """Return the world of a recording in the simulator; None if the recording does not tell it.

    Raises UserError for a file that is no such world.
    """
    path = folder / _WORLD_NAME
    with reaching(folder):
        if not path.exists():
            return None
    remedy = "remove the file; the usual world is then taken"
    return read_json(path, RecordedWorld, "the world of a recording", remedy)


@dataclass(frozen=True, eq=False)
class TracedRows:
    """Where the car was at the rows of a log. Arrays have a value for each row, (rows,)."""

    track: tuple[str, ...]  # name of the road; "" for a row without a place
    # from the road's first point in its own direction, whichever way the car drove; NaN without one
    along_m: FloatArray
    off_road: BoolArray  # whether a wheel had left the asphalt
    reverse: bool  # whether the car drove against the road's own direction


def trace_rows(log: "Log") -> TracedRows | None:
    """Return where the car was at the rows of a log; None for a recording without a trace.

    Raises UserError for a trace that cannot be read, and for a road that this machine lacks.
    """
    points = read_trace(log.path.parent)
    if not points:
        return None
    found = [points.get(image) for image in log.rows["center"]]
    names = tuple(point.track if point else "" for point in found)
    along_m = np.full(len(found), np.nan)
    off_road = np.zeros(len(found), np.bool_)
    agreement = 0.0  # of the recorded sides with those of the road's own direction
    for name in sorted(set(names) - {""}):
        track = load_track(name)
        rows = np.array([row for row, other in enumerate(names) if other == name])
        at = [found[row] for row in rows.tolist()]
        places = np.array([(point.x_m, point.z_m) for point in at if point])
        recorded_m = np.array([point.cross_track_m for point in at if point])
        nearest = _nearest(track, places)
        away = places - track.line[nearest][:, [0, 2]]
        ahead = track.ahead[nearest]
        along_m[rows] = nearest / track.points_a_metre + (away * ahead).sum(axis=1)
        right_m = away[:, 0] * ahead[:, 1] - away[:, 1] * ahead[:, 0]
        agreement += float(right_m @ recorded_m)
        off_road[rows] = np.abs(recorded_m) > track.limits_m[nearest]
    return TracedRows(names, along_m, off_road, reverse=agreement < 0)


def _nearest(track: Track, places: FloatArray) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Return the index of the track's point that is nearest to each place.

    places: x and z, (places, 2)
    """
    line = track.line[:, [0, 2]]
    parts = np.array_split(places, max(len(places) // _ROWS_AT_ONCE, 1))
    found = [
        np.argmin(((part[:, None, :] - line[None]) ** 2).sum(axis=2), axis=1) for part in parts
    ]
    return np.concatenate(found)


def off_road_images(log: "Log") -> set[str]:
    """Return the centre images of the rows at which the car was off the road; raises UserError.

    A recording without a trace does not tell it, and has none.
    """
    traced = trace_rows(log)
    return set(log.rows["center"][traced.off_road]) if traced else set()
