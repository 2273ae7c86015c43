"""Convert recordings into a store, or make their samples without one."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bcclone import atomic
from bcclone.decode import decode_files
from bcclone.errors import UserError
from bcclone.images import PRESETS, Preprocessing
from bcclone.preprocess.plan import ConversionPlan, make_plan, refuse_many_skips
from bcclone.preprocess.settings import Conversion, PreprocessSettings
from bcclone.progress import ProgressBar
from bcclone.recording import CAMERAS, find_logs
from bcclone.sample_settings import SampleSettings
from bcclone.samples import NO_FRAME, SAMPLE, SampleTable, assign_validation, count_split_pairs, sample_chunks
from bcclone.settings import differences
from bcclone.store import ImageSamples, Store, StoreWriter, root_attributes, row_frame, row_table

_ROW_BYTES = 150  # the numbers of a row, and HDF5's own data for its further columns
_RECORDING_BYTES = 8192  # a long path and the other fields
_MOST_UTF8_BYTES = 4
_MANY_SPLIT_PAIRS = 0.05  # fraction of the samples that is worth a notice


def convert(settings: PreprocessSettings, notify: Callable[[str], None] = lambda line: None) -> Conversion:
    """Convert recordings to a store, which is written under a temporary name until it is complete.

    notify: called with a line for each log that was read. Raises ForeignLog for a file that is not a driving log, and
    UserError for all other problems that the user can fix.
    """
    started = time.monotonic()
    preprocessing, samples = _chosen(settings)
    _check_output(settings)
    counts = _SampleCounts()
    with ExitStack() as stack:
        old = stack.enter_context(Store(settings.output)) if settings.adding else None
        plan = make_plan(settings.inputs, samples.cameras, old, notify)
        if old and plan.rows.empty:
            rows, frames = row_frame(old.rows), len(old.frames)
            counts.add(old.samples)
        else:
            temporary = stack.enter_context(atomic.replacing(settings.output))
            capacity = _capacity(plan, old, samples)
            writer = stack.enter_context(StoreWriter(temporary, preprocessing, *capacity))
            if old:
                writer.append_from(old)
                old.close()  # Windows cannot replace a file that is mapped
            _decode_frames(plan, writer)
            refuse_many_skips(plan, settings.allow_skips)
            before = row_frame(old.rows) if old else None
            plan.rows["validation"] = assign_validation(plan.rows, samples, before)
            sample_table = counts.counted(_all_samples(plan.rows, old, samples))
            rows, frames = _write_tables(writer, plan, old, sample_table, samples), writer.count
    split_pairs = count_split_pairs(rows, samples)
    plan.notices.extend(_split_notices(counts, split_pairs, samples))
    return Conversion(
        recordings=rows["recording"].nunique(),
        rows=len(rows),
        episodes=rows["episode"].nunique(),
        frames=frames,
        train=counts.train,
        validation=counts.validation,
        split_pairs=split_pairs,
        skips=tuple(plan.skips),
        notices=tuple(plan.notices),
        logs=tuple(plan.logs_read),
        seconds=time.monotonic() - started,
        output=settings.output,
    )


@contextmanager
def open_samples(
    paths: Sequence[str], notify: Callable[[str], None] = lambda line: None
) -> Iterator[Store | ImageSamples]:
    """Open the samples of a store, or of recordings (folders or logs), whose images are read in place."""
    if len(paths) == 1 and not Path(paths[0]).is_dir() and Path(paths[0]).suffix != ".csv":
        with Store(Path(paths[0])) as store:
            yield store
        return
    yield open_in_place(tuple(paths), Preprocessing(), SampleSettings(), notify)


def open_in_place(
    inputs: tuple[str, ...],
    preprocessing: Preprocessing,
    settings: SampleSettings,
    notify: Callable[[str], None] = lambda line: None,
) -> ImageSamples:
    """Make the samples of recordings without a store; their image files are read when they are used.

    No image is opened here, so a damaged image is found only when it is used. notify: called with a line for each log,
    each notice and each skipped row or image. Raises UserError, and ForeignLog for a file that is not a driving log.
    """
    plan = make_plan(inputs, settings.cameras, None, notify)
    refuse_many_skips(plan, allowed=False)
    plan.rows["validation"] = assign_validation(plan.rows, settings)
    samples = np.concatenate([np.zeros(0, SAMPLE), *sample_chunks(plan.rows, settings)])
    for line in (*(f"note: {notice}" for notice in plan.notices), *(f"skipped: {skip}" for skip in plan.skips)):
        notify(line)
    digest = hashlib.sha256(preprocessing.digest.encode())
    for recording in plan.recordings:
        digest.update(recording.sha256.encode())
    digest.update(samples.tobytes())
    path = Path(plan.logs[0]).parent
    rows = row_table(plan.rows.drop(columns="extras"))
    return ImageSamples(path, preprocessing, samples, rows, plan.files, settings, digest.hexdigest())


def choose_samples(settings: PreprocessSettings, **values: Any) -> PreprocessSettings:
    """Return the settings with some values of SampleSettings; the others are those of the store, or defaults."""
    return replace(settings, samples=replace(_defaults(settings)[1], **values))


def _defaults(settings: PreprocessSettings) -> tuple[Preprocessing, SampleSettings]:
    """Return how images and samples are made where nothing is chosen: as in the store that is added to, if any."""
    if not settings.adding:
        return Preprocessing(), SampleSettings()
    with Store(settings.output) as store:
        return store.preprocessing, store.sample_settings


def _chosen(settings: PreprocessSettings) -> tuple[Preprocessing, SampleSettings]:
    """Return how images and samples are made; raises UserError if they are made otherwise in a store to add to."""
    images, samples = _defaults(settings)
    chosen = settings.preprocessing or images, settings.samples or samples
    if settings.preprocess:
        chosen = PRESETS[settings.preprocess], chosen[1]
    if settings.size:
        width, height = settings.size
        chosen = replace(chosen[0], width=width, height=height), chosen[1]
    if settings.adding and chosen != (images, samples):
        raise UserError(
            f"{settings.output} was made with other options; leave them out to add with its own, or make a new store:"
            f"{differences(images, chosen[0])}{differences(samples, chosen[1])}"
        )
    return chosen


def _check_output(settings: PreprocessSettings) -> None:
    remedy = "overwrite it with --force, add to it with --add, or name another -o"
    atomic.check_output(settings.output, settings.force or settings.adding, remedy)
    if settings.output.exists() and not settings.adding:
        if settings.output.resolve() in [log.resolve() for log in find_logs(settings.inputs)]:
            raise UserError(f"{settings.output} is one of the recordings; name another -o")
        if "model_config" in root_attributes(settings.output):
            raise UserError(f"{settings.output} is a model; name another -o")


def _capacity(plan: ConversionPlan, old: Store | None, settings: SampleSettings) -> tuple[int, int]:
    """Return the largest possible number of frames, and of bytes of the tables."""
    frames, rows = len(plan.files), len(plan.rows)
    samples = rows * len(settings.cameras) * (settings.frame_offsets + 1) * (1 + settings.flip)
    names = sum(int(plan.rows[camera].str.len().max()) for camera in CAMERAS) * _MOST_UTF8_BYTES
    extras = int(plan.rows["extras"].str.len().sum()) * _MOST_UTF8_BYTES
    if old:
        frames, rows, samples = frames + len(old.frames), rows + len(old.rows), samples + len(old.samples)
        extras += sum(map(len, old.extras)) * _MOST_UTF8_BYTES
    recordings = len(plan.recordings) + (len(old.recordings) if old else 0)
    tables = rows * (_ROW_BYTES + names) + samples * SAMPLE.itemsize + recordings * _RECORDING_BYTES
    return frames, tables + extras


def _decode_frames(plan: ConversionPlan, writer: StoreWriter) -> None:
    """Decode the files into the store, and replace the indices of files in the rows by those of frames."""
    frame_of = np.full(len(plan.files) + 1, NO_FRAME, np.int64)  # the last element is that of NO_FRAME
    done = 0
    with ProgressBar("decoding", len(plan.files), "images") as progress:
        for decoded in decode_files(plan.files, writer.preprocessing):
            size = len(decoded.frames) + len(decoded.errors)
            readable = [index for index in range(done, done + size) if index - done not in decoded.errors]
            frame_of[readable] = writer.count + np.arange(len(readable))
            writer.append(decoded.frames, decoded.checksums)
            for index, reason in decoded.errors.items():
                plan.skip_file(done + index, reason)
            done += size
            progress.advance(size, f"{len(plan.rows) * done // len(plan.files)}/{len(plan.rows)} rows")
    for camera in CAMERAS:
        plan.rows[f"frame_{camera}"] = frame_of[plan.rows[f"frame_{camera}"].to_numpy()]


def _all_samples(rows: pd.DataFrame, old: Store | None, settings: SampleSettings) -> Iterator[SampleTable]:
    """Yield the samples of the old store, and then those of the new rows."""
    if old:
        yield old.samples
    for chunk in sample_chunks(rows, settings):
        chunk["row"] += len(old.rows) if old else 0
        yield chunk


def _write_tables(
    writer: StoreWriter,
    plan: ConversionPlan,
    old: Store | None,
    samples: Iterable[SampleTable],
    settings: SampleSettings,
) -> pd.DataFrame:
    """Write the tables of the old store and of the plan; return all rows."""
    extras, rows, recordings = plan.rows.pop("extras").tolist(), plan.rows, plan.recordings
    if old:
        extras = (old.extras or [""] * len(old.rows)) + extras
        rows = pd.concat([row_frame(old.rows), rows], ignore_index=True)
        recordings = old.recordings + recordings
    writer.finish(samples, row_table(rows), extras if any(extras) else [], recordings, settings)
    return rows


@dataclass
class _SampleCounts:
    """Counts samples on each side of the split."""

    train: int = 0
    validation: int = 0

    def add(self, samples: SampleTable) -> None:
        validation = int(samples["validation"].sum())
        self.train, self.validation = self.train + len(samples) - validation, self.validation + validation

    def counted(self, chunks: Iterable[SampleTable]) -> Iterator[SampleTable]:
        """Yield the chunks, and count them."""
        for chunk in chunks:
            self.add(chunk)
            yield chunk


def _split_notices(counts: _SampleCounts, split_pairs: int, settings: SampleSettings) -> Iterator[str]:
    """Yield a notice if validation is far from what was asked for, and if the split costs many samples."""
    total = counts.train + counts.validation
    wanted = settings.validation * total
    if not wanted / 2 <= counts.validation <= 2 * wanted:
        yield (
            f"{counts.validation} of {total} samples are for validation, where {settings.validation:.0%} were asked "
            f"for: the recording has too few blocks of {settings.block_seconds:g} s; record more, or choose a smaller "
            "--block-seconds"
        )
    if split_pairs > _MANY_SPLIT_PAIRS * (total + split_pairs):
        instead = "--split blocks" if settings.split == "random" else "a longer --block-seconds"
        yield (
            f"{split_pairs} of {total + split_pairs} samples are left out: the split puts their frame on one side and "
            f"their steering, up to {settings.frame_offsets} rows later, on the other; {instead} leaves out fewer"
        )
