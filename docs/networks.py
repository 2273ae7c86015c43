"""Results of the comparison of networks -> docs/results/networks.json, and the picture of the write-up about them.

    python docs/networks.py collect FOLDER   # the results of more models -> docs/results/networks.json
    python docs/networks.py draw             # that -> writeup_images/networks.png

FOLDER holds the --json of model, replay and evaluate as NAME.train.json, .replay.json, .replay-mountain.json and
.suite.json, and the log NAME.train.log; NAME is one of NETWORKS and a seed: gru3-1. Other models are left out.
The tables about them are written by docs/result_tables.py.
"""

import json
import re
import sys
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from statistics import median
from typing import Any

from bcclone.pictures.plots.style import BLUE, GREEN, RED, new_figure, save, tidy

ROOT = Path(__file__).parent.parent
RESULTS, PICTURE = ROOT / "docs" / "results" / "networks.json", ROOT / "writeup_images" / "networks.png"
_LAKE = "python preprocess.py lake_linux -o data.h5"
NETWORKS = {  # the name of its results: (what it is called, how its store was made, its options of model.py)
    "single": ("single frames", _LAKE, ""),
    "stacked3": ("3 frames stacked", _LAKE, " --seq-length 3"),
    "gru3": ("GRU, 3 frames", _LAKE, " --network gru --seq-length 3"),
    "lstm3": ("LSTM, 3 frames", _LAKE, " --network lstm --seq-length 3"),
    "no-conv4-5": ("no conv4, conv5", _LAKE, " --network cnn-no-conv4-5"),
    "padded": ("conv4, conv5 padded", _LAKE, " --network cnn-padded"),
    "fewer-strides": ("conv3 with stride 1", _LAKE, " --network cnn-fewer-strides"),
    "64x64": ("64x64 input", f"{_LAKE} --size 64", ""),
    "dave-2": ("DAVE-2", f"{_LAKE} --preprocess nvidia-66x200-yuv", " --network dave-2"),
    "chauffeur": ("Chauffeur", f"{_LAKE} --preprocess chauffeur-120x320-yuv", " --network chauffeur"),
    "epoch": ("Epoch", f"{_LAKE} --preprocess epoch-128x128-rgb", " --network epoch"),
    "gray20": ("20 gray frames, 80x120", f"{_LAKE} --preprocess gray-80x120 --seq-length 20", ""),
}
_PUBLISHED = ["dave-2", "chauffeur", "epoch"]
COMPARED = {
    "recurrent": list(NETWORKS)[:4],
    "left-open": ["single", *(name for name in list(NETWORKS)[4:] if name not in _PUBLISHED)],
    "published": ["single", *_PUBLISHED],
}
ROWS = ("lake-30", "lake-reverse-30", "latency-200", "no-lines")
_SCORED = [f"bcclone replay model.h5 {what} --json" for what in ("lake_linux --fraction 0.8:1", "mountain_windows")]
_SCORED += [f"bcclone evaluate model.h5 --suite --rows {' '.join(ROWS)} --json"]
MEASURES = {  # label: (keys of a model's figures, format)
    "parameters": (["parameters"], "{:,.0f}"),
    "passes": (["epochs"], "{:.0f}"),
    "training, s": (["seconds"], "{:.0f}"),
    "validation loss": (["val_loss"], "{:.4f}"),
    "lake_linux, last fifth: correlation": (["replay", "steering_correlation_smoothed"], "{:.2f}"),
    "mountain_windows: correlation": (["replay-mountain", "steering_correlation_smoothed"], "{:.2f}"),
    "mountain_windows: interventions": (["replay-mountain", "interventions"], "{:g}"),
    **{f"{row}: m from the middle": (["rows", row, "mean_abs_cross_track_m"], "{:.2f}") for row in ROWS},
    "interventions in these drives": (["interventions"], "{:g}"),
}
Models = Mapping[str, Mapping[str, Any]]


def collect(folder: Path) -> dict[str, Any]:
    """Return the figures and the commands of each model in the folder whose results are all there, by its name."""
    models = {}
    for name in (f"{network}-{seed}" for network in NETWORKS for seed in range(100)):
        paths = [folder / f"{name}.{part}.json" for part in ("train", "replay", "replay-mountain", "suite")]
        if all(path.is_file() and path.stat().st_size for path in paths):
            log = (folder / f"{name}.train.log").read_text()
            models[name] = _figures(name, [json.loads(path.read_text()) for path in paths], log)
    return {"machine": "2 cores without a GPU; each model on one of them, TensorFlow with one thread", "models": models}


def _figures(name: str, results: list[Any], log: str) -> dict[str, Any]:
    train, *replays, suite = results
    (network, _, seed), parts = name.rpartition("-"), ("replay", "replay-mountain")
    _, store, options = NETWORKS[network]
    length = f"--epochs 0 {train['ended']}" if "--time" in train["ended"] else f"--epochs {train['epochs']}"
    trained = f"python model.py data.h5 --seed {seed} {length}{options} --feed-workers 1 --no-plots"
    (parameters,) = re.findall(r"^total +([\d,]+)$", log, re.MULTILINE)
    rows = {row["row"]: next(iter(row["models"].values())) for row in suite["rows"]}
    driven = ("autonomy_percent", "interventions", "mean_abs_cross_track_m")
    replayed = ("interventions", "rms_cross_track_m", "steering_correlation", "steering_correlation_smoothed")
    return {
        "network": network,
        "seed": int(seed),
        "commands": [store, trained, *_SCORED],
        "parameters": int(parameters.replace(",", "")),
        **{key: train[key] for key in ("epochs", "seconds", "val_loss", "samples")},
        **{part: {key: figures[key] for key in replayed} for part, figures in zip(parts, replays, strict=True)},
        "rows": {row: {key: figures[key] for key in driven} for row, figures in rows.items()},
        "interventions": sum(figures["interventions"] for figures in rows.values()),
    }


def compare(models: Models, networks: list[str]) -> list[list[str]]:
    """Return a table with a column for each network that has results: the median of its seeds, least and greatest."""
    there = {name: of for name in networks if (of := [one for one in models.values() if one["network"] == name])}
    rows = [["", *(NETWORKS[name][0] for name in there)], ["seeds", *(str(len(of)) for of in there.values())]]
    rows += [[label, *(_cell([_value(one, label) for one in of], form) for of in there.values())]
             for label, (_, form) in MEASURES.items()]  # fmt: skip
    return rows


def _value(model: Mapping[str, Any], label: str) -> Any:
    return reduce(lambda found, key: found[key], MEASURES[label][0], model)


def _cell(values: list[Any], form: str) -> str:
    middle, least, most = (form.format(value) for value in (median(values), min(values), max(values)))
    return middle if least == most else f"{middle} ({least} to {most})"


def draw(models: Models, path: Path) -> None:
    """Draw a dot for each seed, and a panel for each figure that is a result of the training, as a PNG."""
    there = [name for name in NETWORKS if any(model["network"] == name for model in models.values())]
    figure = new_figure(11, 1.6 + 0.56 * len(there), "Each dot is a seed; red crosses: the car left the road")
    for axes, label in zip(figure.subplots(2, 4, sharey=True).flat, list(MEASURES)[3:-1], strict=True):
        for model in models.values():
            row = model["rows"].get(label.partition(":")[0], {"interventions": 0})
            place = there.index(model["network"])
            colour, mark = (RED, "x") if row["interventions"] else ((BLUE, GREEN)[place % 2], "o")
            axes.plot(_value(model, label), place + 0.22 * (model["seed"] - 1), mark, color=colour, markersize=5)
        axes.set_title(label.replace(": ", ":\n"), fontsize=9)
        axes.set_yticks(range(len(there)), [NETWORKS[name][0] for name in there], fontsize=9)
        axes.set(xlim=(0, 1.08 * axes.get_xlim()[1]), ylim=(len(there) - 0.5, -0.5))
        axes.locator_params(axis="x", nbins=4)
        tidy(axes)
    save(figure, path)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["collect"] and len(arguments) == 2:
        found, before = collect(Path(arguments[1])), json.loads(RESULTS.read_text())["models"]
        found["models"] = before | found["models"]
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    elif arguments == ["draw"]:
        draw(json.loads(RESULTS.read_text())["models"], PICTURE)
    else:
        sys.exit(__doc__)
