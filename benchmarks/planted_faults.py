"""Plant faults in a recording in memory, to see whether a check names them.

In: a recording, a fault of the table FAULTS and its strength. Out: another recording, which has the
fault. Most faults have three strengths, the others are planted as a whole; a share counts from the
last row back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bcclone import UserError
from bcclone.camera.geometry import FOCAL_PX, VANISHING_ROW
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image, cv2, read_frame
from bcclone.diagnosis.judging import Diagnosis, diagnose
from bcclone.diagnosis.motion import RecordingFigures
from bcclone.recording.files import ImageIndex, find_log
from bcclone.recording.log import Log, read_log
from bcclone.recording.row import CAMERAS
from bcclone.system.arrays import FloatArray, IndexArray

Change = Callable[[Image], Any]  # a frame -> the changed one
Inject = Callable[["Recorded", float], "Recorded"]  # a recording, a strength -> the faulty one


@dataclass(frozen=True)
class Frames:
    """The frames of each camera, in order of time."""

    of: Mapping[str, Sequence[Image]]

    @cached_property
    def figures(self) -> RecordingFigures:
        """Return what they show, as `preprocess.py --check` gathers it."""
        figures = RecordingFigures(len(self.of["center"]))
        for row, center in enumerate(self.of["center"]):
            frames: dict[str, Image | None] = {"center": center}
            if (row + 1) % figures.every == 0:
                frames |= {camera: images[row] for camera, images in self.of.items()}
            figures.add(frames)
        return figures


@dataclass(frozen=True)
class Recorded:
    """A recording in memory, and what of another one is planted in it."""

    path: Path
    log: Log  # its rows are in order of time
    frames: Frames
    other_steering: FloatArray  # of the other recording
    other_frames: Sequence[Image] = ()
    # indices of the rows whose frames are those of the other recording
    foreign: IndexArray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def rows(self) -> pd.DataFrame:
        """Return the rows of the log."""
        return self.log.rows

    def column(self, name: str) -> Any:
        """Return a copy of a column of the log."""
        return self.rows[name].to_numpy().copy()

    def first_of(self, share: float) -> int:
        """Return the first of the last share of the rows."""
        return round(len(self.rows) * (1 - share))

    def with_rows(self, **columns: Any) -> "Recorded":
        """Return it with other columns of the log."""
        return replace(self, log=replace(self.log, rows=self.rows.assign(**columns)))

    def with_cameras(self, **frames: Sequence[Image]) -> "Recorded":
        """Return it with other frames of some cameras."""
        return replace(self, frames=Frames({**self.frames.of, **frames}))

    def with_frames(self, change: Change, share: float = 1.0) -> "Recorded":
        """Return it with the frames of the last share of the rows changed."""
        first = self.first_of(share)
        cameras: dict[str, Sequence[Image]] = {}
        for camera, frames in self.frames.of.items():
            changed = [np.ascontiguousarray(change(frame)) for frame in frames[first:]]
            cameras[camera] = [*frames[:first], *changed]
        return self.with_cameras(**cameras)

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """Return the diagnosis, as `preprocess.py --check` makes it."""
        center = self.frames.of["center"]
        return diagnose(self.log, self.frames.figures, lambda row: center[row])


def load_recording(path: str, other: str, count: int = 600) -> Recorded:
    """Read the first rows of a recording into memory; raises UserError for one without frames.

    other: the recording that is planted in it.
    """
    most_foreign = 200  # frames
    log = read_log(find_log(path))
    rows = log.rows.iloc[:count]
    index = ImageIndex(log.path)
    frames = {camera: _frames_of(rows[camera], index) for camera in CAMERAS if all(rows[camera])}
    if "center" not in frames:
        raise UserError(f"{path}: its rows have no centre frames; name a recording with frames")
    other_log = read_log(find_log(other))
    other_images = other_log.rows["center"].iloc[:most_foreign]
    return Recorded(
        Path(path),
        replace(log, rows=rows),
        Frames(frames),
        other_log.rows["steering"].to_numpy(np.float64),
        _frames_of(other_images, ImageIndex(other_log.path)),
    )


def _frames_of(images: "pd.Series[str]", index: ImageIndex) -> list[Image]:
    return [read_frame(index.find(image) or image) for image in images]


# ---- faults of the steering, the throttle and the clock


def _steering(change: Callable[[Any, float], Any]) -> Inject:
    """Return how a fault of the steering is planted. change: the column, a strength -> another."""

    def inject(recorded: Recorded, strength: float) -> Recorded:
        return recorded.with_rows(steering=change(recorded.rows["steering"], strength))

    return inject


def _clipped(steering: Any, share: float) -> Any:
    """Clip the largest share of the turning rows.

    At least a tenth of the range is clipped, where many rows have full lock.
    """
    turning = steering.abs()[steering.abs() > 0.02]
    limit_of_range = (1 - share) * float(turning.max())
    limit_of_rows = turning.quantile(1 - share)
    return steering.clip(-limit_of_range, limit_of_range).clip(-limit_of_rows, limit_of_rows)


def _few_steps(steering: Any, levels: float) -> Any:
    half = (levels - 1) / 2
    step = float(steering.abs().quantile(0.99)) / half
    return (steering / step).round().clip(-half, half) * step


def _delayed(recorded: Recorded, seconds: float) -> Recorded:
    """Take the steering of another time.

    Rows for which that lies in a pause, or nowhere, are left out.
    """
    pause_steps = 3.0  # of the usual time from row to row
    times = recorded.column("time_ms") / 1000
    wanted = times - seconds
    steps = np.diff(times)
    stretch = np.concatenate([[0], np.cumsum(steps > pause_steps * np.median(steps))])
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    inside = (wanted >= times[0]) & (wanted <= times[-1])
    inside &= (stretch[after - 1] == stretch) & (stretch[after] == stretch)
    delayed = recorded.with_rows(steering=np.interp(wanted, times, recorded.rows["steering"]))
    kept = np.flatnonzero(inside).tolist()
    frames = {
        camera: [images[row] for row in kept] for camera, images in recorded.frames.of.items()
    }
    log = replace(delayed.log, rows=delayed.rows[inside].reset_index(drop=True))
    return replace(delayed, log=log, frames=Frames(frames))


def _unrelated(recorded: Recorded, share: float) -> Recorded:
    """Pair the last share of the frames with the log of another recording."""
    steering = recorded.column("steering")
    first = recorded.first_of(share)
    steering[first:] = np.resize(recorded.other_steering, len(steering) - first)
    return recorded.with_rows(steering=steering)


def _rolled(recorded: Recorded, seconds: float) -> Recorded:
    """Shift the steering by so many seconds, round the end.

    So is that of a log that is counted otherwise than the frames.
    """
    times = recorded.column("time_ms") / 1000
    rows = round(seconds / float(np.median(np.diff(times))))
    return recorded.with_rows(steering=np.roll(recorded.column("steering"), rows))


def _constant_throttle(recorded: Recorded, throttle: float) -> Recorded:
    return recorded.with_rows(throttle=throttle)


def _clock_jump(recorded: Recorded, seconds: float) -> Recorded:
    """Set the clock forward in the middle of a stretch of driving."""
    times = recorded.column("time_ms")
    steps = np.diff(times)
    calm = np.flatnonzero(steps < 2 * np.median(steps))
    times[calm[len(calm) // 2] + 1 :] += round(1000 * seconds)
    return recorded.with_rows(time_ms=times)


def _out_of_order(recorded: Recorded, share: float) -> Recorded:
    lines = recorded.column("line")
    first = recorded.first_of(share)
    lines[first:] = lines[first:][::-1]
    return recorded.with_rows(line=lines)


# ---- faults of the frames


def _frames(change: Callable[[float], Change]) -> Inject:
    """Return how a fault of all frames is planted. change: strength -> the change of a frame."""
    return lambda recorded, strength: recorded.with_frames(change(strength))


def _partly(change: Change) -> Inject:
    """Return how a fault of the last share of the frames is planted."""
    return lambda recorded, share: recorded.with_frames(change, share)


def _turned(right: float = 0.0, down: float = 0.0) -> Change:
    """Return what a camera sees that is turned, in degrees."""
    pixels = np.array([[FOCAL_PX, 0, FRAME_WIDTH / 2], [0, FOCAL_PX, VANISHING_ROW], [0, 0, 1.0]])
    rotation, _ = cv2.Rodrigues(np.radians([down, -right, 0.0]))
    return _warped(pixels @ rotation @ np.linalg.inv(pixels))


def _leaning(degrees: float) -> Change:
    middle = ((FRAME_WIDTH - 1) / 2, (FRAME_HEIGHT - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, degrees, 1)
    return _warped(np.vstack([matrix, [0, 0, 1]]))


def _warped(matrix: FloatArray) -> Change:
    size = (FRAME_WIDTH, FRAME_HEIGHT)
    return lambda frame: cv2.warpPerspective(frame, matrix, size, borderMode=cv2.BORDER_REPLICATE)


def _backwards(recorded: Recorded, share: float) -> Recorded:
    """Drive the same way backwards."""
    frames = {camera: images[::-1] for camera, images in recorded.frames.of.items()}
    return recorded.with_rows(steering=recorded.column("steering")[::-1]).with_cameras(**frames)


def _turned_back(recorded: Recorded, share: float) -> Recorded:
    """Stop, and drive the same way back for the last share of the rows, half of them at most.

    So Udacity's simulator writes it: the brake is pressed, and the speed rises.
    """
    mph_a_row = 0.5  # by which the speed rises and falls
    count = len(recorded.rows)
    first = recorded.first_of(share)
    order = np.append(np.arange(first), np.arange(first - 1, 2 * first - count - 1, -1)).tolist()
    frames = {camera: [of[row] for row in order] for camera, of in recorded.frames.of.items()}
    speeds = recorded.column("speed_mph")[order]
    from_stop = np.abs(np.arange(count) - first)
    return recorded.with_rows(
        steering=recorded.column("steering")[order],
        brake=np.where(np.arange(count) >= first, 1.0, recorded.column("brake")),
        speed_mph=np.minimum(speeds, mph_a_row * from_stop),
    ).with_cameras(**frames)


def _foreign(rows_of: Callable[[int, float], IndexArray]) -> Inject:
    """Return how frames of another recording are put among the centre camera's.

    rows_of: number of rows, share -> which rows.
    """

    def inject(recorded: Recorded, share: float) -> Recorded:
        center = list(recorded.frames.of["center"])
        rows = rows_of(len(center), share)
        for number, row in enumerate(rows.tolist()):
            center[row] = recorded.other_frames[number % len(recorded.other_frames)]
        return replace(recorded.with_cameras(center=center), foreign=rows)

    return inject


def _block(rows: int, share: float) -> IndexArray:
    return np.arange(rows // 3, rows // 3 + round(share * rows))


def _scattered(rows: int, share: float) -> IndexArray:
    inner = np.arange(1, rows - 1)
    return np.sort(np.random.default_rng(0).choice(inner, round(share * rows), replace=False))


def _exchanged(first: str, second: str) -> Inject:
    """Return how the frames of two cameras are exchanged."""

    def inject(recorded: Recorded, share: float) -> Recorded:
        start = recorded.first_of(share)
        of_first = recorded.frames.of[first]
        of_second = recorded.frames.of[second]
        swapped = {
            first: [*of_first[:start], *of_second[start:]],
            second: [*of_second[:start], *of_first[start:]],
        }
        return recorded.with_cameras(**swapped)

    return inject


def _frozen(recorded: Recorded, share: float) -> Recorded:
    center = recorded.frames.of["center"]
    first = recorded.first_of(share)
    repeated = [center[first]] * (len(center) - first)
    return recorded.with_cameras(center=[*center[:first], *repeated])


def _black(frame: Image) -> Any:
    return frame // 32


def _over_exposed(frame: Image) -> Any:
    return np.maximum(frame, 242)


def _blurred(frame: Image) -> Any:
    return cv2.GaussianBlur(frame, (0, 0), 4)


@dataclass(frozen=True)
class PlantedFault:
    """A fault that can be planted in a recording."""

    finding: str  # that must name it
    strengths: tuple[float, ...]  # with each of which it is planted
    inject: Inject
    also: tuple[str, ...] = ()  # findings that name it as well
    three_cameras: bool = False  # it is only found in a recording that has them

    @property
    def names(self) -> set[str]:
        """Return the findings of which one must name it."""
        return {self.finding, *self.also}

    def can_be_planted(self, recorded: Recorded) -> bool:
        return not self.three_cameras or len(recorded.frames.of) == len(CAMERAS)


_SHARES = (0.25, 0.5, 1.0)
FAULTS: Mapping[str, PlantedFault] = {  # by its name and the unit of its strength
    "mirrored steering, share": PlantedFault(
        "mirrored", (1.0,), _steering(lambda column, share: -column)
    ),
    "mirrored frames": PlantedFault("mirrored", (1.0,), _partly(lambda frame: frame[:, ::-1])),
    "late, seconds": PlantedFault("late", (0.4, 0.7, 1.0), _delayed),
    "early, seconds": PlantedFault("early", (-0.4, -0.7, -1.0), _delayed),
    "other log, share": PlantedFault("unrelated", _SHARES, _unrelated, also=("partly-unrelated",)),
    "rolled, seconds": PlantedFault("late", (10, -10, 3), _rolled, also=("early", "unrelated")),
    "backwards": PlantedFault("backwards", (1.0,), _backwards),
    "turned back, share": PlantedFault("backwards", (0.1, 0.2, 0.4), _turned_back),
    "lost steering": PlantedFault(
        "constant-steering", (1.0,), _steering(lambda column, share: 0.0 * column)
    ),
    "constant throttle": PlantedFault(
        "constant-throttle", (0.0, 0.3), _constant_throttle, three_cameras=True
    ),
    "foreign frames, share": PlantedFault("foreign-pictures", (0.02, 0.1, 0.3), _foreign(_block)),
    "scattered foreign frames, share": PlantedFault(
        "foreign-pictures", (0.01, 0.05, 0.2), _foreign(_scattered)
    ),
    "bias": PlantedFault(
        "bias", (0.2, 0.3, 0.4), _steering(lambda column, bias: (column + bias).clip(-1, 1))
    ),
    "clipped, share": PlantedFault("clipped", (0.1, 0.2, 0.4), _steering(_clipped)),
    "few steps": PlantedFault("few-steps", (5, 4, 3), _steering(_few_steps)),
    "left and right exchanged, share": PlantedFault(
        "exchanged-cameras", _SHARES, _exchanged("left", "right"), three_cameras=True
    ),
    "center and left exchanged, share": PlantedFault(
        "exchanged-cameras", _SHARES, _exchanged("center", "left"), three_cameras=True
    ),
    "center and right exchanged, share": PlantedFault(
        "exchanged-cameras", _SHARES, _exchanged("center", "right"), three_cameras=True
    ),
    "turned, degrees": PlantedFault(
        "turned", (12, -16, 20), _frames(lambda degrees: _turned(right=degrees))
    ),
    "tilted, degrees": PlantedFault(
        "tilted", (-6, 8, 12), _frames(lambda degrees: _turned(down=degrees)), three_cameras=True
    ),
    "leaning, degrees": PlantedFault("rolled", (8, -8, 15), _frames(_leaning)),
    "upside down": PlantedFault("upside-down", (1.0,), _partly(lambda frame: frame[::-1, ::-1])),
    "clock forward, seconds": PlantedFault("clock-jump", (2, 10, 3600), _clock_jump),
    "rows out of order, share": PlantedFault("out-of-order", (0.05, 0.2, 1.0), _out_of_order),
    "frozen, share": PlantedFault("frozen", (0.05, 0.15, 0.4), _frozen),
    "black, share": PlantedFault("dark", (0.03, 0.1, 0.4), _partly(_black)),
    "over-exposed, share": PlantedFault("over-exposed", (0.03, 0.1, 0.4), _partly(_over_exposed)),
    "blurred, share": PlantedFault("blurred", (0.03, 0.1, 0.4), _partly(_blurred)),
}
