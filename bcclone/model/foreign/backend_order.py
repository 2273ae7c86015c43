"""Tell in which order a stored network keeps its channels, and its kernels their numbers.

Theano had the channels before rows and columns, and rotated kernels by 180 degrees; TensorFlow and
all later backends have the channels last, and apply kernels as they are.
"""

import re
from collections.abc import Sequence

from bcclone.model.foreign.stored import StoredModel
from bcclone.model.foreign.tree import Leaf
from bcclone.model.foreign.unsupported import UnsupportedModel
from bcclone.system.errors import shown

CONVOLUTIONS = ("Conv2D", "Convolution2D")  # whose kernels can be reordered and rotated


def has_channels_first(leaves: Sequence[Leaf]) -> bool:
    """Return whether the layers have the channels first.

    Raises UnsupportedModel when some do and others do not.
    """
    channels_first = {"th", "channels_first"}
    channels_last = {"tf", "channels_last", "default", None}
    orders: dict[bool, Leaf] = {}
    for leaf in leaves:
        if leaf.kind == "Flatten":  # its argument says what it does to its input
            continue
        for name in ("dim_ordering", "data_format"):
            if name not in leaf.config:
                continue
            value = leaf.config[name]
            if not isinstance(value, str | None) or value not in channels_first | channels_last:
                raise UnsupportedModel(
                    f"{leaf}: {name} is {shown(value)}, expected 'channels_last' or "
                    "'channels_first'"
                )
            orders[value in channels_first] = leaf
    if len(orders) == 2:
        raise UnsupportedModel(
            f"{orders[True]} has its channels first and {orders[False]} has them last; expected "
            "one of both"
        )
    return True in orders


def is_mirrored(stored: StoredModel) -> bool:
    """Return whether the kernels are Theano's; raises UnsupportedModel for an unknown backend.

    Files of Keras 1 do not name the backend; there TensorFlow's weights have names that end in
    ":0".
    """
    backend = stored.texts.get("backend")
    if backend is not None:
        if backend not in {"tensorflow", "jax", "torch", "numpy", "cntk", "theano"}:
            raise UnsupportedModel(
                f"was written on the backend {shown(backend)}, whose kernels are unknown"
            )
        return backend == "theano"
    version = stored.texts.get("keras_version", "1")
    names = [array.name for arrays in stored.weights.values() for array in arrays]
    if version.startswith(("2", "3")) or not names:
        return False
    return not any(re.search(r":\d+$", name) for name in names)


def check_mirrored(leaf: Leaf) -> None:
    """Refuse layers whose Theano version differs in more than mirrored kernels."""
    config = leaf.config
    has_kernel = "kernel_size" in config or "nb_row" in config
    if has_kernel and leaf.kind not in CONVOLUTIONS:
        raise UnsupportedModel(
            f"{leaf}: was trained with Theano, which is not supported for this type"
        )

    # with the padding "same", both put zeros on the same sides only in the simplest case
    if config.get("border_mode", config.get("padding")) != "same":
        return
    strides = config.get("subsample", config.get("strides"))
    kernel_size = config.get("kernel_size", [config.get("nb_row"), config.get("nb_col")])
    if (
        "Pooling" in leaf.kind
        or strides not in ([1, 1], 1)
        or any(size % 2 == 0 for size in kernel_size)
    ):
        raise UnsupportedModel(f"{leaf}: Theano pads 'same' on other sides, which is not supported")
