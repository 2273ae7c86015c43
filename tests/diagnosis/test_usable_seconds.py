"""Findings name the rows of a fault and what their remedy costs; the verdict counts seconds."""

import numpy as np
import pandas as pd
import pytest

from bcclone.diagnosis.evidence import Finding
from bcclone.diagnosis.judging import Diagnosis, Part, Use, parts_of
from bcclone.diagnosis.rows import Rows
from bcclone.recording.edits import ADVANCE, MIRROR, Edit, delete_numbers

ROWS = 1000  # at 10 rows a second


def recorded(speed_mph=15.0):
    table = pd.DataFrame(
        {
            "time_ms": 100 * np.arange(ROWS),
            "line": np.arange(ROWS) + 1,
            "steering": 0.0,
            "throttle": 0.3,
            "speed_mph": speed_mph,
        }
    )
    return Rows.of(table, table[:0])


def test_the_parts_of_a_recording_say_which_seconds_can_be_used():
    deleted = ((101, 200), (401, 500), (506, 600))
    findings = [
        Finding("dark", "black", rows=deleted, edits=(delete_numbers(deleted),)),
        Finding("bias", "to the right", usable=True),
    ]
    parts = parts_of(recorded(), findings)
    assert [(part.first, part.last, part.use) for part in parts] == [
        (1, 100, Use.NOW),
        (101, 200, Use.NOT),
        (201, 400, Use.NOW),
        (401, 500, Use.NOT),
        (501, 505, Use.TOO_SHORT),
        (506, 600, Use.NOT),
        (601, 1000, Use.NOW),
    ]
    assert parts[1].faults == ("dark", "bias")
    diagnosis = Diagnosis(tuple(findings), parts=parts)
    assert diagnosis.usable_seconds == pytest.approx(69.9)
    assert diagnosis.seconds(Use.NOT) == pytest.approx(29.5)


def test_what_a_correction_of_the_steering_mends_can_be_used_after_the_edits():
    mirror = Finding("mirrored", "to the other side", edits=(Edit(MIRROR),))
    (part,) = parts_of(recorded(), [mirror])
    assert (part.first, part.last, part.use) == (1, 1000, Use.AFTER_EDITS)
    late = Finding("late", "by 1 s", edits=(Edit(ADVANCE, seconds=1.0), Edit("delete", ((0, 9),))))
    parts = parts_of(recorded(), [late])
    assert [(part.last, part.use) for part in parts] == [(10, Use.NOT), (1000, Use.AFTER_EDITS)]
    (part,) = parts_of(recorded(), [Finding("unrelated", "another log")])
    assert part.use is Use.NOT


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([(96.6, Use.NOW)], "All 97 s of driving can be used: no fault was found."),
        (
            [(85.0, Use.NOW), (11.0, Use.AFTER_EDITS), (0.5, Use.TOO_SHORT), (25.5, Use.NOT)],
            "85 of 122 s can be used, 11 s more once mended, 26 s not.",
        ),
    ],
)
def test_the_verdict_says_which_seconds_can_be_used(parts, verdict):
    rows = tuple(Part(1, 2, seconds, (), use) for seconds, use in parts)
    assert Diagnosis(parts=rows).verdict == verdict
