"""Let a model steer in many states, in workers: answer each frame, or drive a car from each state.

In: a `StatesTask`, which names the model, the road and the states. Out: `Answers`, the steering in
each state; or a `DrivenCheck`, which counts the cars that came back.

If the model's preprocessing only resizes and converts colours, frames are rendered at the network's
size; otherwise they are rendered whole and compressed, as in a drive. The network gets frames in
batches. TensorFlow rounds these differently from the batches of one that a drive uses, by up to
3e-7.
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
from bcclone.research.margin.following import Cars
from bcclone.research.margin.returning import NEAR_M, ReturningSet
from bcclone.simulator.car import STEP_SECONDS, Car, TrackedCar, holding_throttle, nose_up, start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world import FRAME_SECONDS
from bcclone.simulator.world_settings import Conditions
from bcclone.system.errors import UserError
from bcclone.system.numbers import Float32Array

# place (metres along the track), offset (metres to the right), turn (radians to the right)
State = tuple[float, float, float]
# function to run in workers, its tasks, type of a result, unit of the tasks' sizes -> the results;
# results of an interrupted command are not computed again
RunKept = Callable[[Callable[[Any], Any], Sequence[Any], type, str], list[Any]]
# images, uint8 (batch, height, width, channels) -> steering, (batch,)
Steer = Callable[[Image], Float32Array]


@dataclass(frozen=True)
class Trial:
    """A model that is asked, and the road and speed at which it is shown frames."""

    model: InputFile
    preprocess: str | None  # preprocessing for a model that does not store its own
    track: str
    reverse: bool
    speed: float  # m/s


@dataclass(frozen=True)
class StatesTask:
    """States to answer, or to drive from."""

    trial: Trial
    purpose: str  # "answer" or "drive"
    states: tuple[State, ...]

    @property
    def size(self) -> int:
        """Return the number of states, for the progress."""
        return len(self.states)

    def __str__(self) -> str:
        return f"{self.size} states to {self.purpose} with {self.trial.model.path}"

    @property
    def key(self) -> str:
        """Return the name under which the result is kept."""
        return result_key(self.purpose, self.trial.track, self)


@dataclass(frozen=True)
class Answers:
    """What a model answers in the states of a task."""

    steering: tuple[float, ...]  # -1 to 1, for each state in the order of the task


_BATCH = 64  # most images that the network gets at once


class ModelOnRoad:
    """A model with a view of a road: cars -> steering.

    Raises UserError for a network that steers by several frames.
    """

    def __init__(self, trial: Trial) -> None:
        self.track = load_track(trial.track, trial.reverse)
        policy = load_on_one_core(trial.model, trial.preprocess)
        if policy.seq_length > 1 or policy.carries_states:
            raise UserError(
                f"{trial.model.path}: it steers by several frames, expected a network of single "
                "ones, whose steering is a function of the state; drive it with: bcclone suite"
            )
        self._path = trial.model.path
        self._speed = trial.speed
        self._preprocessing = policy.preprocessing
        # without a crop or other steps, the renderer draws the network's image directly; otherwise
        # whole frames are rendered
        self._whole = self._preprocessing.crops or not self._preprocessing.is_plain
        if self._whole:
            self._renderer = Renderer(trial.track, Conditions())
        else:
            size = (self._preprocessing.height, self._preprocessing.width)
            self._renderer = Renderer(trial.track, Conditions(), *size)
        self._steer = _call_of(policy)
        self._nose_up = nose_up(holding_throttle(trial.speed))

    def car(self, along_m: float, offset_m: float, turn: float) -> Car:
        """Return a car in a state: at the held speed, with the yaw rate of the bend there."""
        car = start_on(self.track, offset_m, along_m, turn, self._nose_up)
        car.speed = self._speed
        car.throttle = holding_throttle(self._speed)
        car.yaw_rate = self._speed * float(self.track.curvature[self.track.index(along_m)])
        return car

    def image(self, car: Car) -> Image:
        """Return what the network sees from a car, uint8 (height, width, channels)."""
        frame = self._renderer.frame(car)
        if self._whole:
            return self._preprocessing.apply(decode_jpeg(encode_jpeg(frame)))
        return self._preprocessing.convert_colors(frame)

    def steering(self, cars: Sequence[Car]) -> Float32Array:
        """Return the steering for each car, (cars,); raises UserError if it is not finite."""
        answers = []
        for first in range(0, len(cars), _BATCH):
            images = [self.image(car) for car in cars[first : first + _BATCH]]
            answers.append(self._steer(np.stack(images)))
        steering = np.concatenate(answers)
        is_finite = np.isfinite(steering)
        if not is_finite.all():
            car = cars[int(np.argmin(is_finite))]
            raise not_finite(self._path, f"at ({car.x:.1f}, {car.z:.1f}) on the map")
        return np.clip(steering, -1.0, 1.0)


# a worker keeps the model and road of its last task, since the next task mostly has the same ones
_model_on_road = lru_cache(maxsize=1)(ModelOnRoad)


def answer_states(task: StatesTask) -> Answers:
    """Answer the states of a task in a worker.

    In the task, the states of a place come one after the other. Raises UserError, also for a model
    that the worker does not find.
    """
    steering: list[float] = []
    with _opened(task) as model_on_road:
        for _, states in groupby(task.states, key=itemgetter(0)):
            cars = [model_on_road.car(*state) for state in states]
            steering += model_on_road.steering(cars).tolist()
    return Answers(tuple(steering))


@contextmanager
def _opened(task: StatesTask) -> Iterator[ModelOnRoad]:
    """Yield the model on the road of a task, to one thread of the worker at a time."""
    task.trial.model.check()
    with one_at_a_time:
        yield _model_on_road(task.trial)


def _call_of(policy: Policy) -> Steer:
    """Return a function that lets a network steer.

    A network of an ONNX or LiteRT file, for which policy.model is None, gets frames one by one.
    """
    if policy.model is None:

        def answer_frames(frames: Image) -> Float32Array:
            steering = []
            for frame in frames:
                answer, _ = policy.next_answer(frame, memory=())  # each frame begins a new drive
                steering.append(answer.steering)
            return np.array(steering, np.float32)

        return answer_frames
    from bcclone.model.recurrent import compile_call

    call = compile_call(policy.model, batch=None)

    def answer_images(images: Image) -> Float32Array:
        numbers = call(images)[:, 0].tolist()
        return np.array([policy.calibrated(number) for number in numbers], np.float32)

    return answer_images


@dataclass(frozen=True)
class DrivenCheck:
    """What became of cars that were driven from random states from which they should come back."""

    cars: int  # number of cars
    came_back: int  # number of cars that came back
    left_the_road: tuple[State, ...]  # states from which cars left the road
    undecided: tuple[State, ...]  # states from which cars did neither in time
    frames: int  # number of rendered frames


# The cars of a task drive side by side, so that their frames show the same part of the scene and
# this part stays in the processor's cache.
_CARS_A_TASK = 200


def check_by_driving(
    trial: Trial, returning: ReturningSet, cars: int, seed: int, run: RunKept
) -> DrivenCheck:
    """Drive cars from random states inside a set; raises UserError.

    A state is inside if the eight states of the grid around it belong to the set's core.

    cars: number of cars to drive
    """
    # sorted by the place along the road
    states = sorted(draw_states(returning, cars, seed))
    tasks = []
    for first in range(0, cars, _CARS_A_TASK):
        task_states = states[first : first + _CARS_A_TASK]
        tasks.append(StatesTask(trial, "drive", tuple(task_states)))
    results = run(drive_states, tasks, DrivenCheck, "cars")
    return DrivenCheck(
        cars=cars,
        came_back=sum(result.came_back for result in results),
        left_the_road=tuple(chain(*(result.left_the_road for result in results))),
        undecided=tuple(chain(*(result.undecided for result in results))),
        frames=sum(result.frames for result in results),
    )


_MAX_DRAWS = 10_000  # random states that are tried before the set is taken to be empty


def draw_states(returning: ReturningSet, count: int, seed: int) -> tuple[State, ...]:
    """Return `count` random states inside a set; raises UserError if none is found."""
    random = np.random.default_rng(seed)
    grid = returning.grid
    steps = len(grid.places_m)
    if not grid.closed:
        steps -= 1
    length_m = grid.step_m * steps

    # states are chosen anywhere on the grid, and those outside the set are left out
    drawn: list[State] = []
    draws = 0
    while len(drawn) < count:
        if draws > _MAX_DRAWS and not drawn:
            raise UserError(
                "--check: from no state does the car come back, so none can be driven; leave it out"
            )
        along, offset, turn = random.random((3, count))
        along_m = grid.places_m[0] + length_m * along
        offset_m = grid.offsets_m[-1] * (2 * offset - 1)
        turns = grid.turns[-1] * (2 * turn - 1)
        cars = Cars(along_m, offset_m, turns, nearest_m=np.abs(offset_m))
        inside = returning.inside(cars)
        states = [values[inside].tolist() for values in (along_m, offset_m, turns)]
        drawn += zip(*states, strict=True)
        draws += count
    return tuple(drawn[:count])


_LEAST_SECONDS = 0.4  # time before a car may count as having come back
_MOST_SECONDS = 10.0  # time after which a car counts as undecided
_STRAIGHT_DEGREES = 5.0  # largest angle to the road of a car that has come back


def drive_states(task: StatesTask) -> DrivenCheck:
    """Drive cars from the states of a task in a worker; raises as answer_states().

    A car holds its speed until it has come back, has left the road, or the time is over.
    """
    came_back = 0
    left_the_road: list[State] = []
    frames = 0
    seconds = 0.0
    with _opened(task) as model_on_road:
        driving = _cars_at_states(model_on_road, task.states)
        while driving and seconds < _MOST_SECONDS:
            # all cars get their steering from one batch, then drive until the next frame
            steering = model_on_road.steering([tracked.car for tracked in driving.values()])
            frames += len(driving)
            seconds += FRAME_SECONDS
            may_be_back = seconds >= _LEAST_SECONDS - 1e-9  # 1e-9: the sum of seconds is rounded

            outcomes = {
                state: _drive_on(tracked, answer, may_be_back)
                for (state, tracked), answer in zip(driving.items(), steering.tolist(), strict=True)
            }

            # cars whose outcome is known drive no farther
            came_back += sum(outcome == _BACK for outcome in outcomes.values())
            left_the_road += [state for state, outcome in outcomes.items() if outcome == _LEFT]
            decided = [state for state, outcome in outcomes.items() if outcome != _DRIVING]
            driving = {state: driving[state] for state in driving if state not in decided}
    return DrivenCheck(task.size, came_back, tuple(left_the_road), tuple(driving), frames)


_BACK = "came back"
_LEFT = "left the road"
_DRIVING = "still driving"


def _drive_on(tracked: TrackedCar, steering: float, may_be_back: bool) -> str:
    """Drive a car until the next frame, and return what has become of it."""
    if _advance(tracked, steering):
        return _LEFT
    if may_be_back and _is_back(tracked):
        return _BACK
    return _DRIVING


def _cars_at_states(model_on_road: ModelOnRoad, states: Sequence[State]) -> dict[State, TrackedCar]:
    """Return state -> a car in this state."""
    cars = {}
    for state in states:
        along_m, offset_m, _ = state
        tracked = TrackedCar(model_on_road.track, offset_m, along_m)
        # TrackedCar starts a car that stands along the road; this one is at the same place, and has
        # the turn and speed of the state
        tracked.car = model_on_road.car(*state)
        cars[state] = tracked
    return cars


def _is_back(tracked: TrackedCar) -> bool:
    """Return whether a car is near the middle of the road, and drives along it."""
    position = tracked.position
    turn = np.remainder(tracked.car.heading - position.heading + np.pi, 2 * np.pi) - np.pi
    is_near = abs(position.cross_track_m) <= NEAR_M
    return bool(is_near and abs(np.degrees(turn)) <= _STRAIGHT_DEGREES)


_STEPS = round(FRAME_SECONDS / STEP_SECONDS)  # steps of the car from frame to frame


def _advance(tracked: TrackedCar, steering: float) -> bool:
    """Drive until the next frame, and return whether the car has left the road on the way."""
    car = tracked.car
    car.steering = steering
    speed = car.speed
    off_road = False
    for _ in range(_STEPS):
        car.speed = speed  # held, whatever the slope
        tracked.step()
        off_road |= abs(tracked.position.cross_track_m) > tracked.position.limit_m
    car.speed = speed
    return off_road
