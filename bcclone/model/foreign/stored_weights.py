"""Give the layers of a rebuilt network the arrays of its file.

In: the stored layers, their layers of today, and the arrays by layer (.h5) or folder (.keras).
Afterwards the layers of today have their weights, and no array is left over.
"""

import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

import keras
import numpy as np

from bcclone.model.foreign.backend_order import CONVOLUTIONS
from bcclone.model.foreign.stored import NamedArray, StoredModel, Weights
from bcclone.model.foreign.tree import Leaf, Nest
from bcclone.model.foreign.unsupported import UnsupportedModel
from bcclone.system.errors import shown
from bcclone.system.numbers import Float32Array

Layers = Mapping[Leaf, keras.Layer]  # stored layer -> its layer of today
_Arrays = Iterator[tuple[Leaf, Sequence[NamedArray]]]  # the arrays of each stored layer

# the folder of a model's layers in an archive of Keras 3, and of TensorFlow 2.12 to 2.15
_FOLDERS = ("layers", "_layer_checkpoint_dependencies")


def assign_weights(
    model: Nest, layers: Layers, stored: StoredModel, mirrored: bool, channels_first: bool
) -> None:
    """Give each layer its arrays.

    Raises UnsupportedModel if an array has another shape, is missing, or is left over.

    mirrored: whether the kernels in the file are rotated by 180 degrees
    channels_first: whether the file has the channels before the rows
    """
    if _folder_of_layers("", stored.weights):  # an archive; "" is the whole model
        by_layer = _by_folder(model, "", layers, stored.weights)
    else:
        by_layer = _by_name(model, layers, stored.weights)
    used: set[int] = set()
    for leaf, named in by_layer:
        used.update(id(array) for array in named)
        if leaf in layers:  # layers that lead to another output were not rebuilt
            arrays = _in_todays_order(leaf, named, mirrored, channels_first)
            _assign(leaf, layers[leaf], arrays)

    # an array that no layer took tells that the rebuilt network lacks a layer
    for folder, named in stored.weights.items():
        if any(id(array) not in used for array in named):
            raise UnsupportedModel(
                f"holds weights of {shown(folder)}, for which its network has no layer"
            )


def _in_todays_order(
    leaf: Leaf, named: Sequence[NamedArray], mirrored: bool, channels_first: bool
) -> list[Float32Array]:
    """Return the arrays of a layer, with a kernel as TensorFlow has it.

    That is (rows, columns, channels, filters), not mirrored.
    """
    arrays = [array.values for array in named]
    if leaf.kind not in CONVOLUTIONS or not arrays or arrays[0].ndim != 4:
        return arrays
    kernel, *others = arrays
    if channels_first and "nb_filter" in leaf.config:
        # a kernel of Keras 1, (filters, channels, rows, columns); later versions have rows and
        # columns first, wherever an image has its channels
        kernel = kernel.transpose(2, 3, 1, 0)
    if mirrored:
        kernel = np.ascontiguousarray(kernel[::-1, ::-1])
    return [kernel, *others]


def _assign(leaf: Leaf, layer: keras.Layer, arrays: list[Float32Array]) -> None:
    expected = [tuple(weight.shape) for weight in layer.weights]
    if [array.shape for array in arrays] != expected:
        shapes = ", ".join(str(array.shape) for array in arrays) or "none"
        raise UnsupportedModel(
            f"{leaf}: its weights have the shapes {shapes}, expected "
            f"{', '.join(map(str, expected))}"
        )
    layer.set_weights(arrays)
    if isinstance(layer, keras.layers.Normalization):
        layer.finalize_state()  # computes the constants that the layer derives from its weights


def _has_weights(node: Leaf | Nest, layers: Layers) -> bool:
    leaves = node.leaves() if isinstance(node, Nest) else [node]
    return any(leaf in layers and layers[leaf].weights for leaf in leaves)


# ---- in a .h5 file, by the names of layers


def _by_name(nest: Nest, layers: Layers, weights: Weights) -> _Arrays:
    """Yield the arrays of each layer.

    The arrays of a model within the model may be stored together, under that model's name.
    """
    for node in nest.nodes:
        if isinstance(node, Leaf):
            yield node, weights.get(node.name, [])
            continue
        together = list(weights.get(node.name, []))
        if not together and not node.is_over_time:
            together = _arrays_of_unnamed(nest, node, layers, weights)
        if together or node.is_over_time:
            yield from _split(node, layers, together)
        else:
            yield from _by_name(node, layers, weights)


def _arrays_of_unnamed(
    nest: Nest, node: Nest, layers: Layers, weights: Weights
) -> list[NamedArray]:
    """Return the arrays of a model within the model, found by its place; [] if that fails.

    In Keras 1 the configuration lacks the name of such a model, but its arrays are stored under a
    name that no layer has. The first name of this kind belongs to the first such model.

    nest: the outer model
    node: the model within it
    """
    if node.name or not _has_weights(node, layers):
        return []
    leaf_names = {leaf.name for leaf in nest.leaves()}
    groups = [arrays for name, arrays in weights.items() if arrays and name not in leaf_names]
    models = [
        model for model in nest.nodes if isinstance(model, Nest) and _has_weights(model, layers)
    ]
    if len(groups) != len(models):
        return []
    return list(groups[models.index(node)])


def _split(nest: Nest, layers: Layers, arrays: list[NamedArray]) -> _Arrays:
    """Yield the arrays of each layer of a model within the model.

    The file has the trainable weights of all these layers first, and then their other weights.

    arrays: the arrays that are stored under the model's name
    """
    remaining = iter(arrays)
    divided: dict[Leaf, list[NamedArray]] = {leaf: [] for leaf in nest.leaves()}
    for leaf, leaf_arrays in divided.items():
        leaf_arrays += itertools.islice(remaining, len(layers[leaf].trainable_weights))
    for leaf, leaf_arrays in divided.items():
        leaf_arrays += itertools.islice(remaining, len(layers[leaf].non_trainable_weights))
    if list(remaining):
        raise UnsupportedModel(f"holds more weights of {shown(nest.name)} than its network has")
    yield from divided.items()


# ---- in an archive, by folders of classes


def _by_folder(nest: Nest, prefix: str, layers: Layers, weights: Weights) -> _Arrays:
    """Yield the arrays of each layer, whose folders are called by class and number.

    prefix: what the folders of this model begin with; "" for the whole model
    """
    start = _folder_of_layers(prefix, weights)
    folder_names = {
        folder.removeprefix(start).partition("/")[0]
        for folder in weights
        if start and folder.startswith(start)
    }
    counts: dict[str, int] = {}  # class -> how many of its layers with weights came so far
    for node in nest.nodes:
        is_left_out = isinstance(node, Leaf) and node in nest.left_out
        if not is_left_out and not _has_weights(node, layers):
            continue

        # folders are numbered by class: the third Conv2D with weights has the third conv2d folder
        kind = _folder_name(node.kind)
        folders = _folders_of(kind, folder_names)
        place = counts.get(kind, 0)
        counts[kind] = place + 1
        if is_left_out and not folders:  # a layer of this class has no weights
            continue
        if place >= len(folders):
            raise UnsupportedModel(f"has no weights of {shown(node.name)} ({node.kind[:40]})")
        folder = start + folders[place]

        if isinstance(node, Nest) and node.is_over_time:
            node = node.nodes[0]
            folder = f"{folder}/layer"
        if isinstance(node, Nest):
            yield from _by_folder(node, f"{folder}/", layers, weights)
        else:  # a recurrent layer's arrays are in the folder of its cell
            yield node, [*weights.get(folder, []), *weights.get(f"{folder}/cell", [])]


def _folder_of_layers(prefix: str, weights: Weights) -> str:
    """Return the folder of a model's layers, "" when it has none with weights."""
    for name in _FOLDERS:
        start = f"{prefix}{name}/"
        if any(folder.startswith(start) for folder in weights):
            return start
    return ""


def _folders_of(kind: str, names: Collection[str]) -> list[str]:
    """Return the folders of a class in their order: conv2d, conv2d_1, ..., conv2d_10."""
    pattern = re.escape(kind) + r"(_\d+)?"
    folders = [name for name in names if re.fullmatch(pattern, name)]
    return sorted(folders, key=lambda name: (len(name), name))


def _folder_name(kind: str) -> str:
    """Return what Keras calls a class: batch_normalization, p_re_lu, conv2d."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
