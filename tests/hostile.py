"""Make wrong files from valid ones: values of every JSON type in each place, damaged bytes, HDF5 of
other content.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import pytest

_VALUES = (
    None, True, False, 0, -1, 7, 1 << 63, 10**400, 1.5, 1e308, float("nan"), "", "x", "x" * 5000, "\ud800", "a\0b",
    "../..", "zzz://x", [], [None], [[[]]], {}, {"a": 1}, "2026-01-01",
)  # fmt: skip
_INSERTED = (
    b"\0", b"\n", b'"', b",", b"\r", b"\xff", b"9" * 400, b"1e999", b"nan", b"-", b"{", b"[", b"'", b"\x1c",
    "\u2028".encode(), "²".encode(), "٣".encode(), b"0x" + b"f" * 300,
)  # fmt: skip


def with_wrong_values(stored: Any) -> Iterator[Any]:
    """Yield a JSON value with each of its parts replaced by values of every type, left out, and
    repeated.
    """
    yield from _VALUES
    if isinstance(stored, dict):
        for key, value in stored.items():
            yield from ({**stored, key: wrong} for wrong in with_wrong_values(value))
            yield {other: stored[other] for other in stored if other != key}
        yield {**stored, "unknown": 1}
    if isinstance(stored, list):
        for index, value in enumerate(stored[:3]):
            yield from (
                [*stored[:index], wrong, *stored[index + 1 :]] for wrong in with_wrong_values(value)
            )
        yield stored * 2


def damaged(content: bytes, random: Any, changes: int = 3) -> bytes:
    """Return a content with some bytes changed, removed, repeated and inserted. random: a
    random.Random.
    """
    for _ in range(random.randint(1, changes)):
        begin = random.randrange(len(content) + 1)
        end = min(begin + random.choice((1, 1, 4, random.randint(1, 60))), len(content))
        other = random.randbytes(end - begin)
        inserted = random.choice(
            [b"", other, other, content[begin:end] * 2, random.choice(_INSERTED)]
        )
        content = content[:begin] + inserted + content[random.choice([begin, end, end]) :]
    return content


def thinned(values, ids, every):
    """Return pytest's parameters of values: each `every`-th runs in the fast tests, all of them in
    the slow ones.
    """
    pairs = enumerate(zip(values, ids, strict=True))
    return [
        pytest.param(one, id=name, marks=[] if n % every == 0 else pytest.mark.slow)
        for n, (one, name) in pairs
    ]


# ---- HDF5


def _external_link(path, name):
    other = path.with_name("other.h5")
    other.write_bytes(path.read_bytes())
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = h5py.ExternalLink(str(other), name)


def _soft_link(path, name):
    with h5py.File(path, "r+") as file:
        file.move(name, "moved")
        file[name] = h5py.SoftLink("/moved")


def _external_storage(path, name):
    with h5py.File(path, "r+") as file:
        values = file[name]
        shape, kind, size = values.shape, values.id.get_type(), values.id.get_storage_size()
        path.with_name("secret").write_bytes(bytes(size))
        del file[name]
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_external(os.fsencode(path.with_name("secret")), 0, size)
        h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple(shape), properties)


def _virtual(path, name):
    with h5py.File(path, "r+") as file:
        shape, kind = file[name].shape or (1,), file[name].dtype
        del file[name]
        layout = h5py.VirtualLayout(shape, kind)
        layout[:] = h5py.VirtualSource(str(path.with_name("other.h5")), name, shape)
        file.create_virtual_dataset(name, layout)


# by name: makes of the data set at a name of a file one whose content is elsewhere
in_another_place = {
    "external link": _external_link,
    "soft link": _soft_link,
    "external storage": _external_storage,
    "virtual": _virtual,
}
WRONG_PARTS = {  # in the place of any data set or attribute
    "missing": None,
    "a number": 7,
    "numbers": np.arange(10),
    "floats": np.arange(6.0),
    "not a number": np.nan,
    "none": h5py.Empty("f"),
    "no rows": np.zeros(0),
    "three axes": np.zeros((2, 2, 2), np.uint8),
    "complex": np.arange(6.0) + 1j,
    "other columns": np.zeros(10, [("x", "f8"), ("frame", "i4")]),
    "nested columns": np.zeros(10, [("frame", [("x", "f8")])]),
    "columns of arrays": np.zeros(10, [("frame", "f8", (3,))]),
    "bytes": np.array([b"abc"] * 10),
    "a text": "text",
    "nested JSON": "[" * 5000 + "]" * 5000,
    "JSON with a number of 400 digits": json.dumps({"width": 10**400, "cameras": ["center"]}),
    "a wrong JSON": '{"cameras": 7}',
    "not a number in JSON": '{"seed": NaN}',
}


def put(file, name, value):
    """Replace a data set of an HDF5 file, or an attribute such as GROUP@NAME or @NAME, by a value
    of WRONG_PARTS.
    """
    with h5py.File(file, "r+") as opened:
        group, is_attribute, name = name.rpartition("@")
        holder = opened[group or "/"].attrs if is_attribute else opened
        del holder[name]
        if value is not None:
            holder[name] = value
