"""Judge the values of the recorded steering and throttle: constant, few, or cut off at a limit.

Each judge takes the recorded rows, and yields a `Finding` if they have its fault. clipped() also
needs the turns of the camera, and how the steering agrees with them.
"""

from collections.abc import Iterator

import numpy as np

from bcclone.dataset.labels import FEWEST_STEERED, LOST_STEERING
from bcclone.diagnosis.agreement import Agreement, compare
from bcclone.diagnosis.bends import FINE_SECONDS
from bcclone.diagnosis.findings import Finding
from bcclone.diagnosis.motion import Turns
from bcclone.diagnosis.recorded_rows import RecordedRows
from bcclone.system.numbers import FloatArray, constant

_FULL = 0.98  # from here on, steering or throttle counts as full; a log can hold 1 at most
_LEAST_STEERING = 0.02  # a smaller steering counts as straight on


def constant_steering(rows: RecordedRows) -> Iterator[Finding]:
    """Yield a fault if the steering is the same in (nearly) all rows: nothing can be learned."""
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


def constant_throttle(rows: RecordedRows, has_simulator_lens: bool) -> Iterator[Finding]:
    """Yield a fault if the simulator's car changes its speed at a constant throttle below full.

    Other recordings are not judged, since tables of other programs may lack the throttle.

    has_simulator_lens: whether it is the simulator's car, which its three cameras tell
    """
    change_mph = 1.0  # a smaller change of the speed does not count
    same = constant(rows.throttle)
    if same is None or not has_simulator_lens:
        return
    value, words = same
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
    """Yield a fault if the steering has few different values, unless the driving is gentle."""
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


def clipped(rows: RecordedRows, turns: Turns, agreement: Agreement | None) -> Iterator[Finding]:
    """Yield a fault if the steering ends at a limit although the car's bends are sharper.

    Many rows also have the largest value if a driver holds a stick at its end, or if the stick or
    the keys have few steps. With few steps, the bends must be clearly sharper than the largest
    value means.
    """
    coarse_levels = 20  # a stick or keys have fewer values, a mouse has more
    fewest_turning = 21  # rows in which the car turns
    most_at_largest = 0.04  # share of the turning rows

    # how many of the turning rows have the largest value
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
    ratio = _measured_to_expected(rows, turns, agreement, largest)
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
    rows: RecordedRows, turns: Turns, agreement: Agreement | None, largest: float
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
