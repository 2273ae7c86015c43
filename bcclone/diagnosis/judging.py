"""The evidence of a recording -> its diagnosis: judges find its faults, one after the other.

A judge is a function that looks for one fault, or for a few related ones.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain

import numpy as np

from bcclone.diagnosis.advice import Coverage
from bcclone.diagnosis.camera_faults import camera_pose, direction, exchanged_cameras
from bcclone.diagnosis.control_faults import (
    clipped,
    constant_steering,
    constant_throttle,
    few_steps,
)
from bcclone.diagnosis.evidence import Evidence
from bcclone.diagnosis.findings import Cost, Finding, recording_name
from bcclone.diagnosis.frame_figures import ReadFrame, RecordingFigures
from bcclone.diagnosis.heading import BACKWARDS, is_trusted
from bcclone.diagnosis.picture_faults import (
    connected_pieces,
    foreign_pictures,
    frozen_pictures,
    standing,
    unusable_pictures,
)
from bcclone.diagnosis.recorded_rows import RecordedRows
from bcclone.diagnosis.recoveries import MeasuredCorrection
from bcclone.diagnosis.row_faults import clock_jumps, rows_of_the_log, unusable_rows
from bcclone.diagnosis.turn_faults import (
    MAX_LAG_ERROR,
    biased,
    late_steering,
    steering_and_turns,
    steering_of_stretches,
)
from bcclone.diagnosis.usable_seconds import Use, parts_of, seconds_of
from bcclone.diagnosis.verdict import Diagnosis
from bcclone.recording.log import Log
from bcclone.recording.run_tables import MOTION
from bcclone.system.errors import shown_command
from bcclone.system.numbers import constant, numbers_in

Judge = Callable[[Evidence], Iterator[Finding]]

# All judges, in the order in which they judge and faults are reported; each gets what it needs of
# the evidence e. A value of the evidence is measured when a judge first asks for it.
_JUDGES: tuple[Judge, ...] = (
    lambda e: unusable_rows(e.log),
    lambda e: frozen_pictures(e.rows, e.figures),
    lambda e: standing(e.rows, e.figures),
    lambda e: foreign_pictures(
        e.rows, connected_pieces(e.rows, e.figures, e.turns, e.pairs), e.segmentation
    ),
    lambda e: unusable_pictures(e.rows, e.figures),
    lambda e: rows_of_the_log(e.log, e.rows),
    lambda e: clock_jumps(e.rows, e.pairs),
    lambda e: exchanged_cameras(e.rows.numbers, e.figures.sides),
    lambda e: direction(e.heading, e.is_upside_down, e.has_simulator_lens),
    camera_pose,
    lambda e: constant_steering(e.rows),
    lambda e: constant_throttle(e.rows, e.has_simulator_lens),
    lambda e: few_steps(e.rows),
    steering_of_stretches,
    lambda e: clipped(e.rows, e.turns, e.agreement),
    steering_and_turns,
    lambda e: late_steering(e.log.rows, e.rows, e.turns, e.forwards_agreement),
    lambda e: biased(e.forwards_agreement, e.compared),
)
# the judges for recordings with too few rows: these judges do not need a longer drive
_JUDGES_OF_FEW_ROWS: tuple[Judge, ...] = (
    lambda e: unusable_rows(e.log),
    lambda e: rows_of_the_log(e.log, e.rows),
    lambda e: unusable_pictures(e.rows, e.figures),
    lambda e: constant_steering(e.rows),
)
# the judges that need no picture, and those that need no other picture than the rows' own; their
# findings are shown while the rest of a long recording is still read
_JUDGES_OF_THE_LOG: tuple[Judge, ...] = (
    lambda e: unusable_rows(e.log),
    lambda e: rows_of_the_log(e.log, e.rows),
    lambda e: constant_steering(e.rows),
)
_JUDGES_OF_SINGLE_PICTURES: tuple[Judge, ...] = (
    lambda e: frozen_pictures(e.rows, e.figures),
    lambda e: unusable_pictures(e.rows, e.figures),
)
_FIGURES = (
    "turn_correlation",
    "steering_after_turn_seconds",
    "steering_after_turn_error",
    "heading_column",
    "heading_row",
    "heading_agreeing",
    "seconds",
)


def diagnose(
    log: Log,
    figures: RecordingFigures,
    read_frame: ReadFrame,
    correction: MeasuredCorrection | None = None,
    road: str | None = None,
) -> Diagnosis:
    """Return the diagnosis of a recording.

    figures: what was measured in the frames of the log's rows
    read_frame: see Evidence
    correction: correction of the side cameras, None if it was not measured
    road: name of the road that bcclone's simulator drove, None for other recordings
    """
    # only a film whose steering was estimated from its frames has the table of their motion
    is_estimated = MOTION.is_in(log.path.parent)
    evidence = Evidence(log, figures, read_frame, is_estimated)
    why_too_few = evidence.rows.why_too_few
    if why_too_few:
        few = chain.from_iterable(judge(evidence) for judge in _JUDGES_OF_FEW_ROWS)
        return Diagnosis(findings=_completed(few, evidence), unknown=(why_too_few,))

    # The coverage describes the drive as it was recorded: its bends and its brightness are of all
    # rows, only its usable seconds leave out the faulty ones. What is measured is measured on the
    # rest, the rows that are not to be deleted, if they are enough.
    judged, rest = _judged(evidence)
    findings = _completed(judged, evidence)
    parts = parts_of(evidence.rows, findings)
    coverage = Coverage(
        bends=evidence.seconds_of_bends(),
        brightness=np.array([frame.mean for frame in figures.frames]),
        usable_seconds=seconds_of(parts, Use.NOW),
        correction=correction,
        road=road,
    )
    measured = evidence if rest.rows.why_too_few else rest
    return Diagnosis(
        findings=findings,
        unknown=tuple(_unknown(rest, correction)),
        figures=_figures(measured, seconds=float(evidence.rows.seconds[-1])),
        evidence=evidence,
        coverage=coverage,
        parts=parts,
    )


def first_findings(log: Log, figures: RecordingFigures) -> tuple[Finding, ...]:
    """Return the findings that can be told before all frames have been read.

    log: its rows are as for diagnose()
    figures: what was measured in the frames of the first rows, as many as were read
    """
    evidence = Evidence(log, figures, lambda row: None)
    findings = [finding for judge in _JUDGES_OF_THE_LOG for finding in judge(evidence)]
    if evidence.rows.has_speed:
        findings += standing(evidence.rows, figures)
    read = len(figures.frames)
    if read:
        begin = evidence.of_rows(np.arange(read))
        findings += chain.from_iterable(judge(begin) for judge in _JUDGES_OF_SINGLE_PICTURES)
    return _completed(findings, evidence)


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
            mirrored = [span for finding in new.values() for span in finding.mirrored]
            deleted = [span for finding in new.values() if finding.deletes for span in finding.rows]
            if mirrored:
                evidence = evidence.mirrored(mirrored)
            if deleted:
                evidence = evidence.without(deleted)
            if not mirrored and not deleted:
                break
        findings += by_fault.values()
    return findings, evidence


def _merged(earlier: Mapping[str, Finding], new: Mapping[str, Finding]) -> dict[str, Finding]:
    """Return all findings of a judge after another round, by fault.

    An earlier finding that deletes or mirrors rows stays, and does so with the rows of a new
    finding of the same fault, too. Other earlier findings are replaced by the new ones, since they
    were measured on rows that are now deleted.

    earlier: the findings of the rounds before
    new: the findings of the last round
    """
    merged = dict(new)
    for fault, finding in earlier.items():
        if not finding.deletes and not finding.mirrored:
            continue
        if fault in new:
            merged[fault] = finding.and_also(new[fault])
        else:
            merged[fault] = finding
    return merged


def _completed(findings: Iterable[Finding], evidence: Evidence) -> tuple[Finding, ...]:
    """Return the findings with the name of the recording in their remedies, and their costs."""
    name = recording_name(evidence.log.path)
    return tuple(
        replace(finding, recording=name, cost=_cost(finding, evidence.rows)) for finding in findings
    )


def _cost(finding: Finding, rows: RecordedRows) -> Cost | None:
    """Return what the edits of a finding delete or mirror, None if they are for no or all rows."""
    concerned = np.isin(rows.numbers, numbers_in(finding.deleted or finding.mirrored))
    if not concerned.any():
        return None
    seconds = rows.step_seconds
    return Cost(
        rows=int(concerned.sum()),
        seconds=float(seconds[concerned].sum()),
        of_seconds=float(seconds.sum()),
        good_rows=finding.good_rows,
        deletes=bool(finding.deleted),
    )


def _figures(evidence: Evidence, seconds: float) -> dict[str, float | None]:
    """Return each of _FIGURES by name, None if it could not be measured.

    seconds: length of the recording
    """
    figures = dict[str, float | None].fromkeys(_FIGURES)
    agreement = evidence.agreement
    if agreement is not None:
        figures["turn_correlation"] = agreement.correlation
        figures["steering_after_turn_seconds"] = agreement.lag
        figures["steering_after_turn_error"] = agreement.error
    heading = evidence.heading
    if heading is not None:
        figures["heading_column"] = heading.column
        figures["heading_row"] = heading.row
        figures["heading_agreeing"] = heading.agreeing
    figures["seconds"] = seconds
    return figures


def _unknown(evidence: Evidence, correction: MeasuredCorrection | None) -> Iterator[str]:
    """Yield a line for each question that the evidence does not answer."""
    if evidence.rows.why_too_few:
        yield f"the drive without the faulty rows: {evidence.rows.why_too_few}"
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
        yield ("whether the car drives forwards: it is hard to tell whether the pictures grow")
    same_throttle = constant(evidence.rows.throttle)
    why_throttle = "the pictures do not show it"
    if same_throttle:
        _, words = same_throttle
        why_throttle = f"it is {words}, so that nothing can be learned from it"
    yield f"whether the throttle is right: {why_throttle}"
    if correction is None:
        yield "how many recoveries there are: that takes the frames of three cameras"


def _unknown_agreement(evidence: Evidence) -> Iterator[str]:
    """Yield a line if it is not known whether steering and frames agree, or at which delay."""
    agreement = evidence.agreement
    if evidence.is_estimated:
        page = shown_command("edit", recording_name(evidence.log.path))
        yield (
            "whether the steering is right: it is estimated from these frames; look at the path "
            f"that it means: {page}"
        )
    elif agreement is None:
        yield (
            "whether steering and frames agree: the steering or the camera hardly turns, or the "
            "pictures do not match"
        )
    elif agreement.is_clear:
        if agreement.error > MAX_LAG_ERROR:
            yield (
                f"when the steering was recorded: its delay is uncertain by {agreement.error:.1f} s"
            )
    elif not (agreement.is_mirrored or agreement.is_unrelated):
        yield (
            "whether steering and frames agree: their correlation of "
            f"{agreement.correlation:.2f} could be chance"
        )
