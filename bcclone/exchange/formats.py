"""The row that every export writes and every import reads, and the description of a format."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.exchange.exchange_settings import IMPORT_FORMATS, ImportSettings
from bcclone.recording.files import ImageIndex
from bcclone.recording.log import Log
from bcclone.recording.row import CAMERAS, NUMBERS, RowError, check_numbers
from bcclone.recording.run_tables import BY_MODEL, DrivenRow, TracePoint, read_drivers, read_trace
from bcclone.system.codec import (
    UnfitFile,
    explained,
    number,
    one_line,
    path_inside,
    read_bytes,
    whole_number,
)
from bcclone.system.errors import UserError, require_package
from bcclone.system.progress import ProgressBar

if TYPE_CHECKING:
    from bcclone.exchange.left_out import Findings

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
POINT = ("trace_seconds", "x_m", "z_m", "cross_track_m")  # a TracePoint without its track
FIELDS = (
    "recording",
    "episode",
    "time_ms",
    *NUMBERS,
    "driver",
    "take_over",
    "track",
    *POINT,
)  # of row_of()
EMPTY, UNREADABLE, MISSING, BROKEN = (
    "empty_images",
    "unreadable_images",
    "records_without_image",
    "broken_lines",
)
# why rows are left out -> the words for one row
KINDS = {
    EMPTY: "empty image", UNREADABLE: "unreadable image", MISSING: "record without image", BROKEN: "broken line",
}  # fmt: skip


class UnusableImage(RowError):
    """A row without an image that can be used. kind: one of KINDS."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class ExchangedRow:
    """A row with all of its values.

    recording, episode: numbers from 0, the episodes counted through all recordings; time_ms:
    milliseconds since 1970 on the recorder's clock; images: camera -> content of a JPEG or PNG
    file, or of an imported video a VideoFrame; steering, throttle -1..1, brake 0..1, speed in mph,
    the values of the log to the last bit; driven: who drove; point: where a simulated car was;
    deleted: whether the source marks the row as deleted; place: file and row of an imported row,
    for messages; number: of the record of a tub. Raises RowError for numbers out of range.
    """

    recording: int
    episode: int
    time_ms: int
    images: Mapping[str, Any]
    steering: float
    throttle: float
    brake: float
    speed_mph: float
    driven: DrivenRow | None = None
    point: TracePoint | None = None
    deleted: bool = False
    place: str = ""
    number: int = -1

    def __post_init__(self) -> None:
        if min(self.recording, self.episode) < 0:
            raise RowError(
                f"recording {self.recording}, episode {self.episode}, expected 0 or more of each"
            )
        check_numbers(*self.numbers)

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        return self.steering, self.throttle, self.brake, self.speed_mph

    def values(self) -> dict[str, Any]:
        """Return the values under the names of FIELDS; who drove and the point only where they are
        known.
        """
        values = {name: getattr(self, name) for name in (*FIELDS[:3], *NUMBERS)}
        if self.driven:
            values |= {"driver": self.driven.driver, "take_over": self.driven.take_over}
        if self.point:
            place = self.point.seconds, self.point.x_m, self.point.z_m, self.point.cross_track_m
            values |= {"track": self.point.track, **dict(zip(POINT, place, strict=True))}
        return values


def row_of(
    values: Mapping[str, Any],
    images: Mapping[str, Any],
    place: str,
    deleted: bool = False,
    called: Mapping[str, str] | None = None,
) -> ExchangedRow:
    """Return the checked row of a record, whose values have the names of FIELDS; raises ValueError
    for wrong ones.

    Only time_ms and steering are needed, but a number that is there must not be None or "". called:
    what the source calls a value, for messages.
    """
    names = {name: name for name in FIELDS} | dict(called or {})
    filled = {name: value for name, value in values.items() if value not in (None, "")}
    needed = {"time_ms", "steering", *values} & {"time_ms", *NUMBERS}
    if missing := [names[name] for name in FIELDS if name in needed - filled.keys()]:
        raise RowError(f"no {missing[0]!r}")
    recording, episode, time_ms = (
        whole_number(names[name], filled.get(name, 0)) for name in FIELDS[:3]
    )
    numbers: dict[str, Any] = {name: number(names[name], filled.get(name, 0.0)) for name in NUMBERS}
    driven, point = None, None
    if driver := filled.get("driver"):
        take_over = whole_number(names["take_over"], filled.get("take_over", 0))
        driven = DrivenRow(driver, take_over or None)
    if track := filled.get("track"):
        seconds, *metres = (number(names[name], filled.get(name)) for name in POINT)
        point = TracePoint(seconds, one_line(names["track"], track), *metres)
    return ExchangedRow(
        recording,
        episode,
        time_ms,
        images,
        **numbers,
        driven=driven,
        point=point,
        deleted=deleted,
        place=place,
    )


def exchanged(
    row: Any, recording: int, images: Mapping[str, Any], episodes: int = 0, **more: Any
) -> ExchangedRow:
    """Return a row of a log or of a store. episodes: of the recordings before; more: driven, point
    and place.
    """
    numbers: Any = [float(row[name]) for name in NUMBERS]
    return ExchangedRow(
        recording, episodes + int(row["episode"]), int(row["time_ms"]), images, *numbers, **more
    )


def rows_of_log(
    log: Log,
    index: ImageIndex,
    cameras: Sequence[str] = CAMERAS,
    recording: int = 0,
    episodes: int = 0,
) -> Iterator[ExchangedRow]:
    """Yield the rows of a log, without those that edits leave out; images: camera -> name, and path
    or None.
    """
    drivers, trace = read_drivers(log.path.parent), read_trace(log.path.parent)
    for row in log.rows.to_dict("records"):
        images = {camera: (row[camera], index.find(row[camera])) for camera in cameras}
        driven, point = (
            drivers.get(row["center"], BY_MODEL if drivers else None),
            trace.get(row["center"]),
        )
        place = f"{log.path}: line {row['line']}"
        yield exchanged(row, recording, images, episodes, driven=driven, point=point, place=place)


@dataclass(frozen=True)
class ExportedRows:
    """Rows to export, each recording in order of time; iterating reads their images, and shows the
    progress.

    cameras: of every row; size: height and width of the images; rows: with a path or an index for
    each image; read: returns the content of an image file for it; skipped: a line for each row that
    is left out.
    """

    cameras: tuple[str, ...]
    size: tuple[int, int]
    rows: Sequence[ExchangedRow]
    read: Callable[[Any], bytes]
    skipped: Sequence[str]

    @property
    def has_drivers(self) -> bool:
        return any(row.driven for row in self.rows)

    @property
    def has_trace(self) -> bool:
        return any(row.point for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[ExchangedRow]:
        with ProgressBar("writing", len(self), "rows") as progress:
            for row in self.rows:
                yield replace(
                    row, images={camera: self.read(image) for camera, image in row.images.items()}
                )
                progress.advance(1)


@dataclass(frozen=True)
class Format:
    """A format, which one module defines as FORMAT.

    name: as in exchange_settings; detect: says whether a path is a source of it; read: yields the
    rows that can be used and counts the others; write: writes rows into an empty folder, None where
    the format is only imported; needs: a package and the extra that installs it; options: the
    settings of tables that it reads; expected: in a folder of it, for messages.
    """

    name: str
    detect: Callable[[Path], bool]
    read: Callable[[ImportSettings, "Findings"], Iterator[ExchangedRow]]
    write: Callable[[ExportedRows, Path], None] | None = None
    needs: tuple[str, str] | None = None
    options: frozenset[str] = frozenset()
    expected: str = ""

    def check_package(self) -> None:
        """Raise UserError if the package that it needs is missing."""
        if self.needs:
            require_package(self.needs[0], f"the format {self.name}", self.needs[1])


def format_named(name: str) -> Format:
    found: Format = import_module(f"bcclone.exchange.{IMPORT_FORMATS[name]}").FORMAT
    return found


def read_image(folder: Path, name: str) -> bytes:
    """Return the content of an image that a row names; raises RowError, also for one outside the
    folder.
    """
    try:
        return read_inside(folder, name, "image")
    except OSError as error:
        kind = MISSING if isinstance(error, FileNotFoundError) else UNREADABLE
        raise UnusableImage(
            kind, f"image {name[:200]!r} cannot be read: {error.strerror}"
        ) from None


def read_inside(folder: Path, name: str, container: Any) -> bytes:
    """Return the content of a file that a source names; raises OSError, also for one outside the
    folder.
    """
    try:
        path = path_inside(folder, name)
    except ValueError as error:
        raise UnfitFile(folder / name, str(error)) from None
    return read_bytes(path, container)


def file_of(source: Path, name: str) -> Path:
    """Return a file that was named, or the one of this name in a folder; raises UserError if it
    leads out.
    """
    if not source.is_dir():
        return source
    try:
        path_inside(source, name)
    except ValueError as error:
        raise UserError(f"{source / name}: {error}; name the file itself", exit_code=2) from None
    return source / name


def files_inside(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Return a folder's files with one of the endings; raises UserError for a link out of the
    folder.
    """
    with explained(folder, "", "name the folder of the source"):
        paths = sorted(path for path in folder.iterdir() if path.name.lower().endswith(endings))
    return [file_of(folder, path.name) for path in paths]


def suffix_of(image: bytes) -> str:
    """Return the ending of an image file with this content."""
    return ".png" if image.startswith(b"\x89PNG") else ".jpg"
