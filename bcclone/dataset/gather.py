"""Copy frames from several memory maps into one array.

In: the addresses of the mapped files, and the indices of frames. Out: the bytes of these frames,
one frame after the other, uint8 (images, bytes of a frame).

Numba compiles the loop over the frames; NumPy would need a call for each frame.
"""

from typing import Any

# isort: off
# must be imported before numba: it keeps Numba from reading settings in the current folder
from bcclone.system.compiled import compiled

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

# isort: on


@intrinsic
def _copy_bytes(context: Any, target: Any, source: Any, count: Any) -> Any:
    """Copy `count` bytes between two addresses.

    Numba calls this with the types of the arguments, and gets the signature, and the function that
    generates the machine code.

    target, source: addresses, uint64
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        to = builder.inttoptr(arguments[0], pointer)
        start = builder.inttoptr(arguments[1], pointer)
        cgutils.raw_memcpy(builder, to, start, count=arguments[2], itemsize=1)
        return context.get_dummy_value()  # the copy returns nothing

    return types.void(types.uint64, types.uint64, types.int64), generate


@compiled(no_cpython_wrapper=False)  # Python calls it, and Numba cannot cache _copy_bytes()
def gather(origins: Any, ends: Any, indices: Any, begin: int, into: Any) -> int:
    """Copy frames, from indices[begin] on, into the rows of `into`.

    Return the place in `indices` of the first frame whose file is not mapped, where copying ends;
    or the number of all indices. Raises IndexError for a frame that no file holds.

    origins: address of each file's first frame, minus the bytes of all frames before it in the
        store; 0 if the file is not mapped, uint64 (files,)
    ends: index of the frame after each file's last, int64 (files,)
    indices: indices of frames in the store, integers (images,)
    into: uint8 (images, bytes of a frame), contiguous
    """
    size = into.shape[1]
    for place in range(begin, len(indices)):
        index = numba.int64(indices[place])
        file = np.searchsorted(ends, index, side="right")
        if index < 0 or file == len(ends):
            raise IndexError("a frame beyond the end of the store")
        if not origins[file]:
            return place
        source = origins[file] + numba.uint64(index * size)
        target = numba.uint64(into.ctypes.data + place * size)
        _copy_bytes(target, source, numba.int64(size))
    return len(indices)
