"""Compare the networks in docs/results/networks.json, for result_pictures.py and result_tables.py.

python docs/networks.py add RESULT   # models in a result of `python -m benchmarks networks --json`
-> networks.json
"""

import json
import sys
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from statistics import median
from typing import Any

from bcclone.pictures.plots.style import BLUE, GREEN, RED, new_figure, save, tidy

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results" / "networks.json"
COMPARED = {
    "recurrent": ["single", "stacked3", "gru3", "lstm3"],
    "left-open": ["single", "no-conv4-5", "padded", "fewer-strides", "64x64", "gray20"],
    "published": ["single", "dave-2", "chauffeur", "epoch"],
}
_ROWS = ("lake-30", "lake-reverse-30", "latency-200", "no-lines")
MEASURES = {  # label: (keys of a model's figures, format)
    "parameters": (["parameters"], "{:,.0f}"),
    "passes": (["epochs"], "{:.0f}"),
    "training, s": (["seconds"], "{:.0f}"),
    "validation loss": (["val_loss"], "{:.4f}"),
    "lake_linux, last fifth: correlation": (["replay", "steering_correlation_smoothed"], "{:.2f}"),
    "mountain_windows: correlation": (
        ["replay-mountain", "steering_correlation_smoothed"],
        "{:.2f}",
    ),
    "mountain_windows: interventions": (["replay-mountain", "interventions"], "{:g}"),
    **{
        f"{row}: m from the middle": (["rows", row, "mean_abs_cross_track_m"], "{:.2f}")
        for row in _ROWS
    },
    "interventions in these drives": (["interventions"], "{:g}"),
}
Models = Mapping[str, Mapping[str, Any]]


def compare(models: Models, networks: list[str]) -> list[list[str]]:
    """Return a table with a column for each network that has results: the median of its seeds,
    least and greatest.
    """
    seeds = {name: [one for one in models.values() if one["network"] == name] for name in networks}
    seeds = {name: of_network for name, of_network in seeds.items() if of_network}
    rows = [["", *(of_network[0]["title"] for of_network in seeds.values())]]
    rows.append(["seeds", *(str(len(of_network)) for of_network in seeds.values())])
    for label, (_, form) in MEASURES.items():
        rows.append(
            [
                label,
                *(
                    _cell([_value(one, label) for one in of_network], form)
                    for of_network in seeds.values()
                ),
            ]
        )
    return rows


def _value(model: Mapping[str, Any], label: str) -> Any:
    return reduce(lambda figures, key: figures[key], MEASURES[label][0], model)


def _cell(values: list[Any], form: str) -> str:
    middle, least, most = (
        form.format(value) for value in (median(values), min(values), max(values))
    )
    return middle if least == most else f"{middle} ({least} to {most})"


def draw(models: Models, path: Path) -> None:
    """Draw a dot for each seed, and a panel for each figure that is a result of the training, as a
    PNG.
    """
    titles = {model["network"]: model["title"] for model in models.values()}
    order = dict.fromkeys(name for networks in COMPARED.values() for name in networks)
    networks = [name for name in order if name in titles]
    figure = new_figure(
        11, 1.6 + 0.56 * len(networks), "Each dot is a seed; red crosses: the car left the road"
    )
    for axes, label in zip(
        figure.subplots(2, 4, sharey=True).flat, list(MEASURES)[3:-1], strict=True
    ):
        for model in models.values():
            row = model["rows"].get(label.partition(":")[0], {"interventions": 0})
            place = networks.index(model["network"])
            colour, mark = (RED, "x") if row["interventions"] else ((BLUE, GREEN)[place % 2], "o")
            axes.plot(
                _value(model, label),
                place + 0.22 * (model["seed"] - 1),
                mark,
                color=colour,
                markersize=5,
            )
        axes.set_title(label.replace(": ", ":\n"), fontsize=9)
        axes.set_yticks(range(len(networks)), [titles[name] for name in networks], fontsize=9)
        axes.set(xlim=(0, 1.08 * axes.get_xlim()[1]), ylim=(len(networks) - 0.5, -0.5))
        axes.locator_params(axis="x", nbins=4)
        tidy(axes)
    save(figure, path)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] != ["add"] or len(arguments) != 2:
        sys.exit(__doc__)
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    results["models"] |= json.loads(Path(arguments[1]).read_text(encoding="utf-8"))["models"]
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
