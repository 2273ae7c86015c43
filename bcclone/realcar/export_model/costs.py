"""The content of a LiteRT file -> what running it costs, counted by its operations.

Importing this loads no TensorFlow; reading a file does.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# names of operations in LiteRT files; MULTIPLYING are those that multiply by weights
DENSE = "FULLY_CONNECTED"
_DEPTHWISE = "DEPTHWISE_CONV_2D"
_TRANSPOSED = "TRANSPOSE_CONV"
_PRODUCT = "BATCH_MATMUL"
MULTIPLYING = {"CONV_2D", _DEPTHWISE, _TRANSPOSED, DENSE, _PRODUCT}


@dataclass(frozen=True)
class Costs:
    """What one answer of a LiteRT file costs."""

    multiply_adds: int  # of convolutions, dense layers and products of matrices
    # how many numbers all other operations compute; --json has this name
    other_operations: int
    estimated_ms: Mapping[str, float]  # name of a board -> time of an answer, from these counts
    # the oldest TensorFlow Lite that can run the file, as the converter wrote into the file; "" if
    # it wrote none
    oldest_runtime: str


@dataclass(frozen=True)
class Operation:
    """One operation of a file."""

    name: str
    output: str  # name of what it computes
    numbers: int  # how many numbers it computes
    # numbers in the second input of an operation in MULTIPLYING, which is its weights, or the
    # second matrix of a product; 0 for other operations
    weights: int
    multiply_adds: int  # of an operation in MULTIPLYING; 0 for other operations


# operations that take no time: a view, and a conversion of weights, which is done once
_FREE = {"RESHAPE", "DEQUANTIZE"}
# board -> multiply-adds a second on one core: a quarter of what the authors of XNNPACK measured on
# all four cores (README of google/XNNPACK, 2020): 115 and 75 ms for the 569 million of MobileNet v1
_BOARDS = {"Raspberry Pi 3B+": 569e6 / 0.115 / 4, "Raspberry Pi 4": 569e6 / 0.075 / 4}
# one number of another operation takes as long as this many multiply-adds: 2.1 were measured on x86
# (benchmarks/lab-log/2026-11.md), here rounded up
_MULTIPLY_ADDS_PER_NUMBER = 3


def costs_of(content: bytes) -> Costs:
    """Return what an answer of a LiteRT file costs."""
    operations = list(operations_of(content))
    multiply_adds = sum(operation.multiply_adds for operation in operations)
    others = sum(
        operation.numbers for operation in operations if operation.name not in MULTIPLYING | _FREE
    )
    work = multiply_adds + _MULTIPLY_ADDS_PER_NUMBER * others
    return Costs(
        multiply_adds=multiply_adds,
        other_operations=others,
        estimated_ms={board: round(1000 * work / rate, 1) for board, rate in _BOARDS.items()},
        oldest_runtime=_oldest_runtime(content),
    )


def _oldest_runtime(content: bytes) -> str:
    """Return the version that the converter states in a file, "" if there is none."""
    _, model = _read(content)
    for entry in model.metadata or ():
        if entry.name == b"min_runtime_version":
            version = bytes(model.buffers[entry.buffer].data)
            return version.rstrip(b"\0").decode("ascii", "replace")
    return ""


def operations_of(content: bytes) -> Iterator[Operation]:
    """Yield the operations of a LiteRT file."""
    schema, model = _read(content)
    names = {
        number: name
        for name, number in vars(schema.BuiltinOperator).items()
        if not name.startswith("_")
    }
    for graph in model.subgraphs:
        for operator in graph.operators:
            # New files have the operation's number in builtinCode. In old files that is 0, and the
            # number is in the other field, which has one byte: in new files at most 127.
            code = model.operatorCodes[operator.opcodeIndex]
            name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            yield _operation(name, operator, graph.tensors)


def _operation(name: str, operator: Any, tensors: Sequence[Any]) -> Operation:
    """Return an operation of a file.

    operator: the operation in the file's format
    tensors: all tensors of the operation's graph
    """
    output = tensors[operator.outputs[0]]
    numbers = math.prod(_shape(output))
    weights = 0
    multiply_adds = 0
    if name in MULTIPLYING:
        shapes = [_shape(tensors[number]) for number in operator.inputs[:3]]
        weights = math.prod(shapes[1])
        multiply_adds = _multiply_adds(name, numbers, shapes, operator.builtinOptions)
    return Operation(name, output.name.decode(), numbers, weights, multiply_adds)


def _shape(tensor: Any) -> list[int]:
    return [int(size) for size in tensor.shape]


def _multiply_adds(name: str, numbers: int, shapes: Sequence[Sequence[int]], options: Any) -> int:
    """Return the multiply-adds of an operation.

    numbers: how many numbers it computes
    shapes: shapes of its first three inputs:
        TRANSPOSE_CONV: a vector that holds the output's size, the weights, the image
        BATCH_MATMUL, which has only two: the first matrix, the second matrix
        others: the image, the weights, the bias
    options: its options in the file's format
    """
    if name == _PRODUCT:
        axis = -1
        if options.adjX:  # the first matrix is transposed
            axis = -2
        return numbers * shapes[0][axis]
    weights = shapes[1]
    if name == _TRANSPOSED:
        # each number of the image is multiplied, whatever the stride
        # weights: (out, height, width, in)
        image = shapes[2]
        return math.prod(image) * math.prod(weights[:3])
    if name == _DEPTHWISE:
        # weights: (1, height, width, out)
        return numbers * math.prod(weights[1:3])
    # weights of a convolution: (out, height, width, in); of a dense layer: (out, in)
    return numbers * math.prod(weights[1:])


def _read(content: bytes) -> tuple[Any, Any]:
    """Return TensorFlow's module of the LiteRT format, and the file's content as its objects."""
    from tensorflow.lite.python import schema_py_generated as schema

    return schema, schema.ModelT.InitFromPackedBuf(content, 0)
