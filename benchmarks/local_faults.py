"""Plant several local faults in a drive, and score the rows that `preprocess.py --check` names.

In: a recording and a seed. Out: the recording with two to five faults of 5 to 20 s each, and a
`LocalScore`: which of its rows are named, and which are lost once every remedy has been applied.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bcclone.camera.images import Image, cv2
from bcclone.diagnosis.evidence import Finding
from bcclone.diagnosis.judging import Diagnosis, diagnose
from bcclone.diagnosis.motion import (
    FrameFigures,
    ReadFrame,
    RecordingFigures,
    look_at,
    read_center,
    shift_between,
)
from bcclone.recording.edits import (
    ADVANCE,
    DELETE,
    MIRROR,
    Edit,
    Edits,
    StoredEdit,
    corrected_steering,
)
from bcclone.recording.files import ImageIndex, find_log
from bcclone.recording.log import Log, read_log
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray, numbers_in

_SHORTEST_SECONDS = 5.0  # of a fault
_LONGEST_SECONDS = 20.0


@dataclass(frozen=True)
class Drive:
    """A recording whose frames are read when they are needed."""

    log: Log  # its rows are in order of time
    figures: RecordingFigures  # what the frames of all rows show
    read_frame: ReadFrame  # index of a row -> its centre frame

    @property
    def rows(self) -> pd.DataFrame:
        return self.log.rows

    @property
    def seconds_a_row(self) -> float:
        return float(np.median(np.diff(self.rows["time_ms"]))) / 1000

    def column(self, name: str) -> Any:
        """Return a copy of a column of the log."""
        return self.rows[name].to_numpy().copy()

    def with_columns(self, **columns: Any) -> "Drive":
        return replace(self, log=replace(self.log, rows=self.rows.assign(**columns)))

    def with_frames(self, changed: Mapping[int, Image]) -> "Drive":
        """Return the drive with other frames in some rows, whose figures are measured."""

        def read_frame(row: int) -> Image | None:
            if row in changed:
                return changed[row]
            return self.read_frame(row)

        figures = _copied(self.figures)
        first = min(changed)
        last = min(max(changed) + 1, len(self.rows) - 1)
        before = read_frame(first - 1) if first else None
        for row in range(first, last + 1):
            frame = read_frame(row)
            figures.shifts[row] = shift_between(before, frame)
            before = frame
            figures.frames[row] = FrameFigures() if frame is None else FrameFigures.of(frame)
        return replace(self, figures=figures, read_frame=read_frame)

    def with_repeated_row(self, row: int, times: int) -> "Drive":
        """Return the drive with further rows after a row: the same again, a step later each."""
        source = np.arange(len(self.rows))
        source = np.insert(source, row + 1, np.full(times, row))
        step_ms = round(1000 * self.seconds_a_row)
        time_ms = self.column("time_ms")[source]
        time_ms[row + 1 : row + 1 + times] += step_ms * np.arange(1, times + 1)
        time_ms[row + 1 + times :] += step_ms * times
        rows = self.rows.iloc[source].reset_index(drop=True)
        names = rows["center"] + np.where(np.diff(source, prepend=-1) > 0, "", "-repeated")
        rows = rows.assign(time_ms=time_ms, line=np.arange(len(rows)) + 1, center=names)
        places = np.searchsorted(source, np.arange(len(self.rows)))
        figures = RecordingFigures(len(rows))
        figures.frames = [self.figures.frames[of] for of in source.tolist()]
        figures.shifts = [self.figures.shifts[of] for of in source.tolist()]
        figures.sides = {int(places[row]): side for row, side in self.figures.sides.items()}
        return Drive(
            replace(self.log, rows=rows), figures, lambda at: self.read_frame(int(source[at]))
        )

    def tiled(self, seconds: float) -> "Drive":
        """Return the drive again and again, with pauses between, until it is so long."""
        pause_ms = 5000
        count = len(self.rows)
        times = self.column("time_ms")
        length_ms = int(times[-1] - times[0]) + pause_ms
        turns = int(np.ceil(1000 * seconds / length_ms))
        tables = [self.rows.assign(time_ms=times + turn * length_ms) for turn in range(turns)]
        rows = pd.concat(tables, ignore_index=True)
        figures = RecordingFigures(len(rows))
        figures.frames = self.figures.frames * turns
        figures.shifts = self.figures.shifts * turns
        figures.sides = {
            turn * count + row: side
            for turn in range(turns)
            for row, side in self.figures.sides.items()
        }
        rows = rows.assign(line=np.arange(len(rows)) + 1)
        return Drive(
            replace(self.log, rows=rows), figures, lambda row: self.read_frame(row % count)
        )

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """Return the diagnosis, as `preprocess.py --check` makes it."""
        return diagnose(self.log, self.figures, self.read_frame)

    def after(self, edits: Sequence[Edit]) -> "Drive":
        """Return the drive with some edits, whose deleted rows are among the log's deleted ones."""
        times = pd.concat([self.rows, self.log.deleted])["time_ms"]
        numbers = np.searchsorted(np.sort(times), self.column("time_ms"))
        kept = np.ones(len(self.rows), np.bool_)
        steering = self.column("steering")
        for edit in edits:
            if edit.kind == DELETE:
                kept &= ~np.isin(numbers, numbers_in(edit.spans))
            elif edit.kind == MIRROR:
                mirrored = np.isin(numbers, numbers_in(edit.spans)) | (not edit.spans)
                steering = np.where(mirrored, -steering, steering)
            elif edit.kind == ADVANCE:
                shift = Edits((StoredEdit(ADVANCE, seconds=edit.seconds),))
                steering = corrected_steering(self.rows.assign(steering=steering), shift)
        places = np.flatnonzero(kept)
        log = replace(
            self.log,
            rows=self.rows.assign(steering=steering)[kept].reset_index(drop=True),
            deleted=pd.concat([self.log.deleted, self.rows[~kept]]),
        )
        figures = self.figures.of_rows(places)
        return Drive(log, figures, lambda row: self.read_frame(int(places[row])))


def _copied(figures: RecordingFigures) -> RecordingFigures:
    copy = RecordingFigures(len(figures.frames))
    copy.frames = list(figures.frames)
    copy.shifts = list(figures.shifts)
    copy.sides = dict(figures.sides)
    return copy


def load_drive(path: str) -> Drive:
    """Read the log of a recording, and measure its frames once."""
    most_frames = 512  # that are kept in memory
    log = read_log(find_log(path))
    index = ImageIndex(log.path)
    figures = look_at(log.rows, index, lambda count: None)
    read_frame = lru_cache(most_frames)(lambda row: read_center(log.rows, row, index))
    return Drive(log, figures, read_frame)


# ---- the faults: each changes the rows from `first` to `last`, both included


class Source(NamedTuple):
    """What a fault is made of."""

    other: Drive  # another recording
    random: np.random.Generator


Plant = Callable[[Drive, IndexArray, Source], Drive]  # a drive, the rows that are to be faulty


def _steering(change: Callable[[FloatArray, Source], FloatArray]) -> Plant:
    """Return how a fault of the steering is planted.

    change: the steering of the faulty rows, (rows,) -> another one
    """

    def plant(drive: Drive, rows: IndexArray, source: Source) -> Drive:
        steering = drive.column("steering")
        steering[rows] = change(steering[rows], source)
        return drive.with_columns(steering=steering)

    return plant


def _of_other_log(steering: FloatArray, source: Source) -> FloatArray:
    """Return a stretch of the other recording's steering, not one of straight driving alone."""
    most_tries = 50
    other = source.other.column("steering")
    taken = np.resize(other, len(steering))
    for _ in range(most_tries):
        first = int(source.random.integers(max(1, len(other) - len(steering))))
        taken = np.resize(other[first:], len(steering))
        if taken.std() > 0.5 * other.std():
            break
    return np.asarray(taken, np.float64)


def _noise(steering: FloatArray, source: Source) -> FloatArray:
    return np.asarray(source.random.normal(0, 0.3, len(steering)).clip(-1, 1))


def _late(drive: Drive, rows: IndexArray, source: Source) -> Drive:
    """Take the steering of an earlier or a later moment."""
    seconds = source.random.uniform(0.6, 1.5) * source.random.choice([-1, 1])
    steering = drive.column("steering")
    at = drive.column("time_ms") / 1000
    shifted = np.interp(at - seconds, at, steering)
    steering[rows] = shifted[rows]
    return drive.with_columns(steering=steering)


def _frames(change: Callable[[Image], Any]) -> Plant:
    """Return how the frames of the faulty rows are changed."""

    def plant(drive: Drive, rows: IndexArray, source: Source) -> Drive:
        changed = {}
        for row in rows.tolist():
            frame = drive.read_frame(row)
            if frame is not None:
                changed[row] = np.ascontiguousarray(change(frame))
        return drive.with_frames(changed)

    return plant


def _frozen(drive: Drive, rows: IndexArray, source: Source) -> Drive:
    """Repeat the picture before the faulty rows."""
    frame = drive.read_frame(int(rows[0]) - 1)
    assert frame is not None
    return drive.with_frames(dict.fromkeys(rows.tolist(), frame))


def _standing(drive: Drive, rows: IndexArray, source: Source) -> Drive:
    """Let the car stand: further rows with the same picture, apart from the camera's noise."""
    noise = source.random.choice([0.0, 1.5])  # of 255
    standing = drive.with_repeated_row(int(rows[0]) - 1, len(rows))
    columns = {}
    for name in ("speed_mph", "throttle", "steering"):
        values = standing.column(name)
        values[rows] = 0.0
        columns[name] = values
    standing = standing.with_columns(**columns)
    frame = drive.read_frame(int(rows[0]) - 1)
    assert frame is not None
    frames = {}
    for row in rows.tolist():
        noisy = frame + source.random.normal(0, noise, frame.shape) if noise else frame
        frames[row] = np.clip(noisy, 0, 255).astype(np.uint8)
    return standing.with_frames(frames)


def _foreign(drive: Drive, rows: IndexArray, source: Source) -> Drive:
    """Put the frames of the other recording in their place."""
    most_first = max(1, len(source.other.rows) - len(rows))
    first = int(source.random.integers(most_first))
    frames = {}
    for row in rows.tolist():
        frame = source.other.read_frame((first + row - int(rows[0])) % len(source.other.rows))
        if frame is not None:
            frames[row] = frame
    return drive.with_frames(frames)


LOCAL_FAULTS: Mapping[str, Plant] = {
    "mirrored steering": _steering(lambda steering, source: -steering),
    "mirrored frames": _frames(lambda frame: frame[:, ::-1]),
    "late or early": _late,
    "other log": _steering(_of_other_log),
    "noise": _steering(_noise),
    "lost steering": _steering(lambda steering, source: 0.0 * steering),
    "frozen": _frozen,
    "standing": _standing,
    "black": _frames(lambda frame: frame // 32),
    "over-exposed": _frames(lambda frame: np.maximum(frame, 242)),
    "blurred": _frames(lambda frame: cv2.GaussianBlur(frame, (0, 0), 4)),
    "foreign frames": _foreign,
}
_MENDED_BY_MIRRORING = ("mirrored steering", "mirrored frames")
_INSERTED = ("standing",)  # faults that add their rows; the others change rows of the drive


class Planted(NamedTuple):
    """Faults in a drive."""

    drive: Drive
    faults: Sequence[tuple[str, IndexArray]]  # name of each fault, and indices of its rows

    @property
    def bad(self) -> BoolArray:
        """Return which rows belong to a fault, (rows,)."""
        bad = np.zeros(len(self.drive.rows), np.bool_)
        for _, rows in self.faults:
            bad[rows] = True
        return bad


def plant_some(
    drive: Drive, other: Drive, seed: int | Sequence[int], kinds: Sequence[str]
) -> Planted:
    """Return a drive with two to five faults of 5 to 20 s, between which it is as it was.

    kinds: names of LOCAL_FAULTS to choose from
    """
    random = np.random.default_rng(seed)
    source = Source(other, random)
    chosen = random.choice(kinds, int(random.integers(2, 6))).tolist()
    # each fault lies in its own part of the drive, and leaves half of that part untouched
    parts = np.array_split(np.arange(len(drive.rows)), len(chosen))
    faults: list[tuple[str, IndexArray]] = []
    for kind, part in reversed(list(zip(chosen, parts, strict=True))):
        seconds = random.uniform(_SHORTEST_SECONDS, _LONGEST_SECONDS)
        count = min(round(seconds / drive.seconds_a_row), len(part) // 2)
        first = int(part[0]) + 1 + int(random.integers(len(part) - count - 1))
        rows = np.arange(first, first + count)
        drive = LOCAL_FAULTS[kind](drive, rows, source)
        if kind in _INSERTED:
            faults = [(name, later + count) for name, later in faults]
        faults.insert(0, (kind, rows))
    return Planted(drive, faults)


# ---- what the check says of them


@dataclass(frozen=True)
class LocalScore:
    """How the rows of some faults are named, and what following all remedies costs."""

    bad: int  # rows of the planted faults
    named: int  # rows that a finding names
    named_bad: int  # of these, rows of a fault
    good: int  # rows of no fault
    good_lost: int  # of these, rows that cannot be used in the end, or are mirrored
    bad_left: int  # rows of a fault that count as usable in the end, and are not mended
    by_kind: Mapping[str, tuple[int, int]]  # rows of each kind of fault: named, and planted
    said: str  # what was planted and what was said, in a line

    @property
    def recall(self) -> float:
        return self.named_bad / max(self.bad, 1)

    @property
    def precision(self) -> float:
        return self.named_bad / max(self.named, 1)


def rows_named_by_kind(scores: Sequence[LocalScore]) -> list[tuple[str, tuple[int, int]]]:
    """Return for each kind of fault how many of its rows are named, and how many were planted."""
    counts: dict[str, tuple[int, int]] = {}
    for scored in scores:
        for kind, (named, planted) in scored.by_kind.items():
            before = counts.get(kind, (0, 0))
            counts[kind] = (before[0] + named, before[1] + planted)
    return sorted(counts.items())


def score(planted: Planted) -> LocalScore:
    """Return how the check names the rows of the planted faults."""
    drive = planted.drive
    bad = planted.bad
    findings = drive.diagnosis.findings
    named = named_rows(findings, len(bad))
    end = follow_remedies(drive)
    # mirrored frames with mirrored steering are right, too
    mended = np.zeros(len(bad), np.bool_)
    for kind, rows in planted.faults:
        if kind in _MENDED_BY_MIRRORING:
            mended[rows] = end.mirrored[rows]
    by_kind: dict[str, tuple[int, int]] = {}
    for kind, rows in planted.faults:
        of_kind = by_kind.get(kind, (0, 0))
        by_kind[kind] = (of_kind[0] + int(named[rows].sum()), of_kind[1] + len(rows))
    planted_words = ", ".join(
        f"{kind} {rows[0] + 1}-{rows[-1] + 1}" for kind, rows in planted.faults
    )
    found_words = ", ".join(
        f"{finding.fault} {' '.join(f'{first}-{last}' for first, last in finding.rows) or 'all'}"
        for finding in findings
    )
    return LocalScore(
        bad=int(bad.sum()),
        named=int(named.sum()),
        named_bad=int((named & bad).sum()),
        good=int((~bad).sum()),
        good_lost=int((~bad & (~end.usable | end.mirrored)).sum()),
        bad_left=int((bad & end.usable & ~mended).sum()),
        by_kind=by_kind,
        said=f"planted {planted_words}; found {found_words or 'nothing'}",
    )


def named_rows(findings: Sequence[Finding], count: int) -> BoolArray:
    """Return which of `count` rows a finding names, (rows,)."""
    named = np.zeros(count, np.bool_)
    for finding in findings:
        if finding.rows:
            named[numbers_in(finding.rows) - 1] = True
        elif not finding.usable:
            named[:] = True
    return named


class End(NamedTuple):
    """What has become of the rows of a drive, (rows,) each."""

    usable: BoolArray  # whether they can be used
    mirrored: BoolArray  # whether their steering is mirrored


def follow_remedies(drive: Drive) -> End:
    """Return what becomes of the rows of a drive once all remedies were followed.

    As a user does, the remedies of all findings are applied, and the drive is checked again, until
    no finding has an edit.
    """
    most_rounds = 5
    all_times = drive.column("time_ms")
    recorded = drive.column("steering")
    for _ in range(most_rounds):
        edits = [edit for finding in drive.diagnosis.findings for edit in finding.edits]
        if not edits:
            break
        drive = drive.after(edits)
        if not len(drive.rows):
            break
    kept = np.isin(all_times, drive.column("time_ms"))
    mirrored = np.zeros(len(kept), np.bool_)
    steering = drive.column("steering")
    mirrored[kept] = (steering == -recorded[kept]) & (steering != 0)
    return End(kept & _usable(drive, all_times), mirrored)


def _usable(drive: Drive, all_times: IndexArray) -> BoolArray:
    """Return which rows no finding of a drive condemns, of all rows before any edit, (rows,).

    all_times: times of these rows
    """
    usable = np.ones(len(all_times), np.bool_)
    if not len(drive.rows) or not drive.diagnosis.usable_seconds:
        return ~usable
    places = np.searchsorted(all_times, np.sort(all_times))
    for finding in drive.diagnosis.findings:
        if finding.usable:
            continue
        if not finding.rows:
            return ~usable
        usable[places[numbers_in(finding.rows) - 1]] = False
    return usable
