"""What commands answer with --json: the keys of each command, and the figures that it computes."""

import pytest

from tests.golden.expected import check, key_paths
from tests.running import ROOT, result_of, run_script

MODELS = {name: ROOT / "models" / f"{name}.h5" for name in ("lake", "any-road")}
STORE = "preprocess.py lake mountain -o store.h5 --size 64 --block-seconds 1"
LINES = {
    "preprocess": STORE,
    "preprocess --check": "preprocess.py lake mountain --check",
    "edit": "edit lake --delete 10 20",
    "edit, listed": "edit lake",
    "export, csv": "export lake --to csv -o table",
    "export, tub": "export lake --to tub -o tub",
    "import": "import table/table.csv -o imported",
    "trained-models": "trained-models",
    "doctor": "doctor",
}
SLOW = {
    "evaluate": "evaluate {lake} --laps 0.02",
    "replay": "replay {lake} lake",
    "predict": "predict {lake} lake",
    "preprocess, shards": "preprocess.py lake -o shards --size 32 --jobs 1",
    "simulate record": "simulate record again --laps 0.005",
    "suite": "suite {lake} {any-road} --rows lake-30 --laps 0.02 --jobs 1",
    "suite in fog": "suite {lake} --rows fog --laps 0.02 --jobs 1",
    "margin": "margin {lake} --speed 30 --road random:1:length=250",
    "model": "model.py store.h5 -o model.h5 --epochs 1 --name run",
    "calibrate": "calibrate {any-road} longer -o car.h5 --no-left-positive",
    "export, onnx": "export {lake} --to onnx -o model.onnx",
    "export, litert": "export {lake} --to litert -o model.tflite",
    "export, donkeycar": "export {lake} --to donkeycar -o donkeycar.tflite",
    "improve": "improve {lake} --expert -o improved.h5 --rounds 1 --rows lake-30 --laps 0.02",
    "plots": "plots {lake} store.h5 -o pictures --only crop,steering",
    "video": "video.py lake -o clip.mp4",
    "demo": "demo --folder demo --record-laps 0.06 --epochs 1 --laps 0.02",
}
# what has to run before
BEFORE = {
    "import": "export lake --to csv -o table",
    "plots": STORE.replace("64", "128"),
    "model": STORE,
    "calibrate": "simulate record longer --laps 0.3 --recoveries 0 --rows-per-second 4",
}

CODES = {"improve": 1}  # a model that drives without an intervention does not get better

# the figures of a result that the machine does not decide
FIGURES = {
    "edit": ("rows", "deleted", "changed", "edits", "spans"),
    "import": ("rows", "seen"),
    "replay": ("autonomy_percent", "distance_m", "by_limit", "steering_correlation"),
    "evaluate": ("autonomy_percent", "distance_m", "mean_abs_cross_track_m", "seconds"),
    "suite": ("rows",),
    "suite in fog": ("rows",),
    "margin": ("lake",),
    "simulate record": ("rows", "seconds", "distance_m"),
    "calibrate": ("framing", "correlation", "gain", "bias", "mirrored"),
    "export, litert": ("inputs", "outputs"),
    "export, donkeycar": ("inputs", "outputs", "picture"),
}
# kernels of another processor compute a network with other last digits, and a drive adds these up
NEAR = {"rtol": 0.02, "atol": 0.005}


def _run(name, line, here):
    words = line.format(**MODELS).split()
    if name in BEFORE:
        run_script(*BEFORE[name].split(), cwd=here)
    return result_of(*words, cwd=here, code=CODES.get(name, 0))


def _check(name, line, here):
    result = _run(name, line, here)
    check("keys", name, key_paths(result))
    if name in FIGURES:
        check("figures", name, {key: result[key] for key in FIGURES[name]}, **NEAR)


@pytest.mark.parametrize("name", LINES)
def test_a_command_gives_the_expected_keys_and_figures(name, here):
    _check(name, LINES[name], here)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_a_slow_command_gives_the_expected_keys_and_figures(name, here):
    _check(name, SLOW[name], here)
