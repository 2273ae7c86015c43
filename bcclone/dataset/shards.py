"""Open any store: one file, or a folder of shards, on this machine or at a URL.

In: a path or URL. Out: a `Store`. A shard is the rows of one recording, or a block of them, as a
store of its own; the folder's manifest lists the shards. The rows, samples and frames of the whole
store are numbered through all of them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from bcclone.dataset.frames import FrameFile, Frames
from bcclone.dataset.labels import RowTable
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import FRAME_COLUMNS, NO_FRAME, SampleTable, join_rows
from bcclone.dataset.store import (
    SCHEMA_VERSION,
    RecordingInfo,
    Store,
    read_store,
)
from bcclone.recording.files import recordings_here
from bcclone.system.codec import explained, parse_json, read_bytes
from bcclone.system.errors import UserError, shown_command
from bcclone.system.files import FileVersion, replacing
from bcclone.system.hdf5_file import Table, kind_of
from bcclone.system.location import (
    Location,
    as_local,
    did_you_mean_beside,
    is_url,
    parse_location,
    reaching,
)
from bcclone.system.values import from_json, json_text

MANIFEST_NAME = "store.json"
_MOST_SHOWN = 5  # recordings that a shown command names


def open_store(path: Location | str) -> Store:
    """Open the store in a file or in a folder of shards, perhaps at a URL; raises UserError.

    Its tables are read here, and no file stays open. Frames are mapped, or copied from a URL, when
    they are first used; the end of a `with` block gives them back.
    """
    if isinstance(path, str):
        path = parse_location(path)
    with reaching(path):
        is_folder = path.is_dir()
        exists = path.exists()
        has_manifest = is_folder and (path / MANIFEST_NAME).is_file()
    if has_manifest:
        store, _ = read_shards(path, Manifest.read(path))
        return store
    if is_folder:
        raise UserError(
            f"{path}: a folder without a {MANIFEST_NAME}, expected a store; "
            "make a store of a recording with: "
            f"{shown_command('preprocess', path, '-o', 'data.h5')}"
        )
    if not exists:
        remedy = did_you_mean_beside(path, lambda beside: kind_of(beside) == "store")
        if not remedy:
            # preprocess takes the same recordings where none is named
            recordings = recordings_here() or ["RECORDING..."]
            if len(recordings) > _MOST_SHOWN:
                recordings = []
            remedy = f"make one with: {shown_command('preprocess', *recordings, '-o', path)}"
        raise UserError(f"{path}: no such store; {remedy}")
    if is_url(path):
        raise UserError(
            f"{path}: a file at a URL, expected a folder of shards; copy it to this machine first"
        )
    store, _ = read_store(path)
    return store


def open_if_store(path: Location) -> Store | None:
    """Open any store; return None for a recording: a log, or a folder without a manifest.

    A file is a store by its name, or if it is an HDF5 file; open_store() reports a missing one.
    """
    with reaching(path):
        if path.is_dir():
            is_store = (path / MANIFEST_NAME).is_file()
        elif path.suffix in (".h5", ".hdf5"):
            is_store = True
        elif not path.exists():
            is_store = path.suffix != ".csv"
        else:
            is_store = not is_url(path) and kind_of(as_local(path)) is not None
    return open_store(path) if is_store else None


@dataclass(frozen=True)
class Shard:
    """A shard of a store: the rows of one recording, or a block of them, as a store of its own."""

    name: str  # name of the file in the folder
    recording: int  # number of the recording in the whole store
    rows: int  # number of rows
    samples: int  # number of samples
    # how many frames are its own (in no earlier shard); they come first in the file
    frames: int
    # the file's further frames are copies of frames in earlier shards, which samples of this shard
    # need; these are their numbers in the whole store
    copied: tuple[int, ...]
    content_hash: str  # content hash of the shard as a store by itself
    bytes: int  # size of the file
    sha256: str  # SHA-256 of the file


@dataclass(frozen=True)
class Manifest:
    """The content of store.json, which lists the shards of a store."""

    preprocessing: Preprocessing
    sample_settings: SampleSettings
    recordings: tuple[RecordingInfo, ...]
    shards: tuple[Shard, ...]
    content_hash: str = ""  # equal to that of a one-file store with the same content

    def write(self, folder: Location) -> None:
        """Write the manifest, which completes the store."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "content_hash": self.content_hash,
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
            )


def read_shards(
    folder: Location, manifest: Manifest, others: Sequence[str] = ()
) -> tuple[Store, list[Sequence[Table]]]:
    """Read the tables of all shards as one store; return it, and the other tables of each shard.

    Raises UserError if a shard is missing or damaged.

    others: names of further tables to read from each shard
    """
    rows: list[RowTable] = []
    samples: list[SampleTable] = []
    files: list[FrameFile] = []
    further: list[Sequence[Table]] = []
    first_row = 0
    first_frame = 0
    for shard in manifest.shards:
        part, tables = _read_shard(folder, manifest, shard, others)
        # the shard numbers its rows and frames from 0; the store numbers them through all shards
        own_frames = first_frame + np.arange(shard.frames)
        frame_numbers = np.append(own_frames, np.array(shard.copied, np.int64))
        part_samples = part.samples.copy()
        part_samples["frame"] = frame_numbers[part_samples["frame"]]
        part_samples["row"] += first_row
        samples.append(part_samples)
        part_rows = part.rows.copy()
        part_rows["recording"] += shard.recording
        # a row without a frame has NO_FRAME, -1, which as an index takes the last element: NO_FRAME
        numbers_or_none = np.append(frame_numbers, NO_FRAME)
        for name in FRAME_COLUMNS:
            part_rows[name] = numbers_or_none[part_rows[name]]
        rows.append(part_rows)
        # the copied frames are left out: their numbers lead to the shards whose own frames they are
        (file,) = part.frames.files
        files.append(replace(file, count=shard.frames, sha256=shard.sha256))
        further.append(tables)
        first_row += shard.rows
        first_frame += shard.frames
    with explained(folder, "a folder of shards that fit together", _remedy(folder)):
        whole = Store(
            path=folder,
            preprocessing=manifest.preprocessing,
            sample_settings=manifest.sample_settings,
            content_hash=manifest.content_hash,
            samples=np.concatenate(samples),
            rows=join_rows(rows),
            recordings=list(manifest.recordings),
            frames=Frames(files, manifest.preprocessing.shape),
        )
    return whole, further


def _read_shard(
    folder: Location, manifest: Manifest, shard: Shard, others: Sequence[str]
) -> tuple[Store, Sequence[Table]]:
    """Read the tables of a shard; raises UserError unless it is what the manifest says of it."""
    path = folder / shard.name
    if is_url(path):
        # the tables come after the frames; HDF5 fetches them in a few blocks, and no frames
        with (
            reaching(path),
            path.fs.open(path.path, cache_type="blockcache", block_size=1 << 20) as file,
        ):
            part, tables = read_store(path, others, (file, FileVersion(int(file.size))))
    elif as_local(path).is_file():
        part, tables = read_store(path, others)
    else:
        raise UserError(f"{path}: this shard of the store is missing; {_remedy(folder)}")
    (frame_file,) = part.frames.files
    is_described = (
        frame_file.version.size == shard.bytes
        and len(part.rows) == shard.rows
        and len(part.samples) == shard.samples
        and frame_file.count == shard.frames + len(shard.copied)
        and part.content_hash == shard.content_hash
        and part.preprocessing == manifest.preprocessing
    )
    if not is_described:
        raise UserError(f"{path}: not the shard that the manifest describes; {_remedy(folder)}")
    return part, tables


def _remedy(folder: Location) -> str:
    command = shown_command("preprocess", "RECORDING...", "-o", folder, "--force")
    return f"make the store again with: {command}"
