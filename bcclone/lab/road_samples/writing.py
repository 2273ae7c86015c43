"""Write the frames of random roads as a store."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bcclone.cluster.dask_workers import open_pool
from bcclone.dataset.labels import PATH_COLUMNS
from bcclone.dataset.preprocessing import choose_preprocessing
from bcclone.dataset.rows import NO_FRAME, row_table
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import sample_chunks
from bcclone.dataset.store import RecordingInfo
from bcclone.dataset.store_writer import StoreWriter
from bcclone.lab.road_samples.rendering import SPEED_MPH, RoadFrames, RoadTask, render_road
from bcclone.lab.road_samples.road_samples_settings import RoadSamplesSettings
from bcclone.recording.dialect import Dialect
from bcclone.simulator.roads.random_road import parse_name
from bcclone.simulator.track import load_track
from bcclone.system import atomic, hdf5_file
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import UserError
from bcclone.system.hardware import usable_cores
from bcclone.system.progress import ProgressBar

_CAMERAS = ("center",)
_DIALECT = Dialect(spaced=False, decimal_comma=False, header=False, cameras=_CAMERAS, extra_columns=0)
_BYTES_A_ROW, _BYTES_A_ROAD = 300, 8192  # in the tables, at most


@dataclass(frozen=True)
class RoadSamplesResult:
    """What was written: numbers of roads, frames, and training and validation samples, mirror images included."""

    output: Path
    roads: int
    frames: int
    train: int
    validation: int
    seconds: float


def make_road_samples(
    settings: RoadSamplesSettings, notify: Callable[[str], None] = lambda line: None
) -> RoadSamplesResult:
    """Render frames on random roads, and write them as a store that model.py trains on, whole or not at all.

    notify: receives the address of the dashboard of a cluster. Raises UserError.
    """
    start = time.monotonic()
    if not settings.output.suffix:
        raise UserError(f"{settings.output}: one file is written; give it an ending, as in {settings.output}.h5")
    hdf5_file.check_output(settings.output, "store", settings.force)
    try:
        parse_name(settings.road(0))
    except ValueError as error:
        raise UserError(f"--ranges {settings.ranges}: {error}") from None
    load_track(settings.road(0))  # ranges of which no road can be made are refused before any work
    preprocessing = choose_preprocessing(settings.preprocess, settings.size)
    tasks = [
        RoadTask(
            road=settings.road(number),
            reverse=bool(number % 2),
            frames=settings.frames,
            seed=(settings.seed, settings.first_road + number),
            preprocessing=preprocessing,
            recolored=settings.recolored,
            camera_height_m=settings.camera_height_m,
            sketches=round(settings.any_camera * settings.frames),
        )
        for number in range(settings.roads)
    ]
    count = settings.roads * settings.frames
    space = count * _BYTES_A_ROW + settings.roads * _BYTES_A_ROAD
    with (
        atomic.replacing(settings.output, follow=True) as temporary,
        StoreWriter(temporary, preprocessing, count, space) as writer,
    ):
        labels = [(frames.steering, frames.path) for frames in _rendered(settings, tasks, writer, notify)]
        samples = SampleSettings(cameras=_CAMERAS, smooth_seconds=0.0, validation=settings.validation)
        rows = _rows(settings, *(np.concatenate(one) for one in zip(*labels, strict=True)))
        tables = list(sample_chunks(rows, samples))
        recordings = [RecordingInfo(Path(task.road), "", settings.frames, 0, 1, _DIALECT) for task in tasks]
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
    settings: RoadSamplesSettings, tasks: Sequence[RoadTask], writer: StoreWriter, notify: Callable[[str], None]
) -> Iterator[RoadFrames]:
    """Yield the frames of each road in order, when they are in the store."""
    early: dict[int, RoadFrames] = {}
    written = 0
    jobs = min(settings.jobs or usable_cores(), len(tasks))
    with (
        open_pool(settings.scheduler, jobs, notify) as pool,
        ProgressBar("rendering", len(tasks) * settings.frames, "frames") as progress,
    ):
        for number, frames in pool.run(render_road, tasks, progress.advance):
            early[number] = frames
            while written in early:
                writer.append(early[written].images)
                yield early.pop(written)
                written += 1


def _rows(settings: RoadSamplesSettings, labels: Float32Array, path: Float32Array) -> pd.DataFrame:
    """Return a row for each frame. labels: (frames,); path: (frames, columns). The last roads are for validation."""
    count, frames = settings.roads * settings.frames, settings.frames
    road, number = np.divmod(np.arange(count), frames)
    return pd.DataFrame(
        {
            "line": number + 1,
            "time_ms": np.arange(count, dtype=np.int64) * 1000,
            "center": [f"{settings.first_road + each}_{one}.png" for each, one in zip(road, number, strict=True)],
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
