"""Open a folder of shards as one store: its rows, samples and frames are numbered through all of
them.

In: a path or a URL. Out: a `Store`, whose tables are those of all shards. The `Manifest`, the file
store.json, names the shards.

open_store() opens every kind of store: one file, and a folder of shards on this machine or at a
URL.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, Self

import numpy as np

from bcclone.cluster.far_frames import FarFrames
from bcclone.dataset.frames import Frames
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.rows import FRAME_COLUMNS, NO_FRAME, join_rows
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.store import (
    SCHEMA_VERSION,
    RecordingInfo,
    Store,
    StoreContent,
    is_other_file,
    missing_store,
    read_store,
)
from bcclone.system.codec import explained, parse_json, read_bytes
from bcclone.system.errors import UserError, shown_command
from bcclone.system.hdf5_file import Table
from bcclone.system.json_values import from_json, json_text
from bcclone.system.location import (
    Location,
    as_local,
    is_url,
    parse_location,
    reaching,
    read_ranges,
    replacing,
    versions_of,
)

MANIFEST_NAME = "store.json"
_FILES_AT_ONCE = 32
_HEAD_BYTES = 1 << 14  # more than an HDF5 file has before its frames


@dataclass(frozen=True)
class Shard:
    """A shard of a store: the rows of one recording, or a block of them, as a store of its own.

    recording: number of its recording in the whole store; rows, samples: counts; frames: count of
    the frames that no earlier shard has, which come first in the file; copied: numbers, in the
    whole store, of the frames behind them: copies from earlier shards that its samples need;
    content_hash: of the shard; bytes, sha256: of the file.
    """

    name: str
    recording: int
    rows: int
    samples: int
    frames: int
    copied: tuple[int, ...]
    content_hash: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What store.json holds.

    content_hash: equal to the hash of a one-file store with the same content; origin: digest of the
    inputs of the shards that were written last.
    """

    preprocessing: Preprocessing
    sample_settings: SampleSettings
    recordings: tuple[RecordingInfo, ...]
    shards: tuple[Shard, ...]
    content_hash: str = ""
    origin: str = ""

    def write(self, folder: Location) -> None:
        """Write the manifest, which completes the store."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "content_hash": self.content_hash,
            "origin": self.origin,
            "preprocessing": json.loads(self.preprocessing.to_json()),
            "preprocessing_hash": self.preprocessing.digest,
            "sample_settings": self.sample_settings,
            "recordings": self.recordings,
            "shards": self.shards,
        }
        with replacing(folder / MANIFEST_NAME) as temporary:
            temporary.write_text(json_text(content, indent=1), encoding="utf-8")

    @classmethod
    def read(cls, folder: Location) -> Self:
        """Read the manifest in a folder; raises UserError if it is not one."""
        path = folder / MANIFEST_NAME
        with explained(path, "the manifest of a store", _remedy(folder)):
            stored = parse_json(read_bytes(path, "json"))
            if stored["schema_version"] != SCHEMA_VERSION:
                raise ValueError(
                    f"schema version {stored['schema_version']}, expected {SCHEMA_VERSION}"
                )
            return cls(
                Preprocessing.from_json(json.dumps(stored["preprocessing"])),
                SampleSettings.stored(stored["sample_settings"]),
                from_json(tuple[RecordingInfo, ...], stored["recordings"]),
                from_json(tuple[Shard, ...], stored["shards"]),
                from_json(str, stored["content_hash"]),
                from_json(str, stored["origin"]),
            )


def open_store(path: Location | str) -> Store:
    """Open the store in a file or in a folder of shards, which may be at a URL; raises UserError."""
    path = parse_location(path) if isinstance(path, str) else path
    with reaching(path):
        is_folder, exists = path.is_dir(), path.exists()
        has_manifest = is_folder and (path / MANIFEST_NAME).is_file()
    if is_folder and not has_manifest:
        raise UserError(
            f"{path}: a folder without a {MANIFEST_NAME}, expected a store; make a store of a recording with: "
            f"{shown_command('preprocess', path, '-o', 'data.h5')}"
        )
    if not exists:
        raise missing_store(path)
    if not is_folder:
        if is_url(path):
            raise UserError(
                f"{path}: a file at a URL, expected a folder of shards; copy it to this machine first"
            )
        return Store(path)
    return Store(path, read_shards(path, Manifest.read(path))[0])


def open_if_store(path: Location) -> Store | None:
    """Open any store; return None for a log, and for a folder without a manifest, which is a
    recording.
    """
    with reaching(path):
        is_store = (path / MANIFEST_NAME).is_file() if path.is_dir() else not is_other_file(path)
    return open_store(path) if is_store else None


def read_shards(
    folder: Location, manifest: Manifest, others: Sequence[str] = ()
) -> tuple[StoreContent, list[Sequence[Table]]]:
    """Read the shards in a folder, and further tables of each; raises UserError if a shard is
    missing or damaged.
    """
    rows, samples, frames, further = [], [], [], []
    extras: list[str] = []
    first_row = first_frame = 0
    for shard, opened in (
        _far_shards(folder, manifest) if is_url(folder) else zip(manifest.shards, repeat(None))
    ):
        if not opened and not as_local(folder / shard.name).is_file():
            raise UserError(
                f"{folder / shard.name}: this shard of the store is missing; {_remedy(folder)}"
            )
        content, tables = read_store(folder / shard.name, others, opened)
        (file,), all_frames = content.frames.files, shard.frames + len(shard.copied)
        found = (
            file.version[0],
            len(content.rows),
            len(content.samples),
            file.count,
            content.content_hash,
        )
        expected = shard.bytes, shard.rows, shard.samples, all_frames, shard.content_hash
        if found != expected or content.preprocessing != manifest.preprocessing:
            raise UserError(
                f"{folder / shard.name}: not the shard that the manifest describes; {_remedy(folder)}"
            )
        further.append(tables)
        number_of = np.append(
            first_frame + np.arange(shard.frames), np.array(shard.copied, np.int64)
        )
        part = content.samples.copy()
        part["frame"] = number_of[part["frame"]]
        part["row"] += first_row
        samples.append(part)
        own = content.rows.copy()
        own["recording"] += shard.recording
        for name in FRAME_COLUMNS:
            own[name] = np.where(
                own[name] == NO_FRAME, NO_FRAME, np.append(number_of, NO_FRAME)[own[name]]
            )
        rows.append(own)
        extras.extend(content.extras or [""] * shard.rows)
        frames.append(replace(file, count=shard.frames, sha256=shard.sha256))
        first_row, first_frame = first_row + shard.rows, first_frame + shard.frames
    with explained(folder, "a folder of shards that fit together", _remedy(folder)):
        return StoreContent(
            preprocessing=manifest.preprocessing,
            sample_settings=manifest.sample_settings,
            content_hash=manifest.content_hash,
            samples=np.concatenate(samples),
            rows=join_rows(rows),
            extras=extras if any(extras) else [],
            recordings=list(manifest.recordings),
            frames=(FarFrames if is_url(folder) else Frames)(frames, manifest.preprocessing.shape),
        ), further


def _far_shards(
    folder: Location, manifest: Manifest
) -> Iterator[tuple[Shard, tuple[Any, tuple[int, int]]]]:
    """Yield each shard at a URL, as a file without its frames, with its version; several are read
    at once.
    """
    frame_bytes = math.prod(manifest.preprocessing.shape)
    for start in range(0, len(manifest.shards), _FILES_AT_ONCE):
        shards = manifest.shards[start : start + _FILES_AT_ONCE]
        files: list[Any] = [folder / shard.name for shard in shards]
        parts = []  # of each shard: start and end of what holds its tables
        for shard in shards:
            size = (
                shard.frames + len(shard.copied)
            ) * frame_bytes  # the frames do not begin at 0, so end after it
            parts.append(
                [(0, shard.bytes)]
                if size <= _HEAD_BYTES
                else [(0, _HEAD_BYTES), (size, shard.bytes)]
            )
        before = versions_of(files)
        read = iter(
            read_ranges(
                [(file, *part) for file, each in zip(files, parts, strict=True) for part in each]
            )
        )
        after = versions_of(files)
        for number, (shard, each) in enumerate(zip(shards, parts, strict=True)):
            file = files[number]
            if before[number] != after[number]:
                raise UserError(f"{file}: it was written again while it was read; start again")
            known = {part: next(read) for part in each}
            tables = file.fs.open(
                file.path, cache_type="parts", cache_options={"data": known, "strict": True}
            )
            yield shard, (tables, (shard.bytes, after[number][1]))


def _remedy(folder: Location) -> str:
    return f"make the store again with: {shown_command('preprocess', 'RECORDING...', '-o', folder, '--force')}"
