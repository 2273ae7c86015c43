"""Write a store: the frames of image files one after the other, then the tables.

In: a `StorePart` of a conversion plan, or frames and tables. Out: a complete HDF5 file, or an error
before the work begins.
"""

import errno
import hashlib
import json
import math
import os
import shutil
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from typing import Self

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from bcclone.camera.images import Image
from bcclone.dataset.conversion_plan import StorePart, frame_numbers
from bcclone.dataset.decoding import decode_files
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.rows import FRAME_COLUMNS, NO_FRAME, RowTable, join_rows, row_frame, row_table
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import SAMPLE, SampleTable, sample_chunks
from bcclone.dataset.store import SCHEMA_VERSION, RecordingInfo, Store
from bcclone.recording.row import CAMERAS
from bcclone.system.errors import UserError
from bcclone.system.files import EarlyFlush
from bcclone.system.numbers import IndexArray

_SAMPLES_PER_CHUNK = 1 << 12


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
    _flush: EarlyFlush

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
        size = self._file_bytes()
        _check_free_space(self.path, size)
        # space is reserved before HDF5 writes, which reports a full disk in its own way; and once
        # more afterwards, since HDF5 truncates the file
        _reserve(self.path, size)
        self._offset = _lay_out(self.path, self.preprocessing, self.capacity)
        _reserve(self.path, size)

        with ExitStack() as opened:
            self._file = opened.enter_context(self.path.open("r+b", buffering=0))
            self._file.seek(self._offset)
            self._flush = opened.enter_context(EarlyFlush(self._file))
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _file_bytes(self) -> int:
        """Return the largest possible size of the file."""
        # HDF5's own structures, and an incomplete chunk of samples
        overhead = (1 << 18) + _SAMPLES_PER_CHUNK * SAMPLE.itemsize
        return self.capacity * self._frame_bytes + self._table_bytes + overhead

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
            self._flush.wrote(count)
            data = data[count:]
        self.count += len(frames)

    def append_from(self, store: Store) -> None:
        """Append all frames of a store of the same preprocessing."""
        bytes_at_once = 1 << 24
        frames_at_once = max(1, bytes_at_once // self._frame_bytes)
        for file in store.frames.files:
            for block in file.read(self._frame_bytes, frames_at_once):
                frames = np.frombuffer(block, np.uint8)
                self.append(frames.reshape(-1, *store.frames.frame_shape))

    def finish(
        self,
        samples: Iterable[SampleTable],
        rows: RowTable,
        extras: Sequence[str],
        recordings: Sequence[RecordingInfo],
        settings: SampleSettings,
    ) -> None:
        """Write the tables, which completes the store.

        samples: the sample table, in chunks
        extras: text of the further columns of each row; or empty if no row has any
        recordings: the recordings that the rows come from
        settings: the settings that made the samples
        """
        # the frames reach the disk while the tables are made
        self._flush.start()
        if self.count < self.capacity:
            self._remove_unused_space()
        digest = content_hash(self.preprocessing, self.checksums)
        digest.update(rows.tobytes())
        with h5py.File(self.path, "r+") as file:
            # the samples of a long recording do not fit into memory
            table = file.create_dataset(
                "samples", (0,), SAMPLE, maxshape=(None,), chunks=(_SAMPLES_PER_CHUNK,)
            )
            for chunk in samples:
                _append(table, chunk)
                digest.update(chunk.tobytes())
            file.create_dataset("rows", data=rows)
            _create_texts(file, "extras", extras)
            _create_texts(file, "recordings", [recording.to_json() for recording in recordings])
            file.attrs["sample_settings"] = json.dumps(asdict(settings))
            file.attrs["schema_version"] = SCHEMA_VERSION
            file.attrs["preprocessing"] = self.preprocessing.to_json()
            file.attrs["preprocessing_hash"] = self.preprocessing.digest
            file.attrs["content_hash"] = digest.hexdigest()
        self._flush.wait()

    def _remove_unused_space(self) -> None:
        """Make the file one that has space only for the frames that were written.

        HDF5 cannot shrink a contiguous dataset. So it lays out another file, with space for fewer
        frames; what that file has before and behind its frames replaces the same bytes here. The
        frames keep their position, unless they fill less than a page, which HDF5 places elsewhere.
        """
        smaller = self.path.with_name(f"{self.path.stem}.fewer{self.path.suffix}")
        kept = self.count * self._frame_bytes
        try:
            offset = _lay_out(smaller, self.preprocessing, self.count)
            with smaller.open("rb") as source, self.path.open("r+b") as target:
                if offset != self._offset:
                    target.seek(self._offset)
                    frames = target.read(kept)
                    target.seek(offset)
                    target.write(frames)
                # the bytes before the frames
                target.seek(0)
                target.write(source.read(offset))
                # the bytes behind them
                source.seek(offset + kept)
                target.seek(offset + kept)
                target.write(source.read())
                target.truncate()
        finally:
            smaller.unlink(missing_ok=True)


def _append(table: h5py.Dataset, chunk: SampleTable) -> None:
    first = len(table)
    table.resize(first + len(chunk), axis=0)
    table[first:] = chunk


def _create_texts(file: h5py.File, name: str, texts: Sequence[str]) -> None:
    # datasets of variable-length strings, because attributes are limited to 64 kB
    file.create_dataset(name, data=list(texts), dtype=h5py.string_dtype(), shape=(len(texts),))


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
    with h5py.File(path, "w", alignment_threshold=page, alignment_interval=page) as file:
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


def write_store(
    path: Path,
    part: StorePart,
    old: Store | None = None,
    on_progress: Callable[[int], None] = lambda count: None,
    threads: int = 0,
) -> tuple[dict[int, str], npt.NDArray[np.uint32]]:
    """Write a part of a conversion as a store; what the old store has, if any, comes first.

    Return the index of each unusable file with the reason, and the CRC-32 of each frame.

    on_progress: called with the number of files of each batch
    threads: number of threads that decode files, 0 for one for each core
    """
    with _writer(path, part, old) as writer:
        if old:
            writer.append_from(old)
        first_frame = writer.count
        unusable = _write_frames(writer, part, threads, on_progress)
        numbers = frame_numbers(len(part.files), unusable, first_frame)
        rows = _with_frame_numbers(part.rows, numbers)

        samples = _samples(rows.drop(columns="extras"), part.context, old, part.samples)
        # the `context` rows before the part are not written; samples only need their frames
        table, extras = _row_tables(rows[part.context :], old)
        recordings = part.recordings
        if old:
            recordings = (*old.recordings, *recordings)
        writer.finish(samples, table, extras, recordings, part.samples)
        return unusable, np.array(writer.checksums, np.uint32)


def _writer(path: Path, part: StorePart, old: Store | None) -> StoreWriter:
    """Return a writer with space for a part, and for what the old store has, if any."""
    settings = part.samples
    capacity = len(part.files)
    table_bytes = _table_bytes(part.rows, part.recordings, settings)
    if old:
        capacity += len(old.frames)
        old_rows = row_frame(old.rows).assign(extras=old.extras or "")
        # the space for repeated samples is unknown, since stored rows lack `take_over`; that of all
        # old samples is enough
        table_bytes += _table_bytes(old_rows, old.recordings, settings) + old.samples.nbytes
    return StoreWriter(path, part.preprocessing, capacity, table_bytes)


def _write_frames(
    writer: StoreWriter, part: StorePart, threads: int, on_progress: Callable[[int], None]
) -> dict[int, str]:
    """Append the frames of the files; return the index of each unusable file with the reason."""
    unusable: dict[int, str] = {}
    first_file = 0
    with decode_files(part.files, part.preprocessing, threads) as parts:
        for decoded in parts:
            writer.append(decoded.frames, decoded.checksums)
            for index, reason in decoded.errors.items():
                unusable[first_file + index] = reason
            file_count = len(decoded.frames) + len(decoded.errors)
            first_file += file_count
            on_progress(file_count)
    return unusable


def _with_frame_numbers(rows: pd.DataFrame, numbers: IndexArray) -> pd.DataFrame:
    """Return the rows with numbers of frames instead of numbers of files.

    numbers: number of the frame of each file, (files,), as frame_numbers() returns it
    """
    # a row without a file has NO_FRAME, -1, which as an index takes the last element: NO_FRAME
    numbers_or_none = np.append(numbers, NO_FRAME)
    columns = {name: numbers_or_none[rows[name].to_numpy()] for name in FRAME_COLUMNS}
    return rows.assign(**columns)


def _row_tables(rows: pd.DataFrame, old: Store | None) -> tuple[RowTable, Sequence[str]]:
    """Return the table of the old store's rows and these rows, and the text of their extras.

    The extras are empty if no row has any.
    """
    table = row_table(rows)
    extras = rows["extras"].tolist()
    if old:
        table = join_rows([old.rows, table])
        extras = [*(old.extras or [""] * len(old.rows)), *extras]
    if not any(extras):
        extras = []
    return table, extras


def _samples(
    rows: pd.DataFrame, context: int, old: Store | None, settings: SampleSettings
) -> Iterator[SampleTable]:
    """Yield the samples of the old store, and then the samples of the rows after the context.

    The column `row` of the new samples continues the numbers of the old store's rows.
    """
    old_row_count = 0
    if old:
        yield old.samples
        old_row_count = len(old.rows)
    for chunk in sample_chunks(rows, settings):
        samples = chunk[chunk["row"] >= context]
        # two steps, since the column is unsigned and the difference of both may be negative
        samples["row"] -= context
        samples["row"] += old_row_count
        yield samples


def _table_bytes(
    rows: pd.DataFrame, recordings: Sequence[RecordingInfo], settings: SampleSettings
) -> int:
    """Return the largest possible size of the tables of these rows and recordings, in bytes."""
    recording_bytes = 8192  # a long path and the other fields
    extras_bytes = 64  # HDF5's own data for the further columns of a row
    most_utf8_bytes = 4  # most bytes of a character

    copies = 0
    if "take_over" in rows:
        copies = int(rows["take_over"].sum()) * (settings.correction_weight - 1)
    samples = (len(rows) + copies) * len(settings.cameras) * (settings.frame_offsets + 1)
    if settings.flip:
        samples *= 2

    # in a table, each row's text takes the bytes of the longest text
    characters_of_names = sum(int(rows[camera].str.len().max()) for camera in CAMERAS)
    characters_of_extras = int(rows["extras"].str.len().sum())
    # without rows, a name takes one byte, so this is hardly more than the numbers
    numbers_bytes = row_table(rows[:0]).dtype.itemsize
    row_bytes = numbers_bytes + characters_of_names * most_utf8_bytes + extras_bytes
    return (
        len(rows) * row_bytes
        + characters_of_extras * most_utf8_bytes
        + samples * SAMPLE.itemsize
        + len(recordings) * recording_bytes
    )
