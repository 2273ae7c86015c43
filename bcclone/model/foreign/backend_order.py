"""Tell whether a stored network has its channels first, and whether its kernels are mirrored.

Both questions are answered with True or False: the first from the arguments of the layers,
the second from the backend that the file states, or that the names of its weights show.

Keras ran on several backends. On Theano, images had their channels before rows and columns, and
kernels were mirrored: rotated by 180 degrees before they were applied. TensorFlow and all later
backends have the channels last, and apply kernels as they are.
"""

import re
from collections.abc import Sequence

from bcclone.model.foreign.stored import StoredModel
from bcclone.model.foreign.tree import Leaf
from bcclone.model.foreign.unsupported import UnsupportedModel
from bcclone.system.errors import shown

# classes of layers whose kernels stored_weights.py can reorder and rotate
CONVOLUTIONS = ("Conv2D", "Convolution2D")


def has_channels_first(leaves: Sequence[Leaf]) -> bool:
    """Return whether the layers have the channels first.

    Raises UnsupportedModel when some have them first and others last.
    """
    channels_first = {"th", "channels_first"}
    channels_last = {"tf", "channels_last", "default", None}
    orders: dict[bool, Leaf] = {}  # whether the channels are first -> a layer that says so
    for leaf in leaves:
        # the data_format of a Flatten says whether it reorders its input, not how the input is
        if leaf.kind == "Flatten":
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
    """Return whether the kernels are mirrored, as Theano's; raises UnsupportedModel.

    A file of Keras 1 does not name its backend, but the names of its weights tell it: TensorFlow's
    end in ":0", Theano's do not.
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
    """Refuse a layer that Theano computed in another way, beyond mirrored kernels."""
    config = leaf.config
    has_kernel = "kernel_size" in config or "nb_row" in config
    if has_kernel and leaf.kind not in CONVOLUTIONS:
        raise UnsupportedModel(
            f"{leaf}: was trained with Theano, which is not supported for this type"
        )

    # for the padding "same", Theano and TensorFlow put zeros on the same sides only in convolutions
    # with strides of 1 and odd kernels
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
