"""The tables of a store: recorded rows, their samples, and windows of consecutive frames.

In: rows with the numbers of their frames, as a data frame. Out: the table of rows that a store
holds; sample tables, whose columns are those of SAMPLE; and the windows of such a table.

A sample is a frame and its steering. A row has several: one for each camera, also with frames of
earlier rows, and mirror images. Each frame is stored once, and samples refer to it by index. A
window is a sample with the frames that the same camera took in the rows just before.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from bcclone.dataset.labels import RowTable, camera_correction, steering_labels
from bcclone.dataset.sample_settings import (
    BLOCKS,
    MAX_FRAME_OFFSETS,
    PARTS,
    TEST,
    TRAINING,
    SampleSettings,
)
from bcclone.recording.row import CAMERAS, NUMBERS
from bcclone.system.arrays import BoolArray, IndexArray

NO_FRAME = -1  # frame number of a row without an image of the camera
FRAME_COLUMNS = [f"frame_{camera}" for camera in CAMERAS]
_NOT_STORED = ["label", "take_over"]  # columns of the data frame that are only to make samples
# the columns that every store has -> the letters that NumPy's dtype.kind may be: "iu" for whole
# numbers, "f" for floats, "b" for bool
_COLUMNS = {
    **dict.fromkeys(("time_ms", "episode", "recording", *FRAME_COLUMNS), "iu"),
    **dict.fromkeys(NUMBERS, "f"),
    "validation": "b",
}

SampleTable = npt.NDArray[np.void]  # (samples,), of SAMPLE

SAMPLE = np.dtype(
    [
        ("frame", np.uint32),  # index into the frames
        ("row", np.uint32),  # index of the row that gives the steering
        ("episode", np.uint32),  # number of the row's episode
        # -1 left to 1 right, with the camera's correction, negated if `flipped`
        ("steering", np.float32),
        ("camera", np.uint8),  # 0 center, 1 left, 2 right
        ("frame_offset", np.uint8),  # number of rows from the row of the frame to `row`
        ("flipped", np.bool_),  # whether the sample is the mirror image of the frame
        ("validation", np.bool_),  # whether it is held back from training: validation or test
    ]
)


# ---- rows


def check_rows(table: RowTable) -> None:
    """Raise ValueError if a column that every store has is missing, or has a wrong type."""
    names = table.dtype.names or ()
    for name, kinds in _COLUMNS.items():
        if name not in names or table.dtype[name].kind not in kinds:
            raise ValueError(f"its table of rows has no column {name} of the expected type")


def row_table(rows: pd.DataFrame) -> RowTable:
    """Return the recorded rows in the form that is stored, without `label` and `take_over`.

    Texts become UTF-8 of fixed length.
    """
    columns = []
    for name, column in rows.drop(columns=_NOT_STORED, errors="ignore").items():
        values = column.to_numpy()
        if name in CAMERAS:
            texts = [text.encode() for text in column]
            # np.array([]) would be an array of numbers: without rows, cut an array of texts instead
            values = np.array(texts or [b""])[: len(rows)]
        columns.append((str(name), values))
    table = np.zeros(len(rows), [(name, values.dtype) for name, values in columns])
    for name, values in columns:
        table[name] = values
    return table


def row_frame(table: RowTable) -> pd.DataFrame:
    """Return stored rows as a data frame, the inverse of row_table()."""
    columns = {name: table[name] for name in table.dtype.names or ()}
    for name, values in columns.items():
        if values.dtype.kind == "S":
            columns[name] = np.array([text.decode() for text in values], dtype=object)
    return pd.DataFrame(columns)


def join_rows(tables: Sequence[RowTable]) -> RowTable:
    """Return the rows of several tables, one after the other, with the columns of all of them.

    A row whose table lacks a column has NaN there, or 0, False or an empty text.
    """
    columns: dict[str, np.dtype[np.generic]] = {}
    for table in tables:
        for name in table.dtype.names or ():
            dtype = table.dtype[name]
            # the type that holds the values of all tables, such as the longest text
            columns[name] = np.result_type(columns.get(name, dtype), dtype)
    joined = np.zeros(sum(map(len, tables)), list(columns.items()))
    first = 0
    for table in tables:
        part = joined[first : first + len(table)]
        for name, column in columns.items():
            if name in (table.dtype.names or ()):
                part[name] = table[name]
            elif column.kind == "f":
                part[name] = np.nan
        first += len(table)
    return joined


# ---- samples


def indices_of(samples: SampleTable, rows: RowTable, part: str) -> IndexArray:
    """Return the indices of the training, validation or test samples, (indices,), in rising order.

    Test samples have `validation`, too, which holds them back from training. The column `part` of
    their rows tells them from validation samples; it is missing if nothing is held back whole.

    part: one of PARTS
    """
    is_held_back = samples["validation"]
    if part == TRAINING:
        return np.flatnonzero(~is_held_back)
    has_parts = "part" in (rows.dtype.names or ())
    part_of_row = rows["part"] if has_parts else np.zeros(len(rows), np.uint8)
    is_test = part_of_row[samples["row"]] == PARTS.index(TEST)
    if part == TEST:
        return np.flatnonzero(is_held_back & is_test)
    return np.flatnonzero(is_held_back & ~is_test)


def assign_validation(
    rows: pd.DataFrame, settings: SampleSettings, before: pd.DataFrame | None = None
) -> BoolArray:
    """Return which rows are held back from training, bool (rows,).

    These are the rows whose `part` is not 0, of recordings that are held back whole; and among the
    other rows, random blocks of time. Blocks are chosen until their fraction of the rows is about
    settings.validation; if there are two blocks or more, at least one is chosen and at least
    one is left for training. With settings.split "end", the end of each recording is chosen
    instead. Blocks and ends are of clock time, so that equal rows, such as rows recorded twice into
    the same log, are on the same side.

    rows: table with the columns `time_ms` and `recording`
    before: rows of the store to add to, with `validation`. New rows in one of their blocks of time
        are on the same side as that block; recordings held back whole do not count.
    """
    is_held_back = np.zeros(len(rows), np.bool_)
    if "part" in rows:
        is_held_back = rows["part"].to_numpy(np.bool_)
    if not is_held_back.all():
        is_held_back[~is_held_back] = _choose_rows(rows[~is_held_back], settings, before)
    return is_held_back


def _choose_rows(
    rows: pd.DataFrame, settings: SampleSettings, before: pd.DataFrame | None
) -> BoolArray:
    """Return which rows are chosen for validation, bool (rows,), see assign_validation().

    rows: without the rows of recordings that are held back whole
    """
    blocks = _blocks(rows, settings)
    validation = np.zeros(len(rows), np.bool_)
    undecided = blocks  # the rows' blocks without those whose side is decided
    total_rows = len(rows)
    chosen_rows = 0

    # a block of which the store has rows stays on its side, and counts for the wanted fraction
    if before is not None and len(before):
        if "part" in before:
            before = before[before["part"] == 0]
        earlier_blocks = _blocks(before, settings)
        was_chosen = before["validation"].to_numpy(np.bool_)
        validation = np.isin(blocks, earlier_blocks[was_chosen])
        undecided = blocks[~np.isin(blocks, earlier_blocks)]
        total_rows += len(before)
        chosen_rows = int(was_chosen.sum() + validation.sum())

    if settings.validation == 0:
        return validation
    numbers, sizes = np.unique(undecided, return_counts=True)
    if settings.split == "end":
        return validation | (_is_in_end(rows, settings.validation) & np.isin(blocks, numbers))
    wanted = settings.validation * total_rows - chosen_rows
    random = np.random.default_rng(settings.seed)
    # rows that are added to a store may all go to one side, since the store has both already
    chosen = _choose_blocks(sizes, wanted, random, both_sides=before is None)
    return validation | np.isin(blocks, numbers[chosen])


def _blocks(rows: pd.DataFrame, settings: SampleSettings) -> IndexArray:
    """Return the number of each row's block of clock time, int64 (rows,).

    With another split than BLOCKS, each millisecond is a block.
    """
    length_ms = 1
    if settings.split == BLOCKS:
        length_ms = max(1, round(settings.block_seconds * 1000))
    return rows["time_ms"].to_numpy(np.int64) // length_ms


def _is_in_end(rows: pd.DataFrame, fraction: float) -> BoolArray:
    """Return which rows were driven while a recording was near its end, bool (rows,).

    fraction: the last rows that count as the end, as a fraction of the recording's rows
    """
    times = rows["time_ms"].to_numpy(np.int64)
    is_in_end = np.zeros(len(rows), np.bool_)
    for _, recording_times in rows.groupby("recording")["time_ms"]:
        ordered = np.sort(recording_times)
        rows_of_end = max(round(fraction * len(ordered)), 1)
        is_in_end |= (times >= ordered[-rows_of_end]) & (times <= ordered[-1])
    return is_in_end


def _choose_blocks(
    sizes: IndexArray, wanted: float, random: np.random.Generator, both_sides: bool
) -> list[int]:
    """Return the indices of the blocks for validation, whose sizes add up to about `wanted`.

    The blocks are tried in random order; one is taken if the sum then is closer to `wanted`.

    sizes: number of rows in each block, (blocks,)
    wanted: number of rows for validation
    both_sides: take at least one block and leave at least one; take none if there is only one
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
    """Yield the sample table of the rows, in chunks, ordered by row.

    With frame offsets, an earlier frame is paired with a steering only if both are of the same
    episode, the same camera and the same side of the split.

    rows: ordered by episode and time, with `episode`, `time_ms`, `steering`, `speed_mph`,
        `validation` and, for each camera, `frame_CAMERA` (index, or NO_FRAME if it is missing). Two
        columns are optional. `label` is the result of steering_labels(), which is computed here if
        it is missing; it is needed if the rows are a part of an episode, whose neighbours would be
        missing here. `take_over`, bool, marks rows whose training samples are each repeated, so
        that they are in the table settings.correction_weight times, one after the other.
    rows_per_chunk: number of rows whose samples are in a chunk
    """
    if "label" not in rows:
        labels = steering_labels(rows, settings.smooth_seconds, settings.lead_seconds)
        rows = rows.assign(label=labels)
    for start in range(0, len(rows), rows_per_chunk):
        # the rows before the chunk have the earlier frames that its samples need
        first = max(start - settings.frame_offsets, 0)
        chunk = _expand(rows.iloc[first : start + rows_per_chunk], settings)
        chunk["row"] += first
        yield chunk[chunk["row"] >= start]


def _expand(rows: pd.DataFrame, settings: SampleSettings) -> SampleTable:
    """Return the samples of all cameras, frame offsets and flips.

    They are sorted by row, camera, frame offset, and whether they are flipped, in this order.
    """
    tables = []
    for camera in settings.cameras:
        for frame_offset in range(settings.frame_offsets + 1):
            tables.append(_pair(rows, settings, camera, frame_offset))
    samples = np.concatenate(tables)
    if settings.flip:
        mirrored = samples.copy()
        mirrored["flipped"] = True
        mirrored["steering"] = -samples["steering"]
        samples = np.concatenate([samples, mirrored])

    # the four sort keys are packed into one number, by which sorting is several times as fast
    key = samples["row"].astype(np.int64)
    key = key * len(CAMERAS) + samples["camera"]
    key = key * (MAX_FRAME_OFFSETS + 1) + samples["frame_offset"]
    key = key * 2 + samples["flipped"]
    samples = samples[np.argsort(key, kind="stable")]

    if settings.correction_weight == 1 or "take_over" not in rows:
        return samples
    is_take_over = rows["take_over"].to_numpy(np.bool_)[samples["row"]]
    is_repeated = is_take_over & ~samples["validation"]
    return np.repeat(samples, np.where(is_repeated, settings.correction_weight, 1))


def _pair(
    rows: pd.DataFrame, settings: SampleSettings, camera: str, frame_offset: int
) -> SampleTable:
    """Pair each row's steering with the frame that the camera took `frame_offset` rows earlier."""
    frames = rows[f"frame_{camera}"].to_numpy()
    episode = rows["episode"].to_numpy()
    validation = rows["validation"].to_numpy()

    # rows of the steering and of the frame
    now = np.arange(frame_offset, len(rows))
    then = now - frame_offset
    has_frame = frames[then] != NO_FRAME
    is_same_episode = episode[then] == episode[now]
    is_same_side = validation[then] == validation[now]
    is_usable = has_frame & is_same_episode & is_same_side
    now = now[is_usable]
    then = then[is_usable]

    samples = np.zeros(len(now), SAMPLE)
    samples["frame"] = frames[then]
    samples["row"] = now
    samples["episode"] = episode[now]
    speed_mph = rows["speed_mph"].to_numpy()[now]
    steering = rows["label"].to_numpy()[now] + camera_correction(settings, camera, speed_mph)
    samples["steering"] = np.clip(steering, -1.0, 1.0)
    samples["camera"] = CAMERAS.index(camera)
    samples["frame_offset"] = frame_offset
    samples["validation"] = validation[now]
    return samples


def torn_samples(rows: RowTable, settings: SampleSettings) -> int:
    """Return how many samples the split leaves out, between a frame and a later steering."""
    episode = rows["episode"]
    validation = rows["validation"]
    torn = 0
    for offset in range(1, min(settings.frame_offsets, len(rows) - 1) + 1):
        is_torn = validation[offset:] != validation[:-offset]
        is_torn &= episode[offset:] == episode[:-offset]
        for camera in settings.cameras:
            torn += int((is_torn & (rows[f"frame_{camera}"][:-offset] != NO_FRAME)).sum())
    return 2 * torn if settings.flip else torn


# ---- windows


def windows(samples: SampleTable, seq_length: int) -> tuple[SampleTable, npt.NDArray[np.uint32]]:
    """Return the windows of seq_length consecutive rows that end at these samples, in their order.

    A sample has no window if its frame is earlier than its steering (frame_offset is not 0), or if
    a row just before it is of another episode, on the other side of the split, or lacks the
    camera's image.

    Returns the samples that have one, whose `frame` is the newest of the window; and the frames of
    each, (samples, seq_length), as indices into the frames, oldest first.

    samples: samples of one side of the split, so that no window reaches into the other side. The
        frames of the earlier rows are taken from them, too
    """
    newest = samples[samples["frame_offset"] == 0]
    row = newest["row"].astype(np.int64)
    camera = newest["camera"]
    episode = newest["episode"]

    # tables by row number: frames (rows, cameras) and episode (rows,), for rows that have samples
    row_count = int(row.max(initial=-1)) + 1
    frame_of_row = np.full((row_count, len(CAMERAS)), NO_FRAME, np.int64)
    frame_of_row[row, camera] = newest["frame"]
    episode_of_row = np.zeros(row_count, np.uint32)
    episode_of_row[row] = episode

    frames = np.empty((len(newest), seq_length), np.uint32)
    is_complete = row >= seq_length - 1
    for position in range(seq_length):
        then = np.maximum(row - (seq_length - 1 - position), 0)
        frame = frame_of_row[then, camera]
        is_complete &= (frame != NO_FRAME) & (episode_of_row[then] == episode)
        # NO_FRAME, -1, becomes a large uint32 here, but these windows are left out below
        frames[:, position] = frame
    return newest[is_complete], frames[is_complete]
