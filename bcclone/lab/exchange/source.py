"""Open the source of an export: recordings, whose images stay as they are, or a store, whose frames become PNGs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bcclone.cluster.manifest import MANIFEST_NAME
from bcclone.cluster.shards import open_store
from bcclone.dataset.images import FRAME_HEIGHT, FRAME_WIDTH, read_file
from bcclone.dataset.prepared_files import decode_files
from bcclone.dataset.preprocessing import PRESETS
from bcclone.dataset.store import Store
from bcclone.lab.exchange.exchange_settings import ExportSettings
from bcclone.lab.exchange.rows import ExchangedRow, Source, encode_png
from bcclone.recording.drivers import BY_MODEL, DrivenRow, read_drivers
from bcclone.recording.files import ImageIndex, find_logs
from bcclone.recording.log import read_log
from bcclone.recording.row import CAMERAS
from bcclone.recording.run_tables import TracePoint, read_trace
from bcclone.system.errors import UserError
from bcclone.system.location import Location, as_local, is_url, parse_location
from bcclone.system.progress import ProgressBar

_MOST_SKIPPED = 0.05
_LISTED = 10
_WHOLE_FRAME = PRESETS["carnd-160x320-rgb"]

Row = Mapping[Any, Any]  # a row of a log's table, or of a store's


@dataclass
class _Recording:
    """A log with its tables. rows: at first all, then the usable ones; cameras: in the log."""

    log: Location
    index: ImageIndex
    rows: Sequence[Row]
    episodes: int
    drivers: Mapping[str, DrivenRow]
    trace: Mapping[str, TracePoint]
    cameras: tuple[str, ...]

    def exchanged(self, row: Row, number: int, episodes: int, cameras: Sequence[str]) -> ExchangedRow:
        """Return a row with its images. number: of the recording; episodes: in the recordings before it."""
        images = {camera: read_file(str(self.index.find(row[camera]))) for camera in cameras}
        return replace(
            _exchanged(row, number, images),
            episode=episodes + int(row["episode"]),
            driven=self.drivers.get(row["center"], BY_MODEL) if self.drivers else None,
            point=self.trace.get(row["center"]),
        )


@contextmanager
def open_source(settings: ExportSettings) -> Iterator[Source]:
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


def _recorded_rows(settings: ExportSettings) -> Source:
    recordings = [_read(path) for path in find_logs([settings.source])]
    named = {camera for recording in recordings for camera in recording.cameras}
    cameras = tuple(camera for camera in CAMERAS if camera in (settings.cameras or named))
    read = sum(len(recording.rows) for recording in recordings)
    skipped = [line for recording in recordings for line in _leave_out_unusable(recording, cameras)]
    kept = read - len(skipped)
    if not kept or (len(skipped) / read > _MOST_SKIPPED and not settings.allow_skips):
        listed = "\n".join(f"  {line}" for line in skipped[:_LISTED])
        more = f"\n  ... and {len(skipped) - _LISTED} more" if len(skipped) > _LISTED else ""
        remedy = "choose other cameras with --cameras" if not kept else (
            f"more than {_MOST_SKIPPED:.0%}; repair the recording, choose other --cameras, or leave them out with "
            "--allow-skips"
        )  # fmt: skip
        raise UserError(
            f"{settings.source}: {len(skipped)} of {read} rows cannot be exported, {remedy}:\n{listed}{more}"
        )

    def rows() -> Iterator[ExchangedRow]:
        episodes = 0
        for number, recording in enumerate(recordings):
            for row in recording.rows:
                yield recording.exchanged(row, number, episodes, cameras)
            episodes += recording.episodes

    return Source(
        cameras=cameras,
        size=(FRAME_HEIGHT, FRAME_WIDTH),
        rows=kept,
        skipped=tuple(skipped),
        rows_per_second=_rate([[row["time_ms"] for row in recording.rows] for recording in recordings]),
        read=rows,
        has_drivers=any(recording.drivers for recording in recordings),
        has_trace=any(recording.trace for recording in recordings),
    )


def _rate(times_ms: Iterable[Sequence[int]]) -> int:
    """Return the usual rows per second, at least 1. times_ms: of the rows of each recording."""
    between_ms = np.concatenate([np.diff(np.asarray(times, np.int64)) for times in times_ms])
    return max(round(1000 / max(float(np.median(between_ms)), 1.0)), 1) if len(between_ms) else 1


def _read(path: Location) -> _Recording:
    log = read_log(path)
    return _Recording(
        log=path,
        index=ImageIndex(path),
        rows=log.rows.to_dict("records"),
        episodes=log.episodes,
        drivers=read_drivers(path.parent),
        trace={} if is_url(path) else read_trace(as_local(path.parent)),
        cameras=log.dialect.cameras,
    )


def _leave_out_unusable(recording: _Recording, cameras: Sequence[str]) -> list[str]:
    """Keep the rows whose images can all be decoded; return a line for each of the others."""
    files: dict[str, str] = {}  # path -> why it cannot be used, or ""
    for row in recording.rows:
        files.update((path, "") for camera in cameras if (path := recording.index.find(row[camera])))
    paths, checked = list(files), 0
    with ProgressBar(f"checking {recording.log.name}", len(paths), "images") as progress:
        for decoded in decode_files(paths, _WHOLE_FRAME):
            count = len(decoded.checksums) + len(decoded.errors)
            files.update((paths[checked + index], reason) for index, reason in decoded.errors.items())
            checked += count
            progress.advance(count)
    usable, lines = [], []
    for row in recording.rows:
        if reason := _why_not(row, recording.index, cameras, files):
            lines.append(f"{recording.log}: row {row['line']}: {reason}")
        else:
            usable.append(row)
    recording.rows = usable
    return lines


def _why_not(row: Row, index: ImageIndex, cameras: Sequence[str], files: Mapping[str, str]) -> str:
    """Return why a row cannot be used, or ""."""
    for camera in cameras:
        path = index.find(row[camera])
        if path is None:
            return f"image {row[camera]} is missing" if row[camera] else f"it names no image of the {camera} camera"
        if files[path]:
            return f"image {row[camera]}: {files[path]}"
    return ""


def _stored_rows(store: Store, settings: ExportSettings) -> Source:
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
            images = {camera: encode_png(store.frames[int(row[f"frame_{camera}"])]) for camera in cameras}
            yield _exchanged(row, int(row["recording"]), images)

    return Source(
        cameras=cameras,
        size=(preprocessing.height, preprocessing.width),
        rows=len(usable),
        skipped=tuple(skipped),
        rows_per_second=_rate([times[store.rows["recording"] == number] for number in range(len(store.recordings))]),
        read=rows,
    )


def _exchanged(row: Any, recording: int, images: Mapping[str, bytes]) -> ExchangedRow:
    """Return a row of a log or of a store."""
    return ExchangedRow(
        recording=recording,
        episode=int(row["episode"]),
        time_ms=int(row["time_ms"]),
        images=images,
        steering=float(row["steering"]),
        throttle=float(row["throttle"]),
        brake=float(row["brake"]),
        speed_mph=float(row["speed_mph"]),
    )
