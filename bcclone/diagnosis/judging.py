"""The log and the figures of a recording -> its diagnosis: judges find its faults, one by one.

A judge is a function that looks for one fault, or for a few related ones. It stands in the table
JUDGES at the end of its file. The diagnosis says which of the recording's seconds can be used, too:
now, after the edits, or not.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain
from typing import Any

import numpy as np

from bcclone.camera.framing import framing_of
from bcclone.diagnosis import camera_faults, picture_faults, steering_faults
from bcclone.diagnosis.agreement import seconds_of_bends
from bcclone.diagnosis.drive_rows import DriveRows
from bcclone.diagnosis.evidence import Evidence, Finding, Judge, recording_name, spans_text
from bcclone.diagnosis.heading import BACKWARDS, is_trusted
from bcclone.diagnosis.motion import ReadFrame, RecordingFigures
from bcclone.recording.edits import DELETE, MIRROR, Edit, mirror_numbers
from bcclone.recording.log import Log
from bcclone.recording.run_tables import MOTION
from bcclone.system.arrays import FloatArray, numbers_in, runs
from bcclone.system.statistics import constant

# All judges, in the order in which they judge and faults are reported. Rows that one judge deletes
# or mirrors are deleted or mirrored for the judges after it.
_JUDGES: tuple[Judge, ...] = (
    *picture_faults.JUDGES,
    *camera_faults.JUDGES,
    *steering_faults.JUDGES,
)
# the judges for recordings with too few rows: these judges do not need a longer drive
_JUDGES_OF_FEW_ROWS: tuple[Judge, ...] = (
    steering_faults.rows_of_the_log,
    picture_faults.unusable_pictures,
    steering_faults.constant_steering,
)

# share of rows with full steering that is not worth a word: few bends are as sharp as the
# simulator's car can drive
GREATEST_FULL_SHARE = 0.01


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


@dataclass(frozen=True)
class Diagnosis:
    """What a recording shows. Of too few rows, nothing but faults is known."""

    findings: tuple[Finding, ...] = ()  # the faults of the recording
    unknown: tuple[str, ...] = ()  # a line "topic: reason" for each thing that could not be judged
    # measurements by name, as they stand in the JSON
    figures: dict[str, float | None] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()  # of the recording, in order of time
    # what there is to learn from, for advise() in check.py
    bends: FloatArray | None = None  # seconds of bends, (2, kinds), see seconds_of_bends()
    brightness: FloatArray | None = None  # of the frames, (frames,), 0 to 255, NaN: unreadable
    road: str | None = None  # name of the road in bcclone's simulator, None for other recordings
    reservation: str = ""  # what limits the use of all rows, in words; "" for nothing
    has_one_light: bool = False  # whether it is of Udacity's simulator, which has no other light

    def seconds(self, use: Use) -> float:
        return sum(part.seconds for part in self.parts if part.use is use)

    @property
    def usable_seconds(self) -> float:
        return self.seconds(Use.NOW) if self.parts else 0.0

    @property
    def verdict(self) -> str:
        """Return in a sentence how much can be used."""
        if not self.parts:
            if self.findings:
                return "Nothing can be used as it is."
            return "It cannot be judged."
        total = round(sum(part.seconds for part in self.parts))
        now = round(self.usable_seconds)
        after_edits = round(self.usable_seconds + self.seconds(Use.AFTER_EDITS))
        if now == total and self.reservation:
            return f"{total} s to train on; {self.reservation}."
        if now == total:
            if self.findings:
                return f"All {total} s of driving can be used, with what is said below."
            return f"No fault was found: all {total} s of driving can be used."
        words = [f"{now} of {total} s can be used"]
        if after_edits > now:
            words[0] += " now"
            words.append(f"{after_edits} s after the repairs below")
        else:
            words.append(f"the faults below spoil {'the other' if now else 'all'} {total - now} s")
        if self.reservation:
            words.append(self.reservation)
        return f"{'; '.join(words)}."

    @property
    def is_good(self) -> bool:
        """Return whether all of it can be used, and there is nothing to look at before."""
        is_usable = all(part.use is Use.NOW for part in self.parts)
        return bool(self.parts) and is_usable and not self.findings and not self.reservation

    @property
    def worst(self) -> Finding | None:
        """Return the finding that keeps most seconds from use, the first of equals; None: none."""
        return next(iter(self.worst_first), None)

    @property
    def worst_first(self) -> list[Finding]:
        """Return the findings, first those that keep most seconds from use."""

        def seconds_kept(finding: Finding) -> float:
            concerned = [part for part in self.parts if finding.fault in part.faults]
            kept = [part.seconds for part in concerned if part.use is not Use.NOW]
            return 0.0 if finding.usable else sum(kept)

        return sorted(self.findings, key=seconds_kept, reverse=True)

    @property
    def not_judged(self) -> str:
        """Return in a sentence what was not judged, "" if everything was."""
        if not self.unknown:
            return ""
        *topics, last = (line.partition(":")[0] for line in self.unknown)
        return f"Not judged: {' and '.join(filter(None, (', '.join(topics), last)))}."

    def as_json(self) -> dict[str, Any]:
        parts = [
            {
                "rows": [part.first, part.last],
                "seconds": part.seconds,
                "faults": list(part.faults),
                "use": part.use.value,
            }
            for part in self.parts
        ]
        return {
            "verdict": f"{self.verdict} {self.not_judged}".strip(),
            "findings": [finding.as_json() for finding in self.findings],
            "unknown": list(self.unknown),
            "figures": dict(self.figures),
            "usable_seconds": self.usable_seconds,
            "seconds_after_edits": self.seconds(Use.AFTER_EDITS),
            "unusable_seconds": self.seconds(Use.NOT),
            "parts": parts,
        }

    def as_lines(self) -> list[str]:
        lines = [f"  verdict   {self.verdict} {self.not_judged}".rstrip()]
        lines += [f"  fault     {finding.as_text()}" for finding in self.findings]
        usable = [(part.first, part.last) for part in self.parts if part.use is Use.NOW]
        if usable and len(usable) < len(self.parts):
            lines.append(f"  usable    rows {spans_text(usable)}")
        return lines + [f"  unknown   {line}" for line in self.unknown]


def diagnose(
    log: Log, figures: RecordingFigures, read_frame: ReadFrame, road: str | None = None
) -> Diagnosis:
    """Return the diagnosis of a recording.

    log: its repeated rows are among its deleted ones, see check.without_repeated()
    figures: what was measured in the frames of the log's rows
    read_frame: see Evidence
    road: name of the road that bcclone's simulator drove, None for other recordings
    """
    # only a film whose steering was estimated from its frames has the table of their motion
    is_estimated = MOTION.is_in(log.path.parent)
    rows = DriveRows.of(log.rows, log.deleted)
    evidence = Evidence(rows, figures, read_frame, is_estimated)
    name = recording_name(log.path)
    of_log = steering_faults.unusable_rows(log)
    if rows.why_too_few:
        few = chain(of_log, *(judge(evidence) for judge in _JUDGES_OF_FEW_ROWS))
        return Diagnosis(_completed(few, rows, name), (rows.why_too_few,))

    # Bends and brightness describe all rows. The figures leave out rows that are to be deleted,
    # unless too few remain.
    judged, rest = _judged(evidence)
    findings = _completed([*of_log, *judged], rows, name)
    measured = _figures(evidence if rest.rows.why_too_few else rest)
    return Diagnosis(
        findings=findings,
        unknown=tuple(_unknown(rest)),
        figures=measured | {"seconds": float(rows.seconds[-1])},
        parts=parts_of(rows, findings),
        bends=seconds_of_bends(evidence.signals, evidence.has_three_cameras),
        brightness=np.array([frame.mean for frame in figures.frames]),
        road=road,
        reservation=_reservation(evidence),
        has_one_light=evidence.has_three_cameras and not road and framing_of(log.path) is None,
    )


def _judged(evidence: Evidence) -> tuple[list[Finding], Evidence]:
    """Return the findings of all judges, and the evidence without the rows that are to be deleted.

    When a judge finds rows to delete, they are left out of the evidence; rows whose steering is to
    be mirrored are mirrored in it. Then the same judge judges again, until it finds no more such
    rows; the next judge judges only the rows that are left.
    """
    most_rounds = 5  # most times that a judge judges
    findings: list[Finding] = []
    for judge in _JUDGES:
        by_fault: dict[str, Finding] = {}
        for _ in range(most_rounds):
            new: dict[str, Finding] = {}
            # so many rows may have been deleted that few are left
            if not evidence.rows.why_too_few:
                new = {finding.fault: finding for finding in judge(evidence)}
            by_fault = _merged(by_fault, new)
            mirrored = [span for finding in new.values() for span in finding.numbers(MIRROR)]
            deleting = [finding for finding in new.values() if finding.only_deletes]
            deleted = [span for finding in deleting for span in finding.rows]
            if mirrored:
                evidence = evidence.with_mirrored(mirrored)
            if deleted:
                evidence = evidence.without(deleted)
            if not mirrored and not deleted:
                break
        findings += by_fault.values()
    return _mirrored_once(findings, evidence)


def _mirrored_once(findings: list[Finding], evidence: Evidence) -> tuple[list[Finding], Evidence]:
    """Return the findings; where some rows are to be mirrored and then all, one mirrors the others.

    What most of a drive is like counts as usual. If that is mirrored, the rows that are right were
    found first. Also returns the evidence in which the right rows are as recorded, and the others
    are mirrored.
    """
    right = next((finding for finding in findings if finding.numbers(MIRROR)), None)
    all_rows = next((finding for finding in findings if finding.edits == (Edit(MIRROR),)), None)
    if right is None or all_rows is None:
        return findings, evidence
    numbers = np.arange(1, len(evidence.rows.all_times_ms) + 1)
    others = np.setdiff1d(numbers, numbers_in(right.rows))
    once = replace(
        right,
        rows=tuple(runs(np.intersect1d(others, evidence.rows.numbers))),  # that are not deleted
        edits=(mirror_numbers(tuple(runs(others))),),
        good_rows=0.0,
    )
    kept = [once if each is right else each for each in findings if each is not all_rows]
    return kept, evidence.with_mirrored([(1, len(numbers))])


def _merged(earlier: Mapping[str, Finding], new: Mapping[str, Finding]) -> dict[str, Finding]:
    """Return all findings of a judge after another round, by fault.

    An earlier finding that deletes or mirrors rows is kept, and gets the rows of a new finding of
    the same fault. Other earlier findings are replaced by the new ones, since they were measured on
    rows that are now deleted.
    """
    merged = dict(new)
    for fault, finding in earlier.items():
        if finding.only_deletes or finding.numbers(MIRROR):
            merged[fault] = finding.and_also(new[fault]) if fault in new else finding
    return merged


def _completed(findings: Iterable[Finding], rows: DriveRows, recording: str) -> tuple[Finding, ...]:
    """Return the findings with the name of the recording in their remedies, and their costs."""
    seconds = rows.step_seconds
    completed = []
    for finding in findings:
        edited = finding.numbers(DELETE) or finding.numbers(MIRROR)
        concerned = np.isin(rows.numbers, numbers_in(edited))
        completed.append(
            replace(
                finding,
                recording=recording,
                cost_rows=int(concerned.sum()),
                cost_seconds=float(seconds[concerned].sum()),
                of_seconds=float(seconds.sum()),
            )
        )
    return tuple(completed)


def _figures(evidence: Evidence) -> dict[str, float | None]:
    """Return what was measured by name, None if it could not be."""
    agreement = evidence.agreement
    heading = evidence.heading
    return {
        "turn_correlation": agreement.correlation if agreement else None,
        "steering_after_turn_seconds": agreement.lag if agreement else None,
        "steering_after_turn_error": agreement.error if agreement else None,
        "heading_column": heading.column if heading else None,
        "heading_row": heading.row if heading else None,
        "heading_agreeing": heading.agreeing if heading else None,
    }


def _reservation(evidence: Evidence) -> str:
    """Return what is not known of a film's steering, which is estimated; "" for a recorded one."""
    if not evidence.is_estimated:
        return ""
    words = "the steering is estimated: look at the orange path"
    if full := noticeable_full_share(evidence.rows.steering):
        words += f"; {full:.0%} of the rows have full steering"
    return words


def noticeable_full_share(steering: FloatArray) -> float:
    """Return the share of rows with full steering, 0.0 where it is as in good driving."""
    full = float(np.mean(np.abs(steering) >= 1))
    return full if full > GREATEST_FULL_SHARE else 0.0


def _unknown(evidence: Evidence) -> Iterator[str]:
    """Yield a line for each question that the evidence does not answer."""
    if evidence.rows.why_too_few:
        yield f"what the drive is like without the faulty rows: {evidence.rows.why_too_few}"
        return
    yield from _unknown_agreement(evidence)
    if evidence.heading is None or not is_trusted(evidence.heading):
        yield (
            "where the camera looks: too little on the ground can be followed while the car drives "
            "straight on"
        )
    if evidence.turns.roll_degrees() is None:
        yield "whether the camera leans: it hardly turns"
    growing_share = evidence.growing_share
    if growing_share is None or BACKWARDS < growing_share < 1 - BACKWARDS:
        yield "whether the car drives forwards: it is hard to tell whether the pictures grow"
    # that the pictures never show the throttle is said in the page; this can be acted upon
    if same_throttle := constant(evidence.rows.throttle):
        _, words = same_throttle
        yield f"whether the throttle is right: it is {words}; train without --predict throttle"


def _unknown_agreement(evidence: Evidence) -> Iterator[str]:
    """Yield a line if it is not known whether steering and frames agree, or at which delay."""
    agreement = evidence.agreement
    if evidence.is_estimated:
        yield (
            "whether the steering is right: it is estimated from these frames, its scale by the "
            "angle of view and the speed of the ground; the orange path that bcclone edit draws "
            "must follow the road"
        )
    elif agreement is None:
        yield (
            "whether steering and frames agree: the steering or the camera hardly turns, or the "
            "pictures do not match"
        )
    elif agreement.is_clear:
        if agreement.error > steering_faults.MAX_LAG_ERROR:
            yield (
                f"when the steering was recorded: its delay is uncertain by {agreement.error:.1f} s"
            )
    elif not (agreement.is_mirrored or agreement.is_unrelated):
        yield (
            "whether steering and frames agree: their correlation of "
            f"{agreement.correlation:.2f} could be chance"
        )


# ---- which parts can be used


def parts_of(rows: DriveRows, findings: Sequence[Finding]) -> tuple[Part, ...]:
    """Return the parts of a recording, in order of time; together they are all of its rows."""
    concerned = np.ones((len(findings), len(rows)), np.bool_)  # a finding without rows is of all
    mended = np.zeros(len(rows), np.bool_)  # which rows can be used after the edits only
    lost = np.zeros(len(rows), np.bool_)  # which rows cannot be used
    for finding, row_mask in zip(findings, concerned, strict=True):
        if finding.rows:
            # a view: this changes `concerned`
            row_mask[:] = np.isin(rows.numbers, numbers_in(finding.rows))
        if finding.usable:
            continue
        if finding.edits and not finding.only_deletes:
            deleted = np.isin(rows.numbers, numbers_in(finding.numbers(DELETE)))
            mended |= row_mask & ~deleted
            lost |= deleted
        else:
            lost |= row_mask

    # a part ends where the set of faults changes, or what becomes of its rows, or at deleted rows
    labels = np.vstack([concerned, mended, lost])
    is_change = (labels[:, 1:] != labels[:, :-1]).any(axis=0) | (np.diff(rows.numbers) > 1)
    parts = []
    for part in np.split(np.arange(len(rows)), np.flatnonzero(is_change) + 1):
        first = int(part[0])
        use = Use.NOW
        if lost[first]:
            use = Use.NOT
        elif mended[first]:
            use = Use.AFTER_EDITS
        faults = tuple(
            finding.fault for finding, has in zip(findings, concerned[:, first], strict=True) if has
        )
        seconds = float(rows.step_seconds[part].sum())
        numbers = rows.numbers[part[[0, -1]]].tolist()
        parts.append(Part(numbers[0], numbers[1], seconds, faults, use))
    return tuple(_without_scraps(parts))


def _without_scraps(parts: Sequence[Part]) -> Iterator[Part]:
    """Yield the parts; those that are too short between faults to be judged say so."""
    shortest_seconds = 1.0
    for place, part in enumerate(parts):
        is_between = 0 < place < len(parts) - 1
        if is_between and part.use is Use.NOW and part.seconds < shortest_seconds:
            neighbours = {parts[place - 1].use, parts[place + 1].use}
            if neighbours == {Use.NOT}:
                yield replace(part, use=Use.TOO_SHORT)
                continue
        yield part
