"""Rows -> samples: split first, then cameras with corrections, earlier frames and flips; samples -> windows.

A sample is a frame and the steering that it calls for. Frames are stored once and samples point at them. A window is
a sample with the frames that the same camera took in the rows just before.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from bcclone.labels import AUTO, Correction, steering_labels
from bcclone.recording import CAMERAS

SampleTable = npt.NDArray[Any]  # of SAMPLE
RowTable = npt.NDArray[Any]  # of the columns that store.row_table() gives

SAMPLE = np.dtype(
    [
        ("frame", np.uint32),  # index into the frames
        ("row", np.uint32),  # index into the rows: the instant whose steering this is
        ("episode", np.uint32),
        ("steering", np.float32),  # with the camera's correction and the flip in it
        ("camera", np.uint8),  # 0 center, 1 left, 2 right
        ("frame_offset", np.uint8),  # how many rows before its steering the frame was taken
        ("flipped", np.bool_),
        ("validation", np.bool_),
    ]
)
MAX_FRAME_OFFSETS = 100
MAX_SEQ_LENGTH = 20
_LONGEST_BLOCK_SECONDS = 1e6
_ROWS_PER_PART = 10_000
NO_FRAME = -1


@dataclass(frozen=True)
class SampleSettings:
    """How rows become samples.

    correction: steering added for the left camera and subtracted for the right, or "auto": what brings the car back
    to its line by aiming lookahead_seconds ahead on it; smooth_seconds: standard deviation of what the steering is
    smoothed by; lead_seconds: how much later the steering is that a frame calls for; frame_offsets: how many
    earlier frames are paired with each steering; seq_length: how many consecutive frames a network is to be shown at
    a time, which model.py takes as its default; split: "blocks" of block_seconds of driving, or "random" rows;
    validation: share of the samples that training never sees.
    """

    cameras: tuple[str, ...] = CAMERAS
    correction: float | str = "auto"
    lookahead_seconds: float = 0.85
    smooth_seconds: float = 0.2
    lead_seconds: float = 0.0
    frame_offsets: int = 0
    seq_length: int = 1
    flip: bool = True
    split: str = "blocks"
    validation: float = 0.2
    block_seconds: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.cameras or set(self.cameras) - set(CAMERAS) or len(set(self.cameras)) < len(self.cameras):
            raise ValueError(f"cameras {','.join(self.cameras) or 'none'}, expected some of {','.join(CAMERAS)}")
        if self.correction != AUTO and not (not isinstance(self.correction, str) and 0 <= self.correction <= 1):
            raise ValueError(f"correction {self.correction}, expected 0 to 1, or auto")
        for name, least, most in (
            ("lookahead_seconds", 0.2, 5),
            ("smooth_seconds", 0, 2),
            ("lead_seconds", -1, 2),
            ("frame_offsets", 0, MAX_FRAME_OFFSETS),
            ("seq_length", 1, MAX_SEQ_LENGTH),
        ):
            if not least <= getattr(self, name) <= most:  # NaN is not either
                raise ValueError(f"{name.replace('_', ' ')} {getattr(self, name)}, expected {least:g} to {most:g}")
        if self.split not in ("blocks", "random"):
            raise ValueError(f"split {self.split!r}, expected blocks or random")
        if not 0 <= self.validation < 1:
            raise ValueError(f"validation {self.validation}, expected 0 or more and less than 1")
        if not 0 < self.block_seconds <= _LONGEST_BLOCK_SECONDS:
            raise ValueError(f"block seconds {self.block_seconds}, expected more than 0 and up to a million")
        if self.seed < 0:
            raise ValueError(f"seed {self.seed}, expected 0 or more")

    @property
    def validation_rows(self) -> float:
        """Return the share of the rows to keep for validation, so that `validation` is the share of the samples.

        With the random split and earlier frames it is larger. A frame and a later steering make no sample unless their
        rows are on one side; of a share q of single rows, q^2 of such pairs remain for validation and (1 - q)^2 for
        training. So q solves (q + k q^2) / (1 + k q^2 + k (1 - q)^2) = validation, with k earlier frames.
        """
        wanted, pairs = self.validation, self.frame_offsets
        if self.split == "blocks" or not pairs or not wanted:
            return wanted
        square, linear = pairs * (1 - 2 * wanted), 1 + 2 * wanted * pairs
        root = math.sqrt(linear**2 + 4 * square * wanted * (1 + pairs))
        return 2 * wanted * (1 + pairs) / (linear + root)

    @property
    def corrections(self) -> Correction:
        """Return what is added to the steering where a camera or a car is aside of its line."""
        return Correction(self.correction, self.lookahead_seconds)

    @classmethod
    def stored(cls, stored: Mapping[str, Any]) -> Self:
        """Read the settings that a store was made with, of this version or an older one."""
        return cls(**(current_names(stored) | {"cameras": tuple(stored["cameras"])}))


def current_names(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored sample settings under the names of today, with those that older stores lack."""
    renamed = {"frame_offsets" if name == "previous" else name: value for name, value in stored.items()}
    return {"smooth_seconds": 0.0, "lead_seconds": 0.0} | renamed


def assign_validation(
    rows: pd.DataFrame, settings: SampleSettings, before: pd.DataFrame | None = None
) -> npt.NDArray[np.bool_]:
    """Return which rows are kept for validation, bool (rows,).

    `rows` has `time_ms`. Whole blocks of time are drawn until their share of the rows is as near as can be to
    settings.validation_rows; where there are two blocks or more, each side gets one. Blocks are those of the clock, so
    that rows which were copied, or recorded again into the same log, are on one side. `before` holds the rows
    that were split earlier (with `validation`); a block of theirs stays on its side.
    """
    blocks = _blocks(rows, settings)
    validation = np.zeros(len(rows), np.bool_)
    undecided = blocks
    total, kept = len(rows), 0
    if before is not None and len(before):
        earlier = _blocks(before, settings)
        side = before["validation"].to_numpy(np.bool_)
        validation, undecided = np.isin(blocks, earlier[side]), blocks[~np.isin(blocks, earlier)]
        total, kept = total + len(before), int(side.sum() + validation.sum())
    names, sizes = np.unique(undecided, return_counts=True)
    if settings.validation > 0:
        wanted = settings.validation_rows * total - kept
        drawn = _draw(sizes, wanted, np.random.default_rng(settings.seed), both_sides=before is None)
        validation[np.isin(blocks, names[drawn])] = True
    return validation


def _draw(sizes: npt.NDArray[np.int64], wanted: float, random: np.random.Generator, both_sides: bool) -> list[int]:
    """Return which blocks to keep for validation, so that their sizes add up to about `wanted`.

    Each block is taken, in random order, if that brings the sum nearer. both_sides: at least one is taken and one
    is left where there are two.
    """
    if both_sides and len(sizes) < 2:
        return []
    drawn: list[int] = []
    total = 0
    for block in random.permutation(len(sizes)).tolist():
        if abs(total + sizes[block] - wanted) < abs(total - wanted):
            drawn.append(block)
            total += sizes[block]
    if both_sides and not drawn:
        drawn = [int(np.argmin(sizes))]
    if both_sides and len(drawn) == len(sizes):
        drawn.remove(int(np.argmin(sizes)))
    return drawn


def _blocks(rows: pd.DataFrame, settings: SampleSettings) -> npt.NDArray[np.int64]:
    """Return the number of each row's block of time; with the random split, of its instant."""
    length_ms = 1 if settings.split == "random" else max(1, round(settings.block_seconds * 1000))
    return rows["time_ms"].to_numpy(np.int64) // length_ms


def sample_parts(rows: pd.DataFrame, settings: SampleSettings) -> Iterator[SampleTable]:
    """Yield the sample table of rows that know their frames, some rows at a time, ordered by row.

    `rows` is ordered by episode and time and has `episode`, `time_ms`, `steering`, `speed_mph`, `validation` and, for
    each camera, `frame_CAMERA` (index, or NO_FRAME where it is missing). An earlier frame is taken only from the same
    episode, the same camera and the same side of the split.
    """
    rows = rows.assign(label=steering_labels(rows, settings.smooth_seconds, settings.lead_seconds))
    for start in range(0, len(rows), _ROWS_PER_PART):
        first = max(start - settings.frame_offsets, 0)  # whose frames are the earlier ones of these rows
        part = _expand(rows.iloc[first : start + _ROWS_PER_PART], settings)
        part["row"] += first
        yield part[part["row"] >= start]


def torn_samples(rows: pd.DataFrame, settings: SampleSettings) -> int:
    """Count the samples left out because the split puts an earlier frame and its later steering on different sides."""
    episode, validation = rows["episode"].to_numpy(), rows["validation"].to_numpy(np.bool_)
    torn = 0
    for lag in range(1, min(settings.frame_offsets, len(rows) - 1) + 1):
        apart = (episode[lag:] == episode[:-lag]) & (validation[lag:] != validation[:-lag])
        for camera in settings.cameras:
            torn += int((apart & (rows[f"frame_{camera}"].to_numpy()[:-lag] != NO_FRAME)).sum())
    return torn * (1 + settings.flip)


def _expand(rows: pd.DataFrame, settings: SampleSettings) -> SampleTable:
    pairs = [
        _pair(rows, settings, camera, lag) for camera in settings.cameras for lag in range(settings.frame_offsets + 1)
    ]
    samples = np.concatenate(pairs)
    if settings.flip:
        mirrored = samples.copy()
        mirrored["flipped"] = True
        mirrored["steering"] = -samples["steering"]
        samples = np.concatenate([samples, mirrored])
    place = samples["row"].astype(np.int64)  # one number to order by, several times as fast as four
    for name, count in (("camera", len(CAMERAS)), ("frame_offset", MAX_FRAME_OFFSETS + 1), ("flipped", 2)):
        place = place * count + samples[name]
    return samples[np.argsort(place, kind="stable")]


def _pair(rows: pd.DataFrame, settings: SampleSettings, camera: str, lag: int) -> SampleTable:
    """Pair each row's steering with the frame that the camera took `lag` rows earlier."""
    now = np.arange(lag, len(rows))
    then = now - lag
    frames = rows[f"frame_{camera}"].to_numpy()
    episode, validation = rows["episode"].to_numpy(), rows["validation"].to_numpy()
    usable = (frames[then] != NO_FRAME) & (episode[then] == episode[now]) & (validation[then] == validation[now])
    now, then = now[usable], then[usable]
    samples = np.zeros(len(now), SAMPLE)
    samples["frame"], samples["row"] = frames[then], now
    samples["episode"], samples["validation"] = episode[now], validation[now]
    speed_mph = rows["speed_mph"].to_numpy()[now]
    steering = rows["label"].to_numpy()[now] + settings.corrections.of_camera(camera, speed_mph)
    samples["steering"] = np.clip(steering, -1.0, 1.0)
    samples["camera"], samples["frame_offset"] = CAMERAS.index(camera), lag
    return samples


@dataclass(frozen=True)
class Windows:
    """Samples with the frames that led up to them.

    samples: SAMPLE table, each of whose `frame` is the newest of its window; frames: uint32 (samples, seq_length),
    oldest first; paired: how many samples were left out since they pair an earlier frame with a later steering;
    incomplete: since rows before them are of another episode or the other side of the split, or lack the image.
    """

    samples: SampleTable
    frames: npt.NDArray[np.uint32]
    paired: int
    incomplete: int


def windows(samples: SampleTable, seq_length: int) -> Windows:
    """Return the windows of seq_length consecutive rows that end at these samples, in their order.

    samples: those of one side of the split, so that no window reaches into the other. The frames of the rows before
    are those of the samples of these rows; no other table is needed.
    """
    newest = samples[samples["frame_offset"] == 0]
    row, camera, episode = newest["row"].astype(np.int64), newest["camera"], newest["episode"]
    count = int(row.max(initial=-1)) + 1
    frame_of = np.full((count, len(CAMERAS)), NO_FRAME, np.int64)
    frame_of[row, camera] = newest["frame"]
    episode_of = np.zeros(count, np.uint32)
    episode_of[row] = episode
    frames = np.empty((len(newest), seq_length), np.uint32)
    whole = row >= seq_length - 1
    for place in range(seq_length):
        then = np.maximum(row - (seq_length - 1 - place), 0)
        frame = frame_of[then, camera]
        whole &= (frame != NO_FRAME) & (episode_of[then] == episode)
        frames[:, place] = frame  # NO_FRAME wraps around; such windows are left out
    return Windows(newest[whole], frames[whole], len(samples) - len(newest), int((~whole).sum()))
