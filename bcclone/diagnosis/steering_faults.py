"""Judge the rows of the log, and the recorded steering by how the camera turned.

Each judge takes the evidence of a recording, and yields a `Finding` for each fault, with an edit
where one mends it: to mirror or shift the steering, or to delete rows.
"""

from collections.abc import Iterator

import numpy as np

from bcclone.dataset.labels import FEWEST_STEERED, LOST_STEERING
from bcclone.dataset.sample_settings import MAX_SKIPPED
from bcclone.diagnosis.agreement import CLEAR, FINE_SECONDS, Signals, measure_agreement
from bcclone.diagnosis.drive_rows import DriveRows
from bcclone.diagnosis.evidence import Evidence, Finding, Judge, recording_name
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
from bcclone.recording.log import Log
from bcclone.system.arrays import FloatArray, IndexArray, numbers_in
from bcclone.system.errors import number_of, shown_command
from bcclone.system.statistics import block_jackknife, constant, robust_line

_FULL = 0.98  # from here on, steering or throttle counts as full; a log can hold 1 at most
_LEAST_STEERING = 0.02  # a smaller steering counts as straight on
MAX_LAG_ERROR = 0.2  # seconds; with a greater error, the delay is not judged

# ---- the rows


def unusable_rows(log: Log) -> Iterator[Finding]:
    """Yield a fault if a conversion would refuse the log for its unusable rows.

    log: without repeated rows, see check.without_repeated()
    """
    bad = log.bad_rows
    # a conversion counts the repeated rows, which row_count leaves out as deleted ones
    count = log.row_count + _repeated(DriveRows.of(log.rows, log.deleted))
    if len(bad) > MAX_SKIPPED * count:
        command = shown_command("preprocess", recording_name(log.path), "--allow-skips")
        yield Finding(
            "bad-rows",
            f"{len(bad)} of {count} rows cannot be used, the first for this reason: "
            f"{bad[0].reason}",
            usable=True,  # the other rows can be trained on
            advice=f"correct them in the log, or leave them out: {command}",
        )


def _repeated(rows: DriveRows) -> int:
    """Count the rows that name the picture of another row; they are among the deleted ones."""
    return int(rows.deleted["center"].isin(rows.table["center"]).sum())


def rows_of_the_log(evidence: Evidence) -> Iterator[Finding]:
    """Yield faults of the order of the rows, and of repeated rows."""
    rows = evidence.rows
    repeated = _repeated(rows)
    if repeated:
        yield Finding(
            "repeated-rows",
            f"{repeated} rows name the picture of another row, as in a log that was pasted twice",
            value=float(repeated),
            unit="rows",
            usable=True,
            advice="none is needed: preprocess leaves them out, and so does this check",
        )
    # the rows are in order of time: where their line numbers fall, the log goes back in time
    back = np.flatnonzero(np.diff(rows.table["line"]) < 0)
    if len(back):
        yield Finding(
            "out-of-order",
            f"the rows of the log go back in time {number_of(len(back), 'time')}",
            rows=rows.spans(back),
            value=float(len(back)),
            usable=True,
            advice="none is needed if the clock was right: every command takes the rows in order "
            "of time, and so does this check; if it was set back while you recorded, record again",
        )


# ---- values that stay the same


def constant_steering(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if the steering is the same in (nearly) all rows: nothing can be learned."""
    rows = evidence.rows
    same = constant(rows.steering)
    if same is None or len(rows) < FEWEST_STEERED:
        return
    value, words = same
    yield Finding(
        "constant-steering",
        f"the steering is {words}",
        value=value,
        unit="steering",
        advice=LOST_STEERING,
    )


def constant_throttle(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if the simulator's car changes its speed at a constant throttle below full.

    Other recordings are not judged, since tables of other programs may lack the throttle.
    """
    rows = evidence.rows
    change_mph = 1.0  # a smaller change of the speed does not count
    same = constant(rows.throttle)
    speed_mph = rows.speed_mph
    if same is None or speed_mph is None or not evidence.has_three_cameras:
        return
    value, words = same
    if abs(value) < _FULL and np.ptp(speed_mph) > change_mph:
        yield Finding(
            "constant-throttle",
            f"the throttle is {words}, although the car changes its speed",
            value=value,
            unit="throttle",
            usable=True,
            advice="train the steering alone, as model.py does, or with the speed: --predict "
            "speed; for --predict throttle, record again",
        )


def few_steps(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if the steering has few different values, unless the driving is gentle."""
    rows = evidence.rows
    most_levels = 5
    fewest_steered = 21  # rows
    levels = np.unique(np.round(rows.steering, 4))
    if len(levels) > most_levels or _is_gentle(levels):
        return
    if (np.abs(rows.steering) > _LEAST_STEERING).sum() < fewest_steered:
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
    """Return whether the steering has few values because the driving is gentle.

    Then they are neighbouring values of a keyboard or stick, which turns in steps.

    levels: the different values, rising
    """
    device_step = 0.05  # all values are multiples of this
    most_steps = 2.5  # neighbouring values are at most this many device steps apart
    if len(levels) <= 3:  # such as left, straight and right: too few to tell a gentle driver
        return False
    steps = np.diff(levels) / device_step
    are_whole = (np.abs(steps - steps.round()) < 0.01).all()
    return bool(are_whole and steps.max() < most_steps)


# ---- the steering and the turns of the camera


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
    stretches_of: dict[Kind, list[Stretch]] = {kind: [] for kind in _FAULTS_OF_STRETCHES}
    for stretch in segmentation.stretches:
        kind = stretch.kind
        # a stretch that is mirrored on both sides follows no turns
        numbers = evidence.rows.numbers[stretch.first : stretch.last + 1]
        if kind is Kind.MIRRORED and np.isin(numbers, numbers_in(evidence.mirrored)).any():
            kind = Kind.UNRELATED
        stretches_of[kind].append(stretch)
    for kind, stretches in stretches_of.items():
        if stretches:
            fault, text = _FAULTS_OF_STRETCHES[kind]
            spans = evidence.rows.spans(rows_of(stretches))
            edit = mirror_numbers(spans) if kind is Kind.MIRRORED else delete_numbers(spans)
            good_rows = sum(stretch.good_rows for stretch in stretches)
            yield Finding(fault, text, rows=spans, edits=(edit,), good_rows=good_rows)


def steering_and_turns(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if the steering does not agree with the camera's turns over all."""
    agreement = evidence.agreement
    if agreement is None or evidence.is_upside_down or evidence.drives_backwards:
        return
    r = agreement.correlation
    if agreement.is_mirrored:
        yield Finding(
            "mirrored",
            "the car turns to the other side than it is steered",
            measured=f"correlation {r:.2f}, expected above {CLEAR}",
            value=r,
            edits=(Edit(MIRROR),),
        )
    elif agreement.is_unrelated:
        yield Finding(
            "unrelated",
            "the steering does not follow the turns of the camera",
            measured=f"correlation {r:.2f}, expected above {CLEAR}",
            value=r,
            advice="look whether the log belongs to these frames, and whether rows and frames are "
            "counted alike",
        )


def late_steering(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if the steering surely belongs to another time than in untouched recordings."""
    # When the steering is recorded, in seconds after the car turns; negative for before, since the
    # car turns after it is steered. Untouched recordings lie between the limits, with a margin:
    # benchmarks/lab-log/2026-11.md.
    usual = -0.1
    earliest = -0.35
    latest = 0.05
    agreement = evidence.agreement
    if agreement is None or not agreement.is_clear:
        return
    lag = agreement.lag
    error = agreement.error
    if error >= MAX_LAG_ERROR or earliest - error <= lag <= latest + error:
        return
    if evidence.drives_backwards:  # then turns mean the opposite
        return
    late_seconds = lag - usual
    advice, edits = _shifted_back(late_seconds, evidence.signals)
    side = "after" if lag > 0 else "before"
    yield Finding(
        "late" if lag > latest else "early",
        f"the steering is recorded {abs(lag):.2f} s {side} the car turns",
        measured=f"standard error {error:.2f} s, expected {-usual:.2f} s before, from "
        f"{-earliest:.2f} s before to {latest:.2f} s after",
        value=late_seconds,
        uncertainty=error,
        unit="seconds late",
        advice=advice,
        edits=edits,
    )


def _shifted_back(late_seconds: float, signals: Signals) -> tuple[str, tuple[Edit, ...]]:
    """Return what mends a late steering: an advice and no edits, or "" and edits that mend it.

    late_seconds: by which the steering is later than usual; negative if it is earlier
    """
    if abs(late_seconds) > MAX_ADVANCE:
        too_far = f"the steering can be shifted by {MAX_ADVANCE:g} s at most"
        return f"{too_far}; look whether log and frames begin together", ()
    shift = Edit(ADVANCE, seconds=round(late_seconds, 2))
    shifted = Edits((StoredEdit(ADVANCE, seconds=shift.seconds),))
    rows = signals.rows.with_steering(corrected_steering(signals.rows.table, shifted))
    mended = Signals(rows, signals.turns)
    agreement = measure_agreement(mended)
    if agreement is None or agreement.is_unrelated:
        no_shift = "no shift mends it"
        return f"{no_shift}; look whether log and frames begin together, and record again", ()
    segmentation = segmented(mended, agreement)
    if segmentation is None or not segmentation.stretches:
        return "", (shift,)
    parts = rows.spans(rows_of(segmentation.stretches))
    return "", (shift, delete_numbers(parts))


def biased(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if the car drives straight on with a steering that is clearly not 0."""
    max_bias = 0.15  # of full steering
    fewest_steps = 100
    agreement = evidence.agreement
    if agreement is None or not agreement.is_clear or evidence.drives_backwards:
        return
    rate, steering = evidence.signals.compared(agreement.lag)
    if len(rate) < fewest_steps:
        return

    def bias_of(part: IndexArray) -> float:
        """Return the steering at which the car drives straight on."""
        _, intercept, _ = robust_line(rate[part], steering[part])
        return intercept

    bias = bias_of(np.arange(len(rate)))
    error = block_jackknife(len(rate), bias_of)
    if abs(bias) > max_bias + error:
        side = "right" if bias > 0 else "left"
        yield Finding(
            "bias",
            f"the car drives straight on with a steering of {bias:+.2f}, expected 0",
            measured=f"standard error {error:.2f}",
            value=bias,
            uncertainty=error,
            unit="steering",
            usable=True,
            advice=f"calibrate the middle of the steering, which lies too far to the {side}, and "
            "record again; or fit gain and bias into a model: "
            f"{shown_command('calibrate', 'model.h5', 'RECORDING', '-o', 'car.h5')}",
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
    turning = size > _LEAST_STEERING
    levels, counts = np.unique(size[turning], return_counts=True)
    if len(levels) < 2 or levels[-1] >= _FULL:
        return
    largest = float(levels[-1])
    at_largest = turning & (size > 0.995 * largest)
    share = at_largest.sum() / turning.sum()
    if turning.sum() < fewest_turning or share <= most_at_largest:
        return

    # it is a limit if the bends are sharper than the largest steering means
    ratio = _measured_to_expected(evidence, largest)
    is_coarse = len(levels) < coarse_levels
    if ratio is None:
        # a mouse, whose steering has many values, hardly repeats its largest one without a limit;
        # other devices have it more often than the next smaller value
        is_limit = not is_coarse or (share > 0.1 and at_largest.sum() > 1.5 * counts[-2])
    else:
        # a stick that is just held at its end has about 1
        is_limit = ratio > (1.2 if is_coarse else 1.02)
    if is_limit:
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


def _measured_to_expected(evidence: Evidence, largest: float) -> float | None:
    """Return the ratio of measured to expected curvature at the largest steering.

    The curvature is expected to lie on a line through the rows with smaller steering. Returns None
    if it cannot be told.
    """
    fewest_steps = 10
    agreement = evidence.agreement
    if agreement is None or not agreement.is_clear:
        return None
    fine = Signals(evidence.rows, evidence.turns, FINE_SECONDS)
    bend, steering = fine.compared(agreement.lag)
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
    rows_of_the_log,
    constant_steering,
    constant_throttle,
    few_steps,
    steering_of_stretches,
    clipped,
    steering_and_turns,
    late_steering,
    biased,
)
