"""The page of a recording over HTTP: what it shows, what it edits, and that it overwrites nobody's
edits.
"""

import json
import os
import shutil
import signal
import subprocess
import threading
from contextlib import contextmanager
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest

from bcclone.editor.editor_page import serve_page
from bcclone.editor.fault_search import FaultSearch
from bcclone.editor.page_settings import PageSettings
from bcclone.editor.viewed import Viewed
from bcclone.exchange.edited_tub import EditedTub
from bcclone.recording.edit_settings import EditSettings
from bcclone.recording.editing import EditedRecording, edit
from bcclone.recording.edits import DELETE, MIRROR, UNDO, Edit
from bcclone.recording.log import read_log
from bcclone.system.errors import UserError
from tests.conftest import command, made_once, result_of, run_script
from tests.exchange.foreign_sources import make_tub, make_tub_of_files
from tests.messages.small_recording import make_recording
from tests.processes import wait_for


@pytest.fixture(scope="session")
def faulty_drive(tmp_path_factory):
    """A recording of a winding road, 25 s, mirrored, whose rows 100 to 140 show one picture. Not to
    be changed.
    """

    def make(folder):
        road = "random:12:shape=winding"
        run_script(
            "simulate",
            "record",
            folder,
            "--road",
            road,
            "--laps",
            "0.4",
            "--recoveries",
            "0",
            "--quiet",
        )
        log = folder / "driving_log.csv"
        lines = [line.split(",") for line in log.read_text().splitlines()]
        for cells in lines:
            cells[3] = repr(-float(cells[3]))
        log.write_text("".join(",".join(cells) + "\n" for cells in lines))
        for cells in lines[100:140]:
            for of_row, frozen in zip(cells[:3], lines[99][:3], strict=True):
                shutil.copy(folder / frozen.strip(), folder / of_row.strip())

    return made_once(tmp_path_factory, "faulty_drive", make)


@pytest.fixture
def faulty(faulty_drive, tmp_path):
    return shutil.copytree(faulty_drive, tmp_path / "faulty")


class Page:
    """A page without a browser."""

    def __init__(self, url):
        self.url = url

    def get(self, path):
        with urlopen(f"{self.url}{path}") as answer:
            return answer.read()

    def json(self, path):
        return json.loads(self.get(path))

    def state(self, panel=0):
        return self.json(f"state/{panel}")

    def edit(self, version=None, panel=0, **wish):
        """Ask for an edit; return the answer and its status."""
        body = json.dumps({"version": version or self.state(panel)["version"], **wish}).encode()
        try:
            with urlopen(
                Request(f"{self.url}edit/{panel}", body, {"Content-Type": "application/json"})
            ) as answer:
                return json.loads(answer.read()), answer.status
        except HTTPError as error:
            return json.loads(error.read()), error.code

    def checked(self):
        """Return what the check finds, when it has ended."""
        return wait_for(
            lambda: (check := self.state()["check"])["verdict"] and not check["stale"] and check
        )

    def curves(self, panel=0):
        data = self.get(f"curves/{panel}")
        end = 4 + int.from_bytes(data[:4], "big")
        curves = {}
        for name, kind, count in json.loads(data[4:end])["columns"]:
            curves[name], end = np.frombuffer(data, f"<{kind}", count, end), end + 4 * count
        return curves


@contextmanager
def looking(*recordings, model=None):
    """Serve the page of recordings within the block."""
    lines, stop = [], threading.Event()
    page = PageSettings(*map(str, recordings[1:]), model=model)
    server = threading.Thread(
        target=serve_page, args=(str(recordings[0]), page, False, lines.append, stop)
    )
    server.start()
    try:
        yield Page(
            wait_for(
                lambda: next(
                    (line.split()[5].rstrip(";") for line in lines if "look at" in line), None
                )
            )
        )
    finally:
        stop.set()
        server.join(30)
        assert not server.is_alive()


class Unreadable(EditedRecording):
    """A recording whose edits fail in the thread of a search, in a way that nobody foresaw."""

    def read_edits(self):
        if threading.current_thread() is not threading.main_thread():
            raise ZeroDivisionError("odd edits")
        return super().read_edits()


def test_a_search_for_faults_that_fails_says_so_instead_of_checking_for_ever(tmp_path):
    recorded = Unreadable(make_recording(tmp_path) / "driving_log.csv")
    search = FaultSearch(recorded, lambda: "1")
    try:
        wait_for(lambda: search.judgement.verdict)
        assert search.judgement.verdict == "the search for faults failed: odd edits"
    finally:
        search.close()


def store_of(recording):
    """Return the bytes of the store that is made of a recording."""
    store = recording.parent / "data.h5"
    run_script("preprocess.py", recording, "-o", store, "--size", "16", "--force", "--quiet")
    return store.read_bytes()


def edited_by_commands(recording, *lines):
    """Return the same after the edits of the command line instead of those that it has."""
    (recording / "driving_log.edits.json").unlink()
    for line in lines:
        run_script("edit", recording, *line)
    return store_of(recording)


def test_the_page_mends_what_check_finds_as_the_command_does(faulty):
    with looking(faulty) as page:
        check = page.checked()
        buttons = {one["fault"]: one for one in check["findings"]}
        assert {"mirrored", "frozen"} <= buttons.keys()
        assert buttons["frozen"]["rows"][0][0] == pytest.approx(100, abs=1)
        for fault in ("frozen", "mirrored"):
            page.checked()
            state, status = page.edit(remedy=fault)
            assert status == 200
        assert "mirrored" in state["steering"]
        assert page.checked()["findings"] == []
        assert page.edit(delete=[[0, 4], [20, 29]])[1] == page.edit(delete=[[50, 59]])[1] == 200
        assert page.edit(undo=True)[0]["deleted"][:2] == [[0, 4], [20, 29]]
        kept = page.state()["kept"]
    assert kept == len(read_log(faulty / "driving_log.csv").rows)
    first, last = buttons["frozen"]["rows"][0]
    edits = (
        ["--delete", first + 1, last + 1],
        ["--mirror-steering"],
        ["--delete", 1, 5, "--delete", 21, 30],
    )
    assert store_of(faulty) == edited_by_commands(faulty, *edits)


def test_edits_of_others_are_seen_and_not_overwritten(recording):
    with looking(recording) as page, looking(recording) as second:
        before = page.state()["version"]
        second.edit(delete=[[3, 7]])
        assert page.state()["deleted"] == [[3, 7]]
        answer, status = page.edit(before, undo=True)
        assert status == 409
        assert answer["state"]["deleted"] == [[3, 7]]
        edit(EditSettings(str(recording), delete=("11", "12")))
        assert page.edit(delete=[[20, 20]])[0]["deleted"] == [[3, 7], [10, 11], [20, 20]]
        assert page.edit(restore=[[4, 5], [10, 10]])[0]["deleted"] == [
            [3, 3],
            [6, 7],
            [11, 11],
            [20, 20],
        ]


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
    with looking(recording) as page:
        answer, status = page.edit(**wish)
        assert status == 400
        assert words in answer["error"]
        assert page.state()["edits"] == 0
        for path in ("curves/1", "frames/0/120", "state/7"):
            with pytest.raises(HTTPError, match="404"):
                page.get(path)


def test_a_page_of_an_older_server_edits_nothing(recording, tmp_path):
    other = shutil.copytree(recording, tmp_path / "other")
    with looking(recording) as page:
        version = page.state()["version"]
    with looking(other) as page:
        assert page.edit(version, delete=[[0, 50]])[1] == 409
        assert page.state()["edits"] == 0


def test_a_remedy_is_taken_once(faulty):
    with looking(faulty) as page:
        page.checked()
        version = page.state()["version"]
        assert page.edit(version, remedy="mirrored")[1] == 200
        assert page.edit(version, remedy="mirrored")[1] == 409
        page.checked()
        assert page.edit(remedy="mirrored")[1] == 400
        assert page.state()["steering"] == "mirrored"


def test_what_breaks_while_the_page_is_open_is_said(recording, untrained_model):
    log = recording / "driving_log.csv"
    with looking(recording, model=untrained_model) as page:
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


def test_a_model_that_fails_is_said(recording):
    viewed = Viewed(str(recording), policy=object())  # which is no policy
    try:
        model = wait_for(lambda: (model := viewed.state()["model"])["error"] and model)
        assert model["error"].startswith("it fails: ")
        assert model["of"] == 0
    finally:
        viewed.close()


def test_two_recordings_with_their_curves_pictures_and_a_model(
    recording, untrained_model, tmp_path
):
    second = shutil.copytree(recording, tmp_path / "run")
    with looking(recording, second, model=untrained_model) as page:
        first, other = page.json("panels")
        assert (first["rows"], first["cameras"]) == (120, ["center", "left", "right"])
        assert other["name"] == str(second / "driving_log.csv")
        state = wait_for(lambda: (state := page.state(1))["model"]["apart"] and state)
        curves, rows = page.curves(1), read_log(second / "driving_log.csv").rows
        assert np.allclose(curves["steering"], rows["steering"], atol=1e-6)
        assert np.allclose(curves["speed"], rows["speed_mph"], atol=1e-4)
        assert np.isfinite(curves["model"]).all()
        differences = np.abs(curves["model"] - curves["steering"])
        worst = state["model"]["apart"][0]
        assert differences[worst["first"] : worst["last"] + 1].mean() == pytest.approx(
            worst["difference"], abs=0.002
        )
        data = page.get("frames/0/7")
        end = 4 + int.from_bytes(data[:4], "big")
        (size, *_) = json.loads(data[4:end])["pictures"]
        assert (
            data[end : end + size]
            == (
                recording / "IMG" / read_log(recording / "driving_log.csv").rows["center"][7]
            ).read_bytes()
        )


def test_a_tub_keeps_its_own_list_of_deleted_records(tmp_path):
    tub = make_tub(tmp_path / "tub", rows=30, deleted=[2, 3], **{"user/angle": 0.1})
    before = (tub / "manifest.json").read_bytes().splitlines()
    with looking(tub) as page:
        assert page.json("panels")[0]["kind"] == "tub"
        assert page.state()["deleted"] == [[2, 3]]
        page.edit(delete=[[10, 12]])
        manifest = (tub / "manifest.json").read_bytes().splitlines()
        assert manifest[:-1] == before[:-1]
        assert json.loads(manifest[-1]) == json.loads(before[-1]) | {
            "deleted_indexes": [2, 3, 10, 11, 12]
        }
        rewritten = json.dumps(
            json.loads(manifest[-1]) | {"deleted_indexes": [5]}
        ).encode()  # as donkeycar does
        (tub / "manifest.json").write_bytes(b"\n".join([*manifest[:-1], rewritten]) + b"\n")
        assert page.state()["deleted"] == [[5, 5]]
        assert page.edit(undo=True)[0]["deleted"] == [[5, 5]]  # what donkeycar did stays
        assert page.curves()["record"].tolist() == list(range(30))
    assert result_of("edit", tub, "--restore", "6", "6")["deleted"] == 0
    assert result_of("import", tub, "-o", tmp_path / "out")["deleted"] == 0
    with pytest.raises(UserError, match="keeps no history"):
        EditedTub(tub).edit([Edit(UNDO)])
    with pytest.raises(UserError, match="cannot be corrected in place"):
        EditedTub(tub).edit([Edit(MIRROR)])


def test_what_was_deleted_of_a_tub_is_taken_back_while_it_is_open(tmp_path):
    recorded = EditedTub(make_tub(tmp_path / "tub", rows=10, **{"user/angle": 0.1}))
    for _ in range(2):
        recorded.edit([Edit(DELETE, ((1, 3),))])
        assert recorded.edit([Edit(DELETE, ((7, 7),))]).deleted == 4
        assert recorded.edit([Edit(UNDO)]).deleted == 3
        assert recorded.edit([Edit(UNDO)]).edits == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_manifest_keeps_its_permissions_and_broken_records_are_said(tmp_path):
    tub = make_tub(
        tmp_path / "tub", rows=10, **{"user/angle": lambda index: None if index == 4 else 0.1}
    )
    manifest = tub / "manifest.json"
    manifest.chmod(0o640)
    told = run_script("edit", tub, "--delete", "1", "2")
    assert "9 rows" in told.stdout
    assert "--undo" not in told.stdout
    assert "1 records cannot be used" in told.stderr
    assert manifest.stat().st_mode & 0o777 == 0o640
    *others, last = manifest.read_bytes().splitlines()
    manifest.write_bytes(b"\n".join([*others, last.replace(b"[0, 1]", b'["a"]')]))
    assert "deleted index" in run_script("edit", tub, code=1).stderr


def test_records_of_one_time_are_deleted_one_by_one(tmp_path):
    times = {"_timestamp_ms": lambda index: 1_767_225_600_000 + 50 * (index - (index == 5))}
    tub = make_tub(tmp_path / "tub", rows=10, **{"user/angle": 0.1}, **times)
    assert result_of("edit", tub, "--delete", "6", "6")["deleted"] == 1
    assert json.loads((tub / "manifest.json").read_text().splitlines()[-1])["deleted_indexes"] == [
        5
    ]


def test_a_tub_of_record_files_has_its_list_in_exclude_json(tmp_path):
    tub = make_tub_of_files(tmp_path / "tub", numbers=range(1, 12))
    assert EditedTub(tub).edit([Edit(DELETE, ((1, 2),))]).deleted == 2
    assert json.loads((tub / "exclude.json").read_text()) == [2, 3]
    assert EditedTub(tub).edit().deleted == 2


def test_without_a_terminal_the_rows_are_listed(recording):
    assert "120 kept" in run_script("edit", recording).stdout
    assert "add --page" in run_script("edit", recording, recording, code=2).stderr
    assert (
        "the page edits by itself"
        in run_script("edit", recording, "--page", "--undo", code=2).stderr
    )


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
    with subprocess.Popen(
        command("edit", recording, *more), stdin=child, stdout=child, env=settings
    ) as process:
        os.close(child)
        try:
            if more:
                assert process.wait(60) == 0
                assert "120 rows" in os.read(terminal, 10_000).decode()
            else:
                assert wait_for(lambda: opened.exists() and opened.read_text()).startswith(
                    "http://127.0.0.1:"
                )
                process.send_signal(signal.SIGINT)
                assert process.wait(60) == 0
            assert opened.exists() == (not more)
        finally:
            process.kill()
            os.close(terminal)
