"""Measure preprocess.py: a recording -> images a second.

Decoding alone is measured as the limit, and decoding again for each sample as the usual way. All
are measured in rounds, so that a slow moment of the machine affects all alike; the first round
reads the files into the system's cache and is not counted.
"""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
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
from bcclone.dataset.plan import Plan, make_plan
from bcclone.dataset.samples import FRAME_COLUMNS, NO_FRAME
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, setting
from benchmarks.measures import Measure, Report
from benchmarks.rounds import measure_in_rounds, median_ratio, rounds_setting
from benchmarks.synthetic import SYNTHETIC_IMAGES, draw_recording

# names of what is measured
_CONVERSION = "conversion to a store"
_DECODING = "decode and resize alone"
_SOURCE = "the source's way"

_SIDE_PX = 128  # width and height of the images in a store


@dataclass(frozen=True)
class Settings(Checked):
    """How fast a recording becomes a store."""

    frames: int = setting(SYNTHETIC_IMAGES, "number of camera images of the synthetic recording", 3)
    recording: Path | None = setting(
        None, "recording to convert: a folder or its log", unit="PATH", shown="a synthetic one"
    )
    rounds: int = rounds_setting(7)


def measure(settings: Settings, notify: Notify) -> Report:
    """Return the conversion's measures for a recording, or for a synthetic one.

    All rates are in distinct images per second. Everything is written to the system's temporary
    folder.
    """
    source_rows = 100  # fewer than all, since the conversion in the source's way takes much longer
    with (
        tempfile.TemporaryDirectory() as name,
        ProcessPoolExecutor(None, get_context("spawn")) as processes,
    ):
        folder = Path(name)
        recording = settings.recording or draw_recording(folder / "recording", settings.frames)
        plan = make_plan((str(recording),), SampleSettings(), None)
        rows = _complete_rows(plan)[:source_rows]
        to_store = PreprocessSettings((str(recording),), folder / "data.h5")
        decode = partial(time_decoding, plan.files)
        conversions: dict[str, Callable[[], float]] = {
            _CONVERSION: partial(_time_conversion, to_store),
            f"{_DECODING}, threads": decode,
            f"{_DECODING}, processes": partial(decode, processes),
            _SOURCE: partial(time_source_conversion, rows, folder / "pixels.h5"),
        }
        times = measure_in_rounds(conversions, settings.rounds)
    counts = dict.fromkeys(conversions, len(plan.files))
    counts[_SOURCE] = sum(map(len, rows))
    rates = {
        name: [counts[name] / seconds for seconds in seconds_of_rounds]
        for name, seconds_of_rounds in times.items()
    }
    return Report(_measures(rates))


def _measures(rates: Mapping[str, Sequence[float]]) -> list[Measure]:
    """Return the measures. rates: images a second in each round, by name."""
    least_to_decoding = 0.85
    least_to_source = 5.0
    measures = [Measure(name, median(rounds), "images/s") for name, rounds in rates.items()]
    decoders = [name for name in rates if name.startswith(_DECODING)]
    fastest = max(decoders, key=lambda name: median(rates[name]))
    to_decoding = median_ratio(rates[_CONVERSION], rates[fastest])
    to_source = median_ratio(rates[_CONVERSION], rates[_SOURCE])
    return [
        *measures,
        Measure("conversion to the faster decoding alone", to_decoding, "x", least_to_decoding),
        Measure(f"conversion to {_SOURCE}", to_source, "x", least_to_source),
    ]


def _time_conversion(settings: PreprocessSettings) -> float:
    """Return the seconds from the log to the finished store, which is removed again."""
    conversion = convert(settings)
    conversion.output.unlink()
    return conversion.seconds


# ---- decoding alone


def time_decoding(files: Sequence[str], pool: Executor | None = None) -> float:
    """Return the seconds to decode and resize the files on all cores, and nothing else.

    No conversion can be faster.

    pool: of warm workers, one per core; threads if there is none
    """
    files_a_task = 64
    if pool is None:
        with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
            return time_decoding(files, threads)
    starts = range(0, len(files), files_a_task)
    tasks = [files[start : start + files_a_task] for start in starts]
    since = time.perf_counter()
    list(pool.map(_decode, tasks))
    return time.perf_counter() - since


def _decode(files: Sequence[str]) -> None:
    cv2.setNumThreads(1)
    frame = np.empty((FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8)
    small = np.empty((_SIDE_PX, _SIDE_PX, 3), np.uint8)
    for path in files:
        simplejpeg.decode_jpeg(read_file(path), colorspace="RGB", buffer=frame)
        cv2.resize(frame, (_SIDE_PX, _SIDE_PX), small, interpolation=cv2.INTER_LINEAR)


# ---- the usual way: a sample is decoded, and stored as pixels, each time


def _complete_rows(plan: Plan) -> list[list[str]]:
    """Return the files of each row that has images of all cameras."""
    numbers = plan.rows[FRAME_COLUMNS].to_numpy()
    complete = numbers[(numbers != NO_FRAME).all(axis=1)].tolist()
    if not complete:
        raise UserError(
            f"{plan.recordings[0].path}: no row has images of all cameras; "
            "measure with another recording"
        )
    return [[plan.files[number] for number in row] for row in complete]


def time_source_conversion(rows: Sequence[Sequence[str]], store: Path) -> float:
    """Return the seconds to write every sample of the rows, in one process and with OpenCV.

    The samples follow the default settings: the frames of each camera in this row and the four rows
    before, and their mirror images.

    rows: the files of each row's cameras
    """
    most_rows = 5  # in a sample
    cv2.setNumThreads(-1)  # OpenCV's own choice
    since = time.perf_counter()
    with h5py.File(store, "w") as file:
        frame_rows = sum(min(number, most_rows) for number in range(1, len(rows) + 1))
        size = frame_rows * len(rows[0]) * 2
        images = file.create_dataset("images", (size, _SIDE_PX, _SIDE_PX, 3), np.uint8)
        count = 0
        for end in range(1, len(rows) + 1):
            row_group = rows[max(end - most_rows, 0) : end]
            frames = [_read(path) for row in row_group for path in row]
            mirrored = [cv2.flip(frame, 1) for frame in frames]
            samples = np.stack([*frames, *mirrored])
            images[count : count + len(samples)] = samples
            count += len(samples)
    return time.perf_counter() - since


def _read(path: str) -> Image:
    picture = cv2.imread(path)
    if picture is None:
        raise UserError(f"{path}: no image; measure with a recording without damaged images")
    frame = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return np.asarray(cv2.resize(frame, (_SIDE_PX, _SIDE_PX)), np.uint8)
