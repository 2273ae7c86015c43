"""Read a run or a recording: its folder -> its frames in order of time, their values, and what a
model answers.
"""

import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg

from bcclone.camera.images import BadImage, Image, jpeg_size, read_file
from bcclone.model.policy import Policy, load_policy
from bcclone.recording.edits import read_edits, seconds_since_first
from bcclone.recording.files import LOG_NAME, find_log
from bcclone.recording.row import CAMERAS, time_of
from bcclone.recording.run_tables import MODEL, read_answers, read_drivers, read_trace
from bcclone.system.arrays import Float32Array, FloatArray, Memory
from bcclone.system.errors import UserError, shown_command
from bcclone.system.tensorflow_quietly import load_tensorflow

if TYPE_CHECKING:  # it loads TensorFlow
    from bcclone.model.saliency import Saliency

_GAP_SECONDS = (
    1.0  # a longer one ends an episode: the next frame does not follow on the previous one
)
_MIN_SIZE = 2  # pixels: H.264 halves the colour planes
_LOG_COLUMNS = ["center", "steering", "speed_mph"]


@dataclass(frozen=True)
class RunFrames:
    """The frames of a run that can be shown.

    names: paths within the folder, in the order of time; size: width and height of all of them;
    skipped: name -> reason of the other frames, also of those that turn out broken.
    """

    folder: Path
    names: tuple[str, ...]
    size: tuple[int, int]
    skipped: dict[str, str]

    def decode(self, index: int) -> Image | None:
        """Return a frame, RGB uint8 (height, width, 3); if it is broken, add it to `skipped` and
        return None.
        """
        name = self.names[index]
        try:
            frame: Image = simplejpeg.decode_jpeg(
                read_file(str(self.folder / name)), colorspace="RGB"
            )
        except (ValueError, OSError) as error:
            self.skipped[name] = f"incomplete JPEG: {error}"
            return None
        return frame

    def nothing_to_show(self) -> UserError:
        first = (
            "; the first: " + ": ".join(next(iter(self.skipped.items()))) if self.skipped else ""
        )
        count = len(self.skipped.keys() | set(self.names))
        expected = "expected JPEG images of one size, with their time in the name"
        return UserError(
            f"{self.folder}: none of its {count} frames can be shown, {expected}{first}"
        )


def find_frames(folder: Path) -> RunFrames:
    """Return the frames of a run, or of a recording's centre camera; raises UserError if there are
    none.

    Frames of another size than most, and frames without a time in the name, are skipped; frames of
    deleted rows are left out.
    """
    names, skipped = _find_names(folder)
    sizes: dict[str, tuple[int, int]] = {}
    for name in names:
        try:
            sizes[name] = jpeg_size(read_file(str(folder / name)))
        except OSError as error:
            skipped[name] = f"cannot be read: {error.strerror}"
        except BadImage as error:
            skipped[name] = f"not a JPEG that can be shown: {error}"
    ((size, _),) = Counter(sizes.values()).most_common(1) or [((0, 0), 0)]
    for name, other in sizes.items():
        if other != size:
            skipped[name] = f"{other[0]}x{other[1]} pixels, the others have {size[0]}x{size[1]}"
    frames = RunFrames(folder, tuple(name for name in names if name not in skipped), size, skipped)
    if min(size) < _MIN_SIZE:
        raise frames.nothing_to_show()
    return frames


def find_runs(folder: Path) -> list[Path]:
    """Return the folders directly within a folder whose first image has its time in its name, the
    newest first.
    """
    runs = []
    for path in filter(Path.is_dir, folder.iterdir()):
        if first := next(path.glob("*.jpg"), None) or next(path.glob("IMG/*.jpg"), None):
            with suppress(ValueError):
                time_of(first.name)
                runs.append(path)
    return sorted(runs, key=lambda path: path.stat().st_mtime, reverse=True)


def _find_names(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return the names of the frames in the order of time, and name -> reason of the skipped ones."""
    if not folder.is_dir():
        if folder.exists():
            raise UserError(
                f"{folder}: a file, expected the folder of a run; name one, such as run1"
            )
        raise UserError(
            f"{folder}: no such run folder; record one with: {shown_command('drive', 'model.h5', folder)}"
        )
    images = list(folder.glob("*.jpg")) or list(folder.glob("IMG/*.jpg"))
    names = [
        str(path.relative_to(folder)) for path in images if not path.name.startswith(CAMERAS[1:])
    ]
    if not names:
        raise UserError(
            f"{folder}: there are no frames (*.jpg) in this folder; name the folder of a run, such as run1"
        )
    skipped, timed = {}, []
    for name in names:
        try:
            timed.append((time_of(Path(name).name), name))
        except ValueError as error:
            skipped[name] = str(error)
    timed.sort()
    deleted = read_edits(folder / LOG_NAME).deleted(np.array([time for time, _ in timed], np.int64))
    return [name for (_, name), out in zip(timed, deleted, strict=True) if not out], skipped


@dataclass(frozen=True)
class FrameInfo:
    """The values of one frame; None for an unknown one.

    seconds: of driving since the first frame; index: number of the frame, up to which the map draws
    the driven line; steering, model_steering: -1 (left) to 1 (right), of the driver and of the
    reference model; cross_track_m: to the right of the centre line; place: x and z on the map,
    metres; mask: how much each pixel decided, float32 (height, width), 0 to 1; taken_over: whether
    a person has taken over from the model; ended: whether the run is over.
    """

    seconds: float
    index: int = 0
    steering: float | None = None
    speed_mph: float | None = None
    latency_ms: float | None = None
    cross_track_m: float | None = None
    place: tuple[float, float] | None = None
    taken_over: bool = False
    model_steering: float | None = None
    mask: Float32Array | None = None
    ended: bool = False


@dataclass(frozen=True)
class RunData:
    """The values of a run's frames.

    driver: label of the steering, "sent", "human", "expert"; track: name of the track, None if it
    is unknown or there are several; notes: parts that are left out, with the reason.
    """

    frames: tuple[FrameInfo, ...]
    driver: str = ""
    track: str | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def seconds(self) -> FloatArray:
        return np.array([frame.seconds for frame in self.frames])

    @property
    def frame_rate(self) -> float:
        """Return the mean frames a second without pauses, in hundredths; 0 where it has none."""
        steps = np.diff(self.seconds)
        driven = steps[steps <= _GAP_SECONDS]
        return round(len(driven) / max(float(driven.sum()), 1e-3), 2)

    def knows(self, name: str) -> bool:
        """Return whether a field of FrameInfo is known of any frame."""
        return any(getattr(frame, name) is not None for frame in self.frames)


def read_run_data(frames: RunFrames, times_only: bool = False) -> RunData:
    """Read the tables of a run folder; raises UserError for a table that cannot be read.

    times_only: for a clip without an overlay.
    """
    names, trace = [Path(name).name for name in frames.names], read_trace(frames.folder)
    points = [trace.get(name) for name in names]
    times = np.array([np.nan if point is None else point.seconds for point in points])  # simulated
    if not (np.diff(times) >= 0).all() or not np.isfinite(times).all():
        times = np.array([time_of(name) for name in names]) / 1000
    seconds = seconds_since_first(times).tolist()  # pauses count 10 s at most
    if times_only:
        return RunData(tuple(map(FrameInfo, seconds)))
    answers, drivers = read_answers(frames.folder), read_drivers(frames.folder)
    log, notes = _read_log(frames)
    tracks = {point.track for point in points if point}
    if missing := [
        track for track in tracks if track.endswith(".json") and not Path(track).is_file()
    ]:
        notes += (
            f"map and distance are left out: the road {missing[0]} is not here; make the clip where it is",
        )
    track = (
        tracks.pop() if len(tracks) == 1 and not missing else None
    )  # a run on two tracks fits neither map
    infos = []
    for index, (name, point) in enumerate(zip(names, points, strict=True)):
        offset_m, place = (
            (point.cross_track_m, (point.x_m, point.z_m)) if point and track else (None, None)
        )
        taken_over = name in drivers and drivers[name].take_over is not None
        steering, speed_mph = log.get(name, (None, None))
        latency_ms = answers.get(name)
        infos.append(
            FrameInfo(
                seconds[index], index, steering, speed_mph, latency_ms, offset_m, place, taken_over
            )
        )
    # the simulator names the images of its recordings after the camera
    if not names[0].lower().startswith(CAMERAS[0]) or any(
        row.driver == MODEL for row in drivers.values()
    ):
        driver = "sent"
    else:
        driver = (
            "expert" if trace and not drivers else "human"
        )  # our simulator writes who drove unless its expert did
    return RunData(tuple(infos), driver, track, notes)


def _read_log(frames: RunFrames) -> tuple[dict[str, tuple[float, float | None]], tuple[str, ...]]:
    """Return steering and speed by the name of the centre image, and notes on what could not be
    read.
    """
    from bcclone.recording.log import read_log  # loads pandas

    try:
        log = read_log(find_log(str(frames.folder)))
    except UserError as error:
        return {}, (f"steering and speed are left out: {error}",)
    moved = log.rows["speed_mph"].any()  # a tub has no speed, and its recording 0 in every row
    rows = {
        name: (steering, mph if moved else None)
        for name, steering, mph in log.rows[_LOG_COLUMNS].itertuples(index=False)
    }
    if not log.bad_rows:
        return rows, ()
    first = log.bad_rows[0]
    return rows, (
        f"{log.path}: {len(log.bad_rows)} rows are left out; the first, row {first.row}: {first.reason}",
    )


@dataclass(frozen=True)
class ReferenceModel:
    """A model that steers along with recorded drives, and its saliency."""

    policy: Policy
    saliency: "Saliency"

    @classmethod
    def open(cls, path: Path, preprocess: str | None = None) -> "ReferenceModel":
        """Load a model. preprocess: name of its preprocessing, if the file does not state it.

        Raises UserError for a file that is no model, and for a network whose saliency cannot be
        computed.
        """
        if "tensorflow" not in sys.modules:  # a program that uses it already has chosen its threads
            load_tensorflow(
                threads=1
            )  # it steers frame by frame, and the encoder uses the other cores
        from bcclone.model.saliency import Saliency

        policy = load_policy(path, preprocess)
        return cls(policy, Saliency(policy.model, policy.preprocessing))


class ReferenceDrive:
    """The answers of a model along one run, whose frames come in order; some may be left out.

    Several runs may share the model: each drive has a memory of its own.
    """

    def __init__(self, model: ReferenceModel, frames: RunFrames, seconds: FloatArray) -> None:
        self._policy, self._saliency = model.policy, model.saliency
        self._frames, self._seconds = frames, seconds
        self._memory: Memory = ()
        self._next = 0
        # how many frames decide an answer; for a recurrent network, all frames of the drive
        self._length = sys.maxsize if self._policy.carries_states else self._policy.seq_length

    def answer(self, index: int, frame: Image) -> tuple[float | None, Float32Array]:
        """Return the steering, -1 to 1, None if it is not finite, and how much each pixel decided,
        (160, 320), 0 to 1.

        frame: RGB uint8 (160, 320, 3). Raises UserError for frames that the model cannot take.
        """
        try:
            for shown in range(
                max(self._next, index - self._length + 1), index + 1
            ):  # also what the clip leaves out
                if shown and self._seconds[shown] - self._seconds[shown - 1] > _GAP_SECONDS:
                    self._memory = ()
                if (pixels := frame if shown == index else self._frames.decode(shown)) is not None:
                    image = self._policy.preprocessing.apply(pixels)
                    answer, self._memory = self._policy.next_answer(image, self._memory)
        except BadImage as error:
            raise UserError(
                f"{self._frames.folder}: the model cannot take these frames: {error}; leave --model out"
            ) from None
        self._next, steering = index + 1, answer.steering
        return (
            min(max(steering, -1.0), 1.0) if np.isfinite(steering) else None
        ), self._saliency.mask_of(image)
