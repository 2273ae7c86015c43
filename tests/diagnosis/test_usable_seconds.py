"""Findings name the rows of a fault and what their remedy costs; the verdict counts seconds."""

import numpy as np
import pandas as pd
import pytest

from bcclone.diagnosis.evidence import Evidence, Finding
from bcclone.diagnosis.judging import Diagnosis, Part, Use, parts_of
from bcclone.diagnosis.motion import FrameFigures, RecordingFigures, Shift
from bcclone.diagnosis.pictures import frozen_pictures, standing, unusable_pictures
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


def pictures(same=()):
    """Return the figures of pictures that all differ, except those that repeat the one before."""
    figures = RecordingFigures(ROWS)
    number = np.arange(ROWS, dtype=np.float64)
    for row in same:
        number[row] = number[row - 1]
    figures.frames = [FrameFigures(100 + of % 7, 0.0, 900.0, of) for of in number]
    figures.turns.shifts = [Shift(0.0 if row in same else 2.0, 0.0, 0.9) for row in range(ROWS)]
    return figures


def named(judge, figures, speed_mph=15.0):
    """Return what a judge finds: fault -> its rows."""
    evidence = Evidence(recorded(speed_mph), figures, lambda row: None)
    return {finding.fault: finding.rows for finding in judge(evidence)}


def test_a_freeze_counts_by_seconds_not_by_its_share():
    for_five_seconds = range(400, 415)  # 1.5 % of the rows
    found = named(frozen_pictures, pictures(for_five_seconds))
    assert found == {"frozen": ((401, 415),)}
    for_half_a_second = range(400, 405)
    assert named(frozen_pictures, pictures(for_half_a_second)) == {}


def test_dark_seconds_are_named_in_a_long_recording():
    figures = pictures()
    figures.frames[100:105] = [FrameFigures(3.0, 0.0, 1.0, -row) for row in range(1, 6)]
    assert named(unusable_pictures, figures) == {}
    figures.frames[100:120] = [FrameFigures(3.0, 0.0, 1.0, -row) for row in range(1, 21)]
    assert named(unusable_pictures, figures) == {"dark": ((101, 120),)}


def test_standing_is_named_by_the_speed_and_a_short_halt_is_not():
    speed = np.full(ROWS, 15.0)
    speed[:30] = 0
    speed[500:560] = 0.1
    assert named(standing, pictures(), speed) == {"standing": ((501, 560),)}


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


def test_a_finding_tells_the_cost_of_its_remedy():
    edits = (delete_numbers(((1, 150),)),)
    cost = {"good_rows": 4.2, "cost_rows": 150, "cost_seconds": 10.0, "of_seconds": 289.4}
    finding = Finding("dark", "black", edits=edits, **cost)
    words = "cost: takes 10.0 s of 289 s, about 4 of the 150 rows without the fault"
    assert finding.as_text().endswith(words)
    assert finding.as_json()["cost"]["good_rows"] == 4.2


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
