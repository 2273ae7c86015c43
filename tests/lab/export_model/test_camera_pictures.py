"""The pictures to calibrate an export with are those of the car's one camera."""

import cv2
import numpy as np
import pytest

from bcclone.lab.exchange.exchange_settings import ExportSettings
from bcclone.lab.exchange.recording_export import export
from bcclone.lab.export_model.comparison import read_pictures
from tests.lab.exchange.driven_recordings import make_driven


@pytest.mark.parametrize("to", [None, "csv", "tub"])
def test_side_cameras_of_recordings_and_exports_are_left_out(tmp_path, to):
    folder = make_driven(tmp_path / "lake", rows=24)
    if to:
        export(ExportSettings(str(folder), tmp_path / "set", to))
        folder = tmp_path / "set"
    pictures = read_pictures(folder, (320, 160))
    assert len(pictures.calibrating) + len(pictures.comparing) == 24


def test_a_picture_of_a_turn_to_the_left_is_no_side_camera(tmp_path):
    for number in range(20):
        cv2.imwrite(str(tmp_path / f"turn_left_{number}.png"), np.zeros((160, 320, 3), np.uint8))
    assert len(read_pictures(tmp_path, (320, 160)).calibrating) == 10
