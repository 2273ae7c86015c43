"""`bcclone edit` deletes and restores rows for every reader, and can be undone to the byte."""

import json

import pytest

from bcclone.pictures.recorded_run import read_run
from bcclone.recording.edit_settings import EditSettings
from bcclone.recording.editing import EditedRecording
from bcclone.recording.edits import DELETE, MIRROR, Edit
from bcclone.recording.log import read_log
from bcclone.recording.run_folder import append_row
from bcclone.recording.run_tables import BY_MODEL, DRIVERS, HUMAN, DrivenBy
from bcclone.system.errors import UserError
from bcclone.system.settings import SettingError
from tests.messages.small_recording import make_recording
from tests.pictures.video_runs import name_of
from tests.running import result_of, run_script


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def kept(folder):
    return read_log(folder / "driving_log.csv").rows["line"].tolist()


def do(folder, **what):
    recorded = EditedRecording(folder / "driving_log.csv")
    return recorded.edit(recorded.parse(EditSettings(str(folder), **what)))


def test_several_edits_are_made_together_or_not_at_all(tmp_path):
    recorded = EditedRecording(make_recording(tmp_path, rows=10) / "driving_log.csv")
    before = content(tmp_path)
    with pytest.raises(UserError, match="nothing to delete"):
        recorded.edit([Edit(MIRROR), Edit(DELETE, ((2, 4),)), Edit(DELETE, ((3, 4),))])
    assert content(tmp_path) == before
    assert recorded.edit().deleted == 0
    recorded.edit([Edit(MIRROR), Edit(DELETE, ((2, 4),))])
    assert kept(tmp_path) == [1, 2, 6, 7, 8, 9, 10]
    assert "mirrored" in recorded.edit().steering


def test_rows_are_deleted_restored_and_trimmed_by_number_and_taken_back(tmp_path):
    make_recording(tmp_path, rows=10)
    before = content(tmp_path)
    assert do(tmp_path, delete=("3", "5")).changed == 3
    assert kept(tmp_path) == [1, 2, 6, 7, 8, 9, 10]
    assert do(tmp_path, restore=("5", "8")).changed == 1
    assert kept(tmp_path) == [1, 2, 5, 6, 7, 8, 9, 10]
    result = do(tmp_path, trim=("2", "9"))
    assert kept(tmp_path) == [2, 5, 6, 7, 8, 9]
    assert (result.rows, result.deleted, result.changed, result.edits) == (10, 4, 2, 3)
    states = []
    for _ in range(3):
        states.append(len(kept(tmp_path)))
        do(tmp_path, undo=True)
    assert states == [6, 8, 7]
    assert content(tmp_path) == before
    do(tmp_path, delete=("4", "4", "0.6s", "9"))
    assert kept(tmp_path) == [1, 2, 3, 5, 6, 10]
    with pytest.raises(SettingError, match="9 without a second position"):
        do(tmp_path, delete=("4", "4", "9"))
    do(tmp_path, restore=("start", "end"))
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("positions", "deleted"),
    [(("0.2s", "0.4s"), [3, 4, 5]), (("start", ".1s"), [1, 2]), (("9", "99s"), [9, 10])],
)
def test_rows_are_chosen_by_seconds(tmp_path, positions, deleted):
    make_recording(tmp_path, rows=10)
    do(tmp_path, delete=positions)
    assert sorted(set(range(1, 11)) - set(kept(tmp_path))) == deleted


def test_the_steering_is_corrected_for_every_reader_and_taken_back(tmp_path):
    make_recording(tmp_path, rows=10)
    before = content(tmp_path)
    recorded = read_log(tmp_path / "driving_log.csv").rows["steering"]
    result = do(tmp_path, mirror_steering=True)
    assert (result.steering, result.edits) == ("mirrored", 1)
    assert (read_log(tmp_path / "driving_log.csv").rows["steering"] == -recorded).all()
    assert do(tmp_path, advance_steering=0.2).steering == "mirrored, 0.2 s later"
    assert do(tmp_path, undo=True).steering == "mirrored"
    assert do(tmp_path, mirror_steering=True).edits == 0
    assert content(tmp_path) == before
    for seconds in (0.1, 0.2, -0.3):  # the sum has no rest
        result = do(tmp_path, advance_steering=seconds)
    assert (result.steering, result.edits) == ("", 0)


def test_a_stretch_is_mirrored_by_its_rows_and_mirrored_back(tmp_path):
    make_recording(tmp_path, rows=10)
    before = content(tmp_path)
    recorded = read_log(tmp_path / "driving_log.csv").rows["steering"]
    result = do(tmp_path, mirror_steering=True, rows=("3", "5", "0.8s", "end"))
    assert (result.steering, result.edits) == ("mirrored in 5 rows", 1)
    signs = read_log(tmp_path / "driving_log.csv").rows["steering"] / recorded
    assert signs.tolist() == [1, 1, -1, -1, -1, 1, 1, 1, -1, -1]
    assert do(tmp_path, mirror_steering=True, rows=("5", "5")).steering == "mirrored in 4 rows"
    assert do(tmp_path, mirror_steering=True).steering == "mirrored in 6 rows"
    do(tmp_path, mirror_steering=True)
    assert do(tmp_path, mirror_steering=True, rows=("5", "5")).steering == "mirrored in 5 rows"
    for _ in range(5):
        do(tmp_path, undo=True)
    assert content(tmp_path) == before


def test_the_list_tells_what_is_kept_and_who_drove(tmp_path):
    make_recording(tmp_path, rows=6)
    for row, by in enumerate(
        [BY_MODEL, BY_MODEL, DrivenBy(HUMAN, 1), DrivenBy(HUMAN, 1), BY_MODEL]
    ):
        append_row(tmp_path / DRIVERS.name, by.row(name_of(row * 100)), DRIVERS.header)
    spans = do(tmp_path, delete=("4", "5")).spans
    assert [(one.first, one.last, one.kept, one.driver, one.take_over) for one in spans] == [
        (1, 2, True, "model", None),
        (3, 3, True, "human", 1),
        (4, 4, False, "human", 1),
        (5, 5, False, "model", None),
        (6, 6, True, "model", None),
    ]
    assert [(one.from_seconds, one.to_seconds) for one in spans][:2] == [(0.0, 0.1), (0.2, 0.2)]
    make_recording(tmp_path / "pauses", rows=3, step_ms=20_000)
    spans = do(tmp_path / "pauses").spans
    assert [(one.from_seconds, one.after_pause) for one in spans] == [
        (0.0, False),
        (10.0, True),
        (20.0, True),
    ]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"delete": ("start", "end")}, "delete all 4 rows"),
        ({"delete": ("5", "6")}, "no row 5, expected 1 to 4"),
        ({"delete": ("0.11s", "0.19s")}, "expected FROM before TO"),
        ({"restore": ("1", "2")}, "these rows are not deleted"),
        ({"trim": ("start", "end")}, "nothing to trim"),
        ({"undo": True}, "no edit to undo"),
        ({"mirror_steering": True, "rows": ("2",)}, "2 without a second position"),
        ({"rows": ("2", "3")}, "without .*mirror"),
        ({"delete": ("1", "2"), "undo": True}, "one edit at a time"),
        ({"trim": ("first", "2")}, "expected a row such as 120"),
    ],
)
def test_an_edit_that_cannot_be_made_changes_nothing(tmp_path, what, words):
    make_recording(tmp_path, rows=4)
    before = content(tmp_path)
    with pytest.raises((UserError, SettingError), match=words):
        do(tmp_path, **what)
    assert content(tmp_path) == before


def test_clips_and_stores_leave_deleted_rows_out(recording, tmp_path):
    run_script("edit", recording, "--delete", "11", "30")
    assert len(read_run(recording, times_only=True).names) == 100
    made = run_script("preprocess.py", recording, "-o", tmp_path / "data.h5", "--json")
    result = json.loads(made.stdout)
    assert (result["rows"], result["episodes"], result["logs"][0]["deleted_rows"]) == (100, 2, 20)
    assert "20 deleted ones are left out" in made.stderr
    (report,) = result_of("preprocess.py", recording, "--check")["recordings"]
    assert (report["rows"], report["deleted_rows"], report["images"]["orphans"]) == (100, 20, 0)


def test_the_command_lists_and_undoes(recording):
    before = content(recording)
    result = result_of("edit", recording, "--trim", "2s", "6s")
    assert result["rows"] == 120
    assert result["deleted"] == result["changed"] == 120 - len(kept(recording)) > 50
    assert [one["kept"] for one in result["spans"]] == [False, True, False]
    assert "--undo" in run_script("edit", recording, "--delete", "40", "41").stdout
    assert "2 edits" in run_script("edit", recording).stdout
    run_script("edit", recording, "--undo")
    assert "0 deleted" in run_script("edit", recording, "--undo").stdout
    assert content(recording) == before
