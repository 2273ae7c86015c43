"""Inject faults into recordings and count which of them `preprocess.py --check` names -> a Report.

Each fault is injected in memory, at three strengths or as a whole; a share counts from the last row
back. An untouched recording must have no finding, and a fault must be named, whatever else is
found.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bcclone import UserError, check
from bcclone.camera.geometry import FOCAL_PX, VANISHING_ROW
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image, read_frame
from bcclone.diagnosis.findings import Diagnosis
from bcclone.diagnosis.frame_figures import RecordingFigures
from bcclone.diagnosis.judging import diagnose
from bcclone.recording.files import ImageIndex, find_log
from bcclone.recording.log import Log, read_log
from bcclone.recording.row import CAMERAS
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.system.opencv import cv2
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Count, Names, setting
from benchmarks.measures import Measure, Report, aligned
from benchmarks.rounds import measure_in_rounds

_NAMED, _LAG_WITHIN = 95.0, 0.05
_FOREIGN_FRAMES = 200
_PAUSE_STEPS = 3.0  # of the usual time from row to row
Change = Callable[[Image], Any]  # a frame -> the changed one
Inject = Callable[["Recorded", float], "Recorded"]


@dataclass(frozen=True)
class Settings(Checked):
    """How many faults of recordings are named."""

    recordings: Names = setting((), "recordings without faults, separated by commas", shown="none")
    only: Names = setting((), "inject only these faults, separated by commas", shown="all")
    rows: Count = setting(600, "take so many rows of each recording")


@dataclass(frozen=True)
class Frames:
    """The frames of each camera, in order of time."""

    of: Mapping[str, Sequence[Image]]

    @cached_property
    def figures(self) -> RecordingFigures:
        """Return what they show, as `preprocess.py --check` gathers it."""
        figures = RecordingFigures(len(self.of["center"]))
        for row, center in enumerate(self.of["center"]):
            looked_at = list(self.of) if (row + 1) % figures.every == 0 else []
            figures.add({"center": center} | {camera: self.of[camera][row] for camera in looked_at})
        return figures


@dataclass(frozen=True)
class Recorded:
    """A recording in memory: the rows of its log in order of time, the frames, and what another
    recording has.

    foreign: indices of the rows whose frames are those of the other.
    """

    path: Path
    log: Log
    frames: Frames
    other_steering: FloatArray
    other_frames: Sequence[Image] = ()
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
        changed = {
            name: [np.ascontiguousarray(change(frame)) for frame in of[first:]]
            for name, of in self.frames.of.items()
        }
        return self.with_cameras(
            **{name: [*of[:first], *changed[name]] for name, of in self.frames.of.items()}
        )

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """Return the diagnosis, as `preprocess.py --check` makes it."""
        center = self.frames.of["center"]
        return diagnose(self.log, self.frames.figures, lambda row: center[row])


def load_recording(path: str, other: str, count: int = Settings.rows) -> Recorded:
    """Read the first rows of a recording into memory; raises UserError for one without frames."""
    log = read_log(find_log(path))
    rows = log.rows.iloc[:count]
    index = ImageIndex(log.path)
    frames = {name: [read_frame(index.find(image) or image) for image in rows[name]] for name in CAMERAS
              if all(rows[name])}  # fmt: skip
    if "center" not in frames:
        raise UserError(f"{path}: its rows have no centre frames; name a recording with frames")
    other_log = read_log(find_log(other))
    of_other, images = ImageIndex(other_log.path), other_log.rows["center"].iloc[:_FOREIGN_FRAMES]
    other_frames = [read_frame(of_other.find(image) or image) for image in images]
    other_steering = other_log.rows["steering"].to_numpy(np.float64)
    return Recorded(
        Path(path), replace(log, rows=rows), Frames(frames), other_steering, other_frames
    )


def _turned(right: float = 0.0, down: float = 0.0) -> Change:
    """Return what a camera sees that is turned, in degrees."""
    pixels = np.array([[FOCAL_PX, 0, FRAME_WIDTH / 2], [0, FOCAL_PX, VANISHING_ROW], [0, 0, 1.0]])
    rotation, _ = cv2.Rodrigues(np.radians([down, -right, 0.0]))
    return _warped(pixels @ rotation @ np.linalg.inv(pixels))


def _warped(matrix: FloatArray) -> Change:
    size = (FRAME_WIDTH, FRAME_HEIGHT)
    return lambda frame: cv2.warpPerspective(frame, matrix, size, borderMode=cv2.BORDER_REPLICATE)


def _leaning(degrees: float) -> Change:
    matrix = cv2.getRotationMatrix2D(((FRAME_WIDTH - 1) / 2, (FRAME_HEIGHT - 1) / 2), degrees, 1)
    return _warped(np.vstack([matrix, [0, 0, 1]]))


def _delayed(recorded: Recorded, seconds: float) -> Recorded:
    """Take the steering of another time; rows for which that lies in a pause, or nowhere, are left
    out.
    """
    times = recorded.column("time_ms") / 1000
    steps, wanted = np.diff(times), times - seconds
    stretch = np.concatenate([[0], np.cumsum(steps > _PAUSE_STEPS * np.median(steps))])
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    inside = (wanted >= times[0]) & (wanted <= times[-1])
    inside &= (stretch[after - 1] == stretch) & (stretch[after] == stretch)
    delayed = recorded.with_rows(steering=np.interp(wanted, times, recorded.rows["steering"]))
    frames = {
        name: [of[row] for row in np.flatnonzero(inside).tolist()]
        for name, of in recorded.frames.of.items()
    }
    log = replace(delayed.log, rows=delayed.rows[inside].reset_index(drop=True))
    return replace(delayed, log=log, frames=Frames(frames))


def _clipped(steering: Any, share: float) -> Any:
    """Clip the largest share of the turning rows; at least a tenth of the range, where many rows
    have full lock.
    """
    turning = steering.abs()[steering.abs() > 0.02]
    most = (1 - share) * float(turning.max())
    return steering.clip(-most, most).clip(
        -turning.quantile(1 - share), turning.quantile(1 - share)
    )


def _few_steps(steering: Any, levels: float) -> Any:
    half = (levels - 1) / 2
    step = float(steering.abs().quantile(0.99)) / half
    return (steering / step).round().clip(-half, half) * step


def _steering(change: Callable[[Any, float], Any]) -> Inject:
    """Return how a fault of the column of the steering is injected. change: column and strength ->
    the new one.
    """
    return lambda recorded, strength: recorded.with_rows(
        steering=change(recorded.rows["steering"], strength)
    )


def _frames(change: Callable[[float], Change]) -> Inject:
    """Return how a fault of all frames is injected. change: strength -> the change of a frame."""
    return lambda recorded, strength: recorded.with_frames(change(strength))


def _partly(change: Change) -> Inject:
    """Return how a fault of the last share of the frames is injected."""
    return lambda recorded, share: recorded.with_frames(change, share)


def _unrelated(recorded: Recorded, share: float) -> Recorded:
    """Pair the last share of the frames with the log of another recording."""
    steering, first = recorded.column("steering"), recorded.first_of(share)
    steering[first:] = np.resize(recorded.other_steering, len(steering) - first)
    return recorded.with_rows(steering=steering)


def _rolled(recorded: Recorded, seconds: float) -> Recorded:
    """Shift the steering by so many seconds, round the end, as of a log that is counted otherwise
    than the frames.
    """
    times = recorded.column("time_ms") / 1000
    rows = round(seconds / float(np.median(np.diff(times))))
    return recorded.with_rows(steering=np.roll(recorded.column("steering"), rows))


def _backwards(recorded: Recorded, share: float) -> Recorded:
    """Drive the same way backwards."""
    frames = {name: of[::-1] for name, of in recorded.frames.of.items()}
    return recorded.with_rows(steering=recorded.column("steering")[::-1]).with_cameras(**frames)


def _foreign(rows_of: Callable[[int, float], IndexArray]) -> Inject:
    """Return how frames of another recording are put into the centre camera's. rows_of: rows, share
    -> which.
    """

    def inject(recorded: Recorded, share: float) -> Recorded:
        center, others = list(recorded.frames.of["center"]), recorded.other_frames
        rows = rows_of(len(center), share)
        for number, row in enumerate(rows.tolist()):
            center[row] = others[number % len(others)]
        return replace(recorded.with_cameras(center=center), foreign=rows)

    return inject


def _block(rows: int, share: float) -> IndexArray:
    return np.arange(rows // 3, rows // 3 + round(share * rows))


def _scattered(rows: int, share: float) -> IndexArray:
    return np.sort(
        np.random.default_rng(0).choice(np.arange(1, rows - 1), round(share * rows), replace=False)
    )


def _exchanged(first: str, second: str) -> Inject:
    def inject(recorded: Recorded, share: float) -> Recorded:
        start, one, other = (
            recorded.first_of(share),
            recorded.frames.of[first],
            recorded.frames.of[second],
        )
        swapped = {first: [*one[:start], *other[start:]], second: [*other[:start], *one[start:]]}
        return recorded.with_cameras(**swapped)

    return inject


def _clock_jump(recorded: Recorded, seconds: float) -> Recorded:
    """Set the clock forward in the middle of a stretch of driving."""
    times = recorded.column("time_ms")
    steps = np.diff(times)
    calm = np.flatnonzero(steps < 2 * np.median(steps))
    times[calm[len(calm) // 2] + 1 :] += round(1000 * seconds)
    return recorded.with_rows(time_ms=times)


def _out_of_order(recorded: Recorded, share: float) -> Recorded:
    lines, first = recorded.column("line"), recorded.first_of(share)
    lines[first:] = lines[first:][::-1]
    return recorded.with_rows(line=lines)


def _frozen(recorded: Recorded, share: float) -> Recorded:
    center, first = recorded.frames.of["center"], recorded.first_of(share)
    return recorded.with_cameras(center=[*center[:first], *[center[first]] * (len(center) - first)])


FAULTS: Mapping[str, tuple[str, tuple[float, ...], Inject]] = {
    # injected: (the finding that must name it, strengths, how)
    "mirrored steering, share": ("mirrored", (1.0,), _steering(lambda column, share: -column)),
    "mirrored frames": ("mirrored", (1.0,), _partly(lambda frame: frame[:, ::-1])),
    "late, seconds": ("late", (0.4, 0.7, 1.0), _delayed),
    "early, seconds": ("early", (-0.4, -0.7, -1.0), _delayed),
    "other log, share": ("unrelated", (0.25, 0.5, 1.0), _unrelated),
    "rolled, seconds": ("shifted", (10, -10, 3), _rolled),
    "backwards": ("backwards", (1.0,), _backwards),
    "lost steering": ("constant-steering", (1.0,), _steering(lambda column, share: 0.0 * column)),
    "constant throttle": (
        "constant-throttle",
        (0.0, 0.3),
        lambda recorded, to: recorded.with_rows(throttle=to),
    ),
    "foreign frames, share": ("foreign-pictures", (0.02, 0.1, 0.3), _foreign(_block)),
    "scattered foreign frames, share": (
        "foreign-pictures",
        (0.01, 0.05, 0.2),
        _foreign(_scattered),
    ),
    "bias": ("bias", (0.2, 0.3, 0.4), _steering(lambda column, bias: (column + bias).clip(-1, 1))),
    "clipped, share": ("clipped", (0.1, 0.2, 0.4), _steering(_clipped)),
    "few steps": ("few-steps", (5, 4, 3), _steering(_few_steps)),
    "left and right exchanged, share": (
        "exchanged-cameras",
        (0.25, 0.5, 1.0),
        _exchanged("left", "right"),
    ),
    "center and left exchanged, share": (
        "exchanged-cameras",
        (0.25, 0.5, 1.0),
        _exchanged("center", "left"),
    ),
    "center and right exchanged, share": (
        "exchanged-cameras",
        (0.25, 0.5, 1.0),
        _exchanged("center", "right"),
    ),
    "turned, degrees": ("turned", (12, -16, 20), _frames(lambda degrees: _turned(right=degrees))),
    "tilted, degrees": ("tilted", (-6, 8, 12), _frames(lambda degrees: _turned(down=degrees))),
    "leaning, degrees": ("rolled", (8, -8, 15), _frames(_leaning)),
    "upside down": ("upside-down", (1.0,), _partly(lambda frame: frame[::-1, ::-1])),
    "clock forward, seconds": ("clock-jump", (2, 10, 3600), _clock_jump),
    "rows out of order, share": ("out-of-order", (0.05, 0.2, 1.0), _out_of_order),
    "frozen, share": ("frozen", (0.05, 0.15, 0.4), _frozen),
    "black, share": ("dark", (0.03, 0.1, 0.4), _partly(lambda frame: frame // 32)),
    "over-exposed, share": (
        "over-exposed",
        (0.03, 0.1, 0.4),
        _partly(lambda frame: np.maximum(frame, 242)),
    ),
    "blurred, share": (
        "blurred",
        (0.03, 0.1, 0.4),
        _partly(lambda frame: cv2.GaussianBlur(frame, (0, 0), 4)),
    ),
}
_THREE_CAMERAS = {"exchanged-cameras", "tilted", "constant-throttle"}
NAMES = {  # the findings that name a fault, where they are several
    "unrelated": {"unrelated", "partly-unrelated"},
    "shifted": {"late", "early", "unrelated"},
}


def measure(settings: Settings, notify: Notify) -> Report:
    """Return how many faults are named; raises UserError for fewer than two recordings, or an
    unknown fault.
    """
    if len(settings.recordings) < 2:
        raise UserError(
            "fewer than two recordings; name some that have no faults, with --recordings"
        )
    if unknown := set(settings.only) - set(map(_name_of, FAULTS)):
        raise UserError(
            f"no fault {', '.join(sorted(unknown))}; choose from {', '.join(map(_name_of, FAULTS))}"
        )
    outcomes, alarms = list[Outcome](), dict[str, list[str]]()
    for path, other in zip(
        settings.recordings, (*settings.recordings[1:], settings.recordings[0]), strict=True
    ):
        recorded = load_recording(path, other, settings.rows)
        if found := [finding.fault for finding in recorded.diagnosis.findings]:
            alarms[recorded.path.name] = found
        outcomes += _inject_all(recorded, settings.only)
        notify(f"{recorded.path.name}: {sum(one.is_named for one in outcomes)} named so far")
    return _report(settings, outcomes, alarms)


def _name_of(fault: str) -> str:
    return fault.split(",")[0]


class Outcome(NamedTuple):
    """What --check said of a recording with a fault.

    lag_error: of a late or early steering, in seconds; left: share of the foreign frames that the
    remedy leaves in.
    """

    fault: str
    is_named: bool
    said: str
    lag_error: float | None
    left: float | None


def _inject_all(recorded: Recorded, only: Sequence[str]) -> Iterator[Outcome]:
    """Inject each fault, or only these, into a recording."""
    for fault, (finding, strengths, inject) in FAULTS.items():
        possible = finding not in _THREE_CAMERAS or len(recorded.frames.of) == len(CAMERAS)
        for strength in strengths if possible and (not only or _name_of(fault) in only) else ():
            changed, name = inject(recorded, strength), f"{fault} {strength:g}"
            diagnosis = changed.diagnosis
            faults = {each.fault for each in diagnosis.findings}
            names = NAMES.get(finding, {finding})
            is_named = bool(faults & names) and not faults & {"mirrored"} - names
            is_late = finding in ("late", "early")
            error = _lag(diagnosis) - _lag(recorded.diagnosis) - strength if is_late else None
            said = f"{recorded.path.name}: {name}: {', '.join(sorted(faults)) or 'no finding'}"
            rows = [
                np.arange(first - 1, last)
                for each in diagnosis.findings
                for first, last in each.rows
            ]
            remain = ~np.isin(changed.foreign, np.concatenate([*rows, np.zeros(0, int)]))
            yield Outcome(
                name, is_named, said, error, float(remain.mean()) if len(remain) else None
            )


def _lag(diagnosis: Diagnosis) -> float:
    lag = diagnosis.figures.get("steering_after_turn_seconds")
    return np.nan if lag is None else lag


def _report(
    settings: Settings, outcomes: Sequence[Outcome], alarms: Mapping[str, list[str]]
) -> Report:
    named = {
        fault: [one.is_named for one in outcomes if one.fault == fault]
        for fault in {o.fault: 0 for o in outcomes}
    }
    counts = {fault: [sum(each), len(each)] for fault, each in named.items()}
    missed = [one.said for one in outcomes if not one.is_named]
    percent = 100 * float(np.mean([one.is_named for one in outcomes])) if outcomes else 0.0
    measures = [
        Measure("faults that are named", percent, "%", _NAMED),
        Measure("untouched recordings with a finding", len(alarms), "", 0, least=False),
        Measure(
            "--check to decoding all images once",
            _check_to_decoding(settings.recordings[0]),
            "x",
            2,
            least=False,
        ),
    ]
    if lags := [one.lag_error for one in outcomes if one.lag_error is not None]:
        close = 100 * float(np.mean(np.abs(lags) <= _LAG_WITHIN))
        measures.append(
            Measure(f"lags that are within {1000 * _LAG_WITHIN:.0f} ms", close, "%", 90)
        )
    if left := [one.left for one in outcomes if one.left is not None]:
        measures.append(
            Measure("foreign frames that remain", 100 * float(np.mean(left)), "%", 5, least=False)
        )
    rows = [
        ["injected", "named", "of"],
        *([fault, *map(str, count)] for fault, count in counts.items()),
    ]
    names = [Path(path).name for path in settings.recordings]
    values = {"recordings": names, "named": counts, "alarms": dict(alarms), "missed": missed}
    return Report(measures, [*aligned(rows), *(f"missed: {line}" for line in missed)], values)


def _check_to_decoding(path: str) -> float:
    """Return the time of a check, divided by that of decoding the same images, the better of three
    turns each.
    """
    log = read_log(find_log(path))
    index = ImageIndex(log.path)
    files = [found for name in CAMERAS for image in log.rows[name] if (found := index.find(image))]

    def cpu_seconds(work: Callable[[], object]) -> float:
        since = time.process_time()
        work()
        return time.process_time() - since

    works: dict[str, Callable[[], object]] = {
        "check": lambda: check([path]),
        "decode": lambda: [read_frame(file) for file in files],
    }
    times = measure_in_rounds({name: partial(cpu_seconds, work) for name, work in works.items()}, 3)
    return min(times["check"]) / min(times["decode"])
