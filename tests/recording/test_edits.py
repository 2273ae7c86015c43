"""Edits leave rows out of every reader, and never change the log."""

import contextlib
import json

import numpy as np
import pytest

from bcclone.recording.edits import (
    ADVANCE,
    DELETE,
    MIRROR,
    RESTORE,
    Edit,
    Edits,
    StoredEdit,
    edits_path,
    read_edits,
    write_edits,
)
from bcclone.recording.files import find_log
from bcclone.recording.log import read_log
from bcclone.system.errors import UserError
from tests.hostile import with_wrong_values
from tests.messages.small_recording import make_recording
from tests.pictures.video_runs import name_of
from tests.recordings import rewrite

TIMES = np.arange(10) * 100 + 1_767_225_600_000  # as name_of() counts


def edited(*edits):
    return Edits(
        tuple(
            StoredEdit(kind, ((name_of(first * 100), name_of(last * 100)),))
            for kind, first, last in edits
        )
    )


def test_edits_are_read_as_they_were_written(tmp_path):
    log = make_recording(tmp_path) / "driving_log.csv"
    edits = edited((DELETE, 0, 1), (RESTORE, 1, 1))
    write_edits(log, edits)
    assert read_edits(log) == edits
    first = {"edit": "delete", "rows": [[name_of(0), name_of(100)]]}
    assert json.loads(edits_path(log).read_text()) == {
        "version": 1,
        "edits": [first, {"edit": "restore", "rows": [[name_of(100)] * 2]}],
    }
    for _ in range(2):  # nothing is left to remove the second time
        write_edits(log, Edits())
        assert not edits_path(log).exists()


def test_a_wrong_edit_is_refused_with_what_was_expected():
    with pytest.raises(ValueError, match="no row from 5 to 3; expected FROM before TO"):
        Edit(DELETE, ((4, 2),))


def test_deleted_rows_are_left_out_and_begin_an_episode(tmp_path):
    log = make_recording(tmp_path, rows=10) / "driving_log.csv"
    write_edits(log, edited((DELETE, 0, 1), (DELETE, 5, 6)))
    found = read_log(log)
    assert found.rows["line"].tolist() == [3, 4, 5, 8, 9, 10]
    assert found.rows["episode"].tolist() == [0, 0, 0, 1, 1, 1]
    assert found.deleted["line"].tolist() == [1, 2, 6, 7]
    assert read_log(log, edited=False).rows["line"].tolist() == list(range(1, 11))
    make_recording(tmp_path, rows=12)  # rows that are recorded after an edit are there
    assert read_log(log).rows["line"].tolist() == [3, 4, 5, 8, 9, 10, 11, 12]


RECORDED = [0.0, 0.1, 0.3, -0.4, 0.9]


def five_rows(folder):
    """Return the log of a recording with the steering of RECORDED."""
    log = make_recording(folder, rows=5) / "driving_log.csv"
    rewrite(
        folder,
        lambda rows: [
            [*row[:3], str(one), *row[4:]] for row, one in zip(rows, RECORDED, strict=True)
        ],
    )
    return log


def test_the_steering_is_mirrored_and_taken_from_later_within_a_stretch(tmp_path):
    log = five_rows(tmp_path)
    # the last row comes after a pause
    log.write_text(log.read_text().replace(name_of(400), name_of(9000)))
    edits = Edits((StoredEdit(MIRROR), StoredEdit(ADVANCE, seconds=0.15)))
    write_edits(log, edits)
    assert read_edits(log) == edits
    np.testing.assert_allclose(read_log(log).rows["steering"], [-0.2, 0.05, 0.4, 0.4, -0.9])
    assert read_log(log, edited=False).rows["steering"].tolist() == RECORDED
    write_edits(log, Edits((*edits.edits, StoredEdit(MIRROR), StoredEdit(ADVANCE, seconds=-0.15))))
    assert read_log(log).rows["steering"].tolist() == RECORDED


def test_a_stretch_is_mirrored_and_the_rest_stays_as_it_is(tmp_path):
    log = five_rows(tmp_path)
    stretch = StoredEdit(MIRROR, ((name_of(100), name_of(200)), (name_of(400), name_of(400))))
    write_edits(log, Edits((stretch,)))
    assert read_edits(log).edits == (stretch,)
    assert read_log(log).rows["steering"].tolist() == [0.0, -0.1, -0.3, -0.4, -0.9]
    # a stretch that is found after a shift is a stretch of the shifted steering
    write_edits(log, Edits((StoredEdit(ADVANCE, seconds=0.1), stretch)))
    np.testing.assert_allclose(read_log(log).rows["steering"], [0.1, -0.3, 0.4, 0.9, -0.9])
    write_edits(log, Edits((stretch, StoredEdit(ADVANCE, seconds=0.1))))
    np.testing.assert_allclose(read_log(log).rows["steering"], [-0.1, -0.3, -0.4, -0.9, -0.9])
    write_edits(log, Edits((stretch, StoredEdit(MIRROR), stretch)))
    assert read_log(log).rows["steering"].tolist() == [0.0, -0.1, -0.3, 0.4, -0.9]


def test_a_recording_without_a_kept_row_is_refused_with_the_remedy(tmp_path):
    log = make_recording(tmp_path) / "driving_log.csv"
    write_edits(log, edited((DELETE, 0, 9)))
    with pytest.raises(UserError, match="all 3 rows are deleted.*bcclone edit"):
        read_log(find_log(str(tmp_path)))


@pytest.mark.parametrize(
    "text",
    [
        '{"version": 2, "edits": []}',
        '{"version": 1, "edits": [{"edit": "shuffle", "rows": [["NAME", "NAME"]]}]}',
        '{"version": 1, "edits": [{"edit": "delete", "rows": []}]}',
        '{"version": 1, "edits": [{"edit": "advance-steering", "rows": [], "seconds": 11}]}',
        '{"version": 1, "edits": [{"edit": "delete", "rows": '
        '[["NAME", "center_2019_03_07_20_01_33_184.jpg"]]}]}',
    ],
)
def test_a_file_of_another_form_is_refused_by_name(tmp_path, text):
    log = make_recording(tmp_path) / "driving_log.csv"
    edits_path(log).write_text(text.replace("NAME", name_of(0)))
    with pytest.raises(UserError, match=r"driving_log\.edits\.json: not the edits .*remove it"):
        read_log(log)


def test_edits_with_any_wrong_value_or_too_many_are_harmless_or_refused(tmp_path):
    log = tmp_path / "driving_log.csv"
    edits_path(log).write_bytes(b" " * (1 << 22) + b"{}")
    with pytest.raises(UserError, match="larger than"):
        read_edits(log)
    write_edits(log, edited((DELETE, 2, 6), (RESTORE, 4, 9)))
    for wrong in with_wrong_values(json.loads(edits_path(log).read_text())):
        edits_path(log).write_text(json.dumps(wrong))
        with contextlib.suppress(UserError):
            read_edits(log).deleted(TIMES)
