"""Image files -> frames, on all cores, in order, with little memory."""

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from bcclone.images import BadImage, Image, Preprocessing, decode_jpeg

_FILES_PER_TASK = 32

Decoded = tuple[Image, Mapping[int, str]]


def decode_files(files: Sequence[str], preprocessing: Preprocessing, threads: int = 0) -> Iterator[Decoded]:
    """Yield the files' frames some at a time, in the order of `files`.

    Each step gives the whole frames, uint8 (count, height, width, 3), and the faults: place within the step
    -> reason. Threads are enough: reading, decoding and resizing all let go of the interpreter lock. At most
    two tasks a thread are under way, which bounds the memory. threads: 0 for one a core.
    """
    threads = threads or os.cpu_count() or 1
    cv2.setNumThreads(1)  # the cores are busy with whole images
    pending: deque[Future[Decoded]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for start in range(0, len(files), _FILES_PER_TASK):
                pending.append(pool.submit(_decode, files[start : start + _FILES_PER_TASK], preprocessing))
                if len(pending) > 2 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def read_frame(path: str) -> Image:
    """Return the frame in a JPEG file, RGB uint8 (160, 320, 3); raises BadImage."""
    try:
        return decode_jpeg(Path(path).read_bytes())
    except OSError as error:
        raise BadImage(f"cannot be read: {error.strerror}") from None


def _decode(files: Sequence[str], preprocessing: Preprocessing) -> Decoded:
    frames = np.empty((len(files), preprocessing.height, preprocessing.width, 3), np.uint8)
    faults: dict[int, str] = {}
    count = 0
    for place, path in enumerate(files):
        try:
            frames[count] = preprocessing.apply(read_frame(path))
            count += 1
        except BadImage as error:
            faults[place] = str(error)
    return frames[:count], faults
