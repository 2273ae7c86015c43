"""Put the layers of a Functional model in their order, from the input to the steering.

In: the configurations of its layers, each of which names the layers that it takes. Out: a `Graph`,
in which the operations between the layers, such as x / 255, have their arguments. Only a chain is
supported; layers that lead to other outputs are left out.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bcclone.dataset.answer import steering_output
from bcclone.model.foreign.calls import Call, Tensor, call_of
from bcclone.model.foreign.operations import operation_of
from bcclone.model.foreign.unsupported import CONVERT, UnsupportedModel, not_a_chain, several_inputs
from bcclone.model.layer_kinds import is_random
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
    chain_of_tensors = _chain_to(outputs[steering], named, model)
    chain = {tensor.layer: tensor.output for tensor in chain_of_tensors}
    unused = {name for name in named if name not in chain}
    if unused and len(outputs) == 1:
        raise branches(unused)

    # archives number the layers of a class in the order of the file. Keras stores a chain in the
    # order in which it runs; then the order of the file is kept, with the unused layers in between.
    stored_chain = [name for name in named if name in chain]
    names = [*named] if stored_chain == [*chain] else [*chain, *unused]
    layers = []
    for name in names:
        config = named[name]
        if name in chain:
            config = _as_called(config, chain[name])
        layers.append(config)
    guessed = "" if is_named else steering
    return Graph(layers, unused, guessed)


def _name(config: LayerConfig) -> str:
    return str(config.get("name") or config["config"]["name"])


def _ends(stored: Any) -> dict[str, Tensor]:
    """Return the tensors at a model's inputs or outputs, by the name of each end.

    An end that has no name of its own gets the name of its layer.

    stored: the input_layers or output_layers of a configuration: one end, a list of ends, or a dict
        of them by their names. An end is the name of its layer, a number, and which of the layer's
        outputs it is
    """
    if isinstance(stored, dict):
        return {str(name): _end(end) for name, end in stored.items()}
    is_single = stored and isinstance(stored[0], str)
    ends = [stored] if is_single else stored
    return {str(end[0]): _end(end) for end in ends}


def _end(stored: Sequence[Any]) -> Tensor:
    name, _, output = stored
    return Tensor(str(name), output)


def branches(into: Collection[str]) -> UnsupportedModel:
    """Return the error for a network that branches into the layers of these names."""
    return not_a_chain(f"the network branches into {shown(sorted(into))}")


def _chain_to(
    last: Tensor, named: Mapping[str, LayerConfig], model: Mapping[str, Any]
) -> list[Tensor]:
    """Return the outputs of the layers from the input to a layer; raises UnsupportedModel.

    last: output of the last layer
    named: the layers of the model by name
    model: as in layers_in_order()
    """
    chain = [last]
    while named[chain[0].layer]["class_name"] != "InputLayer":
        config = named[chain[0].layer]
        tensors = _call(config).tensors
        if len(tensors) > 1:
            inputs = _ends(model["input_layers"])
            if len(inputs) > 1:
                raise UnsupportedModel(several_inputs(inputs))
        if len(tensors) != 1 or len(chain) > len(named):  # a longer chain is a circle
            raise not_a_chain(f"{_shown(config)} takes {len(tensors)} inputs")
        chain.insert(0, tensors[0])
    return chain


# ---- calls


def _call(config: LayerConfig) -> Call:
    """Return the only call of a layer or an operation; raises UnsupportedModel with its name."""
    try:
        return call_of(config.get("inbound_nodes") or [])
    except UnsupportedModel as error:
        raise UnsupportedModel(f"{_shown(config)} {error}") from None


def _as_called(config: LayerConfig, output: int) -> LayerConfig:
    """Return the layer, with the key `operation` if it is an `Operation`.

    Raises UnsupportedModel if it is a layer that is called with anything else than a tensor.

    output: which of its outputs the next layer takes
    """
    call = _call(config)
    try:
        operation = operation_of(config, call, output)
    except UnsupportedModel as error:
        raise UnsupportedModel(f"{_shown(config)} {error}") from None
    if operation:
        return {**config, "operation": operation}
    # a random layer of Keras 2 may have `training`; it is left out
    if call.others and not is_random(config["class_name"]):
        raise UnsupportedModel(
            f"{_shown(config)} is called with {shown(call.others)}, which is not read; {CONVERT}"
        )
    if output:
        raise not_a_chain(f"{_shown(config)} has several outputs")
    return config


def _shown(config: LayerConfig) -> str:
    return f"layer {shown(_name(config))} ({str(config['class_name'])[:40]})"
