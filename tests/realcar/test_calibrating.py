"""A camera's framing and a car's gain and bias are found from its first minute, or taken from the
user.
"""

import shlex
import shutil

import cv2
import numpy as np
import pytest

from bcclone.camera.framing import Framing, Lens, read_framing
from bcclone.commands import load_command
from bcclone.commands.command import make_parser
from bcclone.evaluation.steering_table import read_labels, read_steering
from bcclone.model.model_file import load_model
from bcclone.model.policy import load_policy
from bcclone.realcar.calibrate_settings import CalibrateSettings
from bcclone.realcar.calibration import calibrate
from bcclone.realcar.framing_search import FramingSearch, Trial
from bcclone.realcar.labelled_pictures import LabelledPictures, RecordedSteering, read_labelled
from bcclone.realcar.steering_fit import fit_delay, fit_steering
from bcclone.system.errors import UserError
from bcclone.system.settings import SettingError
from tests.conftest import made_once
from tests.exchange.foreign_sources import make_tub, make_video
from tests.messages.refusals import run_command
from tests.messages.small_recording import make_recording
from tests.other_camera import road_frames, seen_by
from tests.running import ROOT, result_of, run_script

MODEL = ROOT / "models" / "any-road.h5"
FRAMING = Framing(160, 120, lens=Lens(66.0, 40.0, 79.5))  # it sees more than the simulator's
GAIN = 0.5
BIAS = 0.05
RATE = 2.0
FRAMES = 90


@pytest.fixture(scope="session")
def car(tmp_path_factory):
    """Pictures of another camera and their steering, which is GAIN x the network's on what it would
    see + BIAS.
    """

    def make(folder):
        (folder / "frames").mkdir()
        policy = load_policy(MODEL)
        lines = ["frame_id,steering_angle"]
        for number, frame in enumerate(road_frames(FRAMES)):
            picture = seen_by(FRAMING, frame)
            cv2.imwrite(str(folder / "frames" / f"{number}.png"), picture[..., ::-1])
            lines.append(f"{number},{GAIN * policy.answer(frame).steering + BIAS}")
        (folder / "labels.csv").write_text("\n".join(lines) + "\n")

    return made_once(tmp_path_factory, "calibrated-car", make)


def calibrated(car, tmp_path, **settings):
    return calibrate(
        CalibrateSettings(
            MODEL, car / "frames", car / "labels.csv", tmp_path / "car.h5", rate=RATE, **settings
        )
    )


def test_what_the_user_knows_is_taken_and_the_rest_is_fitted(car, tmp_path):
    lens = {"focal_px": 66.0, "horizon_row": 40.0, "vanishing_column": 79.5, "lens": "pinhole"}
    result = calibrated(car, tmp_path, **lens, camera_height_m=0.2)
    assert result.framing == FRAMING == read_framing(tmp_path / "car.framing.json")
    assert result.correlation > 0.97 > result.stretched_correlation
    assert (result.gain, result.bias) == pytest.approx((GAIN, BIAS), abs=0.05)
    assert (result.unit, result.pictures, result.seconds) == (
        "1/m",
        FRAMES,
        pytest.approx((FRAMES - 1) / RATE),
    )
    loaded = load_model(tmp_path / "car.h5")
    before = load_model(MODEL)
    assert (loaded.framing, loaded.calibration.gain, loaded.calibration.camera_height_m) == (
        FRAMING,
        result.gain,
        0.2,
    )
    assert (before.framing, before.calibration) == (None, None)
    assert loaded.training == before.training
    for one, other in zip(loaded.model.get_weights(), before.model.get_weights(), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.slow
def test_the_framing_of_an_unknown_camera_is_found(car, tmp_path):
    result = result_of(
        "calibrate",
        MODEL,
        car / "frames",
        car / "labels.csv",
        "--rate",
        RATE,
        "-o",
        tmp_path / "car.h5",
    )
    assert result["correlation"] > 0.97 > result["stretched_correlation"]
    assert result["framing"]["lens"]["horizon_row"] == pytest.approx(40.0, abs=4.0)
    assert result["framing"]["lens"]["focal_px"] == pytest.approx(66.0, rel=0.15)
    assert result["gain"] == pytest.approx(GAIN, rel=0.3)
    assert (tmp_path / "car.framing.png").stat().st_size > 10_000
    run_script("predict", tmp_path / "car.h5", car / "frames", "-o", tmp_path / "predictions.csv")
    predictions = read_steering(tmp_path / "predictions.csv")
    labels = read_labels(car / "labels.csv")
    errors = [predictions[name] - label for name, label in labels.items()]
    assert np.sqrt(np.mean(np.square(errors))) < 0.1


def test_the_search_finds_the_lens_that_the_witness_reads():
    """The witness sees where the picture's brightness along one row is centred, as long as the lens
    fits.
    """
    horizon = 30.0
    focal = 130.0
    column = 79.5
    labels = np.sin(np.arange(60) / 3)

    class Search(FramingSearch):
        def attempt(self, framing):
            lens = framing.lens
            away = (lens.horizon_row - horizon) / 12, np.log(lens.focal_px / focal) / 0.3
            off = np.hypot(np.hypot(*away), (lens.vanishing_column - column) / 10) + lens.fisheye
            trial = labels + 0.7 * (0.3 + off) * np.cos(np.arange(60) * 1.7)
            return Trial(framing, trial, float(np.corrcoef(trial, labels)[0, 1]))

    pictures = [np.zeros((120, 160, 3), np.uint8)] * 60
    recorded = RecordedSteering(np.arange(60.0), labels)
    labelled = LabelledPictures(pictures, (160, 120), labels, np.arange(60.0), 0, recorded)
    lens = Search(lambda frames: np.zeros(len(frames)), labelled).find({}).framing.lens
    assert not lens.fisheye
    assert lens.horizon_row == pytest.approx(horizon, abs=5)
    assert lens.focal_px == pytest.approx(focal, rel=0.15)
    assert lens.vanishing_column == pytest.approx(column, abs=4)


def test_the_bias_of_a_short_drive_is_doubted_and_what_is_unknown_is_fitted_for_what_is_known():
    random = np.random.default_rng(0)
    answers = random.normal(0.3, 0.2, 400)
    labels = 0.5 * answers + 0.1 + random.normal(0, 0.1, 400)
    gain, bias = fit_steering(answers, labels, 4000.0)
    _, shorter = fit_steering(answers, labels, 20.0)
    assert (gain, bias) == pytest.approx((0.5, 0.1), abs=0.05)
    assert 0 < shorter < bias
    assert fit_steering(np.zeros(9), labels[:9], 9.0)[0] == 0.0
    labels = 0.5 * answers + 0.1 + random.normal(0, 0.01, 400)
    assert fit_steering(answers, labels, 4000.0, gain=0.5) == pytest.approx((0.5, 0.1), abs=0.01)
    gain, bias = fit_steering(answers, labels, 4000.0, bias=0.0)
    assert (gain, bias) == (pytest.approx(np.sum(labels * answers) / np.sum(answers**2)), 0.0)
    assert fit_steering(answers, labels, 4000.0, gain=1.2345678, bias=0.0) == (1.2345678, 0.0)


def test_a_framing_that_is_given_wins(car, tmp_path):
    framing = Framing(160, 120, rows=(30, 120))
    (tmp_path / "framing.json").write_text(framing.for_size(320, 240).to_json())
    result = calibrated(car, tmp_path, framing=tmp_path / "framing.json", gain=2.0, bias=0.0)
    assert (result.framing, result.gain, result.bias) == (framing, 2.0, 0.0)


def test_a_network_that_does_not_read_the_camera_is_refused(car, tmp_path):
    random = np.random.default_rng(0)
    lines = [f"{number},{value}" for number, value in enumerate(random.uniform(-1, 1, FRAMES))]
    (tmp_path / "labels.csv").write_text("\n".join(["frame_id,steering_angle", *lines]) + "\n")
    words = ("--rows", "0:120", "-o", tmp_path / "car.h5")
    with pytest.raises(UserError, match=r"does not read this camera.*longer drive.*--framing"):
        run_command("calibrate", MODEL, car / "frames", tmp_path / "labels.csv", *words)
    assert not (tmp_path / "car.h5").exists()


def test_the_frames_of_a_video_with_a_table_are_pictures(tmp_path):
    pytest.importorskip("av")
    make_video(tmp_path / "drive.mp4", count=60, size=(64, 48))
    (tmp_path / "drive.csv").write_text(
        "steering\n" + "".join(f"{number / 100}\n" for number in range(60))
    )
    labelled = read_labelled(CalibrateSettings(MODEL, tmp_path / "drive.mp4"))
    assert (len(labelled.pictures), labelled.size, labelled.pictures[0].shape) == (
        60,
        (64, 48),
        (48, 64, 3),
    )
    assert labelled.steering == pytest.approx(np.arange(60) / 100)


def test_the_steering_of_a_tub_may_be_positive_to_the_left(tmp_path):
    tub = make_tub(tmp_path / "tub", rows=60, **{"user/angle": lambda index: index / 100})
    labelled = read_labelled(CalibrateSettings(MODEL, tub, left_positive=True))
    assert labelled.steering == pytest.approx(-np.arange(60) / 100)


def test_a_log_that_is_a_pointer_of_git_lfs_is_to_be_fetched(tmp_path):
    folder = make_recording(tmp_path / "recording")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n"
    (folder / "driving_log.csv").write_text(pointer)
    with pytest.raises(UserError, match=r"pointer of Git LFS.*git lfs pull$"):
        read_labelled(CalibrateSettings(MODEL, folder))


def test_steering_to_the_other_side_is_found_and_mirrored(car, tmp_path, capsys):
    options = ("--rows", "0:120", "--rate", RATE, "-o", tmp_path / "car.h5")
    command = ("calibrate", MODEL, car / "frames", car / "labels.csv", *options)
    run_command(*command)
    plain = load_model(tmp_path / "car.h5").calibration
    assert "other side" not in capsys.readouterr().out
    run_command(*command, "--left-positive", "--force")
    assert load_model(tmp_path / "car.h5").calibration == plain
    out = capsys.readouterr().out
    assert "positive to the other side than you said; it was mirrored" in out
    assert "--left-positive" not in out
    lines = (car / "labels.csv").read_text().splitlines()
    other = [lines[0], *(line.replace(",", ",-").replace("--", "") for line in lines[1:])]
    (tmp_path / "left.csv").write_text("\n".join(other) + "\n")
    run_command(*command[:3], tmp_path / "left.csv", *options, "--force")
    assert load_model(tmp_path / "car.h5").calibration == plain
    assert "--left-positive" in capsys.readouterr().out


@pytest.mark.parametrize("late", [-0.5, 0.0, 0.4])
def test_a_driver_who_steers_late_and_a_late_camera_are_found(late):
    seconds = np.arange(0, 120, 0.05)
    steering = np.sin(seconds / 1.3) + np.sin(seconds / 0.7)
    pictures = np.arange(0, len(seconds), 15)[2:-2]
    at = seconds[pictures]
    recorded = RecordedSteering(seconds + late, steering)
    labelled = LabelledPictures([], (160, 120), recorded.at(at), at, 0, recorded)
    noise = np.random.default_rng(0).normal(0, 0.3, len(at))
    assert fit_delay(np.interp(at, seconds, steering) + noise, labelled) == pytest.approx(
        late, abs=0.08
    )


def test_the_most_frequent_size_counts_and_seconds_at_less_than_a_frame_a_second(car, tmp_path):
    shutil.copytree(car / "frames", tmp_path / "frames")
    cv2.imwrite(str(tmp_path / "frames" / "0.png"), np.zeros((60, 80, 3), np.uint8))
    settings = CalibrateSettings(
        MODEL, tmp_path / "frames", car / "labels.csv", rate=0.5, seconds=120
    )
    labelled = read_labelled(settings)
    assert (labelled.size, labelled.left_out) == ((160, 120), 1)
    assert (len(labelled.pictures), labelled.seconds[-1]) == (60, 120)


def test_the_pictures_are_from_the_whole_drive_and_have_no_more_pixels_than_frames_need(tmp_path):
    (tmp_path / "frames").mkdir()
    lines = ["frame_id,steering_angle"]
    picture = cv2.imencode(".jpg", np.zeros((720, 960, 3), np.uint8))[1].tobytes()
    for number in range(700):
        (tmp_path / "frames" / f"{number}.jpg").write_bytes(picture)
        lines.append(f"{number},{np.sin(number / 30):.4f}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    labelled = read_labelled(
        CalibrateSettings(MODEL, tmp_path / "frames", tmp_path / "labels.csv", rate=5.0)
    )
    assert (labelled.size, labelled.pictures[0].shape) == ((960, 720), (360, 480, 3))
    assert (len(labelled.pictures), labelled.seconds[0], labelled.seconds[-1]) == (
        160,
        0.0,
        pytest.approx(139.8, abs=1),
    )
    assert np.diff(labelled.seconds).max() <= 2 * 139.8 / 160
    assert np.array_equal(labelled.steering.round(4), np.sin(labelled.seconds * 5 / 30).round(4))


def test_the_next_command_is_one_that_the_shell_takes(car, tmp_path, capsys):
    frames = shutil.copytree(car / "frames", tmp_path / "my frames")
    labels = tmp_path / "labels of it.csv"
    labels.write_text((car / "labels.csv").read_text().replace("steering_angle", "wheel"))
    words = (frames, labels, "--rows", "0:120", "--gain", 1, "--bias", "0")
    options = (
        "--steering-column",
        "wheel",
        "--left-positive",
        "--rate",
        RATE,
        "-o",
        tmp_path / "car.h5",
    )
    run_command("calibrate", MODEL, *words, *options)
    (line,) = [
        line
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("next: bcclone import ")
    ]
    _, _, _, *typed = shlex.split(line)
    parsed = make_parser(load_command("import"), "bcclone import").parse_args(typed)
    assert (parsed.source, parsed.table, parsed.framing) == (
        frames,
        labels,
        tmp_path / "car.framing.json",
    )
    assert (parsed.steering_column, parsed.left_positive, parsed.frame_rate) == (
        "wheel",
        True,
        RATE,
    )


def test_options_of_a_table_are_refused_where_there_is_none(tmp_path):
    (tub := tmp_path / "tub").mkdir()
    (tub / "manifest.json").write_text("{}")
    for source, option in (
        (make_recording(tmp_path / "recording"), "--rate=5"),
        (tub, "--rate=5"),
    ):
        with pytest.raises(
            UserError,
            match=f"{option.split('=')[0]} is only for a table of labels, and {source} is",
        ):
            run_command("calibrate", MODEL, source, option, "-o", tmp_path / "car.h5")


def test_a_mistake_is_named(car, tmp_path):
    def refused(message, *words, model=MODEL, frames=car / "frames", labels=(car / "labels.csv",)):
        with pytest.raises(UserError, match=message):
            run_command("calibrate", model, frames, *labels, "-o", tmp_path / "car.h5", *words)

    refused("table", labels=())
    (tmp_path / "car.framing.png").write_text("mine")
    refused("car.framing.png exists, and is no picture of bcclone")
    (tmp_path / "car.framing.png").write_text("")
    refused("car.framing.png exists already.*--force")
    (tmp_path / "car.framing.png").unlink()
    refused("12 pictures of one size.*longer drive", "--seconds", "5.9", "--rate", "2")
    kept = "which have no rows 30 to 130, expected numbers from 0 to 120,.*correct the framing"
    refused(kept, "--rows", "30:130")
    refused("no such file or folder, expected a recording", frames=car / "none", labels=())
    refused("--framing and --horizon-row both say", "--framing", "x.json", "--horizon-row", "3")
    refused("no such|cannot be read|not a complete", model=tmp_path / "none.h5")
    flat = "".join(f"{number},0\n" for number in range(FRAMES))
    (tmp_path / "flat.csv").write_text(f"frame_id,steering_angle\n{flat}")
    refused("its steering is 0 throughout, expected bends", labels=(tmp_path / "flat.csv",))
    degrees = "".join(f"{number},{number - 20}\n" for number in range(FRAMES))
    (tmp_path / "degrees.csv").write_text(f"frame_id,steering_angle\n{degrees}")
    refused(
        "degrees.csv: a steering of 69 to.*expected -1 to 1.*--unit",
        labels=(tmp_path / "degrees.csv",),
    )
    (tmp_path / "other.csv").write_text("frame_id,steering_angle\nx,0\n")
    refused("none of its frames is in", labels=(tmp_path / "other.csv",))
    with pytest.raises(SettingError, match="rows.*expected two rows"):
        CalibrateSettings(MODEL, car, rows=(9, 2))
