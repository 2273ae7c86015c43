"""Read HDF5 files: read_hdf5() returns the parts that a schema names, each of the type that is expected.

Reading follows no link and reads no other file. Types, shapes and sizes are compared with the size of the file before
memory is asked for; a compressed array of a few bytes could stand for any number of them. What is refused raises
UnfitContent.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from bcclone.system.codec import check_regular

Source = Path | IO[bytes]  # a path, or an open file such as one at a URL
Table: TypeAlias = npt.NDArray[Any] | list[str]

LONGEST_TEXT = 1 << 20  # bytes of an attribute
_MOST_ARRAY = 1 << 32  # bytes of an array in memory
_PLAIN = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM, h5py.h5t.STRING)
_MOST_COLUMNS, _MOST_AXES = 1000, 8
_SAFE_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}  # they load no plugin
_REFERENCE_BYTES = 16  # of a text of any length, in the array itself


class UnfitContent(ValueError):
    """Something in a file that is not read; the text is the reason, without the path."""


@dataclass(frozen=True)
class Place:
    """Where an array is in its file. offset: of its first byte, None if it is in pieces."""

    dtype: npt.DTypeLike
    shape: tuple[int, ...]
    offset: int | None


@contextmanager
def open_hdf5(source: Source) -> Iterator[h5py.File]:
    """Open a file for reading; raises UnfitFile for a pipe or a device, and OSError for what is not an HDF5 file."""
    if isinstance(source, Path):
        check_regular(source)
    with h5py.File(source, "r") as file:
        yield file


def read_hdf5(source: Source, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a file by their paths; raises OSError and ValueError, to be used within explained().

    schema: what is expected at each path, or, for a name that begins with @, in an attribute of the file: int for a
    whole number; str for a text, in a data set for a list of texts; a NumPy type for an array of that type; None for
    any array or list of texts; list for all arrays of a group, in the order of their names; Place for an array that is
    not read.
    """
    with open_hdf5(source) as file:
        return {path: _read_part(file, path, kind) for path, kind in schema.items()}


def _read_part(file: h5py.File, path: str, kind: Any) -> Any:
    if path.startswith("@"):
        return (_integer if kind is int else read_text)(file, path[1:])
    if kind is list:
        group = member_of(file, path)
        if not isinstance(group, h5py.Group):
            raise UnfitContent(f"{path[:60]!r} is not a group of arrays")
        return [_array(group, name) for name in sorted(group)]
    if kind is Place:
        dataset = dataset_of(file, path)
        return Place(dataset.dtype, dataset.shape, dataset.id.get_offset())
    member = member_of(file, path)
    is_texts = isinstance(member, h5py.Dataset) and _is_text(member.id.get_type(), variable=True)
    if kind is str or (kind is None and is_texts):
        return _texts(member, path, is_texts)
    array = _array(file, path)
    if kind is not None and array.dtype != np.dtype(kind):
        found, expected = (one.names or str(one) for one in (array.dtype, np.dtype(kind)))
        raise UnfitContent(f"the columns of {path[:60]!r} are {found}, expected {expected}")
    return array


def member_of(group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset:
    """Return the object at a path, each step of which must lie in this file and be no link."""
    member: Any = group
    for name in path.strip("/").split("/"):
        link = member.get(name, getlink=True) if isinstance(member, h5py.Group) else None
        if link is None:
            raise UnfitContent(f"has no {path[:60]!r}")
        if not isinstance(link, h5py.HardLink):
            raise UnfitContent(f"{path[:60]!r} is a link, which is not followed")
        member = member[name]
    return member


def dataset_of(group: h5py.Group, path: str, compressed: bool = False) -> h5py.Dataset:
    """Return the dataset at a path: numbers, texts of a fixed length or a table of both, whole in this file.

    compressed: accept what HDF5 itself compresses, whose size in memory the caller has to limit.
    """
    dataset = member_of(group, path)
    if not isinstance(dataset, h5py.Dataset):
        raise UnfitContent(f"{path[:60]!r} is not an array")
    _check_type(path, dataset.id.get_type())
    _check_place(path, dataset)
    properties = dataset.id.get_create_plist()
    filters = {properties.get_filter(number)[0] for number in range(properties.get_nfilters())}
    if filters - (_SAFE_FILTERS if compressed else set()):
        raise UnfitContent(f"the numbers of {path[:60]!r} are compressed, which is not supported")
    written, size = dataset.id.get_storage_size(), _size(dataset)
    if written < (min(size, 1) if filters else size):
        raise UnfitContent(f"the numbers of {path[:60]!r} were never written")
    return dataset


def read_text(group: h5py.Group, name: str, most: int = LONGEST_TEXT) -> str:
    """Return a text attribute, stored as bytes or text."""
    attribute = _attribute(group, name)
    is_text = _is_text(attribute.get_type())
    if not is_text or attribute.shape != () or attribute.get_storage_size() > most:
        raise UnfitContent(f"its {name[:40]} is not a text of at most {most} bytes")
    value = group.attrs[name]
    text = value.decode() if isinstance(value, bytes) else str(value)
    if len(text.encode()) > most:  # the length of a variable text is known only after reading
        raise UnfitContent(f"its {name[:40]} is not a text of at most {most} bytes")
    return text


def read_names(group: h5py.Group, name: str, most: int) -> list[str]:
    """Return an attribute that is a list of names."""
    attribute = _attribute(group, name)
    if attribute.shape == (0,):  # Keras writes empty lists as numbers
        return []
    if not _is_text(attribute.get_type()) or len(attribute.shape or ()) != 1 or attribute.shape[0] > most:
        raise UnfitContent(f"the list {name} is not a list of up to {most} names")
    return [one.decode() if isinstance(one, bytes) else one for one in group.attrs[name]]


def _integer(group: h5py.Group, name: str) -> int:
    attribute = _attribute(group, name)
    if attribute.get_type().get_class() != h5py.h5t.INTEGER or attribute.shape != ():
        raise UnfitContent(f"its {name[:40]} is not a whole number")
    return int(group.attrs[name])


def _array(group: h5py.Group, path: str) -> npt.NDArray[Any]:
    dataset = dataset_of(group, path)
    if _size(dataset) > min(dataset.file.id.get_filesize(), _MOST_ARRAY):
        raise UnfitContent(f"{path[:60]!r} would have {_size(dataset)} bytes, more than the file holds")
    return np.asarray(dataset[()])


def _texts(dataset: Any, path: str, is_texts: bool) -> list[str]:
    if not is_texts or dataset.shape is None or len(dataset.shape) > 1:
        raise UnfitContent(f"{path[:60]!r} is not a list of texts")
    _check_place(path, dataset)
    if dataset.id.get_storage_size() != math.prod(dataset.shape) * _REFERENCE_BYTES:
        raise UnfitContent(f"the texts of {path[:60]!r} are not all in the file")
    texts = dataset.asstr()[()]
    return [texts] if isinstance(texts, str) else list(texts)


def _attribute(group: h5py.Group, name: str) -> h5py.h5a.AttrID:
    if name not in group.attrs:
        raise UnfitContent(f"it lacks its {name[:40]}")
    return group.attrs.get_id(name)


def _is_text(kind: h5py.h5t.TypeID, variable: bool = False) -> bool:
    is_text = kind.get_class() == h5py.h5t.STRING
    return is_text and (not variable or bool(kind.is_variable_str()))


def _check_type(path: str, kind: h5py.h5t.TypeID) -> None:
    """Refuse all types but plain ones: h5py takes bytes of others for addresses of objects in memory."""
    kinds = [kind]
    if kind.get_class() == h5py.h5t.COMPOUND:
        if kind.get_nmembers() > _MOST_COLUMNS:
            raise UnfitContent(f"{path[:60]!r} has {kind.get_nmembers()} columns, expected at most {_MOST_COLUMNS}")
        kinds = [kind.get_member_type(number) for number in range(kind.get_nmembers())]
    for one in kinds:
        if one.get_class() not in _PLAIN or (one.get_class() == h5py.h5t.STRING and one.is_variable_str()):
            raise UnfitContent(f"{path[:60]!r} is not an array of plain numbers and texts")


def _check_place(path: str, dataset: h5py.Dataset) -> None:
    """Refuse numbers in another file, and those that this file does not hold."""
    if dataset.external or dataset.is_virtual:
        raise UnfitContent(f"the numbers of {path[:60]!r} are in another file, which is not read")
    if dataset.shape is None or len(dataset.shape) > _MOST_AXES:
        raise UnfitContent(f"the numbers of {path[:60]!r} were never written")
    is_compact = dataset.id.get_create_plist().get_layout() == h5py.h5d.COMPACT
    if dataset.chunks is None and not is_compact and math.prod(dataset.shape):
        offset = dataset.id.get_offset()
        if offset is None:
            raise UnfitContent(f"the numbers of {path[:60]!r} were never written")
        if offset + dataset.id.get_storage_size() > dataset.file.id.get_filesize():
            raise UnfitContent(f"some of the numbers of {path[:60]!r} are missing from the file")


def _size(dataset: h5py.Dataset) -> int:
    """Return the size of an array in memory, in bytes."""
    size: int = math.prod(dataset.shape) * dataset.dtype.itemsize
    return size
