"""Draw writeup_images/feeds.png anew from docs/results/feeds.json.

python docs/result_pictures.py
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from result_tables import results

from bcclone.pictures.plots.style import BLUE, GREEN, ORANGE, RED, new_figure, save, tidy

FOLDER = Path(__file__).parent.parent / "writeup_images"


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    draw_feeds(results("feeds"), FOLDER / "feeds.png")


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


if __name__ == "__main__":
    main()
