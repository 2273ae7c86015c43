"""Plan -> store: every distinct image decoded once on all cores, nothing half-written."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bcclone import atomic
from bcclone.decode import decode_files
from bcclone.errors import UserError
from bcclone.images import Preprocessing
from bcclone.preprocess.plan import Plan, make_plan, refuse_many_skips
from bcclone.preprocess.settings import Conversion, LogRead, PreprocessSettings
from bcclone.progress import ProgressBar
from bcclone.recording import CAMERAS, find_logs
from bcclone.sample_settings import SampleSettings
from bcclone.samples import NO_FRAME, SAMPLE, SampleTable, assign_validation, count_split_pairs, sample_chunks
from bcclone.store import Store, StoreWriter, root_attributes, row_frame, row_table
from bcclone.store.image_samples import ImageSamples


def open_in_place(
    inputs: tuple[str, ...],
    preprocessing: Preprocessing,
    settings: SampleSettings,
    on_log: Callable[[LogRead], None] = lambda log: None,
) -> tuple[ImageSamples, Plan]:
    """Return the samples, and the plan with its notices and what is left out.

    on_log is called with each log that was read. No image is opened: one that is damaged shows when it is its turn.
    Raises UserError, and ForeignLog for a file that is no log.
    """
    plan = make_plan(inputs, settings.cameras, None, on_log)
    refuse_many_skips(plan, allowed=False)
    plan.rows["validation"] = assign_validation(plan.rows, settings)
    samples = np.concatenate([np.zeros(0, SAMPLE), *sample_chunks(plan.rows, settings)])
    digest = hashlib.sha256(preprocessing.digest.encode())
    for source in plan.sources:
        digest.update(source["sha256"].encode())
    digest.update(samples.tobytes())
    path = Path(plan.logs[0]).parent
    rows = row_table(plan.rows.drop(columns="extras"))
    return ImageSamples(path, preprocessing, samples, rows, plan.files, asdict(settings), digest.hexdigest()), plan


_ROW_BYTES = 150  # a row's numbers, and what HDF5 keeps for its further columns
_RECORDING_BYTES = 8192  # a long path and the rest
_MOST_UTF8_BYTES = 4
_TOLD_TORN = 0.05  # of the samples


def convert(settings: PreprocessSettings, on_log: Callable[[LogRead], None] = lambda log: None) -> Conversion:
    """Convert recordings into a store that takes its name only when it is complete.

    on_log is called with each log that was read. Raises ForeignLog for a file that is no log, UserError for
    everything else that the user can mend.
    """
    begun = time.monotonic()
    adding = settings.add and settings.output.exists()
    _check_output(settings, adding)
    with ExitStack() as stack:
        old = stack.enter_context(Store(settings.output)) if adding else None
        plan = make_plan(settings.inputs, settings.samples.cameras, old, on_log)
        if old and plan.rows.empty:
            rows, frames, samples = row_frame(old.rows), len(old.frames), _Count.of(old.samples)
        else:
            temporary = stack.enter_context(atomic.replacing(settings.output))
            rows, frames, samples = _write_store(temporary, settings, plan, old)
    torn = count_split_pairs(rows, settings.samples)
    plan.notices.extend([*_off_share(samples, settings.samples), *_torn(samples, torn, settings.samples)])
    return Conversion(
        recordings=rows["recording"].nunique(),
        rows=len(rows),
        episodes=rows["episode"].nunique(),
        frames=frames,
        train=samples.train,
        validation=samples.validation,
        skips=tuple(plan.skips),
        notices=tuple(plan.notices),
        seconds=time.monotonic() - begun,
        output=settings.output,
        logs=tuple(plan.logs_read),
        torn=torn,
    )


def _off_share(samples: "_Count", settings: SampleSettings) -> list[str]:
    """Return a notice when the samples for validation are less than half, or more than twice, what was asked."""
    total = samples.train + samples.validation
    if settings.validation * total / 2 <= samples.validation <= 2 * settings.validation * total:
        return []
    return [
        f"{samples.validation} of {total} samples are for validation, where {settings.validation:.0%} were asked; the "
        f"driving comes in too few blocks of {settings.block_seconds:g} s: record more, or choose a "
        "smaller --block-seconds"
    ]


def _torn(samples: "_Count", torn: int, settings: SampleSettings) -> list[str]:
    """Return a notice when the split costs so many samples that one would wonder."""
    total = samples.train + samples.validation + torn
    if torn <= _TOLD_TORN * total:
        return []
    instead = "--split blocks" if settings.split == "random" else "a longer --block-seconds"
    return [
        f"{torn} of {total} samples are left out: the split puts their frame on one side and their steering, up to "
        f"{settings.frame_offsets} rows later, on the other; {instead} leaves out fewer"
    ]


@dataclass
class _Count:
    """How many samples there are on each side of the split."""

    train: int = 0
    validation: int = 0

    @classmethod
    def of(cls, samples: SampleTable) -> "_Count":
        validation = int(samples["validation"].sum())
        return cls(len(samples) - validation, validation)

    def counted(self, parts: Iterable[SampleTable]) -> Iterator[SampleTable]:
        """Count the parts while they pass."""
        for part in parts:
            count = self.of(part)
            self.train, self.validation = self.train + count.train, self.validation + count.validation
            yield part


def _check_output(settings: PreprocessSettings, adding: bool) -> None:
    remedy = "write over it with --force, add to it with --add, or name another -o"
    atomic.check_output(settings.output, settings.force or adding, remedy)
    if settings.output.exists() and not adding:
        if settings.output.resolve() in [log.resolve() for log in find_logs(settings.inputs)]:
            raise UserError(f"{settings.output} is one of the recordings; name another -o")
        if "model_config" in root_attributes(settings.output):
            raise UserError(f"{settings.output} is a model; name another -o")


def _write_store(
    path: Path, settings: PreprocessSettings, plan: Plan, old: Store | None
) -> tuple[pd.DataFrame, int, _Count]:
    """Write what the old store held and what is planned; return rows, number of frames and of samples."""
    with StoreWriter(path, settings.preprocessing, *_room(plan, old, settings.samples)) as writer:
        if old:
            writer.append_from(old)
            old.close()  # Windows puts no new file in the place of one that is mapped
        _write_frames(plan, writer)
        refuse_many_skips(plan, settings.allow_skips)
        before = row_frame(old.rows) if old else None
        plan.rows["validation"] = assign_validation(plan.rows, settings.samples, before)
        count = _Count()
        samples = count.counted(_all_samples(plan.rows, old, settings.samples))
        extras = plan.rows.pop("extras").tolist()
        if old:
            extras = (old.extras or [""] * len(old.rows)) + extras
        rows = plan.rows if before is None else pd.concat([before, plan.rows], ignore_index=True)
        recordings = (old.recordings if old else []) + plan.sources
        writer.finish(samples, row_table(rows), extras if any(extras) else [], recordings, asdict(settings.samples))
        return rows, writer.count, count


def _all_samples(rows: pd.DataFrame, old: Store | None, settings: SampleSettings) -> Iterator[SampleTable]:
    """Yield the samples of the old store and then those of the new rows."""
    if old:
        yield old.samples
    for part in sample_chunks(rows, settings):
        part["row"] += len(old.rows) if old else 0
        yield part


def stored_settings(path: Path) -> tuple[Preprocessing, SampleSettings]:
    """Return how a store was made, so that what is added is made alike."""
    with Store(path) as store:
        return store.preprocessing, SampleSettings.stored(store.sample_settings)


def _room(plan: Plan, old: Store | None, settings: SampleSettings) -> tuple[int, int]:
    """Return how many frames, and how many bytes of tables, the store can come to at most."""
    frames, rows = len(plan.files), len(plan.rows)
    samples = rows * len(settings.cameras) * (settings.frame_offsets + 1) * (1 + settings.flip)
    names = sum(int(plan.rows[camera].str.len().max()) for camera in CAMERAS) * _MOST_UTF8_BYTES
    further = int(plan.rows["extras"].str.len().sum()) * _MOST_UTF8_BYTES
    if old:
        frames, rows, samples = frames + len(old.frames), rows + len(old.rows), samples + len(old.samples)
        further += sum(map(len, old.extras)) * _MOST_UTF8_BYTES
    recordings = len(plan.sources) + (len(old.recordings) if old else 0)
    tables = rows * (_ROW_BYTES + names) + samples * SAMPLE.itemsize + recordings * _RECORDING_BYTES
    return frames, tables + further


def _write_frames(plan: Plan, writer: StoreWriter) -> None:
    """Decode the files into the store and let the rows point at the frames that came of it."""
    frame_of = np.full(len(plan.files) + 1, NO_FRAME, np.int64)  # the last is that of NO_FRAME itself
    done = 0
    with ProgressBar("decoding", len(plan.files), "images") as progress:
        for decoded in decode_files(plan.files, writer.preprocessing):
            size = len(decoded.frames) + len(decoded.faults)
            whole = [number for number in range(done, done + size) if number - done not in decoded.faults]
            frame_of[whole] = writer.count + np.arange(len(whole))
            writer.append(decoded.frames, decoded.checksum)
            for place, reason in decoded.faults.items():
                plan.skip_file(done + place, reason)
            done += size
            progress.advance(size, f"{len(plan.rows) * done // len(plan.files)}/{len(plan.rows)} rows")
    for camera in CAMERAS:
        plan.rows[f"frame_{camera}"] = frame_of[plan.rows[f"frame_{camera}"].to_numpy()]
