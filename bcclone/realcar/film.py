"""A film of driving without steering -> a recording whose steering is what the film shows.

The first pictures are read to find the camera's framing, then the whole film is read. A row's path
is measured in the frames around it, and a repeated picture or a stabilised film shows in the whole
drive. So the frames wait in a folder until the last one is read: those of a long film do not fit
into memory.
"""

import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import numpy as np

from bcclone.camera.framing import Framing
from bcclone.camera.vehicle import MPH
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_rows import Row, Seen
from bcclone.exchange.formats import chosen_format
from bcclone.exchange.recording_import import (
    ImportResult,
    open_source,
    result_of,
    write_recordings,
)
from bcclone.realcar.film_camera import find_camera
from bcclone.realcar.film_path import measure_paths, steering_of_path
from bcclone.recording.row import CAMERAS, RANGES
from bcclone.system.errors import UserError
from bcclone.system.files import NEW_FOLDER, new_folder, writes

_LEAST_KEPT = 0.5  # smallest share of rows that show a steering; of a good film, most do
# largest share of rows with full steering; few bends are as sharp as the simulator's car can drive
_GREATEST_FULL = 0.01
_, _FASTEST_MPH = RANGES["speed_mph"]


@writes(NEW_FOLDER)
def import_film(settings: ImportSettings) -> ImportResult:
    """Write a film as a recording, with the rows in which it shows how it was steered.

    Raises UserError as import_recording() does, and if the camera cannot be found, or no row shows
    a steering.
    """
    start = time.monotonic()
    format = chosen_format(settings)
    # the start of the film is read twice: the framing that makes its frames is found in them
    framing, height_m, note = find_camera(format, settings)
    notes = [note] if note else []
    seen = Seen(settings.min_throttle)
    with new_folder(settings.output) as folder:
        waiting = folder / "waiting"
        with open_source(format, settings, seen, framing) as rows:
            drives = _keep_frames(rows, waiting)
        seen.check(settings.source)

        steered: list[Row] = []
        hidden: dict[int, dict[int, str]] = {}
        for number, drive in drives.items():
            found, hidden[number], remarks = _steered(drive, framing, height_m)
            steered += found
            notes += remarks
        if not steered:
            raise UserError(
                f"{settings.source}: {notes[-1]}; film a car that drives, in daylight, on a road "
                "with texture"
            )
        steering = [row.steering for row in steered]
        notes += _warnings(steering, sum(map(len, drives.values())))
        recordings = write_recordings(map(_with_frames, steered), folder, hidden)
        shutil.rmtree(waiting)
    result = result_of(format, settings, recordings, seen, start)
    return replace(result, seen=result.seen.with_steering(steering, notes), has_estimates=True)


def _keep_frames(rows: Iterable[Row], folder: Path) -> dict[int, list[Row]]:
    """Write the frames of rows into a new folder; return the rows of each recording, by its number.

    Their images are paths of frames. Rows that the source marks as deleted are left out.
    """
    folder.mkdir()
    drives: dict[int, list[Row]] = {}
    for row in rows:
        if row.deleted:
            continue
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
    return drives


def _with_frames(row: Row) -> Row:
    """Return a row with its frames in place of their paths.

    The files are removed, so that the disk need not hold all frames twice.
    """
    images: dict[str, bytes] = {}
    for camera, name in row.images.items():
        path = Path(name)
        images[camera] = path.read_bytes()
        path.unlink()
    return replace(row, images=images)


def _steered(
    drive: Sequence[Row], framing: Framing | None, height_m: float | None
) -> tuple[list[Row], dict[int, str], list[str]]:
    """Return the rows of a drive in which the frames show a steering, with it.

    Also returns the time of each other row, in milliseconds -> why it shows none; and notes on how
    good the steering is.

    framing, height_m: as find_camera() returns them
    """
    in_time = sorted(drive, key=attrgetter("time_ms"))
    paths, remarks = measure_paths(
        [row.time_ms for row in in_time],
        [row.images[CAMERAS[0]] for row in in_time],
        framing,
        height_m,
    )
    rows: list[Row] = []
    hidden: dict[int, str] = {}
    for row, path in zip(in_time, paths, strict=True):
        if isinstance(path, str):
            hidden[row.time_ms] = path
            continue
        speed_mph = path.speed * height_m / MPH if height_m else row.speed_mph
        if speed_mph > _FASTEST_MPH:
            hidden[row.time_ms] = "the speed is beyond that of any car: correct --camera-height"
            continue
        steering = steering_of_path(path.curvature, height_m)
        rows.append(replace(row, steering=steering, speed_mph=speed_mph, path=path))
    counts = [f"{count} where {why}" for why, count in Counter(hidden.values()).most_common()]
    left_out = f"; left out: {', '.join(counts)}" if counts else ""
    return rows, hidden, [*remarks, f"steering: shown in {len(rows)} rows{left_out}"]


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
