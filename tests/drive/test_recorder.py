"""A run folder is a recording: complete frames, a valid log, and nothing lost of an earlier run."""

import shutil
import threading
from contextlib import nullcontext, suppress
from dataclasses import replace

import numpy as np
import pytest

from bcclone.camera.framing import FRAMING_NAME, Framing, read_framing
from bcclone.camera.images import encode_jpeg
from bcclone.drive.drive import serve_policy
from bcclone.drive.drive_settings import DriveSettings
from bcclone.drive.driver import Decision
from bcclone.drive.protocol import Control, Telemetry
from bcclone.drive.run_writer import record_decision, run_recorder
from bcclone.recording.log import read_log
from bcclone.recording.run_folder import Recorder, RecordingWriter, locked_run
from bcclone.recording.run_tables import BY_MODEL, HUMAN, DrivenBy, read_answers, read_drivers
from bcclone.system.errors import UserError
from tests.drive.drive_server import Constant
from tests.processes import full_disk, wait_for

FRAMES = [encode_jpeg(np.full((160, 320, 3), value, np.uint8)) for value in range(0, 250, 10)]
TELEMETRY = Telemetry(0.0, 0.0, 1.0, FRAMES[0])
CONTROL = Control(0.1, 0.0)


def row(telemetry=TELEMETRY, control=CONTROL, by=BY_MODEL):
    """Return a decision to record."""
    return Decision(telemetry, control, 0.1, 25.0, by=by)


def record(folder):
    with run_recorder(folder) as recorder:
        for number, frame in enumerate(FRAMES):
            throttle = -0.5 if number % 2 else 0.5
            control = Control(number / 100, throttle)
            record_decision(
                recorder, row(telemetry=Telemetry(-2.5, 0.7, 12.25, frame), control=control)
            )
    return recorder.state()


def test_two_drives_never_record_into_one_folder_at_the_same_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run1"
    settings = DriveSettings(tmp_path / "model.h5", folder)
    with locked_run(folder), run_recorder(folder) as recorder:
        record_decision(recorder, row())
        with pytest.raises(UserError, match=r"run1: process \d+ .*another folder"):
            serve_policy(Constant(), settings)
    with run_recorder() as recorder:
        recorder.turn(True)
        begun = recorder.folder
        with pytest.raises(UserError, match=begun.name), locked_run(begun):
            pass
    with locked_run(begun):  # free again
        pass
    assert len(read_log(folder / "driving_log.csv").rows) == 1


def test_a_run_is_a_recording_of_one_camera(tmp_path):
    state = record(tmp_path / "run1")
    assert (state["recorded"], state["dropped"]) == (25, 0)
    log = read_log(tmp_path / "run1" / "driving_log.csv")
    assert log.bad_rows == ()
    assert log.dialect.cameras == ("center",)
    assert log.dialect.extra_columns == 2
    assert log.rows["steering"].tolist() == [number / 100 for number in range(25)]
    assert log.rows["throttle"].tolist()[:2] == [0.5, 0.0]
    assert log.rows["brake"].tolist()[:2] == [0.0, 0.5]
    assert set(log.rows["speed_mph"]) == {12.25}
    lines = (tmp_path / "run1" / "driving_log.csv").read_text().splitlines()
    assert {",".join(line.split(",")[7:]) for line in lines} == {"-2.5000,0.7000"}


def test_a_run_is_never_overwritten(tmp_path):
    record(tmp_path / "run1")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run1").iterdir()}
    with pytest.raises(UserError, match="run1-2"), run_recorder(tmp_path / "run1"):
        pass
    assert {path.name: path.read_bytes() for path in (tmp_path / "run1").iterdir()} == before


@pytest.mark.parametrize("size", [0, 10, 40, 60])  # of headers, of a frame
def test_a_full_disk_leaves_no_run_that_the_same_command_refuses_when_there_is_room(tmp_path, size):
    with full_disk(size), suppress(UserError):
        assert record(tmp_path / "run1")["recorded"] == 0
    assert record(tmp_path / "run1")["recorded"] == len(FRAMES)
    assert len(read_log(tmp_path / "run1" / "driving_log.csv").rows) == len(FRAMES)


PICTURE = encode_jpeg(np.zeros((120, 160, 3), np.uint8))
OF_THE_CAR = row(telemetry=replace(TELEMETRY, jpeg=PICTURE))


@pytest.mark.parametrize("size", [0, 10, 500])  # of framing.json, of a frame
def test_a_full_disk_leaves_the_folder_of_a_framed_drive_free(tmp_path, size):
    framing = Framing(160, 120)
    for space in (full_disk(size), nullcontext()):
        with space, run_recorder(tmp_path / "run1", framing=framing) as recorder:
            record_decision(recorder, OF_THE_CAR)
        expected = 0 if recorder.failure else 1
        assert recorder.recorded == expected
    assert recorder.recorded == 1
    assert read_framing(tmp_path / "run1" / FRAMING_NAME) == framing


def test_each_latency_and_driver_is_that_of_its_own_frame(tmp_path):
    drivers = [BY_MODEL, DrivenBy(HUMAN, 1), DrivenBy(HUMAN)]
    with run_recorder(tmp_path / "run1") as recorder:
        record_decision(recorder, replace(row(), frame_readable=False), 9.0)
        for seconds, by in zip((1.25, None, 0.25), drivers, strict=True):  # the second had left
            record_decision(recorder, row(by=by), seconds)
    names = read_log(tmp_path / "run1" / "driving_log.csv").rows["center"].tolist()
    assert read_answers(tmp_path / "run1") == {names[0]: 1250.0, names[2]: 250.0}
    assert read_drivers(tmp_path / "run1") == dict(zip(names, drivers, strict=True))


def test_times_of_rows_do_not_follow_a_clock_that_is_set(tmp_path):
    """Rows have the monotonic time of their frame, which a clock that is set back or forth does not
    change.
    """
    with run_recorder(tmp_path / "run1") as recorder:
        for taken in (100.0, 100.5, 100.4, 100.4, 101.0):
            recorder.record(lambda writer, taken=taken: writer.record(row(), None, taken))
    times = read_log(tmp_path / "run1" / "driving_log.csv").rows.time_ms
    assert np.diff(times).tolist() == pytest.approx([500, 1, 1, 498], abs=1)


def test_a_folder_that_disappears_ends_the_recording_with_the_reason(tmp_path):
    with run_recorder(tmp_path / "run1") as recorder:
        shutil.rmtree(tmp_path / "run1")
        for _ in range(5):
            record_decision(recorder, row())
    state = recorder.state()
    assert (state["recorded"], state["on"]) == (0, False)
    assert state["dropped"] >= 1
    assert "No such file" in state["failure"]


def test_switching_recording_on_makes_a_run_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with run_recorder(None) as switch, run_recorder(None) as other:
        record_decision(switch, row())
        assert (switch.folder, list(tmp_path.iterdir())) == (None, [])
        for on in (True, False, True):
            switch.turn(on)
            record_decision(switch, row())
        other.turn(True)
        assert switch.folder != other.folder  # also in the same second
    folder = switch.folder
    assert folder.name.startswith("run-20")
    state = {"on": False, "folder": folder.name, "recorded": 2, "dropped": 0, "failure": ""}
    assert switch.state() == state
    assert len(read_log(folder / "driving_log.csv").rows) == 2


def test_rows_that_the_disk_cannot_take_are_dropped_and_counted(tmp_path):
    free = threading.Event()
    written = []

    def writing(number):
        def write(writer):
            free.wait(60)
            written.append(number)

        return write

    with Recorder(lambda held: RecordingWriter(tmp_path), most_waiting=256) as recorder:
        recorder.record(writing(-1))  # it is off
        recorder.turn(True)
        for number in range(300):
            recorder.record(writing(number))
        free.set()
    assert recorder.recorded + recorder.dropped == 300
    assert recorder.dropped in (43, 44)  # one row may be on its way to the disk
    assert written == list(range(recorder.recorded))


def test_an_unforeseen_error_turns_the_recorder_off_and_it_can_be_turned_on_again(tmp_path):
    def fail(writer):
        raise ZeroDivisionError("an odd row")

    with Recorder(lambda held: RecordingWriter(tmp_path)) as recorder:
        recorder.turn(True)
        recorder.record(fail)
        wait_for(lambda: not recorder.on)
        assert "an odd row" in recorder.failure
        recorder.turn(True)
        recorder.record(lambda writer: None)
    assert (recorder.recorded, recorder.dropped, recorder.failure) == (1, 1, "")
