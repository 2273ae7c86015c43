"""Measure `bcclone import` of a video: frames a second, compared with decoding it in PyAV and doing nothing else.

All are measured in rounds, so that a slow moment of the machine affects all alike. PyAV decodes most videos on one core
unless it is told otherwise; the bar is for that, and its speed on all cores is measured beside it.
"""

import itertools
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from bcclone.dataset.images import Image, decode_jpeg, read_file
from bcclone.lab.exchange.exchange_settings import ImportSettings
from bcclone.lab.exchange.recording_import import import_recording
from bcclone.system.errors import require_package
from bcclone.system.progress import Notify
from bcclone.system.settings import Size, check_settings, setting
from benchmarks.measures import Measure, Report
from benchmarks.rounds import measure_in_rounds, median_ratio, rounds_setting
from benchmarks.synthetic import draw_recording

_BAR = 0.7
_BARE, _IMPORT, _ALL_CORES = "decoding alone, PyAV", "import", "decoding alone, PyAV on all cores"
_DRAWN = 60  # images that the frames of the video are made of
_NOISE = 3  # grey levels, as of a camera


@dataclass(frozen=True)
class Settings:
    """How fast a video becomes a recording."""

    frames: int = setting(1200, "number of frames of the synthetic video", 20)
    size: Size = setting((640, 480), "size of its frames", shown="640x480")
    video: Path | None = setting(
        None, "video to import, with its table beside it", unit="PATH", shown="a synthetic one"
    )
    rounds: int = rounds_setting(5)

    def __post_init__(self) -> None:
        check_settings(self)


def measure(settings: Settings, notify: Notify = lambda line: None) -> Report:
    """Return the measures of an import; everything is written to the system's temporary folder."""
    require_package("av", "a video", "bcclone[video]")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = settings.video or _draw_video(folder / "drive.mp4", settings)
        measured = {
            _BARE: partial(_decode, video, "SLICE"),
            _IMPORT: partial(_import, video, folder / "out"),
            _ALL_CORES: partial(_decode, video, "AUTO"),
        }
        seconds = measure_in_rounds(measured, settings.rounds)
        count = _count(video)
    rates = {name: [count / each for each in of_rounds] for name, of_rounds in seconds.items()}
    return Report(
        (
            *(Measure(name, float(np.median(each)), "frames/s") for name, each in rates.items()),
            Measure("import to decoding alone", median_ratio(rates[_IMPORT], rates[_BARE]), "ratio", bar=_BAR),
            Measure("import to decoding alone on all cores", median_ratio(rates[_IMPORT], rates[_ALL_CORES]), "ratio"),
        )
    )


def _decode(video: Path, threads: str) -> float:
    """Return the seconds in which PyAV decodes all frames. threads: its thread_type, by default SLICE."""
    import av

    since = time.perf_counter()
    with av.open(str(video)) as container:
        container.streams.video[0].thread_type = threads
        for _ in container.decode(video=0):
            pass
    return time.perf_counter() - since


def _count(video: Path) -> int:
    import av

    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0))


def _import(video: Path, output: Path) -> float:
    """Return the seconds of an import, whose output is removed."""
    since = time.perf_counter()
    import_recording(ImportSettings(video, output))
    seconds = time.perf_counter() - since
    shutil.rmtree(output)
    return seconds


def _draw_video(path: Path, settings: Settings) -> Path:
    """Write a video of a drive, H.264 as FFmpeg encodes it by default, and its table."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20)
        stream.width, stream.height = settings.size
        stream.pix_fmt = "yuv420p"
        for pixels in itertools.islice(_pictures(path.parent / "drawn", settings.size), settings.frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    path.with_suffix(".csv").write_text("steering\n" + "0.1\n" * settings.frames)
    return path


def _pictures(folder: Path, size: tuple[int, int]) -> Iterator[Image]:
    """Yield frames of a drive in this size for ever, with a camera's noise."""
    draw_recording(folder, 3 * _DRAWN)
    drawn = [
        cv2.resize(decode_jpeg(read_file(str(path))), size, interpolation=cv2.INTER_CUBIC)
        for path in sorted((folder / "IMG").glob("center_*.jpg"))
    ]
    noise = np.random.default_rng(0)
    for pixels in itertools.cycle(drawn):
        grain = noise.integers(-_NOISE, _NOISE + 1, (*pixels.shape[:2], 1))
        yield np.asarray(np.clip(pixels.astype(np.int16) + grain, 0, 255), np.uint8)
