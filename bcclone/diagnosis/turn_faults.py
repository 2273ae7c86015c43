"""Judge the recorded steering by how the camera turned: the steering's sign, time and middle.

In: the recorded steering, the turns of the camera, and how well both agree. Out: a `Finding` for
each fault, with an edit where one mends it: to mirror or shift the steering, or to delete rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bcclone.diagnosis.agreement import (
    CLEAR,
    Agreement,
    Compared,
    measure_agreement,
)
from bcclone.diagnosis.evidence import Evidence
from bcclone.diagnosis.findings import Finding
from bcclone.diagnosis.motion import Turns
from bcclone.diagnosis.recorded_rows import RecordedRows
from bcclone.diagnosis.steering_hypotheses import Kind
from bcclone.diagnosis.stretches import Stretch, rows_of, segmented
from bcclone.recording.edit_settings import MAX_ADVANCE
from bcclone.recording.edits import (
    ADVANCE,
    MIRROR,
    Edit,
    Edits,
    StoredEdit,
    corrected_steering,
    delete_numbers,
    mirror_numbers,
)
from bcclone.system.numbers import IndexArray, block_jackknife, robust_line

MAX_LAG_ERROR = 0.2  # seconds; with a greater error, the delay is not judged


# how the steering of a stretch follows the turns -> name of the fault, and what is wrong
_FAULTS_OF_STRETCHES = {
    Kind.MIRRORED: (
        "partly-mirrored",
        "in parts the car turns to the other side than it is steered, unlike in the rest",
    ),
    Kind.LATE: (
        "partly-late",
        "in parts the steering is recorded later after the turns of the camera than in the rest",
    ),
    Kind.EARLY: (
        "partly-early",
        "in parts the steering is recorded earlier before the turns of the camera than in the rest",
    ),
    Kind.UNRELATED: (
        "partly-unrelated",
        "in parts the steering does not follow the turns of the camera, as it does in the rest",
    ),
}


def steering_of_stretches(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault for each way in which the steering of some stretches is unlike the rest's."""
    segmentation = evidence.segmentation
    if segmentation is None or not segmentation.stretches:
        return
    if evidence.is_upside_down or evidence.drives_backwards:
        return
    for kind, (fault, text) in _FAULTS_OF_STRETCHES.items():
        stretches = [
            stretch for stretch in segmentation.stretches if _kind_of(stretch, evidence) is kind
        ]
        if not stretches:
            continue
        spans = evidence.rows.spans(rows_of(stretches))
        edit = mirror_numbers(spans) if kind is Kind.MIRRORED else delete_numbers(spans)
        yield Finding(
            fault,
            text,
            rows=spans,
            edits=(edit,),
            good_rows=sum(stretch.good_rows for stretch in stretches),
        )


def _kind_of(stretch: Stretch, evidence: Evidence) -> Kind:
    """Return the kind of a stretch; one that is mirrored on both sides follows no turns."""
    rows = slice(stretch.first, stretch.last + 1)
    if stretch.kind is Kind.MIRRORED and evidence.are_mirrored[rows].any():
        return Kind.UNRELATED
    return stretch.kind


def steering_and_turns(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if the steering does not agree with the camera's turns over all."""
    agreement = evidence.agreement
    if agreement is None or evidence.is_upside_down or evidence.drives_backwards:
        return
    r = agreement.correlation
    if agreement.is_mirrored:
        yield Finding(
            "mirrored",
            f"the car turns to the other side than it is steered: correlation {r:.2f}, expected "
            f"above {CLEAR}",
            value=r,
            edits=(Edit(MIRROR),),
        )
    elif agreement.is_unrelated:
        yield Finding(
            "unrelated",
            f"the steering does not follow the turns of the camera: correlation {r:.2f}, expected "
            f"above {CLEAR}",
            value=r,
            advice="look whether the log belongs to these frames, and whether rows and frames are "
            "counted alike",
        )


@dataclass(frozen=True)
class _UsualLag:
    """When the steering is recorded, in seconds after the car turns; negative for before.

    Untouched recordings lie between the limits, with a margin: benchmarks/lab-log/2026-11.md.
    """

    usual: float = -0.1  # below 0, since the car turns after it is steered
    earliest: float = -0.35  # lower limit
    latest: float = 0.05  # upper limit


_LAG = _UsualLag()


def late_steering(
    table: pd.DataFrame, rows: RecordedRows, turns: Turns, agreement: Agreement | None
) -> Iterator[Finding]:
    """Yield a fault if the steering surely belongs to another time than in untouched recordings.

    table: the rows of the log, from which `rows` was made
    """
    if agreement is None or not agreement.is_clear or agreement.error >= MAX_LAG_ERROR:
        return
    lag = agreement.lag
    error = agreement.error
    if _LAG.earliest - error <= lag <= _LAG.latest + error:
        return
    late_seconds = lag - _LAG.usual
    advice, edits = _shifted_back(late_seconds, table, rows, turns)
    fault = "late" if lag > _LAG.latest else "early"
    side = "after" if lag > 0 else "before"
    yield Finding(
        fault,
        f"the steering is recorded {abs(lag):.2f} s {side} the car turns (standard error "
        f"{error:.2f}), expected {-_LAG.usual:.2f} s before, from {-_LAG.earliest:.2f} s before to "
        f"{_LAG.latest:.2f} s after",
        value=late_seconds,
        uncertainty=error,
        unit="seconds late",
        advice=advice,
        edits=edits,
    )


def _shifted_back(
    late_seconds: float, table: pd.DataFrame, rows: RecordedRows, turns: Turns
) -> tuple[str, tuple[Edit, ...]]:
    """Return what mends a late steering: an advice and no edits, or "" and edits that mend it.

    late_seconds: by which the steering is later than usual; negative if it is earlier
    """
    if abs(late_seconds) > MAX_ADVANCE:
        too_far = f"the steering can be shifted by {MAX_ADVANCE:g} s at most"
        return f"{too_far}; look whether log and frames begin together", ()
    shift = Edit(ADVANCE, seconds=round(late_seconds, 2))
    shifted = Edits((StoredEdit(ADVANCE, seconds=shift.seconds),))
    mended = rows.with_steering(corrected_steering(table, shifted))
    agreement = measure_agreement(mended, turns)
    if agreement is None or agreement.is_unrelated:
        no_shift = "no shift mends it"
        return f"{no_shift}; look whether log and frames begin together, and record again", ()
    segmentation = segmented(mended, turns, agreement)
    if segmentation is None or not segmentation.stretches:
        return "", (shift,)
    parts = mended.spans(rows_of(segmentation.stretches))
    return "", (shift, delete_numbers(parts))


def biased(agreement: Agreement | None, compared: Compared) -> Iterator[Finding]:
    """Yield a fault if the car drives straight on with a steering that is clearly not 0."""
    max_bias = 0.15  # of full steering
    fewest_steps = 100
    if agreement is None or not agreement.is_clear or len(compared.steps) < fewest_steps:
        return

    def bias_of(part: IndexArray) -> float:
        """Return the steering at which the car drives straight on."""
        _, intercept, _ = robust_line(compared.curvature[part], compared.steering[part])
        return intercept

    bias = bias_of(np.arange(len(compared.steps)))
    error = block_jackknife(len(compared.steps), bias_of)
    if abs(bias) > max_bias + error:
        side = "right" if bias > 0 else "left"
        yield Finding(
            "bias",
            f"the car drives straight on with a steering of {bias:+.2f} (standard error "
            f"{error:.2f}), expected 0",
            value=bias,
            uncertainty=error,
            unit="steering",
            usable=True,
            advice=f"calibrate the middle of the steering, which lies too far to the {side}, and "
            "record again; bcclone calibrate fits gain and bias into a model",
        )
