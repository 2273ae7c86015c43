"""Stores of a few small frames."""

from pathlib import Path

import numpy as np
import pandas as pd

from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import SAMPLE, row_table
from bcclone.dataset.store import RecordingInfo
from bcclone.dataset.writer import StoreWriter
from bcclone.recording.dialect import Dialect

PREPROCESSING = Preprocessing(width=16, height=8)
DIALECT = Dialect(
    spaced=True, decimal_comma=False, header=False, cameras=("center", "left"), extra_columns=0
)
RECORDINGS = [RecordingInfo(Path("a"), "0" * 64, 10, 0, 1, DIALECT)]
SETTINGS = SampleSettings(seed=3)


def some_frames(count):
    return np.random.default_rng(0).integers(0, 256, (count, 8, 16, 3), dtype=np.uint8)


def some_rows(count):
    columns = {"line": range(count), "center": [f"ö{row}.jpg" for row in range(count)]}
    columns |= {"left": "", "right": ""}
    columns |= {"frame_center": range(count), "frame_left": -1, "frame_right": -1}
    columns |= {"time_ms": 0, "steering": 0.5, "throttle": 0.25, "brake": 0.125, "speed_mph": 30.0}
    columns |= {"episode": 0, "recording": 0, "validation": False}
    return pd.DataFrame(columns)


def some_samples(count):
    samples = np.zeros(count, SAMPLE)
    samples["frame"] = np.arange(count)
    samples["validation"][::4] = True
    return samples


def write_store(path, frames, capacity=None):
    samples = some_samples(len(frames))
    with StoreWriter(path, PREPROCESSING, capacity or len(frames)) as writer:
        writer.append(frames[:3])
        writer.append(frames[3:])
        rows = row_table(some_rows(len(frames)))
        writer.finish([samples[:4], samples[4:]], rows, RECORDINGS, SETTINGS)
    return samples
