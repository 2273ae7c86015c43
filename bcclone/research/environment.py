"""The simulator as Gymnasium environments: bcclone/Lake-v0, bcclone/Mountain-v0, bcclone/Road-v0.

Importing this module registers them, as gymnasium expects of a module that gymnasium.make() imports
for an environment. docs/how-to/environment.md says what they take and give.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.camera.vehicle import MPH
from bcclone.dataset.answer import Answer
from bcclone.drive.controller import SpeedController, SpeedSettings
from bcclone.simulator.car import STEP_SECONDS, TrackedCar
from bcclone.simulator.render import LABELS, Renderer
from bcclone.simulator.scene import Obstacles
from bcclone.simulator.track import Track, load_track
from bcclone.simulator.world import FRAME_SECONDS
from bcclone.simulator.world_settings import LOST_M, TOP_SPEED_MPH, Conditions
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import require_package
from bcclone.system.exact_math import cosine, sine
from bcclone.system.settings import Checked, Metres, Mph, SettingError, setting
from bcclone.system.values import names_of, part_of

require_package("gymnasium", "an environment", "bcclone[gym]")
import gymnasium  # noqa: E402
from gymnasium import spaces  # noqa: E402
from gymnasium.envs.registration import register, registry  # noqa: E402

for _name, _road in (("Lake", "lake"), ("Mountain", "mountain"), ("Road", "random:0")):
    if f"bcclone/{_name}-v0" not in registry:
        register(
            f"bcclone/{_name}-v0",
            entry_point="bcclone.research.environment:Simulator",
            kwargs={"road": _road},
        )

# ---- settings


@dataclass(frozen=True)
class EnvironmentSettings(Conditions):
    """What an environment simulates, which observations it gives and which actions it takes."""

    road: str = setting("lake", "lake, mountain, random:SEED, or a .json file of control points")
    reverse: bool = setting(False, "drive the road in the opposite direction")
    # the numbers after a help are the smallest and largest value
    height: int = setting(FRAME_HEIGHT, "height of the pictures", 8, 2048)
    width: int = setting(FRAME_WIDTH, "width of the pictures", 8, 4096)
    observations: tuple[str, ...] = setting(
        ("center",),
        "what is observed",
        choices=("center", "left", "right", "segmentation", "depth"),
    )
    action: str = setting(
        "steering",
        "what is controlled; with steering alone, the speed is held",
        choices=("steering", "steering-throttle"),
    )
    speed_mph: Mph = setting(20.0, "speed that is held", 1, TOP_SPEED_MPH)
    laps: float = setting(1.0, "laps of an episode", maximum=1000, above=0)
    limit_m: Metres = setting(
        0.0,
        "distance from the centre line that ends an episode",
        0,
        LOST_M,
        zero="a wheel off the road",
    )
    time_limit: float = setting(300.0, "longest episode, in simulated seconds", 0.04, 1e6)
    random_start: bool = setting(False, "start anywhere on the road, a little off its middle")

    def validate(self) -> None:
        super().validate()
        if not self.observations or len(set(self.observations)) < len(self.observations):
            raise SettingError(
                "{observations} {value}, expected each at most once, and at least one",
                value=self.observations,
            )


@dataclass(frozen=True)
class Start(Checked):
    """Where an episode starts, and how fast. Raises ValueError for a value out of range."""

    start_m: Metres = setting(0.0, "distance along the lap", 0, 100_000)
    offset_m: Metres = setting(0.0, "distance to the right of the centre line", -LOST_M, LOST_M)
    turn_degrees: float = setting(0.0, "degrees to the right of the road", -180, 180)
    speed_mph: Mph = setting(0.0, "speed", 0, TOP_SPEED_MPH)


def _by_name(what: str, values: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the values; raises ValueError if they are not by name, or a name is unknown."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{what}s are {values!r}, expected values by name, such as {names[0]!r}")  # noqa: TRY004
    if unknown := sorted(str(name) for name in set(values) - set(names)):
        raise ValueError(f"unknown {what} {', '.join(unknown)}; expected {', '.join(names)}")
    return dict(values)


# ---- the environment

Observation = Any  # an array, or a dictionary of arrays

FARTHEST_M = np.float32(1000.0)  # depth of the sky in an observation
PENALTY = 10.0  # taken from the reward of the step that ends an episode off the road or in a crash
_CAR_STEPS = round(FRAME_SECONDS / STEP_SECONDS)  # steps of the car in a step of the environment
_SECTOR_M = 50.0  # length of a sector, see _sector()
_NEXT_SECONDS = 1.0  # how far ahead the place is whose offset is next_cte
# largest offset and turn of a random start, to either side
_START_OFFSET_M = 0.8
_START_TURN_DEGREES = 4.0


class Simulator(gymnasium.Env[Observation, Float32Array]):
    """A car on a road. The arguments are the fields of EnvironmentSettings.

    A step lasts 0.04 s of simulated time. The reward of a step is the distance driven along the
    road in metres, times 1 - |cte| / limit. The step that ends an episode off the road or in a
    crash loses 10. An episode terminates there and when its laps are driven, and is truncated at
    the time limit. Raises UserError for a road that cannot be built.

    track, tracked: the road and the car, for experts and tests that need more than the
    observations.
    """

    # gymnasium.make() shows a window for render_mode="human" by its wrapper HumanRendering
    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / FRAME_SECONDS)}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None, **values: Any) -> None:
        self.settings = EnvironmentSettings(**values)
        if render_mode not in (None, "rgb_array"):
            raise ValueError(
                f"render_mode is {render_mode!r}, expected rgb_array; gymnasium.make() also takes "
                "human"
            )
        self.render_mode = render_mode
        self.observation_space: spaces.Space[Any] = _observation_space(self.settings)
        self._controls: tuple[str, ...] = ("steering",)
        if self.settings.action == "steering-throttle":
            self._controls = ("steering", "throttle")
        self.action_space: spaces.Space[Any] = spaces.Box(
            -1.0, 1.0, (len(self._controls),), np.float32
        )
        # counts of all episodes
        self._offroads = 0
        self._crashes = 0
        # how the present episode has ended; False and "" until then
        self._crashed = False
        self._cause = ""
        self._loaded: tuple[str, Conditions] | None = None  # road and conditions of the renderer
        self._load_road(self.settings)
        self._begin(Start())

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; return its first observation and info.

        Raises ValueError for unknown options, and UserError for a road that cannot be built. After
        either error the present episode continues.

        options: start_m, offset_m, turn_degrees and speed_mph as in Start; road; conditions, values
            of Conditions by name. They hold for this episode only.
        """
        super().reset(seed=seed)
        starts = names_of(Start)
        values = _by_name("option", options or {}, (*starts, "road", "conditions"))
        road = values.pop("road", self.settings.road)
        conditions = _by_name("condition", values.pop("conditions", {}), names_of(Conditions))
        settings = replace(self.settings, road=road, **conditions)
        # the options of the start are checked before anything changes
        start_m = Start(**values).start_m
        self._load_road(settings, start_m)
        # what the options leave out is 0, or random
        start = Start()
        if self.settings.random_start:
            start = self._random_start()
        self._begin(replace(start, **values))
        return self.observe(), self.info()

    def step(self, action: Float32Array) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Advance by 0.04 s.

        Raises ValueError for another action, and gymnasium.error.ResetNeeded after the end of an
        episode.

        action: steering, -1 to 1, and throttle, -1 (brake) to 1, if it is controlled; numbers
            beyond are clipped
        """
        if self._cause:
            raise gymnasium.error.ResetNeeded("the episode has ended; begin another with reset()")
        tracked = self.tracked
        car = tracked.car
        steering, *others = self._checked(action)
        if others:
            throttle = others[0]
        else:
            throttle = self._controller.throttle(car.speed / MPH, Answer(steering))
        car.control(steering, throttle)
        progress_before_m = tracked.progress_m
        for _ in range(_CAR_STEPS):
            tracked.step()

        # a crash and leaving the road in the same step both count in the figures
        self._crashed = self._obstacles.hit(car.x, car.z, tracked.position)
        off_road = abs(tracked.position.cross_track_m) > self._limit_m
        self._crashes += self._crashed
        self._offroads += off_road
        goal = tracked.progress_m >= self._goal_m
        failed = off_road or self._crashed
        late = tracked.seconds >= self.settings.time_limit - 1e-9
        truncated = late and not (failed or goal)
        causes = {
            "crash": self._crashed,
            "off road": off_road,
            "laps driven": goal,
            "time": truncated,
        }
        self._cause = next((cause for cause, holds in causes.items() if holds), "")

        # metres along the road count in full in its middle, and not at all at its edge
        cross_track_m = abs(tracked.position.cross_track_m)
        nearness = max(1 - cross_track_m / self._limit_m, 0.0)
        reward = (tracked.progress_m - progress_before_m) * nearness
        return self.observe(), reward - PENALTY * failed, failed or goal, truncated, self.info()

    def render(self) -> Image | None:
        """Return the centre camera's picture in the mode rgb_array, uint8 (height, width, 3)."""
        if not self.render_mode:
            return None
        return self._renderer.frame(self.tracked.car, seconds=self.tracked.seconds)

    def observe(self) -> Observation:
        """Return the present observation: an array, or a dictionary of those with several names."""
        names = self.settings.observations
        car = self.tracked.car
        seconds = self.tracked.seconds
        seen: dict[str, Any] = {}
        # one rendering gives the segmentation, the depth and the centre camera's picture
        if {"segmentation", "depth"} & set(names):
            view = self._renderer.view(car, seconds=seconds)
            seen = {
                "center": view.picture,
                "segmentation": view.labels,
                "depth": np.minimum(view.depths_m, FARTHEST_M),
            }
        for name in names:
            if name not in seen:
                seen[name] = self._renderer.frame(car, name, seconds)
        if len(names) == 1:
            return seen[names[0]]
        return {name: seen[name] for name in names}

    def info(self) -> dict[str, Any]:
        """Return the figures, named as in the forks of the Udacity simulator that testers use."""
        tracked = self.tracked
        car = tracked.car
        position = tracked.position
        turned = (car.heading - position.heading + math.pi) % (2 * math.pi) - math.pi
        return {
            "cte": position.cross_track_m,  # to the right of the centre line
            "next_cte": self._next_cross_track_m(),
            "pos_x": car.x,
            "pos_y": car.y,
            "pos_z": car.z,
            "speed": car.speed / MPH,  # mph
            "lap": int(max(tracked.progress_m, 0.0) / self.track.lap_m) + 1,  # of the episode
            "sector": self._sector(),
            "ang_diff": math.degrees(turned),  # to the right of the road's direction
            "crash": self._crashed,  # the car met something
            "tot_crashes": self._crashes,  # of all episodes
            "tot_obes": self._offroads,  # departures from the road, of all episodes
            "sim_time": tracked.seconds,
            "limit": round(self._limit_m, 3),  # metres from the centre line that end the episode
            "progress": tracked.progress_m,  # metres along the road
            "cause": self._cause,  # why the episode has ended, or ""
        }

    def _next_cross_track_m(self) -> float:
        """Return the offset from the centre line in one second, if the car goes straight ahead."""
        car = self.tracked.car
        ahead_m = car.speed * _NEXT_SECONDS
        x = car.x + ahead_m * sine(car.heading)
        z = car.z + ahead_m * cosine(car.heading)
        return self.track.locate(x, car.y, z, self.tracked.position.along_m).cross_track_m

    def _sector(self) -> int:
        """Return the number of the sector, a 50 m stretch of road; 0 is where a lap starts."""
        along_m = self.tracked.position.along_m - self.track.start_m
        if self.track.closed:
            along_m = along_m % self.track.lap_m
        else:
            along_m = min(max(along_m, 0.0), self.track.lap_m)
        return int(along_m / _SECTOR_M)

    def _random_start(self) -> Start:
        """Return a start anywhere on a closed road, a little off its middle, at speed."""
        start_m = self.track.lap_m * self.np_random.random() if self.track.closed else 0.0
        offset = 2 * self.np_random.random() - 1
        turn = 2 * self.np_random.random() - 1
        return Start(
            start_m,
            _START_OFFSET_M * offset,
            _START_TURN_DEGREES * turn,
            self.settings.speed_mph,
        )

    def _load_road(self, settings: EnvironmentSettings, start_m: float = 0.0) -> None:
        """Load the road of settings and its renderer, unless they are loaded already.

        On an error nothing changes.
        """
        wanted = (settings.road, part_of(settings, Conditions))
        is_loaded = self._loaded == wanted
        track = self.track if is_loaded else load_track(settings.road, settings.reverse)
        goal_m = track.goal_m(settings.laps)
        if start_m > track.lap_m:
            raise ValueError(
                f"start {start_m:g} m, expected at most the {track.lap_m:.0f} m of {settings.road}"
            )
        if is_loaded:
            return
        self._renderer = Renderer(*wanted, settings.height, settings.width)
        self._obstacles = Obstacles(self._renderer.scene, track)
        self.track: Track = track
        self._goal_m = goal_m
        self._loaded = wanted

    def _begin(self, start: Start) -> None:
        """Put a car on the loaded road, and begin an episode."""
        ground_height = self._renderer.scene.ground.height_at
        along_m = self.track.start_m + start.start_m
        self.tracked = TrackedCar(self.track, start.offset_m, along_m, ground_height)
        self.tracked.car.heading += math.radians(start.turn_degrees)
        self.tracked.car.speed = start.speed_mph * MPH
        self._controller = SpeedController(SpeedSettings(speed_mph=self.settings.speed_mph))
        self._crashed = False
        self._cause = ""

    def _checked(self, action: Any) -> list[float]:
        """Return the numbers of an action; raises ValueError as step() does."""
        try:
            values = [float(value) for value in np.ravel(action)]
        except (TypeError, ValueError, OverflowError):
            values = []
        if len(values) != len(self._controls) or not np.isfinite(values).all():
            controls = " and ".join(self._controls)
            raise ValueError(f"action {action!r}, expected {controls}, each a number from -1 to 1")
        return values

    @property
    def _limit_m(self) -> float:
        """Return the distance from the centre line that ends the episode, at the car's place."""
        return self.settings.limit_m or self.tracked.position.limit_m


def _observation_space(settings: EnvironmentSettings) -> spaces.Space[Any]:
    shape = (settings.height, settings.width)
    every: dict[str, spaces.Space[Any]] = {
        "segmentation": spaces.Box(0, max(LABELS.values()), shape, np.uint8),
        "depth": spaces.Box(0.0, float(FARTHEST_M), shape, np.float32),
    }
    for camera in ("center", "left", "right"):
        every[camera] = spaces.Box(0, 255, (*shape, 3), np.uint8)
    observed = {name: every[name] for name in settings.observations}
    if len(observed) == 1:
        return every[settings.observations[0]]
    return spaces.Dict(observed)
