"""Of an HDF5 file that somebody else made, only its own plain content is read, as much as the file
is large.

A store overwrites no model, and a model no store.
"""

import os
import resource
from pathlib import Path

import h5py
import numpy as np
import pytest

from bcclone.system.hdf5_file import Place, UnfitContent, read_hdf5
from tests.hostile import WRONG_PARTS, in_another_place, put

ROW = np.dtype([("frame", "u4"), ("name", "S3"), ("is_flipped", "?")])
SCHEMA = {
    "@version": int, "@title": str, "rows": ROW, "frames": Place, "totals": np.float64,
    "texts": str, "any": None, "group": list, "group/1": "u1",
}  # fmt: skip
ARRAYS = ["rows", "frames", "totals", "group/1"]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file.attrs["version"] = 2
        file.attrs["title"] = "title"
        file["rows"] = np.zeros(10, ROW)
        file["totals"] = np.arange(3.0)
        file["texts"] = ["a", "", "zwölf"]
        file["frames"] = np.zeros((4, 2, 2, 3), np.uint8)
        file["any"] = ["x"]
        file["group/0"] = np.arange(2, dtype="f4")
        file["group/1"] = np.arange(5, dtype="u1")
    return path


def test_each_part_has_the_type_that_the_schema_names(path):
    parts = read_hdf5(path, SCHEMA)
    assert list(parts) == list(SCHEMA)
    assert (parts["@version"], parts["@title"]) == (2, "title")
    assert (parts["texts"], parts["any"]) == (["a", "", "zwölf"], ["x"])
    assert (parts["rows"].dtype, len(parts["rows"])) == (ROW, 10)
    assert [each.tolist() for each in parts["group"]] == [[0, 1], [0, 1, 2, 3, 4]]
    place = parts["frames"]
    assert (place.dtype, place.shape) == (np.uint8, (4, 2, 2, 3))
    assert path.read_bytes()[place.offset : place.offset + 48] == bytes(48)
    with path.open("rb") as file:
        assert read_hdf5(file, {"totals": None})["totals"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("attack", in_another_place)
@pytest.mark.parametrize("name", [*ARRAYS, "texts", "any"])
def test_nothing_comes_from_another_file(path, name, attack):
    in_another_place[attack](path, name)
    with pytest.raises((UnfitContent, OSError)):
        read_hdf5(path, SCHEMA)


@pytest.mark.parametrize("value", WRONG_PARTS)
@pytest.mark.parametrize("name", ["rows", "texts", "@title", "@version", "group"])
def test_a_part_of_another_type_is_refused(path, name, value):
    put(path, name, wrong := WRONG_PARTS[value])
    right = {"@title": isinstance(wrong, str), "@version": value == "a number"}
    if name == "texts" and isinstance(wrong, str):
        assert read_hdf5(path, SCHEMA)["texts"] == [wrong]
    elif right.get(name):
        assert read_hdf5(path, SCHEMA)[name] == wrong
    else:
        with pytest.raises(UnfitContent):
            read_hdf5(path, SCHEMA)


@pytest.mark.parametrize("tag", ["NUMPY:O", "NUMPY:(", "NUMPY:V99999999", "NUMPY:i4,O"])
@pytest.mark.parametrize("in_column", [False, True])
def test_bytes_are_not_taken_for_objects_in_memory(path, tag, in_column):
    """h5py reads opaque bytes as any NumPy type that the file names, addresses of objects among
    them.
    """
    kind = h5py.h5t.create(h5py.h5t.OPAQUE, 8)
    kind.set_tag(tag.encode())
    if in_column:
        opaque = kind
        kind = h5py.h5t.create(h5py.h5t.COMPOUND, 8)
        kind.insert(b"object", 0, opaque)
    with h5py.File(path, "r+") as file:
        del file["any"]
        h5py.h5d.create(file.id, b"any", kind, h5py.h5s.create_simple((10,)))
    with pytest.raises(UnfitContent, match="plain"):
        read_hdf5(path, SCHEMA)


BOMBS = {  # as create_dataset() takes them
    "compressed": {"shape": (1 << 24,), "dtype": ROW, "chunks": (1 << 18,), "compression": "gzip"},
    "chunks": {"shape": (1 << 50,), "dtype": ROW, "chunks": (1 << 10,)},
    "never written": {"shape": (1 << 50,), "dtype": ROW},
    "two axes": {"shape": (1 << 31, 1 << 31), "dtype": ROW, "chunks": (1, 1)},
    "texts": {"shape": (1 << 40,), "dtype": h5py.string_dtype()},
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_memory_is_asked_for_only_as_far_as_the_file_goes(path, bomb):
    with h5py.File(path, "r+") as file:
        del file["any"]
        dataset = file.create_dataset("any", **BOMBS[bomb])
        if bomb == "compressed":
            dataset[: 1 << 18] = np.zeros(1 << 18, ROW)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (now + (1 << 28), limits[1]))
    try:
        with pytest.raises(UnfitContent):
            read_hdf5(path, SCHEMA)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.parametrize("number", [32015, 300, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SZIP])
@pytest.mark.parametrize("name", ARRAYS)
def test_no_filter_is_loaded(path, name, number):
    """HDF5 would look for a program of this number in the folders of HDF5_PLUGIN_PATH, and run
    it.
    """
    with h5py.File(path, "r+") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((1,) * file[name].ndim)
        properties.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (1, 2, 3, 4))
        kind = file[name].id.get_type()
        space = file[name].id.get_space()
        del file[name]
        try:
            h5py.h5d.create(file.id, name.encode(), kind, space, properties)
        except (OSError, RuntimeError, ValueError):
            pytest.skip("this library does not write that filter")
    with pytest.raises(UnfitContent, match="compressed"):
        read_hdf5(path, SCHEMA)
