"""The arrays of a Keras .h5 file -> the weights of the rebuilt network, by order, shapes compared before reading.

No link is followed out of the file, and no array is read whose announced shape is not the expected one.
"""

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from bcclone.foreign import Refused

Array = npt.NDArray[np.float32]
Shapes = list[tuple[int, ...]]

_MOST_NAMES, _LONGEST_TEXT = 4096, 1 << 24  # bytes


def read_text(file: h5py.File, name: str) -> str:
    """Return a text attribute of the root, stored as bytes or text."""
    attribute = file.attrs.get_id(name)
    is_text = h5py.check_string_dtype(attribute.dtype) is not None
    if not is_text or attribute.shape != () or attribute.get_storage_size() > _LONGEST_TEXT:
        raise Refused(f"its {name} is no text of at most {_LONGEST_TEXT} bytes")
    value = file.attrs[name]
    return str(value.decode()) if isinstance(value, bytes) else str(value)


def read_weights(file: h5py.File, expected: Sequence[tuple[str, Shapes]]) -> list[list[Array]]:
    """Return the weights of each layer that has some, in order.

    expected: label and shapes of the weights of these layers; raises Refused with both shapes when the file's differ.
    """
    nested = file.get("model_weights", getlink=True) is not None
    group = _child(file, "model_weights") if nested else file
    stored = [_arrays_of(group, name) for name in _names(group, "layer_names")]
    stored = [arrays for arrays in stored if arrays]
    if len(stored) != len(expected):
        raise Refused(f"holds weights for {len(stored)} layers, and a network with {len(expected)} such layers")
    for arrays, (label, shapes) in zip(stored, expected, strict=True):
        if [array.shape for array in arrays] != shapes:
            found = ", ".join(str(array.shape) for array in arrays)
            raise Refused(f"{label}: its weights have the shapes {found}, expected {', '.join(map(str, shapes))}")
    return [[_read(array) for array in arrays] for arrays in stored]


def _arrays_of(group: h5py.Group, layer: str) -> list[h5py.Dataset]:
    """Return the datasets of a layer, unread."""
    folder = _child(group, layer)
    if not isinstance(folder, h5py.Group):
        raise Refused(f"{layer[:60]!r} is no group of weights")
    return [_array(folder, name) for name in _names(folder, "weight_names")]


def _array(folder: h5py.Group, name: str) -> h5py.Dataset:
    array = _child(folder, name)
    if not isinstance(array, h5py.Dataset) or array.dtype.kind != "f":
        raise Refused(f"{name[:60]!r} is no array of floats")
    if array.external or array.is_virtual:
        raise Refused(f"the numbers of {name[:60]!r} lie in another file, which is not read")
    if array.size is None or (array.size and not array.id.get_storage_size()):
        raise Refused(f"the numbers of {name[:60]!r} were never written")
    return array


def _child(group: h5py.Group, path: str) -> Any:
    """Return what lies at `path`, step by step, so that no link leads elsewhere."""
    found: Any = group
    for name in path.strip("/").split("/"):
        link = found.get(name, getlink=True) if isinstance(found, h5py.Group) else None
        if link is None:
            raise Refused(f"has no weights at {path[:60]!r}")
        if not isinstance(link, h5py.HardLink):
            raise Refused(f"{path[:60]!r} is a link, which is not followed")
        found = found[name]
    return found


def _names(group: h5py.Group, attribute: str) -> list[str]:
    if attribute not in group.attrs:
        raise Refused(f"has no weights: {group.name[:60]!r} lacks its list {attribute}")
    found = group.attrs.get_id(attribute)
    if found.shape == (0,):  # Keras writes empty lists as numbers
        return []
    is_text = h5py.check_string_dtype(found.dtype) is not None
    if not is_text or len(found.shape) != 1 or found.shape[0] > _MOST_NAMES:
        raise Refused(f"the list {attribute} does not hold names, or more than {_MOST_NAMES} of them")
    return [name.decode() if isinstance(name, bytes) else name for name in group.attrs[attribute]]


def _read(array: h5py.Dataset) -> Array:
    values = np.asarray(array[()], dtype=np.float32)
    if not np.isfinite(values).all():
        raise Refused(f"the weights {array.name[:60]!r} are not all finite numbers")
    return values
