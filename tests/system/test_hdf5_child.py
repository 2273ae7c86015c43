"""A process that reads a file: whatever the file does to it is a refusal, and its answers are plain data."""

import os
import signal

import numpy as np
import pytest

from bcclone.system.hdf5_child import Ended, Refused, read_apart

READER = """
import os, signal, sys
import numpy as np
from bcclone.system.hdf5_child import Refused, serve

class Secret:
    def __reduce__(self):
        return print, ("run",)

def read(path):
    what = path.name
    if what == "crash":
        os.abort()
    if what == "violation":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "hang":
        while True:
            pass
    if what == "memory":
        bytearray(1 << 44)
    if what == "exit":
        os._exit(7)
    if what == "refuse":
        raise Refused("not a file of this kind, " + "x" * 300)
    if what == "objects":
        return 1, [np.array([Secret()], object)]
    if what == "nothing":
        os._exit(0)
    if what == "other":
        print("7")
        os._exit(0)
    table = np.zeros(3, [("frame", "u4"), ("name", "S5")])
    table["name"] = [b"a", b"bc", b""]
    return os.fspath(path), [table, np.zeros((0, 2), "f4"), np.full((), 7.0)]

serve(read)
"""


@pytest.fixture
def read(tmp_path, monkeypatch):
    (tmp_path / "reader_of_a_test.py").write_text(READER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def read(name):
        (tmp_path / name).write_bytes(bytes(100))
        return read_apart("reader_of_a_test", tmp_path / name)

    return read


def test_tables_arrive_as_they_are(read, tmp_path):
    name = os.fsdecode(b"no UTF-8 \xff")
    head, (table, empty, number) = read(name)
    assert head == str(tmp_path / name)
    assert table.dtype == np.dtype([("frame", "u4"), ("name", "S5")])
    assert table["name"].tolist() == [b"a", b"bc", b""]
    assert (empty.shape, empty.dtype, number.shape, float(number)) == ((0, 2), np.float32, (), 7.0)


@pytest.mark.skipif(not hasattr(signal, "SIGXCPU"), reason="Windows limits no processor time")
@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("crash", "was ended by SIGABRT"),
        ("violation", "was ended by SIGSEGV"),
        ("hang", "took too long"),
        ("exit", "ended with code 7"),
        ("objects", "gave no answer"),
        ("nothing", "gave no answer"),
        ("other", "gave no answer"),
    ],
)
def test_a_crash_or_an_endless_loop_is_a_refusal(read, what, reason):
    with pytest.raises(Ended, match=reason):
        read(what)


@pytest.mark.parametrize(("what", "reason"), [("memory", "MemoryError"), ("refuse", "of this kind, x{300}$")])
def test_what_the_process_refuses(read, what, reason):
    with pytest.raises(Refused, match=reason) as caught:
        read(what)
    assert not isinstance(caught.value, Ended)


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_apart("reader_of_a_test", tmp_path / "nothing")
