"""Recording -> how fast it becomes a store, beside decoding alone on all cores and the source design's way.

They take turns in one run, so that a slow moment of the machine hits them alike; the first turn reads the files into
the system's cache and does not count.
"""

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from bcclone.bench import Measure, in_turns
from bcclone.bench.decoding import convert_as_the_source, decode_alone
from bcclone.bench.feeds.synthetic import draw_recording
from bcclone.errors import UserError
from bcclone.preprocess import PreprocessSettings, convert
from bcclone.preprocess.plan import ConversionPlan, make_plan
from bcclone.recording import CAMERAS
from bcclone.samples import NO_FRAME

_ROOFLINE_BAR, _SOURCE_BAR = 0.85, 5.0
_TURNS = 7
_SOURCE_ROWS = 100  # it takes that much longer
_CONVERSION, _SOURCE = "conversion to a store", "the source's way"


def measure_preprocess(recording: Path | None, images: int, turns: int = _TURNS) -> list[Measure]:
    """Return the conversion's figures for a recording, or for a drawn one of so many images, three a row.

    All rates are in distinct images a second. What is written lies in the system's temporary folder meanwhile.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if recording is None:
            recording = folder / "recording"
            draw_recording(recording, images)
        plan = make_plan((str(recording),), CAMERAS, None)
        rates = _rates(str(recording), list(plan.files), _whole_rows(plan)[:_SOURCE_ROWS], folder, turns)
    return _compare({name: float(np.median(of_turns)) for name, of_turns in rates.items()})


def _whole_rows(plan: ConversionPlan) -> list[list[str]]:
    numbers = plan.rows[[f"frame_{camera}" for camera in CAMERAS]].to_numpy()
    whole = numbers[(numbers != NO_FRAME).all(axis=1)].tolist()
    if not whole:
        raise UserError(f"{plan.logs[0]}: no row has images of all cameras; measure with another recording")
    return [[plan.files[number] for number in row] for row in whole]


def _rates(
    recording: str, files: Sequence[str], rows: Sequence[Sequence[str]], folder: Path, turns: int
) -> dict[str, list[float]]:
    """Return images a second of each contestant and turn. files: all images; rows: what the source's way takes."""
    taken = sum(map(len, rows))
    settings = PreprocessSettings((recording,), folder / "data.h5")
    pixels = folder / "pixels.h5"
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as processes:
        contestants: dict[str, tuple[int, Callable[[], float]]] = {
            _CONVERSION: (len(files), partial(_convert, settings)),
            "decode and resize alone, threads": (len(files), partial(decode_alone, files)),
            "decode and resize alone, processes": (len(files), partial(decode_alone, files, processes)),
            _SOURCE: (taken, partial(convert_as_the_source, rows, pixels, once=False)),
            f"{_SOURCE}, each image decoded once": (taken, partial(convert_as_the_source, rows, pixels, once=True)),
        }
        seconds = in_turns({name: take for name, (_, take) in contestants.items()}, turns)
    return {name: [count / of_turn for of_turn in seconds[name]] for name, (count, _) in contestants.items()}


def _convert(settings: PreprocessSettings) -> float:
    """Return the seconds from the log to the finished store, which is removed again."""
    made = convert(settings)
    made.output.unlink()
    return made.seconds


def _compare(rates: dict[str, float]) -> list[Measure]:
    roofline = max(rate for name, rate in rates.items() if name.startswith("decode"))
    once = rates[f"{_SOURCE}, each image decoded once"]
    return [
        *(Measure(name, rate, "images/s") for name, rate in rates.items()),
        Measure("conversion to the faster decoding alone", rates[_CONVERSION] / roofline, "x", _ROOFLINE_BAR),
        Measure("conversion to the source's way", rates[_CONVERSION] / rates[_SOURCE], "x", _SOURCE_BAR),
        Measure("conversion to that with each decoded once", rates[_CONVERSION] / once, "x"),
    ]
