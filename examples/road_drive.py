"""Drive a road through points, and keep the figures of each step; the adapters in this folder share
this module.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from bcclone import Simulator, SteeringPolicy  # noqa: F401  (Simulator registers the environments)

ROAD_WIDTH_M = 8.0

Act = Callable[
    [npt.NDArray[np.uint8]], Sequence[float]
]  # an RGB frame -> steering, or steering and throttle, -1 to 1


@dataclass(frozen=True)
class RoadDrive:
    """A drive. actions: of each step; infos: of the environment after each step,
    docs/how-to/environment.md.
    """

    actions: list[Sequence[float]]
    infos: list[dict[str, Any]]

    @property
    def cause(self) -> str:
        """Return why the drive ended: off road, crash, laps driven or time."""
        return str(self.infos[-1]["cause"])

    @property
    def positions(self) -> list[tuple[float, float, float]]:
        """Return x, height and z after each step, in metres."""
        return [(info["pos_x"], info["pos_y"], info["pos_z"]) for info in self.infos]


def act_of(policy: SteeringPolicy) -> Act:
    """Return the actions of a policy, from the beginning of a drive."""
    policy.forget()
    return lambda frame: [policy.answer(frame).steering]


def drive_road(points: Sequence[tuple[float, float]], act: Act, **settings: Any) -> RoadDrive:
    """Drive from the first to the last point, x and z in metres; the road is their cubic spline, 8
    m wide.

    settings: arguments of the environment. Raises bcclone.system.errors.UserError for a road that
    cannot be built.
    """
    with tempfile.TemporaryDirectory() as folder:
        road = Path(folder, "road.json")
        road.write_text(json.dumps({"points": [[x, z, ROAD_WIDTH_M] for x, z in points]}))
        return drive(str(road), act, **settings)


def drive(road: str, act: Act, **settings: Any) -> RoadDrive:
    """Drive an episode on a road; settings: arguments of the environment."""
    actions, infos = [], []
    env = gymnasium.make("bcclone/Road-v0", road=road, **settings)
    frame, _ = env.reset(seed=0)
    ended = False
    while not ended:
        actions.append(act(frame))
        frame, _, terminated, truncated, info = env.step(np.asarray(actions[-1], np.float32))
        infos.append(info)
        ended = terminated or truncated
    env.close()
    return RoadDrive(actions, infos)
