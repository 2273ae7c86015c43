"""Convert recordings into a store, or make their samples without one.

In: `PreprocessSettings`. Out: a store and a `Conversion` that counts it; or `ImageSamples`. A
conversion has three steps: plan, write, count.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from bcclone.dataset.conversion_notices import recording_notices, split_notices
from bcclone.dataset.conversion_plan import ConversionPlan, LogRead, make_plan
from bcclone.dataset.conversion_target import NO_CHECKSUMS, Target, Written, one_file
from bcclone.dataset.labels import knows_road
from bcclone.dataset.preprocessing import Preprocessing, choose_preprocessing
from bcclone.dataset.rows import row_table
from bcclone.dataset.sample_settings import (
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
from bcclone.system.errors import UserError, number_of, shown_command
from bcclone.system.location import Location, parse_location
from bcclone.system.process import Notify
from bcclone.system.settings import differences


@dataclass(frozen=True)
class Conversion:
    """The result of a conversion."""

    # numbers in the whole store, with what it held before
    recordings: int
    rows: int
    episodes: int
    frames: int
    # numbers of samples
    train: int
    validation: int
    test: int
    # left out because the split puts their frame on one side and their steering on the other
    split_pairs: int
    skips: tuple[Skip, ...]  # rows and images that were left out because they cannot be used
    notices: tuple[str, ...]  # warnings for the user
    logs: tuple[LogRead, ...]  # the logs that this conversion read
    seconds: float  # duration of the conversion
    output: Location  # the store

    @classmethod
    def of(
        cls, store: Store, plan: ConversionPlan, written: Written, output: Location, started: float
    ) -> Self:
        """Count what the whole store holds now.

        started: time.monotonic() when the conversion began
        """
        samples = store.sample_settings
        counts = count_samples(store.samples, store.rows)
        split_pairs = count_split_pairs(store.rows, samples)
        notices = (
            *plan.notices,
            *written.notices,
            *recording_notices(store, written.checksums),
            *split_notices(counts, split_pairs, samples),
        )
        return cls(
            recordings=len(np.unique(store.rows["recording"])),
            rows=len(store.rows),
            episodes=len(np.unique(store.rows["episode"])),
            frames=len(store.frames),
            train=counts[TRAINING],
            validation=counts[VALIDATION],
            test=counts[TEST],
            split_pairs=split_pairs,
            skips=written.skips,
            notices=notices,
            logs=plan.logs_read,
            seconds=time.monotonic() - started,
            output=output,
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "recordings": self.recordings,
            "rows": self.rows,
            "episodes": self.episodes,
            "frames": self.frames,
            "logs": [asdict(log) for log in self.logs],
            "samples": {"train": self.train, "validation": self.validation, "test": self.test},
            "torn": self.split_pairs,  # this key's name is known to users
            "skipped": len(self.skips),
            "seconds": round(self.seconds, 3),
            "output": str(self.output),
        }

    def as_text(self) -> str:
        """Return the counts in words, and the next command."""
        return (
            f"{self.output}: {number_of(self.recordings, 'recording')}, {self.rows} rows in "
            f"{number_of(self.episodes, 'episode')}, {self.frames} frames, "
            f"{self.train} training, {self.validation} validation and {self.test} test samples, "
            f"{len(self.skips)} skipped; it took {self.seconds:.1f} s\n"
            f"next: {shown_command('model', self.output, '-o', 'model.h5')}"
        )


def convert(settings: PreprocessSettings, notify: Notify = lambda line: None) -> Conversion:
    """Convert recordings to a store of one file, which appears when it is complete.

    Raises ForeignLog for a file that is not a driving log, and UserError for all other problems
    that the user can fix.

    notify: called with a line for each log that was read
    """
    return convert_into(settings, one_file(settings), notify)


def convert_into(
    settings: PreprocessSettings, target: AbstractContextManager[Target], notify: Notify
) -> Conversion:
    """Convert recordings to the store that a target writes; raises what convert() raises.

    target: locks the output while its `with` block runs; what is at settings.output afterwards is
        the store
    """
    started = time.monotonic()
    with target as output:
        old = output.old
        preprocessing, samples = _chosen_settings(settings, old)
        held_back = {TEST: settings.test_recordings, VALIDATION: settings.validation_recordings}
        plan = make_plan(settings.inputs, samples, old, notify, held_back)
        if old and plan.rows.empty:  # it has all of the rows already
            unchanged = Written(plan.skips, NO_CHECKSUMS)
            return Conversion.of(old, plan, unchanged, settings.output, started)

        if old and not settings.force:
            _check_keeps_road(old, settings.output)
        written = output.write(preprocessing, samples, plan)

        with Store(settings.output, written.content) as store:
            return Conversion.of(store, plan, written, settings.output, started)


def _check_keeps_road(old: Store, output: Location) -> None:
    """Raise UserError if the old store is of random roads: a recording must not be added to it.

    Its rows know the path of the road, which rows of recordings lack.
    """
    if knows_road(old.rows):
        raise UserError(
            f"{output}: a store of random roads; with a recording in it, model.py could no "
            "longer learn the path from it (--predict path) nor take windows of frames "
            "(--seq-length). Make a store of the recording alone, with another -o, or add it all "
            "the same with --force"
        )


@contextmanager
def open_samples(
    paths: Sequence[str], notify: Notify = lambda line: None
) -> Iterator[Store | ImageSamples]:
    """Open the samples of a store, or of recordings (folders or logs), whose images stay files."""
    store = open_if_store(parse_location(paths[0])) if len(paths) == 1 else None
    if store:
        with store:
            yield store
    else:
        yield open_in_place(tuple(paths), Preprocessing(), SampleSettings(), notify)


def open_in_place(
    inputs: tuple[str, ...],
    preprocessing: Preprocessing,
    settings: SampleSettings,
    notify: Notify = lambda line: None,
) -> ImageSamples:
    """Make the samples of recordings without a store.

    No image is opened here, so a damaged image is found only when it is used. Raises UserError, and
    ForeignLog for a file that is not a driving log.

    notify: called with a line for each log, each notice and each skipped row or image.
    """
    plan = make_plan(inputs, settings, None, notify)
    skips = plan.skips_with({}, allowed=False)
    for notice in plan.notices:
        notify(f"note: {notice}")
    for skip in skips:
        notify(f"skipped: {skip}")

    no_samples = np.zeros(0, SAMPLE)
    samples = np.concatenate([no_samples, *sample_chunks(plan.rows, settings)])
    digest = hashlib.sha256(preprocessing.digest.encode())
    for recording in plan.recordings:
        digest.update(recording.sha256.encode())
    digest.update(samples.tobytes())
    return ImageSamples(
        path=parse_location(plan.logs[0]).parent,
        preprocessing=preprocessing,
        samples=samples,
        rows=row_table(plan.rows),
        files=plan.files,
        sample_settings=settings,
        content_hash=digest.hexdigest(),
        recordings=plan.recordings,
    )


def _chosen_settings(
    settings: PreprocessSettings, old: Store | None
) -> tuple[Preprocessing, SampleSettings]:
    """Return how images and samples are made: as the user chose, else as in the old store.

    What neither decides has its default. Raises UserError if the old store was made in another way.
    """
    earlier_images = old.preprocessing if old else Preprocessing()
    samples = old.sample_settings if old else SampleSettings()
    chosen_images = choose_preprocessing(
        settings.preprocess, settings.size, settings.preprocessing or earlier_images
    )
    chosen_samples = replace(samples, **settings.chosen_samples)
    # these recordings alone are the validation set of a new store; an old one keeps its fraction
    if settings.validation_recordings and not old:
        chosen_samples = replace(chosen_samples, validation=0.0)
    if old and (chosen_images != earlier_images or chosen_samples != samples):
        raise UserError(
            f"{settings.output} was made with other options; leave them out to add with its own, "
            "or make a new store:"
            f"{differences(earlier_images, chosen_images)}{differences(samples, chosen_samples)}"
        )
    return chosen_images, chosen_samples
