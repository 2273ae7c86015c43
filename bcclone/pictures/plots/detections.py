"""Draw how well kinds of monitors announce that a model will leave the road."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bcclone.pictures.plots.style import BLUE, GRAY, GREEN, ORANGE, new_figure, save, tidy

_COLORS = (BLUE, ORANGE, GREEN)


@dataclass(frozen=True)
class DetectionChart:
    """A kind of monitor. f3: for each reaction time, 0 to 1; milliseconds: for a frame, the median."""

    kind: str
    f3: Sequence[float]
    milliseconds: float


def plot_detections(charts: Sequence[DetectionChart], reaction_seconds: Sequence[int], path: Path) -> None:
    """Draw the F3 of each kind and reaction time as bars, with its latency below its name, into a PNG."""
    figure = new_figure(7, 3.2)
    axes = figure.subplots()
    width = 0.8 / len(reaction_seconds)
    for number, seconds in enumerate(reaction_seconds):
        places = [index + (number - (len(reaction_seconds) - 1) / 2) * width for index in range(len(charts))]
        heights = [100 * one.f3[number] for one in charts]
        bars = axes.bar(places, heights, 0.9 * width, color=_COLORS[number % len(_COLORS)], label=f"{seconds} s before")
        axes.bar_label(bars, fmt="%.0f", fontsize=8, color=GRAY)
    axes.set_xticks(range(len(charts)), [f"{one.kind}\n{one.milliseconds:.1f} ms" for one in charts])
    axes.set(ylabel="F3, %", ylim=(0, 112))
    axes.legend(fontsize=8, ncols=len(reaction_seconds), loc="upper right", frameon=False)
    tidy(axes)
    save(figure, path)
