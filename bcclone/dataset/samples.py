"""Make samples from recorded rows: split, cameras, earlier frames and mirror images; make windows
from samples.

In: rows with the numbers of their frames. Out: tables of SAMPLE; from these, `Windows`.

A sample is a frame and its steering. Each frame is stored once, and samples refer to it by index. A
window is a sample with the frames that the same camera took in the rows just before.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from bcclone.dataset.labels import camera_correction, steering_labels
from bcclone.dataset.rows import NO_FRAME, RowTable
from bcclone.dataset.sample_settings import MAX_FRAME_OFFSETS, PARTS, TEST, TRAINING, SampleSettings
from bcclone.recording.row import CAMERAS
from bcclone.system.arrays import BoolArray, IndexArray

SampleTable = npt.NDArray[np.void]  # (samples,), of SAMPLE

SAMPLE = np.dtype(
    [
        ("frame", np.uint32),  # index into the frames
        ("row", np.uint32),  # index of the row that gives the steering
        ("episode", np.uint32),
        ("steering", np.float32),  # includes the camera's correction and the flip
        ("camera", np.uint8),  # 0 center, 1 left, 2 right
        ("frame_offset", np.uint8),  # how many rows before the steering the frame was taken
        ("flipped", np.bool_),
        ("validation", np.bool_),
    ]
)


def indices_of(samples: SampleTable, rows: RowTable, part: str) -> IndexArray:
    """Return the indices of the samples of one of PARTS, (indices,), in the order of the table.

    The test samples are marked as such in their rows; `validation` holds them back from training
    like the others.
    """
    held_back = samples["validation"]
    if part == TRAINING:
        return np.flatnonzero(~held_back)
    of_rows = rows["part"] if "part" in (rows.dtype.names or ()) else np.zeros(len(rows), np.uint8)
    tested = of_rows[samples["row"]] == PARTS.index(TEST)
    return np.flatnonzero(held_back & (tested if part == TEST else ~tested))


def count_samples(samples: SampleTable, rows: RowTable) -> Counter[str]:
    """Return the number of samples of each of PARTS, and of `copies`, which repeat the sample
    before them.
    """
    counts = Counter({part: len(indices_of(samples, rows, part)) for part in PARTS})
    counts["copies"] = int((samples[1:] == samples[:-1]).sum())
    return counts


def assign_validation(
    rows: pd.DataFrame, settings: SampleSettings, before: pd.DataFrame | None = None
) -> BoolArray:
    """Return which rows are held back from training, bool (rows,).

    These are the rows with a `part`, of recordings that are held back whole. Of the others, random
    blocks of time are chosen until their fraction of the rows is as close as possible to
    settings.validation_rows; of two blocks or more, each side gets at least one. Instead,
    settings.split can choose the end of each recording. Both are of clock time, so that copied
    rows, and rows recorded twice into the same log, are on one side.

    rows: with `time_ms` and `recording`; before: rows that were split earlier, with `validation`.
    Their blocks or times keep their side; recordings held back whole do not count.
    """
    held_back = rows["part"].to_numpy(np.bool_) if "part" in rows else np.zeros(len(rows), np.bool_)
    if not held_back.all():
        held_back[~held_back] = _choose_rows(rows[~held_back], settings, before)
    return held_back


def _choose_rows(
    rows: pd.DataFrame, settings: SampleSettings, before: pd.DataFrame | None
) -> BoolArray:
    """Return which rows are in the blocks of time that are chosen for validation, bool (rows,)."""
    blocks = _blocks(rows, settings)
    validation = np.zeros(len(rows), np.bool_)
    undecided = blocks
    total, kept = len(rows), 0
    if before is not None and len(before):
        before = before[before["part"] == 0] if "part" in before else before
        earlier = _blocks(before, settings)
        side = before["validation"].to_numpy(np.bool_)
        validation, undecided = np.isin(blocks, earlier[side]), blocks[~np.isin(blocks, earlier)]
        total, kept = total + len(before), int(side.sum() + validation.sum())
    names, sizes = np.unique(undecided, return_counts=True)
    if settings.validation > 0 and settings.split == "end":
        validation |= _is_in_end(rows, settings.validation) & np.isin(blocks, names)
    elif settings.validation > 0:
        wanted = settings.validation_rows * total - kept
        chosen = _choose_blocks(
            sizes, wanted, np.random.default_rng(settings.seed), both_sides=before is None
        )
        validation[np.isin(blocks, names[chosen])] = True
    return validation


def _blocks(rows: pd.DataFrame, settings: SampleSettings) -> IndexArray:
    """Return the number of each row's block of time; without the split by blocks, it is a single
    time stamp.
    """
    length_ms = max(1, round(settings.block_seconds * 1000)) if settings.split == "blocks" else 1
    return rows["time_ms"].to_numpy(np.int64) // length_ms


def _is_in_end(rows: pd.DataFrame, fraction: float) -> BoolArray:
    """Return which rows, bool (rows,), were driven while a recording was at the last `fraction` of
    its rows.
    """
    times = rows["time_ms"].to_numpy(np.int64)
    in_end = np.zeros(len(rows), np.bool_)
    for _, of_recording in rows.groupby("recording")["time_ms"]:
        ordered = np.sort(of_recording)
        in_end |= (times >= ordered[-max(round(fraction * len(ordered)), 1)]) & (
            times <= ordered[-1]
        )
    return in_end


def _choose_blocks(
    sizes: IndexArray, wanted: float, random: np.random.Generator, both_sides: bool
) -> list[int]:
    """Return the indices of the blocks to keep for validation, so that their sizes add up to about
    `wanted`.

    Each block is taken, in random order, if that brings the sum nearer. both_sides: if there are
    two blocks or more, at least one is taken and at least one is left.
    """
    if both_sides and len(sizes) < 2:
        return []
    chosen: list[int] = []
    total = 0
    for block in random.permutation(len(sizes)).tolist():
        if abs(total + sizes[block] - wanted) < abs(total - wanted):
            chosen.append(block)
            total += sizes[block]
    if both_sides and not chosen:
        chosen = [int(np.argmin(sizes))]
    if both_sides and len(chosen) == len(sizes):
        chosen.remove(int(np.argmin(sizes)))
    return chosen


def sample_chunks(
    rows: pd.DataFrame, settings: SampleSettings, rows_per_chunk: int = 10_000
) -> Iterator[SampleTable]:
    """Yield the sample table of the rows in chunks of so many rows, ordered by row.

    An earlier frame is taken only from the same episode, the same camera and the same side of the
    split.

    rows: ordered by episode and time, with `episode`, `time_ms`, `steering`, `speed_mph`,
    `validation` and, for each camera, `frame_CAMERA` (index, or NO_FRAME if it is missing). A
    column `label` is the result of steering_labels(), for rows that lack their neighbours; it is
    computed here if there is none. A column `take_over`, bool, marks rows whose training samples
    are each in the table settings.correction_weight times, one after the other.
    """
    if "label" not in rows:
        rows = rows.assign(
            label=steering_labels(rows, settings.smooth_seconds, settings.lead_seconds)
        )
    for start in range(0, len(rows), rows_per_chunk):
        first = max(
            start - settings.frame_offsets, 0
        )  # these rows have the earlier frames of the chunk
        chunk = _expand(rows.iloc[first : start + rows_per_chunk], settings)
        chunk["row"] += first
        yield chunk[chunk["row"] >= start]


def _expand(rows: pd.DataFrame, settings: SampleSettings) -> SampleTable:
    """Return the samples of all cameras, frame offsets and flips, in order."""
    offsets = range(settings.frame_offsets + 1)
    samples = np.concatenate(
        [_pair(rows, settings, camera, k) for camera in settings.cameras for k in offsets]
    )
    if settings.flip:
        mirrored = samples.copy()
        mirrored["flipped"] = True
        mirrored["steering"] = -samples["steering"]
        samples = np.concatenate([samples, mirrored])
    key = samples["row"].astype(
        np.int64
    )  # sorting by one number is several times as fast as by four
    for name, count in (
        ("camera", len(CAMERAS)),
        ("frame_offset", MAX_FRAME_OFFSETS + 1),
        ("flipped", 2),
    ):
        key = key * count + samples[name]
    samples = samples[np.argsort(key, kind="stable")]
    if settings.correction_weight == 1 or "take_over" not in rows:
        return samples
    corrects = rows["take_over"].to_numpy(np.bool_)[samples["row"]] & ~samples["validation"]
    return np.repeat(samples, np.where(corrects, settings.correction_weight, 1))


def _pair(
    rows: pd.DataFrame, settings: SampleSettings, camera: str, frame_offset: int
) -> SampleTable:
    """Pair each row's steering with the frame that the camera took `frame_offset` rows earlier."""
    now = np.arange(frame_offset, len(rows))
    then = now - frame_offset
    frames = rows[f"frame_{camera}"].to_numpy()
    episode, validation = rows["episode"].to_numpy(), rows["validation"].to_numpy()
    usable = (
        (frames[then] != NO_FRAME)
        & (episode[then] == episode[now])
        & (validation[then] == validation[now])
    )
    now, then = now[usable], then[usable]
    samples = np.zeros(len(now), SAMPLE)
    samples["frame"], samples["row"] = frames[then], now
    samples["episode"], samples["validation"] = episode[now], validation[now]
    speed_mph = rows["speed_mph"].to_numpy()[now]
    steering = rows["label"].to_numpy()[now] + camera_correction(settings, camera, speed_mph)
    samples["steering"] = np.clip(steering, -1.0, 1.0)
    samples["camera"], samples["frame_offset"] = CAMERAS.index(camera), frame_offset
    return samples


def count_split_pairs(rows: RowTable, settings: SampleSettings) -> int:
    """Count the samples left out because their frame and their steering are on different sides of
    the split.
    """
    episode, validation = rows["episode"], rows["validation"]
    count = 0
    for offset in range(1, min(settings.frame_offsets, len(rows) - 1) + 1):
        apart = (episode[offset:] == episode[:-offset]) & (
            validation[offset:] != validation[:-offset]
        )
        for camera in settings.cameras:
            count += int((apart & (rows[f"frame_{camera}"][:-offset] != NO_FRAME)).sum())
    return count * (1 + settings.flip)


@dataclass(frozen=True)
class Windows:
    """Samples with the frames just before them.

    samples: SAMPLE table, whose `frame` is the newest of its window; frames: uint32 (samples,
    seq_length), oldest first; paired: number of samples left out because they pair an earlier frame
    with a later steering; incomplete: number left out because the rows before them are of another
    episode or on the other side of the split, or lack the image.
    """

    samples: SampleTable
    frames: npt.NDArray[np.uint32]
    paired: int
    incomplete: int


def windows(samples: SampleTable, seq_length: int) -> Windows:
    """Return the windows of seq_length consecutive rows that end at these samples, in their order.

    samples: those of one side of the split, so that no window reaches into the other. The frames of
    the earlier rows are found in them, too.
    """
    newest = samples[samples["frame_offset"] == 0]
    row, camera, episode = newest["row"].astype(np.int64), newest["camera"], newest["episode"]
    count = int(row.max(initial=-1)) + 1
    frame_of = np.full((count, len(CAMERAS)), NO_FRAME, np.int64)
    frame_of[row, camera] = newest["frame"]
    episode_of = np.zeros(count, np.uint32)
    episode_of[row] = episode
    frames = np.empty((len(newest), seq_length), np.uint32)
    complete = row >= seq_length - 1
    for position in range(seq_length):
        then = np.maximum(row - (seq_length - 1 - position), 0)
        frame = frame_of[then, camera]
        complete &= (frame != NO_FRAME) & (episode_of[then] == episode)
        frames[:, position] = frame  # NO_FRAME wraps around; these windows are left out
    return Windows(
        newest[complete], frames[complete], len(samples) - len(newest), int((~complete).sum())
    )
