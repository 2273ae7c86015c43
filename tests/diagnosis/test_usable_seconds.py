"""Findings name the rows of a fault and what their remedy costs; the verdict counts seconds."""

import numpy as np
import pandas as pd
import pytest

from bcclone.diagnosis.findings import Cost, Finding
from bcclone.diagnosis.frame_figures import FrameFigures, RecordingFigures
from bcclone.diagnosis.motion import Shift
from bcclone.diagnosis.picture_faults import frozen_pictures, standing, unusable_pictures
from bcclone.diagnosis.recorded_rows import RecordedRows
from bcclone.diagnosis.usable_seconds import Use, parts_of, seconds_of
from bcclone.recording.edits import ADVANCE, MIRROR, Edit, delete_numbers

ROWS = 1000  # at 10 rows a second


def recorded(speed_mph=15.0, throttle=0.3):
    table = pd.DataFrame(
        {
            "time_ms": 100 * np.arange(ROWS),
            "line": np.arange(ROWS) + 1,
            "steering": 0.0,
            "throttle": throttle,
            "speed_mph": speed_mph,
        }
    )
    return RecordedRows.of_tables(table, table[:0])


def pictures(same=()):
    """Return the figures of pictures that all differ, except those that repeat the one before."""
    figures = RecordingFigures(ROWS)
    number = np.arange(ROWS, dtype=np.float64)
    for row in same:
        number[row] = number[row - 1]
    figures.frames = [FrameFigures(100 + of % 7, 0.0, 900.0, of) for of in number]
    figures.turns.shifts = [Shift(0.0 if row in same else 2.0, 0.0, 0.9) for row in range(ROWS)]
    return figures


def names_of(findings):
    return {finding.fault: finding.rows for finding in findings}


def test_a_freeze_counts_by_seconds_not_by_its_share():
    for_five_seconds = range(400, 415)  # 1.5 % of the rows
    found = names_of(frozen_pictures(recorded(), pictures(for_five_seconds)))
    assert found == {"frozen": ((401, 415),)}
    for_half_a_second = range(400, 405)
    assert names_of(frozen_pictures(recorded(), pictures(for_half_a_second))) == {}


def test_dark_seconds_are_named_in_a_long_recording():
    figures = pictures()
    figures.frames[100:105] = [FrameFigures(3.0, 0.0, 1.0, -row) for row in range(1, 6)]
    assert names_of(unusable_pictures(recorded(), figures)) == {}
    figures.frames[100:120] = [FrameFigures(3.0, 0.0, 1.0, -row) for row in range(1, 21)]
    assert names_of(unusable_pictures(recorded(), figures)) == {"dark": ((101, 120),)}


def test_black_pictures_that_are_all_alike_are_dark_not_frozen():
    figures = pictures()
    figures.frames[100:120] = [FrameFigures(3.0, 0.0, 1.0, -1.0)] * 20
    assert names_of(frozen_pictures(recorded(), figures)) == {}
    assert names_of(unusable_pictures(recorded(), figures)) == {"dark": ((101, 120),)}


def test_standing_is_named_by_the_speed_and_a_short_halt_is_not():
    speed = np.full(ROWS, 15.0)
    speed[:30] = 0
    speed[500:560] = 0.1
    (found,) = standing(recorded(speed), pictures())
    assert (found.fault, found.rows) == ("standing", ((501, 560),))
    assert found.value == pytest.approx(6.0)
    assert found.deletes


def test_without_speeds_a_car_stands_if_its_throttle_is_off_and_its_pictures_are_still():
    throttle = np.full(ROWS, 0.3)
    throttle[500:560] = 0
    throttle[700:800] = 0  # it rolls
    found = names_of(standing(recorded(0.0, throttle), pictures(range(500, 560))))
    ((first, last),) = found["standing"]
    assert abs(first - 501) < 8
    assert abs(last - 560) < 8


def test_the_parts_of_a_recording_say_which_seconds_can_be_used():
    deleted = ((101, 200), (401, 500))
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
        (501, 1000, Use.NOW),
    ]
    assert parts[1].faults == ("dark", "bias")
    assert seconds_of(parts, Use.NOW) == pytest.approx(79.9)
    assert seconds_of(parts, Use.NOT) == pytest.approx(20.0)


def test_what_a_correction_of_the_steering_mends_can_be_used_after_the_edits():
    mirror = Finding("mirrored", "to the other side", edits=(Edit(MIRROR),))
    (part,) = parts_of(recorded(), [mirror])
    assert (part.first, part.last, part.use) == (1, 1000, Use.AFTER_EDITS)
    late = Finding("late", "by 1 s", edits=(Edit(ADVANCE, seconds=1.0), Edit("delete", ((0, 9),))))
    parts = parts_of(recorded(), [late])
    assert [(part.last, part.use) for part in parts] == [(10, Use.NOT), (1000, Use.AFTER_EDITS)]
    (part,) = parts_of(recorded(), [Finding("unrelated", "another log")])
    assert part.use is Use.NOT


def test_deleted_rows_belong_to_no_part():
    kept = np.r_[0:300, 400:ROWS]
    table = pd.DataFrame({"time_ms": 100 * np.arange(ROWS), "line": np.arange(ROWS) + 1})
    table = table.assign(steering=0.0, throttle=0.3, speed_mph=15.0)
    rows = RecordedRows.of_tables(table.iloc[kept].reset_index(drop=True), table[300:400])
    parts = parts_of(rows, ())
    assert [(part.first, part.last) for part in parts] == [(1, 300), (401, ROWS)]


def test_a_scrap_between_two_faults_is_too_short_to_tell():
    deleted = ((101, 200), (206, 300))
    findings = [Finding("dark", "black", rows=deleted, edits=(delete_numbers(deleted),))]
    uses = [part.use for part in parts_of(recorded(), findings)]
    assert uses == [Use.NOW, Use.NOT, Use.TOO_SHORT, Use.NOT, Use.NOW]


def test_a_finding_tells_the_cost_of_its_remedy():
    cost = Cost(rows=150, seconds=10.0, of_seconds=289.4, good_rows=4.2)
    assert cost.as_text() == "takes 10.0 s of 289 s, about 4 of the 150 rows without the fault"
    finding = Finding("dark", "black", edits=(delete_numbers(((1, 150),)),), cost=cost)
    assert finding.deleted == ((1, 150),)
    assert finding.as_text().endswith(f"cost: {cost.as_text()}")
    assert finding.as_json()["cost"]["good_rows"] == 4.2
