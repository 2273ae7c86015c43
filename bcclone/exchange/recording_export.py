"""Export recordings or a store in another format; nothing is written after an error.

In: `ExportSettings`. Out: a folder in the format, and an `ExportResult` that counts what it holds.
The images of recordings stay as they are; the frames of a store become PNGs.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bcclone.camera.images import (
    FRAME_HEIGHT,
    FRAME_WIDTH,
    cv2,
    read_file,
    size_remedy,
    upright_jpeg,
)
from bcclone.dataset.preprocessing import PRESETS
from bcclone.dataset.shards import MANIFEST_NAME, open_store
from bcclone.dataset.store import Store
from bcclone.dataset.writer import decode_files
from bcclone.exchange.exchange_settings import ExportSettings
from bcclone.exchange.formats import WRITERS
from bcclone.exchange.rows import ExportedRows, Row, recorded_row
from bcclone.exchange.simulator_log import rows_of_log
from bcclone.recording.files import ImageIndex, find_logs
from bcclone.recording.log import read_log
from bcclone.recording.row import CAMERAS
from bcclone.system.errors import UserError
from bcclone.system.files import NEW_FOLDER, replacing_folder, writes
from bcclone.system.location import Location, is_url, parse_location
from bcclone.system.process import ProgressBar

_TOLERATED = 0.05  # largest fraction of rows without usable images
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


@writes(NEW_FOLDER)
def export(settings: ExportSettings) -> ExportResult:
    """Write recordings or a store in another format.

    Raises UserError for a source that cannot be read or has too many rows without usable images, a
    target that exists, and a disk that refuses.
    """
    start = time.monotonic()
    location = parse_location(settings.source)
    with ExitStack() as stack:
        if _is_store(location):
            source = _stored_rows(stack.enter_context(open_store(location)), settings)
        else:
            source = _recorded_rows(settings)
        folder = stack.enter_context(replacing_folder(settings.output))
        WRITERS[settings.to](source, folder)
    return ExportResult(
        output=settings.output,
        format=settings.to,
        rows=len(source),
        episodes=len({row.episode for row in source.rows}),
        recordings=len({row.recording for row in source.rows}),
        cameras=source.cameras,
        size=source.size,
        skipped=tuple(source.skipped),
        seconds=round(time.monotonic() - start, 2),
    )


def _is_store(location: Location) -> bool:
    """Return whether a source is a store, of one file or of shards."""
    if is_url(location):
        return False
    if (location / MANIFEST_NAME).is_file():
        return True
    return location.is_file() and location.suffix.lower() in (".h5", ".hdf5")


# ---- recordings


def _recorded_rows(settings: ExportSettings) -> ExportedRows:
    """Return the rows of recordings; raises UserError if too many rows cannot be exported."""
    logs = [read_log(path) for path in find_logs([settings.source])]
    named = {camera for log in logs for camera in log.dialect.cameras}
    wanted = settings.cameras or named
    cameras = tuple(camera for camera in CAMERAS if camera in wanted)
    rows: list[Row] = []
    skipped: list[str] = []
    episodes = 0
    for number, log in enumerate(logs):
        # episodes are numbered through all recordings
        of_log = list(rows_of_log(log, ImageIndex(log.path), cameras, number, episodes))
        rows += _usable(of_log, skipped)
        episodes += log.episodes
    if not rows or len(skipped) > _TOLERATED * (len(rows) + len(skipped)):
        listed = "\n".join(f"  {line}" for line in skipped[:_LISTED])
        raise UserError(
            f"{settings.source}: {len(skipped)} of {len(rows) + len(skipped)} rows cannot be "
            f"exported, expected at most {_TOLERATED:.0%}; repair the recording, delete these rows "
            "with bcclone edit, choose other cameras with --cameras, or "
            f"{size_remedy(settings.source)}; the first:\n{listed}"
        )
    return ExportedRows(cameras, (FRAME_HEIGHT, FRAME_WIDTH), rows, _read_upright, skipped)


def _read_upright(path: str) -> bytes:
    """Return the content of an image file, which other programs show as it is stored."""
    return upright_jpeg(read_file(path))


def _usable(rows: Sequence[Row], skipped: list[str]) -> Iterator[Row]:
    """Yield the rows of a log whose images can all be decoded, with their paths.

    rows: rows whose images are camera -> (name in the log, path or None for a missing file); the
        yielded rows have camera -> path
    skipped: gets a line for each row that is not yielded
    """
    problems = _undecodable(rows)
    for row in rows:
        unusable = [camera for camera, (_, file) in row.images.items() if file in problems]
        if unusable:
            camera = unusable[0]
            name, file = row.images[camera]
            reason = f"it names no image of the {camera} camera"
            if name:
                reason = f"image {name}{problems[file]}"
            skipped.append(f"{row.place}: {reason}")
        else:
            yield replace(row, images={camera: file for camera, (_, file) in row.images.items()})


def _undecodable(rows: Sequence[Row]) -> dict[str | None, str]:
    """Return path -> why its image cannot be decoded; the path None stands for a missing image.

    The reason is the end of a sentence, after the image's name: " is missing" or ": " and more.
    """
    files = list(dict.fromkeys(file for row in rows for _, file in row.images.values() if file))
    problems: dict[str | None, str] = {None: " is missing"}
    checked = 0
    with (
        ProgressBar("checking", len(files), "images") as progress,
        decode_files(files, PRESETS["carnd-160x320-rgb"]) as parts,
    ):
        for frames, _, errors in parts:
            for number, reason in errors.items():
                problems[files[checked + number]] = f": {reason}"
            count = len(frames) + len(errors)
            checked += count
            progress.advance(count)
    return problems


# ---- a store


def _stored_rows(store: Store, settings: ExportSettings) -> ExportedRows:
    """Return the rows of a store; raises UserError for frames that are not RGB."""
    preprocessing = store.preprocessing
    if preprocessing.color != "RGB":
        recordings = [str(recording.path.parent) for recording in store.recordings[:3]]
        raise UserError(
            f"{store.path}: its frames are {preprocessing.describe()}, expected RGB; export its "
            f"recordings: {', '.join(recordings)}"
        )
    wanted = settings.cameras or store.sample_settings.cameras
    cameras = tuple(camera for camera in CAMERAS if camera in wanted)
    rows = []
    skipped = []
    for index, row in enumerate(store.rows):
        frames = {camera: int(row[f"frame_{camera}"]) for camera in cameras}
        missing = [camera for camera, frame in frames.items() if frame < 0]
        if missing:
            skipped.append(f"{store.path}: row {index}: no frame of the {missing[0]} camera")
        else:
            rows.append(recorded_row(row, int(row["recording"]), frames))
    if not rows:
        raise UserError(
            f"{store.path}: no row has frames of the cameras {', '.join(cameras)}; choose other "
            "--cameras"
        )

    def png_of(frame: int) -> bytes:
        pixels = np.ascontiguousarray(store.frames[frame])
        _, content = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        return bytes(content.tobytes())

    size = (preprocessing.height, preprocessing.width)
    return ExportedRows(cameras, size, rows, png_of, skipped)
