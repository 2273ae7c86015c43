"""What a judge of recordings gets, the `Evidence`, and what it yields: a `Finding` for each fault.

The evidence has a value for each question of a judge, which is measured when a judge first asks for
it. No trained network is asked whether the steering fits the frames: it would need TensorFlow, and
show less than whether the frames turn as the car is steered.

The remedy of a finding is a sentence, one or more edits, or both. The command line that it
recommends is made from the edits, and so is the button on the page (bcclone.editor), so that both
do the same.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from scipy.ndimage import median_filter

from bcclone.camera.images import FRAME_HEIGHT
from bcclone.diagnosis.agreement import Agreement, Signals, measure_agreement
from bcclone.diagnosis.drive_rows import LEAST_MPH, DriveRows
from bcclone.diagnosis.heading import (
    BACKWARDS,
    FramePairs,
    Heading,
    ground_below,
    measure_heading,
    share_that_grows,
)
from bcclone.diagnosis.motion import ReadFrame, RecordingFigures, Turns
from bcclone.diagnosis.stretches import Segmentation, segmented
from bcclone.recording.edits import DELETE, Edit, Span, delete_numbers, mirror_numbers
from bcclone.recording.files import LOG_NAME
from bcclone.system.arrays import BoolArray, numbers_in, runs
from bcclone.system.errors import number_of, shown_command
from bcclone.system.location import Location
from bcclone.system.values import to_json


@dataclass(frozen=True)
class Finding:
    """One fault of a recording."""

    fault: str  # name of the fault, from the list in docs/how-to/own-recording.md
    text: str  # what is wrong
    measured: str = ""  # the figures behind it, and what was expected; "" if `text` says it
    # spans of the faulty rows, numbered from 1 as `bcclone edit` does; () for all rows
    rows: tuple[Span, ...] = ()
    value: float | None = None  # the measured amount
    uncertainty: float | None = None  # standard error of the value
    unit: str = ""  # unit of the value and its uncertainty
    usable: bool = False  # whether the faulty rows can be trained on as they are
    advice: str = ""  # how to mend the fault, or what to try before the edits
    edits: tuple[Edit, ...] = ()  # the edits that mend the fault, one after the other
    good_rows: float = 0.0  # how many rows of `edits` are probably without the fault

    # What follows is not set by a judge, but by _completed() in judging.py.
    recording: str = "RECORDING"  # name of the recording in the commands of the remedy
    # how many rows the edits delete or, if they delete none, mirror; 0 if they are for all rows
    cost_rows: int = 0
    cost_seconds: float = 0.0  # how long these rows last
    of_seconds: float = 0.0  # length of the recording

    def numbers(self, kind: str) -> tuple[Span, ...]:
        """Return the spans of row numbers, from 1, that edits of a kind are for."""
        spans = [span for edit in self.edits if edit.kind == kind for span in edit.spans]
        return tuple((first + 1, last + 1) for first, last in spans)

    @property
    def only_deletes(self) -> bool:
        """Return whether the edit that mends the fault is to delete the faulty rows."""
        return len(self.edits) == 1 and self.edits[0].kind == DELETE

    @property
    def sentence(self) -> str:
        """Return what is wrong, with the figures."""
        return ": ".join(filter(None, (self.text, self.measured)))

    @property
    def remedy(self) -> str:
        """Return how to mend the fault: the advice, then the commands that make the edits."""
        commands = [shown_command("edit", self.recording, *edit.options()) for edit in self.edits]
        sentences = [self.advice, "; then: ".join(commands)]
        return " ".join(sentence for sentence in sentences if sentence)

    def and_also(self, other: Self) -> Self:
        """Return a finding of the rows of another one, too; both delete or both mirror theirs."""
        spans = tuple(runs(numbers_in((*self.rows, *other.rows))))
        good_rows = self.good_rows + other.good_rows
        edit = delete_numbers(spans) if self.only_deletes else mirror_numbers(spans)
        return replace(self, rows=spans, edits=(edit,), good_rows=good_rows)

    def as_json(self) -> dict[str, Any]:
        cost = None
        if self.cost_rows:
            cost = {
                "rows": self.cost_rows,
                "seconds": self.cost_seconds,
                "of_seconds": self.of_seconds,
                "good_rows": self.good_rows,
                "deletes": bool(self.numbers(DELETE)),
            }
        return {
            "fault": self.fault,
            "text": self.sentence,
            "remedy": self.remedy,
            "rows": to_json(self.rows),
            "value": self.value,
            "uncertainty": self.uncertainty,
            "unit": self.unit,
            "usable": self.usable,
            "cost": cost,
        }

    def as_text(self) -> str:
        rows = f" (rows {spans_text(self.rows)})" if self.rows else ""
        text = f"{self.fault}: {self.sentence}{rows}\n            remedy: {self.remedy}"
        if self.cost_rows:
            verb = "takes" if self.numbers(DELETE) else "mirrors"
            text += (
                f"\n            cost: {verb} {self.cost_seconds:.1f} s of {self.of_seconds:.0f} s"
            )
            if good_rows := round(self.good_rows):
                of_rows = number_of(self.cost_rows, "row")
                text += f", about {good_rows} of the {of_rows} without the fault"
        return text


def spans_text(spans: Sequence[Span]) -> str:
    """Return the first spans of rows in words: "3-8, 12 and 4 more spans"."""
    most = 5
    words = [f"{first}-{last}" if first < last else f"{first}" for first, last in spans[:most]]
    text = ", ".join(words)
    if len(spans) > most:
        text += f" and {len(spans) - most} more spans"
    return text


def recording_name(log: Location) -> str:
    """Return how commands name the recording of a log: its folder, where that is enough."""
    if log.name == LOG_NAME:
        return str(log.parent)
    return str(log)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the rows and frames of a drive show, or those of a part of it."""

    rows: DriveRows
    figures: RecordingFigures  # what was measured in the frames of these rows
    # index of a row -> its centre frame, RGB uint8 (160, 320, 3), None if it cannot be read
    read_frame: ReadFrame
    # whether the steering was estimated from the frames, so that it cannot be judged by them
    is_estimated: bool = False
    mirrored: tuple[Span, ...] = ()  # numbers of the rows whose steering with_mirrored() mirrored

    @property
    def has_three_cameras(self) -> bool:
        """Return whether the recording has three cameras, as the simulator's car alone has."""
        return bool(self.figures.sides)

    @cached_property
    def turns(self) -> Turns:
        # nothing comes before the first frame, so that it has no shift
        return Turns.of(self.figures.shifts[1:], self.rows.follows)

    @cached_property
    def pairs(self) -> FramePairs:
        return FramePairs(self.read_frame, self.turns, self.rows.follows)

    @cached_property
    def heading(self) -> Heading | None:
        """Return where the car drives to in the frames; None for too few points."""
        return measure_heading(self.pairs.straight_on)

    @cached_property
    def growing_share(self) -> float | None:
        """Return the share of the pictures that grow, as they do when the car drives forwards."""
        return share_that_grows(self.pairs.straight_on)

    @property
    def drives_backwards(self) -> bool:
        """Return whether the pictures surely shrink from frame to frame."""
        return self.growing_share is not None and self.growing_share < BACKWARDS

    @cached_property
    def signals(self) -> Signals:
        return Signals(self.rows, self.turns)

    @cached_property
    def agreement(self) -> Agreement | None:
        """Return how steering and turns agree; None if it cannot be measured.

        None, too, for steering that was estimated from the frames: it agrees with them anyway.
        """
        # without() may leave a single row or none: then there is no step to compare
        if self.is_estimated or len(self.rows) < 2:
            return None
        return measure_agreement(self.signals)

    @cached_property
    def turns_as_steered(self) -> bool | None:
        """Return whether the car surely turns to the side to which it is steered; None: unknown."""
        agreement = self.agreement
        if agreement is None or self.rows.why_too_few:
            return None
        if not (agreement.is_clear or agreement.is_mirrored):
            return None
        if self.is_upside_down or self.drives_backwards:
            return None
        return agreement.is_clear

    @cached_property
    def segmentation(self) -> Segmentation | None:
        """Return the stretches in which steering and turns agree alike; None as for `agreement`."""
        if self.is_estimated:
            return None
        return segmented(self.signals, self.agreement)

    @cached_property
    def stands(self) -> BoolArray:
        """Return in which rows the car stands, (rows,).

        By its speed, or if that is unknown, by a throttle of 0 and a picture that hardly differs
        from the one before, apart from noise.
        """
        least_throttle = 0.02  # of a car that drives; some cars drive with a negative throttle
        most_moved = 0.3  # pixels
        most_brighter = 0.3  # of 255
        window_seconds = 1.0
        rows = self.rows
        if rows.speed_mph is not None:
            return np.asarray(rows.speed_mph <= LEAST_MPH)
        no_throttle = np.abs(rows.throttle) <= least_throttle
        if no_throttle.all():  # then it was not recorded and tells nothing
            return np.zeros(len(rows), np.bool_)
        mean = np.array([frame.mean for frame in self.figures.frames])
        brighter = np.abs(np.diff(mean, prepend=np.nan))
        moved = np.array([max(abs(shift.right), abs(shift.down)) for shift in self.figures.shifts])
        still = self.figures.frozen | ((brighter < most_brighter) & (moved < most_moved))
        still = median_filter(still.astype(np.uint8), rows.window(window_seconds)) > 0
        return np.asarray(no_throttle & still)

    @cached_property
    def is_upside_down(self) -> bool:
        """Return whether near things are in the upper part of the frames, as the ground never is.

        Frames do not count as upside down if the steering clearly agrees with the turns.
        """
        clear = 0.35  # of upright frames; those that are turned by 180 degrees had 0.25 at most
        least_difference = 0.08  # between both ways to look at frames that are upside down
        lowest_row = FRAME_HEIGHT - 30.0  # a focus below it leaves no room for ground
        below = ground_below(self.pairs.straight_on, self.heading)
        if below is not None and below > clear:
            return False

        # turned by 180 degrees, frames that are upside down show more points of the ground
        turned_round = self.pairs.straight_on_turned_round
        heading = measure_heading(turned_round)
        below_turned = ground_below(turned_round, heading)
        if heading is None or below_turned is None or heading.row > lowest_row:
            return False
        least = clear if below is None else below + least_difference
        if below_turned < least:
            return False
        return self.agreement is None or not self.agreement.is_clear

    def without(self, spans: Sequence[Span]) -> "Evidence":
        """Return the evidence without some rows. spans: of row numbers, as in Finding.rows"""
        kept = np.flatnonzero(~np.isin(self.rows.numbers, numbers_in(spans)))
        return replace(
            self,
            rows=self.rows.only(kept),
            figures=self.figures.of_rows(kept),
            read_frame=lambda row: self.read_frame(int(kept[row])),
        )

    def with_mirrored(self, spans: Sequence[Span]) -> "Evidence":
        """Return it with the steering of some rows mirrored. spans: as for without()"""
        concerned = np.isin(self.rows.numbers, numbers_in(spans))
        steering = np.where(concerned, 0.0 - self.rows.steering, self.rows.steering)
        rows = self.rows.with_steering(steering)
        return replace(self, rows=rows, mirrored=(*self.mirrored, *spans))


# Looks for one fault, or for a few related ones. Each file of judges has a table JUDGES of its own.
Judge = Callable[[Evidence], Iterator[Finding]]
