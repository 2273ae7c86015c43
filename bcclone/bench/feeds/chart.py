"""Medians -> a bar chart: our feeds and the alternatives in two colours, the machine's limits as lines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bcclone.atomic import replacing

_COLOURS = {"strategies": "tab:blue", "alternatives": "tab:orange"}
_LABELS = {"strategies": "feeds of bcclone", "alternatives": "what one would use instead"}
_LIMITS = {"gather": ("tab:green", "one thread copying frames"), "decode": ("tab:red", "all cores decoding JPEG")}


def draw_chart(figures: Mapping[str, Any], path: Path) -> None:
    """Draw the samples a second of the JSON's `strategies`, `alternatives` and `rooflines` into a PNG."""
    bars = sorted(
        ((values["samples_per_second"], name, group) for group in _COLOURS for name, values in figures[group].items())
    )
    figure = Figure(figsize=(8, 0.9 + 0.32 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    for group, colour in _COLOURS.items():
        mine = [(place, rate) for place, (rate, _, of) in enumerate(bars) if of == group]
        drawn = axes.barh([place for place, _ in mine], [rate for _, rate in mine], color=colour, label=_LABELS[group])
        labels = axes.bar_label(drawn, [f" {rate:,.0f}" for _, rate in mine], fontsize=8)
        for text in labels:  # readable where a limit's line runs through it
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    for name, (colour, label) in _LIMITS.items():
        if name in figures["rooflines"]:
            axes.axvline(figures["rooflines"][name], color=colour, linestyle="--", label=label)
    axes.set_yticks(range(len(bars)), [name for _, name, _ in bars])
    axes.set(xscale="log", xlabel="samples a second (logarithmic)")
    axes.margins(x=0.15)
    axes.legend(loc="lower right", fontsize=8, framealpha=1.0)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
