"""Measure how fast each exported format answers a frame, beside drive.py's own network, and how far its answers differ.

All are given the same rendered frames, a few at a time in turn, so that a slow moment of the machine affects all alike.
"""

import itertools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bcclone.bench import Measure, given_or_untrained_model, measure_in_rounds, milliseconds
from bcclone.bench.settings import ExportBenchSettings
from bcclone.errors import UserError
from bcclone.export_model.exporting import TOLERANCE, signature_of, write_exported
from bcclone.export_model.runtimes import Run, open_exported
from bcclone.export_model.settings import FORMATS
from bcclone.images import Image
from bcclone.simulator.car import start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.settings import Conditions
from bcclone.simulator.track import load_track

if TYPE_CHECKING:
    from bcclone.model_file import ModelFile

_PASSES = 2  # over the frames
_ANSWERS = 10  # of each, one after the other, before those of the next
_MILLION = 1e6


def measure_export(settings: ExportBenchSettings, notify: Callable[[str], None] = lambda line: None) -> list[Measure]:
    """Return the latency of each format, and its greatest difference from the model, which has a bar.

    notify: called with a line for each format that cannot be written or run here.
    """
    with given_or_untrained_model(settings.model) as model, tempfile.TemporaryDirectory(prefix="bcclone-") as folder:
        from bcclone.export_model.comparison import greatest_difference, inputs_of, own_run
        from bcclone.model_file import load_model_file
        from bcclone.policy import Policy

        file = load_model_file(model)
        runs = _exported_runs(file, Path(folder), notify)
        frames = lake_frames(settings.frames)
        inputs, own = inputs_of(signature_of(file), frames), own_run(file)
        differences = {kind: greatest_difference(own, run, inputs) for kind, run in runs.items()}
        timed = {"drive.py": _timed(Policy(file).act, frames)}
        timed |= {kind: _timed(run, inputs) for kind, run in runs.items()}
        rounds = measure_in_rounds(timed, max(_PASSES * len(frames) // _ANSWERS, 1))
    return [*_latencies(rounds), *_differences(differences)]


def lake_frames(count: int) -> list[Image]:
    """Return camera frames, uint8 (160, 320, 3), rendered along the lake track."""
    renderer, track = Renderer("lake", Conditions()), load_track("lake")
    return [
        renderer.frame(start_on(track, along_m=along))
        for along in np.linspace(0, track.length_m, count, endpoint=False)
    ]


def _exported_runs(file: "ModelFile", folder: Path, notify: Callable[[str], None]) -> dict[str, Run]:
    """Write the model in each format, and open what was written."""
    runs: dict[str, Run] = {}
    for kind, (ending, _) in FORMATS.items():
        path = folder / f"model{ending}"
        try:
            write_exported(path, kind, file, signature_of(file))
            runs[kind] = open_exported(path, kind)
        except UserError as error:
            notify(f"note: {kind} is left out: {error}")
    return runs


def _timed(answer: Callable[[Any], object], given: Sequence[Any]) -> Callable[[], list[float]]:
    """Return a function that measures the next few answers, in milliseconds; after the last one, the first follows."""
    following = itertools.cycle(given)
    return lambda: [milliseconds(answer, next(following)) for _ in range(_ANSWERS)]


def _latencies(rounds: dict[str, list[list[float]]]) -> list[Measure]:
    measures = []
    for name, taken in rounds.items():
        p50, p99 = np.percentile(np.concatenate(taken), [50, 99])
        measures.append(Measure(f"{name}, frame to steering, p50", float(p50), "ms"))
        measures.append(Measure(f"{name}, frame to steering, p99", float(p99), "ms"))
    return measures


def _differences(differences: dict[str, float]) -> list[Measure]:
    bar = TOLERANCE * _MILLION
    return [
        Measure(f"{kind}, greatest difference", difference * _MILLION, "millionths", bar, least=False)
        for kind, difference in differences.items()
    ]
