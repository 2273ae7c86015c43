"""Judge the recorded steering: by its values, and by how the camera turned."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bcclone.dataset.labels import FEWEST_STEERED, LOST_STEERING
from bcclone.diagnosis.agreement import (
    CLEAR,
    Agreement,
    Compared,
    compare,
    disagreeing_rows,
    measure_agreement,
)
from bcclone.diagnosis.bends import FINE_SECONDS
from bcclone.diagnosis.evidence import Evidence
from bcclone.diagnosis.findings import Finding
from bcclone.diagnosis.motion import Turns
from bcclone.diagnosis.recorded_rows import RecordedRows
from bcclone.recording.edit_settings import MAX_ADVANCE
from bcclone.recording.edits import ADVANCE, MIRROR, Edit, Edits, StoredEdit, delete_numbers
from bcclone.recording.log import corrected_steering
from bcclone.system.arrays import FloatArray
from bcclone.system.statistics import block_jackknife, constant, robust_line

MAX_LAG_ERROR = 0.2  # seconds; with a greater error, the delay is not judged
_FULL = 0.98  # of the largest steering or throttle that a log can hold
_LEAST_STEERING = 0.02  # less is straight on


# ---- by its values


def constant_steering(rows: RecordedRows) -> Iterator[Finding]:
    """Yield a fault if there is nothing to learn from the steering."""
    found = constant(rows.steering)
    if found is None or len(rows) < FEWEST_STEERED:
        return
    value, words = found
    yield Finding(
        "constant-steering",
        f"the steering is {words}",
        value=value,
        unit="steering",
        advice=LOST_STEERING,
    )


def constant_throttle(rows: RecordedRows, has_simulator_lens: bool) -> Iterator[Finding]:
    """Yield a fault if the simulator's car changes its speed at the same throttle, below full.

    Tables of other programs may lack the throttle.
    """
    change_mph = 1.0
    found = constant(rows.throttle)
    if found is None or not has_simulator_lens:
        return
    value, words = found
    if abs(value) < _FULL and np.ptp(rows.speed_mph) > change_mph:
        yield Finding(
            "constant-throttle",
            f"the throttle is {words}, although the car changes its speed",
            value=value,
            unit="throttle",
            usable=True,
            advice="train the steering alone, as model.py does, or with the speed: --predict "
            "speed; for --predict throttle, record again",
        )


def few_steps(rows: RecordedRows) -> Iterator[Finding]:
    """Yield a fault if the steering has few different values, although the car is not driven gently."""
    fewest_levels = 5
    fewest_steered = 20  # rows
    levels = np.unique(np.round(rows.steering, 4))
    if len(levels) > fewest_levels or _is_gentle(levels):
        return
    if (np.abs(rows.steering) > _LEAST_STEERING).sum() <= fewest_steered:
        return
    yield Finding(
        "few-steps",
        f"the steering has {len(levels)} different values, expected hundreds, or dozens from a "
        "keyboard",
        value=float(len(levels)),
        usable=True,
        advice="record with a mouse or a gamepad, or train with it as it is and expect unsteady "
        "driving",
    )


def _is_gentle(levels: FloatArray) -> bool:
    """Return whether the values of the steering are a few next to each other of a keyboard or stick.

    A gentle drive uses few of them.
    """
    device_step = 0.05  # or several of them, as 0.1
    most_steps = 2.5  # from a value to the next
    if len(levels) <= 3:
        return False
    steps = np.diff(levels) / device_step
    are_whole = (np.abs(steps - steps.round()) < 0.01).all()
    return bool(are_whole and steps.max() < most_steps)


def clipped(rows: RecordedRows, turns: Turns, agreement: Agreement | None) -> Iterator[Finding]:
    """Yield a fault if the steering ends at a limit although the car's bends are sharper.

    Many rows also have the largest value if a driver holds a stick at its end, or if the stick or
    the keys have few steps. Then the bends must be clearly sharper than the largest value means.
    """
    coarse_levels = 20  # of a stick or keys; a mouse has more
    fewest_turning = 20  # rows
    most_at_largest = 0.04  # share of the turning rows
    size = np.round(np.abs(rows.steering), 4)
    turning = size > _LEAST_STEERING
    levels, counts = np.unique(size[turning], return_counts=True)
    if len(levels) < 2 or levels[-1] >= _FULL:
        return
    largest = float(levels[-1])
    at_largest = turning & (size > 0.995 * largest)
    share = at_largest.sum() / turning.sum()
    if turning.sum() <= fewest_turning or share <= most_at_largest:
        return
    sharper = _sharper_than_steered(rows, turns, agreement, largest)
    is_coarse = len(levels) < coarse_levels
    is_frequent = share > 0.1 and at_largest.sum() > 1.5 * counts[-2]
    if _ends_at_limit(sharper, is_coarse, is_frequent):
        text = f"{share:.0%} of the turning rows have the largest steering, {largest:.3f}"
        if sharper:
            text += f", and turn {sharper - 1:.0%} more than it tells"
        yield Finding(
            "clipped",
            text,
            rows=rows.spans(at_largest),
            value=largest,
            advice="look for a limit where the steering is recorded or converted, and record or "
            "import it again",
        )


def _ends_at_limit(sharper: float | None, is_coarse: bool, is_frequent: bool) -> bool:
    """Return whether the largest steering is a limit.

    sharper: than it means the car turns, None if unknown; is_frequent: clearly more rows have it
    than the next smaller value.
    """
    if sharper is None:
        return is_frequent or not is_coarse
    least_sharper = 1.2 if is_coarse else 1.02  # at the end of a stick it is 1
    return sharper > least_sharper


def _sharper_than_steered(
    rows: RecordedRows, turns: Turns, agreement: Agreement | None, largest: float
) -> float | None:
    """Return how much sharper the car turns at the largest steering than it should.

    It should turn as a line through the other rows predicts. None if it cannot be told.
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


# ---- by how the camera turned


def steering_and_turns(evidence: Evidence) -> Iterator[Finding]:
    """Yield faults found by comparing the steering with the camera's turns.

    To delete rows is a remedy if the steering then agrees.
    """
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
    else:
        yield from _partly_unrelated(evidence, r)


def _partly_unrelated(evidence: Evidence, r: float) -> Iterator[Finding]:
    """Yield a fault for parts without which steering and turns clearly agree."""
    parts = evidence.rows.spans(evidence.disagreeing)
    if not parts:
        return
    rest = evidence.without(parts).agreement
    if rest is not None and rest.is_clear:
        yield Finding(
            "partly-unrelated",
            "in parts the steering does not follow the turns of the camera; over all, the "
            f"correlation is {r:.2f}",
            rows=parts,
            edits=(delete_numbers(parts),),
        )


@dataclass(frozen=True)
class _UsualLag:
    """When the steering is recorded, in seconds after the car turns; negative for before.

    Untouched recordings lie between the limits, with a margin: benchmarks/lab-log/2026-11.md.
    """

    usual: float = -0.1  # the car turns after it is steered
    earliest: float = -0.35
    latest: float = 0.05


_LAG = _UsualLag()


def late_steering(
    table: pd.DataFrame, rows: RecordedRows, turns: Turns, agreement: Agreement | None
) -> Iterator[Finding]:
    """Yield a fault if the steering surely belongs to another time than in untouched recordings.

    table: the rows of the log.
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
    """Return what mends a late steering: an advice, or edits after which the steering agrees."""
    if abs(late_seconds) > MAX_ADVANCE:
        return (
            f"the steering can be shifted by {MAX_ADVANCE:g} s at most; look whether log and "
            "frames begin together"
        ), ()
    shift = Edit(ADVANCE, seconds=round(late_seconds, 2))
    shifted = Edits((StoredEdit(ADVANCE, seconds=shift.seconds),))
    mended = rows.with_steering(corrected_steering(table, shifted))
    agreement = measure_agreement(mended, turns)
    if agreement is None or agreement.is_unrelated:
        return "no shift mends it; look whether log and frames begin together, and record again", ()
    parts = mended.spans(disagreeing_rows(mended, compare(mended, turns, agreement.lag)))
    if not parts:
        return "", (shift,)
    return "", (shift, delete_numbers(parts))


def biased(agreement: Agreement | None, compared: Compared) -> Iterator[Finding]:
    """Yield a fault if the car drives straight on with a steering that is clearly not 0."""
    max_bias = 0.15  # of full steering
    fewest_steps = 100
    if agreement is None or not agreement.is_clear or len(compared.steps) < fewest_steps:
        return
    bias = robust_line(compared.curvature, compared.steering)[1]
    error = block_jackknife(
        len(compared.steps),
        lambda part: robust_line(compared.curvature[part], compared.steering[part])[1],
    )
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
