"""Convert recordings into a store of one file, or make their samples without one.

In: `PreprocessSettings`. Out: a store and a `Conversion` that counts it; or `ImageSamples`.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bcclone.dataset.conversion_plan import ConversionPlan, LogRead, StorePart, make_plan
from bcclone.dataset.labels import FEWEST_STEERED, LOST_STEERING, knows_road
from bcclone.dataset.preprocessing import Preprocessing, choose_preprocessing
from bcclone.dataset.rows import FRAME_COLUMNS, NO_FRAME, row_table
from bcclone.dataset.sample_settings import (
    PARTS,
    TEST,
    TRAINING,
    VALIDATION,
    PreprocessSettings,
    SampleSettings,
)
from bcclone.dataset.samples import SAMPLE, count_samples, count_split_pairs, sample_chunks
from bcclone.dataset.shards import open_if_store
from bcclone.dataset.skips import Skip
from bcclone.dataset.store import ImageSamples, Store
from bcclone.dataset.store_writer import write_store
from bcclone.system import atomic
from bcclone.system.errors import UserError, number_of, shown_command
from bcclone.system.location import Location, as_local, is_url, parse_location
from bcclone.system.output import STORE, inputs_of, writing
from bcclone.system.progress import Notify, ProgressBar
from bcclone.system.settings import differences
from bcclone.system.statistics import constant

_MANY_SPLIT_PAIRS, _MANY_EQUAL = (
    0.05,
    0.05,
)  # fractions of the samples and of the rows that are worth a notice
NO_CHECKSUMS = np.zeros(0, np.uint32)


@dataclass(frozen=True)
class Conversion:
    """The result of a conversion.

    recordings, rows, episodes, frames, train, validation, test: counts of the whole store, the last
    three of samples; logs: the logs that were read; skips: rows and images that were left out;
    notices: warnings; split_pairs: number of samples left out because the split puts their frame on
    one side and their steering on the other.
    """

    recordings: int
    rows: int
    episodes: int
    frames: int
    train: int
    validation: int
    test: int
    split_pairs: int
    skips: tuple[Skip, ...]
    notices: tuple[str, ...]
    logs: tuple[LogRead, ...]
    seconds: float
    output: Location

    def as_json(self) -> dict[str, Any]:
        return {
            "recordings": self.recordings,
            "rows": self.rows,
            "episodes": self.episodes,
            "frames": self.frames,
            "logs": [asdict(log) for log in self.logs],
            "samples": {"train": self.train, "validation": self.validation, "test": self.test},
            "torn": self.split_pairs,
            "skipped": len(self.skips),
            "seconds": round(self.seconds, 3),
            "output": str(self.output),
        }

    def as_text(self) -> str:
        """Return the counts in words, and the next command."""
        return (
            f"{self.output}: {number_of(self.recordings, 'recording')}, {self.rows} rows in "
            f"{number_of(self.episodes, 'episode')}, {self.frames} frames, {self.train} training, {self.validation} "
            f"validation and {self.test} test samples, {len(self.skips)} skipped; it took {self.seconds:.1f} s\n"
            f"next: {shown_command('model', self.output, '-o', 'model.h5')}"
        )


@dataclass(frozen=True)
class Written:
    """A store after a conversion.

    skips: rows and images that were left out; checksums: of each frame, (frames,), empty if none
    was added; notices: for the user.
    """

    store: Store
    skips: tuple[Skip, ...]
    checksums: npt.NDArray[np.uint32]
    notices: tuple[str, ...] = ()


@dataclass
class OneFile:
    """Where a conversion writes to: one file; bcclone.cluster has a subclass for folders of shards."""

    settings: PreprocessSettings

    @contextmanager
    def opened(self) -> Iterator[Store | None]:
        """Open the store to add to, if any; raises UserError if the output may not be written."""
        settings = self.settings
        if is_url(settings.output):
            raise UserError(
                f"{settings.output}: one file is written to a local path; name another -o"
            )
        output, adding = as_local(settings.output), settings.adding
        remedy = "overwrite it with --force, add to it with --add, or name another -o"
        with (
            writing(output, STORE, settings.force or adding, inputs_of(settings), remedy),
            Store(output) if adding else nullcontext() as old,
        ):
            yield old

    def write(
        self,
        preprocessing: Preprocessing,
        samples: SampleSettings,
        plan: ConversionPlan,
        old: Store | None,
    ) -> Written:
        """Write the store, behind the content of the old one, and open it; raises UserError for
        many skips.
        """
        rows, files = len(plan.rows), len(plan.files)
        part = StorePart(preprocessing, samples, plan.rows, plan.files, plan.recordings)
        with (
            atomic.replacing(as_local(self.settings.output), follow=True) as temporary,
            ProgressBar("decoding", files, "images") as progress,
        ):

            def advance(count: int) -> None:
                progress.advance(
                    count, f"{rows * (int(progress.done) + count) // files}/{rows} rows"
                )

            unusable, checksums = write_store(temporary, part, old, advance)
            skips = plan.skips_with(unusable, self.settings.allow_skips)
            if old:
                old.close()  # Windows cannot replace a file that is mapped
        return Written(Store(self.settings.output), skips, checksums)


def convert(
    settings: PreprocessSettings, notify: Notify = lambda line: None, target: OneFile | None = None
) -> Conversion:
    """Convert recordings to a store, by default of one file, which has a temporary name until it is
    complete.

    notify: called with a line for each log that was read. Raises ForeignLog for a file that is not
    a driving log, and UserError for all other problems that the user can fix.
    """
    started = time.monotonic()
    target = target or OneFile(settings)
    with target.opened() as old:
        preprocessing, samples = _chosen_settings(settings, old)
        held_back = {TEST: settings.test_recordings, VALIDATION: settings.validation_recordings}
        plan = make_plan(settings.inputs, samples, old, notify, held_back)
        if plan.rows.empty and old:
            written = Written(old, plan.skips, NO_CHECKSUMS)
        else:
            if old and knows_road(old.rows) and not settings.force:
                raise UserError(
                    f"{settings.output}: a store of simulate roads; with a recording in it, model.py could no longer "
                    "learn the path from it (--predict path) nor take windows of frames (--seq-length). Make a store "
                    "of the recording alone, with another -o, or add it all the same with --force"
                )
            written = target.write(preprocessing, samples, plan, old)
        with written.store as store:
            counts, split_pairs = (
                count_samples(store.samples, store.rows),
                count_split_pairs(store.rows, samples),
            )
            return Conversion(
                recordings=len(np.unique(store.rows["recording"])),
                rows=len(store.rows),
                episodes=len(np.unique(store.rows["episode"])),
                frames=len(store.frames),
                **{
                    name: counts[part]
                    for name, part in zip(("train", "validation", "test"), PARTS, strict=True)
                },
                split_pairs=split_pairs,
                skips=written.skips,
                notices=(
                    *plan.notices,
                    *written.notices,
                    *_recording_notices(store, written.checksums),
                    *_split_notices(counts, split_pairs, samples),
                ),
                logs=plan.logs_read,
                seconds=time.monotonic() - started,
                output=settings.output,
            )


@contextmanager
def open_samples(
    paths: Sequence[str], notify: Notify = lambda line: None
) -> Iterator[Store | ImageSamples]:
    """Open the samples of a store, or of recordings (folders or logs), whose images are read in
    place.
    """
    if len(paths) == 1 and (opened := open_if_store(parse_location(paths[0]))):
        with opened as store:
            yield store
        return
    yield open_in_place(tuple(paths), Preprocessing(), SampleSettings(), notify)


def open_in_place(
    inputs: tuple[str, ...],
    preprocessing: Preprocessing,
    settings: SampleSettings,
    notify: Notify = lambda line: None,
) -> ImageSamples:
    """Make the samples of recordings without a store; their image files are read when they are
    used.

    No image is opened here, so a damaged image is found only when it is used. notify: called with a
    line for each log, each notice and each skipped row or image. Raises UserError, and ForeignLog
    for a file that is not a driving log.
    """
    plan = make_plan(inputs, settings, None, notify)
    skips = plan.skips_with({}, allowed=False)
    samples = np.concatenate([np.zeros(0, SAMPLE), *sample_chunks(plan.rows, settings)])
    for line in (
        *(f"note: {notice}" for notice in plan.notices),
        *(f"skipped: {skip}" for skip in skips),
    ):
        notify(line)
    digest = hashlib.sha256(preprocessing.digest.encode())
    for recording in plan.recordings:
        digest.update(recording.sha256.encode())
    digest.update(samples.tobytes())
    path, table = parse_location(plan.logs[0]).parent, row_table(plan.rows)
    return ImageSamples(
        path,
        preprocessing,
        samples,
        table,
        plan.files,
        settings,
        digest.hexdigest(),
        plan.recordings,
    )


def _chosen_settings(
    settings: PreprocessSettings, old: Store | None
) -> tuple[Preprocessing, SampleSettings]:
    """Return how images and samples are made: as chosen, else as in the old store, else by default.

    Raises UserError if the old store was made in another way.
    """
    images, samples = (
        (old.preprocessing, old.sample_settings) if old else (Preprocessing(), SampleSettings())
    )
    preprocessing = choose_preprocessing(
        settings.preprocess, settings.size, settings.preprocessing or images
    )
    chosen = preprocessing, replace(samples, **settings.samples)
    if settings.validation_recordings and not old:  # they are the validation set, whole
        chosen = preprocessing, replace(chosen[1], validation=0.0)
    if old and chosen != (images, samples):
        raise UserError(
            f"{settings.output} was made with other options; leave them out to add with its own, or make a new store:"
            f"{differences(images, chosen[0])}{differences(samples, chosen[1])}"
        )
    return chosen


def _recording_notices(store: Store, checksums: npt.NDArray[np.uint32]) -> Iterator[str]:
    """Yield a notice for each recording with nothing to learn from, and for each that seems to be a
    copy.

    checksums: of each frame, (frames,), or none.
    """
    numbers = store.rows["recording"].astype(np.int64)
    again = np.zeros(len(numbers), np.bool_)
    if len(checksums):
        frames = np.max([store.rows[name] for name in FRAME_COLUMNS], axis=0)  # one of each row
        shown = np.flatnonzero(frames != NO_FRAME)
        _, first, place = np.unique(
            checksums[frames[shown]], return_index=True, return_inverse=True
        )
        again[shown] = numbers[shown] > numbers[shown][first[place]]
    for rows in np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(numbers)) + 1):
        path, count, equal = (
            store.recordings[numbers[rows[0]]].path,
            len(rows),
            int(again[rows].sum()),
        )
        same = constant(store.rows["steering"][rows])
        if same and (count >= FEWEST_STEERED or count == len(numbers)):
            yield f"{path}: the steering is {same[1]}, so nothing can be learned from it; {LOST_STEERING}"
        if equal > _MANY_EQUAL * count:
            yield (
                f"{path}: {equal} of its {count} frames equal frames of recordings before it; if this is a copy, make "
                "the store without it, since its samples count twice"
            )


def _split_notices(
    counts: Mapping[str, int], split_pairs: int, settings: SampleSettings
) -> Iterator[str]:
    """Yield a notice if validation is far from the fraction that was asked for, and if the split
    costs many samples.

    counts: as count_samples() returns them.
    """
    validation = counts[VALIDATION]
    total = counts[TRAINING] + validation - counts["copies"]
    wanted = settings.validation * total
    if wanted and not wanted / 2 <= validation <= 2 * wanted:
        yield (
            f"{validation} of {total} samples are for validation, where {settings.validation:.0%} were asked "
            f"for: the recording has too few blocks of {settings.block_seconds:g} s; record more, choose a smaller "
            "--block-seconds, hold back its end with --split end, or train on all of it with --validation 0"
        )
    if split_pairs > _MANY_SPLIT_PAIRS * (total + split_pairs):
        instead = "a longer --block-seconds" if settings.split == "blocks" else "--split blocks"
        yield (
            f"{split_pairs} of {total + split_pairs} samples are left out: the split puts their frame on one side and "
            f"their steering, up to {settings.frame_offsets} rows later, on the other; {instead} leaves out fewer"
        )
