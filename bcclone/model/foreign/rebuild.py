"""Rebuild a stored network layer by layer, and give it the weights of its file.

In: a `StoredModel`. Out: a `RebuiltModel` in TensorFlow's order: channels last, kernels not
mirrored.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from bcclone.dataset.preprocessing_text import Scaling
from bcclone.model.foreign.arguments import Dialect, Shape
from bcclone.model.foreign.backend_order import check_mirrored, has_channels_first, is_mirrored
from bcclone.model.foreign.layer_builder import LayerBuilder
from bcclone.model.foreign.stored import StoredModel
from bcclone.model.foreign.stored_weights import assign_weights
from bcclone.model.foreign.tree import Leaf, Nest, Size, read_tree
from bcclone.model.foreign.unstated import BINS, pilot_of
from bcclone.model.foreign.unsupported import UnsupportedModel
from bcclone.system.codec import parse_json
from bcclone.system.errors import shown


@dataclass(frozen=True)
class RebuiltLayer:
    """A layer of a rebuilt network."""

    name: str
    kind: str  # its class in the file
    now: str  # its class in the rebuilt network


@dataclass(frozen=True)
class RebuiltModel:
    """A rebuilt network, its origin, and its layers."""

    model: keras.Model
    keras_version: str  # the Keras that wrote the file
    backend: str  # the backend of that Keras
    layers: tuple[RebuiltLayer, ...]
    notes: tuple[str, ...]  # sentences: what was recognised, changed or left out
    pilot: str = ""  # class of donkeycar's pilots, from pilot_of(); "" for another network
    # the output taken as the steering although its name does not say so; "" if it is certain
    guessed: str = ""


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

    # the order of channels and kernels, in which backends differ
    channels_first = has_channels_first(leaves)
    mirrored = is_mirrored(stored)
    if mirrored:
        for leaf in leaves:
            check_mirrored(leaf)

    # the layers, without their weights
    builder = LayerBuilder(
        shape=_input_shape(shape, channels_first),
        dtype=dtype,
        dialect=Dialect(channels_first, stored.texts.get("keras_version", "1").startswith("3")),
        budget=_weights_at_most(stored),
        rescale=rescale,
    )
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
    assign_weights(nest, builder.rebuilt, stored, mirrored, channels_first)
    if pilot and model.output_shape[-1] > 1:
        model = _steering_alone(model)

    guessed = "" if pilot else nest.guessed
    return RebuiltModel(
        model=model,
        keras_version=stored.texts.get("keras_version", "unknown"),
        backend=_backend_of(stored, mirrored),
        layers=_rebuilt_layers(leaves, builder.rebuilt),
        notes=(*builder.notes, *_notes(nest, channels_first, mirrored)),
        pilot=pilot,
        guessed=guessed,
    )


def _input_shape(shape: tuple[int, ...], channels_first: bool) -> Shape:
    """Return the input's shape with the batch, channels last.

    shape: as the file has it, without the batch
    """
    if not channels_first:
        return (None, *shape)
    if len(shape) != 3:
        raise UnsupportedModel(
            f"its input has the shape {shape} with channels first, which is not supported"
        )
    channels, rows, columns = shape
    return (None, rows, columns, channels)


def _weights_at_most(stored: StoredModel) -> int:
    """Return how many weights the network may have: as many as its file, but at least 4 million."""
    surely_affordable = 1 << 22
    in_file = sum(array.values.size for arrays in stored.weights.values() for array in arrays)
    return max(surely_affordable, in_file)


def _backend_of(stored: StoredModel, mirrored: bool) -> str:
    if mirrored:
        return "theano"
    return stored.texts.get("backend", "tensorflow (not stated)")


def _notes(nest: Nest, channels_first: bool, mirrored: bool) -> Iterator[str]:
    """Yield what was changed in the whole network."""
    if nest.left_out:
        *_, last = nest.leaves()
        left_out = ", ".join(leaf.name for leaf in nest.left_out)
        yield f"its output {shown(last.name)} is taken as the steering; left out: {left_out[:100]}"
    if channels_first:
        yield "channels first: rebuilt with channels last"
    if mirrored:
        yield "trained with Theano: kernels rotated by 180 degrees"


def _rebuilt_layers(
    leaves: Sequence[Leaf], rebuilt: Mapping[Leaf, keras.Layer]
) -> tuple[RebuiltLayer, ...]:
    layers = []
    for leaf in leaves:
        kind = leaf.kind
        now = type(rebuilt[leaf]).__name__
        if leaf.over_time:
            kind = f"TimeDistributed({kind})"
            now = f"TimeDistributed({now})"
        layers.append(RebuiltLayer(leaf.name, kind, now))
    return tuple(layers)


# ---- pilots of donkeycar

# name of a pilot's output -> how many numbers it has, if they are not the steering alone: the
# probabilities of 15 bins of steering from -1 to 1, or 2, the steering and the throttle
_OUTPUTS_OF_PILOTS = {"angle_out": BINS, "angle": BINS, "model_outputs": 2, "outputs": 2}


def _steering_alone(model: keras.Model) -> keras.Model:
    """Return a pilot with a further layer, so that its output is the steering alone.

    model: a pilot whose output is bins of steering, or steering and throttle
    """
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
