"""Open a folder of shards as one store: its rows, samples and frames are numbered through all of them.

In: a path or a URL. Out: a `Store`, whose tables are those of all shards.

open_store() opens every kind of store: one file, and a folder of shards on this machine or at a URL.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bcclone.cluster.manifest import MANIFEST_NAME, Manifest, Shard
from bcclone.cluster.shard_frames import FarFrames, ShardFrames
from bcclone.dataset.rows import FRAME_COLUMNS, NO_FRAME, RowTable, join_rows
from bcclone.dataset.store import Store, missing_store
from bcclone.dataset.store_reader import StoreContent, read_store
from bcclone.system.errors import UserError, first_line
from bcclone.system.hdf5_file import Table
from bcclone.system.location import (
    Location,
    as_local,
    is_url,
    parse_location,
    reaching,
    read_ranges,
    versions_of,
)

_FILES_AT_ONCE = 32
_HEAD_BYTES = 1 << 14  # more than an HDF5 file has before its frames


def open_store(path: Location | str) -> Store:
    """Open the store in a file or in a folder of shards, which may be at a URL; raises UserError."""
    path = parse_location(path) if isinstance(path, str) else path
    with reaching(path):
        is_folder, exists = path.is_dir(), path.exists()
        has_manifest = is_folder and (path / MANIFEST_NAME).is_file()
    if is_folder and not has_manifest:
        raise UserError(
            f"{path}: a folder without a {MANIFEST_NAME}, expected a store; make a store of a recording with: "
            f"bcclone preprocess {path} -o data.h5"
        )
    if not exists:
        raise missing_store(path)
    if not is_folder:
        if is_url(path):
            raise UserError(f"{path}: a file at a URL, expected a folder of shards; copy it to this machine first")
        return Store(path)
    content = read_shards(path, Manifest.read(path))
    frame_shape = content.preprocessing.shape
    return Store(path, (content, (FarFrames if is_url(path) else ShardFrames)(content.frames, frame_shape)))


def open_if_store(path: Location) -> Store | None:
    """Open any store; return None for a log, and for a folder without a manifest, which is a recording."""
    with reaching(path):
        is_store = (path / MANIFEST_NAME).is_file() if path.is_dir() else path.suffix != ".csv"
    return open_store(path) if is_store else None


def read_shards(
    folder: Location,
    manifest: Manifest,
    others: Sequence[str] = (),
    look: Callable[[Shard, Sequence[Table]], None] = lambda shard, tables: None,
) -> StoreContent:
    """Read the shards in a folder; raises UserError if one of them is missing or damaged.

    others: names of further tables of each shard; look: called with each shard and these tables.
    """
    if not manifest.shards:
        raise UserError(f"{folder}: its {MANIFEST_NAME} names no shard; {_remedy(folder)}")
    rows, samples, frames = [], [], []
    extras: list[str] = []
    first_row = first_frame = 0
    for shard, content, tables in _read_all(folder, manifest, others):
        look(shard, tables)
        number_of = np.append(first_frame + np.arange(shard.frames), np.array(shard.copied, np.int64))
        part = content.samples.copy()
        part["frame"] = number_of[part["frame"]]
        part["row"] += first_row
        samples.append(part)
        rows.append(_renumbered(content.rows, number_of, shard.recording))
        extras.extend(content.extras or [""] * shard.rows)
        (file,) = content.frames
        frames.append(replace(file, count=shard.frames, sha256=shard.sha256))
        first_row, first_frame = first_row + shard.rows, first_frame + shard.frames
    try:
        return StoreContent(
            preprocessing=manifest.preprocessing,
            sample_settings=manifest.sample_settings,
            content_hash=manifest.content_hash,
            samples=np.concatenate(samples),
            rows=join_rows(rows),
            extras=extras if any(extras) else [],
            recordings=list(manifest.recordings),
            frames=frames,
        )
    except (TypeError, ValueError) as error:  # columns of types that have nothing in common
        raise UserError(f"{folder}: its shards do not fit together: {first_line(error)}; {_remedy(folder)}") from None


def _read_all(
    folder: Location, manifest: Manifest, others: Sequence[str]
) -> Iterator[tuple[Shard, StoreContent, Sequence[Table]]]:
    """Yield each shard with what it holds."""
    for shard, opened in _far_shards(folder, manifest) if is_url(folder) else _local_shards(folder, manifest):
        content, tables = read_store(folder / shard.name, others, opened)
        _check_shard(folder, shard, manifest, content)
        yield shard, content, tables


def _local_shards(folder: Location, manifest: Manifest) -> Iterator[tuple[Shard, None]]:
    """Yield the shards in a folder of this machine."""
    for shard in manifest.shards:
        if not as_local(folder / shard.name).is_file():
            raise UserError(f"{folder / shard.name}: this shard of the store is missing; {_remedy(folder)}")
        yield shard, None


def _far_shards(folder: Location, manifest: Manifest) -> Iterator[tuple[Shard, tuple[Any, tuple[int, int]]]]:
    """Yield each shard at a URL, as a file without its frames, with its version; several are read at once."""
    frame_bytes = manifest.preprocessing.width * manifest.preprocessing.height * 3
    for start in range(0, len(manifest.shards), _FILES_AT_ONCE):
        shards = manifest.shards[start : start + _FILES_AT_ONCE]
        sizes = [(shard.frames + len(shard.copied)) * frame_bytes for shard in shards]
        parts = [_without_frames(shard.bytes, size) for shard, size in zip(shards, sizes, strict=True)]
        files = [folder / shard.name for shard in shards]
        ranges = [(file, *part) for file, each in zip(files, parts, strict=True) for part in each]
        before = versions_of(files)
        read = iter(read_ranges(ranges))
        after = versions_of(files)
        for number, (shard, each) in enumerate(zip(shards, parts, strict=True)):
            if before[number] != after[number]:
                raise UserError(f"{files[number]}: it was written again while it was read; start again")
            known = {part: next(read) for part in each}
            file: Any = files[number]
            tables = file.fs.open(file.path, cache_type="parts", cache_options={"data": known, "strict": True})
            yield shard, (tables, (shard.bytes, after[number][1]))


def _without_frames(size: int, frame_bytes: int) -> list[tuple[int, int]]:
    """Return the parts of a shard that hold its tables: start and end of each. frame_bytes: of all its frames."""
    if frame_bytes <= _HEAD_BYTES:
        return [(0, size)]
    return [(0, _HEAD_BYTES), (frame_bytes, size)]  # the frames do not begin at 0, and so end after their size


def _check_shard(folder: Location, shard: Shard, manifest: Manifest, content: StoreContent) -> None:
    """Raise UserError if a shard is not the one that the manifest describes."""
    path, remedy = folder / shard.name, _remedy(folder)
    size = content.frames[0].version[0]
    if size != shard.bytes:
        raise UserError(f"{path}: the shard has {size} bytes, expected {shard.bytes}; {remedy}")
    counts = len(content.rows), len(content.samples), content.frames[0].count
    expected = shard.rows, shard.samples, shard.frames + len(shard.copied)
    of_this = content.content_hash == shard.content_hash and content.preprocessing == manifest.preprocessing
    numbers = [content.rows[name] for name in FRAME_COLUMNS if len(content.rows)]
    in_range = all(each.min() >= NO_FRAME and each.max() < counts[2] for each in numbers)
    if counts != expected or not of_this or not in_range:
        raise UserError(f"{path}: not the shard that the manifest describes; {remedy}")


def _remedy(folder: Location) -> str:
    return f"make it again with: bcclone preprocess RECORDING... -o {folder} --force --resume"


def _renumbered(rows: RowTable, number_of: npt.NDArray[np.int64], recording: int) -> RowTable:
    """Return the rows of a shard with the numbers of the whole store. number_of: of each frame of the shard."""
    rows = rows.copy()
    rows["recording"] += recording
    for name in FRAME_COLUMNS:
        frame = rows[name]
        rows[name] = np.where(frame == NO_FRAME, NO_FRAME, np.append(number_of, NO_FRAME)[frame])
    return rows
