"""Render frames of many random roads: a task -> the frames of a road, in a worker.

The frames are seen from cars at random places, in several kinds of light and weather. Each frame is
labelled with the steering that brings the car back to the middle, and with where the road leads.
Some of the frames are sketches: pictures that painting.py makes, each of another road and camera.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from bcclone.camera.images import Image, decode_jpeg, encode_jpeg, opencv_on_one_thread
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.research.road_samples import RoadSamplesSettings
from bcclone.research.road_samples.any_camera import draw_camera
from bcclone.research.road_samples.camera_faults import with_effects
from bcclone.research.road_samples.drawn_road import (
    chance,
    draw_road,
    path_of,
    place_at,
    place_on,
)
from bcclone.research.road_samples.drawn_surroundings import draw_surroundings
from bcclone.research.road_samples.other_lens import through_other_lens
from bcclone.research.road_samples.own_camera import draw_own_camera, draw_own_road
from bcclone.research.road_samples.painting import paint
from bcclone.research.road_samples.poses import (
    TEACHER,
    draw_pose,
    draw_pose_at,
    mean_curvature,
    steering_at,
    steering_in,
)
from bcclone.simulator.car import start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import Conditions
from bcclone.system.numbers import Float32Array, Random
from bcclone.system.pool import report_progress


@dataclass(frozen=True)
class RoadTask:
    """The frames of a road to render."""

    settings: RoadSamplesSettings
    preprocessing: Preprocessing
    number: int = 0  # of the road, from 0

    def __str__(self) -> str:
        return f"the frames of {self.settings.road(self.number)}"


class RoadFrame(NamedTuple):
    """A prepared image, its steering, and its path.

    It also holds all frames of a road: then each field is an array whose first axis is the frames,
    and steering and path are float32.
    """

    image: Image  # uint8 (height, width, channels)
    steering: float | Float32Array
    path: Sequence[float] | Float32Array  # where the road leads, in the order of PATH_COLUMNS


def render_road(task: RoadTask) -> RoadFrame:
    """Render the frames of a task; raises UserError for a road that cannot be built."""
    frames = []
    with opencv_on_one_thread():  # other processes render other roads
        for frame in _frames_of(task):
            frames.append(frame)
            report_progress(1)
    images, steering, path = zip(*frames, strict=True)
    return RoadFrame(np.stack(images), np.array(steering, np.float32), np.array(path, np.float32))


# a part of the seed of sketches, so that the number of sketches does not change the other frames
_SKETCH_STREAM = 1


def _frames_of(task: RoadTask) -> Iterator[RoadFrame]:
    """Yield the frames of a road, then sketches of other roads."""
    settings = task.settings
    seed = (settings.seed, settings.first_road + task.number)
    sketches = round(settings.any_camera * settings.frames)
    frames = settings.frames - sketches
    if frames:
        yield from _scene_frames(task, frames, np.random.default_rng(seed))
    random = np.random.default_rng((*seed, _SKETCH_STREAM))
    for _ in range(sketches):
        # where the setting is 0, no random number is used, as for camera_height_m
        if settings.own_camera and chance(random, settings.own_camera):
            yield _prepared_own_sketch(task.preprocessing, random)
        else:
            yield _prepared_sketch(task.preprocessing, random)


# frames that are rendered before light and weather change; building the new scene takes as long as
# some 300 frames
_FRAMES_OF_A_WEATHER = 100
_CLOCK_SECONDS = 1e4  # largest time of a frame; the places of drops of rain follow from the time


def _scene_frames(task: RoadTask, frames: int, random: Random) -> Iterator[RoadFrame]:
    """Yield frames of one road; light and weather change every 100 frames."""
    road = task.settings.road(task.number)
    track = load_track(road, bool(task.number % 2))  # every second road is driven in reverse
    conditions = Conditions(
        sun_elevation=_draw_sun(random),
        sun_azimuth=random.uniform(-180.0, 180.0),
        texture_seed=int(random.integers(1, 1 << 20)),
    )
    for number in range(frames):
        if number % _FRAMES_OF_A_WEATHER == 0:
            renderer = Renderer(road, draw_weather(random, conditions, task.settings))
        pose = draw_pose(track, random)
        seconds = random.uniform(0.0, _CLOCK_SECONDS)
        frame = renderer.frame(start_on(track, *pose), seconds=seconds)
        if task.settings.any_lens and chance(random, task.settings.any_lens):
            image = _seen_by_another(frame, task.preprocessing, random)
        else:
            # in a drive, the pictures are JPEG files, too
            image = task.preprocessing.apply(decode_jpeg(encode_jpeg(frame)))
        # takes two distances ahead of this car
        curvature_ahead = partial(mean_curvature, track, pose.along_m)
        path = path_of(curvature_ahead, pose.offset_m, pose.turn)
        yield RoadFrame(image, steering_at(track, pose), path)


def _draw_sun(random: Random) -> float:
    """Return the sun's elevation in degrees: often low, where shadows are longest."""
    return 10.0 + 60.0 * random.random() ** 2


def _seen_by_another(frame: Image, preprocessing: Preprocessing, random: Random) -> Image:
    """Return the frame as another camera sees it, prepared as the network gets it."""

    def seen(height: int, width: int) -> Image:
        view = through_other_lens(frame, random, height, width)
        return with_effects(view.astype(np.float64), random)

    return _prepared(seen, preprocessing)


def _prepared_sketch(preprocessing: Preprocessing, random: Random) -> RoadFrame:
    """Return a sketch that is prepared as the network gets it."""
    sketches = []

    def sketched(height: int, width: int) -> Image:
        sketches.append(draw_sketch(random, height, width))
        return sketches[-1].image

    image = _prepared(sketched, preprocessing)
    return sketches[-1]._replace(image=image)


def _prepared_own_sketch(preprocessing: Preprocessing, random: Random) -> RoadFrame:
    """Return a sketch that the simulator's camera takes, prepared as the network gets it."""
    if preprocessing.is_plain and not preprocessing.crops:
        sketch = draw_own_sketch(random, preprocessing.height, preprocessing.width)
        return sketch._replace(image=preprocessing.convert_colors(sketch.image))
    # unlike any camera's, its frame has rows that are cropped
    sketch = draw_own_sketch(random, preprocessing.frame_height, preprocessing.frame_width)
    return sketch._replace(image=preprocessing.apply(sketch.image))


def _prepared(made: Callable[[int, int], Image], preprocessing: Preprocessing) -> Image:
    """Return an image that is prepared as the network gets it.

    made: height and width -> the image that a camera takes, RGB
    """
    # if the preprocessing only crops, shrinks and converts colours (is_plain), the image is made
    # as the cropped part of a frame at its final size, and only the colours are still to convert
    if preprocessing.is_plain:
        return preprocessing.convert_colors(made(preprocessing.height, preprocessing.width))
    # other steps, such as blur, need an image of a frame's size; the image fills all of it, and
    # nothing is cropped, since the cropped part would be made for nothing
    uncropped = replace(preprocessing, crop_top=0, crop_bottom=None, crop_left=0, crop_right=None)
    return uncropped.apply(made(preprocessing.frame_height, preprocessing.frame_width))


# Range of the width that a pixel of a sketch shows, in pixels; the larger, the blurrier
_SHOWN_WIDTHS = (0.4, 1.2)


def draw_sketch(random: Random, height: int, width: int) -> RoadFrame:
    """Sketch a road for one frame: what any camera sees of it, RGB.

    A scene of the simulator takes seconds to build, so hundreds of frames show the same scene to
    the same camera. A sketch takes some milliseconds, so each has another road, other materials and
    surroundings, another lens and another mounting.

    A picture does not show the height of its camera, only the ratio of this height to the road's
    width. So every camera is REFERENCE_M above the road, as high as the simulator's, and the narrow
    road of a small car is a wide road here.
    """
    road = draw_road(random)
    camera = draw_camera(random, road.radius_m, road.floor)
    place = place_on(road, random)
    surroundings = draw_surroundings(random, road, place.line)
    pixel = camera.pixel(width) * random.uniform(*_SHOWN_WIDTHS)
    picture = paint(surroundings, place.line, camera.rays(height, width), pixel)
    return RoadFrame(with_effects(picture, random), place.steering, place.path)


_BONNET_LIGHT = (0.3, 1.2)  # range of the light on the bonnet


def draw_own_sketch(random: Random, height: int, width: int) -> RoadFrame:
    """Sketch a road for one frame: what the simulator's camera sees of it, RGB.

    The steering is that of the simulator's own frames.
    """
    road = draw_own_road(random)
    pose = draw_pose_at(0.0, road.width_m, random)
    camera = draw_own_camera(pose, random)
    place = place_at(road, pose.offset_m, pose.turn)
    line = camera.line(place.line)
    surroundings = draw_surroundings(random, road, line)
    pixel = camera.pixel(width) * random.uniform(*_SHOWN_WIDTHS)
    picture = paint(surroundings, line, camera.rays(height, width), pixel)
    picture = camera.with_bonnet(picture, random.uniform(*_BONNET_LIGHT))
    steering = steering_in(road.mean_curvature(0.0, TEACHER.bend_m), pose)
    return RoadFrame(with_effects(picture, random), steering, place.path)


def draw_weather(
    random: Random, conditions: Conditions, settings: RoadSamplesSettings
) -> Conditions:
    """Return the conditions with random light, weather, colours and mounting of the camera.

    The weather is mostly fair.
    """
    light = random.uniform(0.6, 1.4)
    fog = random.choice([0.0, 1.0, random.uniform(1.0, 6.0)])
    line_visibility = random.choice([1.0, random.random()], p=[0.75, 0.25])
    color_seed = 0
    if chance(random, settings.recolored):
        color_seed = int(random.integers(1, 1 << 20))
    drawn = replace(
        conditions,
        light=light,
        fog=fog,
        line_visibility=line_visibility,
        color_seed=color_seed,
        camera_shift_m=random.uniform(-0.2, 0.2),
        camera_pitch=random.uniform(-1.5, 1.5),
    )
    kind = random.choice(["fair", "rain", "snow", "night"], p=[0.8, 0.08, 0.06, 0.06])
    strength = random.uniform(0.1, 0.7)
    if kind == "rain":
        drawn = replace(drawn, rain=strength)
    elif kind == "snow":
        drawn = replace(drawn, snow=strength)
    elif kind == "night":
        drawn = replace(drawn, night=strength)
    # where the setting is 0, no random number is used, so that stores from before the setting can
    # be made again to the byte
    if settings.camera_height_m:
        drawn = replace(drawn, camera_height_m=random.uniform(0.0, settings.camera_height_m))
    return drawn
