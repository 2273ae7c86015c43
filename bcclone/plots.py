"""History -> picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bcclone.atomic import replacing


class Losses(Protocol):
    """What a plotted epoch must tell."""

    @property
    def epoch(self) -> int: ...
    @property
    def loss(self) -> float: ...
    @property
    def val_loss(self) -> float | None: ...


def plot_history(history: Sequence[Losses], path: Path) -> None:
    """Draw training and validation loss over the epochs into a PNG."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    epochs = [figures.epoch for figures in history]
    axes.plot(epochs, [figures.loss for figures in history], "o-", label="training (with dropout)")
    validated = [(figures.epoch, figures.val_loss) for figures in history if figures.val_loss is not None]
    if validated:
        axes.plot(*zip(*validated, strict=True), "s-", label="validation")
    axes.set(xlabel="epoch", ylabel="mean squared error of the steering", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)
