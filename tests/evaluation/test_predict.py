"""Predictions of a model: for the frames of a folder of any size, and for those of a recording."""

import io
import math
import os
import shutil
import struct

import numpy as np
import PIL.Image
import pytest

from bcclone.camera.framing import Framing, Lens
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH
from bcclone.evaluation.predict import delayed, named_frames
from bcclone.model.policy import load_policy
from bcclone.system.errors import UserError
from tests.conftest import calibrated
from tests.messages.refusals import run_command
from tests.messages.small_recording import make_recording
from tests.recordings import rewrite
from tests.running import read_steering, result_of


def frame(seed, width=FRAME_WIDTH, height=FRAME_HEIGHT):
    return PIL.Image.fromarray(
        np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    )


@pytest.fixture
def frames(tmp_path):
    """A folder with three frames of the simulator's size, a PNG and one that is empty, as it is
    found in tubs.
    """
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in (2, 10, 1):
        frame(number).save(folder / f"{number}_cam.png")
    (folder / "3_cam.jpg").touch()
    (folder / "catalog_0.catalog").touch()
    return folder


def predicted(model, frames, output, *words):
    return result_of("predict", model, frames, "-o", output, *words), read_steering(output)


def test_the_frames_of_a_folder_are_predicted_in_the_order_of_their_numbers(
    frames, untrained_model, tmp_path
):
    result, steering = predicted(untrained_model, frames, tmp_path / "p.csv")
    assert list(steering) == ["1_cam", "2_cam", "10_cam"]
    assert (result["frames"], len(result["unreadable"]), result["sizes"]) == (3, 1, {"320x160": 3})
    assert "3_cam.jpg" in result["unreadable"][0]
    text = (tmp_path / "p.csv").read_text()
    assert text.startswith("frame_id,steering_angle\n1_cam,")
    with pytest.raises(UserError, match="exists already.*--force"):
        run_command("predict", untrained_model, frames, "-o", tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_text() == text
    policy = load_policy(untrained_model)
    for number in (1, 2, 10):
        assert steering[f"{number}_cam"] == policy.answer(np.asarray(frame(number))).steering


def test_a_note_says_whether_the_answers_are_delayed(frames, recording, untrained_model, tmp_path):
    model = calibrated(untrained_model, tmp_path / "car.h5", delay_seconds=0.3)
    for source, note in (
        (recording, "the answers are 0.30 s late"),
        (frames, "0.30 s later than the model; the answers are not delayed"),
    ):
        result, _ = predicted(model, source, tmp_path / "p.csv", "--force")
        assert note in " ".join(result["notes"])


@pytest.mark.parametrize(
    "name",
    [
        lambda ms: f"{1_479_425_441_000 + ms}",
        lambda ms: f"{1_479_425_441_000_000_000 + ms * 1_000_000}_cam",
        lambda ms: f"cam_{(1_479_425_441_000 + ms) // 1000}.{ms % 1000:03d}",
        lambda ms: f"2026_11_30_12_00_{ms // 1000:02d}_{ms % 1000:03d}",
        # and as an import reads them
        lambda ms: f"{(1_479_425_441_000 + ms) // 1000}.{ms % 1000 // 10:02d}",
        lambda ms: f"2026-11-30_12-00-{ms // 1000:02d}.{ms % 1000:03d}",
        lambda ms: f"{ms:06d}ms",
    ],
    ids=["ms", "ns", "seconds", "simulator", "hundredths", "dashes", "unit"],
)
def test_pictures_with_times_in_their_names_are_answered_as_late_as_the_driver(
    name, untrained_model, tmp_path
):
    folder = tmp_path / "frames"
    folder.mkdir()
    # the second drive begins after a pause of more than a second
    times_ms = [0, 100, 200, 300, 1900, 2000, 2100]
    for number, ms in enumerate(times_ms):
        frame(number).save(folder / f"{name(ms)}.png")
    _, own = predicted(untrained_model, folder, tmp_path / "own.csv")
    late = calibrated(untrained_model, tmp_path / "late.h5", delay_seconds=0.3)
    result, steering = predicted(late, folder, tmp_path / "late.csv")
    assert any("0.30 s late" in note for note in result["notes"])
    drives = np.array([0, 0, 0, 0, 1, 1, 1])
    expected = delayed(np.array(list(own.values())), np.array(times_ms) / 1000, drives, 0.3)
    assert list(steering.values()) == pytest.approx(expected, abs=1e-6)
    assert list(steering.values()) != pytest.approx(list(own.values()), abs=1e-3)


@pytest.mark.parametrize("names", [["1479425441182", "2_cam"], ["1000000001", "1000000002"]])
def test_pictures_that_do_not_all_state_a_time_are_answered_at_once(
    names, untrained_model, tmp_path
):
    (tmp_path / "frames").mkdir()
    for number, name in enumerate(names):
        frame(number).save(tmp_path / "frames" / f"{name}.png")
    late = calibrated(untrained_model, tmp_path / "late.h5", delay_seconds=0.3)
    result, _ = predicted(late, tmp_path / "frames", tmp_path / "p.csv")
    assert any("not delayed" in note and "ms since 1970" in note for note in result["notes"])


@pytest.mark.slow
def test_frames_of_another_size_are_cut_to_rows_and_stretched(untrained_model, tmp_path):
    big = frame(0, 640, 480)
    lower = np.asarray(big)[160:]
    small = PIL.Image.fromarray(Framing.of(lower).apply(lower))
    for name, image in (("big", big), ("small", small)):
        (tmp_path / name).mkdir()
        image.save(tmp_path / name / "1479425441182877835.png")
    _, cut = predicted(untrained_model, tmp_path / "big", tmp_path / "cut.csv", "--rows", "160:480")
    _, whole = predicted(untrained_model, tmp_path / "big", tmp_path / "whole.csv")
    _, expected = predicted(untrained_model, tmp_path / "small", tmp_path / "small.csv")
    assert cut == expected != whole
    with pytest.raises(UserError, match="640x480 .* no rows 160 to 500.*none of the 1 frames"):
        run_command("predict", untrained_model, tmp_path / "big", "--rows", "160:500")


def test_a_network_of_windows_forgets_frames_before_a_pause(
    recording, untrained_window_model, tmp_path
):
    rewrite(recording, lambda rows: rows[:5] + rows[60:65])
    _, whole = predicted(untrained_window_model, recording, tmp_path / "whole.csv")
    rewrite(recording, lambda rows: rows[5:])
    _, later = predicted(untrained_window_model, recording, tmp_path / "later.csv")
    assert dict(list(whole.items())[5:]) == later


def test_one_image_is_predicted_and_its_steering_is_said(
    frames, recording, untrained_model, tmp_path
):
    for image in (frames / "2_cam.png", sorted((recording / "IMG").glob("center_*.jpg"))[7]):
        result, steering = predicted(untrained_model, image, tmp_path / "p.csv", "--force")
        _, together = predicted(untrained_model, image.parent, tmp_path / "all.csv", "--force")
        assert steering == {image.stem: together[image.stem]}
        assert f"{steering[image.stem]:+.3f}" in result["notes"][0]
    with pytest.raises(UserError, match="3_cam.jpg: .*none of the 1 frames"):
        run_command("predict", untrained_model, frames / "3_cam.jpg", "-o", tmp_path / "none.csv")


def test_a_folder_without_images_and_two_of_one_name_are_refused(frames, tmp_path):
    frame(0).save(frames / "2_cam.jpg")
    for name, message in {
        "nowhere": "no such folder",
        ".": "no images in it.*name the folder that holds them",
        "frames": "have one name",
    }.items():
        with pytest.raises(UserError, match=message):
            named_frames(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
def test_what_is_no_image_is_left_out_and_never_waited_for(frames, untrained_model, tmp_path):
    os.mkfifo(frames / "4.jpg")
    (frames / "5.jpg").symlink_to("5.jpg")
    (frames / "6.jpg").symlink_to("/dev/zero")
    (frames / "7.jpg").mkdir()
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 60_000, 60_000)
    (frames / "8.png").write_bytes(header + b"\x08\x02\0\0\0")
    result, steering = predicted(untrained_model, frames, tmp_path / "p.csv")
    assert list(steering) == ["1_cam", "2_cam", "10_cam"]
    assert len(result["unreadable"]) == 6
    (frames / "9\n.jpg").touch()
    with pytest.raises(UserError, match=r"the name '9\\n.jpg' cannot be written into a table"):
        named_frames(frames)


def test_a_framing_is_taken_from_the_model_or_from_a_file_that_is_given(untrained_model, tmp_path):
    framing = Framing(160, 120, lens=Lens(120.0, 45.0, 79.5))
    (tmp_path / "small").mkdir()
    small = frame(0, 160, 120)
    small.save(tmp_path / "small" / "1.png")
    (tmp_path / "frames").mkdir()
    PIL.Image.fromarray(framing.apply(np.asarray(small))).save(tmp_path / "frames" / "1.png")
    (tmp_path / "framing.json").write_text(framing.to_json())
    car = calibrated(untrained_model, tmp_path / "car.h5", -2.0, 0.1, framing)
    _, own = predicted(untrained_model, tmp_path / "frames", tmp_path / "own.csv")
    given = ("--framing", tmp_path / "framing.json")
    assert predicted(untrained_model, tmp_path / "small", tmp_path / "given.csv", *given)[1] == own
    _, steered = predicted(car, tmp_path / "small", tmp_path / "calibrated.csv")
    assert steered["1"] == pytest.approx(-2 * own["1"] + 0.1)
    _, cut = predicted(car, tmp_path / "small", tmp_path / "cut.csv", "--rows", "40:120")
    assert cut != steered


def test_a_recording_of_another_framing_is_refused(recording, untrained_model, tmp_path):
    copy = tmp_path / "imported"
    shutil.copytree(recording, copy)
    (copy / "framing.json").write_text(Framing(160, 120).to_json())
    framing = Framing(160, 120, rows=(40, 120))
    car = calibrated(untrained_model, tmp_path / "car.h5", framing=framing)
    for words in (("predict", car, copy, "-o", tmp_path / "p.csv"), ("replay", car, copy)):
        with pytest.raises(UserError, match="rows 40 to 120.*import the recording again"):
            run_command(*words)
    (copy / "framing.json").write_text("{}")
    with pytest.raises(UserError, match="framing.json: .*width is missing"):
        run_command("preprocess", copy, "-o", tmp_path / "data.h5")


def test_frames_that_the_import_has_framed_are_not_framed_again(untrained_model, tmp_path):
    framing = Framing(640, 320, lens=Lens(300.0, 140.0, 319.5))  # of the shape of frames
    car = calibrated(untrained_model, tmp_path / "car.h5", framing=framing)
    noise = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (160, 320, 3), np.uint8))
    buffer = io.BytesIO()
    noise.save(buffer, "JPEG", quality=95)
    imported = make_recording(tmp_path / "imported", image=buffer.getvalue())
    _, own = predicted(untrained_model, imported, tmp_path / "own.csv")
    (imported / "framing.json").write_text(framing.to_json())
    result, steered = predicted(car, imported, tmp_path / "calibrated.csv")
    assert steered == own
    assert result["framing"] is None


def test_answers_follow_gradually_within_a_drive():
    seconds = np.array([0.0, 0.1, 0.2, 0.3, 5.0, 5.1])
    drives = np.array([0, 0, 0, 0, 1, 1])
    steering = np.array([0.0, 0.1, 0.4, 0.2, 0.5, 0.7])
    # after ln 2 time constants, half of the way to the mean of both answers is done
    later = delayed(steering, seconds, drives, 0.1 / math.log(2))
    assert later == pytest.approx([0.0, 0.025, 0.1375, 0.21875, 0.5, 0.55])
    # pictures that are late
    earlier = delayed(steering, seconds, drives, -0.1)
    assert earlier == pytest.approx([0.1, 0.4, 0.2, 0.2, 0.7, 0.7])
