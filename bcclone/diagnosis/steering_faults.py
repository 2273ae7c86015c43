"""Judge the recorded steering by how the camera turned: its sign, time, middle and limits.

Each judge takes the evidence of a recording, and yields a `Finding` for each fault, with an edit
where one mends it: to mirror or shift the steering, or to delete rows.
"""

from collections.abc import Iterator

import numpy as np

from bcclone.diagnosis.agreement import CLEAR, Agreement, compare, measure_agreement
from bcclone.diagnosis.evidence import Evidence, Finding, Judge
from bcclone.diagnosis.motion import Turns
from bcclone.diagnosis.row_faults import FULL, LEAST_STEERING
from bcclone.diagnosis.rows import FINE_SECONDS, Rows
from bcclone.diagnosis.steering_model import Kind
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


# When the steering is recorded, in seconds after the car turns; negative for before, since the car
# turns after it is steered. Untouched recordings lie between the limits, with a margin:
# benchmarks/lab-log/2026-11.md.
_USUAL_LAG = -0.1
_EARLIEST = -0.35
_LATEST = 0.05


def late_steering(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if the steering surely belongs to another time than in untouched recordings."""
    agreement = evidence.agreement
    # if the car drives backwards, turns mean the opposite
    if agreement is None or not agreement.is_clear or evidence.drives_backwards:
        return
    lag = agreement.lag
    error = agreement.error
    if error >= MAX_LAG_ERROR or _EARLIEST - error <= lag <= _LATEST + error:
        return
    late_seconds = lag - _USUAL_LAG
    advice, edits = _shifted_back(late_seconds, evidence.rows, evidence.turns)
    fault = "late" if lag > _LATEST else "early"
    side = "after" if lag > 0 else "before"
    yield Finding(
        fault,
        f"the steering is recorded {abs(lag):.2f} s {side} the car turns (standard error "
        f"{error:.2f}), expected {-_USUAL_LAG:.2f} s before, from {-_EARLIEST:.2f} s before to "
        f"{_LATEST:.2f} s after",
        value=late_seconds,
        uncertainty=error,
        unit="seconds late",
        advice=advice,
        edits=edits,
    )


def _shifted_back(late_seconds: float, rows: Rows, turns: Turns) -> tuple[str, tuple[Edit, ...]]:
    """Return what mends a late steering: an advice and no edits, or "" and edits that mend it.

    late_seconds: by which the steering is later than usual; negative if it is earlier
    """
    if abs(late_seconds) > MAX_ADVANCE:
        too_far = f"the steering can be shifted by {MAX_ADVANCE:g} s at most"
        return f"{too_far}; look whether log and frames begin together", ()
    shift = Edit(ADVANCE, seconds=round(late_seconds, 2))
    shifted = Edits((StoredEdit(ADVANCE, seconds=shift.seconds),))
    mended = rows.with_steering(corrected_steering(rows.table, shifted))
    agreement = measure_agreement(mended, turns)
    if agreement is None or agreement.is_unrelated:
        no_shift = "no shift mends it"
        return f"{no_shift}; look whether log and frames begin together, and record again", ()
    segmentation = segmented(mended, turns, agreement)
    if segmentation is None or not segmentation.stretches:
        return "", (shift,)
    parts = mended.spans(rows_of(segmentation.stretches))
    return "", (shift, delete_numbers(parts))


def biased(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if the car drives straight on with a steering that is clearly not 0."""
    max_bias = 0.15  # of full steering
    fewest_steps = 100
    agreement = evidence.agreement
    if agreement is None or not agreement.is_clear or evidence.drives_backwards:
        return
    compared = compare(evidence.rows, evidence.turns, agreement.lag)
    if len(compared.steps) < fewest_steps:
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


def clipped(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if the steering ends at a limit although the car's bends are sharper.

    Many rows also have the largest value if a driver holds a stick at its end, or if the stick or
    the keys have few steps. With few steps, the bends must be clearly sharper than the largest
    value means.
    """
    coarse_levels = 20  # a stick or keys have fewer values, a mouse has more
    fewest_turning = 21  # rows in which the car turns
    most_at_largest = 0.04  # share of the turning rows

    # how many of the turning rows have the largest value
    rows = evidence.rows
    size = np.round(np.abs(rows.steering), 4)
    turning = size > LEAST_STEERING
    levels, counts = np.unique(size[turning], return_counts=True)
    if len(levels) < 2 or levels[-1] >= FULL:
        return
    largest = float(levels[-1])
    at_largest = turning & (size > 0.995 * largest)
    share = at_largest.sum() / turning.sum()
    if turning.sum() < fewest_turning or share <= most_at_largest:
        return

    # it is a limit if the bends are sharper than the largest steering means
    ratio = _measured_to_expected(rows, evidence.turns, evidence.agreement, largest)
    is_coarse = len(levels) < coarse_levels
    is_frequent = share > 0.1 and at_largest.sum() > 1.5 * counts[-2]
    if _ends_at_limit(ratio, is_coarse, is_frequent):
        text = f"{share:.0%} of the turning rows have the largest steering, {largest:.3f}"
        if ratio is not None:
            text += f", and turn {ratio - 1:.0%} more than it tells"
        yield Finding(
            "clipped",
            text,
            rows=rows.spans(at_largest),
            value=largest,
            advice="look for a limit where the steering is recorded or converted, and record or "
            "import it again",
        )


def _ends_at_limit(ratio: float | None, is_coarse: bool, is_frequent: bool) -> bool:
    """Return whether the largest steering is a limit.

    ratio: as _measured_to_expected() returns it
    is_coarse: whether the steering has few different values
    is_frequent: whether clearly more rows have the largest value than the next smaller one
    """
    if ratio is None:
        # a mouse, whose steering has many values, hardly repeats its largest one without a limit
        return is_frequent or not is_coarse
    least_ratio = 1.2 if is_coarse else 1.02  # a stick that is just held at its end has about 1
    return ratio > least_ratio


def _measured_to_expected(
    rows: Rows, turns: Turns, agreement: Agreement | None, largest: float
) -> float | None:
    """Return the ratio of measured to expected curvature at the largest steering.

    The curvature is expected to lie on a line through the rows with smaller steering. Returns None
    if it cannot be told.
    """
    fewest_steps = 10
    if agreement is None or not agreement.is_clear:
        return None
    compared = compare(rows, turns, agreement.lag, FINE_SECONDS)
    bend = compared.curvature
    steering = compared.steering
    size = np.abs(steering)
    top = size > 0.97 * largest
    below = size < 0.9 * largest
    turning = below & (size > 0.3 * largest)
    if min(top.sum(), turning.sum()) < fewest_steps:
        return None
    slope, offset = np.polyfit(steering[below], bend[below], 1)
    side = np.sign(steering[top])
    expected = np.mean(side * (slope * steering[top] + offset))
    return float(np.mean(side * bend[top]) / expected)


JUDGES: tuple[Judge, ...] = (
    steering_of_stretches,
    clipped,
    steering_and_turns,
    late_steering,
    biased,
)
