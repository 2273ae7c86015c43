"""Compare the networks in docs/results/networks.json, for result_pictures.py and result_tables.py.

    python docs/networks.py add RESULT

add writes the models in RESULT, of `python -m benchmarks networks --json`, to networks.json.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from textwrap import fill
from typing import Any

from bcclone.pictures.plots.style import BLUE, GREEN, RED, new_figure, save, tidy

RESULTS = Path(__file__).parent / "results" / "networks.json"
COMPARED = {  # table -> the networks in it
    "recurrent": ["single", "stacked3", "gru3", "lstm3"],
    "left-open": ["single", "no-conv4-5", "padded", "fewer-strides", "64x64", "gray20"],
}
Model = Mapping[str, Any]  # the figures of a network that was trained with a seed
Models = Mapping[str, Model]


def main() -> None:
    """Add the models of a result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    adding = commands.add_parser("add", help="add the models in a result to networks.json")
    adding.add_argument("result", type=Path)
    arguments = parser.parse_args()
    add(arguments.result)


def add(result: Path) -> None:
    """Add the models in a result to those that are stored."""
    stored = json.loads(RESULTS.read_text(encoding="utf-8"))
    stored["models"] |= json.loads(result.read_text(encoding="utf-8"))["models"]
    RESULTS.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


# ---- the figures that are compared


@dataclass(frozen=True)
class Compared:
    """A figure of the models that is compared."""

    label: str
    keys: tuple[str, ...]  # that lead to it in the figures of a model
    form: str  # of the text
    row: str = ""  # the row of the suite that it is about

    def value(self, model: Model) -> Any:
        figures: Any = model
        for key in self.keys:
            figures = figures[key]
        return figures


def _of_row(row: str) -> Compared:
    """Return the distance from the middle of the road in a row of the suite."""
    keys = ("rows", row, "mean_abs_cross_track_m")
    return Compared(f"{row}: m from the middle", keys, "{:.2f}", row)


_CORRELATION = "steering_correlation_smoothed"
# figures of the network and of how it was trained
_TRAININGS = (
    Compared("parameters", ("parameters",), "{:,.0f}"),
    Compared("passes", ("epochs",), "{:.0f}"),
    Compared("training, s", ("seconds",), "{:.0f}"),
)
# figures that say how well it learned
_LEARNED = (
    Compared("validation loss", ("val_loss",), "{:.4f}"),
    Compared("lake_linux, last fifth: correlation", ("replay", _CORRELATION), "{:.2f}"),
    Compared("mountain_windows: correlation", ("replay-mountain", _CORRELATION), "{:.2f}"),
    Compared("mountain_windows: interventions", ("replay-mountain", "interventions"), "{:g}"),
    _of_row("lake-30"),
    _of_row("lake-reverse-30"),
    _of_row("latency-200"),
    _of_row("no-lines"),
)
_DRIVES = Compared("interventions in these drives", ("interventions",), "{:g}")


# ---- the tables


def compare(models: Models, networks: list[str]) -> list[list[str]]:
    """Return a table with a column for each network that has results.

    A cell has the median of its seeds, least and greatest.
    """
    columns = []
    for network in networks:
        seeds = [model for model in models.values() if model["network"] == network]
        if seeds:
            columns.append(seeds)
    rows = [
        ["", *(seeds[0]["title"] for seeds in columns)],
        ["seeds", *(str(len(seeds)) for seeds in columns)],
    ]
    for figure in (*_TRAININGS, *_LEARNED, _DRIVES):
        row = [figure.label]
        for seeds in columns:
            row.append(_cell([figure.value(model) for model in seeds], figure.form))
        rows.append(row)
    return rows


def _cell(values: list[Any], form: str) -> str:
    middle = form.format(median(values))
    least = form.format(min(values))
    greatest = form.format(max(values))
    if least == greatest:
        return middle
    return f"{middle} ({least} to {greatest})"


# ---- the picture


def draw(models: Models, path: Path) -> None:
    """Draw what the networks learned, as a PNG: a panel for each figure, a dot for each seed."""
    titles = {model["network"]: model["title"] for model in models.values()}
    compared = dict.fromkeys(network for table in COMPARED.values() for network in table)
    networks = [network for network in compared if network in titles]
    height = 0.8 + 4 * (0.7 + 0.28 * len(networks))
    title = "Each dot is a seed; red crosses: the car left the road"
    figure = new_figure(height, title, width=6)
    panels = figure.subplots(4, 2, sharey=True).flat
    for axes, learned in zip(panels, _LEARNED, strict=True):
        _draw_panel(axes, learned, models, networks)
        axes.set_yticks(range(len(networks)), [titles[name] for name in networks])
        axes.set(xlim=(0, 1.08 * axes.get_xlim()[1]), ylim=(len(networks) - 0.5, -0.5))
        tidy(axes)
    save(figure, path)


def _draw_panel(axes: Any, learned: Compared, models: Models, networks: list[str]) -> None:
    for model in models.values():
        place = networks.index(model["network"])
        color = (BLUE, GREEN)[place % 2]  # neighbours differ
        mark = "o"
        if learned.row and model["rows"][learned.row]["interventions"]:
            color = RED
            mark = "x"
        # the seeds of a network are beside each other
        height = place + 0.22 * (model["seed"] - 1)
        axes.plot(learned.value(model), height, mark, color=color, markersize=5)
    axes.set_title(fill(learned.label, 24))
    axes.locator_params(axis="x", nbins=3)


if __name__ == "__main__":
    main()
