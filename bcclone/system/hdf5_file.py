"""Read HDF5 files that somebody else may have made: a file and a schema -> checked values.

Reading follows no link and opens no other file. An array is read only if all its bytes are in this
file, so that a small file cannot ask for gigabytes of memory. So a compressed array is refused,
unless the caller limits its size. What is refused raises UnfitContent.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from bcclone.system.codec import HDF5, check_regular, open_file
from bcclone.system.errors import shown

Source = Path | IO[bytes]  # a path, or an open file such as one at a URL
Table: TypeAlias = npt.NDArray[Any] | list[str]  # an array, or a list of texts
Kind = Literal["store", "model", "damaged"]

LONGEST_TEXT = 1 << 20  # bytes of a text in an attribute
# name of a file's attribute -> kind of the files that have it; the first that a file has counts
_KIND_BY_ATTRIBUTE: dict[str, Kind] = {
    "schema_version": "store",
    "model_config": "model",
    "layer_names": "model",
}
# HDF5's classes of numbers and texts
_PLAIN_CLASSES = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM, h5py.h5t.STRING)
# filters that are part of HDF5; another filter would load a plugin, which can run any code
_SAFE_FILTERS = {
    h5py.h5z.FILTER_DEFLATE,
    h5py.h5z.FILTER_SHUFFLE,
    h5py.h5z.FILTER_FLETCHER32,
}


class UnfitContent(ValueError):
    """An HDF5 file holds what bcclone refuses to read; the text says why, without the path."""


@dataclass(frozen=True)
class Place:
    """Where an array is in its file."""

    dtype: npt.DTypeLike
    shape: tuple[int, ...]
    offset: int | None  # position of its first byte in the file; None if it is stored in pieces


def kind_of(path: Path) -> Kind | None:
    """Return whether an HDF5 file is a store, a model or damaged; None for all other files."""
    try:
        with open_file(path, "store") as file:  # a store may have any size
            if file.read(len(HDF5)) != HDF5:
                return None
    except OSError:
        return None
    try:
        with open_hdf5(path) as opened:
            kinds = (kind for name, kind in _KIND_BY_ATTRIBUTE.items() if name in opened.attrs)
            return next(kinds, None)
    except (OSError, RuntimeError):
        return "damaged"


@contextmanager
def open_hdf5(source: Source, mode: str = "r", **layout: int) -> Iterator[h5py.File]:
    """Open a file, usually for reading.

    To read, raises UnfitFile for a pipe or a device, and OSError for what is not an HDF5 file.

    mode, layout: as h5py.File takes them
    """
    if isinstance(source, Path) and mode == "r":
        check_regular(source)
    # HDF5's own lock is of no use here, because a file is written under a temporary name; and some
    # network drives refuse every lock
    with h5py.File(source, mode, locking=False, **layout) as file:
        yield file


def read_hdf5(source: Source, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a file that a schema names, by their paths.

    Raises OSError and ValueError; use it within explained().

    schema: path in the file -> what is expected there: a NumPy type for an array of that type; str
        for a list of texts; None for any array or list of texts; list for all arrays of a group,
        in the order of their names; Place to find an array without reading it. A path "@NAME" is
        the file's attribute NAME: int for a whole number, str for a text
    """
    with open_hdf5(source) as file:
        return {path: _read_part(file, path, kind) for path, kind in schema.items()}


def _read_part(file: h5py.File, path: str, kind: Any) -> Any:
    """Return the part of a file at a path; kind: what the schema of read_hdf5() says of it."""
    if path.startswith("@"):
        return read_attribute(file, path[1:], kind)
    if kind is list:
        group = member_of(file, path)
        if not isinstance(group, h5py.Group):
            raise UnfitContent(f"{shown(path)} is not a group of arrays")
        return [np.asarray(dataset_of(group, name)[()]) for name in sorted(group)]
    dataset = dataset_of(file, path, texts=kind in (str, None))
    if kind is Place:
        return Place(dataset.dtype, dataset.shape, dataset.id.get_offset())
    # h5py has a text of variable length as an object of Python
    is_text = h5py.check_string_dtype(dataset.dtype) is not None and dataset.dtype.hasobject
    if kind is str and (not is_text or dataset.ndim > 1):
        raise UnfitContent(f"{shown(path)} is not a list of texts")
    if is_text:
        return list(np.atleast_1d(dataset.asstr()[()]))
    if kind is not None and dataset.dtype != np.dtype(kind):
        found = dataset.dtype.names or dataset.dtype
        expected = np.dtype(kind).names or np.dtype(kind)
        raise UnfitContent(f"the columns of {shown(path)} are {found}, expected {expected}")
    return np.asarray(dataset[()])


def member_of(group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset:
    """Return the object at a path in a group.

    Raises UnfitContent if there is none, or if a part of the path is a symbolic or external link.
    """
    member: Any = group
    for name in path.strip("/").split("/"):
        link = member.get(name, getlink=True) if isinstance(member, h5py.Group) else None
        if link is None:
            raise UnfitContent(f"has no {shown(path)}")
        if not isinstance(link, h5py.HardLink):
            raise UnfitContent(f"{shown(path)} is a link, which is not followed")
        member = member[name]
    return member


def dataset_of(
    group: h5py.Group, path: str, compressed: bool = False, texts: bool = False
) -> h5py.Dataset:
    """Return the dataset at a path: numbers, texts of a fixed length, or a table of both.

    Raises UnfitContent for any other type, and for bytes that are not in this file.

    compressed: accept an array that HDF5 itself can uncompress; the caller has to limit its size
        in memory
    texts: accept also texts of variable length
    """
    dataset = member_of(group, path)
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise UnfitContent(f"{shown(path)} is not an array")
    kind = dataset.id.get_type()

    # other types are refused: h5py would take the file's bytes for addresses of objects in memory
    columns = [kind]
    if kind.get_class() == h5py.h5t.COMPOUND:
        columns = [kind.get_member_type(column) for column in range(kind.get_nmembers())]
    for column in columns:
        is_text = column.get_class() == h5py.h5t.STRING and column.is_variable_str()
        if column.get_class() not in _PLAIN_CLASSES or (is_text and not texts):
            raise UnfitContent(f"{shown(path)} is not an array of plain numbers and texts")

    # a few bytes of a file must not stand for gigabytes, nor for another file
    if dataset.external or dataset.is_virtual:
        raise UnfitContent(f"the numbers of {shown(path)} are in another file, which is not read")
    properties = dataset.id.get_create_plist()
    filters = {properties.get_filter(number)[0] for number in range(properties.get_nfilters())}
    if filters and not (compressed and filters <= _SAFE_FILTERS):
        raise UnfitContent(f"the numbers of {shown(path)} are compressed, which is not supported")
    size = math.prod(dataset.shape) * kind.get_size()
    least = min(size, 1) if filters else size  # compressed, any number of bytes may be enough
    if dataset.id.get_storage_size() < least:
        raise UnfitContent(f"the numbers of {shown(path)} were never written")
    return dataset


def read_attribute(group: h5py.Group, name: str, kind: type, most: int = LONGEST_TEXT) -> Any:
    """Return an attribute of a group; raises UnfitContent if it is missing or of another type.

    kind: int for a whole number, str for a text, list for a list of texts
    most: most bytes of a text, or most texts of a list
    """
    if name not in group.attrs:
        raise UnfitContent(f"it lacks its {name[:40]}")
    attribute = group.attrs.get_id(name)
    if kind is list and attribute.shape == (0,):  # Keras writes empty lists as numbers
        return []

    # type and shape are checked before the value is read
    expected_class = h5py.h5t.INTEGER if kind is int else h5py.h5t.STRING
    dimensions = 1 if kind is list else 0
    is_of_kind = attribute.get_type().get_class() == expected_class
    if is_of_kind and attribute.shape is not None and len(attribute.shape) == dimensions:
        value = group.attrs[name]
        if kind is int:
            return int(value)
        texts = [
            text.decode() if isinstance(text, bytes) else str(text) for text in np.atleast_1d(value)
        ]
        if kind is list and len(texts) <= most:
            return texts
        if kind is str and len(texts[0].encode()) <= most:
            return texts[0]

    words = {
        int: "a whole number",
        str: f"a text of at most {most} bytes",
        list: f"a list of up to {most} names",
    }
    raise UnfitContent(f"its {name[:40]} is not {words[kind]}")
