"""Convert a plan into a folder of shards, which workers write side by side.

In: a `Plan`. Out: the files of shards, and a manifest, which completes the folder.
"""

import hashlib
import math
import os
import tempfile
from collections.abc import Collection
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from bcclone.dataset.plan import Plan
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import PreprocessSettings, SampleSettings
from bcclone.dataset.samples import FRAME_COLUMNS, NO_FRAME
from bcclone.dataset.shards import MANIFEST_NAME, Manifest, Shard, read_shards
from bcclone.dataset.store import RecordingInfo, Store, read_store
from bcclone.dataset.writer import content_hash, frame_numbers, write_store
from bcclone.system.arrays import IndexArray
from bcclone.system.codec import parse_json
from bcclone.system.errors import UserError
from bcclone.system.files import NEW_FOLDER, check_output, replacing, sha256_of
from bcclone.system.hdf5_file import open_hdf5
from bcclone.system.location import (
    Location,
    as_local,
    check_writable,
    is_url,
    names_url,
    reaching,
)
from bcclone.system.pool import run_tasks
from bcclone.system.progress import ProgressBar
from bcclone.system.values import from_json, json_text

_SHARD_FILES = "[0-9]*.h5"  # pattern of the names of shards in their folder


@dataclass(frozen=True, eq=False)
class ShardTask:
    """A shard to write: rows of one recording, and the image files that they need."""

    path: Location
    recording: int  # number of the recording in the whole store
    # indices of the files in the plan's; first come those that no earlier shard holds
    numbers: IndexArray
    own_count: int  # number of files that no earlier shard holds
    # what write_store() takes
    preprocessing: Preprocessing
    settings: SampleSettings
    rows: pd.DataFrame
    files: tuple[str, ...]
    info: RecordingInfo
    context: int
    reuse: bool  # keep the shard of an interrupted run if it is complete and has the same origin


def check_folder(folder: Location, may_exist: bool, resume: bool) -> None:
    """Raise UserError if this is not a folder of shards that may be completed or replaced.

    may_exist: whether a complete store may be there
    resume: whether the shards of an interrupted run may be there
    """
    if is_url(folder):
        check_writable(folder)
    elif not folder.exists():
        check_output(as_local(folder), NEW_FOLDER)
        return
    with reaching(folder):
        if not folder.exists():  # at a URL; a local folder exists here
            return
        names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        shards = {path.name for path in folder.glob(_SHARD_FILES)}
    foreign = names - {MANIFEST_NAME} - shards
    if foreign:
        raise UserError(
            f"{folder} holds other files than a store's, such as {min(foreign)}; name another -o"
        )
    if names and not may_exist and (MANIFEST_NAME in names or not resume):
        if MANIFEST_NAME in names:
            what = "is a complete store already; add to it with --add"
        else:
            what = "has shards of an interrupted run; complete it with --resume"
        raise UserError(f"{folder} {what}, overwrite it with --force, or name another -o")


def write_shards(
    settings: PreprocessSettings,
    preprocessing: Preprocessing,
    samples: SampleSettings,
    plan: Plan,
    old: Store | None,
    pool: Executor,
) -> tuple[Store, tuple[str, ...]]:
    """Write the shards of the plan, and a manifest that names them after the old ones.

    Returns the store, and the rows and images that were left out. Raises UserError if a shard
    cannot be written, or too many images cannot be used; an old store is then as it was.
    """
    folder = settings.output.absolute()
    tasks = shard_tasks(folder, settings, preprocessing, samples, plan)
    if not is_url(folder):
        as_local(folder).mkdir(exist_ok=True)
    # number of a task -> its shard, as a store by itself, and why files of the task have no frame
    results: dict[int, tuple[Shard, dict[int, str]]] = {}
    with ProgressBar("decoding", len(plan.files), "images") as bar:
        for number, result in run_tasks(pool, write_shard, tasks):
            results[number] = result
            bar.advance(tasks[number].own_count, f"{len(results)}/{len(tasks)} shards")
    written = [results[number] for number in range(len(tasks))]
    unusable: dict[int, str] = {}
    for task, (_, missing) in zip(tasks, written, strict=True):
        for index, reason in missing.items():
            # a file that an earlier shard holds, too, is listed by that shard
            if index < task.own_count:
                unusable[int(task.numbers[index])] = reason
    skips = plan.skips_with(unusable, settings.allow_skips)

    manifest = Manifest(preprocessing, samples, recordings=(), shards=())
    frames_before = 0
    if old:
        manifest = Manifest.read(folder)
        frames_before = len(old.frames)
    # the numbers of new frames follow those of the old store
    frame_of_file = frame_numbers(len(plan.files), unusable, frames_before)
    added = [
        _in_whole_store(task, shard, missing, frame_of_file)
        for task, (shard, missing) in zip(tasks, written, strict=True)
    ]
    manifest = replace(
        manifest,
        recordings=(*manifest.recordings, *plan.recordings),
        shards=(*manifest.shards, *added),
    )
    return _complete(folder, manifest), skips


def _in_whole_store(
    task: ShardTask, shard: Shard, missing: Collection[int], frame_of_file: IndexArray
) -> Shard:
    """Return the shard with its place in the whole store.

    shard: as a store by itself
    missing: indices of its files without a frame
    frame_of_file: number of the frame of each file of the plan, or NO_FRAME
    """
    has_frame = np.ones(len(task.numbers), np.bool_)
    has_frame[list(missing)] = False
    own = int(has_frame[: task.own_count].sum())
    copied = frame_of_file[task.numbers[has_frame]][own:]
    if (copied == NO_FRAME).any():
        raise UserError(
            f"{task.path}: images of this shard changed while they were read; "
            "run the same command with --resume"
        )
    return replace(shard, recording=task.recording, frames=own, copied=tuple(copied.tolist()))


def shard_tasks(
    folder: Location,
    settings: PreprocessSettings,
    preprocessing: Preprocessing,
    samples: SampleSettings,
    plan: Plan,
) -> list[ShardTask]:
    """Return the tasks that write the shards; a recording has blocks of about the same length."""
    frame_bytes = preprocessing.width * preprocessing.height * 3
    most_rows = max(settings.shard_mb * 10**6 // (frame_bytes * len(samples.cameras)), 1)
    recording = plan.rows["recording"].to_numpy()
    next_recordings = np.flatnonzero(np.diff(recording)) + 1
    recording_edges = [0, *next_recordings.tolist(), len(recording)]
    named = plan.rows[FRAME_COLUMNS].to_numpy()
    first = _first_free_number(folder)
    tasks: list[ShardTask] = []
    # lower numbers than this are files of earlier shards: the plan numbers files in the order in
    # which its rows first name them
    files_before = 0
    for start, end in pairwise(recording_edges):
        block_count = math.ceil((end - start) / most_rows)
        edges = np.linspace(start, end, block_count + 1).round().astype(int).tolist()
        for begin, block_end in pairwise(edges):
            context = min(samples.frame_offsets, begin - start)
            # each shard can be read alone, so it also copies what earlier shards hold
            files = np.unique(named[begin - context : block_end])
            files = files[files != NO_FRAME]
            own = files[files >= files_before]
            files = np.concatenate([own, files[files < files_before]])
            files_before = max(files_before, int(files.max(initial=NO_FRAME)) + 1)

            # a shard is an ordinary store of one recording, in which files are numbered from 0
            rows = plan.rows.iloc[begin - context : block_end].assign(recording=0)
            place_of_file = {number: place for place, number in enumerate(files.tolist())}
            place_of_file[NO_FRAME] = NO_FRAME
            for column in FRAME_COLUMNS:
                rows[column] = rows[column].map(place_of_file)
            info = replace(
                plan.recordings[int(recording[begin] - recording[0])], rows=block_end - begin
            )
            tasks.append(
                ShardTask(
                    path=folder / f"{first + len(tasks):05d}.h5",
                    recording=int(recording[begin]),
                    numbers=files,
                    own_count=len(own),
                    preprocessing=preprocessing,
                    settings=samples,
                    rows=rows,
                    files=tuple(plan.files[index] for index in files.tolist()),
                    info=info,
                    context=context,
                    reuse=settings.resume,
                )
            )
    return tasks


def _first_free_number(folder: Location) -> int:
    """Return the number after the last shard that the folder's manifest names, 0 if none does.

    New shards get other numbers than the old store's, which stays whole until they are complete.
    """
    try:
        shards = Manifest.read(folder).shards
    except UserError:  # there is no manifest, or it is damaged and may be overwritten
        return 0
    return max((int(Path(shard.name).stem) for shard in shards), default=-1) + 1


def write_shard(task: ShardTask) -> tuple[Shard, dict[int, str]]:
    """Write a shard in a worker, or keep the shard that an interrupted run has left.

    Returns it as a store by itself, and why files of the task have no frame: index -> reason.
    """
    try:
        origin = _origin_of(task)
        if task.reuse and (kept := _kept(task.path, origin)):
            return kept
        with replacing(task.path) as temporary:
            unusable, checksums = write_store(
                temporary,
                task.preprocessing,
                task.settings,
                task.rows,
                task.files,
                [task.info],
                task.context,
                threads=1,
            )
            with open_hdf5(temporary, "r+") as file:
                stored = json_text({"digest": origin, "unusable": unusable})
                file.create_dataset("origin", data=stored, dtype=h5py.string_dtype())
                file.create_dataset("checksums", data=checksums)
            shard, _, _ = _described(temporary, task.path.name)
            return shard, unusable
    except OSError as error:
        raise UserError(
            f"{error.filename or task.path}: {error.strerror or error}; check that each machine "
            "sees this folder and can write there, and run the same command again with --resume"
        ) from None


def _origin_of(task: ShardTask) -> str:
    """Return a digest of the settings, the log, the rows and the image files of a shard.

    Local files count by their sizes and times, too; to ask a server for each would take too long.
    """
    digest = hashlib.sha256(
        f"{task.preprocessing.digest} {task.settings} {task.info.sha256}".encode()
    )
    digest.update(pd.util.hash_pandas_object(task.rows, index=False).to_numpy().tobytes())
    for path in task.files:
        digest.update(path.encode(errors="surrogateescape"))
        if not names_url(path):
            with suppress(OSError):  # a missing file
                status = os.stat(path)  # noqa: PTH116 called for each image
                digest.update(f" {status.st_size} {status.st_mtime_ns} ".encode())
    return digest.hexdigest()


def _kept(path: Location, origin: str) -> tuple[Shard, dict[int, str]] | None:
    """Return the shard that an interrupted run has left, and its files without a frame.

    None if it is missing, not complete, or of another origin.

    origin: digest that _origin_of() returns
    """
    with tempfile.TemporaryDirectory(prefix="bcclone-") as folder, reaching(path):
        if not path.is_file():
            return None
        copy = path
        if is_url(path):
            copy = Path(folder, path.name)
            path.fs.get_file(path.path, str(copy))
        try:
            shard, unusable, stored = _described(as_local(copy), path.name)
        except (UserError, ValueError, TypeError, LookupError):
            return None
    return (shard, unusable) if stored == origin else None


def _described(path: Path, name: str) -> tuple[Shard, dict[int, str], str]:
    """Describe the shard in a file as a store by itself, its files without a frame, and its origin.

    path: the file, perhaps under a temporary name
    """
    part, (origins,) = read_store(path, ["origin"])
    stored = parse_json(origins[0])
    (frame_file,) = part.frames.files
    shard = Shard(
        name=name,
        recording=0,
        rows=len(part.rows),
        samples=len(part.samples),
        frames=len(part.frames),
        copied=(),
        content_hash=part.content_hash,
        bytes=frame_file.version.size,
        sha256=sha256_of(path),
    )
    return shard, from_json(dict[int, str], stored["unusable"]), from_json(str, stored["digest"])


def _complete(folder: Location, manifest: Manifest) -> Store:
    """Write the manifest with its content hash, and delete the shards that it does not name."""
    store, tables = read_shards(folder, manifest, ["checksums"])
    # in each shard, its own frames come first; after them come copies of other shards' frames
    own_checksums = [
        np.asarray(table)[: shard.frames]
        for shard, (table,) in zip(manifest.shards, tables, strict=True)
    ]

    # hash the content as a store of one file does, so that the same content has the same hash
    digest = content_hash(manifest.preprocessing, np.concatenate(own_checksums))
    digest.update(store.rows.tobytes())
    digest.update(store.samples.tobytes())
    store = replace(store, content_hash=digest.hexdigest())
    replace(manifest, content_hash=store.content_hash).write(folder)
    named = {shard.name for shard in manifest.shards}
    with reaching(folder):
        # other shards, and temporary files of killed workers
        for path in [*folder.glob(_SHARD_FILES), *folder.glob(".[0-9]*.partial.h5")]:
            if path.name not in named:
                path.unlink()
    return store
