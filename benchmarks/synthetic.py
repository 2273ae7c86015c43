"""Make data to measure on: a number of frames -> a recording of distinct frames, its store, and the
store as shards.
"""

import itertools
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
    ShardingSettings,
    UserError,
    open_store,
)
from bcclone.camera.images import Image
from bcclone.camera.vehicle import MOUNTS
from bcclone.cluster.sharded_conversion import convert
from bcclone.dataset import conversion
from bcclone.dataset.shards import Manifest
from bcclone.simulator.car import STEP_SECONDS, TrackedCar, start_on
from bcclone.simulator.expert import Expert
from bcclone.simulator.record import CarRecording
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track, load_track
from bcclone.system.progress import ProgressBar

SYNTHETIC_FRAMES, SYNTHETIC_IMAGES = (
    40_000,
    12_000,
)  # of a synthetic store, and of a synthetic recording
_POSITIONS = 64  # around the track at which frames are rendered; the others are variations of these
_BRIGHTNESSES = 9
_STEPS_PER_ROW = 4  # of 0.02 s: about 12 rows per second, near the simulator's 15


def draw_recording(folder: Path, frames: int) -> Path:
    """Record an expert's drive with at least `frames` distinct images, three per row; return the
    folder.

    Rendering all of them would take minutes: each is a variation, in brightness and shifted
    sideways, of a frame rendered at one of some positions around the track. They decode as slowly
    as any camera frame.
    """
    track = load_track("lake")
    rendered = _render(track, min(_POSITIONS, max(frames // len(MOUNTS), 1)))
    variations = [_variations() for _ in rendered]
    tracked, expert = TrackedCar(track), Expert(track, ExpertSettings(recoveries=0), seed=0)
    rows = -(-frames // len(MOUNTS))
    writer = CarRecording(folder)
    with ProgressBar("rendering", rows, "rows") as progress:
        while writer.rows < rows:
            tracked.car.control(*expert.control(tracked.car, tracked.position))
            if tracked.steps % _STEPS_PER_ROW == 0:
                index = int(tracked.position.along_m / track.length_m * len(rendered)) % len(
                    rendered
                )
                shift, brightness = next(variations[index])
                frames_of_row = {
                    name: _changed(frame, shift, brightness)
                    for name, frame in rendered[index].items()
                }
                writer.record(tracked.steps * STEP_SECONDS, tracked.car, frames_of_row)
                progress.advance(1)
            tracked.step()
    return folder


def make_synthetic_store(recording: Path, path: Path) -> Path:
    """Convert the recording to a store with two samples per frame, one of them mirrored."""
    conversion.convert(PreprocessSettings((str(recording),), path))
    return path


@contextmanager
def given_or_synthetic_store(store: Path | None, frames: int) -> Iterator[Path]:
    """Yield the given store, or a synthetic one with its recording in a temporary folder."""
    if store is not None:
        yield store
        return
    with tempfile.TemporaryDirectory(prefix="bcclone-") as name:
        recording = draw_recording(Path(name) / "recording", frames)
        yield make_synthetic_store(recording, Path(name) / "data.h5")


@contextmanager
def sharded_copy(store: Path, shards: int) -> Iterator[Path]:
    """Yield the content of a store as about so many shards, converted again from its recordings, in
    a temporary folder.

    Raises UserError if the recordings are no longer what the store was made of.
    """
    with tempfile.TemporaryDirectory(prefix="bcclone-") as name, open_store(store) as old:
        settings = ShardingSettings(
            tuple(str(recording.path) for recording in old.recordings),
            Path(name) / "shards",
            allow_skips=True,
            shard_mb=-(-old.frames.nbytes // (shards * 10**6)),
            preprocessing=old.preprocessing,
            samples=asdict(old.sample_settings),
        )
        try:
            convert(settings)
            with open_store(settings.output) as new:
                is_same = new.content_hash == old.content_hash
            if not is_same:
                raise UserError("its rows or images have changed")
        except UserError as error:
            raise UserError(
                f"--shards needs the recording that {store} was made of: {error}; put it back, or "
                "leave out --store"
            ) from None
        yield Path(name) / "shards"


def number_of_shards(folder: Path) -> int:
    """Return the number of shards of a store that is a folder."""
    return len(Manifest.read(folder).shards)


def _render(track: Track, positions: int) -> list[Mapping[str, Image]]:
    renderer = Renderer("lake", Conditions())
    alongs = np.linspace(0, track.length_m, positions, endpoint=False)
    return [renderer.frames(start_on(track, along_m=along)) for along in alongs]


def _variations() -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Yield pairs of a shift in pixels and a brightness table, uint8 (256,); no pair comes twice."""
    levels = np.arange(256)
    tables = [
        np.minimum(levels * factor, 255).astype(np.uint8)
        for factor in np.linspace(0.75, 1.25, _BRIGHTNESSES)
    ]
    for number in itertools.count():
        yield number // _BRIGHTNESSES, tables[number % _BRIGHTNESSES]


def _changed(frame: Image, shift: int, brightness: npt.NDArray[np.uint8]) -> Image:
    return np.asarray(cv2.LUT(np.roll(frame, shift, axis=1), brightness), np.uint8)
