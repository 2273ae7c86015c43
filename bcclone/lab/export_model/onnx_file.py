"""Write a model, with the preparation of its frames, as an ONNX file.

The graph is built from the layers with the package onnx: Keras's own export needs tf2onnx, and knows nothing of the
preparation (docs/explanation/dependencies.md).
"""

import itertools
import json
from typing import Any

import keras
import numpy as np
from keras import layers

from bcclone.lab.export_model.onnx_cells import RECURRENT, add_cell
from bcclone.lab.export_model.onnx_frames import prepare_frames
from bcclone.lab.export_model.onnx_graph import Graph, Value
from bcclone.lab.export_model.onnx_layers import add_layer, refusal
from bcclone.model.model_file import ModelFile
from bcclone.model.onnx_model import FRAME, SEQ_LENGTH, STEERING, Signature

_DESCRIPTION = f"{FRAME}: camera frames, RGB; {STEERING}: -1 (left) to 1 (right)"
# layers that compute the same for a frame as for each frame of a window
_FRAME_BY_FRAME = (
    layers.InputLayer, layers.Dense, layers.Dropout, layers.GaussianDropout, layers.AlphaDropout,
    layers.GaussianNoise, layers.Rescaling, layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU,
    layers.Lambda,
)  # fmt: skip


def onnx_content(file: ModelFile, signature: Signature) -> bytes:
    """Return the content of the ONNX file of a model; raises UserError for layers that are not supported."""
    graph = Graph()
    for name, shape in signature.inputs.items():
        graph.add_input(name, shape, is_frame=name == FRAME)
    add_network = _add_steps if signature.state_sizes else _add_windows
    for name, value in zip(signature.outputs, add_network(graph, file, signature), strict=True):
        graph.add_output(name, value)
    return graph.content(_metadata(file, signature))


def _metadata(file: ModelFile, signature: Signature) -> dict[str, str]:
    training = {key: value for key, value in vars(file.training).items() if value}
    return {
        "bcclone_preprocessing": file.preprocessing.to_json(),
        "bcclone_training": json.dumps(training),
        SEQ_LENGTH: str(signature.seq_length),
        "description": f"{_DESCRIPTION}; {file.preprocessing.describe()}",
    }


def _add_windows(graph: Graph, file: ModelFile, signature: Signature) -> list[Value]:
    """Add a network of single frames, or of windows whose frames are prepared one by one."""
    frames: str = FRAME
    if signature.seq_length > 1:
        frames = graph.add("Reshape", FRAME, graph.constant(np.array([-1, *signature.frame, 3], np.int64)))
    value = prepare_frames(graph, frames, file.preprocessing)
    if signature.seq_length > 1:
        shape = (signature.seq_length, *value.shape)
        value = Value(graph.add("Reshape", value.name, graph.constant(np.array([-1, *shape], np.int64))), shape)
    for layer in file.model.layers:
        value = add_layer(graph, layer, value)
    return [graph.with_channels_last(value)]


def _add_steps(graph: Graph, file: ModelFile, signature: Signature) -> list[Value]:
    """Add one step of a recurrent network, as bcclone.model.recurrent takes it."""
    value = prepare_frames(graph, FRAME, file.preprocessing)
    names = iter([name for name in signature.inputs if name != FRAME])
    after: list[Value] = []
    for layer in file.model.layers:
        if isinstance(layer, RECURRENT):
            flat = graph.with_channels_last(value)
            new = add_cell(graph, layer, flat, list(itertools.islice(names, _count_of_states(layer))))
            value = new[0]
            after += new
        elif len(after) == len(signature.state_sizes):
            value = add_layer(graph, layer, value)
        else:
            value = _add_for_each_frame(graph, layer, value)
    return [graph.with_channels_last(value), *after]


def _count_of_states(layer: Any) -> int:
    return 2 if isinstance(layer, layers.LSTM) else 1


def _add_for_each_frame(graph: Graph, layer: keras.Layer, value: Value) -> Value:
    if isinstance(layer, layers.TimeDistributed):
        return add_layer(graph, layer.layer, value)
    if type(layer) not in _FRAME_BY_FRAME:
        raise refusal(layer, "before a recurrent layer, this type cannot be written as ONNX")
    return add_layer(graph, layer, value)
