"""The side cameras' correction is measured from recoveries, and from nothing else."""

import datetime

import numpy as np
import pytest

from bcclone.camera.images import encode_jpeg
from bcclone.camera.vehicle import MPH, SIDE_CAMERA_M, steering_to_line
from bcclone.dataset.labels import camera_correction
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.diagnosis.recoveries import Stretch, measure_correction, measured_correction
from bcclone.recording.log import read_log
from bcclone.recording.row import CAMERAS, image_stamp
from bcclone.simulator.record import record
from bcclone.simulator.world_settings import RecordSettings

# how far ahead the simulator's expert looks: a distance, and a time at its speed
LOOKAHEAD_M = 4.0
LOOKAHEAD_SECONDS = 0.45


def recoveries(*returned_m, against=0.025):
    """Return recoveries whose driver steers back by 0.1 for each metre, and then against that."""
    return [Stretch(metres, -0.1 * metres, against * metres) for metres in returned_m]


def test_the_correction_is_the_steering_at_the_offset_of_a_side_camera():
    result = measured_correction(recoveries(1.5, -1.2, 2.0, -1.8, 1.4), geometry=0.083)
    assert result.measured == pytest.approx(0.1 * SIDE_CAMERA_M)
    assert result.standard_error == pytest.approx(0, abs=1e-9)
    assert result.recoveries == 5
    assert result.from_right == 3
    assert result.geometry == 0.083
    assert result.reason is None


@pytest.mark.parametrize(
    ("stretches", "found"),
    [
        (recoveries(1.5, -1.2, 2.0), 3),  # too few
        (recoveries(0.1, -0.2, 0.3, 0.1, 0.2, -0.1), 0),  # the car came back from nowhere
        # nobody steered against it: bends
        (recoveries(1.5, -1.2, 2.0, -1.8, 1.4, against=-0.025), 5),
    ],
)
def test_what_does_not_tell_the_correction_says_so(stretches, found):
    result = measured_correction(stretches, geometry=0.083)
    assert (result.measured, result.standard_error, result.recoveries) == (None, None, found)
    assert result.reason
    assert result.reason in result.as_text()
    assert "0.083" in result.as_text()


@pytest.fixture(scope="module")
def recovering(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recovering") / "lake"
    return read_log(record(folder, RecordSettings(seed=1, recoveries=8)).log)


@pytest.mark.slow
def test_the_experts_own_correction_is_measured_from_its_recoveries(recovering):
    result = measure_correction(recovering)
    speed = recovering.rows["speed_mph"].to_numpy() * MPH
    truth = -float(
        np.mean(steering_to_line(SIDE_CAMERA_M, 0.0, LOOKAHEAD_M + LOOKAHEAD_SECONDS * speed))
    )
    assert result.recoveries >= 6
    assert abs(result.measured - truth) < max(3 * result.standard_error, 0.2 * truth)
    assert result.geometry == pytest.approx(
        camera_correction(SampleSettings(), "left", np.array([29.0]))[0], abs=0.01
    )


@pytest.mark.parametrize(
    "content", [encode_jpeg(np.full((160, 320, 3), 90, np.uint8)), b"no image"]
)
def test_frames_that_show_no_offset_do_not_tell_it(tmp_path, content):
    begin = datetime.datetime(2026, 1, 1)
    lines = []
    for seconds in (60 * stretch + row / 5 for stretch in range(7) for row in range(16)):
        stamp = image_stamp(begin + datetime.timedelta(seconds=seconds))
        names = [f"{camera}_{stamp}.jpg" for camera in CAMERAS]
        for name in names:
            (tmp_path / name).write_bytes(content)
        lines.append(",".join([*names, "0.1,0,0,20"]))
    (tmp_path / "driving_log.csv").write_text("\n".join(lines))
    result = measure_correction(read_log(tmp_path / "driving_log.csv"))
    assert (result.measured, result.recoveries) == (None, 0)
