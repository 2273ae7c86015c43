"""Results of models/any-camera.h5 beside those of models/any-road.h5 ->
docs/results/any-camera.json.

    python docs/any_camera.py mix FIRST SECOND FRACTION BIAS OUTPUT   # the weighted mean of two models -> a model
    python docs/any_camera.py collect FOLDER   # the results in a folder -> docs/results/any-camera.json

FRACTION is that of SECOND, one that was trained beginning with FIRST; BIAS is added to its
steering.

FOLDER holds, for each MODEL of any-road and any-camera, the --json of `bcclone score` as
MODEL.SET.score.json for the development sets of ../shared/real, and that of `bcclone evaluate
--road` as MODEL.ROAD.drive.json. docs/result_tables.py writes the table.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "any-camera.json"
MODELS = ("any-road", "any-camera")
SETS = {  # of ../shared/real: its description
    "car": "a car on a highway, rows 160 to 480",
    "tub_road": "a donkeycar on a small road, whole frames",
    "tub_floor": "a donkeycar on a floor, whole frames",
}
_SCORE = ("correlation", "right_side", "rmse", "eva")
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
        "real": {
            model: {name: _score(folder / f"{model}.{name}.score.json") for name in SETS}
            for model in MODELS
        },
        "drives": {model: _drives(folder, model) for model in MODELS},
    }


def _score(path: Path) -> dict[str, Any]:
    stored = json.loads(path.read_text())
    figures: dict[str, Any] = {
        name: {key: stored[name][key] for key in _SCORE}
        for name in ("predictions", "fitted", "fitted_smoothed")
    }
    return figures | {key: stored[key] for key in ("frames", "fit", "lag")}


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
    for name, label in SETS.items():
        for model, sets in stored["real"].items():
            one = sets[name]
            fitted, smoothed = one["fitted"], one["fitted_smoothed"]
            cells = [
                *(f"{fitted['correlation']:.3f}", f"{100 * fitted['right_side']:.1f} %"),
                *(f"{each[key]:.3f}" for each in (fitted, smoothed) for key in ("eva", "rmse")),
                f"{one['fit']['gain']:.2f}",
                *(f"{one['predictions'][key]:.3f}" for key in ("eva", "rmse")),
            ]
            rows.append([label, f"`{model}.h5`", *cells])
    return rows


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["mix", first, second, fraction, bias, output]:
            mix(first, second, float(fraction), float(bias), output)
        case ["collect", folder]:
            RESULTS.write_text(json.dumps(collect(Path(folder)), indent=1) + "\n", encoding="utf-8")
        case _:
            sys.exit(__doc__)
