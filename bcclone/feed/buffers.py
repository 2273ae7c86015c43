"""Room for batches that is used again as soon as nobody holds what lies in it."""

import math
import weakref
from collections import deque
from collections.abc import Callable

import numpy as np

from bcclone.images import Image

PAGE = 4096


def lend(memory: memoryview, shape: tuple[int, ...], give_back: Callable[[], object]) -> Image:
    """Return an array in `memory`, uint8 (*shape,).

    `give_back` is called when it, its views and tensors made of it are gone. TensorFlow takes over an aligned array
    without copying it, so nobody can say earlier that it is done with.
    """
    owner = np.frombuffer(memory, np.uint8, math.prod(shape))  # which every array made from it keeps alive
    weakref.finalize(owner, give_back).atexit = False
    return owner.reshape(shape)


def to_middle_of_page(memory: memoryview) -> int:
    """Return how many bytes it is to the first middle of a page, where a batch should begin.

    Frames begin at pages in a memory map. Where the copy is some bytes further within its page, as memory from the
    system is, the processor takes each load to depend on the stores just before, and the copy is a third slower.
    """
    address = np.frombuffer(memory, np.uint8).ctypes.data
    return int((PAGE // 2 - address) % PAGE)


class Buffers:
    """Buffers in this process's memory; more than `kept` are made only while all of them are in use.

    New memory for each batch would have to be zeroed by the system page by page, which takes as long as the copy.
    """

    def __init__(self, batch_size: int, shape: tuple[int, ...], kept: int) -> None:
        self._shape, self._size = shape, batch_size * math.prod(shape)
        self._free: deque[memoryview] = deque(maxlen=kept)

    def take(self, count: int) -> Image:
        """Return room for `count` samples, uint8 (count, *shape), of any content."""
        try:
            memory = self._free.pop()
        except IndexError:
            memory = np.empty(self._size + PAGE, np.uint8).data
            memory = memory[to_middle_of_page(memory) :]
        return lend(memory, (count, *self._shape), lambda: self._free.append(memory))
