"""Find out whether a file has its channels first and its kernels mirrored, and reorder its kernels for TensorFlow."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bcclone.model.keras_files import UnsupportedModel
from bcclone.model.keras_files.arguments import short
from bcclone.model.keras_files.stored import StoredModel
from bcclone.model.keras_files.tree import Leaf
from bcclone.system.arrays import Float32Array

_FIRST, _LAST = {"th", "channels_first"}, {"tf", "channels_last", "default", None}
_CONVOLUTIONS = ("Conv2D", "Convolution2D")  # whose kernels can be reordered and rotated
_CORRELATING = {"tensorflow", "jax", "torch", "numpy", "cntk"}


def is_mirrored(stored: StoredModel) -> bool:
    """Return whether the kernels are Theano's, which are mirrored; raises UnsupportedModel for an unknown backend.

    Files of Keras 1 do not name the backend; there TensorFlow's weights have names that end in ":0".
    """
    backend = stored.texts.get("backend")
    if backend is not None:
        if backend not in _CORRELATING | {"theano"}:
            raise UnsupportedModel(f"was written on the backend {short(backend)}, whose kernels are unknown")
        return backend == "theano"
    names = [array.name for arrays in stored.weights.values() for array in arrays]
    of_old = not stored.texts.get("keras_version", "1").startswith(("2", "3"))
    return of_old and bool(names) and not any(re.search(r":\d+$", name) for name in names)


def has_channels_first(leaves: Sequence[Leaf]) -> bool:
    """Return whether the layers have the channels first; raises UnsupportedModel when some do and others do not."""
    orders = {is_first: leaf for leaf in leaves if leaf.kind != "Flatten" for is_first in _orders(leaf)}
    if len(orders) == 2:
        raise UnsupportedModel(
            f"{orders[True]} has its channels first and {orders[False]} has them last; expected one of both"
        )
    return True in orders


def _orders(leaf: Leaf) -> Iterator[bool]:
    """Yield whether a layer has its channels first, for each argument that states it."""
    for name in ("dim_ordering", "data_format"):
        if name in leaf.config:
            value = leaf.config[name]
            if not isinstance(value, str | None) or value not in _FIRST | _LAST:
                raise UnsupportedModel(
                    f"{leaf}: {name} is {short(value)}, expected 'channels_last' or 'channels_first'"
                )
            yield value in _FIRST


def flattens_channels_first(config: Mapping[str, Any]) -> bool:
    """Return whether a Flatten flattens maps in the order of the file, with the channels first.

    With data_format channels_first (Keras 2.2 and later) it moves the channels to the end before.
    """
    return config.get("data_format") not in _FIRST


def check_mirrored(leaf: Leaf) -> None:
    """Refuse layers whose Theano version differs in more than mirrored kernels."""
    if leaf.kind not in _CONVOLUTIONS and not leaf.config.keys().isdisjoint(("kernel_size", "nb_row")):
        raise UnsupportedModel(f"{leaf}: was trained with Theano, which is not supported for this type")
    if leaf.config.get("border_mode", leaf.config.get("padding")) != "same":
        return
    strides = leaf.config.get("subsample", leaf.config.get("strides"))
    rows_columns = leaf.config.get("kernel_size", [leaf.config.get("nb_row"), leaf.config.get("nb_col")])
    if "Pooling" in leaf.kind or strides not in ([1, 1], 1) or any(size % 2 == 0 for size in rows_columns):
        raise UnsupportedModel(f"{leaf}: Theano pads 'same' on other sides, which is not supported")


def in_tensorflow_order(
    leaf: Leaf, arrays: Sequence[Float32Array], mirrored: bool, channels_first: bool
) -> list[Float32Array]:
    """Return the arrays of a layer as TensorFlow has them: kernels (rows, columns, channels, filters), not mirrored."""
    ordered = list(arrays)
    if leaf.kind not in _CONVOLUTIONS or not ordered or ordered[0].ndim != 4:
        return ordered
    if channels_first and "nb_filter" in leaf.config:  # Keras 1; later ones always have rows and columns first
        ordered[0] = ordered[0].transpose(2, 3, 1, 0)
    if mirrored:
        ordered[0] = np.ascontiguousarray(ordered[0][::-1, ::-1])
    return ordered
