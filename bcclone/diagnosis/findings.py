"""Describe a recording: its faults, what could not be judged, how much it covers; and advise what
to record next.

In: `Evidence` and the `Finding`s of all judges. Out: a `Diagnosis`, and lines of advice.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, Self

import numpy as np

from bcclone.diagnosis.evidence import RADII_M, Evidence
from bcclone.diagnosis.recoveries import MeasuredCorrection
from bcclone.system.arrays import FloatArray
from bcclone.system.json_values import to_json
from bcclone.system.statistics import numbers_in, runs

_MAX_SPANS = 5  # in a line of text
_FEW_BENDS, _FEWEST_BEND_SECONDS, _FEWEST_SECONDS = (
    0.2,
    10.0,
    2.0,
)  # of a kind's bends; of all of them; of a kind
_FEW_RECOVERIES, _RECOVERY_SECONDS = 4, 4.0  # from each edge
_ONE_LIGHT = 45.0  # of 255, between dark and bright frames
_LEAST_SECONDS = 120.0
_SHORTEST_SECONDS, _MAX_LINES = 10.0, 5
_ADVANCE = re.compile(r"--advance-steering (-?[\d.]+)")


@dataclass(frozen=True)
class Finding:
    """One fault of a recording.

    fault: its name, as docs/how-to/own-recording.md lists them; text: what was measured, and what
    was expected; remedy: how to mend it; rows: those concerned, as spans from the first to the
    last, () for all, numbered as by `bcclone edit`: in order of time, from 1; value, uncertainty:
    the measured amount and its standard error, in `unit`; usable: the rows can be trained on as
    they are.
    """

    fault: str
    text: str
    remedy: str
    rows: tuple[tuple[int, int], ...] = ()
    value: float | None = None
    uncertainty: float | None = None
    unit: str = ""
    usable: bool = False

    @property
    def deletes(self) -> bool:
        """Return whether its remedy is to delete its rows."""
        return bool(self.rows) and "--delete" in self.remedy

    def as_edit(self) -> tuple[str, dict[str, Any]]:
        """Return its remedy in words for a button, and as fields of EditSettings; "" if the remedy
        is no edit.
        """
        if self.deletes:
            return "Delete these rows", {
                "delete": tuple(str(row) for span in self.rows for row in span)
            }
        if "--mirror-steering" in self.remedy:
            return "Mirror the steering", {"mirror_steering": True}
        if later := _ADVANCE.search(self.remedy):
            return f"Shift the steering by {later[1]} s", {"advance_steering": float(later[1])}
        return "", {}

    def with_rows(self, rows: Sequence[tuple[int, int]]) -> Self:
        """Return the finding with its rows and these ones, and the remedy for all."""
        spans = tuple(runs(numbers_in((*self.rows, *rows))))
        return replace(
            self, rows=spans, remedy=self.remedy.replace(delete_rows(self.rows), delete_rows(spans))
        )

    def as_text(self) -> str:
        spans = ", ".join(
            f"{first}" if first == last else f"{first}-{last}"
            for first, last in self.rows[:_MAX_SPANS]
        )
        more = (
            f" and {len(self.rows) - _MAX_SPANS} more spans" if len(self.rows) > _MAX_SPANS else ""
        )
        where = f" (rows {spans}{more})" if spans else ""
        return f"{self.fault}: {self.text}{where}\n            remedy: {self.remedy}"


def delete_rows(spans: Sequence[tuple[int, int]]) -> str:
    """Return the remedy for rows that cannot be used."""
    return f"bcclone edit RECORDING {' '.join(f'--delete {first} {last}' for first, last in spans)}"


@dataclass(frozen=True)
class Coverage:
    """How much a recording covers.

    bends: as seconds_of_bends() returns them; brightness: of the frames, (frames,), 0 to 255, NaN
    for one that cannot be read; usable_seconds: of driving, without the rows that a finding names;
    correction: counts the recoveries from each edge, None if they cannot be counted; road: that our
    simulator recorded, None for another one.
    """

    bends: FloatArray
    brightness: FloatArray
    usable_seconds: float
    correction: MeasuredCorrection | None = None
    road: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What a recording shows. findings: its faults; unknown: what could not be judged.

    figures: measurements by name; evidence: what was judged; coverage: what there is to learn from;
    both None for too few rows.
    """

    findings: tuple[Finding, ...] = ()
    unknown: tuple[str, ...] = ()
    figures: dict[str, float | None] = field(default_factory=dict)
    evidence: Evidence | None = None
    coverage: Coverage | None = None

    @property
    def usable_seconds(self) -> float:
        return self.coverage.usable_seconds if self.coverage else 0.0

    @property
    def verdict(self) -> str:
        names = ", ".join(finding.fault for finding in self.findings)
        if not self.coverage:
            return names or "not judged"
        topics = ", ".join(line.partition(":")[0] for line in self.unknown)
        return (
            f"{names or 'no fault found'}; {self.usable_seconds:.0f} s of driving can be used"
            + (" as they are" if names else f"; not judged: {topics}" if topics else "")
        )

    def of_recording(self, name: str) -> Self:
        """Return the diagnosis with remedies that name the recording."""
        word = shlex.quote(name)
        named = (
            replace(each, remedy=each.remedy.replace("RECORDING", word)) for each in self.findings
        )
        return replace(self, findings=tuple(named))

    def as_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "findings": to_json(self.findings),
            "unknown": list(self.unknown),
            "figures": dict(self.figures),
            "usable_seconds": self.usable_seconds,
        }

    def as_lines(self) -> list[str]:
        lines = [f"  verdict   {self.verdict}"]
        lines += [f"  fault     {finding.as_text()}" for finding in self.findings]
        return lines + [f"  unknown   {line}" for line in self.unknown]


def advise(recordings: Sequence[Coverage]) -> tuple[str, ...]:
    """Return lines that say what else to record, each with its seconds.

    A recording without a usable row does not count: its faults must be mended first.
    """
    recordings = [one for one in recordings if one.usable_seconds > 0]
    if not recordings:
        return ()
    road = next((one.road for one in recordings if one.road), None)
    lines = [*_more_bends(recordings, road), *_more_recoveries(recordings, road)]
    brightness = np.concatenate([one.brightness for one in recordings])
    if np.subtract(*np.nanquantile(brightness, (0.95, 0.05))) < _ONE_LIGHT:
        how = f"--road {shlex.quote(road)} --light 0.6 --sun-elevation 20" if road else ""
        command = f": bcclone simulate record other-light {how}" if road else ""
        lines.append(
            f"{_rounded(_LEAST_SECONDS / 2)}: another light, for all frames are alike in brightness{command}"
        )
    usable_seconds = sum(one.usable_seconds for one in recordings)
    if usable_seconds < _LEAST_SECONDS:
        missing = _LEAST_SECONDS - usable_seconds
        lines.append(
            f"{_rounded(missing)}: more of the same; or fine-tune models/any-road.h5 (any-camera.h5 for a real car)"
        )
    return tuple(lines[:_MAX_LINES])


def _more_bends(recordings: Sequence[Coverage], road: str | None) -> Iterator[str]:
    alike = len({one.bends.shape for one in recordings}) == 1
    bends = np.sum(
        [one.bends if alike else one.bends.sum(axis=1, keepdims=True) for one in recordings], axis=0
    )
    if bends.sum() < _FEWEST_BEND_SECONDS:
        yield f"{_rounded(2 * _FEWEST_BEND_SECONDS)}: bends to both sides, of which there are {bends.sum():.0f} s"
        return
    for side, (those, others) in {"left": bends, "right": bends[::-1]}.items():
        few = np.flatnonzero((those < _FEW_BENDS * (those + others)) & (others >= _FEWEST_SECONDS))
        for first, last in runs(few):
            have, opposite = those[first : last + 1].sum(), others[first : last + 1].sum()
            radii = (
                f" of {RADII_M[first - 1] if first else 'up'} to {RADII_M[last]} m"
                if len(those) > 1
                else ""
            )
            yield (
                f"{_rounded(opposite / 2 - have)}: {side} bends{radii}, of which there are "
                f"{have:.0f} s, {opposite:.0f} s to the other side; drive the other way round{_play(road)}"
                + (", with --reverse or without" if road else "")
            )


def _more_recoveries(recordings: Sequence[Coverage], road: str | None) -> Iterator[str]:
    counted = [one.correction for one in recordings if one.correction]
    if not counted:
        return
    from_right = sum(one.from_right for one in counted)
    counts = {"left": sum(one.recoveries for one in counted) - from_right, "right": from_right}
    missing = {
        side: _FEW_RECOVERIES - count for side, count in counts.items() if count < _FEW_RECOVERIES
    }
    if missing:
        yield (
            f"{_rounded(_RECOVERY_SECONDS * sum(missing.values()))}: recoveries from the {' and the '.join(missing)} "
            f"edge, of which there are {' and '.join(str(counts[side]) for side in missing)}: "
            f"pause the recording, drive to the edge, and record the way back{_play(road)}"
        )


def _play(road: str | None) -> str:
    return f": bcclone play -o more --road {shlex.quote(road)}" if road else ""


def _rounded(seconds: float) -> str:
    """Return seconds in words, rounded up to tens, and ten at least."""
    return f"{max(_SHORTEST_SECONDS, 10 * ceil(seconds / 10)):.0f} s"
