"""The findings of a recording -> which of its parts can be used: now, after the edits, or not.

In: the rows of a recording and its findings. Out: a `Part` for each run of rows that have the same
faults, and the seconds of all parts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from bcclone.diagnosis.findings import Finding
from bcclone.diagnosis.recorded_rows import RecordedRows
from bcclone.system.numbers import BoolArray, numbers_in


class Use(StrEnum):
    """Whether a part of a recording can be used."""

    NOW = "as it is"
    AFTER_EDITS = "after the edits"
    NOT = "not at all"
    TOO_SHORT = "too short to tell"


@dataclass(frozen=True)
class Part:
    """Successive rows of a recording with the same faults."""

    first: int  # number of the first row, from 1, as `bcclone edit` counts them
    last: int  # number of the last row
    seconds: float  # how long the part lasts
    faults: tuple[str, ...]  # names of the findings that concern it; () if it is as recorded
    use: Use

    def as_json(self) -> dict[str, Any]:
        return {
            "rows": [self.first, self.last],
            "seconds": self.seconds,
            "faults": list(self.faults),
            "use": self.use.value,
        }


def parts_of(rows: RecordedRows, findings: Sequence[Finding]) -> tuple[Part, ...]:
    """Return the parts of a recording, in order of time; together they are all of its rows."""
    concerned = np.array([_numbers_of(rows, finding.rows) for finding in findings], np.bool_)
    concerned = concerned.reshape(len(findings), len(rows))
    mended, lost = _mended_and_lost(rows, findings, concerned)
    # a part ends where the set of faults changes, or what becomes of its rows, or at deleted rows
    labels = np.vstack([concerned, mended, lost])
    is_change = (labels[:, 1:] != labels[:, :-1]).any(axis=0) | (np.diff(rows.numbers) > 1)
    changes = np.flatnonzero(is_change) + 1
    parts = []
    for part in np.split(np.arange(len(rows)), changes):
        first, last = int(part[0]), int(part[-1])
        use = Use.NOW
        if lost[first]:
            use = Use.NOT
        elif mended[first]:
            use = Use.AFTER_EDITS
        faults = tuple(
            finding.fault for finding, of in zip(findings, concerned, strict=True) if of[first]
        )
        seconds = float(rows.step_seconds[part].sum())
        numbers = rows.numbers[[first, last]].tolist()
        parts.append(Part(numbers[0], numbers[1], seconds, faults, use))
    return tuple(_without_scraps(parts))


def _numbers_of(rows: RecordedRows, spans: Sequence[tuple[int, int]]) -> BoolArray:
    """Return which rows are in spans of row numbers, (rows,); all without a span."""
    if not spans:
        return np.ones(len(rows), np.bool_)
    return np.isin(rows.numbers, numbers_in(spans))


def _mended_and_lost(
    rows: RecordedRows, findings: Sequence[Finding], concerned: BoolArray
) -> tuple[BoolArray, BoolArray]:
    """Return which rows can be used after the edits only, and which cannot be used, (rows,) each.

    concerned: which rows each finding is about, (findings, rows)
    """
    mended = np.zeros(len(rows), np.bool_)
    lost = np.zeros(len(rows), np.bool_)
    for finding, of_finding in zip(findings, concerned, strict=True):
        if finding.usable:
            continue
        deleted = np.isin(rows.numbers, numbers_in(finding.deleted))
        if finding.edits and not finding.deletes:
            mended |= of_finding & ~deleted
            lost |= deleted
        else:
            lost |= of_finding
    return mended, lost


def _without_scraps(parts: Sequence[Part]) -> Iterator[Part]:
    """Yield the parts; those that are too short between faults to be judged say so."""
    shortest_seconds = 1.0
    for place, part in enumerate(parts):
        is_between = 0 < place < len(parts) - 1
        if is_between and part.use is Use.NOW and part.seconds < shortest_seconds:
            neighbours = {parts[place - 1].use, parts[place + 1].use}
            if neighbours == {Use.NOT}:
                yield Part(part.first, part.last, part.seconds, part.faults, Use.TOO_SHORT)
                continue
        yield part


def seconds_of(parts: Sequence[Part], use: Use) -> float:
    return sum(part.seconds for part in parts if part.use is use)
