"""Draw the pictures of figures in writeup_images/ anew from docs/results/*.json.

python docs/result_pictures.py
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import any_road
import networks
from result_tables import results

from bcclone.pictures.plots.style import BLUE, GREEN, ORANGE, RED, new_figure, save, tidy

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "writeup_images"
_SEEDS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"))  # colour and marker of each


def draw_feeds(result: Mapping[str, Any], path: Path) -> None:
    """Draw a bar for the samples a second of each feed, the fastest on top, and the machine's
    limits as lines.
    """
    colours = {"strategies": BLUE, "alternatives": ORANGE}
    rates = {
        name: one["samples_per_second"] for group in colours for name, one in result[group].items()
    }
    ordered = sorted(rates, key=lambda name: rates[name])
    figure = new_figure(9, 0.32 * len(ordered) + 1)
    axes = figure.subplots()
    for group, label in (
        ("strategies", "feeds of bcclone"),
        ("alternatives", "common alternatives"),
    ):
        places = [ordered.index(name) for name in result[group]]
        bars = axes.barh(
            places, [rates[name] for name in result[group]], color=colours[group], label=label
        )
        white = {
            "facecolor": "white",
            "edgecolor": "none",
            "pad": 0.5,
        }  # the lines below do not cross the numbers
        axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8, bbox=white)
    axes.axvline(
        result["rooflines"]["gather"],
        color=GREEN,
        linestyle="--",
        label="one thread copying frames",
    )
    axes.axvline(
        result["rooflines"]["decode"], color=RED, linestyle="--", label="all cores decoding JPEG"
    )
    axes.set_yticks(range(len(ordered)), ordered)
    axes.set_axisbelow(True)
    axes.set(
        xscale="log", xlabel="samples a second (logarithmic)", xlim=(min(rates.values()) / 2, 6e5)
    )
    axes.legend(fontsize=8, loc="lower right")
    tidy(axes)
    save(figure, path)


def draw_teaching(result: Mapping[str, Any], path: Path) -> None:
    """Draw how many rows of the suite fail, against the rows of driving that the model was trained
    on.
    """
    figure = new_figure(7, 3.6)
    axes = figure.subplots()
    for one, (colour, marker) in zip(result["improve"], _SEEDS, strict=True):
        rounds = one["rounds"]
        rows, failing = [each["all_rows"] for each in rounds], [_failing(each) for each in rounds]
        axes.plot(rows, failing, color=colour, marker=marker, label=f"taught, seed {one['seed']}")
        cloned = {
            "color": colour,
            "marker": marker,
            "fillstyle": "none",
            "linestyle": "none",
            "markersize": 11,
        }
        axes.plot(
            one["cloning"]["rows"],
            _failing(one["cloning"]),
            label=f"cloned, seed {one['seed']}",
            **cloned,
        )
    most = len(result["improve"][0]["cloning"]["scores"])
    axes.set(
        xlabel="rows trained on", ylabel=f"rows of the suite that fail, of {most}", xlim=(0, None)
    )
    axes.locator_params(axis="y", integer=True)
    axes.legend(fontsize=8, ncols=3)
    tidy(axes)
    save(figure, path)


def _failing(model: Mapping[str, Any]) -> int:
    return sum(bool(score["interventions"]) for score in model["scores"])


PICTURES: dict[
    str, tuple[str, Callable[[Any, Path], None]]
] = {  # name: the result that it shows, and who draws it
    "feeds": ("feeds", draw_feeds),
    "networks": ("networks", lambda result, path: networks.draw(result["models"], path)),
    "seconds-of-recording": ("any-road", any_road.draw),
    "teaching": ("improve", draw_teaching),
}


if __name__ == "__main__":
    for name, (result, draw) in PICTURES.items():
        draw(results(result), FOLDER / f"{name}.png")
