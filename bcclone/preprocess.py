"""Recordings -> store: every log read, every distinct image decoded once on all cores, nothing half-written."""

import hashlib
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bcclone import atomic
from bcclone.decode import decode_files
from bcclone.errors import UserError
from bcclone.images import Preprocessing
from bcclone.progress import Progress
from bcclone.recording import CAMERAS, ImageIndex, Log, find_logs, read_log
from bcclone.samples import NO_FRAME, SAMPLE, SampleSettings, SampleTable, assign_validation, build_samples
from bcclone.store import Store, StoreWriter, row_frame, row_table

_MOST_SKIPPED = 0.05
_COPY_FRAMES = 256
_ROW_BYTES = 400  # of the table of rows, generously

Source = dict[str, Any]  # what a recording was: path, SHA-256, rows, bad rows, episodes, dialect


@dataclass(frozen=True)
class PreprocessSettings:
    """What to convert, into what, and how much may be wrong with it."""

    inputs: tuple[str, ...]
    output: Path
    preprocessing: Preprocessing
    samples: SampleSettings
    force: bool = False
    add: bool = False
    allow_skips: bool = False


@dataclass(frozen=True)
class Skip:
    """Something that was left out. row: its number in the file, from 1."""

    file: str
    row: int
    reason: str


@dataclass(frozen=True)
class Conversion:
    """What a conversion made; the counts are those of the whole store."""

    recordings: int
    rows: int
    episodes: int
    frames: int
    train: int
    validation: int
    skips: tuple[Skip, ...]
    notices: tuple[str, ...]
    seconds: float
    output: Path


@dataclass
class _Plan:
    """The rows to be stored, and the image files that they need, each once."""

    rows: pd.DataFrame
    files: list[str] = field(default_factory=list)
    first_use: list[tuple[str, int]] = field(default_factory=list)  # log and row of each file
    skips: list[Skip] = field(default_factory=list)
    images_named: int = 0
    notices: list[str] = field(default_factory=list)


def convert(settings: PreprocessSettings) -> Conversion:
    """Convert recordings into a store that takes its name only when it is complete.

    Raises ForeignLog for a file that is no log, UserError for everything else that the user can mend.
    """
    begun = time.monotonic()
    adding = settings.add and settings.output.exists()
    if adding or settings.force:
        atomic.check_folder(settings.output)
    else:
        atomic.refuse_existing(settings.output, "write over it with --force, add to it with --add, or name another -o")
    with ExitStack() as stack:
        old = stack.enter_context(Store(settings.output)) if adding else None
        logs, sources, notices = _read_logs(settings, old)
        plan = _plan_rows(logs, settings.samples.cameras, old)
        plan.notices.extend(notices)
        temporary = stack.enter_context(atomic.replacing(settings.output))
        rows, samples, frames = _write_store(temporary, settings, logs, plan, old, sources)
    validation = int(samples["validation"].sum())
    return Conversion(
        recordings=len(sources) + (len(old.recordings) if old else 0),
        rows=len(rows),
        episodes=rows["episode"].nunique(),
        frames=frames,
        train=len(samples) - validation,
        validation=validation,
        skips=tuple(plan.skips),
        notices=tuple(plan.notices),
        seconds=time.monotonic() - begun,
        output=settings.output,
    )


def _write_store(
    path: Path, settings: PreprocessSettings, logs: list[Log], plan: _Plan, old: Store | None, sources: list[Source]
) -> tuple[pd.DataFrame, SampleTable, int]:
    """Write the store to `path`; return its rows, its samples and how many frames it holds."""
    capacity = len(plan.files) + (len(old.frames) if old else 0)
    table_bytes = _ROW_BYTES * len(plan.rows) + SAMPLE.itemsize * _most_samples(len(plan.rows), settings.samples)
    table_bytes += _ROW_BYTES * len(old.rows) + old.samples.nbytes if old else 0
    with StoreWriter(path, settings.preprocessing, capacity, table_bytes) as writer:
        if old:
            for start in range(0, len(old.frames), _COPY_FRAMES):
                writer.append(old.frames[start : start + _COPY_FRAMES])
        _write_frames(plan, writer)
        _refuse_many_skips(plan, logs, settings.allow_skips)
        rows, samples = _sample(plan, old, settings.samples)
        recordings = (old.recordings if old else []) + sources
        writer.finish(samples, row_table(rows), recordings, asdict(settings.samples))
        return rows, samples, writer.count


def _most_samples(rows: int, settings: SampleSettings) -> int:
    """Return how many samples so many rows can give at most."""
    return rows * len(settings.cameras) * (settings.previous + 1) * (1 + settings.flip)


def _read_logs(settings: PreprocessSettings, old: Store | None) -> tuple[list[Log], list[Source], list[str]]:
    """Read the logs that the store does not hold yet, and say what each is."""
    known = {recording["sha256"] for recording in old.recordings} if old else set()
    logs, sources, notices = [], [], []
    for path in find_logs(settings.inputs):
        log = read_log(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest in known:
            notices.append(f"{path}: already in the store, or given twice; left out")
            continue
        known.add(digest)
        logs.append(log)
        sources.append({
            "path": str(path), "sha256": digest, "rows": len(log.rows), "bad_rows": len(log.bad_rows),
            "episodes": log.episodes, "dialect": asdict(log.dialect),
        })  # fmt: skip
    if not logs:
        raise UserError(f"{settings.output}: holds all of these recordings already; nothing to add")
    return logs, sources, notices


def _plan_rows(logs: list[Log], cameras: tuple[str, ...], old: Store | None) -> _Plan:
    """Number recordings and episodes on from those of the store, and the image files in order of use."""
    plan = _Plan(pd.DataFrame())
    number_of: dict[str, int] = {}
    recording, episode = len(old.recordings) if old else 0, int(old.rows["episode"].max()) + 1 if old else 0
    tables = []
    for log in logs:
        table = log.rows.drop_duplicates("center", ignore_index=True)
        if len(table) < len(log.rows):
            plan.notices.append(f"{log.path}: {len(log.rows) - len(table)} repeated rows left out")
        plan.skips.extend(Skip(str(log.path), bad.row, bad.reason) for bad in log.bad_rows)
        table = table.assign(recording=recording, episode=table["episode"] + episode)
        index = ImageIndex(log.path)
        for camera in CAMERAS:
            used = camera in cameras
            table[f"frame_{camera}"] = _number_files(plan, number_of, index, log, table, camera) if used else NO_FRAME
        recording, episode = recording + 1, int(table["episode"].max()) + 1
        tables.append(table)
    plan.rows = pd.concat(tables, ignore_index=True)
    return plan


def _number_files(
    plan: _Plan, number_of: dict[str, int], index: ImageIndex, log: Log, table: pd.DataFrame, camera: str
) -> list[int]:
    """Return for each row which of plan.files is its image of this camera, or NO_FRAME."""
    numbers = []
    for line, name in zip(table["line"], table[camera], strict=True):
        path = index.find(name) if name else None
        if name:
            plan.images_named += 1
        if path is None:
            numbers.append(NO_FRAME)
            if name:
                plan.skips.append(Skip(str(log.path), int(line), f"image {name} is missing"))
            continue
        if path not in number_of:
            number_of[path] = len(plan.files)
            plan.files.append(path)
            plan.first_use.append((str(log.path), int(line)))
        numbers.append(number_of[path])
    return numbers


def _write_frames(plan: _Plan, writer: StoreWriter) -> None:
    """Decode the files into the store and let the rows point at the frames that came of it."""
    frame_of = np.full(len(plan.files) + 1, NO_FRAME, np.int64)  # the last is that of NO_FRAME itself
    done = 0
    with Progress("decoding", len(plan.files), "images") as progress:
        for frames, faults in decode_files(plan.files, writer.preprocessing):
            size = len(frames) + len(faults)
            whole = [number for number in range(done, done + size) if number - done not in faults]
            frame_of[whole] = writer.count + np.arange(len(whole))
            writer.append(frames)
            for place, reason in faults.items():
                file, row = plan.first_use[done + place]
                plan.skips.append(Skip(file, row, f"image {Path(plan.files[done + place]).name}: {reason}"))
            done += size
            progress.advance(size, f"{len(plan.rows) * done // len(plan.files)}/{len(plan.rows)} rows")
    for camera in CAMERAS:
        plan.rows[f"frame_{camera}"] = frame_of[plan.rows[f"frame_{camera}"].to_numpy()]


def _refuse_many_skips(plan: _Plan, logs: list[Log], allowed: bool) -> None:
    bad_rows = sum(len(log.bad_rows) for log in logs)
    bad_images = len(plan.skips) - bad_rows
    if bad_images >= plan.images_named:
        places = ", ".join(str(folder) for folder in ImageIndex(logs[0].path).folders)
        first = plan.skips[-1].reason if plan.skips else "no image is named"
        raise UserError(
            f"{logs[0].path}: none of the {plan.images_named} images can be used ({first}); looked in {places}"
        )
    shares = (bad_rows / sum(log.row_count for log in logs), bad_images / plan.images_named)
    if max(shares) > _MOST_SKIPPED and not allowed:
        listed = "\n".join(f"  {skip.file}, row {skip.row}: {skip.reason}" for skip in plan.skips[:10])
        more = f"\n  ... and {len(plan.skips) - 10} more" if len(plan.skips) > 10 else ""
        raise UserError(
            f"{bad_rows} rows and {bad_images} images cannot be used, more than {_MOST_SKIPPED:.0%}; "
            f"mend the recording, or go on without them with --allow-skips:\n{listed}{more}"
        )


def _sample(plan: _Plan, old: Store | None, settings: SampleSettings) -> tuple[pd.DataFrame, SampleTable]:
    """Split the new rows, expand them, and put both behind what the store held."""
    rows = plan.rows
    rows["validation"] = assign_validation(rows, settings)
    samples = build_samples(rows, settings)
    if old:
        samples["row"] += len(old.rows)
        rows = pd.concat([row_frame(old.rows), rows], ignore_index=True)
        samples = np.concatenate([old.samples, samples])
    if not samples["validation"].any() and settings.validation > 0:
        plan.notices.append(
            f"no validation samples: all the driving is one block of {settings.block_seconds:g} s; "
            "record more, or choose a smaller --block-seconds"
        )
    return rows, samples


def stored_settings(path: Path) -> tuple[Preprocessing, SampleSettings]:
    """Return how a store was made, so that what is added is made alike."""
    with Store(path) as store:
        settings = dict(store.sample_settings)
        settings["cameras"] = tuple(settings["cameras"])
        return store.preprocessing, SampleSettings(**settings)
