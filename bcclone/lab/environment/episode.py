"""Drive an episode step by step, without Gymnasium: controls in; frames, reward and figures out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bcclone.dataset.answer import Answer
from bcclone.dataset.images import Image
from bcclone.dataset.vehicle import MPH
from bcclone.drive.controller import SpeedController, SpeedSettings
from bcclone.lab.environment import EnvironmentSettings, changed_conditions, values_by_name
from bcclone.simulator.car import STEP_SECONDS, TrackedCar
from bcclone.simulator.render import Renderer
from bcclone.simulator.scene import Obstacles
from bcclone.simulator.track import Track, load_track
from bcclone.simulator.world import FRAME_SECONDS
from bcclone.simulator.world_settings import LOST_M, TOP_SPEED_MPH, Conditions
from bcclone.system.exact_math import cosine, sine
from bcclone.system.settings import Metres, Mph, check_settings, setting

FARTHEST_M = np.float32(1000.0)  # depth of the sky in an observation
PENALTY = 10.0  # taken from the reward of the step that ends an episode off the road or in a crash
_STEPS = round(FRAME_SECONDS / STEP_SECONDS)
_SECTOR_M = 50.0
_NEXT_SECONDS = 1.0
_START_OFFSET_M, _START_TURN_DEGREES = 0.8, 4.0  # largest of random starts

Observation = Any  # an array, or a dictionary of arrays


@dataclass(frozen=True)
class Start:
    """Where an episode starts, and how fast. Raises ValueError for a value out of range."""

    start_m: Metres = setting(0.0, "distance along the lap")
    offset_m: Metres = setting(0.0, "distance to the right of the centre line", -LOST_M, LOST_M)
    turn_degrees: float = setting(0.0, "degrees to the right of the road", -180, 180)
    speed_mph: Mph = setting(0.0, "speed", 0, TOP_SPEED_MPH)

    def __post_init__(self) -> None:
        check_settings(self)


_DRIVE_OPTIONS = tuple(each.name for each in fields(Start))


@dataclass(frozen=True)
class Step:
    """The result of a step, with Gymnasium's names; info: Episode.info()."""

    observation: Observation
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


class Episode:
    """Episodes of one car. Raises UserError for a road that cannot be built.

    frame(): the picture of the centre camera that render() shows.
    """

    def __init__(self, settings: EnvironmentSettings) -> None:
        self.settings = settings
        self._offroads = self._crashes = 0
        self._crashed, self._cause = False, ""
        self._opened: tuple[str, Conditions] | None = None
        self._open(settings.road, settings.conditions)
        self._begin(Start())

    @property
    def ended(self) -> bool:
        """Return whether the next call must be reset()."""
        return bool(self._cause)

    def reset(self, randomness: np.random.Generator, options: Mapping[str, Any] | None) -> tuple[Observation, Any]:
        """Begin an episode; return its first observation and info.

        options: start_m, offset_m, turn_degrees and speed_mph of Start; conditions: values of Conditions by name; road.
        They hold for this episode. Raises ValueError for other options, and UserError for a road that cannot be built;
        then the present episode goes on.
        """
        values = values_by_name("option", {} if options is None else options, (*_DRIVE_OPTIONS, "road", "conditions"))
        conditions = changed_conditions(self.settings.conditions, values.get("conditions", {}))
        chosen = Start(**{name: _number(name, values[name]) for name in _DRIVE_OPTIONS if name in values})
        self._open(values.get("road", self.settings.road), conditions, chosen.start_m)
        start = self._random_start(randomness) if self.settings.random_start else Start()
        self._begin(replace(start, **{name: getattr(chosen, name) for name in _DRIVE_OPTIONS if name in values}))
        return self.observe(), self.info()

    def step(self, action: npt.NDArray[np.floating]) -> Step:
        """Advance by 0.04 s. action: steering, -1 to 1, and throttle, -1 (brake) to 1, if it is controlled.

        Raises ValueError for anything else.
        """
        tracked, car = self.tracked, self.tracked.car
        steering, *others = self.checked(action)
        throttle = others[0] if others else self._controller.throttle(car.speed / MPH, Answer(steering))
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
        self._cause = "crash" if self._crashed else "off road" if off_road else "laps driven" if goal else ""
        truncated = not self._cause and tracked.seconds >= self.settings.time_limit - 1e-9
        if truncated:
            self._cause = "time"
        reward = (tracked.progress_m - before) * max(1 - abs(tracked.position.cross_track_m) / self._limit_m, 0.0)
        info = self.info()
        return Step(self.observe(), reward - PENALTY * failed, failed or goal, truncated, info)

    def observe(self) -> Observation:
        """Return the present observation: an array, or a dictionary of arrays for several observations."""
        names, seconds = self.settings.observations, self.tracked.seconds
        if names == ("center",):
            return self._renderer.frame(self.tracked.car, seconds=seconds)
        seen: dict[str, Any] = {}
        if {"center", "segmentation", "depth"} & set(names):
            view = self._renderer.view(self.tracked.car, seconds=seconds)
            seen = {"center": view.picture, "segmentation": view.labels, "depth": np.minimum(view.depths_m, FARTHEST_M)}
        for side in {"left", "right"} & set(names):
            seen[side] = self._renderer.frame(self.tracked.car, side, seconds)
        return seen[names[0]] if len(names) == 1 else {name: seen[name] for name in names}

    def frame(self) -> Image:
        """Return the picture of the centre camera, uint8 (height, width, 3)."""
        return self._renderer.frame(self.tracked.car, seconds=self.tracked.seconds)

    def info(self) -> dict[str, Any]:
        """Return the figures of the drive, named as in the forks of the Udacity simulator that testers use.

        cte: metres to the right of the centre line; next_cte: the same one second ahead, if the car goes straight on;
        pos_x, pos_y, pos_z: metres; speed: mph; lap: of the episode, from 1; sector: number of the road's stretch of
        50 m, from 0 where a lap starts; ang_diff: degrees to the right of the road's direction; crash: whether the car
        met something; tot_crashes, tot_obes: crashes and departures from the road of all episodes; sim_time: seconds;
        limit: metres from the centre line that end the episode; progress: metres along the road; cause: why the episode
        has ended, or "".
        """
        tracked, car, position = self.tracked, self.tracked.car, self.tracked.position
        turned = (car.heading - position.heading + math.pi) % (2 * math.pi) - math.pi
        ahead_m = car.speed * _NEXT_SECONDS
        following = self.track.locate(
            car.x + ahead_m * sine(car.heading), car.y, car.z + ahead_m * cosine(car.heading), position.along_m
        )
        into = position.along_m - self.track.start_m
        into = into % self.track.lap_m if self.track.closed else min(max(into, 0.0), self.track.lap_m)
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

    def _open(self, road: str, conditions: Conditions, start_m: float = 0.0) -> None:
        """Show this road under these conditions, all or nothing."""
        settings = self.settings
        if not isinstance(road, str):
            raise ValueError(f"road is {road!r}, expected lake, mountain, random:SEED, or a .json file")  # noqa: TRY004
        track = self.track if self._opened == (road, conditions) else load_track(road, settings.reverse)
        goal_m = track.goal_m(settings.laps)
        if start_m > track.lap_m:
            raise ValueError(f"start {start_m:g} m, expected at most the {track.lap_m:.0f} m of {road}")
        if self._opened == (road, conditions):
            return
        self._renderer = Renderer(road, conditions, settings.height, settings.width)
        self.track: Track = track
        self._obstacles = Obstacles(self._renderer.scene)
        self._goal_m, self._opened = goal_m, (road, conditions)

    def _begin(self, start: Start) -> None:
        ground_height = self._renderer.scene.ground.height_at
        along_m = self.track.start_m + start.start_m
        self.tracked = TrackedCar(self.track, start.offset_m, along_m, ground_height)
        self.tracked.car.heading += math.radians(start.turn_degrees)
        self.tracked.car.speed = start.speed_mph * MPH
        self._controller = SpeedController(SpeedSettings(self.settings.speed_mph))
        self._crashed, self._cause = False, ""

    def _random_start(self, randomness: np.random.Generator) -> Start:
        start_m = self.track.lap_m * randomness.random() if self.track.closed else 0.0
        offset_m, turn = (2 * randomness.random() - 1 for _ in range(2))
        return Start(start_m, _START_OFFSET_M * offset_m, _START_TURN_DEGREES * turn, self.settings.speed_mph)

    def checked(self, action: Any) -> list[float]:
        """Return the numbers of an action; raises ValueError as step()."""
        names = ("steering", "throttle") if self.settings.action == "steering-throttle" else ("steering",)
        try:
            values = [float(value) for value in np.ravel(action)]
        except (TypeError, ValueError, OverflowError):
            values = []
        if len(values) != len(names) or not np.isfinite(values).all():
            raise ValueError(f"action {action!r}, expected {' and '.join(names)}, each a number from -1 to 1")
        return values

    @property
    def _limit_m(self) -> float:
        return self.settings.limit_m or self.tracked.position.limit_m


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} {str(value)[:40]!r}, expected a number") from None
