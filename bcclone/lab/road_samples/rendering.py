"""Render the frames of a road in a worker: cars at random places, in several kinds of light and weather.

Each frame is labelled with the steering that brings the car back to the middle, and with where the road leads. Of some
frames, each shows a road of its own to a camera of its own.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

import numpy as np

from bcclone.dataset.images import Image, decode_jpeg, encode_jpeg
from bcclone.dataset.labels import PATH_COLUMNS, PATH_ENDS_M
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.vehicle import steering_of
from bcclone.lab.road_samples.any_camera import draw_camera, with_effects
from bcclone.lab.road_samples.drawn_road import BEND_GAIN, draw_road, place_on
from bcclone.lab.road_samples.painting import paint
from bcclone.lab.road_samples.surroundings import draw_surroundings
from bcclone.simulator.car import start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track, load_track
from bcclone.simulator.world_settings import Conditions
from bcclone.system.arrays import Float32Array
from bcclone.system.exact_math import sine
from bcclone.system.opencv import cv2
from bcclone.system.task_pool import report_progress

_FRAMES_OF_A_WEATHER = 50
_LOWEST_SUN = 10.0  # degrees
_SECONDS = 1e4  # of the clock that drops follow
_SHARPNESS = (0.4, 1.2)  # width of what a pixel of a sketch shows, in pixels
_SKETCHES = 1  # in the seed of the frames of any camera
SPEED_MPH = 20.0  # that the samples state; a frame does not show it
_BEND_TO_M, _BEND_STEP_M = 6.0, 0.5  # the stretch ahead whose mean curvature is driven
# curvature for each radian to the right of the road, and for each metre to the right of its middle
_BY_TURN, _BY_OFFSET = -0.25, -0.0139
_IN_THE_MIDDLE = 0.45  # fraction of the places
_NEAR_M, _NEAR_DEGREES, _FAR_DEGREES = 0.4, 3.0, 7.0  # standard deviations
_BEYOND_M = 0.3  # how far places go beyond the limit, at which a wheel leaves the asphalt
_NOSE_UP, _NOSE_DEGREES = 0.6, 0.8  # mean and standard deviation of what throttle and brake do


class Pose(NamedTuple):
    """How a car stands on a road: metres to the right of its middle and along it, and turn and rise in radians, as in
    start_on()."""

    offset_m: float
    along_m: float
    turn: float
    rise: float


def draw_place(track: Track, random: np.random.Generator) -> Pose:
    """Return a place anywhere on a road, nearly half of them near its middle."""
    along_m = track.start_m + track.lap_m * random.random()
    limit_m = float(track.widths_m[track.index(along_m)]) / 2 + _BEYOND_M - 1.0
    near = random.random() < _IN_THE_MIDDLE
    offset_m = random.normal(0.0, _NEAR_M) if near else random.uniform(-limit_m, limit_m)
    turn = random.normal(0.0, _NEAR_DEGREES if near else _FAR_DEGREES)
    rise = random.normal(_NOSE_UP, _NOSE_DEGREES)
    return Pose(offset_m, along_m, math.radians(turn), math.radians(rise))


def steering_at(track: Track, place: Pose) -> float:
    """Return the steering, -1 to 1: along the bend ahead, and back to the middle.

    It turns firmly along the road and gently towards its middle, as people do when they are off the middle.
    """
    bend = _mean_curvature(track, place.along_m, 0.0, _BEND_TO_M)
    return float(steering_of(BEND_GAIN * bend + _BY_TURN * sine(place.turn) + _BY_OFFSET * place.offset_m))


def path_at(track: Track, place: Pose) -> list[float]:
    """Return where the road leads, in the order of labels.PATH_COLUMNS.

    These are the steering along the road over each stretch ahead, the car's offset in metres and its turn in radians.
    """
    starts = (0.0, *PATH_ENDS_M[:-1])
    bends = [_mean_curvature(track, place.along_m, *stretch) for stretch in zip(starts, PATH_ENDS_M, strict=True)]
    return [*(float(steering_of(bend)) for bend in bends), place.offset_m, place.turn]


def _mean_curvature(track: Track, along_m: float, start_m: float, end_m: float) -> float:
    """Return the mean curvature of the road between two distances ahead, in 1/m, positive to the right."""
    ahead = np.arange(start_m, end_m + _BEND_STEP_M / 2, _BEND_STEP_M)
    return float(np.mean([track.curvature[track.index(along_m + metres)] for metres in ahead.tolist()]))


@dataclass(frozen=True)
class RoadTask:
    """Frames to render.

    road: its name; reverse: driven the other way; frames: how many; seed: of all random numbers; recolored: fraction of
    the weathers in random colours; camera_height_m: by how much the camera is mounted higher, at most; sketches: how
    many of the frames, the last ones, are of other roads and of any camera.
    """

    road: str
    reverse: bool
    frames: int
    seed: tuple[int, int]
    preprocessing: Preprocessing
    recolored: float
    camera_height_m: float
    sketches: int = 0

    def __str__(self) -> str:
        return f"the frames of {self.road}"


@dataclass(frozen=True)
class RoadFrames:
    """The prepared images of a task, uint8 (frames, height, width, channels), and their labels.

    steering: float32 (frames,); path: where the road leads from there, float32 (frames, len(PATH_COLUMNS)).
    """

    images: Image
    steering: Float32Array
    path: Float32Array


class RoadFrame(NamedTuple):
    """A prepared image, uint8 (height, width, channels), its steering, and its path in the order of PATH_COLUMNS."""

    image: Image
    steering: float
    path: Sequence[float]


def render_road(task: RoadTask) -> RoadFrames:
    """Render the frames of a task; raises UserError for a road that cannot be built."""
    cv2.setNumThreads(1)
    images = np.empty((task.frames, *task.preprocessing.shape), np.uint8)
    steering = np.empty(task.frames, np.float32)
    path = np.empty((task.frames, len(PATH_COLUMNS)), np.float32)
    for number, frame in enumerate(chain(_simulated(task), _sketched(task))):
        images[number], steering[number], path[number] = frame
        report_progress(1)
    return RoadFrames(images, steering, path)


def _simulated(task: RoadTask) -> Iterator[RoadFrame]:
    if task.frames == task.sketches:
        return
    random = np.random.default_rng(task.seed)
    track, always = load_track(task.road, task.reverse), _draw_sun(random)
    for number in range(task.frames - task.sketches):
        if number % _FRAMES_OF_A_WEATHER == 0:
            renderer = Renderer(task.road, draw_weather(random, always, task))
        place = draw_place(track, random)
        frame = renderer.frame(start_on(track, *place), seconds=random.uniform(0.0, _SECONDS))
        image = task.preprocessing.apply(decode_jpeg(encode_jpeg(frame)))
        yield RoadFrame(image, steering_at(track, place), path_at(track, place))


def _sketched(task: RoadTask) -> Iterator[RoadFrame]:
    """Yield the frames of other roads, each by a camera of its own."""
    random = np.random.default_rng((*task.seed, _SKETCHES))  # the simulated frames do not depend on their number
    for _ in range(task.sketches):
        sketch = draw_sketch(random, task.preprocessing.height, task.preprocessing.width)
        yield sketch._replace(image=task.preprocessing.convert_colors(sketch.image))


def draw_sketch(random: np.random.Generator, height: int, width: int) -> RoadFrame:
    """Sketch a road for one frame: what any camera sees of it, RGB.

    A scene of the simulator takes seconds to build, so that its frames come in hundreds, by one camera. A sketch has a
    road, materials, surroundings, a lens and a mounting of its own, and takes some milliseconds. A picture does not
    show the height of its camera, only its ratio to the road. So every camera is REFERENCE_M above the road, which is
    the height of the simulator's; a small car's narrow road is a wide one here.
    """
    road = draw_road(random)
    camera = draw_camera(random, road.radius_m, road.floor)
    place = place_on(road, random)
    surroundings = draw_surroundings(random, road, place.line)
    pixel = camera.pixel(width) * random.uniform(*_SHARPNESS)
    picture = paint(surroundings, place.line, camera.rays(height, width), pixel)
    return RoadFrame(with_effects(picture, random), place.steering, place.path)


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
    if task.camera_height_m:  # without it nothing is drawn, so that earlier stores can be made again to the byte
        drawn = replace(drawn, camera_height_m=random.uniform(0.0, task.camera_height_m))
    return drawn
