"""Image files -> prepared frames, decoded on all cores, in order."""

import itertools
import os
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bcclone.dataset.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, Image, read_frame
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.system.location import names_url, read_urls
from bcclone.system.opencv import cv2
from bcclone.system.prefetch import prefetch_ordered

_FILES_PER_TASK = 32


@dataclass(frozen=True)
class Decoded:
    """The result for some consecutive files.

    frames: those of the readable files, uint8 (frames, height, width, channels); checksums: zlib.crc32 of each frame;
    errors: index among the files -> reason.
    """

    frames: Image
    checksums: Sequence[int]
    errors: Mapping[int, str]


def decode_files(files: Sequence[str], preprocessing: Preprocessing, threads: int = 0) -> Iterator[Decoded]:
    """Yield the prepared frames of the files in order, a few files at a time.

    The frames are valid until the next result, which reuses their memory. Threads suffice, by default (0) one for each
    core: reading, decoding and resizing release the interpreter lock.
    """
    threads = threads or os.cpu_count() or 1
    ahead = 2 * threads
    cv2.setNumThreads(1)  # the cores decode different images
    scratch = threading.local()  # each thread decodes into its own camera frame
    # buffers are reused, because the system would clear every new page
    buffers = itertools.cycle(np.empty((ahead + 1, _FILES_PER_TASK, *preprocessing.shape), np.uint8))

    def decode(task: tuple[Sequence[str], Image]) -> Decoded:
        if not hasattr(scratch, "frame"):
            scratch.frame = np.empty((FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8)
        return _decode(*task, preprocessing, scratch.frame)

    tasks = ((files[start : start + _FILES_PER_TASK], next(buffers)) for start in range(0, len(files), _FILES_PER_TASK))
    with prefetch_ordered(decode, tasks, threads, ahead) as results:
        yield from results


def _decode(files: Sequence[str], frames: Image, preprocessing: Preprocessing, scratch: Image) -> Decoded:
    """Decode files into the first of the frames. scratch: memory for a camera frame."""
    checksums: list[int] = []
    errors: dict[int, str] = {}
    contents = read_urls(files) if files and names_url(files[0]) else [None] * len(files)
    for index, (path, content) in enumerate(zip(files, contents, strict=True)):
        try:
            frame = frames[len(checksums)]
            preprocessing.apply(read_frame(path, scratch, content), frame)
            checksums.append(zlib.crc32(frame.data))  # the frame is still in the processor's cache
        except BadImage as error:
            errors[index] = str(error)
    return Decoded(frames[: len(checksums)], checksums, errors)
