"""Notices on a new store: recordings with constant steering, likely copies, an uneven split.

In: the store, the checksums of its frames, and the counts of its samples. Out: a line of text for
each notice.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from bcclone.dataset.labels import FEWEST_STEERED, LOST_STEERING
from bcclone.dataset.rows import FRAME_COLUMNS, NO_FRAME, RowTable
from bcclone.dataset.sample_settings import TRAINING, VALIDATION, SampleSettings
from bcclone.dataset.store import Store
from bcclone.system.numbers import BoolArray, constant


def recording_notices(store: Store, checksums: npt.NDArray[np.uint32]) -> Iterator[str]:
    """Yield a notice for each recording with nothing to learn from, and for each likely copy.

    checksums: CRC-32 of each frame, (frames,); empty if no frame was written
    """
    # share of a recording's rows with a frame of an earlier recording; with more, it may be a copy
    many_equal = 0.05
    recording = store.rows["recording"].astype(np.int64)
    is_equal = _equals_earlier_recording(store.rows, checksums)
    # indices of the rows of each recording
    rows_of_recordings = np.split(np.arange(len(recording)), np.flatnonzero(np.diff(recording)) + 1)
    for rows in rows_of_recordings:
        path = store.recordings[recording[rows[0]]].path
        count = len(rows)
        same_steering = constant(store.rows["steering"][rows])
        # a few rows may all be of a straight road, but not if they are the whole store
        if same_steering and (count >= FEWEST_STEERED or count == len(recording)):
            _, value_and_rows = same_steering
            yield (
                f"{path}: the steering is {value_and_rows}, so nothing can be learned from it; "
                f"{LOST_STEERING}"
            )
        equal = int(is_equal[rows].sum())
        if equal > many_equal * count:
            yield (
                f"{path}: {equal} of its {count} frames equal frames of recordings before it; "
                "if this is a copy, make the store without it, since its samples count twice"
            )


def _equals_earlier_recording(rows: RowTable, checksums: npt.NDArray[np.uint32]) -> BoolArray:
    """Return which rows have a frame that an earlier recording has, too, bool (rows,).

    checksums: CRC-32 of each frame, (frames,); if it is empty, no row counts
    """
    recording = rows["recording"].astype(np.int64)
    is_equal = np.zeros(len(recording), np.bool_)
    if not len(checksums):
        return is_equal
    # for each row, the frame of one of its cameras; the maximum is NO_FRAME, which is -1, only if
    # the row has no frame
    frames = np.max([rows[name] for name in FRAME_COLUMNS], axis=0)
    with_frame = np.flatnonzero(frames != NO_FRAME)
    # among the rows with a frame: the first one with each of the different checksums, and for each
    # row the index of its checksum among the different ones
    _, first_with_checksum, index = np.unique(
        checksums[frames[with_frame]], return_index=True, return_inverse=True
    )
    recording_with_frame = recording[with_frame]
    first_recording = recording_with_frame[first_with_checksum[index]]
    is_equal[with_frame] = recording_with_frame > first_recording
    return is_equal


def split_notices(
    counts: Mapping[str, int], split_pairs: int, settings: SampleSettings
) -> Iterator[str]:
    """Yield a notice for a split that is far from what was asked for, or costs many samples.

    counts: number of samples of each part, and of copies, see count_samples()
    split_pairs: number of samples that the split leaves out, see count_split_pairs()
    """
    validation = counts[VALIDATION]
    # the repeated samples of take-overs count only once
    total = counts[TRAINING] + validation - counts["copies"]
    wanted = settings.validation * total
    if wanted and not wanted / 2 <= validation <= 2 * wanted:
        yield (
            f"{validation} of {total} samples are for validation, where "
            f"{settings.validation:.0%} were asked for: the recording has too few blocks of "
            f"{settings.block_seconds:g} s; record more, choose a smaller --block-seconds, hold "
            "back its end with --split end, or train on all of it with --validation 0"
        )

    many_pairs = 0.05  # share of the samples; fewer need no notice
    all_samples = total + split_pairs
    if split_pairs > many_pairs * all_samples:
        remedy = "a longer --block-seconds" if settings.split == "blocks" else "--split blocks"
        yield (
            f"{split_pairs} of {all_samples} samples are left out: the split puts their frame on "
            f"one side and their steering, up to {settings.frame_offsets} rows later, on the "
            f"other; {remedy} leaves out fewer"
        )
