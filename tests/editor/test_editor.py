"""The page of a recording over HTTP: what it shows and edits; it overwrites nobody's edits."""

import json
import os
import shutil
import signal
import subprocess
import threading
from urllib.error import HTTPError

import numpy as np
import pytest

from bcclone.editor.editor_page import Viewed, serve_page
from bcclone.editor.fault_search import FaultSearch
from bcclone.exchange.edited_tub import EditedTub
from bcclone.recording.editing import EditedRecording
from bcclone.recording.edits import DELETE, MIRROR, UNDO, Edit
from bcclone.recording.log import read_log
from bcclone.system.errors import UserError
from tests.editor.recording_page import RecordingPage, looking_at
from tests.exchange.foreign_sources import make_tub, make_tub_of_files
from tests.messages.small_recording import make_recording
from tests.processes import wait_for
from tests.running import command, result_of, run_script


class Unreadable(EditedRecording):
    """A recording whose edits fail in the thread of a search, in a way that nobody foresaw."""

    def read_edits(self):
        if threading.current_thread() is not threading.main_thread():
            raise ZeroDivisionError("odd edits")
        return super().read_edits()


def test_a_search_for_faults_that_fails_says_so_instead_of_checking_for_ever(tmp_path):
    recorded = Unreadable(make_recording(tmp_path) / "driving_log.csv")
    closed = threading.Event()
    search = FaultSearch(recorded, lambda: "1", closed)
    thread = threading.Thread(target=search.run)
    thread.start()
    try:
        wait_for(lambda: search.judgement.verdict)
        assert search.judgement.verdict == "the search for faults failed: odd edits"
    finally:
        closed.set()
        search.look_again()
        thread.join()


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (".", "monday/driving_log.csv"),
        ("driving_log.csv", "monday/driving_log.csv"),
        ("IMG/..", "monday/driving_log.csv"),
        ("../monday", "../monday/driving_log.csv"),
    ],
)
def test_the_page_names_the_folder_of_a_recording(recording, tmp_path, monkeypatch, typed, shown):
    monday = tmp_path / "monday"
    shutil.copytree(recording, monday)
    monkeypatch.chdir(monday)
    with Viewed(typed) as viewed:
        assert viewed.name == shown


def test_edits_of_others_are_seen_and_not_overwritten(recording):
    with looking_at(recording) as page, looking_at(recording) as second:
        before = page.state()["version"]
        second.edit(delete=[[3, 7]])
        assert page.state()["deleted"] == [[3, 7]]
        answer, status = page.edit(before, undo=True)
        assert status == 409
        assert answer["state"]["deleted"] == [[3, 7]]

        EditedRecording(recording / "driving_log.csv").edit([Edit(DELETE, ((10, 11),))])
        state, _ = page.edit(delete=[[20, 20]])
        assert state["deleted"] == [[3, 7], [10, 11], [20, 20]]
        state, _ = page.edit(restore=[[4, 5], [10, 10]])
        assert state["deleted"] == [[3, 3], [6, 7], [11, 11], [20, 20]]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"delete": [[0, 100_000]]}, "no row 100001"),
        ({"delete": [[-1, 3]]}, "row"),
        ({"delete": "all"}, "expected spans"),
        ({"delete": [[0, 119]]}, "would delete all"),
        ({"restore": [[0, 3]]}, "are not deleted"),
        ({"remedy": "mirrored"}, "expected an object"),
        ({"undo": True}, "no edit to undo"),
    ],
)
def test_a_wrong_wish_changes_nothing_and_says_why(recording, wish, words):
    with looking_at(recording) as page:
        answer, status = page.edit(**wish)
        assert status == 400
        assert words in answer["error"]
        assert page.state()["edits"] == 0
        for path in ("curves/1", "frames/0/120", "state/7"):
            with pytest.raises(HTTPError, match="404"):
                page.get(path)


def test_a_page_of_an_older_server_edits_nothing(recording, tmp_path):
    other = shutil.copytree(recording, tmp_path / "other")
    with looking_at(recording) as page:
        version = page.state()["version"]
    with looking_at(other) as page:
        _, status = page.edit(version, delete=[[0, 50]])
        assert status == 409
        assert page.state()["edits"] == 0


def test_a_remedy_is_taken_once(faulty):
    with looking_at(faulty) as page:
        page.checked()
        version = page.state()["version"]
        _, first = page.edit(version, remedy="mirrored")
        _, again = page.edit(version, remedy="mirrored")
        page.checked()
        _, of_mended_fault = page.edit(remedy="mirrored")
        assert (first, again, of_mended_fault) == (200, 409, 400)
        assert page.state()["steering"] == "mirrored"


def test_the_page_says_which_fault_is_worst_and_what_to_record_next_as_the_terminal_does(faulty):
    with looking_at(faulty) as page:
        check = page.checked()
        assert [finding["fault"] for finding in check["findings"]] == ["mirrored", "frozen"]
        assert check["worst"] == "mirrored"  # of all rows
        assert check["record_next"] == []  # nothing can be used, so it is mended first
        page.edit(remedy="mirrored")
        check = page.checked()
        assert check["worst"] == "frozen"
        assert check["record_next"]
        checked = result_of("preprocess", faulty, "--check", code=1)
        assert check["record_next"] == checked["record_next"]
        assert check["unknown"] == checked["recordings"][0]["diagnosis"]["unknown"]


def test_what_breaks_while_the_page_is_open_is_said(recording, untrained_model):
    log = recording / "driving_log.csv"
    with looking_at(recording, model=untrained_model) as page:
        page.checked()
        edits = recording / "driving_log.edits.json"
        edits.write_text("{")
        wait_for(lambda: "edits.json" in page.state()["check"]["verdict"])
        edits.unlink()
        wait_for(lambda: "edits.json" not in page.state()["check"]["verdict"])
        with log.open("a") as file:
            file.write(log.read_text().splitlines()[-1] + "\n")
        page.edit(delete=[[1, 2]])
        wait_for(lambda: "the log has changed" in page.state()["check"]["verdict"])


def test_the_page_of_two_recordings_shows_the_curves_pictures_and_model_of_each(
    recording, untrained_model, tmp_path
):
    second = shutil.copytree(recording, tmp_path / "run")
    with looking_at(recording, second, model=untrained_model) as page:
        first_panel, second_panel = page.json("panels")
        assert first_panel["rows"] == 120
        assert first_panel["cameras"] == ["center", "left", "right"]
        assert second_panel["name"] == str(second / "driving_log.csv")

        wait_for(lambda: page.state(1)["model"]["apart"])
        curves = page.curves(1)
        rows = read_log(second / "driving_log.csv").rows
        assert np.allclose(curves["steering"], rows["steering"], atol=1e-6)
        assert np.allclose(curves["speed"], rows["speed_mph"], atol=1e-4)
        assert np.isfinite(curves["model"]).all()

        worst = page.state(1)["model"]["apart"][0]
        differences = np.abs(curves["model"] - curves["steering"])
        mean = differences[worst["first"] : worst["last"] + 1].mean()
        assert mean == pytest.approx(worst["difference"], abs=0.002)

        data = page.get("frames/0/7")
        begin = 4 + int.from_bytes(data[:4], "big")
        size, *_ = json.loads(data[4:begin])["pictures"]
        image = read_log(recording / "driving_log.csv").rows["center"][7]
        assert data[begin : begin + size] == (recording / "IMG" / image).read_bytes()


def test_a_recording_is_on_its_page_while_the_model_is_read(recording, untrained_model, tmp_path):
    seen = []

    def look(line):
        """Look at the page before the model is read, which follows this line."""
        if "look at" in line:
            page = RecordingPage(line.split()[5].rstrip(";"))
            seen.append((page.json("panels"), page.state(), page.curves(), page.get("frames/0/7")))
            stop.set()

    stop = threading.Event()
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(untrained_model.read_bytes()[:5000])
    serve_page([str(recording)], damaged, 0, False, look, stop)
    (((panel,), state, curves, picture),) = seen
    assert panel["model"] == "damaged.h5"
    assert (state["model"]["done"], state["model"]["of"]) == (0, 120)
    assert len(curves["steering"]) == 120
    assert np.isnan(curves["model"]).all()
    assert len(picture) > 1000


def test_a_recording_can_be_edited_where_the_model_cannot_be_read(recording, tmp_path):
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(b"no model")
    with looking_at(recording, model=damaged) as page:
        wait_for(lambda: page.state()["model"]["error"])
        model = page.state()["model"]
        assert model["error"].startswith("cannot be read: ")
        assert "damaged.h5" in model["error"]
        assert (model["done"], model["of"]) == (0, 0)
        page.edit(delete=[[3, 5]])
        assert page.state()["deleted"] == [[3, 5]]


def test_a_tub_keeps_its_own_list_of_deleted_records(tmp_path):
    tub = make_tub(tmp_path / "tub", rows=30, deleted=[2, 3], **{"user/angle": 0.1})
    before = (tub / "manifest.json").read_bytes().splitlines()
    with looking_at(tub) as page:
        assert page.json("panels")[0]["kind"] == "tub"
        assert page.state()["deleted"] == [[2, 3]]
        page.edit(delete=[[10, 12]])
        *head, last = (tub / "manifest.json").read_bytes().splitlines()
        *head_before, last_before = before
        assert head == head_before
        expected = json.loads(last_before) | {"deleted_indexes": [2, 3, 10, 11, 12]}
        assert json.loads(last) == expected

        # as donkeycar does
        rewritten = json.dumps(json.loads(last) | {"deleted_indexes": [5]}).encode()
        (tub / "manifest.json").write_bytes(b"\n".join([*head, rewritten]) + b"\n")
        assert page.state()["deleted"] == [[5, 5]]
        answer, status = page.edit(undo=True)
        assert status == 400  # what donkeycar did stays
        assert "keeps no history" in answer["error"]
        assert page.state()["deleted"] == [[5, 5]]
        page.edit(delete=[[7, 8]])
        state, _ = page.edit(restore=[[5, 8]])
        assert state["deleted"] == []
        for deleted in ([[5, 5], [7, 8]], [[5, 5]]):
            state, _ = page.edit(undo=True)
            assert state["deleted"] == deleted
        assert page.curves()["record"].tolist() == list(range(30))
    assert result_of("edit", tub, "--restore", "6", "6")["deleted"] == 0
    assert result_of("import", tub, "-o", tmp_path / "out")["deleted"] == 0
    with pytest.raises(UserError, match="keeps no history"):
        EditedTub(tub).edit([Edit(UNDO)])
    with pytest.raises(UserError, match="tub.*deleted records"):
        EditedTub(tub).edit([Edit(MIRROR)])


def test_a_tub_is_checked_as_a_recording_is(faulty, tmp_path):
    run_script("export", faulty, "-o", tmp_path / "tub", "--to", "tub")
    with looking_at(faulty) as page:
        of_recording = {item["fault"]: item["rows"] for item in page.checked()["findings"]}
    with looking_at(tmp_path / "tub") as page:
        check = page.checked()
        findings = {item["fault"]: item for item in check["findings"]}
        assert {fault: item["rows"] for fault, item in findings.items()} == of_recording
        # a tub keeps no correction of its steering
        assert not findings["mirrored"]["button"]
        assert "import" in findings["mirrored"]["advice"]
        state, status = page.edit(remedy="frozen")
        assert status == 200
        assert state["deleted"] == of_recording["frozen"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_manifest_keeps_its_permissions_and_broken_records_are_said(tmp_path):
    def angle(index):
        return None if index == 4 else 0.1

    tub = make_tub(tmp_path / "tub", rows=10, **{"user/angle": angle})
    manifest = tub / "manifest.json"
    manifest.chmod(0o640)
    told = run_script("edit", tub, "--delete", "1", "2")
    assert "9 rows" in told.stdout
    assert "--undo" not in told.stdout
    assert "1 records cannot be used" in told.stderr
    assert manifest.stat().st_mode & 0o777 == 0o640
    *head, last = manifest.read_bytes().splitlines()
    manifest.write_bytes(b"\n".join([*head, last.replace(b"[0, 1]", b'["a"]')]))
    assert "deleted index" in run_script("edit", tub, code=1).stderr


def test_records_of_one_time_are_deleted_one_by_one(tmp_path):
    def time_ms(index):
        step = 4 if index == 5 else index
        return 1_767_225_600_000 + 50 * step

    tub = make_tub(tmp_path / "tub", rows=10, **{"user/angle": 0.1, "_timestamp_ms": time_ms})
    assert result_of("edit", tub, "--delete", "6", "6")["deleted"] == 1
    *_, last = (tub / "manifest.json").read_text().splitlines()
    assert json.loads(last)["deleted_indexes"] == [5]


def test_a_tub_of_record_files_has_its_list_in_exclude_json(tmp_path):
    tub = make_tub_of_files(tmp_path / "tub", numbers=range(1, 12))
    assert EditedTub(tub).edit([Edit(DELETE, ((1, 2),))]).deleted == 2
    assert json.loads((tub / "exclude.json").read_text()) == [2, 3]
    assert EditedTub(tub).edit().deleted == 2


def test_without_a_terminal_the_rows_are_listed(recording):
    assert "120 kept" in run_script("edit", recording).stdout
    page_and_edit = run_script("edit", recording, "--page", "--undo", code=2)
    assert "the page edits by itself" in page_and_edit.stderr


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["--no-browser"], ["--delete", "1", "2"]])
def test_at_a_terminal_with_a_browser_the_page_opens_unless_the_user_says_otherwise(
    recording, tmp_path, more
):
    pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > "{opened}"\n')
    browser.chmod(0o755)
    terminal, child = pty.openpty()
    settings = os.environ | {"DISPLAY": ":0", "BROWSER": f"{browser} %s"}
    line = command("edit", recording, *more)
    with subprocess.Popen(line, stdin=child, stdout=child, env=settings) as process:
        os.close(child)
        try:
            if more:
                assert process.wait(60) == 0
                assert "120 rows" in os.read(terminal, 10_000).decode()
            else:
                address = wait_for(lambda: opened.exists() and opened.read_text())
                assert address.startswith("http://127.0.0.1:")
                process.send_signal(signal.SIGINT)
                assert process.wait(60) == 0
            assert opened.exists() == (not more)
        finally:
            process.kill()
            os.close(terminal)
