"""Answer the frames of many states in workers, or drive cars from them: places, offsets and turns
-> steering.

Frames are rendered at the size that the network sees, or whole and compressed where that crops
them. The network gets them in batches; TensorFlow rounds these differently from the batches of one
that a drive uses, by up to 3e-7.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import numpy as np

from bcclone.camera.images import Image, decode_jpeg, encode_jpeg
from bcclone.evaluation.worker_model import (
    InputFile,
    load_on_one_core,
    not_finite,
    one_at_a_time,
    result_key,
)
from bcclone.model.policy import Policy
from bcclone.research.margin.state_grid import NEAR_M, Cars, ReturningSet
from bcclone.simulator.car import STEP_SECONDS, Car, TrackedCar, holding_throttle, nose_up, start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world import FRAME_SECONDS
from bcclone.simulator.world_settings import Conditions
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import UserError
from bcclone.system.task_pool import report_progress

_BATCH = 64
_CARS_A_TASK = 200
_DRAWS = 10_000  # without a single state of the set
_STRAIGHT_DEGREES = (
    5.0  # to the road: a car has come back when it is near the middle and turned by no more
)
_DRIVEN_AT_LEAST, _GIVEN_UP_SECONDS = 0.4, 10.0
_STEPS = round(FRAME_SECONDS / STEP_SECONDS)

State = tuple[
    float, float, float
]  # metres along the track, metres to the right, radians to the right
# function, its tasks, the kind of their results, and the unit of their sizes -> the results
RunKept = Callable[[Callable[[Any], Any], Sequence[Any], type, str], list[Any]]
Steer = Callable[
    [Image], Float32Array
]  # images, uint8 (batch, height, width, channels) -> steering, (batch,)


@dataclass(frozen=True)
class Seen:
    """What the model is shown: which road, in which direction, at which speed (m/s).

    preprocess: for a model that does not store its own.
    """

    model: InputFile
    preprocess: str | None
    track: str
    reverse: bool
    speed: float


@dataclass(frozen=True)
class StatesTask:
    """States to answer, or to drive from. purpose: which of both, "answer" or "drive"."""

    seen: Seen
    purpose: str
    states: tuple[State, ...]

    @property
    def size(self) -> int:
        return len(self.states)

    def __str__(self) -> str:
        return f"{self.size} states to {self.purpose} with {self.seen.model.path}"

    @property
    def key(self) -> str:
        """Return the name of the kept result."""
        return result_key(self.purpose, self.seen.track, self)


@dataclass(frozen=True)
class Answers:
    """The steering in the states of a task, in their order."""

    steering: tuple[float, ...]


class SeenRoad:
    """A model and the road that it sees: cars -> steering. Raises UserError for a network of
    several frames.
    """

    def __init__(self, seen: Seen) -> None:
        self.track = load_track(seen.track, seen.reverse)
        policy = load_on_one_core(seen.model, seen.preprocess)
        if policy.seq_length > 1 or policy.carries_states:
            raise UserError(
                f"{seen.model.path}: it steers by several frames, expected a network of single ones, whose steering is "
                "a function of the state; drive it with: bcclone suite"
            )
        self._path, self._speed, self._preprocessing = (
            seen.model.path,
            seen.speed,
            policy.preprocessing,
        )
        # only an image of the whole frame can be rendered at its own size
        self._whole = self._preprocessing.crops or not self._preprocessing.is_plain
        size = () if self._whole else (self._preprocessing.height, self._preprocessing.width)
        self._renderer = Renderer(seen.track, Conditions(), *size)
        self._steer = _call_of(policy)
        self._nose_up = nose_up(holding_throttle(seen.speed))

    def car(self, along_m: float, offset_m: float, turn: float) -> Car:
        """Return a car in a state, at the held speed, with the yaw rate of the road's bend there."""
        car = start_on(self.track, offset_m, along_m, turn, self._nose_up)
        car.speed, car.throttle = self._speed, holding_throttle(self._speed)
        car.yaw_rate = self._speed * float(self.track.curvature[self.track.index(along_m)])
        return car

    def image(self, car: Car) -> Image:
        """Return what the network sees from a car, uint8 (height, width, channels)."""
        frame = self._renderer.frame(car)
        if self._whole:
            return self._preprocessing.apply(decode_jpeg(encode_jpeg(frame)))
        return self._preprocessing.convert_colors(frame)

    def steering(self, cars: Sequence[Car]) -> Float32Array:
        """Return the model's steering for each car, (cars,). Raises UserError where it is not
        finite.
        """
        answers = [
            self._steer(np.stack([self.image(car) for car in cars[first : first + _BATCH]]))
            for first in range(0, len(cars), _BATCH)
        ]
        steering = np.concatenate(answers)
        if not np.isfinite(steering).all():
            car = cars[int(np.argmin(np.isfinite(steering)))]
            raise not_finite(self._path, f"at ({car.x:.1f}, {car.z:.1f}) on the map")
        return np.clip(steering, -1.0, 1.0)


_open_road = lru_cache(maxsize=1)(SeenRoad)  # the road of a worker's last task, or another one


def answer_states(task: StatesTask) -> Answers:
    """Answer the states of a task in a worker; raises UserError, and WorkerFault for a model that
    it does not find.

    The states of a place are one after the other, and are answered together.
    """
    steering: list[float] = []
    with _opened(task) as road:
        for _, states in groupby(task.states, key=itemgetter(0)):
            cars = [road.car(*state) for state in states]
            steering += road.steering(cars).tolist()
            report_progress(len(cars))
    return Answers(tuple(steering))


@contextmanager
def _opened(task: StatesTask) -> Iterator[SeenRoad]:
    task.seen.model.check()
    with one_at_a_time:
        yield _open_road(task.seen)


def _call_of(policy: Policy) -> Steer:
    """Return a network as a call; that of an ONNX file takes whole frames, one by one."""
    if policy.model is None:
        return lambda images: np.array(
            [policy.next_answer(image, ())[0].steering for image in images], np.float32
        )
    from bcclone.model.recurrent import compile_call

    call = compile_call(policy.model, batch=None)
    return lambda images: np.array(
        [policy.calibrated(each) for each in call(images)[:, 0].tolist()], np.float32
    )


@dataclass(frozen=True)
class DrivenCheck:
    """Cars driven from random states of the set: how many came back, from where others left the
    road, or did neither.

    frames: that were rendered.
    """

    cars: int
    came_back: int
    left_the_road: tuple[State, ...]
    undecided: tuple[State, ...]
    frames: int


def check_by_driving(
    seen: Seen, returning: ReturningSet, cars: int, seed: int, run: RunKept
) -> DrivenCheck:
    """Drive so many cars from random states inside a set, each between eight states of its core;
    raises UserError.

    The cars of a task drive side by side, so that their frames show the same part of the scene,
    which stays in cache.
    """
    states = sorted(draw_states(returning, cars, seed))
    firsts = range(0, cars, _CARS_A_TASK)
    tasks = [
        StatesTask(seen, "drive", tuple(states[first : first + _CARS_A_TASK])) for first in firsts
    ]
    results = run(drive_states, tasks, DrivenCheck, "cars")
    return DrivenCheck(
        cars=cars,
        came_back=sum(one.came_back for one in results),
        left_the_road=tuple(chain(*(one.left_the_road for one in results))),
        undecided=tuple(chain(*(one.undecided for one in results))),
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
            raise UserError(
                "--check: from no state does the car come back, so none can be driven; leave it out"
            )
        along, offset, turn = random.random((3, count))
        along_m, offset_m = (
            grid.places_m[0] + length_m * along,
            grid.offsets_m[-1] * (2 * offset - 1),
        )
        cars = Cars(along_m, offset_m, grid.turns[-1] * (2 * turn - 1), np.abs(offset_m))
        inside = returning.inside(cars)
        drawn += zip(*(each[inside].tolist() for each in cars[:3]), strict=True)
        draws += count
    return tuple(drawn[:count])


def drive_states(task: StatesTask) -> DrivenCheck:
    """Drive cars from the states of a task in a worker; raises UserError and WorkerFault as
    answer_states().

    Each holds its speed until it has come back, has left the road, or the time is over.
    """
    came_back, left = 0, list[State]()
    frames, seconds = 0, 0.0
    with _opened(task) as road:
        driving = {state: TrackedCar(road.track, state[1], state[0]) for state in task.states}
        for state, tracked in driving.items():
            tracked.car = road.car(*state)
        while driving and seconds < _GIVEN_UP_SECONDS:
            steering = road.steering([tracked.car for tracked in driving.values()])
            frames += len(driving)
            seconds += FRAME_SECONDS
            gone: list[State] = []
            for (state, tracked), answer in zip(driving.items(), steering.tolist(), strict=True):
                off_road = _advance(tracked, answer)
                position = tracked.position
                turn = np.degrees(
                    np.remainder(tracked.car.heading - position.heading + np.pi, 2 * np.pi) - np.pi
                )
                is_near = bool(
                    abs(position.cross_track_m) <= NEAR_M and abs(turn) <= _STRAIGHT_DEGREES
                )
                is_back = is_near and seconds >= _DRIVEN_AT_LEAST - 1e-9
                left += [state] * off_road
                came_back += is_back and not off_road
                gone += [state] * (off_road or is_back)
            driving = {state: tracked for state, tracked in driving.items() if state not in gone}
            report_progress(len(gone))
    report_progress(len(driving))
    return DrivenCheck(task.size, came_back, tuple(left), tuple(driving), frames)


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
