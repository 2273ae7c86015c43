"""The faults of a recording with their remedies, and what each remedy costs.

Judges yield a `Finding` for each fault.

A remedy is a sentence, one or more edits, or both. The command line that it recommends is made from
the edits, and so is the button on the page (bcclone.editor), so that both do the same.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

from bcclone.recording.edits import DELETE, MIRROR, Edit, Span, delete_numbers, mirror_numbers
from bcclone.recording.files import LOG_NAME
from bcclone.system.errors import number_of, shown_command
from bcclone.system.location import Location
from bcclone.system.numbers import numbers_in, runs
from bcclone.system.values import to_json

_MAX_SPANS = 5  # most spans of rows that a line of text lists


@dataclass(frozen=True)
class Cost:
    """What the edits of a finding delete or, if they delete nothing, which rows they mirror."""

    rows: int
    seconds: float
    of_seconds: float  # length of the recording
    good_rows: float  # estimate of how many of the rows are without the fault
    deletes: bool = True  # False if the rows stay, with mirrored steering

    def as_text(self) -> str:
        verb = "takes" if self.deletes else "mirrors"
        text = f"{verb} {self.seconds:.1f} s of {self.of_seconds:.0f} s"
        good_rows = round(self.good_rows)
        if good_rows:
            text += f", about {good_rows} of the {number_of(self.rows, 'row')} without the fault"
        return text


@dataclass(frozen=True)
class Finding:
    """One fault of a recording."""

    fault: str  # name of the fault, from the list in docs/how-to/own-recording.md
    text: str  # what was measured, and what was expected
    # spans of the faulty rows, numbered from 1 as `bcclone edit` does; () for all rows
    rows: tuple[Span, ...] = ()
    value: float | None = None  # the measured amount
    uncertainty: float | None = None  # standard error of the value
    unit: str = ""  # unit of the value and its uncertainty
    usable: bool = False  # whether the faulty rows can be trained on as they are
    advice: str = ""  # how to mend the fault, or what to try before the edits
    edits: tuple[Edit, ...] = ()  # the edits that mend the fault, one after the other
    good_rows: float = 0.0  # how many rows of `edits` are probably without the fault
    cost: Cost | None = None  # of the edits; None if they are for all rows, and before it is known
    recording: str = "RECORDING"  # name of the recording in the commands of the remedy

    @property
    def deletes(self) -> bool:
        """Return whether the edit that mends the fault is to delete the faulty rows."""
        return len(self.edits) == 1 and self.edits[0].kind == DELETE

    @property
    def deleted(self) -> tuple[Span, ...]:
        """Return the spans of row numbers, from 1, that the edits delete."""
        return self._numbers_of(DELETE)

    @property
    def mirrored(self) -> tuple[Span, ...]:
        """Return the spans of row numbers, from 1, whose steering the edits mirror."""
        return self._numbers_of(MIRROR)

    def _numbers_of(self, kind: str) -> tuple[Span, ...]:
        spans = [span for edit in self.edits if edit.kind == kind for span in edit.spans]
        return tuple((first + 1, last + 1) for first, last in spans)

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
        edit = delete_numbers(spans) if self.deletes else mirror_numbers(spans)
        return replace(self, rows=spans, edits=(edit,), good_rows=good_rows)

    def as_json(self) -> dict[str, Any]:
        return {
            "fault": self.fault,
            "text": self.text,
            "remedy": self.remedy,
            "rows": to_json(self.rows),
            "value": self.value,
            "uncertainty": self.uncertainty,
            "unit": self.unit,
            "usable": self.usable,
            "cost": to_json(self.cost),
        }

    def as_text(self) -> str:
        text = f"{self.fault}: {self.text}{self._rows_text()}\n            remedy: {self.remedy}"
        if self.cost:
            text += f"\n            cost: {self.cost.as_text()}"
        return text

    def _rows_text(self) -> str:
        if not self.rows:
            return ""
        spans = ", ".join(_span_text(span) for span in self.rows[:_MAX_SPANS])
        more = len(self.rows) - _MAX_SPANS
        if more > 0:
            spans += f" and {more} more spans"
        return f" (rows {spans})"


def _span_text(span: Span) -> str:
    first, last = span
    if first == last:
        return f"{first}"
    return f"{first}-{last}"


def recording_name(log: Location) -> str:
    """Return how commands name the recording of a log: its folder, where that is enough."""
    if log.name == LOG_NAME:
        return str(log.parent)
    return str(log)
