"""A program that uses bcclone keeps what its whole process shares, such as OpenCV's threads and
standard error.
"""

import os

import pytest

from tests.processes import python
from tests.running import ROOT

BEGIN = """
import sys, threading
from os import environ
from pathlib import Path
before = dict(environ)
recording, store, lake, folder = map(Path, sys.argv[1:])
import bcclone
"""
# a program that has loaded what bcclone loads, and has made its choices
CHOICES = """
import logging, random, signal, warnings
import cv2, h5py, matplotlib.pyplot, numba, numpy, pandas, PIL.ImageFile
import scipy.interpolate, simplejpeg, tqdm, yaml
from tests.process_state import differences, shared, watched
cv2.setNumThreads(3)
cv2.utils.logging.setLogLevel(4)
matplotlib.rcParams["figure.facecolor"] = "red"
numpy.random.seed(7)
numpy.seterr(over="raise")
numpy.set_printoptions(precision=3)
random.seed(7)
signal.signal(signal.SIGTERM, lambda *_: None)
warnings.simplefilter("error", BytesWarning)
logging.basicConfig(level=logging.INFO)
"""
CHOICES_OF_TENSORFLOW = """
import gymnasium, keras, requests, tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(3)
"""
CHOICES_OF_EXPORT = """
import logging, onnx, tf2onnx
logging.getLogger("tf2onnx").setLevel(logging.ERROR)
"""
COMPARED = """
before = shared()
with watched() as meanwhile:
    {call}
print("\\nchanged:", *differences(before), *meanwhile, sep="\\n")
"""
UNTIL = "ends = threading.Event(); threading.Timer({}, ends.set).start(); "
CALLS = {
    "check": "bcclone.check([str(recording)])",
    "convert": "settings = bcclone.PreprocessSettings((str(recording),), folder / 'x.h5');"
    "bcclone.convert(settings)",
    "record": "bcclone.record(folder / 'x', bcclone.RecordSettings(laps=0.005))",
    "make_clip": "bcclone.make_clip(bcclone.ClipSettings(run=recording, output=folder / 'x.mp4'))",
    "import_recording": "from bcclone.camera.framing import Framing;"
    "from bcclone.exchange.exchange_settings import ImportSettings;"
    "from bcclone.exchange.recording_import import import_recording;"
    "(folder / 'framing.json').write_text(Framing(320, 160, rows=(10, 150)).to_json());"
    "import_recording(ImportSettings(recording, folder / 'x', framing=folder / 'framing.json'))",
    "export": "from bcclone.exchange.exchange_settings import ExportSettings;"
    "from bcclone.exchange.recording_export import export;"
    "export(ExportSettings(str(recording), folder / 'x', 'tub'))",
    "play": UNTIL.format(1)
    + "bcclone.play(bcclone.PlaySettings(folder=folder / 'x', port=0), stop=ends)",
}
CALLS_OF_TENSORFLOW = {
    "names": "[getattr(bcclone, name) for name in dir(bcclone)]",
    "load_policy": "bcclone.load_policy(lake).answer(numpy.zeros((160, 320, 3), numpy.uint8))",
    "save_model": "loaded = bcclone.load_model(lake);"
    "bcclone.save_model(folder / 'x.h5', loaded.model, loaded.preprocessing)",
    "train": "drawn = random.getstate();"
    "bcclone.train(bcclone.TrainSettings((str(store),), folder / 'x.h5', epochs=1));"
    "assert random.getstate() == drawn",
    "SampleDataset": "samples = bcclone.SampleDataset.from_store(store, 32);"
    "numbers = [samples[index] for index in range(len(samples))]; samples.close()",
    "predict": "bcclone.predict(bcclone.PredictSettings(lake, recording, folder / 'x.csv'))",
    "replay": "bcclone.replay([lake], recording)",
    "evaluate": "bcclone.evaluate(lake, bcclone.EvaluateSettings(laps=0.005))",
    "suite": "bcclone.suite([lake], bcclone.SuiteSettings(rows=('lake-30',), laps=0.005, jobs=1))",
    "plot": "bcclone.plot(bcclone.PlotSettings(lake, (str(store),), output=folder / 'x'))",
    "serve": UNTIL.format(5)
    + "bcclone.serve(bcclone.DriveSettings(model=lake, port=0), stop=ends)",
}

EXPORT = (
    "from bcclone.realcar.export_settings import ExportModelSettings;"
    "from bcclone.realcar.export import export_model;"
    "export_model(ExportModelSettings(lake, {}))"
)
CALLS_OF_EXPORT = {
    "onnx": EXPORT.format("'onnx', folder / 'x.onnx'"),
    "litert": EXPORT.format(
        "'litert', folder / 'x.tflite', quantize='int8', calibrate=recording / 'IMG'"
    ),
}


@pytest.fixture
def run(simulated_recording, simulated_store, tmp_path):
    """Run a program with a recording, a store, a model and a folder; return the lines that it
    prints.
    """

    def run(code, **variables):
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("TF_")
        }
        environment |= {"PYTHONPATH": str(ROOT)} | variables
        places = simulated_recording, simulated_store, ROOT / "models" / "lake.h5", tmp_path
        return python(BEGIN + code, *map(str, places), cwd=tmp_path, env=environment).splitlines()

    return run


def changed_by(run, choices, call):
    lines = run(choices + COMPARED.format(call=call))
    return lines[lines.index("changed:") + 1 :]


@pytest.mark.parametrize("name", CALLS)
def test_a_call_leaves_the_process_as_it_was(run, name):
    assert changed_by(run, CHOICES, CALLS[name]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS_OF_TENSORFLOW)
def test_a_call_that_computes_with_tensorflow_leaves_the_process_as_it_was(run, name):
    assert changed_by(run, CHOICES + CHOICES_OF_TENSORFLOW, CALLS_OF_TENSORFLOW[name]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS_OF_EXPORT)
def test_an_export_leaves_the_process_as_it_was(run, name):
    for package in ("onnx", "tf2onnx", "onnxruntime", "ai_edge_litert"):
        pytest.importorskip(package)
    choices = CHOICES + CHOICES_OF_TENSORFLOW + CHOICES_OF_EXPORT
    assert changed_by(run, choices, CALLS_OF_EXPORT[name]) == []


# what a program finds that loads a package only after bcclone has used it: a call, and what is true
# then
AFTERWARDS = {
    "the environment": ("convert", "print(dict(environ) == before)"),
    "OpenCV decodes as many pixels": (
        "convert",
        "import cv2, numpy as np; black = cv2.imencode('.png', np.zeros((5000, 4000), 'uint8'))[1];"
        "print(cv2.imdecode(black, 0).shape == (5000, 4000))",
    ),
    "Numba has yaml": (
        "record",
        "import numba.core.config, yaml; print(numba.core.config._HAVE_YAML)",
    ),
    "moviepy runs the ffmpeg that the program has chosen": (
        "make_clip",
        "environ['FFMPEG_BINARY'] = sys.executable; from moviepy.video.io import ffmpeg_writer;"
        "print(ffmpeg_writer.FFMPEG_BINARY == sys.executable)",
    ),
    "the user's style of matplotlib": (
        "plot",
        "import matplotlib; print(matplotlib.rcParams['figure.facecolor'] == 'red')",
    ),
    "all threads of TensorFlow": (
        "serve",
        "import tensorflow as tf; print(tf.config.threading.get_intra_op_parallelism_threads() == "
        "0)",
    ),
}


def marked(what):
    is_slow = AFTERWARDS[what][0] not in CALLS
    return pytest.param(what, marks=[pytest.mark.slow] * is_slow)


@pytest.mark.parametrize("what", [marked(what) for what in AFTERWARDS])
def test_a_package_that_bcclone_has_loaded_is_as_it_is_without(run, what, tmp_path):
    name, code = AFTERWARDS[what]
    (tmp_path / "style").write_text("figure.facecolor: red")
    call = (CALLS | CALLS_OF_TENSORFLOW)[name]
    assert run(f"{call}\n{code}", MATPLOTLIBRC=str(tmp_path / "style"))[-1] == "True"


WRITES = """
import os, time
def write():
    while not ends.is_set():
        os.write(2, b"mine\\n")
        written.append(1)
        time.sleep(0.01)
ends, written = threading.Event(), []
os.dup2(os.open(folder / "errors", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
writing = threading.Thread(target=write)
writing.start()
bcclone.load_policy(lake)
ends.set()
writing.join()
print(len(written) == (folder / "errors").read_bytes().count(b"mine\\n"))
"""


@pytest.mark.slow
def test_standard_error_of_other_threads_is_kept_while_tensorflow_is_loaded(run):
    assert run(WRITES)[-1] == "True"
