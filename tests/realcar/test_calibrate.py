"""A camera's framing and a car's gain and bias are found from its first minute, or taken from the
user.
"""

import re
import shlex
import shutil

import numpy as np
import pytest

from bcclone.camera.framing import Framing, Lens, read_framing
from bcclone.commands import load_command
from bcclone.commands.command import parse
from bcclone.model.model_file import load_model, save_model
from bcclone.model.policy import load_policy
from bcclone.realcar.calibrate import calibrate
from bcclone.realcar.calibrate_settings import CalibrateSettings
from bcclone.realcar.labelled_drive import LabelledDrive, open_drive, read_drive
from bcclone.realcar.lens_search import fit_delay, fit_steering
from bcclone.recording.log import read_log
from bcclone.system.errors import UserError
from bcclone.system.settings import SettingError
from tests.conftest import made_once, shared
from tests.exchange.foreign_sources import make_frames, make_tub
from tests.messages.refusals import run_command
from tests.messages.small_recording import make_recording
from tests.other_camera import road_frames, seen_by
from tests.recordings import mirrored, rewrite
from tests.running import ROOT, read_steering, result_of, run_script

MODEL = ROOT / "models" / "any-road.h5"
CAMERA_MODEL = ROOT / "models" / "any-camera.h5"
FRAMING = Framing(160, 120, lens=Lens(66.0, 40.0, 79.5))  # it sees more than the simulator's
GAIN = 0.5
BIAS = 0.05
PICTURES = 90
MS = 500  # from picture to picture


@pytest.fixture(scope="session")
def tub(tmp_path_factory):
    """The tub of another camera; its steering is GAIN x the network's on what it would see + BIAS.
    Not to be changed.
    """

    def make(folder):
        policy = load_policy(MODEL)
        frames = road_frames(PICTURES)
        write_tub(
            folder / "tub",
            [GAIN * policy.answer(frame).steering + BIAS for frame in frames],
            lambda index: seen_by(FRAMING, frames[index])[..., ::-1],
        )

    return made_once(tmp_path_factory, "calibrated-car", make) / "tub"


def write_tub(folder, steering, pictures=None, pause_ms=lambda index: 0):
    """Write a tub with this steering of each record."""
    times = {"_timestamp_ms": lambda index: 1_767_225_600_000 + MS * index + pause_ms(index)}
    angles = {"user/angle": lambda index: steering[index]}
    return make_tub(folder, rows=len(steering), pictures=pictures, **times, **angles)


def resteered(tub, folder, change):
    """Write a tub whose steering is changed."""
    shutil.copytree(tub, folder)
    steering = drive_in(tub).recorded_steering
    (folder / "manifest.json").unlink()
    write_tub(folder / "new", [change(value) for value in steering])
    for name in ("manifest.json", "catalog_0.catalog"):
        shutil.move(folder / "new" / name, folder / name)
    shutil.rmtree(folder / "new")
    return folder


def drive_in(folder, left_positive=False):
    return read_drive(folder, *open_drive(folder, left_positive))


def drive_of(seconds, steering, pictures=()):
    """Return a drive with pictures at some of its seconds, and a steering at all of them."""
    return LabelledDrive(list(pictures), seconds, (160, 120), seconds, steering)


def test_what_the_user_knows_is_taken_and_the_rest_is_fitted(tub, tmp_path):
    (tmp_path / "known.json").write_text(FRAMING.for_size(320, 240).to_json())
    settings = CalibrateSettings(
        MODEL, tub, tmp_path / "car.h5", framing=tmp_path / "known.json", left_positive=False
    )
    result = calibrate(settings)
    assert result.framing == FRAMING == read_framing(tmp_path / "car.framing.json")
    assert result.correlation > 0.97 > result.stretched_correlation
    assert (result.gain, result.bias) == pytest.approx((GAIN, BIAS), abs=0.05)
    assert result.pictures == PICTURES
    assert result.seconds == pytest.approx((PICTURES - 1) * MS / 1000)
    assert (tmp_path / "car.framing.png").stat().st_size > 10_000
    loaded = load_model(tmp_path / "car.h5")
    before = load_model(MODEL)
    assert (loaded.framing, loaded.calibration.gain) == (FRAMING, result.gain)
    assert (before.framing, before.calibration) == (None, None)
    assert loaded.training == before.training
    for one, other in zip(loaded.model.get_weights(), before.model.get_weights(), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.slow
def test_the_framing_of_an_unknown_camera_is_found(tub, tmp_path):
    result = result_of("calibrate", MODEL, tub, "-o", tmp_path / "car.h5", "--no-left-positive")
    assert result["correlation"] > 0.97 > result["stretched_correlation"]
    assert result["framing"]["lens"]["horizon_row"] == pytest.approx(40.0, abs=4.0)
    assert result["framing"]["lens"]["focal_px"] == pytest.approx(66.0, rel=0.15)
    assert result["gain"] == pytest.approx(GAIN, rel=0.3)
    table = tmp_path / "predictions.csv"
    run_script("predict", tmp_path / "car.h5", tub / "images", "-o", table)
    predictions = read_steering(table)
    recorded = drive_in(tub).recorded_steering
    errors = [predictions[f"{n}_cam_image_array_"] - value for n, value in enumerate(recorded)]
    assert np.sqrt(np.mean(np.square(errors))) < 0.1


def test_the_bias_of_a_short_drive_is_doubted_and_is_fitted_for_a_gain_that_is_known():
    random = np.random.default_rng(0)
    answers = random.normal(0.3, 0.2, 400)
    noise = random.normal(0, 0.1, 400)

    def fitted(seconds, noise=noise, gain=None, answers=answers):
        drive = drive_of(np.linspace(0, seconds, 400), 0.5 * answers + 0.1 + noise)
        return fit_steering(answers, drive, 0.0, gain)

    gain, bias = fitted(4000.0)
    assert (gain, bias) == pytest.approx((0.5, 0.1), abs=0.05)
    assert 0 < fitted(20.0)[1] < bias
    assert fitted(9.0, answers=np.zeros(400))[0] == 0.0
    assert fitted(4000.0, noise / 10, gain=0.5) == pytest.approx((0.5, 0.1), abs=0.01)


@pytest.mark.parametrize("late", [-0.5, 0.0, 0.4])
def test_a_driver_who_steers_late_and_a_late_camera_are_found(late):
    seconds = np.arange(0, 120, 0.05)
    steering = np.sin(seconds / 1.3) + np.sin(seconds / 0.7)
    at = seconds[::15][2:-2]
    drive = LabelledDrive([], at, (160, 120), seconds + late, steering)
    noise = np.random.default_rng(0).normal(0, 0.3, len(at))
    answers = np.interp(at, seconds, steering) + noise
    assert fit_delay(answers, drive) == pytest.approx(late, abs=0.08)


def to_the_other_side(path):
    """Write a copy of the model that steers to the other side; return its path."""
    shutil.copyfile(MODEL, path)
    file = load_model(path)
    for layer in file.model.layers[::-1]:
        if weights := layer.get_weights():
            layer.set_weights([-values for values in weights])
            break
    save_model(path, file.model, file.preprocessing, {})
    return path


@pytest.fixture(scope="module")
def mirrored_recording(winding_recording, tmp_path_factory):
    """The winding road with its steering mirrored."""
    folder = shutil.copytree(winding_recording, tmp_path_factory.mktemp("mirrored") / "rec")
    rewrite(folder, mirrored)
    return folder


def test_steering_to_the_other_side_is_found_by_the_pictures_and_mirrored(
    winding_recording, mirrored_recording, tmp_path, capsys
):
    options = ("--rows", "0:160", "-o", tmp_path / "car.h5", "--force")
    run_command("calibrate", MODEL, winding_recording, *options)
    plain = load_model(tmp_path / "car.h5").calibration
    assert plain.gain > 0
    out = capsys.readouterr().out
    assert "mirrored" not in out
    assert re.search(r"turns of the pictures: 0\.9\d", out)
    run_command("calibrate", MODEL, winding_recording, *options, "--left-positive")
    assert load_model(tmp_path / "car.h5").calibration == plain
    out = capsys.readouterr().out
    assert "mirrored" in out
    assert "--left-positive" not in out
    run_command("calibrate", MODEL, mirrored_recording, *options)
    assert load_model(tmp_path / "car.h5").calibration == plain
    assert "--left-positive" in capsys.readouterr().out


def test_a_network_that_steers_to_the_wrong_side_turns_no_recording(
    winding_recording, mirrored_recording, tmp_path
):
    model = to_the_other_side(tmp_path / "wrong.h5")
    car = tmp_path / "car.h5"
    # neither through the lens that suits it best, nor without one
    for recording in (winding_recording, mirrored_recording):
        for options in ((), ("--rows", "0:160")):
            with pytest.raises(UserError, match=r"wrong.h5: it does not read .*by -0\.\d.*0\.9"):
                run_command("calibrate", model, recording, *options, "-o", car)
    with pytest.raises(UserError, match=r"--gain -1, but by the turns .* gain of 1;.*--left-posit"):
        run_command("calibrate", MODEL, winding_recording, "--gain", "-1", "-o", car)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wrong.h5"]


@pytest.mark.parametrize(("side", "option"), [(1, "--no-left-positive"), (-1, "--left-positive")])
def test_where_the_pictures_do_not_tell_the_side_the_user_is_asked(tub, tmp_path, side, option):
    drive = drive_in(tub)
    # two pictures at a time, so that few follow another one
    folder = write_tub(
        tmp_path / "tub",
        (side * drive.recorded_steering).tolist(),
        lambda index: drive.pictures[index][..., ::-1],
        pause_ms=lambda index: 60_000 * (index // 2),
    )
    options = ("--rows", "0:120", "-o", tmp_path / "car.h5")
    with pytest.raises(UserError, match=r"which side.*--left-positive, or --no-left-positive"):
        run_command("calibrate", MODEL, folder, *options)
    assert not (tmp_path / "car.h5").exists()
    run_command("calibrate", MODEL, folder, *options, option)
    assert load_model(tmp_path / "car.h5").calibration.gain > 0


def test_a_network_that_does_not_read_the_camera_is_refused(tub, tmp_path):
    random = np.random.default_rng(0)
    other = resteered(tub, tmp_path / "other", lambda value: random.uniform(-1, 1))
    options = ("--rows", "0:120", "--no-left-positive", "-o", tmp_path / "car.h5")
    with pytest.raises(UserError, match=r"does not read this camera.*longer drive.*--framing"):
        run_command("calibrate", MODEL, other, *options)
    assert not (tmp_path / "car.h5").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tub_road", "tub_floor"])
@pytest.mark.parametrize("option", ["--left-positive", "--no-left-positive"])
def test_real_tubs_tell_their_side_whatever_the_user_says(name, option, tmp_path):
    result = result_of(
        "calibrate", CAMERA_MODEL, shared("real") / name, "--rows", "0:120",
        "-o", tmp_path / "car.h5", option,
    )  # fmt: skip
    assert result["mirrored"] == (option == "--left-positive")
    assert result["gain"] > 0
    assert result["turn_correlation"] > 0.9


def test_the_most_frequent_size_counts_and_deleted_records_do_not(tmp_path):
    def picture(index):
        return np.zeros((60, 80, 3) if index == 5 else (120, 160, 3), np.uint8)

    steering = {"user/angle": lambda index: index / 100}
    folder = make_tub(tmp_path / "tub", (0, 1), rows=60, pictures=picture, **steering)
    drive = drive_in(folder, left_positive=True)
    assert (drive.size, drive.left_out, len(drive.pictures)) == ((160, 120), 1, 57)
    kept = np.delete(np.arange(60), [0, 1, 5])
    assert drive.steering() == pytest.approx(-kept / 100)


def test_a_recording_is_read_with_the_size_of_its_cameras_pictures(tmp_path):
    folder = make_recording(tmp_path / "recording", rows=60)
    log = (folder / "driving_log.csv").read_text().splitlines()
    bends = [line.replace(",0.1,", f",{n / 100},") for n, line in enumerate(log)]
    (folder / "driving_log.csv").write_text("\n".join(bends) + "\n")
    (folder / "framing.json").write_text(Framing(640, 480).to_json())
    drive = drive_in(folder)
    assert (drive.size, len(drive.pictures)) == ((640, 480), 60)
    assert drive.steering() == pytest.approx(np.arange(60) / 100)
    (folder / "framing.json").write_text(FRAMING.to_json())
    with pytest.raises(UserError, match="cut by a framing already.*calibrate on its source"):
        drive_in(folder)


def test_the_next_command_is_one_that_the_shell_takes(tub, tmp_path, capsys):
    mine = shutil.copytree(tub, tmp_path / "my tub")
    options = ("--rows", "0:120", "--gain", -1, "--left-positive", "-o", tmp_path / "car.h5")
    run_command("calibrate", MODEL, mine, *options)
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith("next: bcclone import ")]
    _, _, _, *typed = shlex.split(line)
    given = parse(load_command("import"), ["bcclone", "import"], typed)
    assert (given["source"], given["framing"]) == (mine, tmp_path / "car.framing.json")
    assert given["left_positive"]


@pytest.mark.parametrize(
    ("edits", "side"),
    [
        (("--delete 40 50", "--advance-steering 0.6", "--mirror-steering --rows 60 70"), ""),
        (("--mirror-steering", "--trim 3 85", "--restore 2 2"), "--no-left-positive"),
        (("--undo", "--delete 1 1"), "--left-positive"),
        (("--restore 8 8", "--mirror-steering"), "--left-positive"),
    ],
)
def test_the_next_lines_make_the_edits_of_a_recording_again(
    edits, side, tub, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tub, "tub")
    records = (tmp_path / "tub" / "catalog_0.catalog").read_text().splitlines()
    # bad ones, and repeated ones, of which some are deleted in the tub
    other = [record.replace('"user/throttle": -0.5', '"user/throttle": -0.4') for record in records]
    again = [*records[:20], "bad", *records[10:12], *other[4:8], *records[20:]]
    (tmp_path / "tub" / "catalog_0.catalog").write_text("\n".join(again) + "\n")
    manifest = (tmp_path / "tub" / "manifest.json").read_text()
    deleting = manifest.replace('"deleted_indexes": []', '"deleted_indexes": [5, 30, 31]')
    (tmp_path / "tub" / "manifest.json").write_text(deleting)
    run_command("import", "tub", "-o", "rec/ex")
    for edit in edits:
        run_command("edit", "rec/ex", *edit.split())
    capsys.readouterr()
    run_command("calibrate", MODEL, "rec/ex", "--rows", "0:120", "--gain", 1, *side.split())
    lines = capsys.readouterr().out.splitlines()
    commands = [shlex.split(line, comments=True) for line in lines if " bcclone " in line]
    for _, _, *words in (words for words in commands if words[0] in ("next:", "then:")):
        run_command(*words)
    before, after = (
        read_log(tmp_path / folder / "driving_log.csv").rows
        for folder in ("rec/ex", "recordings/ex-framed")
    )
    assert (after["time_ms"] == before["time_ms"]).all()
    turned = -1 if side == "--left-positive" else 1
    assert after["steering"].to_numpy() == pytest.approx(turned * before["steering"].to_numpy())
    # mirrored once
    out = "\n".join(lines)
    assert not ("--left-positive" in out and " --mirror-steering  #" in out)


def test_edits_of_rows_whose_numbers_are_unknown_are_named(tub, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_command("import", tub, "-o", "rec/ex")
    log = tmp_path / "rec" / "ex" / "driving_log.csv"
    first, *others = log.read_text().splitlines()
    log.write_text("\n".join(["bad", first, *others[1:]]) + "\n")
    run_command("edit", "rec/ex", "--delete", 4, 5)
    run_command("edit", "rec/ex", "--advance-steering", 0.5)
    capsys.readouterr()
    run_command("calibrate", MODEL, "rec/ex", "--rows", "0:120", "--gain", 1)
    *_, edit, careful = capsys.readouterr().out.splitlines()
    assert edit.startswith("then: bcclone edit recordings/ex-framed --advance-steering 0.50  #")
    assert re.match(r"careful: make the other edits of rec/ex again.*bcclone edit rec/ex", careful)


@pytest.mark.parametrize("option", ["--no-left-positive", "--left-positive"])
def test_where_steering_and_pictures_disagree_the_check_comes_first(
    option, winding_recording, tmp_path, capsys
):
    folder = shutil.copytree(winding_recording, tmp_path / "half")
    run_command("edit", folder, "--mirror-steering", "--rows", "1", "12.5s")
    options = ("--rows", "0:160", "-o", tmp_path / "car.h5")
    with pytest.raises(UserError, match=r"first: bcclone preprocess \S+half --check; .*--left-pos"):
        run_command("calibrate", MODEL, folder, *options)
    capsys.readouterr()
    run_command("calibrate", MODEL, folder, *options, option, "--gain", 1)
    out = capsys.readouterr().out
    assert re.search(r"careful: .*turns of the pictures: -?0\.\d.*preprocess \S+half --check", out)


def test_a_mistake_is_named(tub, tmp_path):
    def refused(message, *words, model=MODEL, frames=tub):
        with pytest.raises(UserError, match=message):
            run_command("calibrate", model, frames, "-o", tmp_path / "car.h5", *words)

    (tmp_path / "car.framing.png").write_text("mine")
    refused("car.framing.png exists, and is no picture of bcclone")
    (tmp_path / "car.framing.png").write_text("")
    refused("car.framing.png exists already.*--force")
    (tmp_path / "car.framing.png").unlink()
    short = write_tub(tmp_path / "short", [0.01 * number for number in range(12)])
    refused("12 pictures of one size.*longer drive", frames=short)
    flat = write_tub(tmp_path / "flat", [0.25] * 60)
    refused("its steering is 0.25 throughout, expected bends", frames=flat)
    table = make_frames(tmp_path / "table", ["1.jpg"], [("image", "steering"), ("1.jpg", "0")])
    refused("neither a recording nor a tub; import it first: bcclone import", frames=table)
    refused("no such file or folder, expected a recording", frames=tmp_path / "none")
    refused("no rows 30 to 130, .*correct the framing", "--rows", "30:130", "--no-left-positive")
    refused("--framing and --horizon-row both say", "--framing", "x.json", "--horizon-row", "3")
    refused("no such|cannot be read|not a complete", model=tmp_path / "none.h5")
    with pytest.raises(SettingError, match="rows.*expected two rows"):
        CalibrateSettings(MODEL, tub, rows=(9, 2))
