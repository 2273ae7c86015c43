"""Draw the pictures of figures in writeup_images/ anew from docs/results/*.json.

python docs/result_pictures.py
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import any_road
import networks
from result_tables import results

from bcclone.pictures.plots.style import BLUE, GREEN, ORANGE, RED, new_figure, save, tidy

FOLDER = Path(__file__).parent.parent / "writeup_images"


def main() -> None:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    pictures: dict[str, tuple[str, Callable[[Any, Path], None]]] = {  # picture -> result, drawing
        "feeds": ("feeds", draw_feeds),
        "networks": ("networks", draw_networks),
        "seconds-of-recording": ("any-road", any_road.draw),
        "teaching": ("improve", draw_teaching),
    }
    for name, (result, draw) in pictures.items():
        draw(results(result), FOLDER / f"{name}.png")


def draw_networks(result: Mapping[str, Any], path: Path) -> None:
    """Draw what the networks learned."""
    networks.draw(result["models"], path)


# ---- feeds


def draw_feeds(result: Mapping[str, Any], path: Path) -> None:
    """Draw a bar for the samples a second of each feed, the fastest on top.

    The machine's limits are lines.
    """
    groups = {  # of the result -> colour and label
        "strategies": (BLUE, "feeds of bcclone"),
        "alternatives": (ORANGE, "common alternatives"),
    }
    rates: dict[str, float] = {}
    for group in groups:
        for name, figures in result[group].items():
            rates[name] = figures["samples_per_second"]
    ordered = sorted(rates, key=rates.__getitem__)
    figure = new_figure(0.32 * len(ordered) + 1.5, width=6)
    axes = figure.subplots()

    # numbers on white, which the lines of the limits do not cross
    white = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    for group, (color, label) in groups.items():
        names = list(result[group])
        places = [ordered.index(name) for name in names]
        bars = axes.barh(places, [rates[name] for name in names], color=color, label=label)
        axes.bar_label(bars, fmt="{:,.0f}", padding=3, bbox=white)
    gather = result["rooflines"]["gather"]
    decode = result["rooflines"]["decode"]
    axes.axvline(gather, color=GREEN, linestyle="--", label="one thread copying frames")
    axes.axvline(decode, color=RED, linestyle="--", label="all cores decoding JPEG")

    axes.set_yticks(range(len(ordered)), ordered)
    axes.set_axisbelow(True)
    span = (min(rates.values()) / 2, 6e5)  # the longest bar and its number fit in
    axes.set(xscale="log", xlabel="samples a second (logarithmic)", xlim=span)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    tidy(axes)
    save(figure, path)


# ---- teaching


def draw_teaching(result: Mapping[str, Any], path: Path) -> None:
    """Draw how many rows of the suite fail, against the rows of driving that a model learned."""
    styles = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"))  # colour and marker of each seed
    figure = new_figure(4.6)
    axes = figure.subplots()
    for trial, (color, marker) in zip(result["improve"], styles, strict=True):
        rounds = trial["rounds"]
        rows = [model["all_rows"] for model in rounds]
        failing = [_failing(model) for model in rounds]
        seed = trial["seed"]
        axes.plot(rows, failing, color=color, marker=marker, label=f"taught, seed {seed}")
        # as many rows, recorded at once: a large empty marker
        cloned = trial["cloning"]
        axes.plot(
            cloned["rows"],
            _failing(cloned),
            label=f"cloned, seed {seed}",
            color=color,
            marker=marker,
            fillstyle="none",
            linestyle="none",
            markersize=11,
        )
    suite_rows = len(result["improve"][0]["cloning"]["scores"])
    axes.set(
        xlabel="rows trained on",
        ylabel=f"rows of the suite that fail, of {suite_rows}",
        xlim=(0, None),
    )
    axes.locator_params(axis="y", integer=True)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    tidy(axes)
    save(figure, path)


def _failing(model: Mapping[str, Any]) -> int:
    """Return in how many rows of the suite the car left the road."""
    return sum(bool(score["interventions"]) for score in model["scores"])


if __name__ == "__main__":
    main()
