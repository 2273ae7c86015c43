"""Clips of runs and recordings: which frames they show, when, and what is reported about the
others.
"""

import json
import os
import shutil
import struct
import sys

import numpy as np
import pytest

from bcclone.camera.images import encode_jpeg
from bcclone.pictures.clip import make_clip
from bcclone.pictures.settings import ClipSettings
from bcclone.system.errors import UserError
from tests.pictures.video_runs import make_known_run, make_run, name_of, read_frames, read_gif
from tests.processes import imported_by
from tests.running import command, result_of, run_script


def read_clip(path):
    """Return frames per second and the mean brightness of each frame."""
    fps, frames = read_frames(path)
    assert all(frame.shape == (160, 320, 3) for frame in frames)
    return fps, [float(frame.mean()) for frame in frames]


def test_a_clip_is_written_next_to_its_run_with_the_frames_in_order_of_time(tmp_path):
    run = make_run(tmp_path / "run1")
    made = result_of("video.py", "run1", cwd=tmp_path)
    assert made == {"output": "run1.mp4", "frames": 20, "skipped": 0, "seconds": 2.0}
    (tmp_path / "run1.mp4").unlink()
    run_script("video.py", ".", "--fps", 30, cwd=run)
    fps, values = read_clip(tmp_path / "run1.mp4")
    assert fps == 30
    assert np.allclose(values, np.arange(20) * 10, atol=3)


def test_the_clip_of_a_recording_is_written_into_the_current_folder(tmp_path):
    laps = tmp_path / "somebody" / "laps"
    laps.mkdir(parents=True)
    make_run(laps / "IMG")
    here = tmp_path / "mine"
    here.mkdir()
    made = result_of("video.py", laps, cwd=here)
    assert made["output"] == "laps.mp4"
    assert (here / "laps.mp4").is_file()
    assert sorted(path.name for path in laps.parent.iterdir()) == ["laps"]


def test_broken_frames_and_frames_of_another_size_are_skipped_with_a_reason(tmp_path):
    run = make_run(tmp_path / "run1")
    frames = sorted(run.glob("*.jpg"))
    frames[3].write_bytes(frames[3].read_bytes()[:-400])
    frames[7].write_bytes(b"")
    frames[9].write_bytes(encode_jpeg(np.zeros((80, 160, 3), np.uint8)))
    (run / "holiday.jpg").write_bytes(frames[0].read_bytes())
    done = run_script("video.py", run, "--json")
    made = json.loads(done.stdout)
    assert (made["frames"], made["skipped"]) == (17, 4)
    for name, reason in [
        (frames[3].name, "not a complete JPEG"),
        (frames[7].name, "empty"),
        (frames[9].name, "160x80"),
    ]:
        assert any(name in line and reason in line for line in done.stderr.splitlines())
    assert "holiday.jpg" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_frames_that_are_no_files_or_declare_too_many_pixels_are_skipped(tmp_path):
    run = make_run(tmp_path / "run1")
    frames = sorted(run.glob("*.jpg"))
    for frame in frames[:5]:
        frame.unlink()
    os.mkfifo(frames[0])
    frames[1].symlink_to("/dev/zero")
    frames[2].touch()
    os.truncate(frames[2], 1 << 42)
    large = bytearray(frames[5].read_bytes())
    at = large.index(b"\xff\xc0")
    large[at + 5 : at + 9] = struct.pack(">HH", 30_000, 30_000)
    for frame in (frames[3], *frames[6:]):  # most frames declare this size
        frame.write_bytes(large)
    frames[4].symlink_to(frames[5])
    made = make_clip(ClipSettings(run, tmp_path / "clip.mp4"))
    assert (made.frames, len(made.skipped)) == (2, 18)
    assert sum("not a regular file" in line for line in made.skipped) == 2
    assert sum("expected at most 16777216" in line for line in made.skipped) == 15


def test_without_a_run_the_error_names_those_in_the_current_folder_the_newest_first(tmp_path):
    for age, name in enumerate(("newest", "older", "oldest")):
        os.utime(make_run(tmp_path / name, 1), (1e9 - age, 1e9 - age))
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "holiday.jpg").write_bytes(b"")
    stderr = run_script("video.py", cwd=tmp_path, code=2).stderr
    assert "newest, older, oldest" in stderr
    assert "pictures" not in stderr
    assert "usage" not in stderr
    (tmp_path / "pictures" / "inner").mkdir()
    assert "bcclone drive" in run_script("video.py", cwd=tmp_path / "pictures", code=2).stderr


def test_in_a_gif_a_broken_frame_keeps_its_time_and_pauses_count_ten_seconds_at_most(tmp_path):
    run = make_run(tmp_path / "run1")
    frame = sorted(run.glob("*.jpg"))[5]
    frame.write_bytes(frame.read_bytes()[:-400])
    made = result_of("video.py", run, "--fps", 20, "-o", tmp_path / "run1.gif")
    assert (made["frames"], made["skipped"]) == (39, 1)
    frames, durations = read_gif(tmp_path / "run1.gif")
    shown = np.searchsorted(np.cumsum(durations), 520, side="right")
    assert frames[shown].mean() == pytest.approx(40, abs=3)  # the previous frame is shown
    run = make_run(tmp_path / "run2", count=3, step_ms=4000)
    shutil.copyfile(sorted(run.glob("*.jpg"))[0], run / "2026_01_01_05_00_00_000.jpg")
    assert make_clip(ClipSettings(run, tmp_path / "run2.gif")).frames == 12 * 18 + 1


def test_a_clip_of_irregular_frames_is_as_long_as_the_drive_without_its_pauses(tmp_path):
    run = make_run(tmp_path / "run1", 1)
    frame = (run / name_of(0)).read_bytes()
    for milliseconds in (20, 100, 120, 200, 220, 300, 320, 400, 5400, 5500):  # a pause of 5 s
        (run / name_of(milliseconds)).write_bytes(frame)
    made = make_clip(ClipSettings(run))
    assert (made.frames, made.rate, made.seconds) == (11, 18, pytest.approx(0.6, abs=0.02))
    assert read_clip(tmp_path / "run1.mp4")[0] == 18
    shown = run_script("video.py", run, "--force").stdout
    assert "11 frames, 0.6 s at 18 a second, 0 skipped" in shown
    assert make_clip(ClipSettings(make_run(tmp_path / "one", 1))).seconds == 1


def test_real_time_of_a_simulated_run_is_simulated_time(tmp_path):
    """The simulator runs as fast as the machine can, while the names of the frames hold the time of
    the machine.
    """
    run = make_known_run(tmp_path / "run1", count=11, step_ms=100)
    trace = run / "trace.csv"
    rows = trace.read_text().splitlines()
    slower = [
        row.replace(f",{number / 10:.2f},lake", f",{number / 5:.2f},lake")
        for number, row in enumerate(rows[1:])
    ]
    trace.write_text("\n".join([rows[0], *slower]) + "\n")
    settings = ClipSettings(run, tmp_path / "clip.gif", force=True)
    assert make_clip(settings).frames == 25
    trace.unlink()
    assert make_clip(settings).frames == 13


@pytest.mark.parametrize(
    ("span", "numbers"),
    [
        ((0.5, 1.0), range(5, 10)),  # the end is not included
        ((0.45, 1.05), range(5, 11)),
        ((1.85, 99.0), range(19, 20)),
    ],
)
def test_a_range_selects_frames_by_seconds_of_driving(tmp_path, span, numbers):
    run = make_run(tmp_path / "run1")
    make_clip(ClipSettings(run, tmp_path / "clip.mp4", span=span))
    assert np.allclose(read_clip(tmp_path / "clip.mp4")[1], np.array(numbers) * 10, atol=3)


def test_a_range_of_a_gif_between_two_frames_shows_the_newest_at_each_time(tmp_path):
    run = make_run(tmp_path / "run1")
    made = make_clip(ClipSettings(run, tmp_path / "clip.gif", fps=50, span=(0.62, 0.68)))
    assert made.frames == 3
    assert read_gif(tmp_path / "clip.gif")[0][0].mean() == pytest.approx(60, abs=3)


def test_a_range_without_frames_is_refused_with_the_length_of_the_run(tmp_path):
    run = make_run(tmp_path / "run1")
    for span, name in (((2.0, 3.0), "a.gif"), ((2.0, 3.0), "a.mp4"), ((0.01, 0.02), "a.mp4")):
        with pytest.raises(UserError, match="range .* 0 to 1.9 s"):
            make_clip(ClipSettings(run, tmp_path / name, span=span))
    assert not list(tmp_path.glob("a.*"))


def test_a_gif_shows_each_frame_at_its_time(tmp_path):
    run = make_run(tmp_path / "run1")
    made = result_of("video.py", run, "-o", tmp_path / "run1.gif")
    assert made == {
        "output": str(tmp_path / "run1.gif"),
        "frames": 23,
        "skipped": 0,
        "seconds": 1.917,
    }
    frames, durations = read_gif(tmp_path / "run1.gif")
    assert frames[0].shape == (160, 320, 3)
    # equal pictures in a row may be stored as one that stays longer
    assert 20 <= len(frames) <= 23
    assert sum(durations) == pytest.approx(1917, abs=20)
    times = np.cumsum([0, *durations[:-1]])
    expected = [10 * (time // 100) for time in times]
    assert np.allclose([frame.mean() for frame in frames], expected, atol=12)
    made = make_clip(ClipSettings(run, tmp_path / "run1.gif", fps=5, width=160, force=True))
    frames, durations = read_gif(tmp_path / "run1.gif")
    assert (made.frames, len(frames), set(durations)) == (10, 10, {200})
    assert frames[0].shape == (80, 160, 3)


@pytest.mark.slow
def test_an_overlay_without_a_model_does_not_load_tensorflow(tmp_path):
    run = make_known_run(tmp_path / "run1", 3)
    for suffix in ("mp4", "gif"):
        line = command("video.py", run, "--overlay", "-o", tmp_path / f"clip.{suffix}")
        assert not imported_by(*line) & {"tensorflow", "keras"}


@pytest.mark.slow
def test_an_overlay_with_a_model_shows_its_steering_and_saliency(
    simulated_recording, untrained_model, tmp_path
):
    """The bar of the human's steering is blue, that of the model's is orange."""
    line = ("video.py", simulated_recording, "--overlay", "--range", "2:2.5")
    clips = []
    for name, more in (("plain", ()), ("seen", ("--model", untrained_model))):
        run_script(*line, *more, "-o", tmp_path / f"{name}.mp4")
        clips.append(read_frames(tmp_path / f"{name}.mp4")[1])
    without, with_model = ([frame.astype(int) for frame in frames] for frames in clips)
    assert len(without) == len(with_model) == 8
    orange = [
        (np.abs(frame[322:] - (230, 159, 0)).max(axis=2) < 40).sum()
        for frame in (with_model[3], without[3])
    ]
    assert orange[0] > 20 > orange[1]
    assert np.abs(with_model[3][60:300] - without[3][60:300]).mean() > 5
