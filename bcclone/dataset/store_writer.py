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
from dataclasses import asdict
from pathlib import Path
from typing import Self

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from bcclone.camera.images import Image
from bcclone.dataset.conversion_plan import StorePart, frame_numbers
from bcclone.dataset.preprocessing import Preprocessing, decode_files
from bcclone.dataset.rows import FRAME_COLUMNS, NO_FRAME, RowTable, join_rows, row_frame, row_table
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import SAMPLE, SampleTable, sample_chunks
from bcclone.dataset.store import SCHEMA_VERSION, RecordingInfo, Store
from bcclone.recording.row import CAMERAS
from bcclone.system.atomic import EarlyFlush
from bcclone.system.errors import UserError

_RECORDING_BYTES = 8192  # a long path and the other fields
_EXTRAS_BYTES = 64  # HDF5's own data for the further columns of a row
_MAX_UTF8_BYTES = 4
_ALIGNMENT = 4096
_COPY_BYTES = 1 << 24
_SAMPLES_PER_CHUNK = 1 << 12
_OVERHEAD = (
    1 << 18
) + _SAMPLES_PER_CHUNK * SAMPLE.itemsize  # HDF5's own structures, and an incomplete chunk


def content_hash(preprocessing: Preprocessing, checksums: npt.ArrayLike) -> "hashlib._Hash":
    """Return the hash of a store's content, to which first the rows and then the samples are to be
    added.

    checksums: CRC-32 of each frame, (frames,).
    """
    frames = hashlib.sha256(np.asarray(checksums, "<u4").tobytes())
    return hashlib.sha256(f"{preprocessing.digest} {frames.hexdigest()}".encode())


class StoreWriter:
    """Writes a store to `path`: first the frames one after the other, then the tables.

    Space for `capacity` frames and `table_bytes` of tables is reserved on disk first, so that a
    full disk raises an OSError before the work begins, and not an error of HDF5 when it closes the
    file. The frames do not pass through HDF5, which would keep them in memory. `path` should be a
    temporary name (bcclone.system.atomic).
    """

    def __init__(
        self, path: Path, preprocessing: Preprocessing, capacity: int, table_bytes: int = 0
    ) -> None:
        self.path, self.preprocessing, self.capacity = path, preprocessing, capacity
        self.count = 0
        self.checksums = array("I")  # of each frame
        self._frame_bytes = math.prod(preprocessing.shape)
        self._table_bytes = table_bytes + _OVERHEAD
        size = capacity * self._frame_bytes + self._table_bytes
        free = shutil.disk_usage(path.absolute().parent).free
        if size > free:
            raise UserError(
                f"{path.parent}: the store needs {size / 1e6:.1f} MB and {free / 1e6:.1f} MB are free; "
                "free some space, choose another folder, or a smaller --size"
            )
        _reserve(path, size)  # HDF5 reports a full disk by an error of its own
        self._offset = _lay_out(path, preprocessing, capacity)
        _reserve(path, size)
        self._file = path.open("r+b", buffering=0)
        self._file.seek(self._offset)
        self._flush = EarlyFlush(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush.close()
        self._file.close()

    def append(self, frames: Image, checksums: Sequence[int] | None = None) -> None:
        """Append frames, uint8 (count, height, width, channels).

        checksums: zlib.crc32 of each, computed here if not given.
        """
        frames = np.ascontiguousarray(frames)
        if checksums is None:
            checksums = [zlib.crc32(frame.data) for frame in frames]
        self.checksums.extend(checksums)
        data = frames.reshape(-1).data
        while data:  # a nearly full disk takes a part, and refuses only the rest
            count = self._file.write(data)
            self._flush.wrote(count)
            data = data[count:]
        self.count += len(frames)

    def append_from(self, store: Store) -> None:
        """Append all frames of a store of the same preprocessing."""
        for file in store.frames.files:
            for block in file.read(self._frame_bytes, max(1, _COPY_BYTES // self._frame_bytes)):
                self.append(np.frombuffer(block, np.uint8).reshape(-1, *store.frames.frame_shape))

    def finish(
        self,
        samples: Iterable[SampleTable],
        rows: RowTable,
        extras: Sequence[str],
        recordings: Sequence[RecordingInfo],
        settings: SampleSettings,
    ) -> None:
        """Write the tables, which completes the store.

        samples: the sample table in chunks; extras: text of the further columns of each row, or
        nothing; recordings: those that the rows come from; settings: those that made the samples.
        """
        self._flush.start()
        if self.count < self.capacity:
            self._remove_unused_space()
        digest = content_hash(self.preprocessing, self.checksums)
        digest.update(rows.tobytes())
        with h5py.File(self.path, "r+") as file:
            table = file.create_dataset(
                "samples", (0,), SAMPLE, maxshape=(None,), chunks=(_SAMPLES_PER_CHUNK,)
            )
            for chunk in samples:
                table.resize(len(table) + len(chunk), axis=0)
                table[len(table) - len(chunk) :] = chunk
                digest.update(chunk.tobytes())
            file.create_dataset("rows", data=rows)
            for name, texts in (
                ("extras", extras),
                ("recordings", [recording.to_json() for recording in recordings]),
            ):
                # datasets of variable-length strings, because attributes are limited to 64 kB
                file.create_dataset(
                    name, data=list(texts), dtype=h5py.string_dtype(), shape=(len(texts),)
                )
            file.attrs["sample_settings"] = json.dumps(asdict(settings))
            file.attrs["schema_version"] = SCHEMA_VERSION
            file.attrs["preprocessing"] = self.preprocessing.to_json()
            file.attrs["preprocessing_hash"] = self.preprocessing.digest
            file.attrs["content_hash"] = digest.hexdigest()
        self._flush.wait()

    def _remove_unused_space(self) -> None:
        """Shrink the dataset to the frames written, because HDF5 cannot shrink a contiguous
        dataset.

        HDF5 lays out an empty file for this many frames, and the bytes around its frames replace
        those of this file. The frames keep their position, unless they fill less than a page, which
        HDF5 places elsewhere.
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
                target.seek(0)
                target.write(source.read(offset))
                for file in (source, target):
                    file.seek(offset + kept)
                target.write(source.read())
                target.truncate()
        finally:
            smaller.unlink(missing_ok=True)


def _lay_out(path: Path, preprocessing: Preprocessing, capacity: int) -> int:
    """Make an HDF5 file with space for the frames and return the position of the first in the file."""
    shape = (capacity, *preprocessing.shape)
    with h5py.File(
        path, "w", alignment_threshold=_ALIGNMENT, alignment_interval=_ALIGNMENT
    ) as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.CONTIGUOUS)
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        properties.set_obj_track_times(
            False
        )  # the same content is the same file, whenever it is written
        space = h5py.h5s.create_simple(shape)
        dataset = h5py.h5d.create(file.id, b"frames", h5py.h5t.NATIVE_UINT8, space, properties)
        return dataset.get_offset() or 0


def _reserve(path: Path, size: int) -> None:
    """Make the file at least this large; HDF5 truncates unused space when it closes the file."""
    with path.open("ab") as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
                return
        except OSError as error:
            if error.errno not in (
                errno.EOPNOTSUPP,
                errno.EINVAL,
            ):  # from file systems that do not support it
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
    """Write a part of a conversion as a store, behind what the old store has, if any.

    on_progress: called with the number of files of each batch; threads: that decode files, 0 for
    one per core. Returns the index of each unusable file with the reason, and the CRC-32 of each
    frame.
    """
    preprocessing, settings, capacity = part.preprocessing, part.samples, len(part.files)
    space = _table_bytes(part.rows, settings) + len(part.recordings) * _RECORDING_BYTES
    if old:
        capacity += len(old.frames)
        space += (
            _table_bytes(row_frame(old.rows).assign(extras=old.extras or ""), settings)
            + old.samples.nbytes
        )
        space += len(old.recordings) * _RECORDING_BYTES
    with StoreWriter(path, preprocessing, capacity, space) as writer:
        if old:
            writer.append_from(old)
        first, done, unusable = writer.count, 0, dict[int, str]()
        for decoded in decode_files(part.files, preprocessing, threads):
            writer.append(decoded.frames, decoded.checksums)
            unusable |= {done + index: reason for index, reason in decoded.errors.items()}
            size = len(decoded.frames) + len(decoded.errors)
            done += size
            on_progress(size)
        frames = np.append(
            frame_numbers(len(part.files), unusable, first), NO_FRAME
        )  # of each file, and of none
        rows = part.rows.assign(
            **{name: frames[part.rows[name].to_numpy()] for name in FRAME_COLUMNS}
        )
        own = rows[part.context :]
        table, extras, recordings = row_table(own), own["extras"].tolist(), part.recordings
        if old:
            table = join_rows([old.rows, table])
            extras = [*(old.extras or [""] * len(old.rows)), *extras]
            recordings = (*old.recordings, *recordings)
        samples = _samples(rows.drop(columns="extras"), part.context, old, settings)
        writer.finish(samples, table, extras if any(extras) else [], recordings, settings)
        return unusable, np.array(writer.checksums, np.uint32)


def _samples(
    rows: pd.DataFrame, context: int, old: Store | None, settings: SampleSettings
) -> Iterator[SampleTable]:
    """Yield the samples of the old store, and then those of the rows after the context, numbered
    behind them.
    """
    if old:
        yield old.samples
    for chunk in sample_chunks(rows, settings):
        own = chunk[chunk["row"] >= context]
        own["row"] -= context
        own["row"] += len(old.rows) if old else 0
        yield own


def _table_bytes(rows: pd.DataFrame, settings: SampleSettings) -> int:
    """Return the largest possible size of the tables of these rows, in bytes."""
    copies = (
        int(rows["take_over"].sum()) * (settings.correction_weight - 1)
        if "take_over" in rows
        else 0
    )
    samples = (
        (len(rows) + copies)
        * len(settings.cameras)
        * (settings.frame_offsets + 1)
        * (1 + settings.flip)
    )
    names = sum(int(rows[camera].str.len().max()) for camera in CAMERAS) * _MAX_UTF8_BYTES
    extras = int(rows["extras"].str.len().sum()) * _MAX_UTF8_BYTES
    row = row_table(rows[:0].assign(validation=False)).dtype.itemsize + names + _EXTRAS_BYTES
    return len(rows) * row + samples * SAMPLE.itemsize + extras
