"""Assign the arrays of a file to the rebuilt layers."""

import re
from collections.abc import Iterator, Mapping, Sequence

import keras

from bcclone.model.keras_files import UnsupportedModel
from bcclone.model.keras_files.channel_order import in_tensorflow_order
from bcclone.model.keras_files.hdf5 import NamedArray, Weights
from bcclone.model.keras_files.stored import StoredModel
from bcclone.model.keras_files.tree import Leaf, Nest

Layers = Mapping[Leaf, keras.Layer]

# where Keras 3, and TensorFlow 2.12 to 2.15, keep the layers of a model
_FOLDERS = ("layers", "_layer_checkpoint_dependencies")
_OF_ARCHIVE = re.compile(rf"({'|'.join(_FOLDERS)})/")


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
        same = sorted((name for name in names if re.fullmatch(rf"{kind}(_\d+)?", name)), key=_number)
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


def _number(name: str) -> int:
    _, _, number = name.rpartition("_")
    return int(number) if number.isdecimal() else 0


def _snake_case(kind: str) -> str:
    """Return a class's name as Keras calls folders: BatchNormalization is batch_normalization, PReLU p_re_lu."""
    text = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", text).lower()
