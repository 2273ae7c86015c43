"""A process that reads files: whatever a file does to it is a refusal, and its answers are plain data."""

import json
import os
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest

from bcclone.system.hdf5_child import Ended, Hdf5Process, Parts, Refused

READER = """
import os, signal, sys
import numpy as np
from bcclone.system.hdf5_child import Refused, serve

class Secret:
    def __reduce__(self):
        return print, ("run",)

def read(file, question):
    if question == "crash":
        os.abort()
    if question == "violation":
        os.kill(os.getpid(), signal.SIGSEGV)
    if question == "hang":
        while True:
            pass
    if question == "memory":
        bytearray(1 << 44)
    if question == "exit":
        os._exit(7)
    if question == "refuse":
        raise Refused("not a file of this kind, " + "x" * 300)
    if question == "objects":
        return 1, [np.array([Secret()], object)]
    if isinstance(question, dict):  # bytes instead of an answer
        sys.stdout.buffer.write(bytes(question["bytes"]))
        sys.stdout.buffer.flush()
        os._exit(0)
    if question == "parts":
        file.seek(8)
        end = file.read(2)
        file.seek(0)
        begin = file.read(2)
        try:
            file.seek(1)
            file.read(4)
        except OSError as error:
            return [begin.decode(), end.decode(), file.seek(0, os.SEEK_END), str(error)], []
    table = np.zeros(3, [("frame", "u4"), ("is_flipped", "?"), ("name", "S5")])
    table["name"] = [b"a", b"bc", b""]
    numbers = np.zeros((0, 2), "f4"), np.full((), 7.0)
    return os.fspath(file), [table, ["one", "", "zw\\u00f6lf"], [], *numbers, [""]]

serve(read)
"""


@pytest.fixture
def process(tmp_path, monkeypatch):
    (tmp_path / "reader_of_a_test.py").write_text(READER)
    (tmp_path / "file").write_bytes(bytes(100))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Hdf5Process("reader_of_a_test") as process:
        yield process


def test_tables_and_texts_arrive_as_they_are_for_file_after_file(process, tmp_path):
    other = tmp_path / os.fsdecode(b"no UTF-8 \xff")
    other.write_bytes(b"")
    for path in (tmp_path / "file", other):
        answer = process.read(path)
        table, texts, none, empty, number, blank = answer.tables
        assert answer.head == str(path)
        assert table.dtype == np.dtype([("frame", "u4"), ("is_flipped", "?"), ("name", "S5")])
        assert table["name"].tolist() == [b"a", b"bc", b""]
        table["frame"] = 1  # the caller may change them
        assert (texts, none, blank) == (["one", "", "zwölf"], [], [""])
        assert (empty.shape, empty.dtype, number.shape, float(number)) == ((0, 2), np.float32, (), 7.0)


@pytest.mark.skipif(not hasattr(signal, "SIGPROF"), reason="needs a clock of processor time, which Windows has not")
@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("crash", "was ended by SIGABRT"),
        ("violation", "was ended by SIGSEGV"),
        ("hang", "took too long"),
        ("exit", "ended with code 7"),
    ],
)
def test_a_crash_or_an_endless_loop_is_a_refusal(process, tmp_path, what, reason):
    with pytest.raises(Ended, match=reason):
        process.read(tmp_path / "file", what)
    with pytest.raises(Ended):
        process.read(tmp_path / "file")


@pytest.mark.parametrize(
    ("what", "reason"),
    [("memory", "MemoryError"), ("refuse", "of this kind, x{300}$"), ("objects", "references")],
)
def test_what_the_process_refuses_leaves_it_ready(process, tmp_path, what, reason):
    with pytest.raises(Refused, match=reason) as caught:
        process.read(tmp_path / "file", what)
    assert not isinstance(caught.value, Ended)
    assert process.read(tmp_path / "file").head == str(tmp_path / "file")


def framed(head):
    text = json.dumps(head).encode() if not isinstance(head, bytes) else head
    return len(text).to_bytes(8, "little") + text


def described(*table):
    return framed({"head": 1, "tables": [table]})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        (1 << 40).to_bytes(8, "little"),
        framed(b"[" * 100_000),
        framed(b"\xff"),
        framed([]),
        framed(7),
        framed({}),
        framed({"head": 1}),
        framed({"head": 1, "tables": 7}),
        framed({"head": 1, "tables": [7]}),
        described("<f4", [3], 12),
        described("<f4", [1 << 40], 1 << 42),
        described("<f4", [-1], -4),
        described("<f4", [-1, -1], 4) + bytes(4),
        described("<f4", [2], 4) + bytes(4),
        described("|O", [1], 8) + bytes(8),
        described("no type", [1], 8) + bytes(8),
        described([["a", "|O"]], [1], 8) + bytes(8),
        described([7], [1], 8) + bytes(8),
        described(7, [1], 8) + bytes(8),
        described("<f4", 7, 8) + bytes(8),
        described("<f4", [2.0], 8) + bytes(8),
        described("texts", [3], 1) + b"\0",
        described("texts", [1], 1) + b"\xff",
        described("texts", [], 1) + b"x",
    ],
)
def test_anything_else_than_an_answer_is_a_refusal(process, tmp_path, content):
    with pytest.raises(Ended, match="its structure is damaged"):
        process.read(tmp_path / "file", {"bytes": list(content)})


def test_of_a_file_elsewhere_only_the_known_parts_can_be_read(process):
    head = process.read(Parts(10, {(0, 2): b"ab", (8, 10): b"yz"}), "parts").head
    assert head == ["ab", "yz", 10, "bytes 1 to 5 are not among its tables"]
    for size, blocks in ((1, {(0, 2): b"ab"}), (9, {(0, 2): b"a"}), (9, {(-1, 0): b"a"}), (9, {(3, 2): b""})):
        with pytest.raises(ValueError, match="bytes from"):
            Parts(size, blocks)


def test_a_file_that_is_not_there_is_an_error_of_the_system(process, tmp_path):
    with pytest.raises(FileNotFoundError):
        process.read(tmp_path / "nothing")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="looks into /proc")
def test_the_process_ends_with_its_block(tmp_path):
    def children():
        return Path("/proc/self/task").joinpath(str(os.getpid()), "children").read_text().split()

    before = children()
    h5py.File(tmp_path / "empty.h5", "w").close()
    with Hdf5Process("bcclone.system.file_kinds") as started:
        with pytest.raises(FileNotFoundError):
            started.read(tmp_path / "nothing")
        assert children() == before  # a file that cannot be opened needs no process
        started.read(tmp_path / "empty.h5")
        assert len(children()) == len(before) + 1
    assert children() == before
