"""Let OpenSBT, or MultiSim, which contains it, search for roads on which a model of bcclone drives
badly.

python examples/opensbt_simulator.py models/lake.h5 0 20 -20 -20

RoadSimulator(policy).simulate is the simulate_function of their ADASProblem: values of the
scenario's variables in, a SimulationOutput of each drive out, as in opensbt/simulation/simulator.py
of https://github.com/opensbt/opensbt-core. Without OpenSBT the outputs are namespaces with the same
names. A road is a row of straight pieces of 25 m, smoothed by a spline. A variable is how far a
piece turns to the left of the one before, in degrees, as in their road generators.
"""

import argparse
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from road_drive import RoadDrive, act_of, drive_road

from bcclone import SteeringPolicy, load_policy

try:
    from opensbt.simulation.simulator import SimulationOutput, Simulator
except ImportError:
    from types import SimpleNamespace as SimulationOutput

    Simulator = object

PIECE_M = 25.0
MPH = 0.44704  # metres per second
FRAME_SECONDS = 0.04  # simulated time of a step


def road_points(angles: Sequence[float]) -> list[tuple[float, float]]:
    """Return the ends of the pieces, x and z in metres: one straight ahead, then one for each
    angle.
    """
    points, direction = [(0.0, 0.0), (0.0, PIECE_M)], math.pi / 2
    for angle in angles:
        direction += math.radians(angle)
        x, z = points[-1]
        points.append((x + PIECE_M * math.cos(direction), z + PIECE_M * math.sin(direction)))
    return points


class RoadSimulator(Simulator):
    """Drives a policy along roads. limit_m: distance from the centre line that ends a drive."""

    def __init__(
        self, policy: SteeringPolicy, speed_mph: float = 15.0, limit_m: float = 4.0
    ) -> None:
        self._policy, self._settings = policy, {"speed_mph": speed_mph, "limit_m": limit_m}

    def simulate(  # noqa: PLR0913, PLR0917  (their interface)
        self,
        list_individuals: Sequence[Sequence[float]],
        variable_names: Sequence[str],
        scenario_path: str,
        sim_time: float = 60.0,
        time_step: float = FRAME_SECONDS,
        do_visualize: bool = False,
    ) -> list[Any]:
        """Drive one road for each list of angles, for at most sim_time seconds; return outputs
        every time_step seconds.

        Nothing is read from scenario_path. Raises bcclone.system.errors.UserError for a road that
        cannot be built.
        """
        settings, every = (
            {**self._settings, "time_limit": sim_time},
            max(round(time_step / FRAME_SECONDS), 1),
        )
        drives = (
            drive_road(road_points(each), act_of(self._policy), **settings)
            for each in list_individuals
        )
        return [_output(drive, every) for drive in drives]


def _output(drive: RoadDrive, every: int) -> Any:  # in seconds, metres, m/s and radians
    infos, places = drive.infos[::every], np.array(drive.positions[::every])[:, [0, 2]]
    times, speeds = (
        [info["sim_time"] for info in infos],
        np.array([info["speed"] for info in infos]) * MPH,
    )
    moved = np.gradient(places, axis=0) if len(places) > 1 else np.zeros_like(places)
    yaw = np.arctan2(moved[:, 1], moved[:, 0])
    return SimulationOutput(
        simTime=drive.infos[-1]["sim_time"],
        times=times,
        location={"ego": places.tolist()},
        velocity={
            "ego": np.column_stack([speeds * np.cos(yaw), speeds * np.sin(yaw), 0 * yaw]).tolist()
        },
        speed={"ego": speeds.tolist()},
        acceleration={
            "ego": (np.gradient(speeds, times) if len(times) > 1 else 0 * speeds).tolist()
        },
        yaw={"ego": yaw.tolist()},
        collisions=[times[-1]] if drive.cause == "crash" else [],
        actors={"ego": "ego", "adversary": "", "vehicles": ["ego"], "pedestrians": []},
        otherParams={
            "xte": [info["cte"] for info in infos],
            "steerings": [action[0] for action in drive.actions[::every]],
            "cause": drive.cause,
        },
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("angles", type=float, nargs="+", help="degrees")
    arguments = parser.parse_args()
    (output,) = RoadSimulator(load_policy(arguments.model)).simulate(
        [arguments.angles], ["angle"], ""
    )
    farthest = max(abs(xte) for xte in output.otherParams["xte"])
    print(
        f"{output.otherParams['cause']} after {output.simTime:.1f} s, at most {farthest:.2f} m "
        "from the centre line"
    )
