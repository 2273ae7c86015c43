"""Results of models/any-camera.h5 beside those of models/any-road.h5 ->
docs/results/any-camera.json.

    python docs/any_camera.py mix FIRST SECOND FRACTION BIAS OUTPUT   # the weighted mean of two models -> a model
    python docs/any_camera.py collect FOLDER   # the results in a folder -> docs/results/any-camera.json

FRACTION is that of SECOND, one that was trained beginning with FIRST; BIAS is added to its
steering.

FOLDER holds, for each SET of ../shared/real, its labels as SET.csv or its imported recording as
SET, and for each MODEL of any-road and any-camera the table of `bcclone predict` as MODEL.SET.csv,
and the --json of `bcclone evaluate --road` as MODEL.ROAD.drive.json. docs/result_tables.py writes
the table.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.evaluation.predict import read_labels, read_steering, seconds_of
from bcclone.system.arrays import FloatArray
from bcclone.system.statistics import correlation, right_side

RESULTS = Path(__file__).parent / "results" / "any-camera.json"
MODELS = ("any-road", "any-camera")


@dataclass(frozen=True)
class RealDrive:
    """A drive of ../shared/real."""

    description: str
    fit_seconds: float  # of its beginning, on which gain and bias are fitted
    left_positive: bool = False  # of its labels


SETS = {
    "car": RealDrive("a car on a highway, rows 160 to 480", 28.0, left_positive=True),
    "tub_road": RealDrive("a donkeycar on a small road, whole frames", 33.0),
    "tub_floor": RealDrive("a donkeycar on a floor, whole frames", 30.0),
}
_THRESHOLD = 0.1  # of the labels whose side is compared
_SMOOTH_SECONDS = 0.35  # time constant of the smoothed steering
_DRIVE = ("autonomy_percent", "interventions", "mean_abs_cross_track_m")


def mix(first: str, second: str, fraction: float, bias: float, output: str) -> None:
    """Write a model whose weights lie between those of two models, which remembers more of the
    first than the second.

    M. Wortsman and others, "Robust fine-tuning of zero-shot models", CVPR 2022. Raises UserError.
    """
    from bcclone.model.model_file import load_model, save_model

    start, trained = load_model(first).model.get_weights(), load_model(second)
    pairs = zip(start, trained.model.get_weights(), strict=True)
    *weights, last = ((1 - fraction) * one + fraction * other for one, other in pairs)
    trained.model.set_weights([*weights, last + bias])
    save_model(output, trained.model, trained.preprocessing, asdict(trained.training))


def collect(folder: Path) -> dict[str, Any]:
    """Return the figures of both models."""
    return {
        "machine": "2 cores without a GPU, that other programs used, too",
        "real": {model: {name: _score(folder, model, name) for name in SETS} for model in MODELS},
        "drives": {model: _drives(folder, model) for model in MODELS},
    }


def _score(folder: Path, model: str, name: str) -> dict[str, Any]:
    """Return how well a model's steering agrees with the labels after the fitted seconds, as it is
    and fitted.
    """
    drive = SETS[name]
    predictions = read_steering(folder / f"{model}.{name}.csv")
    table = folder / f"{name}.csv"
    labels = read_labels(table if table.exists() else folder / name)
    names = [frame for frame in labels if frame in predictions]
    seconds = seconds_of(names)
    if seconds is None:
        raise ValueError(f"{model}, {name}: frame_id holds no times")
    order = np.argsort(seconds, kind="stable")
    seconds = seconds[order] - seconds.min()
    steering = np.array([predictions[frame] for frame in names])[order]
    wanted = np.array([labels[frame] for frame in names])[order]
    if drive.left_positive:
        wanted = -wanted

    rest = seconds >= drive.fit_seconds
    gain, bias = np.polyfit(steering[~rest], wanted[~rest], 1)
    drivers = {
        "predictions": steering,
        "fitted": gain * steering + bias,
        "fitted_smoothed": gain * _smoothed(steering, seconds) + bias,
    }
    fit = {
        "gain": float(gain),
        "bias": float(bias),
        "seconds": drive.fit_seconds,
        "frames": int((~rest).sum()),
    }
    figures: dict[str, Any] = {
        driver: _agreement(own[rest], wanted[rest]) for driver, own in drivers.items()
    }
    return figures | {"frames": int(rest.sum()), "fit": fit}


def _smoothed(steering: FloatArray, seconds: FloatArray) -> FloatArray:
    """Return the exponential mean of a steering, (frames,)."""
    smoothed = [float(steering[0])]
    for value, step in zip(steering[1:], np.diff(seconds), strict=True):
        share = 1 - np.exp(-step / _SMOOTH_SECONDS)
        smoothed.append(smoothed[-1] + share * (value - smoothed[-1]))
    return np.array(smoothed)


def _agreement(steering: FloatArray, labels: FloatArray) -> dict[str, float | None]:
    error = steering - labels
    return {
        "correlation": _rounded(correlation(steering, labels), 4),
        "right_side": _rounded(right_side(steering, labels, _THRESHOLD), 4),
        "rmse": _rounded(float(np.sqrt(np.mean(error**2))), 6),
        "eva": _rounded(1 - float(error.var() / labels.var()), 4),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _drives(folder: Path, model: str) -> dict[str, Any]:
    paths = sorted(folder.glob(f"{model}.*.drive.json"))
    return {
        path.name.split(".")[1]: {key: json.loads(path.read_text())[key] for key in _DRIVE}
        for path in paths
    }


def real(stored: Mapping[str, Any]) -> list[list[str]]:
    """Return the table of real cameras: a row for each set and model."""
    head = (
        "frames of|model|correlation|right side|EVA|RMSE|smoothed: EVA|RMSE|gain|unfitted: EVA|RMSE"
    )
    rows = [head.split("|")]
    for name, drive in SETS.items():
        for model, sets in stored["real"].items():
            one = sets[name]
            fitted, smoothed = one["fitted"], one["fitted_smoothed"]
            cells = [
                *(f"{fitted['correlation']:.3f}", f"{100 * fitted['right_side']:.1f} %"),
                *(f"{each[key]:.3f}" for each in (fitted, smoothed) for key in ("eva", "rmse")),
                f"{one['fit']['gain']:.2f}",
                *(f"{one['predictions'][key]:.3f}" for key in ("eva", "rmse")),
            ]
            rows.append([drive.description, f"`{model}.h5`", *cells])
    return rows


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["mix", first, second, fraction, bias, output]:
            mix(first, second, float(fraction), float(bias), output)
        case ["collect", folder]:
            RESULTS.write_text(json.dumps(collect(Path(folder)), indent=1) + "\n", encoding="utf-8")
        case _:
            sys.exit(__doc__)
