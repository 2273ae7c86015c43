"""What running a LiteRT file costs, by its operations; TensorFlow is loaded only when a file is
read.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DENSE, _DEPTHWISE = "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"
_TRANSPOSED, _PRODUCT = "TRANSPOSE_CONV", "BATCH_MATMUL"
MULTIPLYING = {"CONV_2D", _DEPTHWISE, _TRANSPOSED, DENSE, _PRODUCT}
_FREE = {"RESHAPE", "DEQUANTIZE"}  # a view, and a conversion of weights, which is done once
# multiply-adds a second on one core: a quarter of what the authors of XNNPACK measured on all four
# (README of google/XNNPACK, 2020), MobileNet v1 with its 569 million in 115 and 75 ms
_BOARDS = {"Raspberry Pi 3B+": 569e6 / 0.115 / 4, "Raspberry Pi 4": 569e6 / 0.075 / 4}
# one other operation takes as long as so many multiply-adds; 2.1 on x86, rounded up
# (benchmarks/lab-log/2026-11.md)
_OTHER_OPERATION = 3


@dataclass(frozen=True)
class Costs:
    """What one answer of a LiteRT file costs.

    multiply_adds: of convolutions, dense layers and products of matrices; other_operations: numbers
    that all other operations compute; estimated_ms: the time of an answer by the name of a board,
    estimated from these counts; oldest_runtime: the first TensorFlow Lite that has the operations
    of the file in these versions, as its converter states, "" if it does not.
    """

    multiply_adds: int
    other_operations: int
    estimated_ms: Mapping[str, float]
    oldest_runtime: str


@dataclass(frozen=True)
class Operation:
    """One operation of a file.

    output: name of what it computes; numbers: how many these are; weights: of a convolution, a
    dense layer or a product of matrices, whose second one these are, and multiply_adds: of these,
    else 0.
    """

    name: str
    output: str
    numbers: int
    weights: int
    multiply_adds: int


def costs_of(content: bytes) -> Costs:
    steps = list(steps_of_file(content))
    multiply_adds = sum(step.multiply_adds for step in steps)
    others = sum(step.numbers for step in steps if step.name not in MULTIPLYING | _FREE)
    work = multiply_adds + _OTHER_OPERATION * others
    _, model = _read(content)
    stated = {each.name: model.buffers[each.buffer].data for each in model.metadata or ()}
    return Costs(
        multiply_adds=multiply_adds,
        other_operations=others,
        estimated_ms={board: round(1000 * work / rate, 1) for board, rate in _BOARDS.items()},
        oldest_runtime=bytes(stated.get(b"min_runtime_version", ()))
        .rstrip(b"\0")
        .decode("ascii", "replace"),
    )


def steps_of_file(content: bytes) -> Iterator[Operation]:
    schema, model = _read(content)
    names = {
        number: name
        for name, number in vars(schema.BuiltinOperator).items()
        if not name.startswith("_")
    }
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            output = graph.tensors[operator.outputs[0]]
            numbers = math.prod(map(int, output.shape))
            weights = multiply_adds = 0
            if name in MULTIPLYING:
                shapes = [
                    [int(size) for size in graph.tensors[place].shape]
                    for place in operator.inputs[:3]
                ]
                weights = math.prod(shapes[1])
                multiply_adds = _multiply_adds(name, numbers, shapes, operator.builtinOptions)
            yield Operation(name, output.name.decode(), numbers, weights, multiply_adds)


def _multiply_adds(name: str, numbers: int, shapes: Sequence[Sequence[int]], options: Any) -> int:
    """Return the multiply-adds of an operation. numbers: that it computes; shapes: of its inputs,
    weights second.
    """
    if name == _PRODUCT:
        return numbers * shapes[0][-2 if options.adjX else -1]
    if (
        name == _TRANSPOSED
    ):  # each number of an input is multiplied, whatever the stride; weights: (out, h, w, in)
        return math.prod(shapes[2]) * math.prod(shapes[1][:3])
    return numbers * math.prod(shapes[1][1:3] if name == _DEPTHWISE else shapes[1][1:])


def _read(content: bytes) -> tuple[Any, Any]:
    """Return the module of the format, and the file's root."""
    from tensorflow.lite.python import schema_py_generated as schema

    return schema, schema.ModelT.InitFromPackedBuf(content, 0)
