"""A drive with a model of another camera, over the socket: its answers, its page, its recording."""

import cv2
import numpy as np
import pytest

import bcclone
from bcclone.camera.framing import FRAMING_NAME, Framing, Lens, read_framing
from bcclone.camera.images import decode_image, encode_jpeg
from bcclone.model.model_file import SteeringCalibration, calibrated_content
from tests.drive.drive_server import Still, drive, serving_in_a_thread, state_of

FRAMING = Framing(160, 120, lens=Lens(66.0, 40.0, 79.5))


def draw_picture(number):
    """Return a picture of the camera, 160x120, as a JPEG."""
    noise = np.random.default_rng(number).integers(0, 256, (15, 20, 3), dtype=np.uint8)
    return encode_jpeg(cv2.resize(noise, (160, 120)))


PICTURES = [draw_picture(number) for number in range(5)]
FRAMES = {encode_jpeg(FRAMING.apply(decode_image(picture))) for picture in PICTURES}


@pytest.fixture
def framed_model(untrained_model, tmp_path):
    """Return a model file that drives with the pictures of another camera."""
    path = tmp_path / "car.h5"
    calibration = SteeringCalibration(0.5, 0.05)
    path.write_bytes(calibrated_content(untrained_model, FRAMING, calibration))
    return path


def test_the_recording_of_a_drive_with_a_framed_model_becomes_a_store(framed_model, tmp_path):
    run = tmp_path / "run1"
    world = Still(30, jpegs=PICTURES)
    with serving_in_a_thread(framed_model, run) as server:
        drive(server.port, world)
        assert state_of(server.port)["saliency"]["unavailable"]
    assert server.result.faults == 0
    assert server.result.recorded in (29, 30)  # the simulator quits with one on its way
    # the car got the model's answers to its pictures
    policy = bcclone.load_policy(framed_model)
    expected = [policy.answer(decode_image(picture)).steering for picture in PICTURES]
    steered = [steering for steering, _ in world.controls[:5]]
    assert steered == pytest.approx(expected, abs=1e-5)
    # the recording has the frames that the model saw, and says how they were made
    assert {path.read_bytes() for path in run.glob("*.jpg")} == FRAMES
    assert read_framing(run / FRAMING_NAME) == FRAMING
    store_file = tmp_path / "store.h5"
    conversion = bcclone.convert(bcclone.PreprocessSettings(inputs=(str(run),), output=store_file))
    assert conversion.rows == server.result.recorded
    with bcclone.open_store(str(store_file)) as store:
        assert [recording.framing for recording in store.recordings] == [FRAMING]
