"""Rebuild a stored network layer by layer, and give it the weights of its file.

In: a `StoredModel`. Out: a `RebuiltModel`, which has all arrays of the file.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from bcclone.dataset.preprocessing_text import Scaling
from bcclone.model.foreign.layers import LayerBuilder
from bcclone.model.foreign.outputs import BINS
from bcclone.model.foreign.stored import StoredModel, UnsupportedModel, Weights
from bcclone.model.foreign.tree import Leaf, Nest, Size, pilot_of, read_tree
from bcclone.system.arrays import Float32Array
from bcclone.system.codec import parse_json
from bcclone.system.errors import shown
from bcclone.system.progress import note
from bcclone.system.tensorflow_quietly import random_state_kept


@dataclass(frozen=True)
class RebuiltModel:
    """A rebuilt network, its origin, and its layers."""

    model: keras.Model
    keras_version: str  # the Keras that wrote the file
    backend: str  # the backend of that Keras
    layers: list[dict[str, str]]  # of each layer its name, kind in the file, and kind now
    notes: tuple[str, ...]  # sentences: what was recognised, changed or left out
    pilot: str  # class of donkeycar's pilots, from pilot_of(); "" for another network


def rebuild_model(
    stored: StoredModel,
    most_outputs: int = 1,
    rescale: Scaling | None = None,
    size: Size = (None, None),
) -> RebuiltModel:
    """Return the network with its weights; raises UnsupportedModel, or errors of json and Keras.

    most_outputs: the largest number of values that the network may predict
    rescale: what a Lambda layer of unrecognised code computes; None if not known
    size: rows and columns of the input, for a file that does not state them
    """
    nest, shape, dtype = read_tree(parse_json(stored.texts["model_config"]), size)
    leaves = list(nest.leaves())
    version = stored.texts.get("keras_version", "1")

    # the layers; the network may have as many weights as its file, but at least 4 million
    surely_affordable = 1 << 22
    in_file = sum(array.size for arrays in stored.weights.values() for array in arrays)
    budget = max(surely_affordable, in_file)
    builder = LayerBuilder((None, *shape), dtype, version.startswith("3"), budget, rescale)
    with random_state_kept():
        builder.add_all(nest)
    if rescale and builder.rescaled != 1:
        raise UnsupportedModel(
            f"has {builder.rescaled} Lambda layers that are not recognised, expected 1 for "
            "--rescale"
        )

    # the network with its weights; a pilot of donkeycar may answer more numbers than the steering
    outputs_if_pilot = _OUTPUTS_OF_PILOTS.get(leaves[-1].name, 1)
    pilot = pilot_of(nest.nodes[0].name, outputs_if_pilot)
    if pilot:
        most_outputs = max(most_outputs, outputs_if_pilot)
    model = builder.finish(nest.name, most_outputs)
    _assign_weights(nest, builder.rebuilt, stored.weights)
    if pilot and model.output_shape[-1] > 1:
        model = _steering_alone(model)

    notes = list(builder.notes)
    if nest.left_out:
        left_out = ", ".join(leaf.name for leaf in nest.left_out)
        taken = f"output {shown(leaves[-1].name)} is taken as the steering"
        notes.append(f"its {taken}; left out: {left_out[:100]}")
        if not pilot:
            note(f"the model's {taken}, and {left_out[:100]} left out; check that it is")
    return RebuiltModel(
        model=model,
        keras_version=stored.texts.get("keras_version", "unknown"),
        backend=stored.texts.get("backend", "tensorflow (not stated)"),
        layers=[
            {"name": leaf.name, "kind": leaf.kind, "now": type(builder.rebuilt[leaf]).__name__}
            for leaf in leaves
        ],
        notes=tuple(notes),
        pilot=pilot,
    )


# ---- pilots of donkeycar

# name of a pilot's output -> how many numbers it has, if they are not the steering alone: the
# probabilities of the bins, or 2, the steering and the throttle
_OUTPUTS_OF_PILOTS = {"angle_out": BINS, "angle": BINS, "model_outputs": 2, "outputs": 2}


def _steering_alone(model: keras.Model) -> keras.Model:
    """Return a pilot of bins, or of steering and throttle, with a layer for the steering alone."""
    last = model.layers[-1]
    steering = keras.layers.Dense(1, use_bias=False, name="steering")
    # the input stands in front, because the layers of a Sequential do not contain it
    pilot = keras.Sequential([model.inputs[0], *model.layers, steering], name=model.name)
    if last.units > 2:
        # the steering of the most probable bin: a softmax of numbers times a large factor gives 1
        # for the largest number and 0 for the others, as argmax would; the added layer then weighs
        # each bin by its steering
        factor = 1 << 20
        last.set_weights([array * factor for array in last.get_weights()])
        steering.set_weights([np.linspace(-1.0, 1.0, last.units)[:, np.newaxis]])
    else:
        first_column = np.array([[1.0], [0.0]])
        steering.set_weights([first_column])
    return pilot


# ---- weights

_Layers = Mapping[Leaf, keras.Layer]  # stored layer -> its layer of today
_Arrays = Iterator[tuple[Leaf, Sequence[Float32Array]]]  # the arrays of each stored layer

# the folder of a model's layers in an archive of Keras 3, and of TensorFlow 2.12 to 2.15
_FOLDERS = ("layers", "_layer_checkpoint_dependencies")


def _assign_weights(model: Nest, layers: _Layers, weights: Weights) -> None:
    """Give each layer its arrays.

    Raises UnsupportedModel if an array has another shape, is missing, or is left over.
    """
    if _folder_of_layers("", weights):  # an archive; "" is the whole model
        by_layer = _by_folder(model, "", layers, weights)
    else:
        by_layer = _by_name(model, layers, weights)
    used: set[int] = set()
    for leaf, arrays in by_layer:
        used.update(id(array) for array in arrays)
        if leaf not in layers:  # layers that lead to another output were not rebuilt
            continue
        layer = layers[leaf]
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

    # an array that no layer took tells that the rebuilt network lacks a layer
    for folder, arrays in weights.items():
        if any(id(array) not in used for array in arrays):
            raise UnsupportedModel(
                f"holds weights of {shown(folder)}, for which its network has no layer"
            )


def _by_name(nest: Nest, layers: _Layers, weights: Weights) -> _Arrays:
    """Yield the arrays of each layer of a .h5 file, by the names of layers.

    The arrays of a model within the model may be stored together, under that model's name. Keras 1
    does not state that name in the configuration, but has the layers in their order.
    """
    is_in_order = len(weights) == len(nest.nodes)
    for place, node in enumerate(nest.nodes):
        if isinstance(node, Leaf):
            yield node, weights.get(node.name, [])
            continue
        name = node.name
        if not name and is_in_order:
            name = [*weights][place]
        together = weights.get(name, [])
        if not together and not node.is_over_time:
            yield from _by_name(node, layers, weights)
            continue

        # the file has the trainable weights of all these layers first, and then their other weights
        remaining = iter(together)
        divided: dict[Leaf, list[Float32Array]] = {leaf: [] for leaf in node.leaves()}
        for leaf, arrays in divided.items():
            arrays += itertools.islice(remaining, len(layers[leaf].trainable_weights))
        for leaf, arrays in divided.items():
            arrays += itertools.islice(remaining, len(layers[leaf].non_trainable_weights))
        yield from divided.items()


def _by_folder(nest: Nest, prefix: str, layers: _Layers, weights: Weights) -> _Arrays:
    """Yield the arrays of each layer of an archive, whose folders are called by class and number.

    prefix: what the folders of this model begin with; "" for the whole model
    """
    start = _folder_of_layers(prefix, weights)
    folders = {
        folder.removeprefix(start).partition("/")[0]
        for folder in weights
        if start and folder.startswith(start)
    }
    counts: dict[str, int] = {}  # class -> how many of its layers with weights came so far
    for node in nest.nodes:
        leaves = node.leaves() if isinstance(node, Nest) else [node]
        has_weights = any(leaf in layers and layers[leaf].weights for leaf in leaves)
        is_left_out = isinstance(node, Leaf) and node in nest.left_out
        if not has_weights and not is_left_out:
            continue

        # the third Conv2D with weights has the third of the folders conv2d, conv2d_1, conv2d_2
        kind = _folder_name(node.kind)
        of_kind = [name for name in folders if re.fullmatch(re.escape(kind) + r"(_\d+)?", name)]
        of_kind.sort(key=lambda name: (len(name), name))
        place = counts.get(kind, 0)
        counts[kind] = place + 1
        if is_left_out and not of_kind:  # a layer of this class has no weights
            continue
        if place >= len(of_kind):
            raise UnsupportedModel(f"has no weights of {shown(node.name)} ({node.kind[:40]})")
        folder = start + of_kind[place]
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


def _folder_name(kind: str) -> str:
    """Return what Keras calls a class: batch_normalization, p_re_lu, conv2d."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
