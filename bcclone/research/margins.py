"""Map margins: models and a road -> the map of each model's margins, and what to record next.

Workers render frames of the road, and let each model steer. If the model's preprocessing only
resizes and converts colours, frames are rendered at the network's size; otherwise they are rendered
whole and compressed, as in a drive. The network gets frames in batches. TensorFlow rounds these
differently from the batches of one that a drive uses, by up to 3e-7. returning.py then finds from
which states the car comes back.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from itertools import groupby, product
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.camera.images import Image, decode_jpeg, encode_jpeg
from bcclone.camera.vehicle import MPH
from bcclone.evaluation.suite import (
    load_on_one_core,
    name_models,
    one_at_a_time,
    result_key,
)
from bcclone.model.policy import Policy, not_finite
from bcclone.research.record_next import RecordNext, bend_ahead, kinds_to_record
from bcclone.research.returning import (
    RENDERED,
    STARTS,
    StateGrid,
    SteeringTable,
    margins_of,
    returning_states,
    shape_of,
    state_grid,
)
from bcclone.research.settings import MarginSettings
from bcclone.simulator.car import Car, holding_throttle, nose_up, start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track, load_track
from bcclone.simulator.world_settings import Conditions
from bcclone.system.errors import UserError
from bcclone.system.files import sha256_of
from bcclone.system.numbers import BoolArray, Float32Array, FloatArray
from bcclone.system.pool import open_pool, run_kept
from bcclone.system.process import Notify
from bcclone.system.values import to_json

# ---- the steering of a model, in a worker

# place (metres along the track), offset (metres to the right), turn (radians to the right)
State = tuple[float, float, float]

_BATCH = 64  # most images that the network gets at once


@dataclass(frozen=True)
class AnswerTask:
    """States of a road in which a model is asked; those of a place come one after the other."""

    model: Path
    sha256: str  # of the model file
    preprocess: str | None  # for a model that does not store its own
    track: str
    reverse: bool
    speed: float  # m/s
    states: tuple[State, ...]

    @property
    def size(self) -> int:
        return len(self.states)

    @property
    def key(self) -> str:
        return result_key("answer", self.track, replace(self, model=Path()))


@dataclass(frozen=True)
class Answers:
    """What a model answers in the states of a task."""

    steering: tuple[float, ...]  # -1 to 1


def answer_states(task: AnswerTask) -> Answers:
    """Answer the states of a task in a worker.

    Raises UserError, also for a model that the worker does not find.
    """
    steering: list[float] = []
    with one_at_a_time:
        model = _model_on_road(
            task.model, task.sha256, task.preprocess, task.track, task.reverse, task.speed
        )
        for _, states in groupby(task.states, key=itemgetter(0)):
            cars = [model.car(*state) for state in states]
            steering += model.steering(cars).tolist()
    return Answers(tuple(steering))


class ModelOnRoad:
    """A policy with a view of a road, on which cars hold a speed (m/s): cars -> steering.

    Raises UserError for a network that steers by several frames.

    name: the policy's name in errors
    """

    def __init__(self, policy: Policy, name: str, road: str, reverse: bool, speed: float) -> None:
        self._track = load_track(road, reverse)
        if policy.seq_length > 1 or policy.carries_states:
            raise UserError(
                f"{name}: it steers by several frames, expected a network of single ones, "
                "whose steering is a function of the state; drive it with: bcclone suite"
            )
        self._name = name
        self._speed = speed
        self._preprocessing = policy.preprocessing
        # without a crop or other steps, the renderer draws the network's image directly; otherwise
        # whole frames are rendered
        self._whole = self._preprocessing.crops or not self._preprocessing.is_plain
        if self._whole:
            self._renderer = Renderer(road, Conditions())
        else:
            size = (self._preprocessing.height, self._preprocessing.width)
            self._renderer = Renderer(road, Conditions(), *size)
        self._steer = _call_of(policy)
        self._nose_up = nose_up(holding_throttle(speed))

    def car(self, along_m: float, offset_m: float, turn: float) -> Car:
        """Return a car in a state: at the held speed, with the yaw rate of the bend there."""
        car = start_on(self._track, offset_m, along_m, turn, self._nose_up)
        car.speed = self._speed
        car.throttle = holding_throttle(self._speed)
        car.yaw_rate = self._speed * float(self._track.curvature[self._track.index(along_m)])
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
            raise not_finite(self._name, f"at ({car.x:.1f}, {car.z:.1f}) on the map")
        return np.clip(steering, -1.0, 1.0)


@lru_cache(maxsize=1)  # the next task of a worker mostly has the same model and road
def _model_on_road(
    model: Path, sha256: str, preprocess: str | None, road: str, reverse: bool, speed: float
) -> ModelOnRoad:
    policy = load_on_one_core(model, sha256, preprocess)
    return ModelOnRoad(policy, str(model), road, reverse, speed)


def _call_of(policy: Policy) -> Callable[[Image], Float32Array]:
    """Return a function that lets a network steer: images, uint8 (batch, height, width, channels)
    -> steering, (batch,).

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
    from bcclone.model.recurrent import compile_network

    call = compile_network(policy.model, batch=None)

    def answer_images(images: Image) -> Float32Array:
        (outputs,) = call(images)
        numbers = outputs[:, 0].tolist()
        return np.array([policy.calibrated(number) for number in numbers], np.float32)

    return answer_images


# ---- the map of a model

# The box: only states within these limits count in the shares that come back and that stay on the
# road, because a model that drives is hardly ever farther off.
_BOX_M = 2.0
_BOX_DEGREES = 10.0

_STRAIGHT_M = 150.0  # a narrow place in a bend of a larger radius is said to be on a straight
_NARROWEST = 10  # most places that are named as the narrowest
_APART_M = 20.0  # smallest distance between two of them
_ENOUGH = 0.002  # with a smaller share of lost states, no recording is proposed


@dataclass(frozen=True)
class NarrowPlace:
    """A place where the margin is small: the car comes back from a small offset only."""

    along_m: float  # metres from the start of the lap
    side: str  # where the margin is smaller: "left", "right" or "either"
    margin_m: float  # margin on that side
    radius_m: float | None  # radius of the bend, negative to the left; None on a straight

    @property
    def text(self) -> str:
        side = "either side" if self.side == "either" else f"the {self.side}"
        bend = "a straight"
        if self.radius_m is not None:
            way = "left" if self.radius_m < 0 else "right"
            bend = f"a {way} bend of {abs(self.radius_m):.0f} m"
        return f"{self.along_m:6.0f} m: {self.margin_m:.2f} m on {side}, {bend}"


@dataclass(frozen=True)
class MarginMap:
    """The margins of a model on a road."""

    track: Track
    steering: Float32Array  # in the states whose frames were rendered, (places, offsets, turns)
    grid: StateGrid  # the states from which cars were followed
    # bool (places, offsets, turns), as returning_states() returns them
    returns: BoolArray
    stays: BoolArray

    @cached_property
    def margins_m(self) -> FloatArray:
        """Return the margins to the left and to the right at each place, (places, 2)."""
        return margins_of(self.returns, self.grid)

    @property
    def share_percent(self) -> float:
        """Return the share of the states within 2 m and 10 degrees, on asphalt, that come back."""
        return round(100 * float(self.returns[self._box].mean()), 2)

    @property
    def stays_percent(self) -> float:
        """Return the share of the same states from which the car never leaves the road."""
        return round(100 * float(self.stays[self._box].mean()), 2)

    @cached_property
    def _box(self) -> BoolArray:
        """Return which states are in the box and on the asphalt, bool (places, offsets, turns)."""
        offsets = np.abs(self.grid.offsets_m) <= np.minimum(self.limits_m, _BOX_M + 1e-9)[:, None]
        turns = np.abs(np.degrees(self.grid.turns)) <= _BOX_DEGREES + 1e-9
        return offsets[:, :, None] & turns[None, None, :]

    @property
    def limits_m(self) -> FloatArray:
        """Return the largest offset with all wheels on the asphalt at each place, (places,)."""
        places = self.grid.places_m.tolist()
        return np.array([self.track.limits_m[self.track.index(place)] for place in places])

    @property
    def along_m(self) -> FloatArray:
        """Return the places of the map, in metres from the start of the lap, (places,)."""
        return self.grid.places_m - self.track.start_m

    @property
    def smallest_margin_m(self) -> float:
        return round(float(self.margins_m.min()), 3)

    @property
    def mean_margin_m(self) -> float:
        """Return the mean over the places of the smaller of the two sides' margins."""
        return round(float(self.margins_m.min(axis=1).mean()), 3)

    @cached_property
    def narrowest(self) -> tuple[NarrowPlace, ...]:
        """Return the places of the smallest margins, the worst first, at least 20 m apart.

        Places where the car comes back from either edge are not narrow.
        """
        # the edge lies between two offsets of the grid, so the margin of a car that comes back even
        # from the edge may be up to two steps smaller than the limit
        least = self.margins_m.min(axis=1)
        is_narrow = least < self.limits_m - 2 * (self.grid.offsets_m[1] - self.grid.offsets_m[0])
        order = np.argsort(least, kind="stable")
        chosen: list[int] = []
        for place in order[is_narrow[order]].tolist():
            along_m = float(self.along_m[place])
            distances_m = (self.track.apart(along_m, float(self.along_m[one])) for one in chosen)
            if all(abs(distance_m) >= _APART_M for distance_m in distances_m):
                chosen.append(place)
        return tuple(map(self._narrow_place, chosen[:_NARROWEST]))

    def _narrow_place(self, place: int) -> NarrowPlace:
        """Describe a place of the grid. place: its index."""
        along_m = float(self.along_m[place])
        left, right = self.margins_m[place].tolist()
        if left == right:
            side = "either"
        elif left < right:
            side = "left"
        else:
            side = "right"
        bend = bend_ahead(self.track, along_m)
        radius = None
        if abs(bend) > 1 / _STRAIGHT_M:
            radius = round(1 / bend, 1)
        return NarrowPlace(round(along_m, 1), side, round(min(left, right), 3), radius)

    @cached_property
    def record_next(self) -> tuple[RecordNext, ...]:
        """Return the kinds of places with the most states in the box that do not come back.

        The worst come first. There are none where nearly all states come back.
        """
        lost = self._box & ~self.returns
        if lost.sum() < _ENOUGH * self._box.sum():
            return ()

        # lost states to the left and to the right of each place's middle
        left = lost[:, self.grid.offsets_m < -1e-9].sum(axis=(1, 2))
        right = lost[:, self.grid.offsets_m > 1e-9].sum(axis=(1, 2))
        counts = np.stack([left, right], axis=1)
        return kinds_to_record(self.track, self.along_m, self.limits_m, counts)

    def figures(self) -> dict[str, Any]:
        """Return what figures.json says of the map."""
        return {
            "share_percent": self.share_percent,
            "stays_percent": self.stays_percent,
            "smallest_margin_m": self.smallest_margin_m,
            "mean_margin_m": self.mean_margin_m,
            "frames": self.steering.size,
            "states": math.prod(self.grid.shape),
            "narrowest": to_json(self.narrowest),
            "along_m": [round(metres, 2) for metres in self.along_m.tolist()],
            "left_m": [round(metres, 3) for metres in self.margins_m[:, 0].tolist()],
            "right_m": [round(metres, 3) for metres in self.margins_m[:, 1].tolist()],
            "record_next": to_json(self.record_next),
        }


def map_margins(
    models: Sequence[Path],
    settings: MarginSettings | None = None,
    notify: Notify = lambda line: None,
    pool: Executor | None = None,
) -> dict[str, MarginMap]:
    """Return name of a model -> its map; raises UserError.

    Finished parts are written into settings.kept at once, and are not computed again.

    notify: called with a line that says how many parts an earlier command has finished
    pool: the workers; None to start new ones
    """
    settings = settings or MarginSettings()
    if not models:
        raise UserError("no model to map; name one, such as: bcclone margin model.h5")
    track = load_track(settings.track, settings.reverse)
    workers: AbstractContextManager[Executor] = (
        nullcontext(pool) if pool else open_pool(settings.jobs)
    )
    with workers as executor:
        return {
            name: map_by_answers(
                track,
                settings.speed_mph * MPH,
                partial(_answer, path.absolute(), settings, executor, notify),
            )
            for name, path in name_models(models).items()
        }


_PLACES_A_TASK = 12  # places along the road whose states make one task of a worker


def _answer(
    model: Path, settings: MarginSettings, pool: Executor, notify: Notify, grid: StateGrid
) -> Float32Array:
    """Return the steering of a model in each state of a grid, float32 (places, offsets, turns)."""
    places = grid.places_m.tolist()
    sha256 = sha256_of(model)
    tasks = []
    for first in range(0, len(places), _PLACES_A_TASK):
        some = places[first : first + _PLACES_A_TASK]
        states = tuple(product(some, grid.offsets_m.tolist(), grid.turns.tolist()))
        speed = settings.speed_mph * MPH
        road = (settings.track, settings.reverse)
        tasks.append(AnswerTask(model, sha256, settings.preprocess, *road, speed, states))
    answers = run_kept(
        pool, answer_states, tasks, settings.kept, Answers, "mapping", "frames", "parts", notify
    )
    steering = [np.array(answer.steering, np.float32) for answer in answers]
    return np.concatenate(steering).reshape(grid.shape)


def map_by_answers(
    track: Track, speed: float, answer: Callable[[StateGrid], Float32Array]
) -> MarginMap:
    """Return the map of any steering, also of a steering without a model file.

    speed: m/s
    answer: a grid -> the steering in each of its states, float32 (places, offsets, turns)
    """
    rendered = state_grid(track, *RENDERED)
    table = SteeringTable(rendered, np.ascontiguousarray(answer(rendered)))
    starts = state_grid(track, *STARTS)
    returns, stays = returning_states(starts, shape_of(track), table, speed)
    return MarginMap(track, table.steering, starts, returns, stays)
