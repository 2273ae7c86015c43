"""Epochs -> loss curves; and history.csv -> epochs."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bcclone.errors import UserError
from bcclone.plots.figure import BLUE, GRAY, RED, new_figure, save, tidy


class Losses(Protocol):
    """What a plotted epoch must tell; the validation's figures are None where there is none."""

    @property
    def epoch(self) -> int: ...
    @property
    def loss(self) -> float: ...
    @property
    def mae(self) -> float: ...
    @property
    def val_loss(self) -> float | None: ...
    @property
    def val_mae(self) -> float | None: ...
    @property
    def learning_rate(self) -> float: ...


@dataclass(frozen=True)
class Epoch:
    """A row of a run's history.csv, as far as it is drawn."""

    epoch: int
    loss: float
    mae: float
    val_loss: float | None
    val_mae: float | None
    learning_rate: float


def read_history(path: Path) -> list[Epoch]:
    """Read a run's history.csv; raises UserError where it is none."""
    epochs: list[Epoch] = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                epochs.append(_epoch(row))
    except (csv.Error, KeyError, ValueError, TypeError) as error:
        lacks = f"it has no column {error}" if isinstance(error, KeyError) else "a number is missing, or is none"
        raise UserError(
            f"{path}: row {len(epochs) + 2}: {lacks}; it is not the history of a run: remove it, and it is left out"
        ) from None
    return epochs


def _epoch(row: dict[str, str]) -> Epoch:
    validation = [float(row[name]) if row[name] else None for name in ("val_loss", "val_mae")]
    rate = float(row["learning_rate"])
    return Epoch(int(row["epoch"]), float(row["loss"]), float(row["mae"]), validation[0], validation[1], rate)


def best_epoch(history: Sequence[Losses]) -> Losses:
    """Return the epoch of least validation loss, or of least loss where there is none; the earlier of equals."""
    return min(history, key=lambda epoch: epoch.loss if epoch.val_loss is None else epoch.val_loss)


def plot_history(history: Sequence[Losses], path: Path) -> None:
    """Draw errors of training and validation over the epochs into a PNG, and the learning rate if it changes."""
    rates = [epoch.learning_rate for epoch in history]
    panels = 3 if len(set(rates)) > 1 else 2
    figure = new_figure(7, 2.6 * panels)
    axes = figure.subplots(panels, sharex=True)
    _draw_errors(axes[0], history, "loss", "loss\nof the steering")
    _draw_errors(axes[1], history, "mae", "mean absolute error\nof the steering")
    if panels == 3:
        axes[2].step([epoch.epoch for epoch in history], rates, where="mid", color=GRAY)
        axes[2].set(ylabel="learning rate", yscale="log")
        for axis in (axes[2].yaxis.set_major_formatter, axes[2].yaxis.set_minor_formatter):
            axis("{x:g}")  # powers of ten would ask for fonts that may be missing
        tidy(axes[2])
    axes[0].legend(fontsize=9)
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    save(figure, path)


def _draw_errors(axes: Axes, history: Sequence[Losses], name: str, label: str) -> None:
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
