"""Decode image files into a store, and count the space that it needs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bcclone.dataset.decode import decode_files
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import NO_FRAME, SAMPLE
from bcclone.dataset.store_writer import StoreWriter
from bcclone.recording.row import CAMERAS
from bcclone.system.arrays import IndexArray

RECORDING_BYTES = 8192  # a long path and the other fields
_ROW_BYTES = 150  # the numbers of a row, and HDF5's own data for its further columns
_MOST_UTF8_BYTES = 4


@dataclass(frozen=True)
class StoredFiles:
    """Image files decoded into a store.

    frames: number of the frame of each file, (files,), NO_FRAME for an unusable one; unusable: index of a file -> the
    reason.
    """

    frames: IndexArray
    unusable: Mapping[int, str]


def store_files(
    files: Sequence[str],
    writer: StoreWriter,
    on_progress: Callable[[int], None] = lambda count: None,
    threads: int = 0,
) -> StoredFiles:
    """Decode image files, and append their frames to a store.

    on_progress: called with the size of each batch; threads: 0 for one per core.
    """
    frames, done = np.full(len(files), NO_FRAME, np.int64), 0
    unusable: dict[int, str] = {}
    for decoded in decode_files(files, writer.preprocessing, threads):
        size = len(decoded.frames) + len(decoded.errors)
        readable = [index for index in range(done, done + size) if index - done not in decoded.errors]
        frames[readable] = writer.count + np.arange(len(readable))
        writer.append(decoded.frames, decoded.checksums)
        unusable |= {done + index: reason for index, reason in decoded.errors.items()}
        done += size
        on_progress(size)
    return StoredFiles(frames, unusable)


def table_bytes(rows: pd.DataFrame, settings: SampleSettings) -> int:
    """Return the largest possible size of the tables of these rows, in bytes."""
    copies = int(rows["take_over"].sum()) * (settings.correction_weight - 1) if "take_over" in rows else 0
    samples = (len(rows) + copies) * len(settings.cameras) * (settings.frame_offsets + 1) * (1 + settings.flip)
    names = sum(int(rows[camera].str.len().max()) for camera in CAMERAS) * _MOST_UTF8_BYTES
    extras = int(rows["extras"].str.len().sum()) * _MOST_UTF8_BYTES
    return len(rows) * (_ROW_BYTES + names) + samples * SAMPLE.itemsize + extras
