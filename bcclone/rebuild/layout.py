"""Where a stored model has its channels, and which way its kernels lie -> what must be turned to rebuild it.

Keras on Theano computed convolutions, which mirror the kernel; all others correlations, which do not:
https://github.com/keras-team/keras/blob/2.2.4/keras/engine/saving.py (_need_convert_kernel). Keras 1 stored the
kernels of networks whose channels come first as (filters, channels, rows, columns).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bcclone.rebuild import Refused
from bcclone.rebuild.arguments import short
from bcclone.rebuild.hdf5 import Array
from bcclone.rebuild.stored import StoredModel
from bcclone.rebuild.tree import Leaf

_FIRST, _LAST = {"th", "channels_first"}, {"tf", "channels_last", "default", None}
_CORRELATING = {"tensorflow", "jax", "torch", "numpy", "cntk"}
# of maps whose channels come first; Rescaling etc. do not look at the axes
_KNOWN_FIRST = {
    "Conv2D", "Convolution2D", "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D",
    "Cropping2D", "ZeroPadding2D", "SpatialDropout2D", "BatchNormalization", "Lambda", "Rescaling", "Activation",
    "Dropout", "GaussianDropout", "GaussianNoise", "ELU", "ReLU", "LeakyReLU", "Flatten",
}  # fmt: skip


def is_mirrored(stored: StoredModel) -> bool:
    """Return whether Theano wrote the kernels; raises Refused for a backend that is not known.

    Files of Keras 1 do not say it; there the weights' names tell: TensorFlow's variables end in ":0".
    """
    backend = stored.texts.get("backend")
    if backend is not None:
        if backend not in _CORRELATING | {"theano"}:
            raise Refused(f"was written on the backend {short(backend)}, whose layout is not known")
        return backend == "theano"
    names = [array.name for arrays in stored.weights.values() for array in arrays]
    of_old = not stored.texts.get("keras_version", "1").startswith(("2", "3"))
    return of_old and bool(names) and not any(re.search(r":\d+$", name) for name in names)


def has_channels_first(leaves: Sequence[Leaf]) -> bool:
    """Return whether the layers that know rows and columns have the channels before them; raises Refused for both."""
    found = {is_first: leaf for leaf in leaves if leaf.kind != "Flatten" for is_first in _orders(leaf)}
    if len(found) == 2:
        raise Refused(f"{found[True]} has its channels first and {found[False]} has them last; expected one of both")
    return True in found


def _orders(leaf: Leaf) -> Iterator[bool]:
    """Yield, for each of its arguments that say it, whether a layer has its channels first."""
    for name in ("dim_ordering", "data_format"):
        if name in leaf.config:
            value = leaf.config[name]
            if not isinstance(value, str | None) or value not in _FIRST | _LAST:
                raise Refused(f"{leaf}: {name} is {short(value)}, expected 'channels_last' or 'channels_first'")
            yield value in _FIRST


def check_first(leaf: Leaf, rank: int) -> None:
    """Refuse a layer that would compute something else once the channels are last; rank: extents of its input."""
    if rank == 4 and leaf.kind not in _KNOWN_FIRST:
        raise Refused("stands where channels come first, which is not rebuilt; expected channels last")


def flattens_channels_first(config: Mapping[str, Any]) -> bool:
    """Return whether a Flatten puts maps with their channels first into a row as they are stored.

    That of data_format channels_first (Keras 2.2 and later) brings the channels to the end before.
    """
    return config.get("data_format") not in _FIRST


def check_mirrored(leaf: Leaf) -> None:
    """Refuse what Theano computes in another way than by a mirrored kernel."""
    if leaf.kind in ("Conv3D", "SeparableConv2D", "SeparableConvolution2D", "DepthwiseConv2D"):
        raise Refused(f"{leaf}: was trained with Theano, whose kernels of this kind are not turned")
    if leaf.config.get("border_mode", leaf.config.get("padding")) != "same":
        return
    strides = leaf.config.get("subsample", leaf.config.get("strides"))
    rows_columns = leaf.config.get("kernel_size", [leaf.config.get("nb_row"), leaf.config.get("nb_col")])
    if "Pooling" in leaf.kind or strides not in ([1, 1], 1) or any(size % 2 == 0 for size in rows_columns):
        raise Refused(f"{leaf}: Theano pads 'same' on other sides, which is not rebuilt")


def turned(leaf: Leaf, arrays: Sequence[Array], mirrored: bool, channels_first: bool) -> list[Array]:
    """Return the arrays of a layer as TensorFlow has them: kernels (rows, columns, channels, filters), not mirrored."""
    found = list(arrays)
    if leaf.kind not in ("Conv2D", "Convolution2D") or not found or found[0].ndim != 4:
        return found
    if channels_first and "nb_filter" in leaf.config:  # Keras 1; later ones always have rows and columns first
        found[0] = found[0].transpose(2, 3, 1, 0)
    if mirrored:
        found[0] = np.ascontiguousarray(found[0][::-1, ::-1])
    return found
