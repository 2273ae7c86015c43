"""Put the layers of a Functional model in their order, from the input to the steering.

In: the configurations of its layers, each of which names the layers that it takes in its
`inbound_nodes`: lists in Keras 1 and 2, `__keras_tensor__` in Keras 3. Out: a `Graph`. Only a chain
of layers is supported; layers that lead to other outputs are left out.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bcclone.dataset.answer import steering_output
from bcclone.dataset.preprocessing_text import joined_scaling
from bcclone.model.foreign.unsupported import UnsupportedModel, several_inputs
from bcclone.system.errors import shown

LayerConfig = Mapping[str, Any]  # class_name, config, name, inbound_nodes


@dataclass(frozen=True)
class Graph:
    """The layers of a Functional model."""

    # all layers; those that lead to the steering stand in the order in which they run
    layers: Sequence[LayerConfig]
    unused: set[str]  # names of the layers that lead to other outputs
    # the output that is taken as the steering although its name does not say so; "" if it is sure
    guessed: str


def layers_in_order(configs: Sequence[LayerConfig], model: Mapping[str, Any]) -> Graph:
    """Return the layers of a model; raises UnsupportedModel when they are not a chain.

    configs: the model's layers, as stored
    model: the model's own configuration, with its input_layers and output_layers
    """
    named = {_name(config): config for config in configs}
    outputs = _ends(model["output_layers"])
    if not outputs:
        raise UnsupportedModel("has no output, expected 1")
    steering, is_named = steering_output(outputs)
    chain = _chain_to(outputs[steering], named, model)
    unused = {name for name in named if name not in chain}
    if unused and len(outputs) == 1:
        raise branches(unused)

    # archives number the layers of a class in the order of the file. Keras stores a chain in the
    # order in which it runs; then the order of the file is kept, with the unused layers in between.
    stored_chain = [name for name in named if name in chain]
    names = [*named] if stored_chain == chain else [*chain, *unused]
    layers = []
    for name in names:
        config = named[name]
        if name in chain:
            config = _with_arithmetic(config)
        layers.append(config)
    guessed = "" if is_named else steering
    return Graph(layers, unused, guessed)


def _name(config: LayerConfig) -> str:
    return str(config.get("name") or config["config"]["name"])


def _ends(stored: Any) -> dict[str, str]:
    """Return the names of the layers at a model's inputs or outputs, by the name of each end.

    An end that has no name of its own gets the name of its layer.

    stored: the input_layers or output_layers of a configuration: one end, a list of ends, or a dict
        of them by their names. An end is a list that begins with the name of its layer
    """
    if isinstance(stored, dict):
        return {str(name): str(end[0]) for name, end in stored.items()}
    is_single = stored and isinstance(stored[0], str)
    ends = [stored] if is_single else stored
    return {str(end[0]): str(end[0]) for end in ends}


def branches(into: Collection[str]) -> UnsupportedModel:
    """Return the error for a network that branches into the layers of these names."""
    return UnsupportedModel(
        f"the network branches into {shown(sorted(into))}; only chains of layers are supported"
    )


def _chain_to(last: str, named: Mapping[str, LayerConfig], model: Mapping[str, Any]) -> list[str]:
    """Return the names of the layers from the input to a layer; raises UnsupportedModel.

    last: name of the last layer
    named: the layers of the model by name
    model: as in layers_in_order()
    """
    chain = [last]
    while named[chain[0]]["class_name"] != "InputLayer":
        config = named[chain[0]]
        tensors = _call_of(config).tensors
        if len(tensors) > 1:
            inputs = _ends(model["input_layers"])
            if len(inputs) > 1:
                raise UnsupportedModel(several_inputs(inputs))
        if len(tensors) != 1 or len(chain) > len(named):  # a longer chain is a circle
            raise UnsupportedModel(
                f"layer {shown(chain[0])} ({str(config['class_name'])[:40]}) takes "
                f"{len(tensors)} inputs; only chains of layers are supported"
            )
        chain.insert(0, tensors[0])
    return chain


# ---- calls of layers


@dataclass(frozen=True)
class _Call:
    """What a layer is called with."""

    tensors: list[str] = field(default_factory=list)  # names of the layers whose outputs it takes
    numbers: list[Any] = field(default_factory=list)  # other arguments that change the result
    begins_with_tensor: bool = True  # False for a number before the tensor, as in 1 - x


def _call_of(config: LayerConfig) -> _Call:
    """Return the only call of a layer; an input layer has an empty one.

    Raises UnsupportedModel.
    """
    calls = config.get("inbound_nodes") or []
    if len(calls) > 1:
        raise UnsupportedModel(
            f"layer {shown(_name(config))} is used {len(calls)} times; only chains of layers are "
            "supported"
        )
    if not calls:
        return _Call()
    (stored,) = calls
    call = _call_of_keras_3(stored) if isinstance(stored, dict) else _call_of_keras_2(stored)
    if not call.begins_with_tensor:  # 1 - x is not x - 1
        raise UnsupportedModel(
            f"layer {shown(_name(config))} computes with a number before its input, which is not "
            "supported"
        )
    return call


def _call_of_keras_3(stored: Mapping[str, Any]) -> _Call:
    """Return a call {"args": [...], "kwargs": {...}}, in which a list may hold several tensors."""
    values: list[Any] = []
    for argument in stored["args"]:
        if isinstance(argument, list):
            values += argument
        else:
            values.append(argument)
    tensors = []
    numbers = []
    for value in values:
        if _is_tensor(value):
            tensors.append(str(value["config"]["keras_history"][0]))
        else:
            numbers.append(value)
    numbers += _numbers_in(stored.get("kwargs") or {})
    begins_with_tensor = not values or _is_tensor(values[0])
    return _Call(tensors, numbers, begins_with_tensor)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, dict) and "keras_history" in value["config"]


def _call_of_keras_2(stored: Sequence[Any]) -> _Call:
    """Return a call [name, number, number, keywords], or a list of such, one for each tensor."""
    is_single = stored and isinstance(stored[0], str)
    calls = [stored] if is_single else stored
    tensors = [str(call[0]) for call in calls]
    keywords: dict[str, Any] = {}
    for call in calls:
        if len(call) > 3:  # Keras 1 has no keywords
            keywords.update(call[3])
    # tf.keras writes this word for a number in the place of a layer's name
    begins_with_tensor = "_CONSTANT_VALUE" not in tensors
    return _Call(tensors, _numbers_in(keywords), begins_with_tensor)


def _numbers_in(keywords: Mapping[str, Any]) -> list[Any]:
    """Return the values of keywords, without those that do not change the result."""
    return [
        value
        for name, value in keywords.items()
        if value is not None and name != "name" and (name, value) != ("training", False)
    ]


# ---- arithmetic with a number

_OPERATIONS = {  # name of an operation in a file -> its sign
    # tf.keras
    "math.truediv": "/",
    "math.divide": "/",
    "math.multiply": "*",
    "math.subtract": "-",
    "math.add": "+",
    "__operators__.add": "+",
    # Keras 3
    "TrueDivide": "/",
    "Divide": "/",
    "Multiply": "*",
    "Subtract": "-",
    "Add": "+",
}


def _with_arithmetic(config: LayerConfig) -> LayerConfig:
    """Return the layer; a layer that computes with one number becomes a Rescaling."""
    numbers = _call_of(config).numbers
    kind = config["class_name"]
    if not numbers:
        return config
    try:
        (number,) = numbers
        operation = config["config"]["function"] if kind == "TFOpLambda" else kind
        # + 0.0 raises TypeError for what is no number, such as a text
        scaling = joined_scaling([(_OPERATIONS[operation], number + 0.0)])
    except (KeyError, ValueError, TypeError):
        raise UnsupportedModel(
            f"layer {shown(_name(config))} ({str(kind)[:40]}) is called with {shown(numbers)}, "
            "which is not supported"
        ) from None
    # tf.keras calls such a layer by its operation, such as tf.math.multiply; a Rescaling is called
    # as other layers are, without dots
    arguments = {"name": _name(config).replace(".", "_"), **vars(scaling)}
    return {"class_name": "Rescaling", "config": arguments}
