"""Write a store: the frames of image files one after the other, then the tables.

In: rows and the image files that they name, or frames and tables. Out: a complete HDF5 file, or an
error before the work begins.
"""

import errno
import hashlib
import itertools
import json
import math
import os
import shutil
import threading
import zlib
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from typing import Self

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from bcclone.camera.images import (
    FRAME_HEIGHT,
    FRAME_WIDTH,
    BadImage,
    Image,
    opencv_on_one_thread,
    read_frame,
)
from bcclone.dataset.labels import RowTable
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import (
    FRAME_COLUMNS,
    NO_FRAME,
    SAMPLE,
    SampleTable,
    join_rows,
    row_table,
    sample_chunks,
)
from bcclone.dataset.store import SCHEMA_VERSION, RecordingInfo, Store
from bcclone.system.arrays import IndexArray
from bcclone.system.errors import UserError
from bcclone.system.hardware import usable_cores
from bcclone.system.hdf5_file import open_hdf5
from bcclone.system.location import names_url, read_urls
from bcclone.system.prefetch import prefetch_ordered

_SAMPLES_PER_CHUNK = 1 << 12
_BYTES_AT_ONCE = 1 << 24  # of frames that are copied from another file


def content_hash(preprocessing: Preprocessing, checksums: npt.ArrayLike) -> "hashlib._Hash":
    """Return the hash of a store's preprocessing and frames.

    To complete it, the caller adds the bytes of the rows, and then those of the samples.

    checksums: CRC-32 of each frame, (frames,)
    """
    frames = hashlib.sha256(np.asarray(checksums, "<u4").tobytes())
    return hashlib.sha256(f"{preprocessing.digest} {frames.hexdigest()}".encode())


class StoreWriter:
    """Writes a store to `path`: first the frames one after the other, then the tables.

    Where its `with` block begins, space for `capacity` frames and `table_bytes` of tables is
    reserved on disk, so that a full disk raises an OSError before the work, and not an error of
    HDF5 when it closes the file. The frames do not pass through HDF5, which would keep them in
    memory. `path` should be a temporary name (bcclone.system.files).
    """

    _offset: int  # byte at which the first frame begins
    _file: FileIO

    def __init__(
        self, path: Path, preprocessing: Preprocessing, capacity: int, table_bytes: int = 0
    ) -> None:
        self.path = path
        self.preprocessing = preprocessing
        self.capacity = capacity
        self.count = 0  # number of frames written
        self.checksums = array("I")  # CRC-32 of each frame
        self._frame_bytes = math.prod(preprocessing.shape)
        self._table_bytes = table_bytes
        self._opened = ExitStack()  # closing it closes the file

    def __enter__(self) -> Self:
        # HDF5's own structures, and an incomplete chunk of samples
        overhead = (1 << 18) + _SAMPLES_PER_CHUNK * SAMPLE.itemsize
        size = self.capacity * self._frame_bytes + self._table_bytes + overhead
        _check_free_space(self.path, size)
        # space is reserved before HDF5 writes, which reports a full disk in its own way; and once
        # more afterwards, since HDF5 truncates the file
        _reserve(self.path, size)
        self._offset = _lay_out(self.path, self.preprocessing, self.capacity)
        _reserve(self.path, size)

        with ExitStack() as opened:
            self._file = opened.enter_context(self.path.open("r+b", buffering=0))
            self._file.seek(self._offset)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def append(self, frames: Image, checksums: Sequence[int] | None = None) -> None:
        """Append frames, uint8 (count, height, width, channels).

        checksums: zlib.crc32 of each frame, computed here if not given
        """
        frames = np.ascontiguousarray(frames)
        if checksums is None:
            checksums = [zlib.crc32(frame.data) for frame in frames]
        self.checksums.extend(checksums)
        data = frames.reshape(-1).data
        while data:  # write() may write only a part, such as on a nearly full disk
            count = self._file.write(data)
            data = data[count:]
        self.count += len(frames)

    def append_from(self, store: Store) -> None:
        """Append all frames of a store of the same preprocessing."""
        frames_at_once = max(1, _BYTES_AT_ONCE // self._frame_bytes)
        for start in range(0, len(store.frames), frames_at_once):
            self.append(store.frames[start : start + frames_at_once])

    def finish(
        self,
        samples: Iterable[SampleTable],
        rows: RowTable,
        recordings: Sequence[RecordingInfo],
        settings: SampleSettings,
    ) -> None:
        """Write the tables, which completes the store.

        samples: the sample table, in chunks
        recordings: the recordings that the rows come from
        settings: the settings that made the samples
        """
        if self.count < self.capacity:
            self._move_to_smaller_file()
        digest = content_hash(self.preprocessing, self.checksums)
        digest.update(rows.tobytes())
        with open_hdf5(self.path, "r+") as file:
            # the samples of a long recording do not fit into memory
            table = file.create_dataset(
                "samples", (0,), SAMPLE, maxshape=(None,), chunks=(_SAMPLES_PER_CHUNK,)
            )
            for chunk in samples:
                first = len(table)
                table.resize(first + len(chunk), axis=0)
                table[first:] = chunk
                digest.update(chunk.tobytes())
            file.create_dataset("rows", data=rows)
            # a dataset of texts, because an attribute is limited to 64 kB
            texts = [recording.to_json() for recording in recordings]
            file.create_dataset(
                "recordings", data=texts, dtype=h5py.string_dtype(), shape=(len(texts),)
            )
            file.attrs["sample_settings"] = json.dumps(asdict(settings))
            file.attrs["schema_version"] = SCHEMA_VERSION
            file.attrs["preprocessing"] = self.preprocessing.to_json()
            file.attrs["preprocessing_hash"] = self.preprocessing.digest
            file.attrs["content_hash"] = digest.hexdigest()

    def _move_to_smaller_file(self) -> None:
        """Copy the frames into a file with space only for those that were written.

        HDF5 cannot shrink a contiguous dataset.
        """
        self._opened.close()
        os.truncate(self.path, self._offset + self.count * self._frame_bytes)
        smaller = self.path.with_name(f"{self.path.stem}.fewer{self.path.suffix}")
        try:
            offset = _lay_out(smaller, self.preprocessing, self.count)
            with self.path.open("rb") as source, smaller.open("r+b") as target:
                source.seek(self._offset)
                target.seek(offset)
                shutil.copyfileobj(source, target, _BYTES_AT_ONCE)
            smaller.replace(self.path)
        finally:
            smaller.unlink(missing_ok=True)


def _check_free_space(path: Path, size: int) -> None:
    """Raise UserError if the disk has no space for a file of this size, in bytes."""
    free = shutil.disk_usage(path.absolute().parent).free
    if size > free:
        raise UserError(
            f"{path.parent}: the store needs {size / 1e6:.1f} MB "
            f"and {free / 1e6:.1f} MB are free; "
            "free some space, choose another folder, or a smaller --size"
        )


def _lay_out(path: Path, preprocessing: Preprocessing, capacity: int) -> int:
    """Make an HDF5 file with space for the frames; return at which byte the first frame begins."""
    shape = (capacity, *preprocessing.shape)
    page = 4096  # bytes; the frames begin at a page, to be mapped
    with open_hdf5(path, "w", alignment_threshold=page, alignment_interval=page) as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.CONTIGUOUS)
        # the place of the frames is known at once, and HDF5 writes nothing there
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        # no times: the same content gives the same bytes, whenever it is written
        properties.set_obj_track_times(False)
        space = h5py.h5s.create_simple(shape)
        dataset = h5py.h5d.create(file.id, b"frames", h5py.h5t.NATIVE_UINT8, space, properties)
        return dataset.get_offset() or 0  # None if there is no space for any frame


def _reserve(path: Path, size: int) -> None:
    """Make the file at least this large; HDF5 truncates unused space when it closes the file."""
    with path.open("ab") as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
                return
        except OSError as error:
            # from file systems that do not support it
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
        if file.tell() < size:
            file.truncate(size)


# ---- from image files


# of some consecutive files: the frames of the readable ones, uint8 (frames, height, width,
# channels); zlib.crc32 of each frame; and index among the files -> why it cannot be read
Decoded = tuple[Image, Sequence[int], Mapping[int, str]]


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
    threads = threads or usable_cores()
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
        return frames[: len(checksums)], checksums, errors

    tasks = (
        (files[start : start + files_per_task], next(buffers))
        for start in range(0, len(files), files_per_task)
    )
    # OpenCV needs no threads of its own, since each core already decodes other images
    with opencv_on_one_thread(), prefetch_ordered(decode, tasks, threads, tasks_ahead) as results:
        yield results


def write_store(
    path: Path,
    preprocessing: Preprocessing,
    settings: SampleSettings,
    rows: pd.DataFrame,
    files: Sequence[str],
    recordings: Sequence[RecordingInfo],
    context: int = 0,
    old: Store | None = None,
    on_progress: Callable[[int], None] = lambda count: None,
    threads: int = 0,
) -> tuple[dict[int, str], npt.NDArray[np.uint32]]:
    """Write rows of a plan and their frames as a store, after what the old store has, if any.

    Return the index of each unusable file with the reason, and the CRC-32 of each frame.

    rows: with the columns of plan.Plan.rows
    files: paths of images; the columns `frame_CAMERA` of the rows are indices into them
    recordings: of the rows
    context: number of the first rows that are not written, but whose frames some samples need
    on_progress: called with the number of files of each batch
    threads: number of threads that decode files, 0 for one for each core
    """
    capacity = len(files)
    table = row_table(rows[context:])
    old_row_count = 0
    old_samples = np.zeros(0, SAMPLE)
    if old:
        capacity += len(old.frames)
        old_row_count = len(old.rows)
        old_samples = old.samples
        table = join_rows([old.rows, table])
        recordings = (*old.recordings, *recordings)
    sample_bytes = old_samples.nbytes + _sample_bytes(rows, settings)
    table_bytes = table.nbytes + 8192 * len(recordings) + sample_bytes

    with StoreWriter(path, preprocessing, capacity, table_bytes) as writer:
        if old:
            writer.append_from(old)
        first_frame = writer.count
        unusable: dict[int, str] = {}
        first_file = 0
        with decode_files(files, preprocessing, threads) as parts:
            for frames, checksums, errors in parts:
                writer.append(frames, checksums)
                for index, reason in errors.items():
                    unusable[first_file + index] = reason
                file_count = len(frames) + len(errors)
                first_file += file_count
                on_progress(file_count)

        # from numbers of files to numbers of frames; a row without a file has NO_FRAME, -1, which
        # as an index takes the last element: NO_FRAME
        numbers = np.append(frame_numbers(len(files), unusable, first_frame), NO_FRAME)
        rows = rows.assign(**{name: numbers[rows[name].to_numpy()] for name in FRAME_COLUMNS})
        for name in FRAME_COLUMNS:
            table[name][old_row_count:] = rows[name][context:]
        new_samples = _samples_after(rows, context, old_row_count, settings)
        writer.finish(itertools.chain([old_samples], new_samples), table, recordings, settings)
        return unusable, np.array(writer.checksums, np.uint32)


def frame_numbers(files: int, unusable: Collection[int], first: int = 0) -> IndexArray:
    """Return the number that the frame of each image file has in a store, or NO_FRAME, (files,).

    files: number of the files
    unusable: indices of the files without a frame
    first: number of the first frame
    """
    is_usable = np.ones(files, np.bool_)
    is_usable[list(unusable)] = False
    return np.where(is_usable, first - 1 + np.cumsum(is_usable), NO_FRAME)


def _samples_after(
    rows: pd.DataFrame, context: int, first_row: int, settings: SampleSettings
) -> Iterator[SampleTable]:
    """Yield the samples of the rows after the context, whose numbers begin at `first_row`."""
    for chunk in sample_chunks(rows, settings):
        samples = chunk[chunk["row"] >= context]
        # two steps, since the column is unsigned and the difference of both may be negative
        samples["row"] -= context
        samples["row"] += first_row
        yield samples


def _sample_bytes(rows: pd.DataFrame, settings: SampleSettings) -> int:
    """Return the largest possible size of the samples of these rows."""
    copies = 0
    if "take_over" in rows:
        copies = int(rows["take_over"].sum()) * (settings.correction_weight - 1)
    samples = (len(rows) + copies) * len(settings.cameras) * (settings.frame_offsets + 1)
    if settings.flip:
        samples *= 2
    return samples * SAMPLE.itemsize
