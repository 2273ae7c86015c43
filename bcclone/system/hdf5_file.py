"""Read HDF5 files: the parts that a schema names -> values of the types that it expects.

Reading follows no link and reads no other file. Types, shapes and sizes are compared with the size
of the file before memory is asked for; a compressed array of a few bytes could stand for any number
of them. What is refused raises UnfitContent.

kind_of() tells stores, models and other files apart, before one is read or overwritten.
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
Table: TypeAlias = npt.NDArray[Any] | list[str]
Kind = Literal["store", "model", "damaged"]

LONGEST_TEXT = 1 << 20  # bytes of an attribute
_ATTRIBUTES: dict[str, Kind] = {
    "schema_version": "store",
    "model_config": "model",
    "layer_names": "model",
}
_PLAIN = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM, h5py.h5t.STRING)
_SAFE_FILTERS = {
    h5py.h5z.FILTER_DEFLATE,
    h5py.h5z.FILTER_SHUFFLE,
    h5py.h5z.FILTER_FLETCHER32,
}  # they load no plugin


class UnfitContent(ValueError):
    """Something in a file that is not read; the text is the reason, without the path."""


@dataclass(frozen=True)
class Place:
    """Where an array is in its file."""

    dtype: npt.DTypeLike
    shape: tuple[int, ...]
    offset: int | None  # of its first byte, None if it is in pieces


@contextmanager
def open_hdf5(source: Source) -> Iterator[h5py.File]:
    """Open a file for reading.

    Raises UnfitFile for a pipe or a device, and OSError for what is not an HDF5 file.
    """
    if isinstance(source, Path):
        check_regular(source)
    with h5py.File(source, "r") as file:
        yield file


def read_hdf5(source: Source, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a file by their paths.

    Raises OSError and ValueError; use it within explained().

    schema: what is expected at each path, or for a name that begins with @, in an attribute of the
        file: int for a whole number; str for a text, in a data set for a list of texts; a NumPy
        type for an array of that type; None for any array or list of texts; list for all arrays of
        a group, in the order of their names; Place for an array that is not read
    """
    with open_hdf5(source) as file:
        return {path: _read_part(file, path, kind) for path, kind in schema.items()}


def _read_part(file: h5py.File, path: str, kind: Any) -> Any:
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
    is_text = h5py.check_string_dtype(dataset.dtype) is not None and dataset.dtype.hasobject
    if kind is str and (not is_text or dataset.ndim > 1):
        raise UnfitContent(f"{shown(path)} is not a list of texts")
    if is_text:
        return list(np.atleast_1d(dataset.asstr()[()]))
    if kind is not None and dataset.dtype != np.dtype(kind):
        found = _columns(dataset.dtype)
        expected = _columns(np.dtype(kind))
        raise UnfitContent(f"the columns of {shown(path)} are {found}, expected {expected}")
    return np.asarray(dataset[()])


def _columns(dtype: np.dtype[Any]) -> Any:
    """Return the names of a table's columns, or the type of an array."""
    return dtype.names or str(dtype)


def member_of(group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset:
    """Return the object at a path, each step of which must lie in this file and be no link."""
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
    """Return the dataset at a path: numbers, texts of a fixed length or a table of both.

    All of it is in this file.

    compressed: accept what HDF5 itself compresses; the caller has to limit its size in memory
    texts: accept texts of any length
    """
    dataset = member_of(group, path)
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise UnfitContent(f"{shown(path)} is not an array")
    kind = dataset.id.get_type()

    # h5py takes bytes of other types for addresses of objects in memory
    columns = [kind]
    if kind.get_class() == h5py.h5t.COMPOUND:
        columns = [kind.get_member_type(column) for column in range(kind.get_nmembers())]
    if not all(_is_plain(column, texts) for column in columns):
        raise UnfitContent(f"{shown(path)} is not an array of plain numbers and texts")

    # a few bytes of a file must not stand for gigabytes, nor for another file
    if dataset.external or dataset.is_virtual:
        raise UnfitContent(f"the numbers of {shown(path)} are in another file, which is not read")
    properties = dataset.id.get_create_plist()
    filters = {properties.get_filter(number)[0] for number in range(properties.get_nfilters())}
    accepted = _SAFE_FILTERS if compressed else set()
    if filters - accepted:
        raise UnfitContent(f"the numbers of {shown(path)} are compressed, which is not supported")
    size = math.prod(dataset.shape) * kind.get_size()
    least = min(size, 1) if filters else size
    if dataset.id.get_storage_size() < least:
        raise UnfitContent(f"the numbers of {shown(path)} were never written")
    return dataset


def _is_plain(column: Any, texts: bool) -> bool:
    """Return whether a type is a number or a text. texts: also a text of any length."""
    if column.get_class() == h5py.h5t.STRING and column.is_variable_str():
        return texts
    return column.get_class() in _PLAIN


def read_attribute(group: h5py.Group, name: str, kind: type, most: int = LONGEST_TEXT) -> Any:
    """Return an attribute of a kind: int, a whole number; str, a text; list, texts.

    most: bytes of a text, or texts of a list
    """
    if name not in group.attrs:
        raise UnfitContent(f"it lacks its {name[:40]}")
    attribute = group.attrs.get_id(name)
    if kind is list and attribute.shape == (0,):  # Keras writes empty lists as numbers
        return []
    expected_class = h5py.h5t.INTEGER if kind is int else h5py.h5t.STRING
    dimensions = 1 if kind is list else 0
    is_of_kind = attribute.get_type().get_class() == expected_class
    if is_of_kind and attribute.shape is not None and len(attribute.shape) == dimensions:
        value = group.attrs[name]
        if kind is int:
            return int(value)
        texts = [_decoded(text) for text in np.atleast_1d(value)]
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


def _decoded(text: Any) -> str:
    if isinstance(text, bytes):
        return text.decode()
    return str(text)


def kind_of(path: Path) -> Kind | None:
    """Return whether an HDF5 file is a store, a model or damaged; None for all other files."""
    try:
        with open_file(path, "store") as file:
            if file.read(len(HDF5)) != HDF5:
                return None
    except OSError:
        return None
    try:
        with h5py.File(path, "r") as opened:
            kinds = [kind for name, kind in _ATTRIBUTES.items() if name in opened.attrs]
    except (OSError, RuntimeError):
        return "damaged"
    return kinds[0] if kinds else None
