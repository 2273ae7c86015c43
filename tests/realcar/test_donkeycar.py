"""A model for a donkeycar takes its camera's pictures and gives angle and throttle; smaller files
answer nearly so.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from bcclone.camera.framing import Framing
from bcclone.exchange.exchange_settings import ExportSettings
from bcclone.exchange.recording_export import export
from bcclone.model.policy import load_policy
from bcclone.realcar.export import export_model, read_pictures, road_pictures
from bcclone.realcar.export_settings import ExportModelSettings
from bcclone.realcar.exported import throttle_law
from bcclone.system.errors import UserError
from tests.conftest import made_once
from tests.exchange.driven_recordings import make_driven
from tests.processes import said
from tests.realcar.exports import steeper
from tests.running import ROOT

pytest.importorskip("ai_edge_litert")
LAKE = ROOT / "models" / "lake.h5"
PICTURES = np.random.default_rng(0).integers(0, 256, (4, 120, 160, 3), dtype=np.uint8)
# the outputs as donkeycar names them; it reads them in this order
ANGLE = "n_outputs0"
THROTTLE = "n_outputs1"
DRIVE = Path(__file__).parent / "donkeycar_drive.py"
# release of donkeycar: the Pythons that it runs with, and the interpreter of LiteRT that it takes
RELEASES = {
    "5.3.0": (("3.11",), ("typing_extensions", "tflite-runtime==2.14.0")),
    "5.4.0": (("3.13", "3.12"), ("ai-edge-litert",)),
}


@pytest.fixture(scope="session")
def road(tmp_path_factory):
    """A tub's folder with pictures along the lake track, of which one file is empty."""

    def draw(folder):
        (folder / "images").mkdir()
        for index, picture in enumerate(road_pictures(60, (160, 120))):
            name = f"{index}_cam_image_array_.jpg"
            cv2.imwrite(str(folder / "images" / name), picture[..., ::-1])
        (folder / "images" / "empty.jpg").write_bytes(b"")

    return made_once(tmp_path_factory, "donkeycar-road", draw)


def exported(model, folder, **settings):
    return export_model(ExportModelSettings(model, "donkeycar", folder / "car.tflite", **settings))


def answers(path, pictures):
    """Return angle and throttle of each picture, which is given as donkeycar gives it."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["img_in"], "outputs": [ANGLE, THROTTLE]}
    }
    run = interpreter.get_signature_runner()
    found = [run(img_in=(picture / 255.0)[np.newaxis].astype(np.float32)) for picture in pictures]
    return np.array([[each[ANGLE][0, 0], each[THROTTLE][0, 0]] for each in found])


def steering(model, pictures):
    policy = load_policy(model)
    return np.array(
        [
            policy.answer((policy.framing or Framing.of(picture)).apply(picture)).steering
            for picture in pictures
        ]
    )


def law(outputs=2, **settings):
    return throttle_law(ExportModelSettings(Path("model.h5"), "donkeycar", **settings), outputs)[0]


def test_a_picture_gives_the_models_steering_and_a_throttle(tmp_path):
    result = exported(LAKE, tmp_path)
    assert result.inputs == {"img_in": (120, 160, 3)}
    assert result.outputs == {ANGLE: (1,), THROTTLE: (1,)}
    assert 0 < result.mean_difference <= result.greatest_difference <= 0.005
    pictures = road_pictures(4, (160, 120))
    found = answers(tmp_path / "car.tflite", pictures)
    assert found[:, 0] == pytest.approx(steering(LAKE, pictures), abs=0.005)
    assert found[:, 1] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("outputs", "settings", "numbers", "expected"),
    [
        (2, {"throttle": 0.3, "throttle_in_bends": 0.1}, None, [0.3, 0.3, 0.2, 0.1, 0.1]),
        # the second number is the speed / 30 mph; the car drives 10 mph with a throttle of 0.2
        (
            2,
            {"throttle": 0.2, "throttle_speed_mph": 10.0},
            [1 / 3, 1 / 6, 3, -1, 0],
            [0.2, 0.1, 1.0, 0.0, 0.0],
        ),
        (3, {}, [0.35, 1.2, -0.4, 0, 1], [0.35, 1.0, 0.0, 0.0, 1.0]),
        (2, {}, [0.35] * 5, [0.2] * 5),
    ],
)
def test_the_throttle_follows_the_bends_the_speed_or_the_model(
    outputs, settings, numbers, expected
):
    angles = np.array([0, 0.1, -0.3, 0.5, -1], np.float32)[:, np.newaxis]
    predicted = np.zeros((5, outputs), np.float32)
    if numbers:
        predicted[:, -1] = numbers
    assert np.ravel(law(outputs, **settings)(angles, predicted)) == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("quantize", "most", "smaller"), [("float16", 1e-3, 0.6), ("int8", 0.01, 0.55)]
)
def test_a_smaller_file_answers_nearly_alike_and_says_how_nearly(
    quantize, most, smaller, road, tmp_path
):
    whole = exported(LAKE, tmp_path).megabytes
    result = exported(LAKE, tmp_path, quantize=quantize, calibrate=road, force=True)
    assert (result.frames, result.unreadable) == (30, 1)
    assert result.mean_difference <= most
    assert result.megabytes < smaller * whole
    pictures = [
        cv2.imread(str(path))[..., ::-1] for path in sorted((road / "images").glob("*_.jpg"))[::7]
    ]
    apart = answers(tmp_path / "car.tflite", pictures)[:, 0] - steering(LAKE, pictures)
    assert np.mean(np.abs(apart)) <= 2 * most


@pytest.mark.slow
def test_a_smaller_file_that_answers_otherwise_is_not_kept(tmp_path):
    (pictures := tmp_path / "pictures").mkdir()
    for index in range(20):
        cv2.imwrite(str(pictures / f"{index}.png"), PICTURES[index % 4])
    model = steeper(LAKE, tmp_path / "millions.h5")
    settings = ExportModelSettings(model, "litert", quantize="int8", calibrate=pictures)
    with pytest.raises(
        UserError,
        match=r"not written, because with --quantize int8 .* differ by \d.*use --quantize f",
    ):
        export_model(settings)
    assert sorted(tmp_path.iterdir()) == [model, pictures]


@pytest.mark.slow
def test_what_drives_no_donkeycar_is_refused(
    untrained_model, untrained_window_model, untrained_recurrent_model, tmp_path
):
    for model in (untrained_window_model, untrained_recurrent_model):
        with pytest.raises(UserError, match="3 frames, expected.*single"):
            exported(model, tmp_path)
    with pytest.raises(UserError, match="several frames.*--quantize int8.*single"):
        export_model(
            ExportModelSettings(
                model, "litert", tmp_path / "x.tflite", quantize="int8", calibrate=tmp_path
            )
        )
    with pytest.raises(UserError, match="no speed.*--throttle-speed.*train"):
        exported(untrained_model, tmp_path, throttle_speed_mph=5.0)
    assert not list(tmp_path.iterdir())


def test_too_few_pictures_are_refused(untrained_model, tmp_path):
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "1.jpg"), PICTURES[0])
    (tmp_path / "images" / "2.jpg").write_bytes(b"")
    os.mkfifo(tmp_path / "images" / "3.jpg")
    with pytest.raises(UserError, match=r"1 pictures.*expected 20"):
        exported(untrained_model, tmp_path, quantize="int8", calibrate=tmp_path / "images")
    with pytest.raises(UserError, match=": 0 pictures"):
        exported(untrained_model, tmp_path, quantize="int8", calibrate=tmp_path / "none")


@pytest.mark.parametrize("to", [None, "csv", "tub"])
def test_pictures_for_calibration_are_those_of_the_centre_camera(tmp_path, to):
    folder = make_driven(tmp_path / "lake", rows=23)
    if to:
        export(ExportSettings(str(folder), tmp_path / "set", to))
        folder = tmp_path / "set"
    cv2.imwrite(str(folder / "turn_left_1.png"), np.zeros((160, 320, 3), np.uint8))
    pictures, unreadable = read_pictures(folder, (320, 160))
    assert (len(pictures), unreadable) == (24, 0)


@pytest.fixture(scope="session", params=RELEASES)
def donkeycar(request, tmp_path_factory):
    """A release of donkeycar, and a Python that has it in an environment made for this test.

    That Python is the one that runs the tests, or one on the PATH; skips where none suits.
    """
    release = request.param
    versions, interpreter = RELEASES[release]
    running = "{}.{}".format(*sys.version_info)
    python = sys.executable
    if running not in versions:
        found = filter(None, (shutil.which(f"python{version}") for version in versions))
        # a shim of pyenv may lie there without the Python itself
        python = next((path for path in found if said(path, "--version").returncode == 0), None)
    if not python:
        pytest.skip(f"donkeycar {release} needs a Python {' or '.join(versions)} on the PATH")

    def install(folder):
        done = said(python, "-m", "venv", folder / "env")
        if done.returncode == 0:
            packages = (f"donkeycar=={release}", *interpreter)
            done = said(folder / "env" / "bin" / "pip", "install", "-q", *packages)
        error = " ".join(done.stderr.split())[-500:]
        (folder / "error").write_text(error if done.returncode else "")

    folder = made_once(tmp_path_factory, f"donkeycar-{release}", install)
    if error := (folder / "error").read_text():
        pytest.skip(f"donkeycar {release} cannot be installed here ({error})")
    return release, folder / "env" / "bin" / "python"


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="tflite-runtime has no wheels for Windows")
@pytest.mark.parametrize(("quantize", "most"), [(None, 0.005), ("float16", 0.005), ("int8", 0.02)])
def test_donkeycar_5_drives_the_file_unchanged(quantize, most, donkeycar, road, tmp_path):
    release, python = donkeycar
    settings = {"quantize": quantize, "throttle": 0.4, "throttle_in_bends": 0}
    if quantize:
        settings["calibrate"] = road
    exported(LAKE, tmp_path, **settings)
    done = said(python, DRIVE, tmp_path / "car.tflite", road, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["library"] == f"donkeycar {release}"
    assert (len(found["pictures"]), found["left_out"]) == (60, 1)
    expected = steering(
        LAKE, [cv2.imread(str(road / "images" / name))[..., ::-1] for name in found["pictures"]]
    )
    assert np.mean(np.abs(np.subtract(found["angle"], expected))) <= most
    sharpness = np.clip((np.abs(found["angle"]) - 0.1) / 0.4, 0, 1)
    assert found["throttle"] == pytest.approx(0.4 * (1 - sharpness), abs=most)
    assert np.ptp(found["angle"]) > 0.1
