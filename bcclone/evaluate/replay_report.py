"""Show the results of a replay: a table in text, a picture, and the figures as JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.evaluate.replay_result import ReplayResult
from bcclone.lab.monitor.points import describe_doubts, doubts_csv
from bcclone.pictures.plots.drives import plot_deviations
from bcclone.system.atomic import write_text

_CONTROLS = {"human": "the human", "zero": "no steering", "mean": "mean steering"}  # by their keys in JSON

Results = Mapping[str, ReplayResult]  # name of a model or a server -> its result, on the same recording


def results_as_json(results: Results) -> dict[str, Any]:
    """Return the figures of a single driver, or those of several by their names under "models", as JSON values."""
    values = {name: result.as_json() for name, result in results.items()}
    return next(iter(values.values())) if len(values) == 1 else {"models": values}


def missing_images(result: ReplayResult) -> list[str]:
    """Return a notice for each kind of images that the recording lacks."""
    notices = []
    if result.reference.cameras == ("center",):
        notices.append("there are no images of the side cameras; views are made from the centre camera alone")
    if lacking := len(result.reference) - result.frames:
        notices.append(f"{lacking} rows have no readable centre image; the steering before them is held")
    return notices


def replay_table(results: Results) -> list[str]:
    """Return the lines of the table: all drivers, and the controls below."""
    figures = {name: result.figures() for name, result in results.items()}
    first = next(iter(figures.values()))
    figures |= {_CONTROLS[name]: control for name, control in first.controls.items()}
    width = max(len(name) for name in figures)
    limits = "".join(f"{limit + ' m':>7}" for limit in first.by_limit)
    lines = [
        f"{first.rows} rows, {first.distance_m / 1000:.2f} km in {first.seconds:.0f} s; the car is set back at a "
        f"deviation of {first.limit_m:g} m",
        "rms: of the deviation, m; interventions by limit; r: correlation of the steering on the recorded frames with",
        "the recorded steering; mean r: with its mean over 9 rows; off by: mean absolute difference",
        "",
        f"{'':{width}}  autonomy   a km   rms{limits}      r  mean r  off by",
    ]
    for name, its in figures.items():
        counts = "".join(f"{score.interventions:>7}" for score in its.by_limit.values())
        lines.append(
            f"{name:{width}}{its.score.autonomy_percent:8.1f} %{its.score.interventions_per_km:7.1f}"
            f"{its.score.rms_cross_track_m:6.2f}{counts}{_number(its.steering.correlation, 7)}"
            f"{_number(its.steering.correlation_smoothed, 8)}{_number(its.steering.mae, 8)}"
        )
    doubted = next(iter(results.values())).doubts
    return [*lines, f"the monitor {describe_doubts(doubted)}"] if doubted else lines


def write_replay(folder: Path, recording: str, results: Results, figures: Mapping[str, Any]) -> list[Path]:
    """Write a picture of each driver's deviation, above that of no steering, and the figures; return their paths.

    recording: its name; figures: JSON values.
    """
    first = next(iter(results.values()))
    drivers = {**results, _CONTROLS["zero"]: first.controls["zero"]}
    rollouts = {name: result.rollout for name, result in drivers.items()}
    title = f"{recording}: deviation from the recorded path; a person takes over at {first.limit_m:g} m"
    paths = [folder / "deviation.png", folder / "figures.json"]
    plot_deviations(title, np.cumsum(first.reference.seconds), rollouts, first.limit_m, paths[0])
    write_text(paths[1], json.dumps(figures, indent=2) + "\n")
    if first.doubts:
        paths.append(folder / "doubts.csv")
        write_text(paths[-1], doubts_csv(first.doubts))
    return paths


def _number(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.2f}"
