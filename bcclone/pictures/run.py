"""Read a run or a recording: a folder -> a `Run`, its frames in order of time and their values."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg

from bcclone.camera.images import (
    BadImage,
    Image,
    decode_image,
    is_upright,
    jpeg_size,
    read_file,
)
from bcclone.recording.edits import read_edits, seconds_since_first
from bcclone.recording.files import LOG_NAME, find_log
from bcclone.recording.row import CAMERAS, time_of
from bcclone.recording.run_tables import MODEL, TracePoint, read_answers, read_drivers, read_trace
from bcclone.system.errors import UserError, shown_command
from bcclone.system.location import is_hidden
from bcclone.system.numbers import FloatArray

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
class Run:
    """The frames of a run that can be shown."""

    folder: Path
    names: tuple[str, ...]  # paths within the folder, in the order of time
    size: tuple[int, int]  # width and height of each frame, in pixels
    # name -> reason, for each frame that cannot be shown; decode() adds frames that are broken
    skipped: dict[str, str]
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

    def decode(self, index: int) -> Image | None:
        """Return a frame, RGB uint8 (height, width, 3).

        If it is broken, add it to `skipped` and return None.
        """
        name = self.names[index]
        try:
            content = read_file(str(self.folder / name))
            if not is_upright(content):
                return decode_image(content)
            frame: Image = simplejpeg.decode_jpeg(content, colorspace="RGB")
        except (ValueError, OSError) as error:
            self.skipped[name] = f"incomplete JPEG: {error}"
            return None
        return frame


def read_run(folder: Path, times_only: bool = False) -> Run:
    """Read a run, or a recording's centre camera.

    Frames without a time in the name are skipped, and frames whose size most frames do not have.
    Frames of rows that `bcclone edit` deleted are left out. Raises UserError if no frame is left,
    and for a table that cannot be read.

    times_only: True to leave out the values, for a clip without an overlay
    """
    names, size, skipped = _find_frames(folder)
    bare_names = [Path(name).name for name in names]
    trace = read_trace(folder)
    points = [trace.get(name) for name in bare_names]
    seconds = _seconds(bare_names, points)
    if times_only:
        infos = tuple(FrameInfo(time) for time in seconds.tolist())
        return Run(folder, names, size, skipped, infos, seconds)

    answers = read_answers(folder)
    drivers = read_drivers(folder)
    log, notes = _read_log(folder)
    track, track_notes = _track_of(points)
    known = []
    for time, name, point in zip(seconds.tolist(), bare_names, points, strict=True):
        steering, speed_mph = log.get(name, (None, None))
        known.append(
            FrameInfo(
                seconds=time,
                steering=steering,
                speed_mph=speed_mph,
                latency_ms=answers.get(name),
                # without its track, a place cannot be drawn
                cross_track_m=point.cross_track_m if point and track else None,
                place=(point.x_m, point.z_m) if point and track else None,
                taken_over=name in drivers and drivers[name].take_over is not None,
            )
        )
    driver = _label_of(bare_names[0], bool(trace), [row.driver for row in drivers.values()])
    all_notes = notes + track_notes
    return Run(folder, names, size, skipped, tuple(known), seconds, driver, track, all_notes)


_MIN_SIZE = 2  # least rows and columns of a frame: H.264 has a colour for each 2 x 2 pixels


def _find_frames(folder: Path) -> tuple[tuple[str, ...], tuple[int, int], dict[str, str]]:
    """Return the names of the frames, their width and height, and name -> reason if skipped."""
    names, skipped = _find_names(folder)
    sizes: dict[str, tuple[int, int]] = {}
    for name in names:
        try:
            sizes[name] = jpeg_size(read_file(str(folder / name)))
        except OSError as error:
            skipped[name] = f"cannot be read: {error.strerror}"
        except BadImage as error:
            skipped[name] = f"not a JPEG that can be shown: {error}"
    usual_size = (0, 0)
    if sizes:
        ((usual_size, _),) = Counter(sizes.values()).most_common(1)
    usual = "{}x{}".format(*usual_size)
    for name, size in sizes.items():
        if size != usual_size:
            skipped[name] = f"{size[0]}x{size[1]} pixels, the others have {usual}"
    if min(usual_size) < _MIN_SIZE:
        raise nothing_to_show(folder, names, skipped)
    return tuple(name for name in names if name not in skipped), usual_size, skipped


def nothing_to_show(folder: Path, names: Sequence[str], skipped: Mapping[str, str]) -> UserError:
    """Return the error of a run without any frame that can be shown."""
    count = len(skipped.keys() | set(names))
    message = (
        f"{folder}: none of its {count} frames can be shown, "
        "expected JPEG images of one size, with their time in the name"
    )
    if skipped:
        name, reason = next(iter(skipped.items()))
        message += f"; the first: {name}: {reason}"
    message += "; copy the frames again, or name the folder of another drive"
    return UserError(message)


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


def _find_names(folder: Path) -> tuple[list[str], dict[str, str]]:
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
            f"{folder}: there are no frames (*.jpg) in this folder; "
            "name the folder of a run, such as run1"
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
    kept = [name for (_, name), out in zip(timed, deleted, strict=True) if not out]
    return kept, skipped


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


def _track_of(points: Sequence[TracePoint | None]) -> tuple[str | None, tuple[str, ...]]:
    """Return the track of a run, and a note if its file is missing.

    The track is None if it is unknown, and for a run on two tracks, which fits neither map.
    """
    tracks = {point.track for point in points if point}
    missing = [track for track in tracks if track.endswith(".json") and not Path(track).is_file()]
    if missing:
        note = (
            f"map and distance are left out: the road {missing[0]} is not here; "
            "make the clip where it is"
        )
        return None, (note,)
    if len(tracks) != 1:
        return None, ()
    return tracks.pop(), ()


def _label_of(first_name: str, has_trace: bool, drivers: Sequence[str]) -> str:
    """Return the label of the steering, which says who drove, as in RunData.driver."""
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
