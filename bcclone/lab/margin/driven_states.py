"""Check a map by driving: random states from which cars should come back -> how many do, frame by frame."""

from dataclasses import dataclass

import numpy as np

from bcclone.evaluate.worker_model import one_at_a_time
from bcclone.lab.margin.answers import RunKept, Seen, SeenRoad, open_road
from bcclone.lab.margin.margin_map import DrivenCheck
from bcclone.lab.margin.motion import Cars
from bcclone.lab.margin.returning import NEAR_M, ReturningSet
from bcclone.simulator.car import STEP_SECONDS, TrackedCar
from bcclone.simulator.world import FRAME_SECONDS
from bcclone.system.errors import UserError
from bcclone.system.task_pool import report_progress

_CARS_A_TASK = 200
_DRAWS = 10_000  # without a single state of the set
_STRAIGHT_DEGREES = 5.0  # to the road: a car has come back when it is near the middle and turned by no more
_DRIVEN_AT_LEAST, _GIVEN_UP_SECONDS = 0.4, 10.0
_STEPS = round(FRAME_SECONDS / STEP_SECONDS)

State = tuple[float, float, float]  # metres along the track, metres to the right, radians to the right


@dataclass(frozen=True)
class DriveStatesTask:
    """Cars to drive, each from its state."""

    seen: Seen
    states: tuple[State, ...]

    @property
    def size(self) -> int:
        """Return how many cars there are."""
        return len(self.states)

    def __str__(self) -> str:
        return f"{len(self.states)} cars with {self.seen.model.path}"

    @property
    def key(self) -> str:
        """Return a name that says all that the result depends on."""
        return f"driven-{self.seen.key(self.states)}"


def check_by_driving(seen: Seen, returning: ReturningSet, cars: int, seed: int, run: RunKept) -> DrivenCheck:
    """Drive so many cars from random states inside a set, each between eight states of its core; raises UserError.

    The cars of a task drive side by side, so that their frames show the same part of the scene, which stays in cache.
    """
    states = sorted(draw_states(returning, cars, seed))
    firsts = range(0, cars, _CARS_A_TASK)
    tasks = [DriveStatesTask(seen, tuple(states[first : first + _CARS_A_TASK])) for first in firsts]
    results = run(drive_states, tasks, DrivenCheck, "cars")
    return DrivenCheck(
        cars=cars,
        came_back=sum(one.came_back for one in results),
        left_the_road=tuple(state for one in results for state in one.left_the_road),
        undecided=tuple(state for one in results for state in one.undecided),
        frames=sum(one.frames for one in results),
    )


def draw_states(returning: ReturningSet, count: int, seed: int) -> tuple[State, ...]:
    """Return random states inside a set. Raises UserError if none is found."""
    random, grid = np.random.default_rng(seed), returning.grid
    drawn: list[State] = []
    draws = 0
    length_m = grid.step_m * (len(grid.places_m) - (not grid.closed))
    while len(drawn) < count:
        if draws > _DRAWS and not drawn:
            raise UserError("--check: from no state does the car come back, so none can be driven; leave it out")
        along, offset, turn = random.random((3, count))
        along_m = grid.places_m[0] + length_m * along
        offset_m, turns = grid.offsets_m[-1] * (2 * offset - 1), grid.turns[-1] * (2 * turn - 1)
        inside = returning.inside(Cars(along_m, offset_m, turns, np.abs(offset_m)))
        drawn += list(zip(along_m[inside].tolist(), offset_m[inside].tolist(), turns[inside].tolist(), strict=True))
        draws += count
    return tuple(drawn[:count])


def drive_states(task: DriveStatesTask) -> DrivenCheck:
    """Drive the cars of a task in a worker; raises UserError, and WorkerFault for a model that it does not find."""
    task.seen.model.check()
    with one_at_a_time:
        return _drive(open_road(task.seen), task.states)


def _drive(road: SeenRoad, states: tuple[State, ...]) -> DrivenCheck:
    """Drive each car, at the held speed, until it has come back, has left the road, or the time is over."""
    driving = {state: _tracked(road, state) for state in states}
    came_back, left = 0, list[State]()
    frames, seconds = 0, 0.0
    while driving and seconds < _GIVEN_UP_SECONDS:
        steering = road.steering([tracked.car for tracked in driving.values()])
        frames += len(driving)
        seconds += FRAME_SECONDS
        for (state, tracked), answer in zip(list(driving.items()), steering.tolist(), strict=True):
            off_road = _advance(tracked, answer)
            is_back = seconds >= _DRIVEN_AT_LEAST - 1e-9 and _is_back(tracked)
            if off_road:
                left.append(state)
            came_back += is_back and not off_road
            if off_road or is_back:
                del driving[state]
                report_progress(1)
    report_progress(len(driving))
    return DrivenCheck(len(states), came_back, tuple(left), tuple(driving), frames)


def _tracked(road: SeenRoad, state: State) -> TrackedCar:
    along_m, offset_m, turn = state
    tracked = TrackedCar(road.track, offset_m, along_m)
    tracked.car = road.car(along_m, offset_m, turn)
    return tracked


def _advance(tracked: TrackedCar, steering: float) -> bool:
    """Steer until the next frame, and return whether the car has left the road."""
    car, off_road = tracked.car, False
    speed = car.speed
    car.steering = steering
    for _ in range(_STEPS):
        car.speed = speed  # held, whatever the slope
        tracked.step()
        off_road |= abs(tracked.position.cross_track_m) > tracked.position.limit_m
    car.speed = speed
    return off_road


def _is_back(tracked: TrackedCar) -> bool:
    position = tracked.position
    turn = np.degrees(np.remainder(tracked.car.heading - position.heading + np.pi, 2 * np.pi) - np.pi)
    return bool(abs(position.cross_track_m) <= NEAR_M and abs(turn) <= _STRAIGHT_DEGREES)
