"""Render the frames of a road in a worker, in several kinds of light and weather."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from bcclone.dataset.images import Image, Preprocessing, decode_jpeg, encode_jpeg
from bcclone.dataset.labels import PATH_COLUMNS
from bcclone.lab.road_samples.places import car_at, draw_place, path_at, steering_at
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import Conditions
from bcclone.system.arrays import Float32Array
from bcclone.system.task import report_progress

_FRAMES_OF_A_WEATHER = 50
_LOWEST_SUN = 10.0  # degrees
_SECONDS = 1e4  # of the clock that drops follow


@dataclass(frozen=True)
class RoadTask:
    """Frames to render. road: its name; reverse: driven the other way; frames: how many; seed: of all that is drawn;
    recolored: fraction of the weathers in random colours; camera_height_m: by how much the camera is mounted higher,
    at most."""

    road: str
    reverse: bool
    frames: int
    seed: tuple[int, int]
    preprocessing: Preprocessing
    recolored: float
    camera_height_m: float

    def __str__(self) -> str:
        return f"the frames of {self.road}"


@dataclass(frozen=True)
class RoadFrames:
    """Prepared images of a road, uint8 (frames, height, width, 3), their steering, float32 (frames,), and where the
    road leads from there, float32 (frames, len(PATH_COLUMNS)).
    """

    images: Image
    steering: Float32Array
    path: Float32Array


def render_road(task: RoadTask) -> RoadFrames:
    """Render the frames of a task; raises UserError for a road that cannot be built."""
    cv2.setNumThreads(1)
    random = np.random.default_rng(task.seed)
    track, always = load_track(task.road, task.reverse), _draw_sun(random)
    images = np.empty((task.frames, task.preprocessing.height, task.preprocessing.width, 3), np.uint8)
    steering = np.empty(task.frames, np.float32)
    path = np.empty((task.frames, len(PATH_COLUMNS)), np.float32)
    for number in range(task.frames):
        if number % _FRAMES_OF_A_WEATHER == 0:
            renderer = Renderer(task.road, draw_weather(random, always, task))
        place = draw_place(track, random)
        frame = renderer.frame(car_at(track, place), seconds=random.uniform(0.0, _SECONDS))
        images[number] = task.preprocessing.apply(decode_jpeg(encode_jpeg(frame)))
        steering[number], path[number] = steering_at(track, place), path_at(track, place)
        report_progress(1)
    return RoadFrames(images, steering, path)


def _draw_sun(random: np.random.Generator) -> Conditions:
    """Return the conditions that hold for the whole scene of a road."""
    return Conditions(
        sun_elevation=_LOWEST_SUN + 60.0 * random.random() ** 2,  # often low, where shadows are longest
        sun_azimuth=random.uniform(-180.0, 180.0),
        texture_seed=int(random.integers(1, 1 << 20)),
    )


def draw_weather(random: np.random.Generator, conditions: Conditions, task: RoadTask) -> Conditions:
    """Return the conditions with light, weather, colours and the camera's mounting, mostly fair."""
    drawn = replace(
        conditions,
        light=random.uniform(0.6, 1.4),
        fog=random.choice([0.0, 1.0, random.uniform(1.0, 6.0)]),
        line_visibility=random.choice([1.0, random.random()], p=[0.75, 0.25]),
        color_seed=int(random.integers(1, 1 << 20)) if random.random() < task.recolored else 0,
        camera_shift_m=random.uniform(-0.2, 0.2),
        camera_pitch=random.uniform(-1.5, 1.5),
    )
    kind = random.choice(["fair", "rain", "snow", "night"], p=[0.8, 0.08, 0.06, 0.06])
    strength = random.uniform(0.1, 0.7)
    rain, snow, night = (strength if kind == each else 0.0 for each in ("rain", "snow", "night"))
    drawn = replace(drawn, rain=rain, snow=snow, night=night)
    if task.camera_height_m:  # else draws nothing, so that stores of before are made again to the byte
        drawn = replace(drawn, camera_height_m=random.uniform(0.0, task.camera_height_m))
    return drawn
