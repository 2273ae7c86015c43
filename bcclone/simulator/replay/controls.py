"""Log -> what comes of steering that does not look: the human's own, none, and the mean."""

import numpy as np

from bcclone.simulator.replay.human import Human
from bcclone.simulator.replay.result import ReplayResult
from bcclone.simulator.replay.ride import Ride
from bcclone.simulator.replay.settings import ReplaySettings


def steer_blindly(human: Human, settings: ReplaySettings) -> dict[str, ReplayResult]:
    """Return what the human's steering comes to, none at all, and always the human's mean."""
    recorded = np.array(human.steering)
    controls = {"human": recorded, "zero": np.zeros(len(human)), "mean": np.full(len(human), recorded.mean())}
    results = {}
    for name, steering in controls.items():
        rides = {limit: Ride(human, limit) for limit in settings.all_limits_m}
        for ride in rides.values():
            for value in steering.tolist():
                ride.advance(value)
        results[name] = ReplayResult(human, rides, settings.limit_m, steering, len(human))
    return results
