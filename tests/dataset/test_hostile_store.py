"""A store that somebody else made is read or refused: nothing of another file comes along, and no memory is filled."""

import contextlib
import json
import os
import random
import socket
from pathlib import Path

import h5py
import numpy as np
import pytest

from bcclone.dataset.samples import SAMPLE
from bcclone.dataset.store import Store
from bcclone.system.errors import UserError
from bcclone.system.file_kinds import check_output, kind_of
from tests.dataset.test_store import some_frames, write_store
from tests.hostile import thinned

OBJECTS = ("frames", "samples", "rows", "extras", "recordings")
ATTRIBUTES = ("schema_version", "preprocessing", "preprocessing_hash", "sample_settings", "content_hash")


@pytest.fixture
def store(tmp_path):
    write_store(tmp_path / "data.h5", some_frames(10))
    return tmp_path / "data.h5"


def refused(path):
    """Return why the store is refused; nothing else may be raised."""
    with pytest.raises(UserError) as caught:
        Store(path)
    text = str(caught.value)
    assert str(path) in text
    assert "preprocess" in text, "no remedy"
    assert len(text) < 3000
    return text


# ---- content of other files: each is a valid object, elsewhere


def external_link(file, name, folder):
    file.move(name, "moved")
    file.flush()
    (folder / "other.h5").write_bytes((folder / "data.h5").read_bytes())
    del file["moved"]
    file[name] = h5py.ExternalLink(str(folder / "other.h5"), "moved")


def soft_link(file, name, folder):
    file.move(name, "moved")
    file[name] = h5py.SoftLink("/moved")


def external_storage(file, name, folder):
    values = file[name]
    secret, size = folder / "secret", values.id.get_storage_size()
    secret.write_bytes(bytes(size))
    shape, kind = values.shape, values.id.get_type()
    del file[name]
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_external(os.fsencode(secret), 0, size)
    h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple(shape), properties)


def virtual(file, name, folder):
    shape, kind = file[name].shape or (1,), file[name].dtype
    del file[name]
    layout = h5py.VirtualLayout(shape, kind)
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), name, shape)
    file.create_virtual_dataset(name, layout)


def group(file, name, folder):
    del file[name]
    file.create_group(name)


def missing(file, name, folder):
    del file[name]


PLACES = [external_link, soft_link, external_storage, virtual, group, missing]
TAGS = ["NUMPY:O", "NUMPY:(", "NUMPY:V99999999", "NUMPY:i4,O"]


@pytest.mark.parametrize("attack", thinned(PLACES, [one.__name__ for one in PLACES], 6))
@pytest.mark.parametrize("name", OBJECTS)
def test_no_table_comes_from_another_file(store, tmp_path, name, attack):
    with h5py.File(store, "r+") as file:
        attack(file, name, tmp_path)
    refused(store)


# ---- values of every other type, in the place of each object

FINITE = np.arange(6.0)
WRONG = {
    "a number": 7,
    "numbers": np.arange(10),
    "floats": FINITE,
    "not a number": np.nan,
    "none": h5py.Empty("f"),
    "no rows": np.zeros(0),
    "three axes": np.zeros((2, 2, 2), np.uint8),
    "complex": FINITE + 1j,
    "other columns": np.zeros(10, [("x", "f8"), ("frame", "i4")]),
    "nested columns": np.zeros(10, [("frame", [("x", "f8")])]),
    "columns of arrays": np.zeros(10, [("frame", "f8", (3,))]),
    "bytes": np.array([b"abc"] * 10),
    "a text": "text",
    "nested JSON": "[" * 100_000,
    "closed nested JSON": "[" * 5000 + "]" * 5000,
    "a number of 400 digits": "9" * 400,
    "JSON with a number of 400 digits": json.dumps({"width": 10**400, "cameras": ["center"]}),
    "a wrong JSON": '{"cameras": 7}',
    "null": "null",
    "not a number in JSON": '{"seed": NaN}',
}


@pytest.mark.parametrize("value", thinned(WRONG.values(), WRONG, 8))
@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_of_another_type_is_refused(store, name, value):
    with h5py.File(store, "r+") as file:
        del file[name]
        file[name] = value
    refused(store)


@pytest.mark.parametrize("value", thinned([*WRONG.values(), ["text"] * 3], [*WRONG, "texts"], 8))
@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_attribute_of_another_type_is_refused(store, name, value):
    if name == "content_hash" and isinstance(value, str) and len(value) < 100:
        value = "x" * 1000  # any short text is a hash
    with h5py.File(store, "r+") as file:
        del file.attrs[name]
        with contextlib.suppress(OSError, RuntimeError):  # too long for an attribute
            file.attrs[name] = value
    refused(store)


@pytest.mark.slow
@pytest.mark.parametrize("value", [None, True, "text", [], {}, [[]], -7, 1e300, 10**18, "nan"], ids=repr)
def test_a_setting_of_another_type_is_refused(store, value):
    with h5py.File(store) as file:
        settings = json.loads(file.attrs["sample_settings"])
    for name, before in settings.items():
        if isinstance(value, bool) and isinstance(before, bool):
            continue
        with h5py.File(store, "r+") as file:
            file.attrs["sample_settings"] = json.dumps({**settings, name: value})
        if not (name == "seed" and value == 10**18):
            refused(store)


@pytest.mark.parametrize("tag", thinned(TAGS, TAGS, 8))
@pytest.mark.parametrize("name", OBJECTS)
def test_bytes_are_not_taken_for_objects_in_memory(store, name, tag):
    """h5py reads opaque bytes as any NumPy type that the file names, addresses of objects among them."""
    with h5py.File(store, "r+") as file:
        del file[name]
        kind = h5py.h5t.create(h5py.h5t.OPAQUE, 8)
        kind.set_tag(tag.encode())
        h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple((10,)))
    assert "plain" in refused(store) or name in ("extras", "recordings")


def test_a_column_of_opaque_bytes_is_not_taken_for_objects_in_memory(store):
    with h5py.File(store, "r+") as file:
        rows = file["rows"][()]
        kind = h5py.h5t.create(h5py.h5t.COMPOUND, rows.dtype.itemsize + 8)
        for name in rows.dtype.names:
            kind.insert(name.encode(), rows.dtype.fields[name][1], h5py.h5t.py_create(rows.dtype[name], logical=True))
        opaque = h5py.h5t.create(h5py.h5t.OPAQUE, 8)
        opaque.set_tag(b"NUMPY:O")
        kind.insert(b"object", rows.dtype.itemsize, opaque)
        del file["rows"]
        dataset = h5py.h5d.create(file.id, b"rows", kind, h5py.h5s.create_simple((10,)))
        content = np.full(10 * kind.get_size(), 65, np.uint8)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, content, mtype=kind)
    assert "plain" in refused(store)


# ---- sizes that the file does not hold


def replace(file, name, *arguments, **options):
    del file[name]
    file.create_dataset(name, *arguments, **options)


def of_rows(file):
    return file["rows"].dtype


def bomb_of_samples(file, store):
    """4 GB of zeros, which lie in the file as a few megabytes."""
    replace(file, "samples", (1 << 24,), SAMPLE, chunks=(1 << 18,), compression="gzip", fillvalue=None)
    file["samples"][: 1 << 18] = np.zeros(1 << 18, SAMPLE)


def chunks_without_end(file, store):
    replace(file, "rows", (1 << 50,), of_rows(file), chunks=(1 << 10,))
    file["rows"][: 1 << 10] = 0


def never_written(file, store):
    replace(file, "samples", (1 << 50,), SAMPLE)


def never_written_rows(file, store):
    replace(file, "rows", (1 << 40,), of_rows(file))


def more_than_a_number_of_bytes_has_digits(file, store):
    replace(file, "rows", (1 << 31, 1 << 31), of_rows(file), chunks=(1, 1))


def in_a_hole(file, store):
    """Sixteen gigabytes that a sparse file seems to hold."""
    replace(file, "samples", (1 << 29,), SAMPLE)
    file.flush()
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    del file["samples"]
    kind = h5py.h5t.py_create(SAMPLE, logical=True)
    h5py.h5d.create(file.id, b"samples", kind, h5py.h5s.create_simple((1 << 29,)), properties)


def texts_that_share_their_bytes(file, store):
    """A hundred thousand texts of one megabyte, all of which are the same bytes of the file."""
    count = 100_000
    replace(file, "extras", (count,), h5py.string_dtype())
    file["extras"][0] = "x" * (1 << 20)
    file["extras"][1:] = ""
    offset = file["extras"].id.get_offset()
    file.flush()
    with store.open("r+b") as content:
        content.seek(offset)
        first = content.read(16)
        content.seek(offset)
        content.write(first * count)


def texts_never_written(file, store):
    replace(file, "extras", (1 << 40,), h5py.string_dtype())


@pytest.mark.parametrize(
    "attack",
    [
        bomb_of_samples,
        chunks_without_end,
        never_written,
        never_written_rows,
        more_than_a_number_of_bytes_has_digits,
        in_a_hole,
        texts_that_share_their_bytes,
        texts_never_written,
    ],
)
def test_memory_is_asked_for_only_as_far_as_the_file_goes(store, attack):
    import resource

    with h5py.File(store, "r+") as file:
        attack(file, store)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (now + (1 << 28), limits[1]))
    try:
        refused(store)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.parametrize("name", ["frames", "samples", "rows"])
@pytest.mark.parametrize("number", [32015, 300, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SZIP])
def test_no_filter_is_loaded(store, name, number):
    """HDF5 would look for a program of this number in the folders of HDF5_PLUGIN_PATH, and run it."""
    with h5py.File(store, "r+") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((1,) * file[name].ndim)
        properties.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (1, 2, 3, 4))
        kind, space = file[name].id.get_type(), file[name].id.get_space()
        del file[name]
        try:
            h5py.h5d.create(file.id, name.encode(), kind, space, properties)
        except (OSError, RuntimeError, ValueError):
            pytest.skip("this library does not write that filter")
    assert "compressed" in refused(store)


# ---- values


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("samples", "frame", 10),
        ("samples", "row", 4_000_000_000),
        ("samples", "steering", np.nan),
        ("samples", "steering", -1.5),
        ("samples", "camera", 3),
        ("samples", "frame_offset", 255),
        ("rows", "time_ms", 1 << 62),
        ("rows", "steering", np.inf),
        ("rows", "throttle", 1e300),
        ("rows", "speed_mph", np.nan),
        ("rows", "frame_left", 10),
        ("rows", "frame_left", -2),
        ("rows", "episode", -1),
        ("rows", "recording", 1),
        ("rows", "recording", -1),
        ("rows", "center", b"\xff\xfe"),
    ],
)
def test_a_value_that_no_store_has_is_refused(store, table, column, value):
    with h5py.File(store, "r+") as file:
        values = file[table][()]
        values[column][3] = value
        file[table][:] = values
    refused(store)


def test_a_flag_that_is_neither_true_nor_false_is_refused(store):
    with h5py.File(store, "r+") as file:
        samples = file["samples"][()]
        samples["validation"].view(np.uint8)[2] = 77
        kind = file["samples"].id.get_type()
        file["samples"].id.write(h5py.h5s.ALL, h5py.h5s.ALL, samples, mtype=kind)
    assert "neither true nor false" in refused(store)


def test_a_pipe_and_a_device_are_no_store(tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    for path in (tmp_path / "pipe.h5", tmp_path / "zero.h5"):
        if path.name == "zero.h5":
            path.symlink_to("/dev/zero")
        refused(path)
        assert kind_of(path) is None
        with pytest.raises(UserError, match="not a regular file"):
            check_output(path, "store", force=True)


@pytest.mark.parametrize("kind", ["ftp", "http", "github", "zip", "simplecache::ftp"])
def test_a_store_connects_to_no_host_that_it_names(store, kind):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"{kind}://127.0.0.1:{server.getsockname()[1]}/log.csv"
        with h5py.File(store, "r+") as file:
            described = json.loads(file["recordings"].asstr()[0])
            del file["recordings"]
            file["recordings"] = [json.dumps({**described, "path": url})]
        with contextlib.suppress(UserError):
            Store(store).close()
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("shape", [(), (5, 2), (10, 1)])
@pytest.mark.parametrize("name", ["samples", "rows"])
def test_a_table_of_other_axes_is_refused(store, name, shape):
    with h5py.File(store, "r+") as file:
        values = file[name][()]
        if name == "rows":
            values["center"] = "é".encode()
        del file[name]
        file[name] = values[:10].reshape(shape) if shape else values[0]
    assert "axes" in refused(store)


# ---- the library itself


def test_a_store_that_keeps_the_library_busy_for_ever_is_refused(store):
    """One byte: a text of length 0 becomes free space of length 0, which the library passes again and again."""
    content = store.read_bytes()
    texts = b"\x01" + bytes(15) + b"\x02" + bytes(15)
    second = content.index(texts, content.index(b"GCOL")) + 16
    store.write_bytes(content[:second] + b"\0" + content[second + 1 :])
    assert "its structure is damaged" in refused(store)


@pytest.mark.parametrize("count", [5, pytest.param(400, marks=pytest.mark.long)])
def test_a_randomly_damaged_store_is_read_or_refused(store, count):
    content, chance = store.read_bytes(), random.Random(1)
    with Store(store) as opened:
        first, size = opened.frames.files[0].offset, opened.frames.nbytes
    places = [place for place in range(len(content)) if content[place] and not first <= place < first + size]
    for _ in range(count):
        data = bytearray(content)
        for _ in range(chance.choice((1, 8, 64))):
            data[chance.choice(places)] = chance.choice((0, 255, chance.randrange(256)))
        store.write_bytes(data)
        with contextlib.suppress(UserError), Store(store) as opened:
            opened.frames[range(len(opened.frames))]
