"""Reuse the memory of batches as soon as no array or tensor refers to it."""

import math
import weakref
from collections import deque
from collections.abc import Callable

import numpy as np

from bcclone.images import Image

PAGE = 4096


def lend(memory: memoryview, shape: tuple[int, ...], give_back: Callable[[], object]) -> Image:
    """Return an array in `memory`, uint8 (*shape,).

    `give_back` is called when the array, its views and the tensors made from it are gone; TensorFlow uses an aligned
    array without copying it.
    """
    owner = np.frombuffer(memory, np.uint8, math.prod(shape))  # every array made from it keeps it alive
    weakref.finalize(owner, give_back).atexit = False
    return owner.reshape(shape)


def to_middle_of_page(memory: memoryview) -> int:
    """Return the number of bytes to the first middle of a page, where a batch should begin.

    In a memory map frames begin at page boundaries. When the copy begins a few bytes into its page, as memory from the
    system does, the processor assumes that loads depend on the stores just before, and copying is a third slower.
    """
    address = np.frombuffer(memory, np.uint8).ctypes.data
    return int((PAGE // 2 - address) % PAGE)


class Buffers:
    """A pool of buffers; more than `kept` exist only while all of them are in use.

    The system would zero new memory for each batch page by page, which takes as long as the copy.
    """

    def __init__(self, batch_size: int, shape: tuple[int, ...], kept: int) -> None:
        self._shape, self._size = shape, batch_size * math.prod(shape)
        self._free: deque[memoryview] = deque(maxlen=kept)

    def take(self, count: int) -> Image:
        """Return an uninitialised array for `count` samples, uint8 (count, *shape)."""
        try:
            memory = self._free.pop()
        except IndexError:
            memory = np.empty(self._size + PAGE, np.uint8).data
            memory = memory[to_middle_of_page(memory) :]
        return lend(memory, (count, *self._shape), lambda: self._free.append(memory))
