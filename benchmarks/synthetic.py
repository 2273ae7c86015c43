"""Make data to measure on: a number of frames -> a recording of distinct frames, and its store.

A store can be copied as shards.
"""

import itertools
import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from bcclone import (
    Conditions,
    ExpertSettings,
    PreprocessSettings,
    UserError,
    open_store,
)
from bcclone.camera.images import Image
from bcclone.camera.vehicle import MOUNTS
from bcclone.dataset.conversion import convert
from bcclone.dataset.shards import Manifest
from bcclone.simulator.car import STEP_SECONDS, TrackedCar, start_on
from bcclone.simulator.expert import CarRecording, Expert
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track, load_track
from bcclone.system.progress import ProgressBar

SYNTHETIC_FRAMES = 40_000  # of a synthetic store
SYNTHETIC_IMAGES = 12_000  # of a synthetic recording

# ---- a recording


def draw_recording(folder: Path, frames: int) -> Path:
    """Record an expert's drive with at least `frames` distinct images; return the folder.

    A row has three images. Rendering all of them would take minutes: each is a variation, in
    brightness and shifted sideways, of a frame rendered at one of some positions around the track.
    They decode as slowly as any camera frame.
    """
    steps_per_row = 4  # of 0.02 s: about 12 rows per second, near the simulator's 15
    most_positions = 64  # at which frames are rendered
    track = load_track("lake")
    positions = min(most_positions, max(frames // len(MOUNTS), 1))
    rendered = _render(track, positions)
    variations = [_variations() for _ in rendered]
    tracked = TrackedCar(track)
    expert = Expert(track, ExpertSettings(recoveries=0), seed=0)
    rows = math.ceil(frames / len(MOUNTS))
    with (
        CarRecording(folder) as writer,  # the end of the block marks the recording as complete
        ProgressBar("rendering", rows, "rows") as progress,
    ):
        while writer.rows < rows:
            tracked.car.control(*expert.control(tracked.car, tracked.position))
            if tracked.steps % steps_per_row == 0:
                # the rendered position that the car is at, in a variation that was not used yet
                share_of_lap = tracked.position.along_m / track.length_m
                position = int(share_of_lap * positions) % positions
                shift_px, brightness = next(variations[position])
                row_frames = {
                    camera: _changed(frame, shift_px, brightness)
                    for camera, frame in rendered[position].items()
                }
                writer.record(tracked.steps * STEP_SECONDS, tracked.car, row_frames)
                progress.advance(1)
            tracked.step()
    return folder


def _render(track: Track, positions: int) -> list[Mapping[str, Image]]:
    """Return the frames of each camera at some positions around the track."""
    renderer = Renderer("lake", Conditions())
    alongs_m = np.linspace(0, track.length_m, positions, endpoint=False)
    return [renderer.frames(start_on(track, along_m=along_m)) for along_m in alongs_m]


def _variations() -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Yield a shift in pixels and a brightness table, uint8 (256,). No pair comes twice."""
    levels = np.arange(256)
    tables = []
    for factor in np.linspace(0.75, 1.25, 9):
        tables.append(np.minimum(levels * factor, 255).astype(np.uint8))
    for shift_px in itertools.count():
        for table in tables:
            yield shift_px, table


def _changed(frame: Image, shift_px: int, brightness: npt.NDArray[np.uint8]) -> Image:
    shifted = np.roll(frame, shift_px, axis=1)
    return np.asarray(cv2.LUT(shifted, brightness), np.uint8)


# ---- its stores


def make_synthetic_store(recording: Path, path: Path) -> Path:
    """Convert the recording to a store with two samples per frame, one of them mirrored."""
    convert(PreprocessSettings((str(recording),), path))
    return path


@contextmanager
def given_or_synthetic_store(store: Path | None, frames: int) -> Iterator[Path]:
    """Yield the given store, or a synthetic one with its recording in a temporary folder."""
    if store is not None:
        yield store
        return
    with tempfile.TemporaryDirectory(prefix="bcclone-") as name:
        folder = Path(name)
        recording = draw_recording(folder / "recording", frames)
        yield make_synthetic_store(recording, folder / "data.h5")


@contextmanager
def sharded_copy(store: Path, shards: int) -> Iterator[Path]:
    """Yield the content of a store as about so many shards, in a temporary folder.

    The recordings of the store are converted again. Raises UserError if they are no longer what the
    store was made of.
    """
    with tempfile.TemporaryDirectory(prefix="bcclone-") as name:
        folder = Path(name) / "shards"
        try:
            _convert_to_shards(store, folder, shards)
        except UserError as error:
            raise UserError(
                f"--shards needs the recording that {store} was made of: {error}; put it back, or "
                "leave out --store"
            ) from None
        yield folder


def _convert_to_shards(store: Path, folder: Path, shards: int) -> None:
    with open_store(store) as old:
        settings = PreprocessSettings(
            tuple(str(recording.path) for recording in old.recordings),
            folder,
            allow_skips=True,
            shard_mb=math.ceil(old.frames.nbytes / (shards * 10**6)),
            preprocessing=old.preprocessing,
            **asdict(old.sample_settings),
        )
        convert(settings)
        with open_store(folder) as new:
            if new.content_hash != old.content_hash:
                raise UserError("its rows or images have changed")


def number_of_shards(folder: Path) -> int:
    """Return the number of shards of a store that is a folder."""
    return len(Manifest.read(folder).shards)
