"""Read what lies in an HDF5 file that somebody else may have made.

Reading follows no link and reads no other file. Types, shapes and lengths are compared with the size of the file before
memory is asked for; a compressed array of a few bytes could stand for any number of them. What is refused raises
UnfitContent.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
import numpy.typing as npt

from bcclone.system.reading import check_regular

Source = Path | IO[bytes]  # a path, or an open file such as one at a URL

LONGEST_TEXT = 1 << 20  # bytes of an attribute
MOST_ARRAY = 1 << 32  # bytes of an array in memory
_PLAIN = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM, h5py.h5t.STRING)
_MOST_COLUMNS, _MOST_AXES = 1000, 8
_SAFE_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}  # they load no plugin
_SPARSE = 1 << 20, 1000  # bytes, and times what the disk holds, that an array may have: more is a hole
_REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])  # of a text, as the file holds it


class UnfitContent(ValueError):
    """Something in a file that is not read; the text is the reason, without the path."""


@contextmanager
def open_hdf5(source: Source) -> Iterator[h5py.File]:
    """Open a file for reading; raises UnfitFile for a pipe or a device, and OSError for what is not an HDF5 file."""
    if isinstance(source, Path):
        check_regular(source)
    with h5py.File(source, "r") as file:
        yield file


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


def read_array(group: h5py.Group, path: str, kind: npt.DTypeLike | None = None) -> npt.NDArray[Any]:
    """Return the numbers or the table at a path. kind: the type that it must have."""
    dataset = dataset_of(group, path)
    if kind is not None and dataset.dtype != np.dtype(kind):
        found, expected = (names or str(one) for one in (dataset.dtype, np.dtype(kind)) for names in [one.names])
        raise UnfitContent(f"the columns of {path[:60]!r} are {found}, expected {expected}")
    if _size(dataset) > _room(dataset.file):
        raise UnfitContent(f"{path[:60]!r} would have {_size(dataset)} bytes, more than the file holds")
    values = np.asarray(dataset[()])
    for name in values.dtype.names or ():
        _check_flags(f"{path}/{name}", values[name])
    return values


def holds_texts(group: h5py.Group, path: str) -> bool:
    """Return whether a list of texts is at a path."""
    dataset = member_of(group, path)
    return isinstance(dataset, h5py.Dataset) and _is_text(dataset.id.get_type(), variable=True)


def read_texts(group: h5py.Group, path: str, source: Source) -> list[str]:
    """Return the texts at a path, one or many. source: what the file was opened from."""
    dataset = member_of(group, path)
    if not holds_texts(group, path) or len(dataset.shape or ()) > 1 or dataset.shape is None:
        raise UnfitContent(f"{path[:60]!r} is not a list of texts")
    _check_place(path, dataset)
    count = math.prod(dataset.shape)
    if not count:
        return []
    # many texts may name the same bytes of the file; so their lengths are added up before they are read
    size, offset = count * _REFERENCE.itemsize, dataset.id.get_offset()
    room = _room(dataset.file)
    if offset is None or dataset.id.get_storage_size() != size or size > room:
        raise UnfitContent(f"the texts of {path[:60]!r} are not all in the file")
    lengths = np.frombuffer(_read_at(source, offset, size), _REFERENCE)["length"]
    if int(lengths.sum(dtype=np.uint64)) > room:
        raise UnfitContent(f"the texts of {path[:60]!r} would have more bytes than the file holds")
    texts = dataset.asstr()[()]
    return [texts] if isinstance(texts, str) else list(texts)


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


def read_integer(group: h5py.Group, name: str) -> int:
    """Return an attribute that is a whole number."""
    attribute = _attribute(group, name)
    if attribute.get_type().get_class() != h5py.h5t.INTEGER or attribute.shape != ():
        raise UnfitContent(f"its {name[:40]} is not a whole number")
    return int(group.attrs[name])


def read_names(group: h5py.Group, name: str, most: int) -> list[str]:
    """Return an attribute that is a list of names."""
    attribute = _attribute(group, name)
    if attribute.shape == (0,):  # Keras writes empty lists as numbers
        return []
    if not _is_text(attribute.get_type()) or len(attribute.shape or ()) != 1 or attribute.shape[0] > most:
        raise UnfitContent(f"the list {name} is not a list of up to {most} names")
    return [one.decode() if isinstance(one, bytes) else one for one in group.attrs[name]]


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
    if dataset.external or dataset.is_virtual:
        raise UnfitContent(f"the numbers of {path[:60]!r} are in another file, which is not read")
    if dataset.shape is None or len(dataset.shape) > _MOST_AXES:
        raise UnfitContent(f"the numbers of {path[:60]!r} were never written")
    if (
        dataset.chunks is None
        and dataset.id.get_create_plist().get_layout() != h5py.h5d.COMPACT
        and math.prod(dataset.shape)
    ):
        offset = dataset.id.get_offset()
        if offset is None:
            raise UnfitContent(f"the numbers of {path[:60]!r} were never written")
        if offset + dataset.id.get_storage_size() > dataset.file.id.get_filesize():
            raise UnfitContent(f"some of the numbers of {path[:60]!r} are missing from the file")


def _check_flags(path: str, values: npt.NDArray[Any]) -> None:
    """Refuse flags other than 0 and 1, which NumPy takes for one of both in one place and for the other in the next."""
    if values.dtype.kind == "b" and values.view(np.uint8).max(initial=0) > 1:
        raise UnfitContent(f"{path[:60]!r} has flags that are neither true nor false")


def _size(dataset: h5py.Dataset) -> int:
    """Return the size of an array in memory, in bytes."""
    size: int = math.prod(dataset.shape) * dataset.dtype.itemsize
    return size


def _room(file: h5py.File) -> int:
    """Return the most bytes of a file that are read into memory: its size, without most of its holes."""
    room = [file.id.get_filesize(), MOST_ARRAY]
    if file.driver == "sec2" and (blocks := getattr(Path(file.filename).stat(), "st_blocks", 0)):
        room.append(_SPARSE[0] + _SPARSE[1] * 512 * blocks)
    return int(min(room))


def _read_at(source: Source, offset: int, size: int) -> bytes:
    if isinstance(source, Path):
        with source.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    source.seek(offset)
    return source.read(size)
