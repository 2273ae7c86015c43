"""Draw the loss curves of a training."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from bcclone.history import Epoch, best_epoch
from bcclone.plots.style import BLUE, GRAY, RED, new_figure, save, tidy


def plot_history(history: Sequence[Epoch], path: Path) -> None:
    """Draw the training and validation errors over the epochs into a PNG, and the learning rate if it changes."""
    rates = [epoch.learning_rate for epoch in history]
    count = 3 if len(set(rates)) > 1 else 2
    figure = new_figure(7, 2.6 * count)
    axes = figure.subplots(count, sharex=True)
    _draw_errors(axes[0], history, "loss", "loss\nof the steering")
    _draw_errors(axes[1], history, "mae", "mean absolute error\nof the steering")
    if count == 3:
        axes[2].step([epoch.epoch for epoch in history], rates, where="mid", color=GRAY)
        axes[2].set(ylabel="learning rate", yscale="log")
        axes[2].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes[2].yaxis.set_major_formatter("{x:g}")  # powers of ten need fonts that may be missing
        axes[2].yaxis.set_minor_formatter(NullFormatter())
        tidy(axes[2])
    axes[0].legend(fontsize=9)
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    save(figure, path)


def _draw_errors(axes: Axes, history: Sequence[Epoch], name: str, label: str) -> None:
    axes.plot(
        [epoch.epoch for epoch in history], [getattr(epoch, name) for epoch in history], "o-", color=BLUE,
        label="training (with dropout)",
    )  # fmt: skip
    validated = [epoch for epoch in history if getattr(epoch, f"val_{name}") is not None]
    values = [getattr(epoch, f"val_{name}") for epoch in validated]
    if validated:
        axes.plot([epoch.epoch for epoch in validated], values, "s-", color=RED, label="validation")
    if history:
        best = best_epoch(history)
        axes.axvline(best.epoch, color=GRAY, linestyle=":", label=f"best: epoch {best.epoch}")
    axes.set(ylabel=label, ylim=(0, None))
    tidy(axes)
