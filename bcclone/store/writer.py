"""Frames, samples, rows -> HDF5 file: the frames one after the other, then the tables."""

import errno
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from bcclone.atomic import EarlyFlush
from bcclone.errors import UserError
from bcclone.images import Image, Preprocessing
from bcclone.samples import SAMPLE, RowTable, SampleTable
from bcclone.store.reader import SCHEMA_VERSION, Store

_POLYNOMIAL = 0xEDB88320  # of zlib.crc32
_ONE, _X = 1 << 31, 1 << 30


def joined(first: int, second: int, length: int) -> int:
    """Return zlib.crc32 of two pieces one behind the other, from their own; length: bytes of the second."""
    return _multiply(first, _shift(length)) ^ second


@lru_cache(64)  # nearly all pieces are of one length
def _shift(length: int) -> int:
    """Return x^(8 length), by squaring."""
    power, square, bits = _ONE, _X, 8 * length
    while bits:
        if bits & 1:
            power = _multiply(power, square)
        square = _multiply(square, square)
        bits >>= 1
    return power


def _multiply(one: int, other: int) -> int:
    product = 0
    while one:
        if one & _ONE:
            product ^= other
        one = (one << 1) & 0xFFFFFFFF
        other = (other >> 1) ^ (_POLYNOMIAL if other & 1 else 0)
    return product


_ALIGNMENT = 4096
_COPY_BYTES = 1 << 24
_SAMPLES_PER_CHUNK = 1 << 12
_OVERHEAD = (1 << 18) + _SAMPLES_PER_CHUNK * SAMPLE.itemsize  # HDF5's own structures, and a chunk begun


class StoreWriter:
    """Writes a store to `path`: first the frames one after the other, then the tables.

    Room for `capacity` frames and `table_bytes` of tables is reserved on disk at once, so that a full disk
    shows before the work is done, as an OSError, and not as one of HDF5's while it closes the file.
    The frames are written to the file itself and not through HDF5, which keeps them out of this process's
    memory. `path` should be a temporary name (bcclone.atomic).
    """

    def __init__(self, path: Path, preprocessing: Preprocessing, capacity: int, table_bytes: int = 0) -> None:
        self.path, self.preprocessing, self.capacity = path, preprocessing, capacity
        self.count = self._checksum = 0
        self._frame_bytes = preprocessing.height * preprocessing.width * 3
        self._table_bytes = table_bytes + _OVERHEAD
        size = capacity * self._frame_bytes + self._table_bytes
        _check_space(path, size)
        _reserve(path, size)
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

    def append(self, frames: Image, checksum: int | None = None) -> None:
        """Write frames, uint8 (count, height, width, 3), behind those written before.

        checksum: their zlib.crc32, where it was taken already.
        """
        self._write(np.ascontiguousarray(frames).reshape(-1).data, checksum)
        self.count += len(frames)

    def append_from(self, store: Store) -> None:
        """Write all frames of a store of the same preprocessing; raises UserError when they are not all there."""
        with store.path.open("rb") as source:
            source.seek(store.frames_offset)
            left = len(store.frames) * self._frame_bytes
            while left > 0:  # not through the memory map, whose pages would count as ours
                block = source.read(min(left, _COPY_BYTES))
                if not block:
                    raise UserError(f"{store.path}: was cut short while it was read; make it anew")
                self._write(memoryview(block))
                left -= len(block)
        self.count += len(store.frames)

    def _write(self, data: memoryview, checksum: int | None = None) -> None:
        own = zlib.crc32(data) if checksum is None else checksum
        self._checksum = joined(self._checksum, own, len(data))
        while data:  # a disk that is nearly full takes some of it, and refuses when asked to take the rest
            count = self._file.write(data)
            self._flush.wrote(count)
            data = data[count:]

    def finish(
        self,
        samples: Iterable[SampleTable],
        rows: RowTable,
        extras: Sequence[str],
        recordings: Sequence[Mapping[str, Any]],
        settings: Mapping[str, Any],
    ) -> None:
        """Write the samples (in parts), the rows, their further columns, what each recording was, and the settings.

        The store is complete after this.
        """
        self._flush.send()
        if self.count < self.capacity:
            self._give_back_room()
        digest = hashlib.sha256(f"{self.preprocessing.digest} {self._checksum:08x}".encode())
        digest.update(rows.tobytes())
        with h5py.File(self.path, "r+") as file:
            table = file.create_dataset("samples", (0,), SAMPLE, maxshape=(None,), chunks=(_SAMPLES_PER_CHUNK,))
            for part in samples:
                table.resize(len(table) + len(part), axis=0)
                table[len(table) - len(part) :] = part
                digest.update(part.tobytes())
            file.create_dataset("rows", data=rows)
            for name, texts in (("extras", extras), ("recordings", [json.dumps(entry) for entry in recordings])):
                # datasets, since attributes are limited to 64 kB, and of any length each
                file.create_dataset(name, data=list(texts), dtype=h5py.string_dtype(), shape=(len(texts),))
            file.attrs["sample_settings"] = json.dumps(settings)
            file.attrs["schema_version"] = SCHEMA_VERSION
            file.attrs["preprocessing"] = self.preprocessing.to_json()
            file.attrs["preprocessing_hash"] = self.preprocessing.digest
            file.attrs["content_hash"] = digest.hexdigest()
        self._flush.wait()

    def _give_back_room(self) -> None:
        """Make the file one for the frames that came; an HDF5 dataset that lies contiguous cannot shrink.

        HDF5 lays out an empty file for so many, and what it wrote around the frames takes the place of what is
        around them here. They stay where they are, unless they fill less than a page, which lies elsewhere.
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
    """Make an HDF5 file with room for the frames and return where in the file they begin."""
    shape = (capacity, preprocessing.height, preprocessing.width, 3)
    with h5py.File(path, "w", alignment_threshold=_ALIGNMENT, alignment_interval=_ALIGNMENT) as file:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_layout(h5py.h5d.CONTIGUOUS)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple(shape)
        dataset = h5py.h5d.create(file.id, b"frames", h5py.h5t.NATIVE_UINT8, space, plan)
        return dataset.get_offset() or 0


def _reserve(path: Path, size: int) -> None:
    """Make the file at least this large; HDF5 cuts off at the end what it has not used."""
    with path.open("ab") as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
                return
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # what file systems say that cannot do it
                raise
        if file.tell() < size:
            file.truncate(size)


def _check_space(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.absolute().parent).free
    if needed > free:
        raise UserError(
            f"{path.parent}: the store needs {needed / 1e6:.1f} MB and {free / 1e6:.1f} MB are free; "
            "make room, choose another place, or a smaller --size"
        )
