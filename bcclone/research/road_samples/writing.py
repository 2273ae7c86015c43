"""Render frames of many random roads in workers, and write them as a store.

In: `RoadSamplesSettings`. Out: an HDF5 file that model.py trains on, in which each road counts as a
recording, and a `RoadSamplesResult`.
"""

import time
from collections.abc import Iterator, Sequence
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
from bcclone.recording.dialect import Dialect
from bcclone.research.road_samples import RoadSamplesSettings
from bcclone.research.road_samples.rendering import RoadFrame, RoadTask, render_road
from bcclone.simulator.random_road import parse_name
from bcclone.simulator.track import load_track
from bcclone.system.errors import UserError
from bcclone.system.files import STORE, replacing, writes
from bcclone.system.hardware import usable_cores
from bcclone.system.numbers import Float32Array
from bcclone.system.process import Notify, ProgressBar

SPEED_MPH = 20.0  # speed that all samples state; a frame does not show its car's speed


@dataclass(frozen=True)
class RoadSamplesResult:
    """What was written. A mirror image counts as a sample of its own."""

    output: Path
    roads: int
    frames: int
    train: int  # training samples
    validation: int  # validation samples
    seconds: float


_CAMERAS = ("center",)
_DIALECT = Dialect(
    spaced=False, decimal_comma=False, header=False, cameras=_CAMERAS, extra_columns=0
)
_BYTES_A_ROW = 300  # largest size of a frame's row in the tables
_BYTES_A_ROAD = 8192  # largest size of what the tables hold of a road


@writes(STORE)
def make_road_samples(
    settings: RoadSamplesSettings, notify: Notify = lambda line: None
) -> RoadSamplesResult:
    """Render frames on random roads, and write them as a store that model.py trains on.

    The store is written whole or not at all. Raises UserError.

    notify: receives the address of the dashboard of a cluster
    """
    start = time.monotonic()
    _check(settings)
    preprocessing = choose_preprocessing(settings.preprocess, settings.size)
    tasks = [RoadTask(settings, preprocessing, number) for number in range(settings.roads)]
    count = settings.roads * settings.frames
    space = count * _BYTES_A_ROW + settings.roads * _BYTES_A_ROAD
    samples = SampleSettings(
        cameras=_CAMERAS,
        smooth_seconds=0.0,
        flip=settings.flip,
        validation=settings.validation,
    )
    with (
        replacing(settings.output, follow=True) as temporary,
        StoreWriter(temporary, preprocessing, count, space) as writer,
    ):
        # images go to the store at once; labels are small enough to be kept in memory
        steering = []
        paths = []
        for frames in _rendered(settings, tasks, writer, notify):
            steering.append(frames.steering)
            paths.append(frames.path)
        rows = _rows(settings, np.concatenate(steering), np.concatenate(paths))
        tables = list(sample_chunks(rows, samples))
        recordings = [_recording_info(settings, number) for number in range(settings.roads)]
        row_tables = row_table(rows.drop(columns="label"))
        no_extras: list[str] = []
        writer.finish(tables, row_tables, no_extras, recordings, samples)
    validation = sum(int(table["validation"].sum()) for table in tables)
    return RoadSamplesResult(
        output=settings.output,
        roads=settings.roads,
        frames=count,
        train=sum(map(len, tables)) - validation,
        validation=validation,
        seconds=round(time.monotonic() - start, 1),
    )


def _check(settings: RoadSamplesSettings) -> None:
    """Refuse settings of which no store can be made, before any work. Raises UserError."""
    output = settings.output
    if not output.suffix:
        raise UserError(f"{output}: one file is written; give it an ending, as in {output}.h5")
    try:
        parse_name(settings.road(0))
    except ValueError as error:
        raise UserError(f"--ranges {settings.ranges}: {error}") from None
    load_track(settings.road(0))  # raises UserError for well-formed ranges that no road keeps to


def _recording_info(settings: RoadSamplesSettings, number: int) -> RecordingInfo:
    """Return how the store names a road, as if the road were a recording."""
    return RecordingInfo(
        path=Path(settings.road(number)),
        sha256="",  # there is no log
        rows=settings.frames,
        bad_rows=0,
        episodes=1,
        dialect=_DIALECT,
    )


def _rendered(
    settings: RoadSamplesSettings, tasks: Sequence[RoadTask], writer: StoreWriter, notify: Notify
) -> Iterator[RoadFrame]:
    """Yield the frames of each road in the order of the roads, once the images are in the store."""
    early: dict[int, RoadFrame] = {}  # number of a road -> frames that wait for earlier roads
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


def _rows(
    settings: RoadSamplesSettings, steering: Float32Array, paths: Float32Array
) -> pd.DataFrame:
    """Return a row for each frame; the last roads are for validation.

    steering: (frames,)
    paths: where the road leads, (frames, columns)
    """
    count = settings.roads * settings.frames
    road, number = np.divmod(np.arange(count), settings.frames)
    names = [
        f"{settings.first_road + road_number}_{frame_number}.png"
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
        "validation": road >= settings.roads - settings.validation_roads,
        "label": steering.astype(np.float64),
    }
    columns |= dict(zip(PATH_COLUMNS, paths.T, strict=True))
    return pd.DataFrame(columns)
