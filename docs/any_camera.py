"""models/any-camera.h5 beside models/any-road.h5 on recordings of real cars, ../shared/real.

measure.py collects the figures, result_tables.py writes the table.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.evaluation.predict import exponential_mean
from bcclone.recording.files import find_log
from bcclone.recording.log import read_log
from bcclone.recording.row import time_of
from bcclone.system.arrays import FloatArray
from bcclone.system.statistics import correlation
from bcclone.training.score import right_side

MODELS = ("any-road", "any-camera")

_SMOOTHED_OVER = 0.35  # seconds


@dataclass(frozen=True)
class RealDrive:
    """A drive of ../shared/real."""

    description: str
    fit_seconds: float  # of its beginning, on which gain and bias are fitted
    left_positive: bool = False  # of its labels


DRIVES = {
    "car": RealDrive("a car on a highway, rows 160 to 480", 28.0, left_positive=True),
    "tub_road": RealDrive("a donkeycar on a small road, whole frames", 33.0),
    "tub_floor": RealDrive("a donkeycar on a floor, whole frames", 30.0),
}


# ---- collecting


def collect(folder: Path, labels: Mapping[str, Path]) -> dict[str, Any]:
    """Return the figures of both models.

    folder: with the table of `bcclone predict` of each model and drive, as MODEL.DRIVE.csv
    labels: drive -> a table of frame_id and steering_angle, or a recording
    """
    real: dict[str, Any] = {}
    for model in MODELS:
        real[model] = {
            name: _score(drive, folder / f"{model}.{name}.csv", labels[name])
            for name, drive in DRIVES.items()
        }
    return {"real": real}


@dataclass(frozen=True)
class Steering:
    """A model's steering in a drive, and the labels, in order of time; (frames,) each."""

    seconds: FloatArray  # since the first frame
    steering: FloatArray
    labels: FloatArray


def _score(drive: RealDrive, predictions: Path, labels_of: Path) -> dict[str, Any]:
    """Return how well a model's steering agrees with the labels of a drive, as it is and fitted.

    Gain and bias are fitted to the beginning of the drive; the rest is scored.
    """
    answers = _read_answers(drive, predictions, labels_of)
    steering = answers.steering
    labels = answers.labels
    scored = answers.seconds >= drive.fit_seconds
    smoothed = exponential_mean(steering, answers.seconds, _SMOOTHED_OVER)
    gain, bias = np.polyfit(steering[~scored], labels[~scored], 1)
    drivers = {
        "predictions": steering,
        "fitted": gain * steering + bias,
        "fitted_smoothed": gain * smoothed + bias,
    }
    figures: dict[str, Any] = {}
    for driver, driver_steering in drivers.items():
        figures[driver] = _agreement(driver_steering[scored], labels[scored])
    figures["frames"] = int(scored.sum())
    figures["fit"] = {
        "gain": float(gain),
        "bias": float(bias),
        "seconds": drive.fit_seconds,
        "frames": int((~scored).sum()),
    }
    return figures


def read_steering(table: Path) -> dict[str, float]:
    """Return frame_id -> steering of a table of `bcclone predict`, or of labels."""
    with table.open(encoding="utf-8", newline="") as file:
        return {row["frame_id"]: float(row["steering_angle"]) for row in csv.DictReader(file)}


def _read_answers(drive: RealDrive, table: Path, labels: Path) -> Steering:
    """Return a model's steering in a drive, and the labels, which are positive to the right."""
    predictions = read_steering(table)
    if labels.is_file():
        labels_of = read_steering(labels)
    else:
        rows = read_log(find_log(str(labels))).rows
        labels_of = {
            Path(image).stem: float(label)
            for image, label in zip(rows["center"], rows["steering"], strict=True)
        }
    frames = [frame for frame in labels_of if frame in predictions]
    seconds = np.array(list(map(_seconds_of, frames)))
    steering = np.array([predictions[frame] for frame in frames])
    driven = np.array([labels_of[frame] for frame in frames])
    if drive.left_positive:
        driven = -driven
    order = np.argsort(seconds, kind="stable")
    return Steering(
        seconds=seconds[order] - seconds.min(), steering=steering[order], labels=driven[order]
    )


def _seconds_of(frame: str) -> float:
    """Return the time in a frame's name: nanoseconds since 1970, or as the simulator writes it."""
    return int(frame) / 1e9 if frame.isdecimal() else time_of(frame) / 1000


def _agreement(steering: FloatArray, labels: FloatArray) -> dict[str, float | None]:
    least_label = 0.1  # of the labels whose side is compared
    error = steering - labels
    return {
        "correlation": _rounded(correlation(steering, labels), 4),
        "right_side": _rounded(right_side(steering, labels, least_label), 4),
        "rmse": _rounded(float(np.sqrt(np.mean(error**2))), 6),
        "eva": _rounded(1 - float(error.var() / labels.var()), 4),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


# ---- the table


def real_table(stored: Mapping[str, Any]) -> list[list[str]]:
    """Return the table of real cameras: a row for each set and model."""
    head = (
        "frames of|model|correlation|correct side|EVA|RMSE|smoothed: EVA|RMSE|gain|"
        "unfitted: EVA|RMSE"
    )
    rows = [head.split("|")]
    for name, drive in DRIVES.items():
        for model, sets in stored["real"].items():
            figures = sets[name]
            fitted = figures["fitted"]
            row = [
                drive.description,
                f"`{model}.h5`",
                f"{fitted['correlation']:.3f}",
                f"{100 * fitted['right_side']:.1f} %",
                *_errors(fitted),
                *_errors(figures["fitted_smoothed"]),
                f"{figures['fit']['gain']:.2f}",
                *_errors(figures["predictions"]),
            ]
            rows.append(row)
    return rows


def _errors(figures: Mapping[str, float]) -> list[str]:
    return [f"{figures['eva']:.3f}", f"{figures['rmse']:.3f}"]
