"""Rows with frames -> rows with the steering that the frames show; the others are left out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bcclone.camera.vehicle import MPH
from bcclone.exchange.framed_rows import CameraPath, FramedRow
from bcclone.exchange.left_out import Findings
from bcclone.realcar.film_framing import FilmCamera
from bcclone.realcar.film_path import ShownPaths, measure_paths, path_steering
from bcclone.recording.row import CAMERAS, RowError
from bcclone.system.errors import UserError

_LEAST_KEPT = 0.5  # smallest share of rows that show a steering; of a good film, most do
# largest share of rows with full steering; few bends are as sharp as the simulator's car can drive
_GREATEST_FULL = 0.05


def with_steering(
    rows: Iterable[FramedRow],
    camera: FilmCamera,
    waiting: Path,
    source: Path,
    findings: Findings,
) -> Iterator[FramedRow]:
    """Yield the rows in which the frames show how the car was steered, with that steering.

    Raises UserError if too few rows are usable, or none shows a steering.

    waiting: new folder in which the frames wait until the whole film is read
    source: the film, for messages
    findings: counts of the import; they get the estimated steering
    """
    drives = _wait(rows, waiting)
    findings.check(source)

    # the notes need the steering of the whole film
    notes = [camera.note] if camera.note else []
    steering: list[float] = []
    shown_by_drive = [_measure(drive, camera) for drive in drives]
    for shown in shown_by_drive:
        notes += _notes(shown)
        steering += [path_steering(path, camera.height_m) for path in shown.paths.values()]
    if not steering:
        raise UserError(
            f"{source}: {notes[-1]}; film a car that drives, in daylight, on a road with texture"
        )
    notes += _warnings(steering, findings.rows)
    findings.estimate(steering, notes)

    for drive, shown in zip(drives, shown_by_drive, strict=True):
        yield from _steered_rows(drive, shown.paths, camera.height_m, findings)


def _measure(drive: "_Drive", camera: FilmCamera) -> ShownPaths:
    """Return the paths that a drive shows, without rows that the source marks as deleted."""
    deleted = {framed.row.time_ms for framed in drive.rows if framed.row.deleted}
    times_ms = sorted(framed.row.time_ms for framed in drive.rows)
    kept = [time_ms for time_ms in times_ms if time_ms not in deleted]
    pictures = [str(drive.frame(time_ms)) for time_ms in kept]
    shown = measure_paths(kept, pictures, camera.framing, camera.height_m)
    shown.hidden["it is deleted"] = len(times_ms) - len(kept)
    return shown


def _notes(shown: ShownPaths) -> Iterator[str]:
    """Yield what is to be said of the paths of a drive."""
    hidden = [f"{count} where {reason}" for reason, count in shown.hidden.items() if count]
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


# ---- the frames


@dataclass(frozen=True)
class _Drive:
    """The rows of a recording, in the order of the source; their frames wait in a folder."""

    folder: Path
    rows: list[FramedRow]  # their images are camera -> None

    def frame(self, time_ms: int, camera: str = CAMERAS[0]) -> Path:
        """Return the path of a row's frame."""
        return self.folder / f"{camera}_{time_ms}.jpg"


def _wait(rows: Iterable[FramedRow], folder: Path) -> list[_Drive]:
    """Write the frames of rows into a new folder; return the rows, without frames, by recording.

    The frames of a long film do not fit into memory.
    """
    folder.mkdir()
    drives: dict[int, _Drive] = {}
    for framed in rows:
        row = framed.row
        if row.recording not in drives:
            drives[row.recording] = _Drive(folder / str(row.recording), [])
            drives[row.recording].folder.mkdir()
        drive = drives[row.recording]
        for camera, jpeg in row.images.items():
            drive.frame(row.time_ms, camera).write_bytes(jpeg)
        without_frames = dict.fromkeys(row.images)  # camera -> None
        drive.rows.append(replace(framed, row=replace(row, images=without_frames)))
    return list(drives.values())


def _steered_rows(
    drive: _Drive, paths: Mapping[int, CameraPath], height_m: float | None, findings: Findings
) -> Iterator[FramedRow]:
    """Yield the rows of a drive that have a path, with its steering and their frames.

    paths: time of a row in milliseconds -> its path
    findings: count a row as left out if its speed is beyond that of any car
    """
    # a row takes its path, so that a second row of the same time gets none
    remaining = dict(paths)
    for framed in drive.rows:
        row = framed.row
        path = remaining.pop(row.time_ms, None)
        if path is None:
            continue
        speed_mph = row.speed_mph
        if height_m:
            speed_mph = path.speed * height_m / MPH
        images = {camera: _take_file(drive.frame(row.time_ms, camera)) for camera in row.images}
        steering = path_steering(path, height_m)
        try:
            steered = replace(row, images=images, steering=steering, speed_mph=speed_mph)
        except RowError as error:
            findings.leave_out(row.place, error)
            continue
        yield replace(framed, row=steered, path=path)


def _take_file(path: Path) -> bytes:
    """Return the content of a file, and remove it: the disk need not hold all frames twice."""
    content = path.read_bytes()
    path.unlink()
    return content
