"""Image files -> frames, on all cores, in order, with little memory."""

import itertools
import os
import threading
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from bcclone.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, Image, Preprocessing, decode_jpeg

_FILES_PER_TASK = 32
_READ_BYTES = 1 << 16  # more than a frame of the simulator has, and little enough to be had at once


@dataclass(frozen=True)
class Decoded:
    """What some files gave. frames: the whole ones, uint8 (count, height, width, 3); faults: place -> reason.

    checksum: zlib.crc32 of the frames, taken of each while the processor still has it at hand.
    """

    frames: Image
    faults: Mapping[int, str]
    checksum: int


def decode_files(files: Sequence[str], preprocessing: Preprocessing, threads: int = 0) -> Iterator[Decoded]:
    """Yield the files' frames some at a time, in the order of `files`.

    They are good until the next step, which writes over them. Threads are enough: reading, decoding and resizing
    all let go of the interpreter lock. At most two tasks a thread are under way, which bounds the memory.
    threads: 0 for one a core.
    """
    threads = threads or os.cpu_count() or 1
    cv2.setNumThreads(1)  # the cores are busy with whole images
    pending: deque[Future[Decoded]] = deque()
    frame = (preprocessing.height, preprocessing.width, 3)
    # memory that is used again and again, since the system clears every page that it hands out
    batches = itertools.cycle(np.empty((2 * threads + 1, _FILES_PER_TASK, *frame), np.uint8))
    desk = threading.local()  # each thread's own frame to decode into
    pool = ThreadPoolExecutor(threads)
    try:
        for start in range(0, len(files), _FILES_PER_TASK):
            task = files[start : start + _FILES_PER_TASK]
            pending.append(pool.submit(_decode, task, preprocessing, next(batches), desk))
            if len(pending) > 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def read_file(path: str) -> bytes:
    """Return what a file holds; half as long as Python's own way takes, which counts with 300,000 of them."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        data = os.read(handle, _READ_BYTES)
        while part := os.read(handle, _READ_BYTES):  # a network's disk may give less than there is
            data += part
        return data
    finally:
        os.close(handle)


def read_frame(path: str, into: Image | None = None) -> Image:
    """Return the frame in a JPEG file, RGB uint8 (160, 320, 3), in `into` if that is given; raises BadImage."""
    try:
        return decode_jpeg(read_file(path), into=into)
    except OSError as error:
        raise BadImage(f"cannot be read: {error.strerror}") from None


def _decode(files: Sequence[str], preprocessing: Preprocessing, frames: Image, desk: threading.local) -> Decoded:
    if not hasattr(desk, "frame"):
        desk.frame = np.empty((FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8)
    faults: dict[int, str] = {}
    count = checksum = 0
    for place, path in enumerate(files):
        try:
            preprocessing.apply(read_frame(path, desk.frame), frames[count])
            checksum = zlib.crc32(frames[count], checksum)
            count += 1
        except BadImage as error:
            faults[place] = str(error)
    return Decoded(frames[:count], faults, checksum)
