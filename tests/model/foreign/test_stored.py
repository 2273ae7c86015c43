"""A model file is read in a process of its own: what it does to that process is only a refusal."""

import signal
import zipfile

import pytest

from bcclone.model.foreign.stored import UnsupportedModel, read_stored
from tests.model.foreign.old_models import keras1_config, write


def test_an_archive_that_unpacks_to_too_much_or_lacks_a_part_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", b" " * (1 << 24))
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", "")
    with pytest.raises(UnsupportedModel, match="metadata.json.*16777216.*1048576"):
        read_stored(tmp_path / "bomb.keras")
    with zipfile.ZipFile(tmp_path / "part.keras", "w") as archive:
        archive.writestr("metadata.json", "{}")
    with pytest.raises(UnsupportedModel, match="lacks config.json, model.weights.h5"):
        read_stored(tmp_path / "part.keras")


@pytest.mark.skipif(
    not hasattr(signal, "SIGPROF"), reason="needs a clock of processor time, which Windows has not"
)
@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        (
            "import os; os.abort()",
            "its structure is damaged.* ended with code -6; save the model again",
        ),
        pytest.param(
            "while True: pass",
            "reading its structure took too long; try again while the machine .* less busy",
            marks=pytest.mark.slow,
        ),
        ("x = bytearray(1 << 40)", "not a complete model file: MemoryError"),
    ],
)
def test_a_file_whose_reader_crashes_or_hangs_or_fills_the_memory_is_refused(
    tmp_path, monkeypatch, ends, reason
):
    """The reader is the real one, and what it does to itself stands for what a file would make the
    library do.
    """
    hostile = tmp_path / "sitecustomize.py"
    hostile.write_text(
        "import sys, threading\n"
        "def later():\n"
        "    import bcclone.system.hdf5_file as hdf5\n"
        "    def act(*_):\n"
        f"        {ends}\n"
        "    hdf5.read_attribute = act\n"
        "if 'bcclone.model.foreign.stored' in ' '.join(sys.orig_argv): later()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UnsupportedModel, match=reason):
        read_stored(write(tmp_path / "old.h5", keras1_config()))


def test_objects_in_the_answer_of_the_reader_are_not_loaded(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'bcclone.model.foreign.stored' in ' '.join(sys.orig_argv):\n"
        "    import numpy\n"
        "    savez = numpy.savez\n"
        "    numpy.savez = lambda file, **_: savez(file, head=numpy.array([sys.exit], object))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UnsupportedModel, match="gave no answer"):
        read_stored(write(tmp_path / "old.h5", keras1_config()))
