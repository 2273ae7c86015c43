"""Rides through a recording -> a picture of how far each strayed from the human's path."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bcclone.plots.figure import BLUE, GRAY, RED, new_figure, save, tidy

Array = npt.NDArray[np.float64]


class Strayed(Protocol):
    """A ride: metres to the right of the human's path at the end of each row, and the rows after which a person took
    over."""

    @property
    def path(self) -> Sequence[float]: ...
    @property
    def interventions(self) -> Sequence[int]: ...


def plot_strayed(title: str, seconds: Array, rides: Mapping[str, Strayed], limit_m: float, path: Path) -> None:
    """Draw how far each driver strayed over the time driven, one above the other, as a PNG; seconds: (rows,)."""
    figure = new_figure(9, 0.8 + 1.5 * len(rides), title)
    panels = figure.subplots(len(rides), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, ride) in zip(panels, rides.items(), strict=True):
        beside, taken_over = np.array(ride.path), np.array(ride.interventions, int)
        cut = taken_over + 1  # from there the line begins anew
        axes.plot(np.insert(seconds, cut, np.nan), np.insert(beside, cut, np.nan), color=BLUE, linewidth=1)
        axes.plot(seconds[taken_over], np.clip(beside[taken_over], -limit_m, limit_m), "x", color=RED, markersize=4)
        for side in (-limit_m, 0, limit_m):
            axes.axhline(side, color=GRAY, linewidth=0.6, linestyle="-" if side == 0 else "--")
        axes.set_ylim(-1.15 * limit_m, 1.15 * limit_m)
        axes.set_title(f"{name}: {len(taken_over)} interventions", fontsize=9, loc="left")
        axes.set_ylabel("m to the right")
        tidy(axes)
    panels[-1].set_xlabel("seconds driven")
    save(figure, path)
