"""Convert recordings into a store of one file, or make their samples without one.

In: `PreprocessSettings`. Out: a store and a `Conversion` that counts it; or `ImageSamples`.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import pandas as pd

from bcclone.dataset.conversion_plan import (
    ConversionPlan,
    frame_numbers,
    make_plan,
    refuse_many_skips,
    with_stored_frames,
)
from bcclone.dataset.labels import knows_road
from bcclone.dataset.preprocess_settings import Conversion, PreprocessSettings, Skip
from bcclone.dataset.preprocessing import Preprocessing, choose_preprocessing
from bcclone.dataset.rows import RowTable, join_rows, row_frame, row_table
from bcclone.dataset.sample_settings import PARTS, TRAINING, VALIDATION, SampleSettings
from bcclone.dataset.samples import (
    SAMPLE,
    SampleTable,
    assign_validation,
    count_samples,
    count_split_pairs,
    sample_chunks,
)
from bcclone.dataset.store import ImageSamples, OpenIfStore, Store, open_if_store
from bcclone.dataset.store_writer import RECORDING_BYTES, StoreWriter, store_files, table_bytes
from bcclone.recording.files import find_logs
from bcclone.system import atomic, file_kinds
from bcclone.system.errors import UserError
from bcclone.system.location import as_local, is_url, parse_location
from bcclone.system.progress import ProgressBar
from bcclone.system.settings import differences

_MANY_SPLIT_PAIRS = 0.05  # fraction of the samples that is worth a notice


@dataclass(frozen=True)
class Written:
    """What a store holds after a conversion.

    rows: all of them; counts: of its samples, see count_samples(); frames: their number; skips: images that could not
    be decoded; notices: for the user.
    """

    rows: RowTable
    counts: Mapping[str, int]
    frames: int
    skips: tuple[Skip, ...] = ()
    notices: tuple[str, ...] = ()

    @classmethod
    def unchanged(cls, old: Store) -> Self:
        """Return what a store holds to which nothing is added."""
        return cls(old.rows, count_samples(old.samples, old.rows), len(old.frames))


class Target(Protocol):
    """Where a conversion writes to: one file, or what bcclone.cluster has for folders of shards."""

    def opened(self) -> AbstractContextManager[Store | None]:
        """Open the store to add to, if any; raises UserError if the output may not be written."""

    def write(
        self, preprocessing: Preprocessing, samples: SampleSettings, plan: ConversionPlan, old: Store | None
    ) -> Written:
        """Write the store, with what the old one holds; raises UserError for many skips."""


def convert(
    settings: PreprocessSettings, notify: Callable[[str], None] = lambda line: None, target: Target | None = None
) -> Conversion:
    """Convert recordings to a store, by default of one file, which has a temporary name until it is complete.

    notify: called with a line for each log that was read. Raises ForeignLog for a file that is not a driving log, and
    UserError for all other problems that the user can fix.
    """
    started = time.monotonic()
    target = target or _OneFile(settings)
    with target.opened() as old:
        preprocessing, samples = _chosen_settings(settings, old)
        plan = make_plan(settings.inputs, samples, old, notify, settings.held_back)
        if plan.rows.empty and old:
            written = Written.unchanged(old)
        else:
            _refuse_rows_of_roads(settings, old)
            written = target.write(preprocessing, samples, plan, old)
    split_pairs = count_split_pairs(written.rows, samples)
    train, validation, test = (written.counts[part] for part in PARTS)
    return Conversion(
        recordings=len(np.unique(written.rows["recording"])),
        rows=len(written.rows),
        episodes=len(np.unique(written.rows["episode"])),
        frames=written.frames,
        train=train,
        validation=validation,
        test=test,
        split_pairs=split_pairs,
        skips=(*plan.skips, *written.skips),
        notices=(*plan.notices, *written.notices, *_split_notices(written, split_pairs, samples)),
        logs=plan.logs_read,
        seconds=time.monotonic() - started,
        output=settings.output,
    )


def _refuse_rows_of_roads(settings: PreprocessSettings, old: Store | None) -> None:
    """Raise UserError if rows would be added to a store of `simulate roads`."""
    if old and knows_road(old.rows) and not settings.force:
        raise UserError(
            f"{settings.output}: a store of simulate roads; with a recording in it, model.py could no longer learn "
            "the path from it (--predict path) nor take windows of frames (--seq-length). Make a store of the "
            "recording alone, with another -o, or add it all the same with --force"
        )


@contextmanager
def open_samples(
    paths: Sequence[str], notify: Callable[[str], None] = lambda line: None, open_if_store: OpenIfStore = open_if_store
) -> Iterator[Store | ImageSamples]:
    """Open the samples of a store, or of recordings (folders or logs), whose images are read in place."""
    if len(paths) == 1 and (opened := open_if_store(parse_location(paths[0]))):
        with opened as store:
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
    plan = make_plan(inputs, settings, None, notify)
    refuse_many_skips(plan, plan.skips, allowed=False)
    rows = plan.rows.assign(validation=assign_validation(plan.rows, settings))
    samples = np.concatenate([np.zeros(0, SAMPLE), *sample_chunks(rows, settings)])
    for line in (*(f"note: {notice}" for notice in plan.notices), *(f"skipped: {skip}" for skip in plan.skips)):
        notify(line)
    digest = hashlib.sha256(preprocessing.digest.encode())
    for recording in plan.recordings:
        digest.update(recording.sha256.encode())
    digest.update(samples.tobytes())
    path = parse_location(plan.logs[0]).parent
    table = row_table(rows)
    return ImageSamples(path, preprocessing, samples, table, plan.files, settings, digest.hexdigest(), plan.recordings)


def _chosen_settings(settings: PreprocessSettings, old: Store | None) -> tuple[Preprocessing, SampleSettings]:
    """Return how images and samples are made: as chosen, else as in the old store, else by default.

    Raises UserError if they are made otherwise in the old store.
    """
    images, samples = (old.preprocessing, old.sample_settings) if old else (Preprocessing(), SampleSettings())
    preprocessing = choose_preprocessing(settings.preprocess, settings.size, settings.preprocessing or images)
    chosen = preprocessing, replace(samples, **settings.samples)
    if settings.validation_recordings and not old:  # they are the validation set, whole
        chosen = preprocessing, replace(chosen[1], validation=0.0)
    if old and chosen != (images, samples):
        raise UserError(
            f"{settings.output} was made with other options; leave them out to add with its own, or make a new store:"
            f"{differences(images, chosen[0])}{differences(samples, chosen[1])}"
        )
    return chosen


def _check_output(settings: PreprocessSettings) -> None:
    """Raise UserError if the output may not be written."""
    if is_url(settings.output):
        raise UserError(f"{settings.output}: one file is written to a local path; name another -o")
    remedy, output = "overwrite it with --force, add to it with --add, or name another -o", as_local(settings.output)
    replaces = output.is_file() and settings.force and not settings.adding
    if replaces and output.resolve() in [log.resolve() for log in find_logs(settings.inputs)]:
        raise UserError(f"{output} is one of the recordings; name another -o")
    file_kinds.check_output(output, "store", settings.force or settings.adding, remedy)


@dataclass(frozen=True)
class _OneFile:
    """A store of one file."""

    settings: PreprocessSettings

    @contextmanager
    def opened(self) -> Iterator[Store | None]:
        _check_output(self.settings)
        with Store(self.settings.output) if self.settings.adding else nullcontext() as old:
            yield old

    def write(
        self, preprocessing: Preprocessing, samples: SampleSettings, plan: ConversionPlan, old: Store | None
    ) -> Written:
        with (
            atomic.replacing(as_local(self.settings.output), follow=True) as temporary,
            StoreWriter(temporary, preprocessing, *_capacity(plan, old, samples)) as writer,
        ):
            if old:
                writer.append_from(old)
                old.close()  # Windows cannot replace a file that is mapped
            first = writer.count
            unusable = _decode_files(plan, writer)
            skips = tuple(plan.skip_of(index, reason) for index, reason in unusable.items())
            refuse_many_skips(plan, (*plan.skips, *skips), self.settings.allow_skips)
            new = with_stored_frames(plan.rows, frame_numbers(len(plan.files), unusable, first))
            new["validation"] = assign_validation(new, samples, row_frame(old.rows) if old else None)
            return replace(_write_tables(writer, plan, new, old, samples), skips=skips)


def _capacity(plan: ConversionPlan, old: Store | None, settings: SampleSettings) -> tuple[int, int]:
    """Return the largest possible number of frames, and of bytes of the tables."""
    frames, space = len(plan.files), table_bytes(plan.rows, settings) + len(plan.recordings) * RECORDING_BYTES
    if old:
        frames += len(old.frames)
        space += table_bytes(row_frame(old.rows).assign(extras=old.extras or ""), settings) + old.samples.nbytes
        space += len(old.recordings) * RECORDING_BYTES
    return frames, space


def _decode_files(plan: ConversionPlan, writer: StoreWriter) -> dict[int, str]:
    """Decode the files of a plan into the store, with a progress bar; return why some are unusable, by index."""
    rows, files = len(plan.rows), len(plan.files)
    with ProgressBar("decoding", files, "images") as progress:

        def advance(count: int) -> None:
            progress.advance(count, f"{rows * (int(progress.done) + count) // files}/{rows} rows")

        return store_files(plan.files, writer, advance)


def _write_tables(
    writer: StoreWriter, plan: ConversionPlan, new: pd.DataFrame, old: Store | None, settings: SampleSettings
) -> Written:
    """Complete the store with the tables of the old store, if any, and those of the new rows."""
    extras, recordings, rows = new["extras"].tolist(), plan.recordings, row_table(new)
    if old:
        extras = [*(old.extras or [""] * len(old.rows)), *extras]
        rows = join_rows([old.rows, rows])
        recordings = (*old.recordings, *recordings)
    counts: Counter[str] = Counter()  # of samples

    def samples() -> Iterator[SampleTable]:
        for chunk in _all_samples(new, old, settings):
            counts.update(count_samples(chunk, rows))
            yield chunk

    writer.finish(samples(), rows, extras if any(extras) else [], recordings, settings)
    return Written(rows, counts, writer.count)


def _all_samples(rows: pd.DataFrame, old: Store | None, settings: SampleSettings) -> Iterator[SampleTable]:
    """Yield the samples of the old store, and then those of the new rows."""
    if old:
        yield old.samples
    for chunk in sample_chunks(rows, settings):
        chunk["row"] += len(old.rows) if old else 0
        yield chunk


def _split_notices(written: Written, split_pairs: int, settings: SampleSettings) -> Iterator[str]:
    """Yield a notice if validation is far from what was asked for, and if the split costs many samples."""
    validation = written.counts[VALIDATION]
    total = written.counts[TRAINING] + validation - written.counts["copies"]
    wanted = settings.validation * total
    if wanted and not wanted / 2 <= validation <= 2 * wanted:
        yield (
            f"{validation} of {total} samples are for validation, where {settings.validation:.0%} were asked "
            f"for: the recording has too few blocks of {settings.block_seconds:g} s; record more, choose a smaller "
            "--block-seconds, or train on all of it with --validation 0"
        )
    if split_pairs > _MANY_SPLIT_PAIRS * (total + split_pairs):
        instead = "--split blocks" if settings.split == "random" else "a longer --block-seconds"
        yield (
            f"{split_pairs} of {total + split_pairs} samples are left out: the split puts their frame on one side and "
            f"their steering, up to {settings.frame_offsets} rows later, on the other; {instead} leaves out fewer"
        )
