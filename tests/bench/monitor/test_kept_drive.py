"""Drives that are kept with their frames."""

import numpy as np

from bcclone.bench.monitor.kept_drive import KeptDrive
from bcclone.images import encode_jpeg


def test_a_kept_drive_is_read_as_it_was_written(tmp_path):
    frames = [encode_jpeg(np.full((160, 320, 3), value, np.uint8)) for value in (10, 120, 240)]
    ends = np.cumsum([len(frame) for frame in frames])
    seconds, zeros = np.array([0.04, 0.08, 0.12]), np.zeros(3)
    KeptDrive(seconds, zeros, zeros, np.array([0.1]), b"".join(frames), ends).save(tmp_path / "drive.npz")
    read = KeptDrive.load(tmp_path / "drive.npz")
    assert len(read) == 3
    assert (read.seconds.tolist(), read.departures.tolist()) == (seconds.tolist(), [0.1])
    assert [round(float(read.frame(index).mean())) for index in range(3)] == [10, 120, 240]
