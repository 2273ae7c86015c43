"""Judge the recorded steering, evidence -> findings: by its values, and by how the camera turned."""

from collections.abc import Iterator

import numpy as np

from bcclone.dataset.labels import FEWEST_STEERED, LOST_STEERING
from bcclone.diagnosis.evidence import CLEAR, FINE_SECONDS, MAX_LAG_ERROR, Evidence
from bcclone.diagnosis.findings import Finding, delete_rows
from bcclone.recording import MAX_ADVANCE
from bcclone.recording.edits import ADVANCE, Edit, Edits
from bcclone.recording.log import corrected_steering
from bcclone.system.statistics import block_jackknife, constant, robust_line

_USUAL_LAG = -0.1  # seconds from the turn to the steering: the car turns after it is steered
_EARLIEST, _LATEST = (
    -0.35,
    0.05,
)  # as untouched recordings have it, and a margin: benchmarks/lab-log/2026-11.md
_MAX_BIAS = 0.15
_FEWEST_LEVELS = 5
_DEVICE_STEP, _GENTLE_STEPS = (
    0.05,
    2.5,
)  # a gentle drive uses few of the steps of 0.05 or 0.1 of a keyboard or stick
_FULL = 0.98  # of the largest steering that a log can hold
_CLIPPED_SHARE = 0.04  # of the turning rows at the largest value
_SHARPER, _CLEARLY_SHARPER = (
    1.02,
    1.2,
)  # bends than the largest value means; at the end of a stick the ratio is 1
_COARSE_LEVELS = 20
_LEAST_STEERING, _CHANGES_MPH = 0.02, 1.0


def constant_steering(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if there is nothing to learn from the steering."""
    found = constant(evidence.steering)
    if found and len(evidence.steering) >= FEWEST_STEERED:
        text = f"the steering is {found[1]}"
        yield Finding("constant-steering", text, LOST_STEERING, value=found[0], unit="steering")


def constant_throttle(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if the simulator's car changes its speed at the same throttle, below full;
    tables may lack it.
    """
    found, changes = (
        constant(evidence.throttle),
        evidence.three_cameras and np.ptp(evidence.speed_mph) > _CHANGES_MPH,
    )
    if found and abs(found[0]) < _FULL and changes:
        yield Finding(
            "constant-throttle",
            f"the throttle is {found[1]}, although the car changes its speed",
            "train the steering alone, as model.py does, or with the speed: --predict speed; for --predict throttle, "
            "record again",
            value=found[0],
            unit="throttle",
            usable=True,
        )


def few_steps(evidence: Evidence) -> Iterator[Finding]:
    levels = np.unique(np.round(evidence.steering, 4))
    steps = np.diff(levels) / _DEVICE_STEP
    gentle = len(levels) > 3 and bool(
        (np.abs(steps - steps.round()) < 0.01).all() and steps.max() < _GENTLE_STEPS
    )
    if (
        len(levels) <= _FEWEST_LEVELS
        and not gentle
        and (np.abs(evidence.steering) > _LEAST_STEERING).sum() > 20
    ):
        yield Finding(
            "few-steps",
            f"the steering has {len(levels)} different values, expected hundreds, or dozens from a keyboard",
            "record with a mouse or a gamepad, or train with it as it is and expect unsteady driving",
            value=float(len(levels)),
            usable=True,
        )


def clipped(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if the steering ends at a limit although the car's bends are sharper.

    Many rows also have the largest value if a driver holds a stick at its end, or if the stick or
    the keys have few steps. Then the bends must be clearly sharper than the largest value means.
    """
    size = np.round(np.abs(evidence.steering), 4)
    turning = size > _LEAST_STEERING
    levels, counts = np.unique(size[turning], return_counts=True)
    if len(levels) < 2 or levels[-1] >= _FULL:
        return
    largest, coarse = float(levels[-1]), len(levels) < _COARSE_LEVELS
    at_largest = turning & (size > 0.995 * largest)
    share = at_largest.sum() / turning.sum()
    sharper = _sharper_than_steered(evidence, largest)
    if sharper is None:
        clear = share > 0.1 and at_largest.sum() > 1.5 * counts[-2] if coarse else True
    else:
        clear = sharper > (_CLEARLY_SHARPER if coarse else _SHARPER)
    if clear and turning.sum() > 20 and share > _CLIPPED_SHARE:
        yield Finding(
            "clipped",
            f"{share:.0%} of the turning rows have the largest steering, {largest:.3f}"
            + (f", and turn {sharper - 1:.0%} more than it tells" if sharper else ""),
            "look for a limit where the steering is recorded or converted, and record or import it again",
            evidence.spans(at_largest),
            largest,
        )


def _sharper_than_steered(evidence: Evidence, largest: float) -> float | None:
    """Return how much sharper the car turns at the largest steering than a line through the other
    rows predicts.
    """
    agreement = evidence.agreement
    if agreement is None or not agreement.is_clear:
        return None
    _, curvature, steering = evidence.paired(agreement.lag, FINE_SECONDS)
    top, others = np.abs(steering) > 0.97 * largest, np.abs(steering) < 0.9 * largest
    if min(top.sum(), (others & (np.abs(steering) > 0.3 * largest)).sum()) < 10:
        return None
    slope, offset = np.polyfit(steering[others], curvature[others], 1)
    side = np.sign(steering[top])
    return float(np.mean(side * curvature[top]) / np.mean(side * (slope * steering[top] + offset)))


def steering_and_turns(evidence: Evidence) -> Iterator[Finding]:
    """Yield faults found by comparing the steering with the camera's turns, unless the frames are
    upside down.

    To correct the steering, or to delete rows, is a remedy if the steering then agrees.
    """
    agreement = evidence.agreement
    if agreement is None or evidence.is_upside_down or evidence.drives_backwards:
        return
    r, parts = agreement.correlation, evidence.spans(evidence.disagrees)
    if agreement.is_mirrored:
        text = f"the car turns to the other side than it is steered: correlation {r:.2f}, expected above {CLEAR}"
        yield Finding("mirrored", text, "bcclone edit RECORDING --mirror-steering", value=r)
    elif agreement.is_unrelated:
        yield Finding(
            "unrelated",
            f"the steering does not follow the turns of the camera: correlation {r:.2f}, expected above {CLEAR}",
            "look whether the log belongs to these frames, and whether rows and frames are counted alike",
            value=r,
        )
    elif parts and (rest := evidence.without(parts).agreement) and rest.is_clear:
        yield Finding(
            "partly-unrelated",
            f"in parts the steering does not follow the turns of the camera; over all, the correlation is {r:.2f}",
            delete_rows(parts),
            parts,
        )


def late_steering(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if the steering surely belongs to another time than in untouched recordings."""
    agreement = evidence.agreement
    if agreement is None or not agreement.is_clear or evidence.drives_backwards:
        return
    lag, error = agreement.lag, agreement.error
    if error >= MAX_LAG_ERROR or _EARLIEST - error <= lag <= _LATEST + error:
        return
    late = lag - _USUAL_LAG
    remedy = f"the steering can be shifted by {MAX_ADVANCE:g} s at most; look whether log and frames begin together"
    if abs(late) <= MAX_ADVANCE:
        edits = Edits((Edit(ADVANCE, seconds=round(late, 2)),))
        mended = evidence.with_steering(corrected_steering(evidence.log.rows, edits))
        remedy = f"bcclone edit RECORDING --advance-steering {late:.2f}"
        if mended.agreement is None or mended.agreement.is_unrelated:
            remedy = (
                "no shift mends it; look whether log and frames begin together, and record again"
            )
        elif parts := mended.spans(mended.disagrees):
            remedy += f"; then: {delete_rows(parts)}"
    yield Finding(
        "late" if lag > _LATEST else "early",
        f"the steering is recorded {abs(lag):.2f} s {'after' if lag > 0 else 'before'} the car turns (standard "
        f"error {error:.2f}), expected {-_USUAL_LAG:.2f} s before, from {-_EARLIEST:.2f} s before to {_LATEST:.2f} "
        "s after",
        remedy,
        value=late,
        uncertainty=error,
        unit="seconds late",
    )


def biased(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if the car drives straight on with a steering that is clearly not 0."""
    steps, curvature, steering = evidence.compared
    if (
        not (evidence.agreement and evidence.agreement.is_clear)
        or evidence.drives_backwards
        or len(steps) < 100
    ):
        return
    bias = robust_line(curvature, steering)[1]
    error = block_jackknife(
        len(steps), lambda part: robust_line(curvature[part], steering[part])[1]
    )
    if abs(bias) > _MAX_BIAS + error:
        side = "right" if bias > 0 else "left"
        yield Finding(
            "bias",
            f"the car drives straight on with a steering of {bias:+.2f} (standard error {error:.2f}), expected 0",
            f"calibrate the middle of the steering, which lies too far to the {side}, and record again; "
            "bcclone calibrate fits gain and bias into a model",
            value=bias,
            uncertainty=error,
            unit="steering",
            usable=True,
        )


# in the order in which they are reported
STEERING_FAULTS = (
    constant_steering,
    constant_throttle,
    few_steps,
    clipped,
    steering_and_turns,
    late_steering,
    biased,
)
