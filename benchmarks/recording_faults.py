"""Inject faults into recordings and count which of them `preprocess.py --check` names -> a Report.

Each fault is injected in memory, at three strengths or as a whole; a share counts from the last row back. An untouched
recording must have no finding, and a fault must be named, whatever else is found.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bcclone.dataset.check import check
from bcclone.dataset.diagnosis.diagnosis import RecordingFigures, diagnose
from bcclone.dataset.diagnosis.finding import Diagnosis
from bcclone.dataset.geometry import FOCAL_PX, VANISHING_ROW
from bcclone.dataset.images import FRAME_HEIGHT, FRAME_WIDTH, Image, read_frame
from bcclone.recording.files import ImageIndex, find_log
from bcclone.recording.log import Log, read_log
from bcclone.recording.row import CAMERAS
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError
from bcclone.system.opencv import cv2
from bcclone.system.progress import Notify
from bcclone.system.settings import Names, check_settings, setting
from benchmarks.measures import Measure, Report, aligned

_NAMED, _LAG_WITHIN = 95.0, 0.05
_MOST_ROWS = 600
_PAUSE_STEPS = 3.0  # of the usual time from row to row
Inject = Callable[["Recorded", float], "Recorded"]


@dataclass(frozen=True)
class Settings:
    """How many faults of recordings are named."""

    recordings: Names = setting((), "recordings without faults, separated by commas", shown="none")
    only: Names = setting((), "inject only these faults, separated by commas", shown="all")

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class Changed(Sequence[Image]):
    """Frames that are changed when they are looked at, from a first one on."""

    frames: Sequence[Image]
    change: Callable[[Image], Image]
    first: int

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, row: Any) -> Any:
        frame = self.frames[row]
        return np.ascontiguousarray(self.change(frame)) if row >= self.first else frame


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
    """A recording in memory: the rows of its log in order of time, the frames, and the steering of another one."""

    path: Path
    log: Log
    frames: Frames
    other_steering: FloatArray

    @property
    def rows(self) -> pd.DataFrame:
        """Return the rows of the log."""
        return self.log.rows

    def with_rows(self, **columns: Any) -> "Recorded":
        """Return it with other columns of the log."""
        return replace(self, log=replace(self.log, rows=self.rows.assign(**columns)))

    def with_frames(self, change: Callable[[Image], Image], share: float = 1.0) -> "Recorded":
        """Return it with the frames of the last share of the rows changed."""
        first = round(len(self.rows) * (1 - share))
        changed: dict[str, Sequence[Image]] = {name: Changed(of, change, first) for name, of in self.frames.of.items()}
        return replace(self, frames=Frames(changed | {"center": list(changed["center"])}))

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """Return the diagnosis, as `preprocess.py --check` makes it."""
        center = self.frames.of["center"]
        return diagnose(self.log, self.frames.figures, lambda row: center[row])


def load_recording(path: str, other: str) -> Recorded:
    """Read the first rows of a recording into memory; raises UserError for one without frames."""
    log = read_log(find_log(path))
    rows = log.rows.iloc[:_MOST_ROWS]
    index = ImageIndex(log.path)
    frames = {name: [read_frame(index.find(image) or image) for image in rows[name]] for name in CAMERAS
              if all(rows[name])}  # fmt: skip
    if "center" not in frames:
        raise UserError(f"{path}: its rows have no centre frames; name a recording with frames")
    other_steering = read_log(find_log(other)).rows["steering"].to_numpy(np.float64)
    return Recorded(Path(path), replace(log, rows=rows), Frames(frames), other_steering)


def _pixels_right(degrees: float) -> FloatArray:
    """Return the homography of a camera that is turned to the right."""
    angle = np.radians(degrees)
    sine, cosine = np.sin(angle), np.cos(angle)
    return _rotated(np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]]))


def _pixels_down(degrees: float) -> FloatArray:
    """Return the homography of a camera that is tilted down."""
    angle = np.radians(degrees)
    sine, cosine = np.sin(angle), np.cos(angle)
    return _rotated(np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]]))


def _rotated(rotation: FloatArray) -> FloatArray:
    pixels = np.array([[FOCAL_PX, 0, FRAME_WIDTH / 2], [0, FOCAL_PX, VANISHING_ROW], [0, 0, 1.0]])
    return np.asarray(pixels @ rotation @ np.linalg.inv(pixels))


def _warped(matrix: FloatArray) -> Callable[[Image], Image]:
    def change(frame: Image) -> Image:
        size = (FRAME_WIDTH, FRAME_HEIGHT)
        return np.asarray(cv2.warpPerspective(frame, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)

    return change


def _blurred(frame: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(frame, (0, 0), 4), np.uint8)


def _leaning(degrees: float) -> Callable[[Image], Image]:
    matrix = cv2.getRotationMatrix2D(((FRAME_WIDTH - 1) / 2, (FRAME_HEIGHT - 1) / 2), degrees, 1)
    return _warped(np.vstack([matrix, [0, 0, 1]]))


def _delayed(recorded: Recorded, seconds: float) -> Recorded:
    """Take the steering of another time; rows for which that lies in a pause, or nowhere, are left out."""
    rows = recorded.rows
    times = rows["time_ms"].to_numpy() / 1000
    steps = np.diff(times)
    stretch = np.concatenate([[0], np.cumsum(steps > _PAUSE_STEPS * np.median(steps))])
    after = np.clip(np.searchsorted(times, times - seconds), 1, len(times) - 1)
    known = (times - seconds >= times[0]) & (times - seconds <= times[-1])
    known &= (stretch[after - 1] == stretch) & (stretch[after] == stretch)
    delayed = recorded.with_rows(steering=np.interp(times - seconds, times, rows["steering"]))
    frames = {name: [of[row] for row in np.flatnonzero(known).tolist()] for name, of in recorded.frames.of.items()}
    kept = delayed.rows[known].reset_index(drop=True)
    return replace(delayed, log=replace(delayed.log, rows=kept), frames=Frames(frames))


def _clipped(recorded: Recorded, share: float) -> Recorded:
    """Clip the largest share of the turning rows; at least a tenth of the range, where many rows have full lock."""
    steering = recorded.rows["steering"]
    turning = steering[steering.abs() > 0.02].abs()
    most = min(float(np.quantile(turning, 1 - share)), (1 - share) * float(turning.max()))
    return recorded.with_rows(steering=steering.clip(-most, most))


def _few_steps(recorded: Recorded, levels: float) -> Recorded:
    steering = recorded.rows["steering"]
    step = 2 * float(np.quantile(steering.abs(), 0.99)) / (levels - 1)
    half = (levels - 1) / 2
    return recorded.with_rows(steering=(steering / step).round().clip(-half, half) * step)


def _unrelated(recorded: Recorded, share: float) -> Recorded:
    """Pair the last share of the frames with the log of another recording."""
    steering = recorded.rows["steering"].to_numpy().copy()
    first = round(len(steering) * (1 - share))
    steering[first:] = np.resize(recorded.other_steering, len(steering) - first)
    return recorded.with_rows(steering=steering)


def _exchanged(first: str, second: str) -> Inject:
    def inject(recorded: Recorded, share: float) -> Recorded:
        start = round(len(recorded.rows) * (1 - share))
        one, other = recorded.frames.of[first], recorded.frames.of[second]
        swapped = {first: [*one[:start], *other[start:]], second: [*other[:start], *one[start:]]}
        return replace(recorded, frames=Frames({**recorded.frames.of, **swapped}))

    return inject


def _clock_jump(recorded: Recorded, seconds: float) -> Recorded:
    """Set the clock forward in the middle of a stretch of driving."""
    times = recorded.rows["time_ms"].to_numpy().copy()
    steps = np.diff(times)
    calm = np.flatnonzero(steps < 2 * np.median(steps))
    times[calm[len(calm) // 2] + 1 :] += round(1000 * seconds)
    return recorded.with_rows(time_ms=times)


def _out_of_order(recorded: Recorded, share: float) -> Recorded:
    lines = recorded.rows["line"].to_numpy().copy()
    first = round(len(lines) * (1 - share))
    lines[first:] = lines[first:][::-1]
    return recorded.with_rows(line=lines)


def _frozen(recorded: Recorded, share: float) -> Recorded:
    center = list(recorded.frames.of["center"])
    first = round(len(center) * (1 - share))
    center[first:] = [center[first]] * (len(center) - first)
    return replace(recorded, frames=Frames({**recorded.frames.of, "center": center}))


FAULTS: Mapping[str, tuple[str, tuple[float, ...], Inject]] = {
    # injected: (the finding that must name it, strengths, how)
    "mirrored steering, share": ("mirrored", (1.0,), lambda r, s: r.with_rows(steering=-r.rows["steering"])),
    "mirrored frames": ("mirrored", (1.0,), lambda r, s: r.with_frames(lambda frame: frame[:, ::-1])),
    "late, seconds": ("late", (0.4, 0.7, 1.0), _delayed),
    "early, seconds": ("early", (-0.4, -0.7, -1.0), _delayed),
    "other log, share": ("unrelated", (0.25, 0.5, 1.0), _unrelated),
    "bias": ("bias", (0.2, 0.3, 0.4), lambda r, s: r.with_rows(steering=(r.rows["steering"] + s).clip(-1, 1))),
    "clipped, share": ("clipped", (0.1, 0.2, 0.4), _clipped),
    "few steps": ("few-steps", (5, 4, 3), _few_steps),
    "left and right exchanged, share": ("exchanged-cameras", (0.25, 0.5, 1.0), _exchanged("left", "right")),
    "center and left exchanged, share": ("exchanged-cameras", (0.25, 0.5, 1.0), _exchanged("center", "left")),
    "center and right exchanged, share": ("exchanged-cameras", (0.25, 0.5, 1.0), _exchanged("center", "right")),
    "turned, degrees": ("turned", (12, -16, 20), lambda r, s: r.with_frames(_warped(_pixels_right(s)))),
    "tilted, degrees": ("tilted", (-6, 8, 12), lambda r, s: r.with_frames(_warped(_pixels_down(s)))),
    "leaning, degrees": ("rolled", (-12, 15, 20), lambda r, s: r.with_frames(_leaning(s))),
    "upside down": ("upside-down", (1.0,), lambda r, s: r.with_frames(lambda frame: frame[::-1, ::-1])),
    "clock forward, seconds": ("clock-jump", (2, 10, 3600), _clock_jump),
    "rows out of order, share": ("out-of-order", (0.05, 0.2, 1.0), _out_of_order),
    "frozen, share": ("frozen", (0.05, 0.15, 0.4), _frozen),
    "black, share": ("dark", (0.03, 0.1, 0.4), lambda r, s: r.with_frames(lambda frame: frame // 32, s)),
    "over-exposed, share": (
        "over-exposed", (0.03, 0.1, 0.4), lambda r, s: r.with_frames(lambda frame: np.maximum(frame, 242), s),
    ),
    "blurred, share": (
        "blurred", (0.03, 0.1, 0.4), lambda r, s: r.with_frames(_blurred, s),
    ),
}  # fmt: skip
_THREE_CAMERAS = {"exchanged-cameras", "tilted"}
_WHOLE_OR_PARTLY = {"unrelated": {"unrelated", "partly-unrelated"}}


def measure(settings: Settings, notify: Notify = lambda line: None) -> Report:
    """Return how many faults are named; raises UserError for fewer than two recordings, or an unknown fault."""
    if len(settings.recordings) < 2:
        raise UserError("fewer than two recordings; name some that have no faults, with --recordings")
    if unknown := set(settings.only) - {_name_of(fault) for fault in FAULTS}:
        raise UserError(f"no fault {', '.join(sorted(unknown))}; choose from {', '.join(map(_name_of, FAULTS))}")
    counts = _Counts()
    others = (*settings.recordings[1:], settings.recordings[0])
    for path, other in zip(settings.recordings, others, strict=True):
        recorded = load_recording(path, other)
        counts.take_untouched(recorded)
        for injection in _injections(recorded, settings.only):
            counts.take(recorded, injection)
        notify(f"{recorded.path.name}: {sum(map(sum, counts.named.values()))} named so far")
    return _report(settings, counts)


class Injection(NamedTuple):
    """A fault of a strength, and the finding that must name it."""

    fault: str
    finding: str
    strength: float
    inject: Inject


def _name_of(fault: str) -> str:
    return fault.split(",")[0]


def _injections(recorded: Recorded, only: Sequence[str]) -> Iterator[Injection]:
    for fault, (finding, strengths, inject) in FAULTS.items():
        possible = finding not in _THREE_CAMERAS or len(recorded.frames.of) == len(CAMERAS)
        if possible and (not only or _name_of(fault) in only):
            for strength in strengths:
                yield Injection(fault, finding, strength, inject)


@dataclass
class _Counts:
    """What was named so far. named: fault and strength -> for each recording; alarms: of untouched recordings."""

    named: dict[str, list[bool]] = field(default_factory=dict)
    alarms: dict[str, list[str]] = field(default_factory=dict)
    lags: list[float] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def take_untouched(self, recorded: Recorded) -> None:
        if found := [finding.fault for finding in recorded.diagnosis.findings]:
            self.alarms[recorded.path.name] = found

    def take(self, recorded: Recorded, injection: Injection) -> None:
        diagnosis = injection.inject(recorded, injection.strength).diagnosis
        faults = {each.fault for each in diagnosis.findings}
        is_named = bool(faults & _WHOLE_OR_PARTLY.get(injection.finding, {injection.finding}))
        name = f"{injection.fault} {injection.strength:g}"
        self.named.setdefault(name, []).append(is_named)
        if not is_named:
            self.missed.append(f"{recorded.path.name}: {name}: {', '.join(sorted(faults)) or 'no finding'}")
        if injection.finding in ("late", "early"):
            self.lags.append(_lag(diagnosis) - _lag(recorded.diagnosis) - injection.strength)


def _lag(diagnosis: Diagnosis) -> float:
    lag = diagnosis.figures.get("steering_after_turn_seconds")
    return np.nan if lag is None else lag


def _report(settings: Settings, counts: _Counts) -> Report:
    named, alarms, missed, lags = counts.named, counts.alarms, counts.missed, np.array(counts.lags)
    rows = [["injected", "named", "of"]]
    rows += [[fault, str(sum(each)), str(len(each))] for fault, each in named.items()]
    every = [one for each in named.values() for one in each]
    checking, decoding = _seconds(settings.recordings[0])
    measures = [
        Measure("faults that are named", 100 * float(np.mean(every)) if every else 0.0, "%", _NAMED),
        Measure("untouched recordings with a finding", len(alarms), "", 0, least=False),
        Measure("--check to decoding all images once", checking / decoding, "x", 2, least=False),
    ]
    if len(lags):
        close = 100 * float(np.mean(np.abs(lags) <= _LAG_WITHIN))
        measures.append(Measure(f"lags that are within {1000 * _LAG_WITHIN:.0f} ms", close, "%", 90))
    return Report(
        measures,
        tables=aligned(rows) + [f"missed: {line}" for line in missed],
        values={
            "recordings": [Path(path).name for path in settings.recordings],
            "named": {fault: [sum(each), len(each)] for fault, each in named.items()},
            "alarms": dict(alarms),
            "missed": missed,
        },
    )


def _seconds(path: str) -> tuple[float, float]:
    """Return the seconds of a check, and of decoding the same images, the better of three turns each."""
    log = read_log(find_log(path))
    index = ImageIndex(log.path)
    files = [found for name in CAMERAS for image in log.rows[name] if (found := index.find(image))]
    checking, decoding = [], []
    for _ in range(3):
        start = time.process_time()
        check([path])
        middle = time.process_time()
        for file in files:
            read_frame(file)
        checking.append(middle - start)
        decoding.append(time.process_time() - middle)
    return min(checking), min(decoding)
