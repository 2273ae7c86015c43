"""TensorFlow is loaded without messages, its devices are described, and its errors are shown if it cannot be loaded."""

import os
import sys

import pytest

from tests.processes import said

LOAD = "from bcclone.system.tensorflow_quietly import load_tensorflow; print(load_tensorflow(threads=1))"


def loaded(code, **environment):
    kept = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return said(sys.executable, "-c", code, env=kept | environment)


@pytest.mark.slow
def test_tensorflow_is_loaded_silently_and_its_devices_described():
    done = loaded(LOAD)
    assert done.stdout.startswith(("CPU", "GPU"))
    assert done.stderr == ""


def test_messages_of_tensorflow_are_shown_when_it_cannot_be_loaded(tmp_path):
    (tmp_path / "tensorflow.py").write_text(
        "import os\nos.write(2, b'no such processor\\n')\nraise ImportError('gone')\n"
    )
    done = loaded(LOAD, PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    assert "no such processor" in done.stderr
    assert "ImportError: gone" in done.stderr


@pytest.mark.slow
def test_without_a_gpu_no_peak_memory_is_described():
    code = (
        "from bcclone.system.tensorflow_quietly import *; load_tensorflow(); "
        "print(describe_devices(), describe_peak_memory())"
    )
    assert loaded(code, CUDA_VISIBLE_DEVICES="-1").stdout.strip() == "CPU"
    assert loaded(LOAD.replace("threads=1", "use_gpus=False")).stdout.strip() == "CPU"
