"""Plan -> store: every distinct image decoded once on all cores, nothing half-written."""

import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from bcclone import atomic
from bcclone.decode import decode_files
from bcclone.images import Preprocessing
from bcclone.preprocess.plan import Plan, make_plan, refuse_many_skips
from bcclone.preprocess.settings import Conversion, PreprocessSettings
from bcclone.progress import Progress
from bcclone.recording import CAMERAS
from bcclone.samples import NO_FRAME, SAMPLE, SampleSettings, SampleTable, assign_validation, build_samples
from bcclone.store import Store, StoreWriter, row_frame, row_table

_COPY_FRAMES = 256
_ROW_BYTES = 400  # of the table of rows, generously


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
        plan = make_plan(settings.inputs, settings.samples.cameras, old)
        if old and plan.rows.empty:
            rows, samples, frames = row_frame(old.rows), old.samples, len(old.frames)
        else:
            temporary = stack.enter_context(atomic.replacing(settings.output))
            rows, samples, frames = _write_store(temporary, settings, plan, old)
    validation = int(samples["validation"].sum())
    return Conversion(
        recordings=rows["recording"].nunique(),
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
    path: Path, settings: PreprocessSettings, plan: Plan, old: Store | None
) -> tuple[pd.DataFrame, SampleTable, int]:
    """Write what the old store held and what is planned; return rows, samples and the number of frames."""
    room = _room(plan, old, settings.samples)
    with StoreWriter(path, settings.preprocessing, *room) as writer:
        if old:
            for start in range(0, len(old.frames), _COPY_FRAMES):
                writer.append(old.frames[start : start + _COPY_FRAMES])
        _write_frames(plan, writer)
        refuse_many_skips(plan, settings.allow_skips)
        rows, samples = _sample(plan, old, settings.samples)
        recordings = (old.recordings if old else []) + plan.sources
        writer.finish(samples, row_table(rows), recordings, asdict(settings.samples))
        return rows, samples, writer.count


def stored_settings(path: Path) -> tuple[Preprocessing, SampleSettings]:
    """Return how a store was made, so that what is added is made alike."""
    with Store(path) as store:
        cameras = tuple(store.sample_settings["cameras"])
        return store.preprocessing, SampleSettings(**(store.sample_settings | {"cameras": cameras}))


def _room(plan: Plan, old: Store | None, settings: SampleSettings) -> tuple[int, int]:
    """Return how many frames, and how many bytes of tables, the store can come to at most."""
    frames, rows = len(plan.files), len(plan.rows)
    samples = rows * len(settings.cameras) * (settings.previous + 1) * (1 + settings.flip)
    if old:
        frames, rows, samples = frames + len(old.frames), rows + len(old.rows), samples + len(old.samples)
    return frames, rows * _ROW_BYTES + samples * SAMPLE.itemsize


def _write_frames(plan: Plan, writer: StoreWriter) -> None:
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
                name = Path(plan.files[done + place]).name
                plan.skip_image(*plan.first_use[done + place], name, f"cannot be used: {reason}")
            done += size
            progress.advance(size, f"{len(plan.rows) * done // len(plan.files)}/{len(plan.rows)} rows")
    for camera in CAMERAS:
        plan.rows[f"frame_{camera}"] = frame_of[plan.rows[f"frame_{camera}"].to_numpy()]


def _sample(plan: Plan, old: Store | None, settings: SampleSettings) -> tuple[pd.DataFrame, SampleTable]:
    """Split the new rows, expand them, and put both behind what the store held."""
    rows, before = plan.rows, row_frame(old.rows) if old else None
    rows["validation"] = assign_validation(rows, settings, before)
    samples = build_samples(rows, settings)
    if old and before is not None:
        samples["row"] += len(before)
        rows = pd.concat([before, rows], ignore_index=True)
        samples = np.concatenate([old.samples, samples])
    if not samples["validation"].any() and settings.validation > 0:
        plan.notices.append(
            f"no validation samples: all the driving is one block of {settings.block_seconds:g} s; "
            "record more, or choose a smaller --block-seconds"
        )
    return rows, samples
