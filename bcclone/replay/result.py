"""Rides through a recording, and what was steered on its own frames -> figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bcclone.replay.human import Human
from bcclone.replay.rollout import Ride

_FARTHEST_M = 5.0  # there is hardly a view from there, nor a road


@dataclass(frozen=True)
class ReplaySettings:
    """part: from which to which share of the rows; limit_m: how far beside the human's path a person takes over, in the
    ride that counts; limits_m: of the other rides beside it."""

    part: tuple[float, float] = (0.0, 1.0)
    limit_m: float = 2.0
    limits_m: tuple[float, ...] = (1.0, 1.5, 2.0, 3.0)

    def __post_init__(self) -> None:
        first, last = self.part
        if not 0 <= first < last <= 1:
            raise ValueError(f"part {first:g}:{last:g}, expected two shares of the rows such as 0.8:1")
        for limit in (self.limit_m, *self.limits_m):
            if not 0 < limit <= _FARTHEST_M:
                raise ValueError(f"limit {limit:g} m, expected more than 0 and up to {_FARTHEST_M:g}")

    @property
    def all_limits_m(self) -> tuple[float, ...]:
        """Return the limits of all rides, each once, in their order."""
        return tuple(sorted({self.limit_m, *self.limits_m}))


Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ReplayResult:
    """What one driver came to.

    rides: limit in metres -> the ride with it; limit_m: the one that counts; steering: what it steers on the
    recording's own frames, (rows,), NaN where that is not known; frames: how many rows it was shown; controls: the
    same of those it is to be compared with.
    """

    human: Human
    rides: Mapping[float, Ride]
    limit_m: float
    steering: Array
    frames: int
    controls: Mapping[str, "ReplayResult"] = field(default_factory=dict)

    @property
    def ride(self) -> Ride:
        """Return the ride with the limit that counts."""
        return self.rides[self.limit_m]

    def figures(self) -> dict[str, Any]:
        """Return the figures by name, ready for JSON; None where steering that never changes has no correlation."""
        known = np.isfinite(self.steering)
        human, said = np.array(self.human.steering)[known], self.steering[known]
        figures: dict[str, Any] = {
            **self.ride.figures(),
            "limit_m": self.limit_m,
            "by_limit": {f"{limit:g}": ride.figures() for limit, ride in self.rides.items()},
            "rows": len(self.human),
            "frames": self.frames,
            "seconds": round(self.human.total_seconds, 2),
            "distance_m": round(self.ride.distance_m, 1),
            "steering_correlation": _correlation(human, said),
            "steering_correlation_smoothed": _correlation(self.human.smoothed_steering[known], said),
            "steering_mae": round(float(np.abs(human - said).mean()), 4) if known.any() else None,
        }
        if self.controls:
            figures["controls"] = {name: control.figures() for name, control in self.controls.items()}
        return figures


def _correlation(human: Array, said: Array) -> float | None:
    """Return Pearson's correlation, None where one of them is always the same."""
    if len(human) < 2 or np.ptp(human) == 0 or np.ptp(said) == 0:
        return None
    return round(float(np.corrcoef(human, said)[0, 1]), 4)
