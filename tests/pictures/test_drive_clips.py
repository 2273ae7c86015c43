"""Clips that are drawn while a drive lasts: they have its frames, and a failure leaves none."""

import numpy as np
import pytest

from bcclone.camera.images import BadImage, encode_jpeg
from bcclone.evaluation.watched_world import DrivenFrame
from bcclone.pictures.drive_clips import DriveClip, drawn_clips
from bcclone.recording.run_tables import TracePoint
from bcclone.simulator.track import load_track
from tests.pictures.video_runs import read_frames

TRACK = load_track("lake")


def driven(number, jpeg=None):
    x_m, _, z_m, _ = TRACK.point(float(number))
    if jpeg is None:
        jpeg = encode_jpeg(np.full((160, 320, 3), 90 + number, np.uint8))
    return DrivenFrame(jpeg, TracePoint(0.04 * number, "lake", x_m, z_m, 0.1), 25.0, -0.2, 3.4)


def test_one_pass_over_a_drive_draws_every_second_frame_into_all_of_its_clips(tmp_path):
    whole = DriveClip(tmp_path / "whole.mp4", 640)
    begin = DriveClip(tmp_path / "begin.mp4", 480, 1.0)
    with drawn_clips("run1", [whole, begin]) as watch:
        for number in range(40):
            watch(driven(number))
        assert not whole.path.exists()  # a clip appears when it is complete
    rate, frames = read_frames(whole.path)
    assert rate == 12.5
    assert len(frames) == 20
    assert frames[0].shape == (394, 640, 3)
    assert abs(float(frames[-1][200:300, :100].mean()) - 128) < 4  # the frame before the last
    _, frames = read_frames(begin.path)
    assert len(frames) == 13  # a second
    assert frames[0].shape[1] == 480
    assert sorted(tmp_path.iterdir()) == [begin.path, whole.path]


def test_a_drive_that_fails_leaves_no_clip(tmp_path):
    clips = [DriveClip(tmp_path / "run1.mp4", 640)]

    def fail():
        with drawn_clips("run1", clips) as watch:
            watch(driven(0))
            raise ConnectionError("the server is gone")

    with pytest.raises(ConnectionError, match="the server is gone"):
        fail()
    assert not list(tmp_path.iterdir())


def test_a_fault_while_drawing_ends_the_drive_instead_of_holding_it_up(tmp_path):
    clips = [DriveClip(tmp_path / "run1.mp4", 640)]

    def drive():
        with drawn_clips("run1", clips) as watch:
            for number in range(2000):
                watch(driven(0, b"no JPEG" if number == 4 else None))

    with pytest.raises(BadImage):
        drive()
    assert not list(tmp_path.iterdir())
