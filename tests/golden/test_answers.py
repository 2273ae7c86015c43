"""Answers of models to fixed frames: shipped, older and exported ones; the table of predict."""

import csv

import pytest

from tests.conftest import SHARED
from tests.golden.expected import check
from tests.running import ROOT, result_of, run_script

pytestmark = pytest.mark.slow  # each loads TensorFlow

SHIPPED = ("lake", "any-road", "any-camera")
EXPORTS = {
    "onnx": "model.onnx",
    "litert": "model.tflite",
    "litert --quantize float16": "model.tflite",
    "litert --quantize int8 --calibrate mountain": "model.tflite",
}
NEAR = {"atol": 1e-4}


def steering(model, frames, here, *options):
    """Return the steering of every 8th frame, by its name."""
    run_script("predict", model, frames, "-o", "table.csv", "--force", *options, cwd=here)
    with (here / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {row["frame_id"]: float(row["steering_angle"]) for row in rows[::8]}


@pytest.mark.parametrize("model", SHIPPED)
def test_steering_of_a_shipped_model(model, here):
    path = ROOT / "models" / f"{model}.h5"
    answers = {drive: steering(path, drive, here) for drive in ("lake", "mountain")}
    answers["pictures"] = steering(path, "lake/IMG", here, "--rows", "20:150")
    check("answers", model, answers, **NEAR)


@pytest.mark.parametrize("name", ["keras-1.2.1_66x200_yuv", "keras-2.11.0_66x200_yuv"])
def test_steering_of_an_older_model(name, here):
    """As it is, and converted."""
    path = SHARED / "legacy_models" / f"{name}.h5"
    if not path.exists():
        pytest.skip(f"needs {path}")
    prepared = ("--preprocess", "nvidia-66x200-yuv")
    answers = steering(path, "lake", here, *prepared)
    check("answers", name, answers, **NEAR)
    run_script("import-model", path, "-o", "new.h5", *prepared, cwd=here)
    check("answers", name, steering("new.h5", "lake", here), **NEAR)


@pytest.mark.parametrize("export", EXPORTS)
def test_steering_of_an_exported_model(export, here):
    for model in ("lake", "any-camera"):
        source = ROOT / "models" / f"{model}.h5"
        line = ("export", source, "--to", *export.split(), "-o", EXPORTS[export], "--force")
        run_script(*line, cwd=here)
        near = {"atol": 0.02} if "int8" in export else NEAR
        name = f"{model} as {export}"
        check("answers", name, steering(EXPORTS[export], "lake", here), **near)


def test_steering_and_throttle_of_a_donkeycar_model(here):
    """The file, asked by LiteRT, as donkeycar asks it."""
    import cv2
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    options = ("--throttle", 0.3, "--throttle-in-bends", 0.15, "-o", "car.tflite")
    run_script("export", ROOT / "models" / "lake.h5", "--to", "donkeycar", *options, cwd=here)
    interpreter = Interpreter(model_path=str(here / "car.tflite"), num_threads=1)
    asked = interpreter.get_signature_runner()
    answers = {}
    for path in sorted((here / "lake" / "IMG").glob("center*"))[::8]:
        picture = cv2.resize(cv2.imread(str(path))[..., ::-1], (160, 120))
        given = asked(img_in=picture[np.newaxis].astype(np.float32) / 255)
        answers[path.stem] = {name: float(value.item()) for name, value in given.items()}
    check("answers", "lake as donkeycar", answers, **NEAR)


def test_replay_with_an_exported_model(here):
    run_script("export", ROOT / "models" / "lake.h5", "--to", "onnx", "-o", "m.onnx", cwd=here)
    result = result_of("replay", "m.onnx", "mountain", cwd=here)
    figures = {key: result[key] for key in ("rms_cross_track_m", "steering_correlation")}
    check("figures", "replay of an exported model", figures, rtol=0.02, atol=0.005)
