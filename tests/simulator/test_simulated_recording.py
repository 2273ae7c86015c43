"""Recordings that the simulator makes: the Unity program's format to the letter, reproducible,
whole after any end.
"""

import csv
import re
import signal

import numpy as np
import pytest
import simplejpeg

from bcclone.recording.log import read_log
from bcclone.recording.row import EPISODE_GAP_MS
from bcclone.recording.run_tables import read_trace
from bcclone.simulator.car import TrackedCar
from bcclone.simulator.expert import Expert, record
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import ExpertSettings, RecordSettings
from tests.processes import on_a_full_disk, said, started
from tests.running import command, run_script

NUMBER = r"-?\d+(\.\d+)?(E-\d\d)?"
ROW = re.compile(
    rf"(/[^,]+/IMG/(center|left|right)_\d{{4}}(_\d\d){{5}}_\d{{3}}\.jpg,){{3}}{NUMBER}(,{NUMBER}){{3}}"
)


def test_a_recording_has_the_format_of_the_unity_program(simulated_recording):
    lines = (simulated_recording / "driving_log.csv").read_text().splitlines()
    assert len(lines) == 120
    assert all(ROW.fullmatch(line) for line in lines)
    for row in csv.reader(lines[::30]):
        for path, camera in zip(row[:3], ("center", "left", "right"), strict=True):
            assert f"/{camera}_" in path
            data = (simulated_recording / "IMG" / path.rpartition("/")[2]).read_bytes()
            height, width, _, subsampling = simplejpeg.decode_jpeg_header(data)
            assert (width, height, subsampling) == (320, 160, "420")
            assert data[:2] == b"\xff\xd8"
            assert 6_000 < len(data) < 30_000
    steering, throttle, brake, speed = np.array([row[3:] for row in csv.reader(lines)], float).T
    assert np.abs(steering).max() <= 1
    assert speed[0] < 1
    assert 28 < speed.max() < 30.5
    assert ((throttle >= 0) & (throttle <= 1) & (brake >= 0) & (brake <= 1)).all()


def test_the_trace_is_written_beside_the_log(simulated_recording):
    log = read_log(simulated_recording / "driving_log.csv")
    trace = read_trace(simulated_recording)
    points = [trace[name] for name in log.rows["center"]]
    times = log.rows["time_ms"].to_numpy() / 1000
    assert np.allclose(np.diff(times), np.diff([point.seconds for point in points]), atol=0.002)
    track = load_track("lake")
    for point in points[::20]:
        assert point.track == "lake"
        position = track.locate(point.x_m, 2.0, point.z_m)
        assert position.cross_track_m == pytest.approx(point.cross_track_m, abs=0.05)


def test_fewer_rows_a_second_are_rows_of_the_same_drive(tmp_path):
    """Five rows a second are every third row of the usual fifteen, of one drive without a pause."""
    record(tmp_path / "all", RecordSettings(laps=0.02, recoveries=0))
    record(tmp_path / "some", RecordSettings(laps=0.02, recoveries=0, rows_per_second=5))
    every, some = (read_log(tmp_path / name / "driving_log.csv").rows for name in ("all", "some"))
    assert len(some) == len(every[::3])
    assert np.abs(some["speed_mph"].to_numpy() - every["speed_mph"].to_numpy()[::3]).max() < 0.3
    assert some["episode"].max() == 0


def test_keyboard_steering_comes_in_steps_and_is_mostly_zero():
    track = load_track("lake")
    tracked = TrackedCar(track)
    keys = Expert(track, ExpertSettings(steering="keyboard"), 0)
    steering = []
    for _ in range(4000):
        tracked.car.control(*keys.control(tracked.car, tracked.position))
        steering.append(tracked.car.steering)
        tracked.step()
    steering = np.array(steering)
    assert 0.5 < (steering == 0).mean() < 0.85  # 0.72 in a recorded log
    assert np.abs(steering * 20 - np.rint(steering * 20)).max() < 1e-6


def test_of_a_recovery_only_the_way_back_is_recorded_as_an_episode_of_its_own():
    """No pause is so short that frames from before it would be taken for earlier frames of those
    after it.
    """
    track = load_track("lake")
    tracked = TrackedCar(track)
    expert = Expert(track, ExpertSettings(recoveries=20, speed_mph=20), seed=1)
    begun = []
    recorded = 0
    paused = 0
    pauses = []
    for _ in range(6000):
        tracked.car.control(*expert.control(tracked.car, tracked.position))
        if expert.recording and paused:
            begun.append(abs(tracked.position.cross_track_m))
            pauses.append(paused * 0.02)
        paused = 0 if expert.recording else paused + 1
        recorded += expert.recording
        tracked.step()
        assert abs(tracked.position.cross_track_m) < tracked.position.limit_m
    assert len(begun) > 12
    assert np.median(begun) > 0.7
    assert 0.6 < recorded / 6000 < 0.95
    assert min(pauses) * 1000 > EPISODE_GAP_MS + 200


def test_a_folder_that_holds_something_is_refused_and_kept(recording):
    before = (recording / "driving_log.csv").read_bytes()
    refused = run_script("simulate", "record", recording, code=1).stderr
    assert "is not new or empty" in refused
    assert (recording / "driving_log.csv").read_bytes() == before


def complete_rows(folder):
    """Return the rows of a recording, all of whose images must be there and be whole, and no
    others.
    """
    log = read_log(folder / "driving_log.csv")
    assert log.bad_rows == ()
    names = {
        path.rpartition("/")[2]
        for camera in ("center", "left", "right")
        for path in log.rows[camera]
    }
    assert {path.name for path in (folder / "IMG").iterdir()} == names
    for name in names:
        simplejpeg.decode_jpeg((folder / "IMG" / name).read_bytes())
    return len(log.rows)


@pytest.mark.slow
def test_a_full_disk_ends_with_a_message_and_keeps_complete_rows(tmp_path):
    line = on_a_full_disk(command("simulate", "record", tmp_path / "rec", "--laps", 0.2), 21_000)
    done = said(*line)
    assert done.returncode == 1
    found = re.search(
        r"error: .*: cannot write: File too large; the (\d+) rows recorded so far are complete",
        done.stderr,
    )
    assert found, done.stderr
    assert "Traceback" not in done.stderr
    assert complete_rows(tmp_path / "rec") == int(found[1]) > 10


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_recorded(tmp_path):
    log = tmp_path / "rec" / "driving_log.csv"
    line = command("simulate", "record", tmp_path / "rec", "--laps", 5)
    with started(line, lambda: log.exists() and log.read_bytes().count(b"\n") > 15) as process:
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    rows = re.search(r"interrupted: .* keeps the (\d+) rows recorded so far", stderr)
    assert rows, stderr
    assert complete_rows(tmp_path / "rec") == int(rows[1]) > 15
