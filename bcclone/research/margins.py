"""Map margins: models and a road -> the map of each model's margins.

Workers render frames of the road, and let each model steer, in batches: TensorFlow rounds these
differently from the batches of one that a drive uses, by up to 3e-7.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from pathlib import Path

import numpy as np

from bcclone.camera.images import Image, decode_jpeg, encode_jpeg
from bcclone.camera.vehicle import MPH
from bcclone.evaluation.suite import load_on_one_core, name_models, one_at_a_time, result_key
from bcclone.model.policy import Policy, not_finite
from bcclone.research.margin_map import MarginMap
from bcclone.research.margin_settings import MarginSettings
from bcclone.research.returning import (
    RENDERED,
    STARTS,
    StateGrid,
    returning_states,
    shape_of,
    state_grid,
)
from bcclone.simulator.car import Car, holding_throttle, nose_up, start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track, load_track
from bcclone.simulator.world_settings import Conditions
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import UserError, shown_command
from bcclone.system.files import sha256_of
from bcclone.system.pool import open_pool, run_kept
from bcclone.system.progress import Notify

_PLACES_A_TASK = 12  # places along the road whose states make one task of a worker


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
        raise UserError(
            f"no model to map; name one, such as: {shown_command('margin', 'model.h5')}"
        )
    track = load_track(settings.track, settings.reverse)
    speed = settings.speed_mph * MPH
    workers: AbstractContextManager[Executor] = (
        nullcontext(pool) if pool else open_pool(settings.jobs)
    )
    maps = {}
    with workers as executor:
        for name, path in name_models(models).items():
            answer = partial(_answer, path.absolute(), settings, executor, notify)
            maps[name] = map_by_answers(track, speed, answer)
    return maps


def map_by_answers(
    track: Track, speed: float, answer: Callable[[StateGrid], Float32Array]
) -> MarginMap:
    """Return the map of any steering, also of a steering without a model file.

    speed: m/s
    answer: a grid -> the steering in each of its states, float32 (places, offsets, turns)
    """
    rendered = state_grid(track, *RENDERED)
    steering = answer(rendered)
    starts = state_grid(track, *STARTS)
    returns, stays = returning_states(starts, shape_of(track), rendered, steering, speed)
    return MarginMap(track, steering.size, starts, returns, stays)


def _answer(
    model: Path, settings: MarginSettings, pool: Executor, notify: Notify, grid: StateGrid
) -> Float32Array:
    """Return the steering of a model in each state of a grid, float32 (places, offsets, turns)."""
    sha256 = sha256_of(model)
    places = grid.places_m.tolist()
    tasks = []
    for first in range(0, len(places), _PLACES_A_TASK):
        some = places[first : first + _PLACES_A_TASK]
        task = AnswerTask(
            model=model,
            sha256=sha256,
            preprocess=settings.preprocess,
            track=settings.track,
            reverse=settings.reverse,
            speed=settings.speed_mph * MPH,
            states=tuple(product(some, grid.offsets_m.tolist(), grid.turns.tolist())),
        )
        tasks.append(task)
    answers = run_kept(
        pool,
        answer_states,
        tasks,
        settings.kept,
        Answers,
        label="mapping",
        unit="frames",
        noun="parts",
        notify=notify,
    )
    steering = [np.array(answer.steering, np.float32) for answer in answers]
    return np.concatenate(steering).reshape(grid.shape)


# ---- the steering of a model, in a worker

# place (metres along the track), offset (metres to the right), turn (radians to the right)
State = tuple[float, float, float]

_BATCH = 64  # most images that the network gets at once


@dataclass(frozen=True)
class AnswerTask:
    """States of a road in which a model is asked."""

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
        parts = (self.sha256, self.preprocess, self.track, self.reverse, self.speed, self.states)
        return result_key("answer", self.track, *parts)


@dataclass(frozen=True)
class Answers:
    """What a model answers in the states of a task."""

    steering: tuple[float, ...]  # -1 to 1


def answer_states(task: AnswerTask) -> Answers:
    """Answer the states of a task in a worker.

    Raises UserError, also for a model that the worker does not find.
    """
    with one_at_a_time:
        model = _model_on_road(
            task.model, task.sha256, task.preprocess, task.track, task.reverse, task.speed
        )
        cars = [model.car(*state) for state in task.states]
        return Answers(tuple(model.steering(cars).tolist()))


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
                "whose steering is a function of the state; drive it with: "
                f"{shown_command('suite', name)}"
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

    def answer_frames(frames: Image) -> Float32Array:
        # each frame begins a new drive
        steering = [policy.next_answer(frame, memory=())[0].steering for frame in frames]
        return np.array(steering, np.float32)

    if policy.model is None:
        return answer_frames
    from bcclone.model.recurrent import compile_network

    call = compile_network(policy.model, batch=None)

    def answer_images(images: Image) -> Float32Array:
        (outputs,) = call(images)
        numbers = outputs[:, 0].tolist()
        return np.array([policy.calibrated(number) for number in numbers], np.float32)

    return answer_images
