"""Rows with frames -> rows with the steering that the frames show; the others are left out.

The path at a row is measured in the frames around it, and a repeated picture or a stabilised film
shows in the whole drive. So the frames are kept until the last one is read: in a folder, since
those of a long film do not fit into memory.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path

import numpy as np

from bcclone.camera.vehicle import MPH
from bcclone.exchange.rows import LeftOut, Row
from bcclone.realcar.film_framing import FilmCamera
from bcclone.realcar.film_path import ShownPaths, measure_paths, path_steering
from bcclone.recording.row import CAMERAS, RowError
from bcclone.system.errors import UserError

_LEAST_KEPT = 0.5  # smallest share of rows that show a steering; of a good film, most do
# largest share of rows with full steering; few bends are as sharp as the simulator's car can drive
_GREATEST_FULL = 0.01

# the rows of a recording, in the order of the source; their images are camera -> path of the frame
Drive = Sequence[Row]


# ---- the frames


def keep_frames(rows: Iterable[Row], folder: Path) -> list[Drive]:
    """Write the frames of rows into a new folder; return the rows of each recording."""
    folder.mkdir()
    drives: dict[int, list[Row]] = {}
    for row in rows:
        folder_of_drive = folder / str(row.recording)
        if row.recording not in drives:
            drives[row.recording] = []
            folder_of_drive.mkdir()
        paths: dict[str, str] = {}
        for camera, jpeg in row.images.items():
            path = folder_of_drive / f"{camera}_{row.time_ms}.jpg"
            path.write_bytes(jpeg)
            paths[camera] = str(path)
        drives[row.recording].append(replace(row, images=paths))
    return list(drives.values())


def with_frames(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield rows with their frames in place of the paths.

    The files are removed, so that the disk need not hold all frames twice.
    """
    for row in rows:
        images: dict[str, bytes] = {}
        for camera, name in row.images.items():
            path = Path(name)
            images[camera] = path.read_bytes()
            path.unlink()
        yield replace(row, images=images)


# ---- the steering


@dataclass(frozen=True)
class SteeredRows:
    """The rows of a film in which the frames show how the car was steered."""

    rows: Sequence[Row]  # with that steering; their images are paths of frames
    left_out: Sequence[LeftOut]  # rows with a steering whose speed is beyond that of any car
    # number of a recording -> time of each row that shows no steering, in milliseconds -> why
    hidden: Mapping[int, Mapping[int, str]]
    notes: Sequence[str]  # how good the steering is, and why other rows show none

    @property
    def steering(self) -> list[float]:
        return [row.steering for row in self.rows]


def estimate_steering(drives: Sequence[Drive], camera: FilmCamera, source: Path) -> SteeredRows:
    """Return the rows with the steering that the frames show; raises UserError if none shows one.

    source: the film, for messages
    """
    notes = [camera.note] if camera.note else []
    steering: list[float] = []  # of all rows that show one
    items: list[Row | LeftOut] = []
    hidden: dict[int, Mapping[int, str]] = {}
    for drive in drives:
        shown = _measure(drive, camera)
        notes += _notes(shown)
        steering += [path_steering(path, camera.height_m) for path in shown.paths.values()]
        hidden[drive[0].recording] = shown.hidden
        items += _steered(drive, shown, camera.height_m)
    rows = [item for item in items if isinstance(item, Row)]
    left_out = [item for item in items if isinstance(item, LeftOut)]
    if not steering:
        raise UserError(
            f"{source}: {notes[-1]}; film a car that drives, in daylight, on a road with texture"
        )
    if not rows:
        raise UserError(
            f"{left_out[0].shown}; correct --camera-height, from which the speed follows"
        )
    notes += _warnings(steering, sum(map(len, drives)))
    return SteeredRows(rows, left_out, hidden, notes)


def _measure(drive: Drive, camera: FilmCamera) -> ShownPaths:
    """Return the paths that a drive shows, without rows that the source marks as deleted."""
    deleted = {row.time_ms for row in drive if row.deleted}
    in_time = sorted(drive, key=attrgetter("time_ms"))
    kept = [row for row in in_time if row.time_ms not in deleted]
    shown = measure_paths(
        [row.time_ms for row in kept],
        [row.images[CAMERAS[0]] for row in kept],
        camera.framing,
        camera.height_m,
    )
    shown.hidden.update(dict.fromkeys(deleted, "it is deleted"))
    return shown


def _steered(drive: Drive, shown: ShownPaths, height_m: float | None) -> Iterator[Row | LeftOut]:
    """Yield the rows of a drive that have a path, with its steering.

    A row is left out if its speed is beyond that of any car; it is then among those that `shown`
    hides.
    """
    # a row takes its path, so that a second row of the same time gets none
    remaining = dict(shown.paths)
    for row in drive:
        path = remaining.pop(row.time_ms, None)
        if path is None:
            continue
        speed_mph = row.speed_mph
        if height_m:
            speed_mph = path.speed * height_m / MPH
        steering = path_steering(path, height_m)
        try:
            steered = replace(row, steering=steering, speed_mph=speed_mph, path=path)
        except RowError as error:
            shown.hidden[row.time_ms] = "the speed is beyond that of any car"
            yield LeftOut.of(row.place, error)
            continue
        yield steered


def _notes(shown: ShownPaths) -> Iterator[str]:
    """Yield what is to be said of the paths of a drive."""
    counts = Counter(shown.hidden.values())
    hidden = [f"{count} where {reason}" for reason, count in counts.most_common()]
    left_out = f"; left out: {', '.join(hidden)}" if hidden else ""
    yield f"steering: shown in {len(shown.paths)} rows{left_out}"
    yield from shown.remarks


def _warnings(steering: Sequence[float], rows: int) -> Iterator[str]:
    """Yield what is suspicious about the steering of a film.

    steering: -1 to 1, of the rows that show it
    rows: how many rows the film has
    """
    share = len(steering) / rows
    if share < _LEAST_KEPT:
        yield (
            f"careful: {share:.0%} of the rows show a steering, expected most: is the film upright "
            "and clear?"
        )
    full = float(np.mean(np.abs(steering) >= 1))
    if full > _GREATEST_FULL:
        yield (
            f"careful: {full:.0%} of the rows have full steering: sharper bends than the "
            "simulator's, or a wrong --fov"
        )
