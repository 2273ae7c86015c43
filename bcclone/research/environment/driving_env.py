"""The simulator as a Gymnasium environment: controls in; frames, reward and figures out, step by
step.

Simulator has one car, DrivingVectorEnv several, each drawn by its own thread.
"""

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array

from bcclone.camera.images import Image
from bcclone.camera.vehicle import MPH
from bcclone.dataset.answer import Answer
from bcclone.drive.controller import SpeedController, SpeedSettings
from bcclone.research.environment import (
    CONDITIONS,
    EnvironmentSettings,
    changed_conditions,
    values_by_name,
)
from bcclone.simulator.car import STEP_SECONDS, TrackedCar
from bcclone.simulator.render import LABELS, Renderer
from bcclone.simulator.scene import Obstacles
from bcclone.simulator.track import Track, load_track
from bcclone.simulator.world import FRAME_SECONDS
from bcclone.simulator.world_settings import LOST_M, TOP_SPEED_MPH, Conditions
from bcclone.system.arrays import BoolArray, Float32Array, FloatArray
from bcclone.system.errors import require_package
from bcclone.system.exact_math import cosine, sine
from bcclone.system.json_values import names_of
from bcclone.system.settings import Checked, Metres, Mph, setting

FARTHEST_M = np.float32(1000.0)  # depth of the sky in an observation
PENALTY = 10.0  # taken from the reward of the step that ends an episode off the road or in a crash
_STEPS = round(FRAME_SECONDS / STEP_SECONDS)
_SECTOR_M = 50.0
_NEXT_SECONDS = 1.0
_START_OFFSET_M, _START_TURN_DEGREES = 0.8, 4.0  # largest of random starts

_LEAST_WIDTH_PX = 640  # smaller pictures are enlarged
_UNSEEN = ("dummy", "offscreen")  # drivers that SDL falls back to where there is no display

Observation = Any  # an array, or a dictionary of arrays
_Batch = tuple[Observation, FloatArray, BoolArray, BoolArray, dict[str, Any]]


class Window:
    """A window for pictures of one size; without a display, a note, and nothing is shown.

    Raises UserError where there is no pygame.
    """

    def __init__(self, height: int, width: int) -> None:
        require_package("pygame", "render_mode human", "bcclone[gym]")
        import pygame

        self._pygame: Any = pygame
        self._surface: Any = None
        scale = max(_LEAST_WIDTH_PX // width, 1)
        pygame.display.init()
        if pygame.display.get_driver() in _UNSEEN and "SDL_VIDEODRIVER" not in os.environ:
            pygame.display.quit()
            print("note: there is no display, so render_mode human shows nothing", file=sys.stderr)
            return
        pygame.display.set_caption("bcclone")
        self._surface = pygame.display.set_mode((width * scale, height * scale))
        self._clock = pygame.time.Clock()

    def show(self, picture: Image) -> None:
        """Show a picture, and wait until the next one is due."""
        if self._surface is None:
            return
        pygame = self._pygame
        pygame.event.pump()
        image = pygame.surfarray.make_surface(np.swapaxes(picture, 0, 1))
        self._surface.blit(pygame.transform.scale(image, self._surface.get_size()), (0, 0))
        pygame.display.flip()
        self._clock.tick(round(1 / FRAME_SECONDS))

    def close(self) -> None:
        """Close the window; it may be closed twice."""
        self._pygame.display.quit()


@dataclass(frozen=True)
class Start(Checked):
    """Where an episode starts, and how fast. Raises ValueError for a value out of range."""

    start_m: Metres = setting(0.0, "distance along the lap", 0, 100_000)
    offset_m: Metres = setting(0.0, "distance to the right of the centre line", -LOST_M, LOST_M)
    turn_degrees: float = setting(0.0, "degrees to the right of the road", -180, 180)
    speed_mph: Mph = setting(0.0, "speed", 0, TOP_SPEED_MPH)


_DRIVE_OPTIONS = tuple(names_of(Start))


def settings_from(values: Mapping[str, Any]) -> EnvironmentSettings:
    """Return settings from the arguments of gymnasium.make(): fields of EnvironmentSettings and of
    Conditions.

    Raises ValueError for a value out of range, and for an unknown name.
    """
    given = dict(values_by_name("argument", values, (*names_of(EnvironmentSettings), *CONDITIONS)))
    conditions = changed_conditions(Conditions(), given.pop("conditions", {}))
    conditions = replace(
        conditions, **{name: given.pop(name) for name in CONDITIONS if name in given}
    )
    if isinstance(given.get("observations"), list):
        given["observations"] = tuple(given["observations"])
    return EnvironmentSettings(**given, conditions=conditions)


def _one_or_all(by_name: dict[str, Any], make: Callable[[dict[str, Any]], Any]) -> Any:
    """Return the only value, or what is made of several values by name."""
    return next(iter(by_name.values())) if len(by_name) == 1 else make(by_name)


class Simulator(gymnasium.Env[Observation, Float32Array]):
    """A car on a road. The arguments are the fields of EnvironmentSettings and of the simulator's
    Conditions.

    A step lasts 0.04 s of simulated time; nothing runs between two steps. The reward of a step is the distance driven
    along the road in metres, times 1 - |cte| / limit; the step that ends an episode off the road or in a crash loses
    10. An episode terminates there and when its laps are driven, and is truncated at the time limit. Raises UserError
    for a road that cannot be built.

    track, tracked: the road and the car, for experts and tests that need more than the
    observations.
    """

    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": round(1 / FRAME_SECONDS)}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None, **values: Any) -> None:
        self.settings, self.render_mode = settings_from(values), render_mode
        names, shape = self.settings.observations, (self.settings.height, self.settings.width)
        every: dict[str, spaces.Space[Any]] = {
            **{
                camera: spaces.Box(0, 255, (*shape, 3), np.uint8)
                for camera in ("center", "left", "right")
            },
            "segmentation": spaces.Box(0, max(LABELS.values()), shape, np.uint8),
            "depth": spaces.Box(0.0, float(FARTHEST_M), shape, np.float32),
        }
        self.observation_space: spaces.Space[Any] = _one_or_all(
            {name: every[name] for name in names}, spaces.Dict
        )
        self._controls = (
            ("steering", "throttle")
            if self.settings.action == "steering-throttle"
            else ("steering",)
        )
        self.action_space: spaces.Space[Any] = spaces.Box(
            -1.0, 1.0, (len(self._controls),), np.float32
        )
        self._window = Window(*shape) if render_mode == "human" else None
        self._offroads = self._crashes = 0
        self._crashed, self._cause = False, ""
        self._opened: tuple[str, Conditions] | None = None
        self._open(self.settings)
        self._begin(Start())

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; return its first observation and info.

        options: start_m, offset_m, turn_degrees and speed_mph of Start; conditions: values of
        Conditions by name; road. They hold for this episode. Raises ValueError for other options,
        and UserError for a road that cannot be built; then the present episode goes on.
        """
        super().reset(seed=seed)
        values = values_by_name("option", options or {}, (*_DRIVE_OPTIONS, "road", "conditions"))
        conditions = changed_conditions(self.settings.conditions, values.get("conditions", {}))
        chosen = {name: values[name] for name in _DRIVE_OPTIONS if name in values}
        settings = replace(
            self.settings, road=values.get("road", self.settings.road), conditions=conditions
        )
        self._open(settings, Start(**chosen).start_m)
        start = Start()
        if self.settings.random_start:
            start_m = self.track.lap_m * self.np_random.random() if self.track.closed else 0.0
            offset, turn = (2 * self.np_random.random() - 1 for _ in range(2))
            start = Start(
                start_m,
                _START_OFFSET_M * offset,
                _START_TURN_DEGREES * turn,
                self.settings.speed_mph,
            )
        self._begin(replace(start, **chosen))
        self._show()
        return self.observe(), self.info()

    def step(self, action: Float32Array) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Advance by 0.04 s. action: steering, -1 to 1, and throttle, -1 (brake) to 1, if it is
        controlled.

        Raises ValueError for anything else, and gymnasium.error.ResetNeeded after the end of an
        episode.
        """
        if self._cause:
            raise gymnasium.error.ResetNeeded("the episode has ended; begin another with reset()")
        tracked, car = self.tracked, self.tracked.car
        steering, *others = self.checked(action)
        throttle = (
            others[0] if others else self._controller.throttle(car.speed / MPH, Answer(steering))
        )
        car.control(steering, throttle)
        before = tracked.progress_m
        for _ in range(_STEPS):
            tracked.step()
        self._crashed = self._crashed or self._obstacles.hit(car.x, car.z, tracked.position)
        off_road = abs(tracked.position.cross_track_m) > self._limit_m
        self._crashes += self._crashed
        self._offroads += off_road
        goal = tracked.progress_m >= self._goal_m
        failed = off_road or self._crashed
        self._cause = (
            "crash" if self._crashed else "off road" if off_road else "laps driven" if goal else ""
        )
        truncated = not self._cause and tracked.seconds >= self.settings.time_limit - 1e-9
        if truncated:
            self._cause = "time"
        reward = (tracked.progress_m - before) * max(
            1 - abs(tracked.position.cross_track_m) / self._limit_m, 0.0
        )
        self._show()
        return self.observe(), reward - PENALTY * failed, failed or goal, truncated, self.info()

    def render(self) -> Image | None:
        """Return the picture of the centre camera in the mode rgb_array, uint8 (height, width, 3)."""
        return self._frame() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Close the window."""
        if self._window is not None:
            self._window.close()

    def observe(self) -> Observation:
        """Return the present observation: an array, or a dictionary of arrays for several
        observations.
        """
        names, car, seconds = self.settings.observations, self.tracked.car, self.tracked.seconds
        seen: dict[str, Any] = {}
        if {"segmentation", "depth"} & set(names):
            view = self._renderer.view(car, seconds=seconds)
            seen = {
                "center": view.picture,
                "segmentation": view.labels,
                "depth": np.minimum(view.depths_m, FARTHEST_M),
            }
        seen |= {
            camera: self._renderer.frame(car, camera, seconds)
            for camera in names
            if camera not in seen
        }
        return _one_or_all({name: seen[name] for name in names}, dict)

    def info(self) -> dict[str, Any]:
        """Return the figures of the drive, named as in the forks of the Udacity simulator that
        testers use.

        cte: metres to the right of the centre line; next_cte: the same one second ahead, if the car
        goes straight on; pos_x, pos_y, pos_z: metres; speed: mph; lap: of the episode, from 1;
        sector: number of the road's stretch of 50 m, from 0 where a lap starts; ang_diff: degrees
        to the right of the road's direction; crash: whether the car met something; tot_crashes,
        tot_obes: crashes and departures from the road of all episodes; sim_time: seconds; limit:
        metres from the centre line that end the episode; progress: metres along the road; cause:
        why the episode has ended, or "".
        """
        tracked, car, position = self.tracked, self.tracked.car, self.tracked.position
        turned = (car.heading - position.heading + math.pi) % (2 * math.pi) - math.pi
        ahead_m = car.speed * _NEXT_SECONDS
        following = self.track.locate(
            car.x + ahead_m * sine(car.heading),
            car.y,
            car.z + ahead_m * cosine(car.heading),
            position.along_m,
        )
        into = position.along_m - self.track.start_m
        into = (
            into % self.track.lap_m if self.track.closed else min(max(into, 0.0), self.track.lap_m)
        )
        return {
            "cte": position.cross_track_m,
            "next_cte": following.cross_track_m,
            "pos_x": car.x,
            "pos_y": car.y,
            "pos_z": car.z,
            "speed": car.speed / MPH,
            "lap": int(max(tracked.progress_m, 0.0) / self.track.lap_m) + 1,
            "sector": int(into / _SECTOR_M),
            "ang_diff": math.degrees(turned),
            "crash": self._crashed,
            "tot_crashes": self._crashes,
            "tot_obes": self._offroads,
            "sim_time": tracked.seconds,
            "limit": round(self._limit_m, 3),
            "progress": tracked.progress_m,
            "cause": self._cause,
        }

    def _open(self, settings: EnvironmentSettings, start_m: float = 0.0) -> None:
        """Show the road of settings under their conditions, all or nothing."""
        opened = settings.road, settings.conditions
        track = (
            self.track if self._opened == opened else load_track(settings.road, settings.reverse)
        )
        goal_m = track.goal_m(settings.laps)
        if start_m > track.lap_m:
            raise ValueError(
                f"start {start_m:g} m, expected at most the {track.lap_m:.0f} m of {settings.road}"
            )
        if self._opened != opened:
            self._renderer = Renderer(*opened, settings.height, settings.width)
            self._obstacles = Obstacles(self._renderer.scene)
            self.track: Track = track
            self._goal_m, self._opened = goal_m, opened

    def _begin(self, start: Start) -> None:
        ground_height = self._renderer.scene.ground.height_at
        along_m = self.track.start_m + start.start_m
        self.tracked = TrackedCar(self.track, start.offset_m, along_m, ground_height)
        self.tracked.car.heading += math.radians(start.turn_degrees)
        self.tracked.car.speed = start.speed_mph * MPH
        self._controller = SpeedController(SpeedSettings(self.settings.speed_mph))
        self._crashed, self._cause = False, ""

    def checked(self, action: Any) -> list[float]:
        """Return the numbers of an action; raises ValueError as step()."""
        try:
            values = [float(value) for value in np.ravel(action)]
        except (TypeError, ValueError, OverflowError):
            values = []
        if len(values) != len(self._controls) or not np.isfinite(values).all():
            raise ValueError(
                f"action {action!r}, expected {' and '.join(self._controls)}, each a number from -1 to 1"
            )
        return values

    @property
    def _limit_m(self) -> float:
        return self.settings.limit_m or self.tracked.position.limit_m

    def _frame(self) -> Image:
        return self._renderer.frame(self.tracked.car, seconds=self.tracked.seconds)

    def _show(self) -> None:
        if self._window is not None:
            self._window.show(self._frame())


class DrivingVectorEnv(VectorEnv[Observation, Float32Array, npt.NDArray[Any]]):
    """Cars on the same road that do not meet each other; each drives as in Simulator.

    The cars share the scene, so many take little memory. An episode that has ended begins anew with
    the next step, with the options of the last reset(). threads: number that draw the frames, 0 for
    one per core. Raises ValueError for less than one car and for another render_mode than
    rgb_array.
    """

    metadata = Simulator.metadata | {
        "autoreset_mode": AutoresetMode.NEXT_STEP,
        "render_modes": ["rgb_array"],
    }

    def __init__(
        self, num_envs: int = 1, render_mode: str | None = None, threads: int = 0, **values: Any
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}, expected 1 or more")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(
                f"render_mode is {render_mode!r}, expected rgb_array: several cars have no window"
            )
        self.num_envs, self.render_mode = num_envs, render_mode
        self._cars = [Simulator(render_mode, **values) for _ in range(num_envs)]
        self.single_observation_space = self._cars[0].observation_space
        self.single_action_space = self._cars[0].action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, "car")
        self._ended = np.zeros(num_envs, np.bool_)
        self._options: dict[str, Any] | None = None

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode of every car. seed: of the first car, the others count on; or one for
        each.

        options: as in Simulator.reset(), for all cars, also for the episodes that follow without a
        reset().
        """
        seeds = (
            seed
            if isinstance(seed, list)
            else [None if seed is None else seed + n for n in range(self.num_envs)]
        )
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds, expected one for each of {self.num_envs} cars")
        started = self._pool.map(
            lambda car, seed: car.reset(seed=seed, options=options), self._cars, seeds
        )
        observations, infos = zip(*started, strict=True)
        self._ended[:], self._options = False, options
        return self._joined(observations), self._infos(infos)

    def step(self, actions: Float32Array) -> _Batch:
        """Advance every car by 0.04 s; one whose episode has ended begins another, and its action
        is not used.

        Raises ValueError for anything but finite numbers of the shape (cars, controls); then no car
        has moved.
        """
        if np.shape(actions) != self.action_space.shape:
            raise ValueError(
                f"actions have the shape {np.shape(actions)}, expected {self.action_space.shape}"
            )
        for car, action, ended in zip(self._cars, actions, self._ended, strict=True):
            if not ended:
                car.checked(action)

        def advance(number: int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
            car = self._cars[number]
            if not self._ended[number]:
                return car.step(actions[number])
            observation, info = car.reset(options=self._options)
            return observation, 0.0, False, False, info

        observations, rewards, terminated, truncated, infos = zip(
            *self._pool.map(advance, range(self.num_envs)), strict=True
        )
        ends = np.array(terminated), np.array(truncated)
        self._ended = ends[0] | ends[1]
        return self._joined(observations), np.array(rewards, np.float64), *ends, self._infos(infos)

    def render(self) -> tuple[Any, ...] | None:
        """Return the pictures of the centre cameras in the mode rgb_array."""
        return tuple(self._pool.map(Simulator.render, self._cars)) if self.render_mode else None

    def close_extras(self, **_: Any) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _joined(self, observations: Sequence[Observation]) -> Observation:
        empty: Any = create_empty_array(self.single_observation_space, self.num_envs)
        return concatenate(self.single_observation_space, observations, empty)

    def _infos(self, infos: Sequence[dict[str, Any]]) -> dict[str, Any]:
        joined: dict[str, Any] = {}
        for number, info in enumerate(infos):
            joined = self._add_info(joined, info, number)
        return joined
