"""Export recordings or a store in another format; nothing is written after an error.

In: `ExportSettings`. Out: a folder in the format, and an `ExportResult` that counts what it holds.
The images of recordings stay as they are; the frames of a store become PNGs. Threads on all cores
read and check the images of recordings before a format asks for them.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from bcclone.camera.images import (
    FRAME_HEIGHT,
    FRAME_WIDTH,
    BadImage,
    cv2,
    decode_jpeg,
    opencv_on_one_thread,
    read_file,
    size_remedy,
    upright_jpeg,
)
from bcclone.dataset.shards import MANIFEST_NAME, open_store
from bcclone.dataset.store import Store
from bcclone.exchange.exchange_settings import ExportSettings
from bcclone.exchange.exchanged_rows import LeftOut, Row, recorded_row
from bcclone.exchange.formats import WRITERS
from bcclone.exchange.simulator_log import rows_of_log
from bcclone.recording.files import ImageIndex, find_logs
from bcclone.recording.log import read_log
from bcclone.recording.row import CAMERAS
from bcclone.system.errors import UserError, number_of, shown_command
from bcclone.system.files import NEW_FOLDER, new_folder, writes
from bcclone.system.hardware import usable_cores
from bcclone.system.location import Location, is_url, parse_location
from bcclone.system.prefetch import prefetch_ordered
from bcclone.system.progress import ProgressBar

_TOLERATED = 0.05  # largest fraction of a recording's rows without usable images
_AHEAD = 4  # rows a core that are read before a format asks for them
_LISTED = 10  # most left-out rows that an error lists


@dataclass(frozen=True)
class ExportResult:
    """What was exported."""

    output: Path
    format: str  # name of the format
    rows: int
    episodes: int
    recordings: int
    cameras: tuple[str, ...]
    size: tuple[int, int]  # height and width of the images
    skipped: tuple[str, ...]  # a line for each row that is left out
    seconds: float

    def as_text(self) -> str:
        rows = f"{number_of(self.rows, 'row')} in {number_of(self.episodes, 'episode')}"
        return (
            f"{self.output}: {self.format}, {rows}, cameras {', '.join(self.cameras)}, "
            f"{len(self.skipped)} left out; it took {self.seconds:.1f} s"
        )


@writes(NEW_FOLDER)
def export(settings: ExportSettings) -> ExportResult:
    """Write recordings or a store in another format.

    Raises UserError for a source that cannot be read or has too many rows without usable images.
    """
    start = time.monotonic()
    location = parse_location(settings.source)
    with ExitStack() as stack:
        if _is_store(location):
            store = stack.enter_context(open_store(location))
            size = (store.preprocessing.height, store.preprocessing.width)
            cameras, rows = _rows_of_store(store, settings.cameras)
            read: Callable[[Row], Row | LeftOut] = partial(_with_frames, store)
            threads = 0  # a store is read in one thread
            tolerated = 1.0  # its rows may have frames of other cameras
        else:
            size = (FRAME_HEIGHT, FRAME_WIDTH)
            cameras, rows = _rows_of_logs(settings.source, settings.cameras)
            read = _with_images
            threads = usable_cores()
            tolerated = _TOLERATED
        folder = stack.enter_context(new_folder(settings.output))
        progress = stack.enter_context(ProgressBar("writing", len(rows), "rows"))
        # OpenCV needs no threads of its own, since images are read on all cores already
        stack.enter_context(opencv_on_one_thread())
        items = stack.enter_context(prefetch_ordered(read, rows, threads, _AHEAD * usable_cores()))
        written: list[Row] = []  # without their images
        skipped: list[str] = []

        def usable_rows() -> Iterator[Row]:
            for item in items:
                progress.advance(1)
                if isinstance(item, LeftOut):
                    skipped.append(item.shown)
                else:
                    written.append(replace(item, images={}))
                    yield item
            if not written or len(skipped) > tolerated * len(rows):
                raise _too_many_left_out(settings.source, skipped, len(rows))

        WRITERS[settings.to](usable_rows(), folder)
    return ExportResult(
        output=settings.output,
        format=settings.to,
        rows=len(written),
        episodes=len({row.episode for row in written}),
        recordings=len({row.recording for row in written}),
        cameras=cameras,
        size=size,
        skipped=tuple(skipped),
        seconds=round(time.monotonic() - start, 2),
    )


def _is_store(location: Location) -> bool:
    """Return whether a source is a store, of one file or of shards."""
    if is_url(location):
        return False
    is_file = location.is_file() and location.suffix.lower() in (".h5", ".hdf5")
    return is_file or (location / MANIFEST_NAME).is_file()


def _too_many_left_out(source: str, skipped: Sequence[str], count: int) -> UserError:
    """Return the error for too many rows that cannot be exported, or all."""
    listed = "\n".join(f"  {line}" for line in skipped[:_LISTED])
    return UserError(
        f"{source}: {len(skipped)} of {count} rows cannot be exported, expected at most "
        f"{_TOLERATED:.0%}; repair the recording, delete these rows with "
        f"{shown_command('edit', source)}, choose other cameras with --cameras, or "
        f"{size_remedy(source)}; the first:\n{listed}"
    )


# ---- recordings


def _rows_of_logs(source: str, wanted: Sequence[str]) -> tuple[tuple[str, ...], Sequence[Row]]:
    """Return the cameras to export, those that are wanted or all, and the rows of recordings."""
    logs = [read_log(path) for path in find_logs([source])]
    named = wanted or {camera for log in logs for camera in log.dialect.cameras}
    cameras = tuple(camera for camera in CAMERAS if camera in named)
    rows: list[Row] = []
    episodes = 0
    for number, log in enumerate(logs):
        # episodes are numbered through all recordings
        rows += rows_of_log(log, ImageIndex(log.path), cameras, number, episodes)
        episodes += log.episodes
    return cameras, rows


def _with_images(row: Row) -> Row | LeftOut:
    """Return a row of a log with the content of its images, or why one cannot be decoded."""
    images = {}
    for camera, (name, path) in row.images.items():
        if not name:
            return LeftOut(f"it names no image of the {camera} camera", place=row.place)
        if path is None:
            return LeftOut(f"image {name} is missing", place=row.place)
        try:
            content = read_file(path)
            decode_jpeg(content)
            # other programs show an image as it is stored
            images[camera] = upright_jpeg(content)
        except (OSError, BadImage) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            return LeftOut(f"image {name}: {reason}", place=row.place)
    return replace(row, images=images)


# ---- a store


def _rows_of_store(store: Store, wanted: Sequence[str]) -> tuple[tuple[str, ...], Sequence[Row]]:
    """Return the cameras to export, those that are wanted or all, and the rows of a store.

    The images of a row are indices of frames. Raises UserError for frames that are not RGB.
    """
    preprocessing = store.preprocessing
    if preprocessing.color != "RGB":
        recordings = [str(recording.path.parent) for recording in store.recordings[:3]]
        raise UserError(
            f"{store.path}: its frames are {preprocessing.describe()}, expected RGB; export its "
            f"recordings: {', '.join(recordings)}"
        )
    named = wanted or store.sample_settings.cameras
    cameras = tuple(camera for camera in CAMERAS if camera in named)
    rows = []
    for index, row in enumerate(store.rows):
        frames = {camera: int(row[f"frame_{camera}"]) for camera in cameras}
        place = f"{store.path}: row {index}"
        rows.append(recorded_row(row, int(row["recording"]), frames, place=place))
    return cameras, rows


def _with_frames(store: Store, row: Row) -> Row | LeftOut:
    """Return a row of a store with its frames as PNGs, or which frame it has not."""
    images = {}
    for camera, frame in row.images.items():
        if frame < 0:
            return LeftOut(f"no frame of the {camera} camera", place=row.place)
        pixels = np.ascontiguousarray(store.frames[frame])
        _, content = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        images[camera] = bytes(content.tobytes())
    return replace(row, images=images)
