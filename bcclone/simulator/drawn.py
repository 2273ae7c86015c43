"""A small drawn world: a road with bends both ways on flat ground, a car on it, its three cameras.

It stands in where no recording is at hand (bcclone demo, the tests). Mounts and car are those of the
simulator (measured on it; docs/drawn-world.md has the figures and their sources); the scenery is not.
"""

import datetime
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bcclone.errors import UserError
from bcclone.images import FRAME_HEIGHT, FRAME_WIDTH, Image, encode_jpeg
from bcclone.progress import Progress
from bcclone.recording import CAMERAS
from bcclone.recording.inputs import LOG_NAME
from bcclone.simulator.client import CarState

MPH = 0.44704  # metres a second
ROAD_HALF_WIDTH_M = 4.0
_CAMERA_X_M = {"center": 0.0, "left": -0.806, "right": 0.825}
_CAMERA_Z_M, _CAMERA_HEIGHT_M = 1.0, 1.25
_FOCAL_PX, _VANISHING_ROW = 138.56, 60.9
_WHEELBASE_M, _FULL_LOCK, _YAW_GAIN, _STEERING_LAG_S = 2.87, math.radians(25), 1.05, 0.15
_TOP_SPEED = 30.0 * MPH

_CELL_M, _REACH_M = 0.25, 80.0
_FAR_M = 70.0
_SKY, _HAZE = (96.0, 140.0, 196.0), (196.0, 206.0, 214.0)
_GRASS, _ROAD, _LINE = (84.0, 110.0, 58.0), (112.0, 110.0, 108.0), (226.0, 220.0, 190.0)

Floats = npt.NDArray[np.float64]


class DrawnTrack:
    """The road's centre line, and for any place the distance from it and the colour of the ground."""

    def __init__(self) -> None:
        angle = np.linspace(0, 2 * np.pi, 1200, endpoint=False)
        radius = 45.0 * (1 + 0.2 * np.cos(3 * angle))
        self.line: Floats = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
        step = np.roll(self.line, -1, 0) - self.line
        self.length_m = float(np.hypot(*step.T).sum())
        self.heading: Floats = np.arctan2(step[:, 0], step[:, 1])
        self._colors = self._draw()

    def locate(self, x: float, z: float) -> tuple[int, float]:
        """Return the nearest point of the centre line and the distance to the right of it, in metres."""
        offset = np.array([x, z]) - self.line
        nearest = int(np.argmin((offset**2).sum(1)))
        heading = self.heading[nearest]
        return nearest, float(offset[nearest] @ (math.cos(heading), -math.sin(heading)))

    def color(self, x: Floats, z: Floats) -> npt.NDArray[np.float32]:
        """Return the colour of the ground, RGB 0 to 255 (..., 3)."""
        size = len(self._colors)
        column = np.clip(((x + _REACH_M) / _CELL_M).astype(np.int32), 0, size - 1)
        row = np.clip(((z + _REACH_M) / _CELL_M).astype(np.int32), 0, size - 1)
        return self._colors[row, column]

    def _draw(self) -> npt.NDArray[np.float32]:
        places = np.arange(-_REACH_M, _REACH_M, _CELL_M) + _CELL_M / 2
        distance = np.full((len(places), len(places)), np.inf)
        for x, z in self.line[::2]:
            np.minimum(distance, np.hypot(places[None, :] - x, places[:, None] - z), out=distance)
        colors = np.empty((*distance.shape, 3), np.float32)
        colors[:] = _GRASS
        colors[distance < ROAD_HALF_WIDTH_M] = _ROAD
        colors[np.abs(distance - ROAD_HALF_WIDTH_M + 0.4) < 0.25] = _LINE
        grain = np.random.default_rng(0).normal(1.0, 0.06, distance.shape)
        return (colors * grain[..., None]).astype(np.float32)


@dataclass
class DrawnCar:
    """A car as a bicycle: place in metres, heading clockwise from above, speed in metres a second."""

    x: float
    z: float
    heading: float
    speed: float = 0.0
    steering: float = 0.0
    throttle: float = 0.0
    _wheels: float = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass: dv/dt = 5.4 throttle - 0.1 v, brakes 7.3, steering with a lag of 0.15 s."""
        pull = 5.4 * max(self.throttle, 0.0) - 7.3 * max(-self.throttle, 0.0)
        self.speed = min(max(self.speed + (pull - 0.1 * self.speed) * seconds, 0.0), _TOP_SPEED)
        self._wheels += (self.steering - self._wheels) * min(seconds / _STEERING_LAG_S, 1.0)
        self.heading += _YAW_GAIN * self.speed * math.tan(self._wheels * _FULL_LOCK) / _WHEELBASE_M * seconds
        self.x += self.speed * math.sin(self.heading) * seconds
        self.z += self.speed * math.cos(self.heading) * seconds


class DrawnCamera:
    """One of the car's cameras: 320x160, focal length 138.56 px, looking at flat ground."""

    def __init__(self, name: str) -> None:
        below = np.arange(math.ceil(_VANISHING_ROW) + 1, FRAME_HEIGHT)
        self._horizon = int(below[0])
        depth = _FOCAL_PX * _CAMERA_HEIGHT_M / (below - _VANISHING_ROW)
        across = (np.arange(FRAME_WIDTH) - (FRAME_WIDTH - 1) / 2) / _FOCAL_PX
        self._ahead = np.broadcast_to(depth[:, None], (len(below), FRAME_WIDTH)) + _CAMERA_Z_M
        self._right = depth[:, None] * across[None, :] + _CAMERA_X_M[name]
        self._haze = np.clip((self._ahead - 20) / (_FAR_M - 20), 0, 1)[..., None]
        share = np.linspace(0, 1, self._horizon)[:, None, None]
        self._sky = (1 - share) * np.array(_SKY) + share * np.array(_HAZE)

    def frame(self, track: DrawnTrack, car: DrawnCar) -> Image:
        """Return what the camera sees, RGB uint8 (160, 320, 3)."""
        sine, cosine = math.sin(car.heading), math.cos(car.heading)
        x = car.x + self._ahead * sine + self._right * cosine
        z = car.z + self._ahead * cosine - self._right * sine
        image = np.empty((FRAME_HEIGHT, FRAME_WIDTH, 3))
        image[: self._horizon] = self._sky
        image[self._horizon :] = track.color(x, z) * (1 - self._haze) + np.array(_HAZE) * self._haze
        return np.clip(image, 0, 255).astype(np.uint8)


class DrawnWorld:
    """The drawn car as a world to drive by a server's answers, for a number of laps."""

    def __init__(self, track: DrawnTrack, laps: float = 1.0, seconds_per_look: float = 1 / 30) -> None:
        self._track, self._dt = track, seconds_per_look
        self._goal_m, self.distance_m = laps * track.length_m, 0.0
        self._camera = DrawnCamera("center")
        self.car = start_on(track)
        self.offsets_m: list[float] = []

    def look(self) -> CarState | None:
        """Let a thirtieth of a second pass and return the car's report; None at the end of the last lap."""
        self.car.advance(self._dt)
        self.distance_m += self.car.speed * self._dt
        self.offsets_m.append(self._track.locate(self.car.x, self.car.z)[1])
        if self.distance_m >= self._goal_m or abs(self.offsets_m[-1]) > 4 * ROAD_HALF_WIDTH_M:
            return None
        jpeg = encode_jpeg(self._camera.frame(self._track, self.car))
        return CarState(math.degrees(self.car.steering * _FULL_LOCK), self.car.throttle, self.car.speed / MPH, jpeg)

    def steer(self, steering: float, throttle: float) -> None:
        """Set the car's controls."""
        self.car.steering, self.car.throttle = steering, throttle


def start_on(track: DrawnTrack) -> DrawnCar:
    """Return a car that stands on the centre line, looking along it."""
    return DrawnCar(float(track.line[0, 0]), float(track.line[0, 1]), float(track.heading[0]))


def record(folder: Path, rows: int, seed: int = 0, interval_seconds: float = 1 / 15) -> Path:
    """Drive the drawn road by pure pursuit of a wandering aim, and record it as the simulator does.

    Writes `driving_log.csv` and `IMG/` with three images a row, and returns the log's path. The same seed
    gives the same bytes.
    """
    images = folder / "IMG"
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty; choose another folder to record into")
    images.mkdir(parents=True)
    track, randomness = DrawnTrack(), np.random.default_rng(seed)
    cameras = {name: DrawnCamera(name) for name in CAMERAS}
    car, aim_m = start_on(track), 0.0
    car.speed = 15 * MPH
    moment = datetime.datetime(2026, 1, 1)
    log = folder / LOG_NAME
    with log.open("w", encoding="utf-8", newline="") as file, Progress("recording", rows, "rows") as progress:
        for _ in range(rows):
            aim_m += (
                -aim_m * interval_seconds / 4 + 0.6 * math.sqrt(interval_seconds / 2) * randomness.standard_normal()
            )
            car.steering, car.throttle = _pursue(track, car, aim_m), 1.0 if car.speed < 25 * MPH else 0.0
            paths = []
            for name, camera in cameras.items():
                path = images / f"{name}_{moment:%Y_%m_%d_%H_%M_%S}_{moment.microsecond // 1000:03d}.jpg"
                path.write_bytes(encode_jpeg(camera.frame(track, car)))
                paths.append(str(path.absolute()))
            file.write(",".join(paths) + f",{car.steering:.7g},{car.throttle:.7g},0,{car.speed / MPH:.7g}\n")
            for _ in range(4):
                car.advance(interval_seconds / 4)
            moment += datetime.timedelta(milliseconds=round(interval_seconds * 1000))
            progress.advance(1)
    return log


def _pursue(track: DrawnTrack, car: DrawnCar, aim_m: float) -> float:
    """Return the steering that brings the car to a point ahead, `aim_m` to the right of the centre line."""
    nearest, _ = track.locate(car.x, car.z)
    ahead_m = 4.0 + 0.5 * car.speed
    place = (nearest + round(ahead_m / track.length_m * len(track.line))) % len(track.line)
    heading = track.heading[place]
    x, z = track.line[place] + aim_m * np.array([math.cos(heading), -math.sin(heading)])
    turn = (math.atan2(x - car.x, z - car.z) - car.heading + math.pi) % (2 * math.pi) - math.pi
    curvature = 2 * math.sin(turn) / math.hypot(x - car.x, z - car.z)
    return min(max(math.atan(_WHEELBASE_M * curvature) / _FULL_LOCK, -1.0), 1.0)


def summarize(world: DrawnWorld) -> dict[str, float | bool]:
    """Return how far the car came and how near to the centre line it stayed."""
    offsets = np.abs(world.offsets_m) if world.offsets_m else np.zeros(1)
    return {
        "distance_m": round(world.distance_m, 1),
        "mean_abs_cross_track_m": round(float(offsets.mean()), 3),
        "max_abs_cross_track_m": round(float(offsets.max()), 3),
        "left_road": bool(offsets.max() > ROAD_HALF_WIDTH_M),
    }
