"""Read a run or a recording: a folder -> its frames in order of time, and their values."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bcclone.camera.images import BadImage, Image, read_picture
from bcclone.recording.edits import read_edits, seconds_since_first
from bcclone.recording.files import LOG_NAME, find_log
from bcclone.recording.row import CAMERAS, time_of
from bcclone.recording.run_tables import MODEL, TracePoint, read_answers, read_drivers, read_trace
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError, shown_command
from bcclone.system.location import is_hidden

# a longer time between two frames is a pause: another drive begins after it
GAP_SECONDS = 1.0


@dataclass(frozen=True)
class FrameInfo:
    """The values of one frame; a value is None if it is unknown."""

    seconds: float  # seconds of driving since the first frame
    steering: float | None = None  # steering of the driver, -1 (left) to 1 (right)
    speed_mph: float | None = None
    latency_ms: float | None = None
    cross_track_m: float | None = None  # metres to the right of the centre line
    place: tuple[float, float] | None = None  # x and z on the map, metres
    taken_over: bool = False  # whether a person has taken over from the model


@dataclass(frozen=True)
class RecordedRun:
    """The frames of a run."""

    folder: Path
    names: tuple[str, ...]  # paths within the folder, in the order of time
    size: tuple[int, int]  # width and height of the first frame that can be read, in pixels
    skipped: Mapping[str, str]  # name -> reason, for each frame that states no time
    infos: tuple[FrameInfo, ...]  # of each frame
    seconds: FloatArray  # seconds of driving since the first frame, (frames,)
    # label of the steering, which says who steered: "sent" (by a model), "human" or "expert"
    driver: str = ""
    track: str | None = None  # name of the track; None if it is unknown or there are several
    notes: tuple[str, ...] = ()  # sentences: which values are left out, and why

    @property
    def frame_rate(self) -> float:
        """Return the mean frames a second without pauses, rounded to 0.01; 0 for a single frame."""
        steps = np.diff(self.seconds)
        driven = steps[steps <= GAP_SECONDS]
        return round(len(driven) / max(float(driven.sum()), 1e-3), 2)

    def frame(self, index: int) -> Image:
        """Return a frame, RGB uint8 (height, width, 3); raises BadImage for one of another size."""
        frame = read_picture(str(self.folder / self.names[index]))
        height, width, _ = frame.shape
        if (width, height) != self.size:
            raise BadImage.wrong_size(width, height, *self.size)
        return frame


def read_run(folder: Path, times_only: bool = False) -> RecordedRun:
    """Read a run, or a recording's centre camera.

    Frames without a time in the name are skipped; those of rows that `bcclone edit` deleted are
    left out. Raises UserError if no frame can be read, and for a table that cannot be read.

    times_only: True to leave out the values, for a clip without an overlay
    """
    names, skipped = _find_names(folder)
    size = _size_of_first(folder, names, skipped)
    bare_names = [Path(name).name for name in names]
    trace = read_trace(folder)
    points = [trace.get(name) for name in bare_names]
    seconds = _seconds(bare_names, points)
    if times_only:
        infos = tuple(FrameInfo(time) for time in seconds.tolist())
        return RecordedRun(folder, names, size, skipped, infos, seconds)

    answers = read_answers(folder)
    drivers = read_drivers(folder)
    log, notes = _read_log(folder)
    tracks = {point.track for point in points if point}
    # a run on two tracks fits neither map
    track = tracks.pop() if len(tracks) == 1 else None
    known = []
    for time, name, point in zip(seconds.tolist(), bare_names, points, strict=True):
        steering, speed_mph = log.get(name, (None, None))
        info = FrameInfo(
            seconds=time,
            steering=steering,
            speed_mph=speed_mph,
            latency_ms=answers.get(name),
            taken_over=name in drivers and drivers[name].take_over is not None,
        )
        if point and track:  # without its track, a place cannot be drawn
            place = (point.x_m, point.z_m)
            info = replace(info, cross_track_m=point.cross_track_m, place=place)
        known.append(info)
    driver = _label_of(bare_names[0], bool(trace), [row.driver for row in drivers.values()])
    return RecordedRun(folder, names, size, skipped, tuple(known), seconds, driver, track, notes)


def _size_of_first(
    folder: Path, names: Sequence[str], skipped: Mapping[str, str]
) -> tuple[int, int]:
    """Return width and height of the first frame that can be read."""
    broken = {}
    for name in names:
        try:
            height, width, _ = read_picture(str(folder / name)).shape
            return width, height
        except BadImage as error:
            broken[name] = str(error)
    raise nothing_to_show(folder, {**skipped, **broken})


def nothing_to_show(folder: Path, skipped: Mapping[str, str]) -> UserError:
    """Return the error of a run of whose frames none can be shown, name -> reason."""
    reason = "".join(f"; the first: {name}: {why}" for name, why in list(skipped.items())[:1])
    return UserError(
        f"{folder}: none of its frames can be shown, expected JPEG images of one size, with their "
        f"time in the name{reason}; copy the frames again, or name the folder of another drive"
    )


def find_runs(folder: Path) -> list[Path]:
    """Return the runs and recordings in a folder, newest first.

    A folder counts as one if the name of the first image that is found in it states a time.
    """
    runs = []
    for path in filter(Path.is_dir, folder.iterdir()):
        images = _images(path, "*.jpg") or _images(path, "IMG/*.jpg")
        if images:
            with suppress(ValueError):
                time_of(images[0].name)  # only for the ValueError of a name without a time
                runs.append(path)
    return sorted(runs, key=lambda path: path.stat().st_mtime, reverse=True)


def _images(folder: Path, pattern: str) -> list[Path]:
    return [path for path in folder.glob(pattern) if not is_hidden(path.name)]


def _named_runs(folder: Path) -> str:
    """Return in words which runs a folder without frames may have been named for."""
    runs = find_runs(folder)
    return ", or ".join(map(str, runs[:3])) if runs else "the folder of a run, such as run1"


def _find_names(folder: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the names of the frames in order of time; and name -> reason, for skipped frames.

    Raises UserError for a folder that is missing or has no frames.
    """
    if not folder.is_dir():
        if folder.exists():
            raise UserError(
                f"{folder}: a file, expected the folder of a run; name one, such as run1"
            )
        raise UserError(
            f"{folder}: no such run folder; "
            f"record one with: {shown_command('drive', 'model.h5', folder)}"
        )
    images = _images(folder, "*.jpg") or _images(folder, "IMG/*.jpg")
    side_cameras = CAMERAS[1:]
    names = [
        str(path.relative_to(folder)) for path in images if not path.name.startswith(side_cameras)
    ]
    if not names:
        raise UserError(
            f"{folder}: there are no frames (*.jpg) in this folder; name {_named_runs(folder)}"
        )
    skipped = {}
    timed = []
    for name in names:
        try:
            timed.append((time_of(Path(name).name), name))
        except ValueError as error:
            skipped[name] = str(error)
    timed.sort()
    times = np.array([time for time, _ in timed], np.int64)
    deleted = read_edits(folder / LOG_NAME).deleted(times)
    kept = (name for (_, name), out in zip(timed, deleted, strict=True) if not out)
    return tuple(kept), skipped


def _seconds(names: Sequence[str], points: Sequence[TracePoint | None]) -> FloatArray:
    """Return the seconds of driving of each frame since the first; pauses count 10 s at most.

    The simulator's seconds are used if they are known for all frames and never go back, and
    otherwise the times in the names.

    points: what trace.csv says of each frame, None where it says nothing
    """
    times = np.array([np.nan if point is None else point.seconds for point in points])
    if not (np.diff(times) >= 0).all() or not np.isfinite(times).all():
        times = np.array([time_of(name) for name in names]) / 1000
    return seconds_since_first(times)


def _label_of(first_name: str, has_trace: bool, drivers: Sequence[str]) -> str:
    """Return the label of the steering, which says who drove, as in RecordedRun.driver."""
    # the simulator names the images of its recordings after the camera
    is_recording = first_name.lower().startswith(CAMERAS[0])
    if not is_recording or MODEL in drivers:
        return "sent"
    # our simulator writes a trace; it also writes who drove, unless its expert did
    return "expert" if has_trace and not drivers else "human"


def _read_log(folder: Path) -> tuple[dict[str, tuple[float, float | None]], tuple[str, ...]]:
    """Return name of the centre image -> steering and speed; and notes on what is left out."""
    from bcclone.recording.log import read_log  # loads pandas

    try:
        log = read_log(find_log(str(folder)))
    except UserError as error:
        return {}, (f"steering and speed are left out: {error}",)
    # a recording that was imported from a tub has no speeds: all rows of its log say 0
    has_speeds = log.rows["speed_mph"].any()
    columns = ["center", "steering", "speed_mph"]
    rows = {}
    for name, steering, speed_mph in log.rows[columns].itertuples(index=False):
        rows[name] = (steering, speed_mph if has_speeds else None)
    if not log.bad_rows:
        return rows, ()
    first = log.bad_rows[0]
    note = (
        f"{log.path}: {len(log.bad_rows)} rows are left out; "
        f"the first, row {first.row}: {first.reason}"
    )
    return rows, (note,)
