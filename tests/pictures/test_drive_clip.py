"""Clips that are drawn while a drive lasts: they have its frames, and a failure leaves none."""

import numpy as np
import pytest

from bcclone.camera.images import BadImage, encode_jpeg
from bcclone.drive.driver import Decision
from bcclone.drive.protocol import Control, Telemetry
from bcclone.pictures.drive_clip import drawn_clip
from bcclone.pictures.encoder import write_begin
from bcclone.recording.run_tables import TracePoint
from bcclone.simulator.track import load_track
from bcclone.system.errors import UserError
from tests.pictures.video_runs import read_frames

TRACK = load_track("lake")


def driven(number, jpeg=None):
    x_m, _, z_m, _ = TRACK.point(float(number))
    if jpeg is None:
        jpeg = encode_jpeg(np.full((160, 320, 3), 90 + number, np.uint8))
    decision = Decision(Telemetry(0.0, 0.3, 25.0, jpeg), Control(-0.2, 0.3), -0.2, 25.0)
    return decision, 0.0034, TracePoint(0.04 * number, "lake", x_m, z_m, 0.1)


def test_a_clip_has_every_second_frame_of_a_drive(tmp_path):
    path = tmp_path / "run1.mp4"
    with drawn_clip(path, "mine.h5") as watch:
        for number in range(40):
            watch(*driven(number))
        assert not path.exists()  # a clip appears when it is complete
    rate, frames = read_frames(path)
    assert rate == 12.5
    assert len(frames) == 20
    assert frames[0].shape == (438, 640, 3)
    assert abs(float(frames[-1][200:300, :100].mean()) - 128) < 4  # the frame before the last
    write_begin(path, tmp_path / "begin.mp4", 1.0)
    assert len(read_frames(tmp_path / "begin.mp4")[1]) == 13
    assert sorted(tmp_path.iterdir()) == [tmp_path / "begin.mp4", path]


def test_a_drive_that_fails_leaves_no_clip(tmp_path):
    def fail():
        with drawn_clip(tmp_path / "run1.mp4", "mine.h5") as watch:
            watch(*driven(0))
            raise UserError("the drive fails")

    with pytest.raises(UserError, match="the drive fails"):
        fail()
    assert not list(tmp_path.iterdir())


def test_a_fault_while_drawing_ends_the_drive_instead_of_holding_it_up(tmp_path):
    def drive():
        with drawn_clip(tmp_path / "run1.mp4", "mine.h5") as watch:
            for number in range(2000):
                watch(*driven(number, b"no JPEG" if number == 4 else None))

    with pytest.raises(BadImage):
        drive()
    assert not list(tmp_path.iterdir())
