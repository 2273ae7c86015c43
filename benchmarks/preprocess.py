"""Measure preprocess.py: a recording -> images a second, decoding alone, decoding again for each
sample.

All are measured in rounds, so that a slow moment of the machine affects all alike; the first round
reads the files into the system's cache and is not counted.
"""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import cv2
import h5py
import numpy as np
import simplejpeg

from bcclone import PreprocessSettings, SampleSettings, UserError, convert
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image, read_file
from bcclone.dataset.conversion_plan import ConversionPlan, make_plan
from bcclone.dataset.rows import FRAME_COLUMNS, NO_FRAME
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, setting
from benchmarks.measures import Measure, Report
from benchmarks.rounds import measure_in_rounds, median_ratio, rounds_setting
from benchmarks.synthetic import SYNTHETIC_IMAGES, draw_recording

_SIDE = 128
_FILES_PER_TASK = 64
_PREVIOUS = 4
_ROOFLINE_BAR, _SOURCE_BAR = 0.85, 5.0
_ROUNDS = 7
_SOURCE_ROWS = 100  # fewer, since its conversion takes much longer
_CONVERSION, _SOURCE = "conversion to a store", "the source's way"


@dataclass(frozen=True)
class Settings(Checked):
    """How fast a recording becomes a store."""

    frames: int = setting(SYNTHETIC_IMAGES, "number of camera images of the synthetic recording", 3)
    recording: Path | None = setting(
        None, "recording to convert: a folder or its log", unit="PATH", shown="a synthetic one"
    )
    rounds: int = rounds_setting(_ROUNDS)


def measure(settings: Settings, notify: Notify) -> Report:
    """Return the conversion's measures for a recording, or for a synthetic one.

    All rates are in distinct images per second. Everything is written to the system's temporary
    folder.
    """
    with (
        tempfile.TemporaryDirectory() as name,
        ProcessPoolExecutor(None, get_context("spawn")) as processes,
    ):
        folder = Path(name)
        recording = settings.recording or draw_recording(folder / "recording", settings.frames)
        plan = make_plan((str(recording),), SampleSettings(), None)
        rows = _complete_rows(plan)[:_SOURCE_ROWS]
        whole = PreprocessSettings((str(recording),), folder / "data.h5")
        decode = partial(time_decoding, plan.files)
        conversions: dict[str, Callable[[], float]] = {
            _CONVERSION: partial(_convert, whole),
            "decode and resize alone, threads": decode,
            "decode and resize alone, processes": partial(decode, processes),
            _SOURCE: partial(time_source_conversion, rows, folder / "pixels.h5"),
        }
        seconds = measure_in_rounds(conversions, settings.rounds)
    counts = {_SOURCE: sum(map(len, rows))}
    rates = {
        name: [counts.get(name, len(plan.files)) / one for one in each]
        for name, each in seconds.items()
    }
    decoding = max(
        (name for name in rates if name.startswith("decode")), key=lambda name: median(rates[name])
    )
    to_decoding, to_source = (
        median_ratio(rates[_CONVERSION], rates[other]) for other in (decoding, _SOURCE)
    )
    return Report(
        [
            *(Measure(name, median(each), "images/s") for name, each in rates.items()),
            Measure("conversion to the faster decoding alone", to_decoding, "x", _ROOFLINE_BAR),
            Measure("conversion to the source's way", to_source, "x", _SOURCE_BAR),
        ]
    )


def _complete_rows(plan: ConversionPlan) -> list[list[str]]:
    numbers = plan.rows[FRAME_COLUMNS].to_numpy()
    complete = numbers[(numbers != NO_FRAME).all(axis=1)].tolist()
    if not complete:
        raise UserError(
            f"{plan.logs[0]}: no row has images of all cameras; measure with another recording"
        )
    return [[plan.files[number] for number in row] for row in complete]


def time_decoding(files: Sequence[str], pool: Executor | None = None) -> float:
    """Return the seconds to decode and resize the files on all cores, and nothing else: the
    roofline.

    pool: of warm workers, one per core; threads if there is none.
    """
    if pool is None:
        with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
            return time_decoding(files, threads)
    tasks = [
        files[start : start + _FILES_PER_TASK] for start in range(0, len(files), _FILES_PER_TASK)
    ]
    since = time.perf_counter()
    list(pool.map(_decode, tasks))
    return time.perf_counter() - since


def _decode(files: Sequence[str]) -> None:
    cv2.setNumThreads(1)
    frame = np.empty((FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8)
    small = np.empty((_SIDE, _SIDE, 3), np.uint8)
    for path in files:
        simplejpeg.decode_jpeg(read_file(path), colorspace="RGB", buffer=frame)
        cv2.resize(frame, (_SIDE, _SIDE), small, interpolation=cv2.INTER_LINEAR)


def time_source_conversion(rows: Sequence[Sequence[str]], store: Path) -> float:
    """Return the seconds to write every sample of the rows as pixels, in one process and with
    OpenCV.

    rows: the files of each row's cameras. The samples follow the default settings: the frames of
    each camera in this row and the rows before, and their mirror images.
    """
    cv2.setNumThreads(-1)  # OpenCV's own choice
    since = time.perf_counter()
    with h5py.File(store, "w") as file:
        frame_rows = sum(min(number, _PREVIOUS + 1) for number in range(1, len(rows) + 1))
        size = frame_rows * len(rows[0]) * 2
        images = file.create_dataset("images", (size, _SIDE, _SIDE, 3), np.uint8)
        count = 0
        for last in range(1, len(rows) + 1):
            frames = [
                _read(path) for row in rows[max(last - _PREVIOUS - 1, 0) : last] for path in row
            ]
            samples = np.stack([*frames, *(cv2.flip(frame, 1) for frame in frames)])
            images[count : count + len(samples)] = samples
            count += len(samples)
    return time.perf_counter() - since


def _read(path: str) -> Image:
    frame = cv2.imread(path)
    if frame is None:
        raise UserError(f"{path}: no image; measure with a recording without damaged images")
    return np.asarray(cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), (_SIDE, _SIDE)), np.uint8)


def _convert(settings: PreprocessSettings) -> float:
    """Return the seconds from the log to the finished store, which is removed again."""
    conversion = convert(settings)
    conversion.output.unlink()
    return conversion.seconds
