"""A stretch of mirrored steering is mirrored in place; its rows are not lost."""

import numpy as np
import pandas as pd
import pytest

from bcclone.diagnosis.frame_figures import FrameFigures, RecordingFigures
from bcclone.diagnosis.judging import diagnose, first_findings
from bcclone.diagnosis.motion import Shift
from bcclone.diagnosis.usable_seconds import Use
from bcclone.recording.dialect import Dialect
from bcclone.recording.edits import DELETE, MIRROR
from bcclone.recording.log import Log
from tests.diagnosis.test_stretches import ROWS, driven, steering_of_a_road

DIALECT = Dialect(False, False, False, ("center",), 0)
MIRRORED = slice(900, 1100)  # 13 s
NOISE = slice(2000, 2150)  # 10 s
STANDING = slice(100, 200)


def recorded(folder, steering, speed=None):
    """Return the log of a car that is driven along a road, and what its pictures show.

    steering: in the log, (rows,)
    speed: in mph, (rows,); None for a constant one
    """
    _, turns = driven(steering_of_a_road())
    rows = pd.DataFrame(
        {
            "time_ms": np.round(1000 / 15 * np.arange(ROWS)).astype(np.int64),
            "line": np.arange(ROWS) + 1,
            "center": [f"{row}.jpg" for row in range(ROWS)],
            "steering": steering,
            "throttle": 0.3 + 0.1 * np.sin(np.arange(ROWS)),
            "speed_mph": np.full(ROWS, 15.0) if speed is None else speed,
        }
    )
    figures = RecordingFigures(ROWS)
    figures.frames = [FrameFigures(100.0 + row % 7, 0.0, 900.0, row) for row in range(ROWS)]
    figures.turns.shifts = [Shift()] + [Shift(-right, 0.0, 0.9) for right in turns.right]
    return Log(folder / "driving_log.csv", DIALECT, rows, (), rows[:0]), figures


@pytest.fixture
def faulty(tmp_path):
    steering = steering_of_a_road()
    steering[MIRRORED] *= -1
    steering[NOISE] = np.random.default_rng(5).normal(0, 0.3, NOISE.stop - NOISE.start)
    return recorded(tmp_path, steering)


def test_a_mirrored_stretch_is_mirrored_and_noise_is_deleted(faulty):
    diagnosis = diagnose(*faulty, lambda row: None)
    findings = {finding.fault: finding for finding in diagnosis.findings}
    assert findings.keys() == {"partly-mirrored", "partly-unrelated"}
    mirrored = findings["partly-mirrored"]
    (mirror,) = mirrored.edits
    (delete,) = findings["partly-unrelated"].edits
    assert (mirror.kind, delete.kind) == (MIRROR, DELETE)
    ((first, last),) = mirror.spans
    assert (first, last) == (pytest.approx(900, abs=15), pytest.approx(1099, abs=15))
    assert f"--mirror-steering --rows {first + 1} {last + 1}" in mirrored.remedy
    assert mirrored.cost.as_text().startswith("mirrors 1")
    uses = {part.use for part in diagnosis.parts if "partly-mirrored" in part.faults}
    assert uses == {Use.AFTER_EDITS}


def test_after_all_remedies_no_fault_is_left(faulty):
    log, figures = faulty
    for finding in diagnose(log, figures, lambda row: None).findings:
        (edit,) = finding.edits
        ((first, last),) = edit.spans
        if edit.kind == MIRROR:
            log.rows.loc[first:last, "steering"] *= -1
        else:
            lost = np.arange(first, last + 1)
    kept = np.delete(np.arange(ROWS), lost)
    rows = log.rows.iloc[kept].reset_index(drop=True)
    log = Log(log.path, DIALECT, rows, (), log.rows.iloc[lost])
    assert diagnose(log, figures.of_rows(kept), lambda row: None).findings == ()


def test_what_the_log_tells_is_found_before_a_picture_is_read(tmp_path):
    speed = np.full(ROWS, 15.0)
    speed[STANDING] = 0
    log, figures = recorded(tmp_path, steering_of_a_road(), speed)
    (standing,) = first_findings(log, RecordingFigures(0))
    assert (standing.fault, standing.rows) == ("standing", ((101, 200),))
    for row in range(500, 540):
        figures.frames[row] = FrameFigures(3.0, 0.0, 1.0, -row)
    for read, faults in ((500, {"standing"}), (600, {"standing", "dark"})):
        begin = figures.of_rows(np.arange(read))
        assert {finding.fault for finding in first_findings(log, begin)} == faults
