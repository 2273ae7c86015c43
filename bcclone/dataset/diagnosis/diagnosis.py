"""Diagnose a recording: gather figures while its images are read once, then judge them.

A network is not asked: that the frames turn as the car is steered shows more, and needs no TensorFlow.
docs/how-to/own-recording.md says what each fault means; docs/results/recording-faults.json how many of them are found.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from bcclone.dataset.diagnosis.advice import Coverage, seconds_of_bends
from bcclone.dataset.diagnosis.camera_faults import camera_pose, exchanged_cameras, is_trusted
from bcclone.dataset.diagnosis.driven import LEAST_MPH, Driven
from bcclone.dataset.diagnosis.finding import Diagnosis, Finding
from bcclone.dataset.diagnosis.motion import (
    Followed,
    Heading,
    Shift,
    TurnMeter,
    Turns,
    follow_points,
    measure_heading,
    side_shift,
)
from bcclone.dataset.diagnosis.row_faults import (
    UNREADABLE,
    Look,
    clock_jumps,
    look_at,
    picture_faults,
    rows_out_of_order,
)
from bcclone.dataset.diagnosis.steering_faults import (
    MOST_LAG_ERROR,
    UNRELATED,
    Agreement,
    clipped,
    few_steps,
    measure_agreement,
    steering_and_turns,
)
from bcclone.dataset.images import Image
from bcclone.dataset.preprocess_settings import MOST_SKIPPED
from bcclone.recording.log import Log
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray

_FEWEST_ROWS = 200
_LEAST_THROTTLE = 0.02
_MOST_PAIRS, _MOST_SIDES = 60, 150
_PAUSE_STEPS = 3.0  # of the usual time from row to row

ReadFrame = Callable[[int], Image | None]
Points = tuple[FloatArray, FloatArray]  # points of a frame, and how they move to the next: (points, 2) each


class RecordingFigures:
    """Gathers what the diagnosis needs while the images of a recording are read; add() the rows in order of time.

    every: from row to row whose side cameras are looked at; those of the others may be left out.
    """

    def __init__(self, rows: int) -> None:
        self.looks: list[Look] = []
        self.turns = TurnMeter()
        self.sides: list[tuple[int, Mapping[str, Shift]]] = []
        self.checksums: list[int | None] = []  # of the centre frames
        self.every = max(1, rows // _MOST_SIDES)

    def add(self, frames: Mapping[str, Image | None]) -> None:
        """Take a row's frames, camera -> RGB uint8 (160, 320, 3), None for one that cannot be read."""
        center = frames.get("center")
        self.turns.add(center)
        self.looks.append(UNREADABLE if center is None else look_at(center))
        self.checksums.append(None if center is None else zlib.crc32(center.data))
        if center is not None and len(self.looks) % self.every == 0:
            shifts = {name: side_shift(center, frame) for name, frame in frames.items()
                      if name != "center" and frame is not None}  # fmt: skip
            if len(shifts) == 2:
                self.sides.append((len(self.looks) - 1, shifts))

    @property
    def frozen(self) -> BoolArray:
        """Return which rows have the same centre frame as the row before, (rows,)."""
        pairs = zip(self.checksums, self.checksums[1:], strict=False)
        return np.array([False, *(before is not None and before == after for before, after in pairs)], np.bool_)


def diagnose(
    log: Log,
    figures: RecordingFigures,
    read_frame: ReadFrame,
    from_edges: tuple[int, int] | None = None,
    road: str | None = None,
) -> Diagnosis:
    """Return the diagnosis of a recording.

    read_frame: the index of a row -> its centre frame, RGB uint8 (160, 320, 3), None if it cannot be read; from_edges,
    road: as in Coverage.
    """
    frozen = figures.frozen
    if len(log.rows) < _FEWEST_ROWS:
        seen = (*_unusable_rows(log), *picture_faults(figures.looks, _numbers_of(log), np.zeros_like(frozen)))
        few = f"{len(log.rows)} rows are too few to judge the driving, expected {_FEWEST_ROWS}"
        return Diagnosis(seen, unknown=(few,))
    driven = _driven(log, figures)
    numbers, turns, stands = driven.numbers, driven.turns, _standing(log, driven)
    agreement = measure_agreement(driven)

    def moved_after(row: int) -> Points:
        """Return points of a row's centre frame and how they move to the next one, (0, 2) for an unreadable one."""
        before, after, shift = read_frame(row), read_frame(row + 1), figures.turns.shifts[row + 1]
        if before is None or after is None or not np.isfinite(shift.right):
            return np.zeros((0, 2)), np.zeros((0, 2))
        return follow_points(before, after, shift)

    followed = [moved_after(row) for row in _straight_rows(turns)]
    heading = measure_heading(followed)
    counts = np.median([Followed.of(moved) for _, moved in followed] or [Followed(0, 0, 0.0)], axis=0)
    usual_followed = Followed(int(counts[0]), int(counts[1]), float(counts[2]))
    follows_steering = agreement is not None and agreement.is_clear and agreement.correlation > 0

    findings = [*_unusable_rows(log), *picture_faults(figures.looks, numbers, frozen & ~stands)]
    findings += rows_out_of_order(log.rows["line"].to_numpy(), numbers)
    times_ms = log.rows["time_ms"].to_numpy()
    findings += clock_jumps(times_ms, numbers, usual_followed, lambda row: Followed.of(moved_after(row)[1]))
    findings += exchanged_cameras([(int(numbers[row]), shifts) for row, shifts in figures.sides])
    findings += camera_pose(heading, turns.roll_degrees(), follows_steering, driven.three_cameras)
    findings += [*few_steps(driven), *clipped(driven, agreement)]
    if agreement and not any(finding.fault == "upside-down" for finding in findings):
        findings += steering_and_turns(driven, agreement)
    usable = _usable_seconds(findings, driven)
    return Diagnosis(
        tuple(findings),
        tuple(_unknown(agreement, heading, from_edges)),
        {
            "turn_correlation": agreement.correlation if agreement else None,
            "steering_after_turn_seconds": agreement.lag if agreement else None,
            "steering_after_turn_error": agreement.error if agreement else None,
            "heading_column": heading and heading.column,
            "heading_row": heading and heading.row,
            "heading_agreeing": heading and heading.agreeing,
            "seconds": float(driven.seconds[-1]),
        },
        usable,
        driven,
        Coverage(seconds_of_bends(driven), np.array([look.mean for look in figures.looks]), usable, from_edges, road),
    )


def _driven(log: Log, figures: RecordingFigures) -> Driven:
    steps = np.diff(log.rows["time_ms"].to_numpy()) / 1000
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.1
    follows = steps < _PAUSE_STEPS * usual
    return Driven(
        numbers=_numbers_of(log),
        seconds=np.concatenate([[0.0], np.cumsum(np.minimum(steps, _PAUSE_STEPS * usual))]),
        stretch=np.concatenate([[0], np.cumsum(~follows)]),
        steering=log.rows["steering"].to_numpy(np.float64),
        speed_mph=log.rows["speed_mph"].to_numpy(np.float64),
        turns=Turns.of(figures.turns.shifts[1:], follows),
        three_cameras=bool(figures.sides),
    )


def _numbers_of(log: Log) -> IndexArray:
    """Return the number of each row, as `bcclone edit` counts them: of all rows, the deleted ones too, from 1."""
    of_all = np.sort(np.concatenate([log.rows["time_ms"].to_numpy(), log.deleted["time_ms"].to_numpy()]))
    return np.searchsorted(of_all, log.rows["time_ms"].to_numpy()) + 1


def _unusable_rows(log: Log) -> Iterator[Finding]:
    """Yield a fault if so many rows cannot be used that a conversion refuses the log."""
    if len(log.bad_rows) > MOST_SKIPPED * log.row_count:
        first = log.bad_rows[0]
        yield Finding(
            "bad-rows",
            f"{len(log.bad_rows)} of {log.row_count} rows cannot be used, the first for this reason: {first.reason}",
            "correct them in the log, or leave them out: bcclone preprocess RECORDING --allow-skips",
            usable=True,  # those that are left
        )


def _straight_rows(turns: Turns) -> list[int]:
    """Return rows after which the camera hardly turns, spread over the recording."""
    straight = np.flatnonzero(turns.straight)
    if not len(straight):
        return []
    return sorted(set(straight[np.linspace(0, len(straight) - 1, _MOST_PAIRS).astype(int)].tolist()))


def _standing(log: Log, driven: Driven) -> BoolArray:
    """Return the rows in which the car stands, (rows,): by its speed, or where that is unknown by its throttle."""
    if driven.has_speed:
        return np.asarray(driven.speed_mph <= LEAST_MPH)
    throttle = log.rows["throttle"].to_numpy(np.float64)
    return np.asarray((throttle <= _LEAST_THROTTLE) & bool((throttle > _LEAST_THROTTLE).any()))


def _usable_seconds(findings: list[Finding], driven: Driven) -> float:
    """Return the seconds of driving without the rows that cannot be used."""
    steps = np.diff(driven.seconds, prepend=driven.seconds[0])
    good = np.ones(len(steps), np.bool_)
    for finding in findings:
        for first, last in () if finding.usable else finding.rows or ((1, driven.numbers[-1]),):
            good &= ~((driven.numbers >= first) & (driven.numbers <= last))
    return float(steps[good].sum())


def _unknown(agreement: Agreement | None, heading: Heading | None, from_edges: tuple[int, int] | None) -> Iterator[str]:
    if agreement is None:
        yield "whether steering and frames agree: the steering or the camera hardly turns, or the pictures do not match"
    elif not agreement.is_clear and agreement.correlation >= UNRELATED:
        yield f"whether steering and frames agree: their correlation of {agreement.correlation:.2f} could be chance"
    elif agreement.is_clear and agreement.error > MOST_LAG_ERROR:
        yield f"when the steering was recorded: its delay is uncertain by {agreement.error:.1f} s"
    if heading is None or not is_trusted(heading):
        yield "where the camera looks: too little on the ground can be followed while the car drives straight on"
    if from_edges is None:
        yield "how many recoveries there are: that takes the frames of three cameras"
