"""Convert recordings into a store, or make their samples without one.

In: `PreprocessSettings`. Out: a store and a `Conversion` that counts it. A conversion has three
steps: plan, write, count.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from bcclone.dataset.frames import ImageFiles
from bcclone.dataset.labels import FEWEST_STEERED, LOST_STEERING
from bcclone.dataset.plan import LogRead, Plan, UnfitImages, make_plan, none_unfit
from bcclone.dataset.preprocessing import Preprocessing, choose_preprocessing
from bcclone.dataset.sample_settings import (
    BLOCKS,
    TEST,
    TRAINING,
    VALIDATION,
    PreprocessSettings,
    SampleSettings,
    is_sharded,
)
from bcclone.dataset.samples import (
    SAMPLE,
    row_table,
    sample_chunks,
    torn_samples,
)
from bcclone.dataset.shard_writer import check_folder, write_shards
from bcclone.dataset.shards import open_if_store, open_store
from bcclone.dataset.store import RecordingInfo, Store
from bcclone.dataset.writer import write_store
from bcclone.system.errors import UserError, number_of
from bcclone.system.files import BUSY, STORE, inputs_of, locked, replacing, writing
from bcclone.system.location import Location, as_local, is_url, parse_location
from bcclone.system.pool import open_pool
from bcclone.system.progress import Notify, ProgressBar
from bcclone.system.settings import differences
from bcclone.system.statistics import constant

# a notice says so where the part held back differs by more than this share of what was asked for
_FAR_FROM_ASKED = 0.25
_MANY_TORN = 0.05  # share of the samples; fewer that the split leaves out need no notice


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
    skips: tuple[str, ...]  # rows and images that were left out because they cannot be used
    notices: tuple[str, ...]  # warnings for the user
    logs: Sequence[LogRead]  # as Plan.logs_read
    seconds: float  # duration of the conversion
    output: Location  # the store
    preprocessing: Preprocessing  # of its frames
    sources: Sequence[RecordingInfo]  # the recordings of the whole store
    driven_seconds: float  # of the whole store, without pauses
    has_take_overs: bool  # whether a person took over from a model in a new row

    def as_json(self) -> dict[str, Any]:
        return {
            "recordings": self.recordings,
            "rows": self.rows,
            "episodes": self.episodes,
            "frames": self.frames,
            "logs": [asdict(log) for log in self.logs],
            "samples": {"train": self.train, "validation": self.validation, "test": self.test},
            "skipped": len(self.skips),
            "seconds": round(self.seconds, 3),
            "output": str(self.output),
        }

    def as_text(self) -> str:
        """Return the counts in words."""
        return (
            f"{self.output}: {number_of(self.recordings, 'recording')}, {self.rows} rows in "
            f"{number_of(self.episodes, 'episode')}, {self.frames} frames, "
            f"{self.train} training, {self.validation} validation and {self.test} test samples, "
            f"{len(self.skips)} skipped; it took {self.seconds:.1f} s"
        )


def convert(
    settings: PreprocessSettings,
    notify: Notify = lambda line: None,
    unfit: UnfitImages = none_unfit,
) -> Conversion:
    """Convert recordings to a store, a file or a folder of shards, complete or not there at all.

    Raises ForeignLog for a file that is not a driving log, and UserError for all other problems
    that the user can fix.

    notify: called with a line for each log that was read
    unfit: as make_plan() takes it
    """
    started = time.monotonic()
    output = settings.output
    to_shards = is_sharded(output)
    with ExitStack() as stack:
        may_exist = settings.force or settings.add
        if not to_shards:
            remedy = "overwrite it with --force, add to it with --add, or name another -o"
            stack.enter_context(
                writing(as_local(output), STORE, may_exist, inputs_of(settings), remedy)
            )
        elif not is_url(output):
            stack.enter_context(locked(as_local(output), BUSY))
        old = stack.enter_context(open_store(output)) if settings.add else None
        if to_shards:
            check_folder(output, may_exist, settings.resume)
            # connect to a cluster now: a fault should not show only after hours of reading logs
            pool = stack.enter_context(open_pool(settings.jobs, settings.scheduler))

        preprocessing, samples = _chosen_settings(settings, old)
        held_back = {TEST: settings.test_recordings, VALIDATION: settings.validation_recordings}
        plan = make_plan(settings.inputs, samples, old, notify, held_back, unfit)
        notices: list[str] = [*plan.notices]
        if old and plan.rows.empty:  # it has all of the rows already
            store = old
            skips = tuple(plan.skips)
        elif to_shards:
            store, skips = write_shards(settings, preprocessing, samples, plan, old, pool)
        else:
            skips = _write_file(settings, preprocessing, samples, plan, old)
            store = open_store(output)

        with store:
            notices += _lost_steering(store)
            notices += _split_notices(store)
            return Conversion(
                recordings=len(np.unique(store.rows["recording"])),
                rows=len(store.rows),
                episodes=len(np.unique(store.rows["episode"])),
                frames=len(store.frames),
                train=len(store.split_indices(TRAINING)),
                validation=len(store.split_indices(VALIDATION)),
                test=len(store.split_indices(TEST)),
                skips=skips,
                notices=tuple(notices),
                logs=plan.logs_read,
                seconds=time.monotonic() - started,
                output=output,
                preprocessing=store.preprocessing,
                sources=store.recordings,
                driven_seconds=_driven_seconds(store),
                has_take_overs="take_over" in plan.rows and bool(plan.rows["take_over"].any()),
            )


def _driven_seconds(store: Store) -> float:
    """Return how long the rows of a store were driven, without the time between episodes."""
    steps = np.diff(store.rows["time_ms"].astype(np.int64))
    within = np.diff(store.rows["episode"]) == 0
    return float(steps[within].sum()) / 1000


def _write_file(
    settings: PreprocessSettings,
    preprocessing: Preprocessing,
    samples: SampleSettings,
    plan: Plan,
    old: Store | None,
) -> tuple[str, ...]:
    """Write the store of one file: first what the old store has, then what the plan adds.

    An old store is as it was until all is written. Returns the rows and images that were left out.
    """
    with (
        replacing(as_local(settings.output), follow=True) as temporary,
        ProgressBar("decoding", len(plan.files), "images") as progress,
    ):
        unusable, _ = write_store(
            temporary,
            preprocessing,
            samples,
            plan.rows,
            plan.files,
            plan.recordings,
            old=old,
            on_progress=progress.advance,
        )
        skips = plan.skips_with(unusable, settings.allow_skips)
        if old:
            old.frames.close()  # Windows cannot replace a file that is mapped
    return skips


def _chosen_settings(
    settings: PreprocessSettings, old: Store | None
) -> tuple[Preprocessing, SampleSettings]:
    """Return how images and samples are made: as in the old store, or else as the user chose.

    Raises UserError if the user chose what the old store has otherwise.
    """
    images = old.preprocessing if old else Preprocessing()
    samples = old.sample_settings if old else SampleSettings()
    chosen_images = choose_preprocessing(
        settings.preprocess, settings.size, settings.preprocessing or images
    )
    chosen_samples = replace(samples, **settings.chosen_samples)
    if not old:
        # these recordings alone are the validation set of a new store
        if settings.validation_recordings:
            chosen_samples = replace(chosen_samples, validation=0.0)
    elif chosen_images != images or chosen_samples != samples:
        raise UserError(
            f"{settings.output} was made with other options; leave them out to add with its own, "
            "or make a new store:"
            f"{differences(images, chosen_images)}{differences(samples, chosen_samples)}"
        )
    return chosen_images, chosen_samples


# ---- without a store


def open_samples(paths: Sequence[str], notify: Notify = lambda line: None) -> Store:
    """Open the samples of a store, or of recordings (folders or logs), whose images stay files."""
    store = open_if_store(parse_location(paths[0])) if len(paths) == 1 else None
    return store or open_in_place(tuple(paths), Preprocessing(), SampleSettings(), notify)


def open_in_place(
    inputs: tuple[str, ...],
    preprocessing: Preprocessing,
    settings: SampleSettings,
    notify: Notify = lambda line: None,
) -> Store:
    """Make the samples of recordings without a file: their frames are the image files.

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
    return Store(
        path=parse_location(plan.logs_read[0].path).parent,
        preprocessing=preprocessing,
        sample_settings=settings,
        content_hash=digest.hexdigest(),
        samples=samples,
        rows=row_table(plan.rows),
        recordings=plan.recordings,
        frames=ImageFiles(plan.files, preprocessing),
    )


# ---- what there is to say of a store


def _lost_steering(store: Store) -> Iterator[str]:
    """Yield a notice for each recording with nothing to learn from."""
    recording = store.rows["recording"]
    for number in np.unique(recording).tolist():
        steering = store.rows["steering"][recording == number]
        same = constant(steering)
        # a few rows may all be of a straight road, but not if they are the whole store
        if same and (len(steering) >= FEWEST_STEERED or len(steering) == len(recording)):
            _, value_and_rows = same
            yield (
                f"{store.recordings[number].path}: the steering is {value_and_rows}, so nothing "
                f"can be learned from it; {LOST_STEERING}"
            )


def _split_notices(store: Store) -> Iterator[str]:
    """Yield notices for a split that is far from what was asked for, or costs many samples."""
    settings = store.sample_settings
    samples = store.samples
    if settings.correction_weight > 1:  # the repeated ones of a take-over follow each other
        samples = samples[np.append(True, samples[1:] != samples[:-1])[: len(samples)]]
    held_back = samples["validation"]
    if "part" in (store.rows.dtype.names or ()):  # recordings that are held back whole do not count
        held_back = held_back[store.rows["part"][samples["row"]] == 0]
    asked = settings.validation * len(held_back)
    if abs(held_back.sum() - asked) > _FAR_FROM_ASKED * asked:
        cause = "choose --split blocks, or record more"
        if settings.split == BLOCKS:
            cause = (
                f"the driving has too few blocks of {settings.block_seconds:g} s; record more, "
                "choose a smaller --block-seconds, hold back its end with --split end, or train on "
                "all of it with --validation 0"
            )
        yield (
            f"{held_back.mean():.0%} of the samples are for validation, {held_back.sum()} of "
            f"{len(held_back)}, where {settings.validation:.0%} were asked for: {cause}"
        )

    torn = torn_samples(store.rows, settings)
    every = len(samples) + torn
    if torn > _MANY_TORN * every:
        remedy = "a longer --block-seconds" if settings.split == BLOCKS else "--split blocks"
        yield (
            f"{torn} of {every} samples are left out: the split puts their frame on one side and "
            f"their steering, up to {settings.frame_offsets} rows later (--frame-offsets), on the "
            f"other; {remedy} leaves out fewer"
        )
