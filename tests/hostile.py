"""Make wrong files from valid ones: JSON of other types, damaged bytes, HDF5 of other content."""

import json
import os

import h5py
import numpy as np
import pytest

# values of every type of JSON
_VALUES = (
    None, True, False, 0, -1, 7, 1 << 63, 10**400, 1.5, 1e308, float("nan"),
    "", "x", "x" * 5000, "\ud800", "a\0b", "../..", "zzz://x",
    [], [None], [[[]]], {}, {"a": 1}, "2026-01-01",
)  # fmt: skip
# bytes that a reader of texts, numbers or tables may stumble over
_INSERTED = (
    b"\0", b"\n", b'"', b",", b"\r", b"\xff", b"9" * 400, b"1e999", b"nan", b"-", b"{", b"[", b"'",
    b"\x1c", "\u2028".encode(), "²".encode(), "٣".encode(), b"0x" + b"f" * 300,
)  # fmt: skip


def with_wrong_values(stored):
    """Yield a JSON value with each of its parts replaced, left out, and repeated."""
    yield from _VALUES
    if isinstance(stored, dict):
        for key, value in stored.items():
            for wrong in with_wrong_values(value):
                yield {**stored, key: wrong}
            yield {other: stored[other] for other in stored if other != key}
        yield {**stored, "unknown": 1}
    if isinstance(stored, list):
        for index, value in enumerate(stored[:3]):
            for wrong in with_wrong_values(value):
                yield [*stored[:index], wrong, *stored[index + 1 :]]
        yield stored * 2


def damaged(content, random, changes=3):
    """Return a content with some bytes changed, removed, repeated and inserted.

    random: a random.Random
    changes: at most so many
    """
    for _ in range(random.randint(1, changes)):
        begin = random.randrange(len(content) + 1)
        length = random.choice((1, 1, 4, random.randint(1, 60)))
        end = min(begin + length, len(content))
        other = random.randbytes(end - begin)
        repeated = content[begin:end] * 2
        inserted = random.choice([b"", other, other, repeated, random.choice(_INSERTED)])
        rest = content[random.choice([begin, end, end]) :]
        content = content[:begin] + inserted + rest
    return content


def thinned(values, ids, every):
    """Return pytest's parameters of values.

    Each `every`-th runs in the fast tests, and all of them in the slow ones.
    """
    params = []
    for number, (value, name) in enumerate(zip(values, ids, strict=True)):
        marks = [] if number % every == 0 else pytest.mark.slow
        params.append(pytest.param(value, id=name, marks=marks))
    return params


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
        shape = values.shape
        kind = values.id.get_type()
        size = values.id.get_storage_size()
        path.with_name("secret").write_bytes(bytes(size))
        del file[name]
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_external(os.fsencode(path.with_name("secret")), 0, size)
        h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple(shape), properties)


def _virtual(path, name):
    with h5py.File(path, "r+") as file:
        shape = file[name].shape or (1,)
        kind = file[name].dtype
        del file[name]
        layout = h5py.VirtualLayout(shape, kind)
        layout[:] = h5py.VirtualSource(str(path.with_name("other.h5")), name, shape)
        file.create_virtual_dataset(name, layout)


# name -> function that gives the data set of a file and a name another place
in_another_place = {
    "external link": _external_link,
    "soft link": _soft_link,
    "external storage": _external_storage,
    "virtual": _virtual,
}
# what may stand in the place of any data set or attribute
WRONG_PARTS = {
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
    """Replace a part of an HDF5 file by a value of WRONG_PARTS.

    name: of a data set, or of an attribute: GROUP@NAME or @NAME
    """
    with h5py.File(file, "r+") as opened:
        group, is_attribute, name = name.rpartition("@")
        holder = opened
        if is_attribute:
            holder = opened[group or "/"].attrs
        del holder[name]
        if value is not None:
            holder[name] = value
