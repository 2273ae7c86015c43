"""Export recordings, whose images stay as they are, or a store, whose frames become PNGs, whole or
not at all.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, import_remedy, read_file
from bcclone.dataset.decoding import decode_files
from bcclone.dataset.preprocessing import PRESETS
from bcclone.dataset.shards import MANIFEST_NAME, open_store
from bcclone.dataset.store import Store
from bcclone.exchange.exchange_settings import ExportSettings
from bcclone.exchange.formats import (
    ExchangedRow,
    ExportedRows,
    exchanged,
    format_named,
    rows_of_log,
)
from bcclone.recording.files import ImageIndex, find_logs
from bcclone.recording.log import read_log
from bcclone.recording.row import CAMERAS
from bcclone.system import atomic
from bcclone.system.errors import UserError
from bcclone.system.location import is_url, parse_location
from bcclone.system.opencv import cv2
from bcclone.system.output import NEW_FOLDER, writes
from bcclone.system.progress import ProgressBar

_TOLERATED = 0.05  # of the rows, without images that can be used
_LISTED = 10


@dataclass(frozen=True)
class ExportResult:
    """What was exported.

    format: its name; size: height and width of the images; skipped: a line for each row that is
    left out.
    """

    output: Path
    format: str
    rows: int
    episodes: int
    recordings: int
    cameras: tuple[str, ...]
    size: tuple[int, int]
    skipped: tuple[str, ...]
    seconds: float


@writes(NEW_FOLDER)
def export(settings: ExportSettings) -> ExportResult:
    """Write recordings or a store in another format.

    Raises UserError for a source that cannot be read or has too many rows without usable images, a
    target that exists, and a disk that refuses.
    """
    start, format = time.monotonic(), format_named(settings.to)
    if format.write is None:
        raise UserError(f"{settings.to}: recordings are not exported in this format")
    location = parse_location(settings.source)
    is_file = (
        not is_url(location) and location.is_file() and location.suffix.lower() in (".h5", ".hdf5")
    )
    with ExitStack() as stack:
        if is_file or (not is_url(location) and (location / MANIFEST_NAME).is_file()):
            source = _stored_rows(stack.enter_context(open_store(location)), settings)
        else:
            source = _recorded_rows(settings)
        format.write(source, stack.enter_context(atomic.replacing_folder(settings.output)))
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


def _recorded_rows(settings: ExportSettings) -> ExportedRows:
    logs = list(map(read_log, find_logs([settings.source])))
    named = {camera for log in logs for camera in log.dialect.cameras}
    cameras = tuple(camera for camera in CAMERAS if camera in (settings.cameras or named))
    rows: list[ExchangedRow] = []
    skipped: list[str] = []
    episodes = 0
    for number, log in enumerate(logs):
        rows += _usable(
            list(rows_of_log(log, ImageIndex(log.path), cameras, number, episodes)), skipped
        )
        episodes += log.episodes
    if not rows or (
        len(skipped) / (len(rows) + len(skipped)) > _TOLERATED and not settings.allow_skips
    ):
        listed = "\n".join(f"  {line}" for line in skipped[:_LISTED])
        more = f"\n  ... and {len(skipped) - _LISTED} more" if len(skipped) > _LISTED else ""
        remedy = import_remedy(skipped, settings.source) or "choose other cameras with --cameras"
        if rows:
            remedy = f"more than {_TOLERATED:.0%}; repair the recording, {remedy}, or leave them out with --allow-skips"
        counts = f"{len(skipped)} of {len(rows) + len(skipped)} rows cannot be exported"
        raise UserError(f"{settings.source}: {counts}; {remedy}; the first:\n{listed}{more}")
    return ExportedRows(cameras, (FRAME_HEIGHT, FRAME_WIDTH), rows, read_file, skipped)


def _usable(rows: Sequence[ExchangedRow], skipped: list[str]) -> Iterator[ExchangedRow]:
    """Yield the rows of a log whose images can all be decoded, with their paths; add a line for the
    others to skipped.

    rows: with a name and a path for each image.
    """
    files = list(dict.fromkeys(file for row in rows for _, file in row.images.values() if file))
    errors: dict[str | None, str] = {None: " is missing"}  # path -> why it cannot be used
    checked = 0
    with ProgressBar("checking", len(files), "images") as progress:
        for decoded in decode_files(files, PRESETS["carnd-160x320-rgb"]):
            errors |= {
                files[checked + number]: f": {reason}" for number, reason in decoded.errors.items()
            }
            count = len(decoded.checksums) + len(decoded.errors)
            checked += count
            progress.advance(count)
    for row in rows:
        if camera := next(
            (camera for camera, (_, file) in row.images.items() if file in errors), None
        ):
            name, file = row.images[camera]
            reason = (
                f"image {name}{errors[file]}"
                if name
                else f"it names no image of the {camera} camera"
            )
            skipped.append(f"{row.place}: {reason}")
        else:
            yield replace(row, images={camera: file for camera, (_, file) in row.images.items()})


def _stored_rows(store: Store, settings: ExportSettings) -> ExportedRows:
    preprocessing = store.preprocessing
    if preprocessing.color != "RGB":
        raise UserError(
            f"{store.path}: its frames are {preprocessing.describe()}, expected RGB; export its recordings: "
            f"{', '.join(str(recording.path.parent) for recording in store.recordings[:3])}"
        )
    cameras = tuple(
        camera
        for camera in CAMERAS
        if camera in (settings.cameras or store.sample_settings.cameras)
    )
    rows, skipped = [], []
    for index, row in enumerate(store.rows):
        frames = {camera: int(row[f"frame_{camera}"]) for camera in cameras}
        if missing := [camera for camera, frame in frames.items() if frame < 0]:
            skipped.append(f"{store.path}: row {index}: no frame of the {missing[0]} camera")
        else:
            rows.append(exchanged(row, int(row["recording"]), frames))
    if not rows:
        raise UserError(
            f"{store.path}: no row has frames of the cameras {', '.join(cameras)}; choose other --cameras"
        )

    def png_of(frame: int) -> bytes:
        pixels = np.ascontiguousarray(store.frames[frame])
        return bytes(cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes())

    return ExportedRows(cameras, (preprocessing.height, preprocessing.width), rows, png_of, skipped)
