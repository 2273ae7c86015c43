"""Test a driving system with PerturbationDrive, on bcclone's simulator instead of a Unity program.

python examples/perturbation_drive_simulator.py models/lake.h5 gaussian_noise contrast

RoadSimulator is a PerturbationSimulator and LaneKeeping an ADS, as in
github.com/ast-fortiss-tum/perturbation-drive (perturbationdrive/Simulator/ and
AutomatedDrivingSystem/). Without that project the two classes work alike, and outcomes are
namespaces. A scenario's waypoints are what its road generators return: x,height,y of each point in
metres, joined by @; the road is flat and 8 m wide, and the lake's without waypoints. As in its own
simulators, images are perturbed at 240x320. The simulator holds the speed, and does not use the
throttle of the driving system.
"""

import sys
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from road_drive import drive, drive_road

from bcclone import SteeringPolicy, load_policy

try:
    from perturbationdrive import ADS, PerturbationSimulator, ScenarioOutcome
except ImportError:
    from types import SimpleNamespace as ScenarioOutcome

    ADS = PerturbationSimulator = object

MAX_XTE_M, TIMEOUT_SECONDS = 4.0, 60.0  # of its Udacity simulator


class LaneKeeping(ADS):
    """A policy of bcclone as a driving system."""

    def __init__(self, policy: SteeringPolicy) -> None:
        self._policy = policy

    def action(self, input: npt.NDArray[np.uint8]) -> list[list[float]]:  # noqa: A002  (their name)
        """Return steering, -1 to 1, and throttle for an RGB image of any size."""
        return [[self._policy.answer(cv2.resize(input, (320, 160))).steering, 0.0]]

    def name(self) -> str:
        """Return the name in reports."""
        return "bcclone"


class RoadSimulator(PerturbationSimulator):
    """Drives the scenarios of PerturbationDrive."""

    def __init__(self, speed_mph: float = 15.0) -> None:
        self.max_xte, self.initial_pos = MAX_XTE_M, (0.0, 0.0, 0.0, 2 * MAX_XTE_M)
        self._settings = {
            "speed_mph": speed_mph,
            "limit_m": MAX_XTE_M,
            "time_limit": TIMEOUT_SECONDS,
        }

    def connect(self) -> None:
        """Do nothing: the simulator runs in this process."""

    def simulate_scanario(self, agent: Any, scenario: Any, perturbation_controller: Any) -> Any:
        """Drive a scenario, each frame changed by perturbation_controller.perturbation(image, name,
        scale).
        """
        actions: list[list[list[float]]] = []

        def act(frame: npt.NDArray[np.uint8]) -> list[float]:
            image, name = cv2.resize(frame, (320, 240)), scenario.perturbation_function
            changed = perturbation_controller.perturbation(image, name, scenario.perturbation_scale)
            actions.append(agent.action(changed))
            return [float(np.clip(actions[-1][0][0], -1, 1))]

        road = [
            tuple(map(float, point.split(",")))
            for point in (scenario.waypoints or "").split("@")
            if point
        ]
        points = [(x, y) for x, _, y in road]
        driven = (
            drive_road(points, act, **self._settings)
            if points
            else drive("lake", act, **self._settings)
        )
        errors = [info["cte"] for info in driven.infos]
        return ScenarioOutcome(
            frames=list(range(len(driven.infos))),
            pos=driven.positions,
            xte=errors,
            speeds=[info["speed"] for info in driven.infos],
            actions=actions,
            scenario=scenario,
            isSuccess=max(map(abs, errors)) < MAX_XTE_M and driven.cause != "crash",
            timeout=driven.cause == "time",
        )

    def tear_down(self) -> None:
        """Do nothing; each drive closes its environment."""

    def name(self) -> str:
        """Return the name in reports."""
        return "bcclone"


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    from perturbationdrive import PerturbationDrive

    benchmark = PerturbationDrive(RoadSimulator(), LaneKeeping(load_policy(sys.argv[1])))
    for outcome in benchmark.grid_seach(perturbation_functions=sys.argv[2:], log_dir=None):
        print(outcome.scenario, outcome.isSuccess, f"{max(map(abs, outcome.xte)):.2f} m")
