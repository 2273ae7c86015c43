"""A run becomes a clip; what cannot be shown is told."""

import datetime
import json
import resource
import shutil
import subprocess

import cv2
import numpy as np

from bcclone.images import encode_jpeg
from tests.conftest import command, run_script


def make_run(folder, count=20, step_ms=100):
    """Frames whose brightness rises from 0 by 10."""
    folder.mkdir()
    for number in range(count):
        moment = datetime.datetime(2026, 1, 1) + datetime.timedelta(milliseconds=step_ms * number)
        name = f"{moment:%Y_%m_%d_%H_%M_%S}_{moment.microsecond // 1000:03d}.jpg"
        (folder / name).write_bytes(encode_jpeg(np.full((160, 320, 3), 10 * number, np.uint8)))
    return folder


def read_clip(path):
    """Return frames per second and the mean brightness of each frame."""
    clip = cv2.VideoCapture(str(path))
    values = []
    while True:
        there, frame = clip.read()
        if not there:
            return clip.get(cv2.CAP_PROP_FPS), values
        assert frame.shape == (160, 320, 3)
        values.append(float(frame.mean()))


def test_a_run_becomes_a_clip_beside_it_in_order_of_time(tmp_path):
    make_run(tmp_path / "run1")
    done = run_script("video.py", "run1", "--json", cwd=tmp_path)
    assert json.loads(done.stdout) == {"output": "run1.mp4", "frames": 20, "skipped": 0, "seconds": 0.333}
    fps, values = read_clip(tmp_path / "run1.mp4")
    assert fps == 60
    assert np.allclose(values, np.arange(20) * 10, atol=3)


def test_frames_a_second_can_be_chosen_and_real_time_kept(tmp_path):
    make_run(tmp_path / "run1")
    run_script("video.py", "run1", "--fps", 10, cwd=tmp_path)
    fps, values = read_clip(tmp_path / "run1.mp4")
    assert (fps, len(values)) == (10, 20)
    run_script("video.py", "run1", "--fps", "real", "-o", "real.mp4", cwd=tmp_path)
    fps, values = read_clip(tmp_path / "real.mp4")
    assert (fps, len(values)) == (60, 115)  # 1.9 s
    assert np.allclose(values[::6], np.arange(20) * 10, atol=3)


def test_broken_frames_and_other_sizes_are_skipped_and_told(tmp_path):
    run = make_run(tmp_path / "run1")
    frames = sorted(run.glob("*.jpg"))
    frames[3].write_bytes(frames[3].read_bytes()[:-400])
    frames[7].write_bytes(b"")
    frames[9].write_bytes(encode_jpeg(np.zeros((80, 160, 3), np.uint8)))
    (run / "holiday.jpg").write_bytes(frames[0].read_bytes())
    done = run_script("video.py", run, "--json")
    made = json.loads(done.stdout)
    assert (made["frames"], made["skipped"]) == (17, 4)
    for name, reason in [(frames[3].name, "no whole JPEG"), (frames[7].name, "no JPEG"), (frames[9].name, "160x80")]:
        assert any(name in line and reason in line for line in done.stderr.splitlines())
    assert "holiday.jpg" in done.stderr


def test_a_recording_of_the_simulator_is_shown_by_its_centre_camera(simulated_recording, tmp_path):
    done = run_script("video.py", simulated_recording, "-o", tmp_path / "clip.mp4", "--json")
    assert json.loads(done.stdout)["frames"] == 120


def test_an_empty_or_missing_folder_gets_one_clear_line(tmp_path):
    (tmp_path / "empty").mkdir()
    for name, told in [("empty", "no frames"), ("missing", "no such run folder")]:
        stderr = run_script("video.py", name, cwd=tmp_path, code=1).stderr
        assert told in stderr
        assert len(stderr.strip().splitlines()) == 1
    (tmp_path / "empty" / "2026_01_01_00_00_00_000.jpg").write_bytes(b"")
    assert "can be shown" in run_script("video.py", "empty", cwd=tmp_path, code=1).stderr
    assert not list(tmp_path.glob("*.mp4"))


def test_a_frame_that_breaks_off_keeps_its_time_in_a_clip_of_real_time(tmp_path):
    run = make_run(tmp_path / "run1")
    frame = sorted(run.glob("*.jpg"))[5]
    frame.write_bytes(frame.read_bytes()[:-400])
    made = json.loads(run_script("video.py", run, "--fps", "real", "--json").stdout)
    assert (made["frames"], made["skipped"]) == (115, 1)
    _, values = read_clip(tmp_path / "run1.mp4")
    assert np.allclose(values[30:36], 40, atol=3)  # the one before is shown


def test_real_time_keeps_pauses_up_to_ten_seconds(tmp_path):
    run = make_run(tmp_path / "run1", count=3, step_ms=4000)
    shutil.copyfile(sorted(run.glob("*.jpg"))[0], run / "2026_01_01_05_00_00_000.jpg")
    made = json.loads(run_script("video.py", run, "--fps", "real", "--json").stdout)
    assert made["frames"] == 60 * 18 + 1


def test_a_disk_that_fills_keeps_the_old_clip_and_says_so(tmp_path):
    run = make_run(tmp_path / "run1")
    (tmp_path / "run1.mp4").write_text("old")

    def few_bytes():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))

    done = subprocess.run(command("video.py", run), capture_output=True, text=True, preexec_fn=few_bytes, check=False)
    assert done.returncode == 1
    assert "is the disk full?" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "run1.mp4").read_text() == "old"
    assert not list(tmp_path.glob("*.partial*"))


def test_the_clip_of_the_folder_one_stands_in_lies_beside_it(tmp_path):
    run = make_run(tmp_path / "run1")
    run_script("video.py", ".", cwd=run)
    assert (tmp_path / "run1.mp4").exists()


def test_names_and_sizes_that_cannot_be_are_told(tmp_path):
    run = make_run(tmp_path / "run1")
    assert "must end in .mp4" in run_script("video.py", run, "-o", tmp_path / "x.webm", code=1).stderr
    for frame in run.iterdir():
        frame.write_bytes(encode_jpeg(np.zeros((1, 1, 3), np.uint8)))
    assert "can be shown" in run_script("video.py", run, code=1).stderr
