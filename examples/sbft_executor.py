"""Run a test generator of the SBST and SBFT tool competitions against a model of bcclone.

The competitions are about self-driving cars.

PYTHONPATH=cps-tool-competition python examples/sbft_executor.py models/lake.h5 \
    sample_test_generators.random_generator:RandomTestGenerator --time-budget 120

A generator has the arguments executor and map_size. Its start() proposes roads until
executor.is_over(), as in https://github.com/sbft-cps-tool-competition/cps-tool-competition
(code_pipeline/executors.py). There, cars drive in the right lane of two; here the models drive in
the middle, so the whole road of 8 m is the lane.
"""

import argparse
import importlib
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from road_drive import ROAD_WIDTH_M, RoadDrive, act_of, drive_road

from bcclone import SteeringPolicy, judge_road, load_policy

MPH = 0.44704  # metres per second
CAR_WIDTH_M = 2.0  # from wheel to wheel
TOLERANCE = 0.95  # a test fails when this part of the car is off the road, as in the competitions
_LIMIT_M = ROAD_WIDTH_M / 2 + (TOLERANCE - 0.5) * CAR_WIDTH_M


@dataclass(frozen=True)
class Record:
    """A moment of a drive, named as in the competitions: seconds, metres, km/h, part of the car off
    the road.
    """

    timer: float
    pos: tuple[float, float, float]
    steering: float
    vel_kmh: float
    is_oob: bool
    oob_percentage: float
    max_oob_percentage: float  # of the whole drive


class RoadTestExecutor:
    """Judge and drive the roads of a generator. speed_mph: that the car holds; time_budget: seconds
    of real time.
    """

    def __init__(
        self, policy: SteeringPolicy, time_budget: float, map_size: int = 200, speed_mph: float = 15
    ) -> None:
        self._policy, self._map_m, self._speed_mph = policy, map_size, speed_mph
        self._end = time.monotonic() + time_budget
        self.outcomes: list[tuple[str, str]] = []

    def is_over(self) -> bool:
        """Return whether the time is spent."""
        return self.get_remaining_time()["time-budget"] <= 0

    def get_remaining_time(self) -> dict[str, float]:
        """Return the seconds of real time that are left."""
        return {"time-budget": self._end - time.monotonic()}

    def validate_test(self, the_test: Any) -> tuple[bool, str]:
        """Return whether a road keeps to the rules, and its faults."""
        faults = judge_road(np.asarray(the_test.road_points, float), ROAD_WIDTH_M, self._map_m)
        return not faults, "; ".join(faults)

    def execute_test(self, the_test: Any) -> tuple[str, str, list[Record]]:
        """Return PASS, FAIL or INVALID, the reason, and the records. the_test.road_points: pairs of
        x and y, metres.
        """
        valid, faults = self.validate_test(the_test)
        outcome, reason, records = (
            self._drive(the_test.road_points) if valid else ("INVALID", faults, [])
        )
        self.outcomes.append((outcome, reason))
        print(f"{outcome}: {reason}", flush=True)
        return outcome, reason, records

    def _drive(self, points: list[tuple[float, float]]) -> tuple[str, str, list[Record]]:
        drive = drive_road(
            points, act_of(self._policy), speed_mph=self._speed_mph, limit_m=_LIMIT_M
        )
        records = _records(drive)
        reason = (
            f"{drive.cause}, at most {records[0].max_oob_percentage:.0%} of the car off the road"
        )
        return ("PASS" if drive.cause == "laps driven" else "FAIL"), reason, records


def _records(drive: RoadDrive) -> list[Record]:
    beyond_m = np.array([abs(info["cte"]) for info in drive.infos]) - ROAD_WIDTH_M / 2
    off = np.clip(beyond_m / CAR_WIDTH_M + 0.5, 0, 1)  # of a car that is parallel to the road
    return [
        Record(
            info["sim_time"],
            place,
            action[0],
            info["speed"] * MPH * 3.6,
            now >= TOLERANCE,
            now,
            float(off.max()),
        )
        for info, place, action, now in zip(
            drive.infos, drive.positions, drive.actions, off.tolist(), strict=True
        )
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model")
    parser.add_argument("generator", help="MODULE:CLASS")
    parser.add_argument("--time-budget", type=float, default=300, help="seconds")
    arguments = parser.parse_args()
    module, _, name = arguments.generator.partition(":")
    try:
        generator = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        parser.error(f"{arguments.generator}: {error}; is its folder on PYTHONPATH?")
    generator(
        executor=RoadTestExecutor(load_policy(arguments.model), arguments.time_budget), map_size=200
    ).start()
