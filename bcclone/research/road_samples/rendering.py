"""Render frames of many random roads in workers, and write them as a store.

A worker renders the frames of a road: cars at random places, in several kinds of light and weather.
Each frame is labelled with the steering that brings the car back to the middle, and with where the
road leads. Of some frames, each shows a road of its own to a camera of its own.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from bcclone.camera.images import Image, decode_jpeg, encode_jpeg
from bcclone.camera.vehicle import steering_of
from bcclone.cluster.dask_workers import open_pool
from bcclone.dataset.labels import PATH_COLUMNS
from bcclone.dataset.preprocessing import Preprocessing, choose_preprocessing
from bcclone.dataset.rows import NO_FRAME, row_table
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import sample_chunks
from bcclone.dataset.store import RecordingInfo
from bcclone.dataset.store_writer import StoreWriter
from bcclone.recording.dialect import Dialect
from bcclone.research.road_samples import RoadSamplesSettings
from bcclone.research.road_samples.any_camera import draw_camera, with_effects
from bcclone.research.road_samples.drawn_road import BEND_GAIN, draw_road, path_of, place_on
from bcclone.research.road_samples.painting import paint
from bcclone.research.road_samples.surroundings import draw_surroundings
from bcclone.simulator.car import start_on
from bcclone.simulator.random_road import parse_name
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track, load_track
from bcclone.simulator.world_settings import Conditions
from bcclone.system import atomic
from bcclone.system.arrays import Float32Array, Random
from bcclone.system.errors import UserError
from bcclone.system.exact_math import sine
from bcclone.system.hardware import usable_cores
from bcclone.system.opencv import opencv_on_one_thread
from bcclone.system.output import STORE, writes
from bcclone.system.progress import Notify, ProgressBar
from bcclone.system.task_pool import report_progress

_CAMERAS = ("center",)
_DIALECT = Dialect(
    spaced=False, decimal_comma=False, header=False, cameras=_CAMERAS, extra_columns=0
)
_BYTES_A_ROW, _BYTES_A_ROAD = 300, 8192  # in the tables, at most
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
    """How a car stands on a road: metres to the right of its middle and along it, and turn and rise
    in radians, as in start_on().
    """

    offset_m: float
    along_m: float
    turn: float
    rise: float


def draw_place(track: Track, random: Random) -> Pose:
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

    It turns firmly along the road and gently towards its middle, as people do when they are off the
    middle.
    """
    bend = _mean_curvature(track, place.along_m, 0.0, _BEND_TO_M)
    return float(
        steering_of(BEND_GAIN * bend + _BY_TURN * sine(place.turn) + _BY_OFFSET * place.offset_m)
    )


def _mean_curvature(track: Track, along_m: float, start_m: float, end_m: float) -> float:
    """Return the mean curvature of the road between two distances ahead, in 1/m, positive to the
    right.
    """
    ahead = np.arange(start_m, end_m + _BEND_STEP_M / 2, _BEND_STEP_M)
    return float(
        np.mean([track.curvature[track.index(along_m + metres)] for metres in ahead.tolist()])
    )


@dataclass(frozen=True)
class RoadTask:
    """The frames of a road to render. number: of the road, from 0."""

    settings: RoadSamplesSettings
    preprocessing: Preprocessing
    number: int = 0

    def __str__(self) -> str:
        return f"the frames of {self.settings.road(self.number)}"


class RoadFrame(NamedTuple):
    """A prepared image, uint8 (height, width, channels), its steering, and its path in the order of
    PATH_COLUMNS.

    Those of a road have a further first axis, and are float32.
    """

    image: Image
    steering: float | Float32Array
    path: Sequence[float] | Float32Array


def render_road(task: RoadTask) -> RoadFrame:
    """Render the frames of a task; raises UserError for a road that cannot be built."""
    frames = []
    with opencv_on_one_thread():  # other processes render other roads
        for frame in _frames_of(task):
            frames.append(frame)
            report_progress(1)
    images, steering, path = zip(*frames, strict=True)
    return RoadFrame(np.stack(images), np.array(steering, np.float32), np.array(path, np.float32))


def _frames_of(task: RoadTask) -> Iterator[RoadFrame]:
    """Yield the frames of a road, then those of other roads, each by a camera of its own."""
    settings, road = task.settings, task.settings.road(task.number)
    seed = settings.seed, settings.first_road + task.number
    random, of_sketches = np.random.default_rng(seed), np.random.default_rng((*seed, _SKETCHES))
    sketches = round(settings.any_camera * settings.frames)
    for number in range(settings.frames - sketches):
        if not number:
            track = load_track(road, bool(task.number % 2))
            of_road = Conditions(
                sun_elevation=_LOWEST_SUN
                + 60.0 * random.random() ** 2,  # often low, where shadows are longest
                sun_azimuth=random.uniform(-180.0, 180.0),
                texture_seed=int(random.integers(1, 1 << 20)),
            )
        if number % _FRAMES_OF_A_WEATHER == 0:
            renderer = Renderer(road, draw_weather(random, of_road, settings))
        place = draw_place(track, random)
        frame = renderer.frame(start_on(track, *place), seconds=random.uniform(0.0, _SECONDS))
        image = task.preprocessing.apply(decode_jpeg(encode_jpeg(frame)))
        path = path_of(partial(_mean_curvature, track, place.along_m), place.offset_m, place.turn)
        yield RoadFrame(image, steering_at(track, place), path)
    for _ in range(sketches):
        takes = task.preprocessing
        if takes.is_plain:
            sketch = draw_sketch(of_sketches, takes.height, takes.width)
            yield sketch._replace(image=takes.convert_colors(sketch.image))
        else:
            whole = replace(takes, crop_top=0, crop_bottom=None, crop_left=0, crop_right=None)
            sketch = draw_sketch(of_sketches, takes.frame_height, takes.frame_width)
            yield sketch._replace(image=whole.apply(sketch.image))


def draw_sketch(random: Random, height: int, width: int) -> RoadFrame:
    """Sketch a road for one frame: what any camera sees of it, RGB.

    A scene of the simulator takes seconds to build, so that its frames come in hundreds, by one
    camera. A sketch has a road, materials, surroundings, a lens and a mounting of its own, and
    takes some milliseconds. A picture does not show the height of its camera, only its ratio to the
    road. So every camera is REFERENCE_M above the road, which is the height of the simulator's; a
    small car's narrow road is a wide one here.
    """
    road = draw_road(random)
    camera = draw_camera(random, road.radius_m, road.floor)
    place = place_on(road, random)
    surroundings = draw_surroundings(random, road, place.line)
    pixel = camera.pixel(width) * random.uniform(*_SHARPNESS)
    picture = paint(surroundings, place.line, camera.rays(height, width), pixel)
    return RoadFrame(with_effects(picture, random), place.steering, place.path)


def draw_weather(
    random: Random, conditions: Conditions, settings: RoadSamplesSettings
) -> Conditions:
    """Return the conditions with light, weather, colours and the camera's mounting, mostly fair."""
    drawn = replace(
        conditions,
        light=random.uniform(0.6, 1.4),
        fog=random.choice([0.0, 1.0, random.uniform(1.0, 6.0)]),
        line_visibility=random.choice([1.0, random.random()], p=[0.75, 0.25]),
        color_seed=int(random.integers(1, 1 << 20)) if random.random() < settings.recolored else 0,
        camera_shift_m=random.uniform(-0.2, 0.2),
        camera_pitch=random.uniform(-1.5, 1.5),
    )
    kind = random.choice(["fair", "rain", "snow", "night"], p=[0.8, 0.08, 0.06, 0.06])
    strength = random.uniform(0.1, 0.7)
    rain, snow, night = (strength if kind == each else 0.0 for each in ("rain", "snow", "night"))
    drawn = replace(drawn, rain=rain, snow=snow, night=night)
    if (
        settings.camera_height_m
    ):  # without it nothing is drawn, so that earlier stores can be made again to the byte
        drawn = replace(drawn, camera_height_m=random.uniform(0.0, settings.camera_height_m))
    return drawn


@dataclass(frozen=True)
class RoadSamplesResult:
    """What was written: numbers of roads, frames, and training and validation samples, mirror
    images included.
    """

    output: Path
    roads: int
    frames: int
    train: int
    validation: int
    seconds: float


@writes(STORE)
def make_road_samples(
    settings: RoadSamplesSettings, notify: Notify = lambda line: None
) -> RoadSamplesResult:
    """Render frames on random roads, and write them as a store that model.py trains on, whole or
    not at all.

    notify: receives the address of the dashboard of a cluster. Raises UserError.
    """
    start = time.monotonic()
    if not settings.output.suffix:
        raise UserError(
            f"{settings.output}: one file is written; give it an ending, as in {settings.output}.h5"
        )
    try:
        parse_name(settings.road(0))
    except ValueError as error:
        raise UserError(f"--ranges {settings.ranges}: {error}") from None
    load_track(settings.road(0))  # ranges of which no road can be made are refused before any work
    preprocessing = choose_preprocessing(settings.preprocess, settings.size)
    tasks = [RoadTask(settings, preprocessing, number) for number in range(settings.roads)]
    count = settings.roads * settings.frames
    space = count * _BYTES_A_ROW + settings.roads * _BYTES_A_ROAD
    with (
        atomic.replacing(settings.output, follow=True) as temporary,
        StoreWriter(temporary, preprocessing, count, space) as writer,
    ):
        labels = [
            (frames.steering, frames.path) for frames in _rendered(settings, tasks, writer, notify)
        ]
        samples = SampleSettings(
            cameras=_CAMERAS, smooth_seconds=0.0, validation=settings.validation
        )
        rows = _rows(settings, *(np.concatenate(one) for one in zip(*labels, strict=True)))
        tables = list(sample_chunks(rows, samples))
        names = map(settings.road, range(settings.roads))
        recordings = [
            RecordingInfo(Path(name), "", settings.frames, 0, 1, _DIALECT) for name in names
        ]
        writer.finish(tables, row_table(rows.drop(columns="label")), [], recordings, samples)
    validation = sum(int(table["validation"].sum()) for table in tables)
    return RoadSamplesResult(
        output=settings.output,
        roads=settings.roads,
        frames=count,
        train=sum(map(len, tables)) - validation,
        validation=validation,
        seconds=round(time.monotonic() - start, 1),
    )


def _rendered(
    settings: RoadSamplesSettings, tasks: Sequence[RoadTask], writer: StoreWriter, notify: Notify
) -> Iterator[RoadFrame]:
    """Yield the frames of each road in order, when they are in the store."""
    early: dict[int, RoadFrame] = {}
    written = 0
    jobs = min(settings.jobs or usable_cores(), len(tasks))
    with (
        open_pool(settings.scheduler, jobs, notify) as pool,
        ProgressBar("rendering", len(tasks) * settings.frames, "frames") as progress,
    ):
        for number, frames in pool.run(render_road, tasks, progress.advance):
            early[number] = frames
            while written in early:
                writer.append(early[written].image)
                yield early.pop(written)
                written += 1


def _rows(settings: RoadSamplesSettings, labels: Float32Array, path: Float32Array) -> pd.DataFrame:
    """Return a row for each frame. labels: (frames,); path: (frames, columns). The last roads are
    for validation.
    """
    count, frames = settings.roads * settings.frames, settings.frames
    road, number = np.divmod(np.arange(count), frames)
    return pd.DataFrame(
        {
            "line": number + 1,
            "time_ms": np.arange(count, dtype=np.int64) * 1000,
            "center": [
                f"{settings.first_road + each}_{one}.png"
                for each, one in zip(road, number, strict=True)
            ],
            "left": [""] * count,
            "right": [""] * count,
            "steering": labels.astype(np.float64),
            "throttle": np.zeros(count),
            "brake": np.zeros(count),
            "speed_mph": np.full(count, SPEED_MPH),
            "episode": road,
            "recording": road,
            "frame_center": np.arange(count),
            "frame_left": np.full(count, NO_FRAME),
            "frame_right": np.full(count, NO_FRAME),
            "validation": road >= settings.roads - settings.validation_roads,
            "label": labels.astype(np.float64),
        }
        | dict(zip(PATH_COLUMNS, path.T, strict=True))
    )
