"""Judge the log: its rows and their order, and values of steering and throttle that stay the same.

Each judge takes the evidence of a recording, and yields a `Finding` for each fault.
"""

from collections.abc import Iterator

import numpy as np

from bcclone.dataset.labels import FEWEST_STEERED, LOST_STEERING
from bcclone.dataset.plan import MAX_SKIPPED
from bcclone.diagnosis.evidence import Evidence, Finding, Judge, recording_name
from bcclone.diagnosis.rows import Rows
from bcclone.recording.log import Log
from bcclone.system.errors import number_of, shown_command
from bcclone.system.numbers import FloatArray, constant

FULL = 0.98  # from here on, steering or throttle counts as full; a log can hold 1 at most
LEAST_STEERING = 0.02  # a smaller steering counts as straight on


def unusable_rows(log: Log) -> Iterator[Finding]:
    """Yield a fault if a conversion would refuse the log for its unusable rows.

    log: without repeated rows, see check.without_repeated()
    """
    bad = log.bad_rows
    # a conversion counts the repeated rows, which row_count leaves out as deleted ones
    count = log.row_count + _repeated(Rows.of(log.rows, log.deleted))
    if len(bad) > MAX_SKIPPED * count:
        command = shown_command("preprocess", recording_name(log.path), "--allow-skips")
        yield Finding(
            "bad-rows",
            f"{len(bad)} of {count} rows cannot be used, the first for this reason: "
            f"{bad[0].reason}",
            usable=True,  # the other rows can be trained on
            advice=f"correct them in the log, or leave them out: {command}",
        )


def _repeated(rows: Rows) -> int:
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
    back = np.flatnonzero(np.diff(rows.line) < 0)
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
    if same is None or not evidence.has_simulator_lens:
        return
    value, words = same
    if abs(value) < FULL and np.ptp(rows.speed_mph) > change_mph:
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
    if (np.abs(rows.steering) > LEAST_STEERING).sum() < fewest_steered:
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


JUDGES: tuple[Judge, ...] = (rows_of_the_log, constant_steering, constant_throttle, few_steps)
