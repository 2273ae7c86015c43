"""A monitor file with any damage is refused, and no claim in it asks for memory or runs code."""

import contextlib
import io
import json
import zipfile

import numpy as np
import pytest

from bcclone.lab.monitor.monitor import GammaFit, MonitorInfo, read_monitor, save_monitor
from bcclone.system.errors import UserError

INFO = MonitorInfo("features", "0" * 64, GammaFit(2.0, 3.0), 4.0, 0.01, 100)
ARRAYS = {"mean": np.arange(5, dtype=np.float32), "scaling": np.asfortranarray(np.eye(5, dtype=np.float32) * 2)}


@pytest.fixture
def monitor(tmp_path):
    path = tmp_path / "model.monitor"
    save_monitor(path, INFO, ARRAYS)
    return path


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_members(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def refused(path, reason="monitor"):
    with pytest.raises(UserError, match=reason) as caught:
        read_monitor(path)
    assert str(path) in str(caught.value)
    assert "bcclone monitor fit" in str(caught.value)


def test_what_is_written_is_read_again(monitor):
    info, arrays = read_monitor(monitor)
    assert info == INFO
    assert {name: array.tolist() for name, array in arrays.items()} == {n: a.tolist() for n, a in ARRAYS.items()}


def test_each_damaged_byte_is_harmless_or_refused(monitor):
    content = monitor.read_bytes()
    for place in range(len(content)):
        monitor.write_bytes(content[:place] + bytes([content[place] ^ 0x21]) + content[place + 1 :])
        with contextlib.suppress(UserError):
            read_monitor(monitor)


def test_each_truncated_file_is_refused(monitor):
    content = monitor.read_bytes()
    for length in range(0, len(content), 7):
        monitor.write_bytes(content[:length])
        refused(monitor)


@pytest.mark.parametrize("value", [None, True, 7, -1, 1.5, 10**400, "x", "x" * 1000, [], {}, [[]], {"a": {}}, 1e308])
def test_each_field_with_a_value_of_another_kind_is_harmless_or_refused(monitor, value):
    members = members_of(monitor)
    header, _, text = members["monitor.npy"].partition(b"\n")
    stored = json.loads(text)
    for name in (*stored, *(f"gamma.{inner}" for inner in stored["gamma"])):
        outer, _, inner = name.partition(".")
        changed = json.dumps(stored | {outer: stored["gamma"] | {inner: value} if inner else value}).encode()
        buffer = io.BytesIO()
        np.save(buffer, np.frombuffer(changed, np.uint8))
        with_members(monitor, members | {"monitor.npy": buffer.getvalue()})
        with contextlib.suppress(UserError):
            read_monitor(monitor)


def test_an_array_larger_than_its_bytes_is_refused(monitor):
    members = members_of(monitor)
    for claim in (b"(999999999, 999999999), }", b"(" + b"9" * 400 + b",), }", b"(-5,), }", b"(((((5,))))), }"):
        begin, _, end = members["arrays/mean.npy"].partition(b"(5,), }")
        with_members(monitor, members | {"arrays/mean.npy": begin + claim + end})
        refused(monitor, "array")


def test_objects_code_and_other_packings_are_refused(monitor):
    members = members_of(monitor)
    for header in (
        b"{'descr': '|O', 'fortran_order': False, 'shape': (5,), }",
        *(
            b"{'descr': '%s', 'fortran_order': False, 'shape': (5,), }" % kind
            for kind in (b"<f1", b"|b2", b"<b8", b"|f8")
        ),
        b"__import__('os').abort()",
        b"(" * 9000,
    ):
        content = b"\x93NUMPY\x01\x00" + len(header + b"\n").to_bytes(2, "little") + header + b"\n"
        with_members(monitor, members | {"arrays/mean.npy": content})
        refused(monitor, "array of another form")
    for packing in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with_members(monitor, members, compression=packing)
        refused(monitor, "packed")
    with_members(monitor, members | {f"arrays/{number}.npy": b"" for number in range(1001)})
    refused(monitor, "more than 1000 arrays")
