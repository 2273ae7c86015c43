"""Our own processes load TensorFlow without messages, describe its devices, and show its errors if
that fails.
"""

import os
import sys

import pytest

from tests.processes import said

OWN = "from bcclone.system.process import claim_process; claim_process(); "
LOAD = (
    OWN
    + "from bcclone.system.tensorflow_quietly import load_tensorflow; "
    + "print(load_tensorflow(threads=1))"
)


def loaded(code, **environment):
    kept = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return said(sys.executable, "-c", code, env=kept | environment)


@pytest.mark.slow
def test_tensorflow_is_loaded_silently_and_its_devices_described():
    # a network of several frames transposes its pictures, of which oneDNN writes a notice
    transpose = "import tensorflow; tensorflow.transpose(tensorflow.zeros((2, 3), 'uint8'))"
    done = loaded(f"{LOAD}; {transpose}", TF_ENABLE_ONEDNN_OPTS="1")
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
def test_a_flag_that_tensorflow_does_not_know_is_named():
    done = loaded(LOAD, TF_XLA_FLAGS="--no_such_flag")
    assert done.returncode == 1
    assert "--no_such_flag" in done.stderr  # TensorFlow ends the process itself


def test_packages_left_out_are_missing_to_tensorflow_alone(tmp_path):
    (tmp_path / "chart.py").write_text("")
    (tmp_path / "tensorflow.py").write_text(
        "try:\n    import chart\n"
        "except ImportError:\n    raise RuntimeError('no chart')\n"
        "raise RuntimeError('a chart')\n"
    )
    code = (
        "from bcclone.system.tensorflow_quietly import load_tensorflow\n"
        "import gc\n"
        "try:\n    load_tensorflow(left_out=['chart'])\n"
        "except RuntimeError as error:\n    import chart\n    print(error, gc.isenabled())"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    assert loaded(f"{OWN}\n{code}", PYTHONPATH=path).stdout.strip() == "no chart True"
    # a program that imports bcclone keeps its packages
    assert loaded(code, PYTHONPATH=path).stdout.strip() == "a chart True"
