"""Decode image files on all cores: paths -> prepared frames, in order."""

import itertools
import os
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from bcclone.camera.images import (
    FRAME_HEIGHT,
    FRAME_WIDTH,
    BadImage,
    Image,
    opencv_on_one_thread,
    read_frame,
)
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.system.location import names_url, read_urls
from bcclone.system.pool import prefetch_ordered


@dataclass(frozen=True)
class Decoded:
    """The result for some consecutive files."""

    frames: Image  # frames of the readable files, uint8 (frames, height, width, channels)
    checksums: Sequence[int]  # zlib.crc32 of each frame
    errors: Mapping[int, str]  # index among the files -> reason


@contextmanager
def decode_files(
    files: Sequence[str], preprocessing: Preprocessing, threads: int = 0
) -> Iterator[Iterator[Decoded]]:
    """Yield an iterator of the prepared frames of the files in order, a few files at a time.

    The frames are valid until the next result, which reuses their memory. The threads end with the
    block.

    threads: number of threads, 0 for one for each core. Processes are not needed, since reading,
        decoding and resizing release the interpreter lock.
    """
    threads = threads or os.cpu_count() or 1
    # the caller writes the frames of a few files while they are in the processor's cache; but files
    # at URLs are read together, which takes as long as one of them
    files_per_task = 32 if any(map(names_url, files)) else 8
    tasks_ahead = 4 * threads
    scratch = threading.local()  # each thread decodes into its own camera frame
    # buffers are reused, because the system would clear every new page; one more than the tasks
    # ahead, for the result that the caller uses
    buffers = itertools.cycle(
        np.empty((tasks_ahead + 1, files_per_task, *preprocessing.shape), np.uint8)
    )

    def decode(task: tuple[Sequence[str], Image]) -> Decoded:
        if not hasattr(scratch, "frame"):
            scratch.frame = np.empty((FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8)
        files, frames = task
        checksums: list[int] = []
        errors: dict[int, str] = {}
        # the files of a recording are all at a URL, or none is
        contents = read_urls(files) if names_url(files[0]) else [None] * len(files)
        for index, (path, content) in enumerate(zip(files, contents, strict=True)):
            try:
                frame = frames[len(checksums)]
                preprocessing.apply(read_frame(path, scratch.frame, content), frame)
                # the frame is still in the processor's cache
                checksums.append(zlib.crc32(frame.data))
            except BadImage as error:
                errors[index] = str(error)
        return Decoded(frames[: len(checksums)], checksums, errors)

    tasks = (
        (files[start : start + files_per_task], next(buffers))
        for start in range(0, len(files), files_per_task)
    )
    # OpenCV needs no threads of its own, since each core already decodes other images
    with opencv_on_one_thread(), prefetch_ordered(decode, tasks, threads, tasks_ahead) as results:
        yield results
