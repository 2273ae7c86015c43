"""Copy frames from several memory maps into one array, compiled by Numba: NumPy would take a call for each frame."""

from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from bcclone.compiled import compiled


@intrinsic
def _copy_bytes(context: Any, target: Any, source: Any, count: Any) -> Any:
    """Copy `count` bytes between two addresses."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        to, start = (builder.inttoptr(address, pointer) for address in arguments[:2])
        cgutils.raw_memcpy(builder, to, start, arguments[2], 1)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.int64), generate


@compiled()
def _gather(origins: Any, indices: Any, target: int, size: int) -> None:
    for number in range(len(indices)):
        source = origins[number] + indices[number] * numba.uint64(size)
        _copy_bytes(numba.uint64(target + number * size), source, numba.int64(size))


def gather(origins: Any, indices: Any, into: Any) -> None:
    """Copy frames into the rows of `into`, uint8 (images, bytes of a frame), contiguous.

    origins: address of frame 0 for each image, uint64 (images,), from which frame `indices`, uint64 (images,), is
    counted.
    """
    _gather(origins, indices, into.ctypes.data, into.shape[1])
