"""Assign the arrays of a file to the rebuilt layers, in TensorFlow's order: channels last, kernels not mirrored."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from bcclone.model.keras_files import UnsupportedModel
from bcclone.model.keras_files.arguments import short
from bcclone.model.keras_files.stored import NamedArray, StoredModel, Weights
from bcclone.model.keras_files.tree import Leaf, Nest
from bcclone.system.arrays import Float32Array

Layers = Mapping[Leaf, keras.Layer]

# where Keras 3, and TensorFlow 2.12 to 2.15, keep the layers of a model
_FOLDERS = ("layers", "_layer_checkpoint_dependencies")
_OF_ARCHIVE = re.compile(rf"({'|'.join(_FOLDERS)})/")
_FIRST, _LAST = {"th", "channels_first"}, {"tf", "channels_last", "default", None}
_CONVOLUTIONS = ("Conv2D", "Convolution2D")  # whose kernels can be reordered and rotated
_CORRELATING = {"tensorflow", "jax", "torch", "numpy", "cntk"}


def assign_weights(model: Nest, layers: Layers, stored: StoredModel, mirrored: bool, channels_first: bool) -> None:
    """Give each layer its arrays; raises UnsupportedModel with both shapes when they are others."""
    used: set[int] = set()
    in_folders = any(_OF_ARCHIVE.match(folder) for folder in stored.weights)
    taken = _by_folder(model, "", layers, stored.weights) if in_folders else _by_name(model, layers, stored.weights)
    for leaf, named in taken:
        arrays = in_tensorflow_order(leaf, [array.values for array in named], mirrored, channels_first)
        expected = [tuple(weight.shape) for weight in layers[leaf].weights]
        if [array.shape for array in arrays] != expected:
            shapes = ", ".join(str(array.shape) for array in arrays) or "none"
            raise UnsupportedModel(
                f"{leaf}: its weights have the shapes {shapes}, expected {', '.join(map(str, expected))}"
            )
        layers[leaf].set_weights(arrays)
        used.update(id(array) for array in named)
    for folder, left in stored.weights.items():
        if any(id(array) not in used for array in left):
            raise UnsupportedModel(f"holds weights of {folder[:60]!r}, for which its network has no layer")


def _by_name(nest: Nest, layers: Layers, weights: Weights) -> Iterator[tuple[Leaf, Sequence[NamedArray]]]:
    """Yield the arrays of each layer in a .h5, where those of a model within the model lie together."""
    for node in nest.nodes:
        if isinstance(node, Leaf):
            if node in layers:
                yield node, weights.get(node.name, [])
        elif node.is_over_time:
            yield from _split(node, layers, list(weights.get(node.name, [])))
        elif stored := weights.get(node.name) or _unnamed(nest, node, layers, weights):
            yield from _split(node, layers, list(stored))
        else:
            yield from _by_name(node, layers, weights)


def _unnamed(nest: Nest, node: Nest, layers: Layers, weights: Weights) -> Sequence[NamedArray]:
    """Return the arrays of a model within the model whose name the configuration lacks, as in Keras 1, by its place."""
    leaves = {leaf.name for leaf in nest.leaves()}
    left = [arrays for name, arrays in weights.items() if arrays and name not in leaves]
    unnamed = [other for other in nest.nodes if isinstance(other, Nest) and _has_weights(other, layers)]
    return left[unnamed.index(node)] if len(left) == len(unnamed) and node in unnamed and not node.name else []


def _split(nest: Nest, layers: Layers, arrays: list[NamedArray]) -> Iterator[tuple[Leaf, Sequence[NamedArray]]]:
    """Divide the arrays of a model within the model: first all that are trained, then all that are not."""
    divided: dict[Leaf, list[NamedArray]] = {leaf: [] for leaf in nest.leaves()}
    for trained in (True, False):
        for leaf, own in divided.items():
            weights = layers[leaf].trainable_weights if trained else layers[leaf].non_trainable_weights
            own += arrays[: len(weights)]
            del arrays[: len(weights)]
    if arrays:
        raise UnsupportedModel(f"holds more weights of {nest.name[:60]!r} than its network has")
    yield from divided.items()


def _by_folder(
    nest: Nest, prefix: str, layers: Layers, weights: Weights
) -> Iterator[tuple[Leaf, Sequence[NamedArray]]]:
    """Yield the arrays of each layer in an archive, whose folders are called by class and number."""
    start = next(
        (f"{prefix}{name}/" for name in _FOLDERS if any(f.startswith(f"{prefix}{name}/") for f in weights)), ""
    )
    names = {folder.removeprefix(start).partition("/")[0] for folder in weights if start and folder.startswith(start)}
    seen: dict[str, int] = {}
    for node in nest.nodes:
        if not _has_weights(node, layers):
            continue
        kind = _snake_case(node.kind)
        same = sorted(
            (name for name in names if re.fullmatch(rf"{kind}(_\d+)?", name)), key=lambda name: (len(name), name)
        )
        seen[kind] = seen.get(kind, -1) + 1
        if seen[kind] >= len(same):
            raise UnsupportedModel(f"has no weights of {node.name[:60]!r} ({node.kind[:40]})")
        folder = start + same[seen[kind]]
        if isinstance(node, Nest) and node.is_over_time:
            node, folder = node.nodes[0], f"{folder}/layer"
        if isinstance(node, Nest):
            yield from _by_folder(node, f"{folder}/", layers, weights)
        else:  # recurrent layers keep theirs in a cell
            yield node, [*weights.get(folder, []), *weights.get(f"{folder}/cell", [])]


def _has_weights(node: Leaf | Nest, layers: Layers) -> bool:
    leaves = node.leaves() if isinstance(node, Nest) else [node]
    return any(leaf in layers and layers[leaf].weights for leaf in leaves)


def _snake_case(kind: str) -> str:
    """Return a class's name as Keras calls folders: BatchNormalization is batch_normalization, PReLU p_re_lu."""
    text = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", text).lower()


# ---- where channels stand and kernels lie


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
