"""Render frames of many random roads in processes, and write them as a store for model.py.

The frames are seen from cars at random places, in several kinds of light and weather. Each frame is
labelled with the steering that brings the car back to the middle, and with where the road leads. So
a network sees more in a thousand of these frames than in a thousand consecutive ones of a drive.
Some of the frames are sketches: pictures that painting.py makes, each of another road and camera.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from bcclone.camera.images import Image, decode_jpeg, encode_jpeg, opencv_on_one_thread
from bcclone.dataset.labels import PATH_COLUMNS
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import NO_FRAME, row_table, sample_chunks
from bcclone.dataset.store import RecordingInfo
from bcclone.dataset.writer import StoreWriter
from bcclone.recording.dialect import Dialect
from bcclone.simulator.car import start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world_settings import Conditions
from bcclone.system import files
from bcclone.system.arrays import Float32Array, Random
from bcclone.system.hardware import usable_cores
from models.making.cameras import (
    draw_camera,
    draw_own_camera,
    draw_own_road,
    through_other_lens,
    with_effects,
)
from models.making.painting import paint
from models.making.roads import (
    TEACHER,
    chance,
    draw_pose,
    draw_pose_at,
    draw_road,
    mean_curvature,
    path_of,
    place_at,
    place_on,
    steering_at,
    steering_in,
)
from models.making.things import draw_surroundings

FIRST_ROAD = 100_000  # seeds below this one are left for roads to score models on
SPEED_MPH = 20.0  # speed that all samples state; a frame does not show its car's speed
# what simulator/random_road.py chooses from for each seed
_RANGES = "length=250-700,radius=8-16,hills=0-40,width=6-11,shape=any,neighbor=any,slopes=any"


@dataclass(frozen=True)
class Roads:
    """Which frames are made of how many roads. Shares are of 0 to 1."""

    roads: int
    frames: int  # of each road
    first_road: int = FIRST_ROAD  # its seed; the others follow
    recolored: float = 0.5  # share of the frames in which everything has random colours
    any_camera: float = 0.0  # share of the frames that are sketches, which any camera sees
    own_camera: float = 0.0  # share of the sketches that the simulator's camera sees instead
    any_lens: float = 0.0  # share of the other frames that are seen through another lens
    flip: bool = False  # a mirror image shows what a camera sees that looks to the other side
    validation: float = 0.04  # share of the roads, the last ones, that are kept for validation
    seed: int = 0

    def name(self, number: int) -> str:
        """Return the name of a road by its number, from 0."""
        return f"random:{self.first_road + number}:{_RANGES}"

    @property
    def validation_roads(self) -> int:
        return round(self.validation * self.roads)


class RoadFrame(NamedTuple):
    """A prepared image, its steering, and its path.

    It also holds all frames of a road: then each field is an array whose first axis is the frames,
    and steering and path are float32.
    """

    image: Image  # uint8 (height, width, channels)
    steering: float | Float32Array
    path: Sequence[float] | Float32Array  # where the road leads, in the order of PATH_COLUMNS


# ---- the store

_CAMERAS = ("center",)
_DIALECT = Dialect(
    spaced=False, decimal_comma=False, header=False, cameras=_CAMERAS, extra_columns=0
)
_BYTES_A_ROW = 300  # largest size of a frame's row in the tables
_BYTES_A_ROAD = 8192  # largest size of what the tables hold of a road


def make_samples(output: Path, roads: Roads, preprocessing: Preprocessing) -> None:
    """Render the frames of random roads, and write them as a store, whole or not at all.

    Each road counts as a recording.
    """
    count = roads.roads * roads.frames
    space = count * _BYTES_A_ROW + roads.roads * _BYTES_A_ROAD
    samples = SampleSettings(
        cameras=_CAMERAS, smooth_seconds=0.0, flip=roads.flip, validation=roads.validation
    )
    with (
        files.replacing(output, follow=True) as temporary,
        StoreWriter(temporary, preprocessing, count, space) as writer,
    ):
        # images go to the store at once; labels are small enough to be kept in memory
        steering = []
        paths = []
        for frames in _rendered(roads, preprocessing):
            writer.append(frames.image)
            steering.append(frames.steering)
            paths.append(frames.path)
        rows = _rows(roads, np.concatenate(steering), np.concatenate(paths))
        tables = list(sample_chunks(rows, samples))
        recordings = [_recording_info(roads, number) for number in range(roads.roads)]
        row_tables = row_table(rows.drop(columns="label"))
        writer.finish(tables, row_tables, recordings, samples)


def _rendered(roads: Roads, preprocessing: Preprocessing) -> Iterator[RoadFrame]:
    """Yield the frames of each road in the order of the roads."""
    render = partial(render_road, roads, preprocessing)
    # compiled code and OpenCV's threads do not survive a fork
    with ProcessPoolExecutor(usable_cores(), mp_context=get_context("spawn")) as pool:
        yield from tqdm(pool.map(render, range(roads.roads)), "roads", roads.roads, unit="road")


def _recording_info(roads: Roads, number: int) -> RecordingInfo:
    return RecordingInfo(
        path=Path(roads.name(number)),
        sha256="",  # there is no log
        rows=roads.frames,
        bad_rows=0,
        episodes=1,
        dialect=_DIALECT,
    )


def _rows(roads: Roads, steering: Float32Array, paths: Float32Array) -> pd.DataFrame:
    """Return a row for each frame; the last roads are for validation.

    steering: (frames,)
    paths: where the road leads, (frames, columns)
    """
    count = roads.roads * roads.frames
    road, number = np.divmod(np.arange(count), roads.frames)
    names = [
        f"{roads.first_road + road_number}_{frame_number}.png"
        for road_number, frame_number in zip(road, number, strict=True)
    ]
    columns = {
        "line": number + 1,
        "time_ms": np.arange(count, dtype=np.int64) * 1000,
        "center": names,
        "left": [""] * count,
        "right": [""] * count,
        "steering": steering.astype(np.float64),
        "throttle": np.zeros(count),
        "brake": np.zeros(count),
        "speed_mph": np.full(count, SPEED_MPH),
        "episode": road,
        "recording": road,
        "frame_center": np.arange(count),
        "frame_left": np.full(count, NO_FRAME),
        "frame_right": np.full(count, NO_FRAME),
        "validation": road >= roads.roads - roads.validation_roads,
        "label": steering.astype(np.float64),
    }
    columns |= dict(zip(PATH_COLUMNS, paths.T, strict=True))
    return pd.DataFrame(columns)


# ---- the frames of a road


def render_road(roads: Roads, preprocessing: Preprocessing, number: int) -> RoadFrame:
    """Render the frames of a road; raises UserError for a road that cannot be built."""
    with opencv_on_one_thread():  # other processes render other roads
        frames = list(_frames_of(roads, preprocessing, number))
    images, steering, path = zip(*frames, strict=True)
    return RoadFrame(np.stack(images), np.array(steering, np.float32), np.array(path, np.float32))


# a part of the seed of sketches, so that the number of sketches does not change the other frames
_SKETCH_STREAM = 1


def _frames_of(roads: Roads, preprocessing: Preprocessing, number: int) -> Iterator[RoadFrame]:
    """Yield the frames of a road, then sketches of other roads."""
    seed = (roads.seed, roads.first_road + number)
    sketches = round(roads.any_camera * roads.frames)
    if sketches < roads.frames:
        yield from _scene_frames(
            roads, preprocessing, number, roads.frames - sketches, np.random.default_rng(seed)
        )
    random = np.random.default_rng((*seed, _SKETCH_STREAM))
    for _ in range(sketches):
        # where the share is 0, no random number is used
        if roads.own_camera and chance(random, roads.own_camera):
            yield _prepared_own_sketch(preprocessing, random)
        else:
            yield _prepared_sketch(preprocessing, random)


# frames that are rendered before light and weather change; building the new scene takes as long as
# some 300 frames
_FRAMES_OF_A_WEATHER = 100
_CLOCK_SECONDS = 1e4  # largest time of a frame; the places of drops of rain follow from the time


def _scene_frames(
    roads: Roads, preprocessing: Preprocessing, road_number: int, frames: int, random: Random
) -> Iterator[RoadFrame]:
    """Yield frames of one road; light and weather change every 100 frames."""
    road = roads.name(road_number)
    track = load_track(road, bool(road_number % 2))  # every second road is driven in reverse
    conditions = Conditions(
        sun_elevation=10.0 + 60.0 * random.random() ** 2,  # often low, where shadows are longest
        sun_azimuth=random.uniform(-180.0, 180.0),
        texture_seed=int(random.integers(1, 1 << 20)),
    )
    for number in range(frames):
        if number % _FRAMES_OF_A_WEATHER == 0:
            renderer = Renderer(road, draw_weather(random, conditions, roads.recolored))
        pose = draw_pose(track, random)
        seconds = random.uniform(0.0, _CLOCK_SECONDS)
        frame = renderer.frame(start_on(track, *pose), seconds=seconds)
        if roads.any_lens and chance(random, roads.any_lens):
            image = _seen_by_another(frame, preprocessing, random)
        else:
            # in a drive, the pictures are JPEG files, too
            image = preprocessing.apply(decode_jpeg(encode_jpeg(frame)))
        # takes two distances ahead of this car
        curvature_ahead = partial(mean_curvature, track, pose.along_m)
        path = path_of(curvature_ahead, pose.offset_m, pose.turn)
        yield RoadFrame(image, steering_at(track, pose), path)


def draw_weather(random: Random, conditions: Conditions, recolored: float) -> Conditions:
    """Return the conditions with random light, weather, colours and mounting of the camera.

    The weather is mostly fair.

    recolored: share of the weathers in which everything has random colours
    """
    light = random.uniform(0.6, 1.4)
    fog = random.choice([0.0, 1.0, random.uniform(1.0, 6.0)])
    line_visibility = random.choice([1.0, random.random()], p=[0.75, 0.25])
    color_seed = 0
    if chance(random, recolored):
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
        return replace(drawn, rain=strength)
    if kind == "snow":
        return replace(drawn, snow=strength)
    if kind == "night":
        return replace(drawn, night=strength)
    return drawn


def _seen_by_another(frame: Image, preprocessing: Preprocessing, random: Random) -> Image:
    """Return the frame as another camera sees it, prepared as the network gets it."""

    def seen(height: int, width: int) -> Image:
        view = through_other_lens(frame, random, height, width)
        return with_effects(view.astype(np.float64), random)

    return _prepared(seen, preprocessing)


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


# ---- sketches

# Range of the width that a pixel of a sketch shows, in pixels; the larger, the blurrier
_SHOWN_WIDTHS = (0.4, 1.2)
_BONNET_LIGHT = (0.3, 1.2)  # range of the light on the bonnet


def _prepared_sketch(preprocessing: Preprocessing, random: Random) -> RoadFrame:
    """Return a sketch that is prepared as the network gets it."""
    sketches = []

    def sketched(height: int, width: int) -> Image:
        sketches.append(draw_sketch(random, height, width))
        return sketches[-1].image

    image = _prepared(sketched, preprocessing)
    return sketches[-1]._replace(image=image)


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


def _prepared_own_sketch(preprocessing: Preprocessing, random: Random) -> RoadFrame:
    """Return a sketch that the simulator's camera takes, prepared as the network gets it."""
    if preprocessing.is_plain and not preprocessing.crops:
        sketch = draw_own_sketch(random, preprocessing.height, preprocessing.width)
        return sketch._replace(image=preprocessing.convert_colors(sketch.image))
    # unlike any camera's, its frame has rows that are cropped
    sketch = draw_own_sketch(random, preprocessing.frame_height, preprocessing.frame_width)
    return sketch._replace(image=preprocessing.apply(sketch.image))


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
