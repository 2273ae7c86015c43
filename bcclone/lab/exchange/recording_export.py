"""Export recordings, whose images stay as they are, or a store, whose frames become PNGs, whole or not at all."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.cluster.shards import MANIFEST_NAME, open_store
from bcclone.dataset.images import FRAME_HEIGHT, FRAME_WIDTH, Image, read_file
from bcclone.dataset.preprocessing import PRESETS, decode_files
from bcclone.dataset.store import Store
from bcclone.lab.exchange.exchange_settings import ExportSettings
from bcclone.lab.exchange.formats import ExchangedRow, ExportedRows, format_named
from bcclone.recording.files import ImageIndex, find_logs
from bcclone.recording.log import Log, read_log
from bcclone.recording.row import CAMERAS, NUMBERS
from bcclone.recording.run_tables import BY_MODEL, DrivenRow, TracePoint, read_drivers, read_trace
from bcclone.system import atomic
from bcclone.system.errors import UserError
from bcclone.system.location import Location, as_local, is_url, parse_location
from bcclone.system.opencv import cv2
from bcclone.system.progress import ProgressBar


@dataclass(frozen=True)
class ExportResult:
    """What was exported.

    format: its name; size: height and width of the images; skipped: a line for each row that is left out.
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


def export(settings: ExportSettings) -> ExportResult:
    """Write recordings or a store in another format.

    Raises UserError for a source that cannot be read, a target that exists, a missing package, and a disk that refuses.
    """
    start, format = time.monotonic(), format_named(settings.to)
    if format.write is None:
        raise UserError(f"{settings.to}: recordings are not exported in this format")
    atomic.check_new_folder(settings.output)
    format.check_package()
    episodes: set[int] = set()
    recordings: set[int] = set()
    with _open_source(settings) as source, ProgressBar(f"writing {settings.output.name}", source.rows, "rows") as bar:

        def counted() -> Iterator[ExchangedRow]:
            for row in source:
                episodes.add(row.episode)
                recordings.add(row.recording)
                yield row
                bar.advance(1)

        with atomic.replacing_folder(settings.output) as folder:
            format.write(replace(source, read=counted), folder)
    return ExportResult(
        output=settings.output,
        format=settings.to,
        rows=source.rows,
        episodes=len(episodes),
        recordings=len(recordings),
        cameras=source.cameras,
        size=source.size,
        skipped=source.skipped,
        seconds=round(time.monotonic() - start, 2),
    )


_TOLERATED = 0.05  # of the rows, without images that can be used
_LISTED = 10
_WHOLE_FRAME = PRESETS["carnd-160x320-rgb"]

Row = Mapping[Any, Any]  # a row of a log's table, or of a store's


@dataclass(frozen=True)
class _Usable:
    """A log whose images can be used.

    rows: the usable ones, and the paths of their images by camera; skipped: a line for each other row; episodes: in
    the whole log.
    """

    rows: Sequence[tuple[Row, Mapping[str, str]]]
    skipped: Sequence[str]
    episodes: int
    drivers: Mapping[str, DrivenRow]
    trace: Mapping[str, TracePoint]


@contextmanager
def _open_source(settings: ExportSettings) -> Iterator[ExportedRows]:
    """Open recordings or a store; raises UserError for anything else, and for too many rows without usable images."""
    location = parse_location(settings.source)
    if _is_store(location):
        with open_store(location) as store:
            yield _stored_rows(store, settings)
    else:
        yield _recorded_rows(settings)


def _is_store(location: Location) -> bool:
    if is_url(location) or not location.exists():
        return False
    return (location / MANIFEST_NAME).is_file() if location.is_dir() else location.suffix.lower() in (".h5", ".hdf5")


def _recorded_rows(settings: ExportSettings) -> ExportedRows:
    logs = {path: read_log(path) for path in find_logs([settings.source])}
    named = {camera for log in logs.values() for camera in log.dialect.cameras}
    cameras = tuple(camera for camera in CAMERAS if camera in (settings.cameras or named))
    recordings = [_usable(path, log, cameras) for path, log in logs.items()]
    skipped = [line for recording in recordings for line in recording.skipped]
    usable = sum(len(recording.rows) for recording in recordings)
    if not usable or (len(skipped) / (usable + len(skipped)) > _TOLERATED and not settings.allow_skips):
        listed = "\n".join(f"  {line}" for line in skipped[:_LISTED])
        more = f"\n  ... and {len(skipped) - _LISTED} more" if len(skipped) > _LISTED else ""
        remedy = "choose other cameras with --cameras" if not usable else (
            f"more than {_TOLERATED:.0%}; repair the recording, choose other --cameras, or leave them out with "
            "--allow-skips"
        )  # fmt: skip
        counts = f"{len(skipped)} of {usable + len(skipped)} rows cannot be exported"
        raise UserError(f"{settings.source}: {counts}, {remedy}:\n{listed}{more}")

    def rows() -> Iterator[ExchangedRow]:
        episodes = 0
        for number, recording in enumerate(recordings):
            for row, paths in recording.rows:
                images = {camera: read_file(path) for camera, path in paths.items()}
                driven = recording.drivers.get(row["center"], BY_MODEL) if recording.drivers else None
                point = recording.trace.get(row["center"])
                yield _exchanged(row, number, images, episodes, driven=driven, point=point)
            episodes += recording.episodes

    return ExportedRows(
        cameras=cameras,
        size=(FRAME_HEIGHT, FRAME_WIDTH),
        rows=usable,
        skipped=tuple(skipped),
        rows_per_second=_rate([[row["time_ms"] for row, _ in recording.rows] for recording in recordings]),
        read=rows,
        has_drivers=any(recording.drivers for recording in recordings),
        has_trace=any(recording.trace for recording in recordings),
    )


def _rate(times_ms: Iterable[Sequence[int]]) -> int:
    """Return the usual rows per second, at least 1. times_ms: of the rows of each recording."""
    between_ms = np.concatenate([np.diff(np.asarray(times, np.int64)) for times in times_ms])
    return max(round(1000 / max(float(np.median(between_ms)), 1.0)), 1) if len(between_ms) else 1


def _usable(path: Location, log: Log, cameras: Sequence[str]) -> _Usable:
    """Return the rows of a log whose images can all be decoded."""
    index, rows = ImageIndex(path), log.rows.to_dict("records")
    found = [{camera: index.find(row[camera]) for camera in cameras} for row in rows]
    files = list(dict.fromkeys(file for of_row in found for file in of_row.values() if file))
    errors: dict[str | None, str] = {None: ""}  # path -> why it cannot be used
    checked = 0
    with ProgressBar(f"checking {path.name}", len(files), "images") as progress:
        for decoded in decode_files(files, _WHOLE_FRAME):
            errors |= {files[checked + number]: f": {reason}" for number, reason in decoded.errors.items()}
            count = len(decoded.checksums) + len(decoded.errors)
            checked += count
            progress.advance(count)
    usable, skipped = [], []
    for row, of_row in zip(rows, found, strict=True):
        if camera := next((camera for camera, file in of_row.items() if file in errors), None):
            name, reason = row[camera], errors[of_row[camera]] or " is missing"
            reason = f"image {name}{reason}" if name else f"it names no image of the {camera} camera"
            skipped.append(f"{path}: row {row['line']}: {reason}")
        else:
            usable.append((row, {camera: str(file) for camera, file in of_row.items()}))
    trace = {} if is_url(path) else read_trace(as_local(path.parent))
    return _Usable(usable, skipped, log.episodes, read_drivers(path.parent), trace)


def _stored_rows(store: Store, settings: ExportSettings) -> ExportedRows:
    preprocessing = store.preprocessing
    if preprocessing.color != "RGB":
        raise UserError(
            f"{store.path}: its frames are {preprocessing.describe()}, expected RGB; export its recordings: "
            f"{', '.join(str(recording.path.parent) for recording in store.recordings[:3])}"
        )
    cameras = tuple(camera for camera in CAMERAS if camera in (settings.cameras or store.sample_settings.cameras))
    usable, skipped = [], []
    for index, row in enumerate(store.rows):
        missing = [camera for camera in cameras if row[f"frame_{camera}"] < 0]
        if missing:
            skipped.append(f"{store.path}: row {index}: no frame of the {missing[0]} camera")
        else:
            usable.append(index)
    if not usable:
        raise UserError(f"{store.path}: no row has frames of the cameras {', '.join(cameras)}; choose other --cameras")
    times = store.rows["time_ms"]

    def rows() -> Iterator[ExchangedRow]:
        for index in usable:
            row = store.rows[index]
            images = {camera: _png_of(store.frames[int(row[f"frame_{camera}"])]) for camera in cameras}
            yield _exchanged(row, int(row["recording"]), images)

    return ExportedRows(
        cameras=cameras,
        size=(preprocessing.height, preprocessing.width),
        rows=len(usable),
        skipped=tuple(skipped),
        rows_per_second=_rate([times[store.rows["recording"] == number] for number in range(len(store.recordings))]),
        read=rows,
    )


def _exchanged(row: Any, recording: int, images: Mapping[str, bytes], episodes: int = 0, **tables: Any) -> ExchangedRow:
    """Return a row of a log or of a store. episodes: of the recordings before; tables: driven and point."""
    numbers: Any = [float(row[name]) for name in NUMBERS]
    return ExchangedRow(recording, episodes + int(row["episode"]), int(row["time_ms"]), images, *numbers, **tables)


def _png_of(frame: Image) -> bytes:
    """Return an RGB frame, uint8 (height, width, 3), as the content of a PNG file."""
    _, content = cv2.imencode(".png", cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2BGR))
    return bytes(content.tobytes())
