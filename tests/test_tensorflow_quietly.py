"""TensorFlow says nothing when it is loaded, tells the device, and is heard where it cannot be loaded."""

import os
import subprocess
import sys

LOAD = "from bcclone.tensorflow_quietly import load_tensorflow; print(load_tensorflow(threads=1))"


def loaded(code, **environment):
    kept = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", code], env=kept | environment, capture_output=True, text=True, check=False
    )


def test_it_is_loaded_without_a_word_and_tells_what_it_computes_on():
    done = loaded(LOAD)
    assert done.stdout.startswith(("CPU", "GPU"))
    assert done.stderr == ""


def test_what_it_said_is_shown_where_it_cannot_be_loaded(tmp_path):
    (tmp_path / "tensorflow.py").write_text(
        "import os\nos.write(2, b'no such processor\\n')\nraise ImportError('gone')\n"
    )
    done = loaded(LOAD, PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    assert "no such processor" in done.stderr
    assert "ImportError: gone" in done.stderr
