"""Number of frames -> a recording of that many distinct drawn frames, and the store made of it."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from bcclone.images import Image
from bcclone.preprocess import PreprocessSettings, convert
from bcclone.progress import ProgressBar
from bcclone.simulator.car import STEP_SECONDS, TrackedCar, start_on
from bcclone.simulator.expert import Expert
from bcclone.simulator.record import RecordingWriter
from bcclone.simulator.render import Renderer
from bcclone.simulator.settings import Conditions, ExpertSettings
from bcclone.simulator.track import Track, load_track
from bcclone.vehicle import MOUNTS

_PLACES = 64  # around the track at which frames are drawn; the rest are varied from them
_BRIGHTNESSES = 9
_STEPS_PER_ROW = 4  # of 0.02 s: some 12 rows a second, near the simulator's 15


def draw_recording(folder: Path, frames: int) -> Path:
    """Let an expert drive and record at least `frames` distinct images, three a row, as JPEG; return the folder.

    Drawing all of them would take minutes: each is one of those seen from places around the track, moved sideways
    and in another brightness than every other of that place. They decode as slowly as any frame of the camera.
    """
    track = load_track("lake")
    drawn = _draw(track, min(_PLACES, max(frames // len(MOUNTS), 1)))
    varied = [_variations() for _ in drawn]
    tracked, expert = TrackedCar(track), Expert(track, ExpertSettings(recoveries=0), seed=0)
    rows = -(-frames // len(MOUNTS))
    with RecordingWriter(folder) as writer, ProgressBar("drawing", rows, "rows") as progress:
        while writer.rows < rows:
            tracked.car.control(*expert.control(tracked.car, tracked.position))
            if tracked.steps % _STEPS_PER_ROW == 0:
                place = int(tracked.position.along_m / track.length_m * len(drawn)) % len(drawn)
                shift, brightness = next(varied[place])
                frames_of_row = {name: _vary(frame, shift, brightness) for name, frame in drawn[place].items()}
                writer.write(tracked.steps * STEP_SECONDS, tracked.car, frames_of_row)
                progress.advance(1)
            tracked.step()
    return folder


def make_store(recording: Path, path: Path) -> Path:
    """Convert the recording; two samples a frame, as it is and mirrored."""
    convert(PreprocessSettings((str(recording),), path))
    return path


def _draw(track: Track, places: int) -> list[Mapping[str, Image]]:
    renderer = Renderer("lake", Conditions())
    alongs = np.linspace(0, track.length_m, places, endpoint=False)
    return [renderer.frames(start_on(track, along_m=along)) for along in alongs]


def _variations() -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Yield ever other pairs of pixels to move by and a table of brightness, uint8 (256,)."""
    levels = np.arange(256)
    tables = [np.minimum(levels * factor, 255).astype(np.uint8) for factor in np.linspace(0.75, 1.25, _BRIGHTNESSES)]
    for number in itertools.count():
        yield number // _BRIGHTNESSES, tables[number % _BRIGHTNESSES]


def _vary(frame: Image, shift: int, brightness: npt.NDArray[np.uint8]) -> Image:
    return np.asarray(cv2.LUT(np.roll(frame, shift, axis=1), brightness), np.uint8)
