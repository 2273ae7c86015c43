"""Time two conversions to compare with: only decoding and resizing, and the conversion of the source design."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import cv2
import h5py
import numpy as np
import simplejpeg

from bcclone.decode import read_file
from bcclone.errors import UserError
from bcclone.images import FRAME_HEIGHT, FRAME_WIDTH, Image

_SIDE = 128
_FILES_PER_TASK = 64
_PREVIOUS = 4


def time_decoding(files: Sequence[str], pool: Executor | None = None) -> float:
    """Return the seconds to decode and resize the files on all cores, and nothing else: the roofline.

    pool: of warm workers, one per core; threads if there is none. Raises UserError for a damaged image.
    """
    if pool is None:
        with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
            return time_decoding(files, threads)
    tasks = [files[start : start + _FILES_PER_TASK] for start in range(0, len(files), _FILES_PER_TASK)]
    begun = time.perf_counter()
    for _ in pool.map(_decode, tasks):
        pass
    return time.perf_counter() - begun


def _decode(files: Sequence[str]) -> None:
    cv2.setNumThreads(1)
    frame = np.empty((FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8)
    small = np.empty((_SIDE, _SIDE, 3), np.uint8)
    for path in files:
        try:
            simplejpeg.decode_jpeg(read_file(path), colorspace="RGB", buffer=frame)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"{path}: {reason}; measure with a recording without damaged images") from None
        cv2.resize(frame, (_SIDE, _SIDE), small, interpolation=cv2.INTER_LINEAR)


def time_source_conversion(rows: Sequence[Sequence[str]], store: Path, once: bool) -> float:
    """Return the seconds to write every sample of the rows as pixels, in one process and with OpenCV.

    rows: the files of each row's cameras. The samples are those of the default settings: the frames of each camera in
    this row and the rows before, and their mirror images. once: read each image once, instead of once per sample.
    """
    cv2.setNumThreads(-1)  # OpenCV's own choice
    read = lru_cache(len(rows[0]) * (_PREVIOUS + 1))(_read) if once else _read
    begun = time.perf_counter()
    with h5py.File(store, "w") as file:
        frame_rows = sum(min(number, _PREVIOUS + 1) for number in range(1, len(rows) + 1))
        size = frame_rows * len(rows[0]) * 2
        images = file.create_dataset("images", (size, _SIDE, _SIDE, 3), np.uint8)
        count = 0
        for last in range(1, len(rows) + 1):
            frames = [read(path) for row in rows[max(last - _PREVIOUS - 1, 0) : last] for path in row]
            samples = np.stack([*frames, *(cv2.flip(frame, 1) for frame in frames)])
            images[count : count + len(samples)] = samples
            count += len(samples)
    return time.perf_counter() - begun


def _read(path: str) -> Image:
    frame = cv2.imread(path)
    if frame is None:
        raise UserError(f"{path}: no image; measure with a recording without damaged images")
    return np.asarray(cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), (_SIDE, _SIDE)), np.uint8)
