"""The row that every import reads and every export writes, and the files of a source.

A reader of a source yields each row as a `Row`, or as a `LeftOut` that says why it cannot be used.
row_of() makes a checked row from the values of a record, recorded_row() from a row of a log or of a
store. recording_import.py replaces a row's images by frames. No file outside of a source's folder
is opened.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.camera.framing import Framing
from bcclone.recording.row import NUMBERS, RowError, check_numbers
from bcclone.recording.run_tables import DrivenBy, TracePoint
from bcclone.system.codec import (
    FileKind,
    UnfitFile,
    explained,
    number,
    one_line,
    path_inside,
    read_bytes,
    whole_number,
)
from bcclone.system.errors import UserError
from bcclone.system.location import is_hidden

WHOLE_NUMBERS = ("recording", "episode", "time_ms")  # the whole numbers that every row has
# values of a TracePoint, except its track
POINT = ("trace_seconds", "x_m", "z_m", "cross_track_m")
FIELDS = (*WHOLE_NUMBERS, *NUMBERS, "driver", "take_over", "track", *POINT)  # the values of a row

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff")

# the kinds of rows that are left out, by the reason
EMPTY = "empty_images"
UNREADABLE = "unreadable_images"
MISSING = "records_without_image"
BROKEN = "broken_lines"
KINDS = {  # kind -> words for one such row
    EMPTY: "empty image",
    UNREADABLE: "unreadable image",
    MISSING: "missing image",
    BROKEN: "broken line",
}
# largest share of the rows that may have a number out of its range by accident; if there are more,
# the unit or the column is wrong
ACCIDENTS_SHARE = 0.01


class LeftOut(RowError):
    """A row of a source that cannot be used, which a reader yields in its place.

    The text is the reason; `kind` is a key of KINDS, `place` the file and row.
    """

    def __init__(self, reason: str, kind: str = BROKEN, place: str = "") -> None:
        super().__init__(reason)
        self.kind = kind
        self.place = place

    @classmethod
    def of(cls, place: str, error: ValueError) -> "LeftOut":
        """Return the row at a place, which an error makes unusable."""
        kind = error.kind if isinstance(error, LeftOut) else BROKEN
        return cls(str(error), kind, place)

    @property
    def shown(self) -> str:
        """Return place and reason."""
        return f"{self.place}: {self}"


@dataclass(frozen=True, slots=True)
class CameraPath:
    """How the camera of a film moved around the time of a row, as motion.csv states it."""

    curvature: float  # positive to the right, in 1 / camera height
    error: float  # standard error of the curvature
    speed: float  # camera heights a second

    def row(self, image: str) -> str:
        """Return the row of motion.csv for an image's base name."""
        return f"{image},{self.curvature:.6f},{self.error:.6f},{self.speed:.4f}"


@dataclass(frozen=True, slots=True)
class Row:
    """A row with all of its values; the numbers of a log are kept exactly.

    Raises RowError for numbers out of range.
    """

    recording: int  # number from 0
    episode: int  # number from 0, counted through all recordings
    time_ms: int  # milliseconds since 1970 on the recorder's clock
    images: Mapping[str, Any]  # camera -> content of an image file, or a VideoFrame
    steering: float  # -1 left to 1 right
    throttle: float  # -1 to 1
    brake: float  # 0 to 1
    speed_mph: float
    driven: DrivenBy | None = None  # who drove
    point: TracePoint | None = None  # where a simulated car was
    deleted: bool = False  # the source marks the row as deleted
    place: str = ""  # file and row of an imported row, for messages
    record_number: int = -1  # number of the record, if the row is from a tub
    # what the import adds, when the images have become frames
    framing: Framing | None = None  # made the frames; None if the images were frames already
    source_ms: int = 0  # time of the row in the source, which other images may have, too
    size: tuple[int, int] = (0, 0)  # width and height of the centre image in the source
    converted: int = 0  # how many of the images were no frames already
    path: CameraPath | None = None  # path from which the steering of a film is estimated

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
        """Return name in FIELDS -> value; driver and point have entries only if they are known."""
        values = {name: getattr(self, name) for name in (*WHOLE_NUMBERS, *NUMBERS)}
        if self.driven:
            values["driver"] = self.driven.driver
            values["take_over"] = self.driven.take_over
        if self.point:
            values["track"] = self.point.track
            values["trace_seconds"] = self.point.seconds
            values["x_m"] = self.point.x_m
            values["z_m"] = self.point.z_m
            values["cross_track_m"] = self.point.cross_track_m
        return values


Items = Generator[Row | LeftOut, None, None]  # what a reader yields; closing it closes the source


def row_of(
    values: Mapping[str, Any],
    images: Mapping[str, Any],
    place: str,
    deleted: bool = False,
    called: Mapping[str, str] | None = None,
) -> Row:
    """Return the checked row of a record; raises ValueError for wrong values.

    values: name in FIELDS -> value. Only time_ms and steering are needed; but where a source has a
        column for throttle, brake or speed_mph, its value must not be None or "".
    called: name in FIELDS -> what the source calls the value, for messages
    """
    names = {name: name for name in FIELDS} | dict(called or {})
    filled = {name: value for name, value in values.items() if value not in (None, "")}
    # each row must have the time, the steering, and every number for which the source has a column
    needed = {"time_ms", "steering"} | (values.keys() & set(NUMBERS))
    missing = [names[name] for name in FIELDS if name in needed - filled.keys()]
    if missing:
        raise RowError(f"no {missing[0]!r}")
    checked: dict[str, Any] = {}
    for name in WHOLE_NUMBERS:
        checked[name] = whole_number(names[name], filled.get(name, 0))
    for name in NUMBERS:
        checked[name] = number(names[name], filled.get(name, 0.0))
    driven = None
    if driver := filled.get("driver"):
        take_over = whole_number(names["take_over"], filled.get("take_over", 0))
        driven = DrivenBy(driver, take_over or None)
    point = None
    if track := filled.get("track"):
        seconds, *metres = [number(names[name], filled.get(name)) for name in POINT]
        point = TracePoint(seconds, one_line(names["track"], track), *metres)
    return Row(**checked, images=images, driven=driven, point=point, deleted=deleted, place=place)


def recorded_row(
    row: Any, recording: int, images: Mapping[str, Any], first_episode: int = 0, **more: Any
) -> Row:
    """Return a row of a log or of a store.

    row: name of a column -> value
    first_episode: number that the recording's first episode gets
    more: driven, point and place, where they are known
    """
    return Row(
        recording=recording,
        episode=first_episode + int(row["episode"]),
        time_ms=int(row["time_ms"]),
        images=images,
        steering=float(row["steering"]),
        throttle=float(row["throttle"]),
        brake=float(row["brake"]),
        speed_mph=float(row["speed_mph"]),
        **more,
    )


# ---- the files of a source


def read_image(folder: Path, name: str) -> bytes:
    """Return the content of an image that a row names.

    Raises LeftOut if it cannot be read or is outside of the folder.
    """
    try:
        return read_inside(folder, name, "image")
    except OSError as error:
        kind = MISSING if isinstance(error, FileNotFoundError) else UNREADABLE
        raise LeftOut(f"image {name[:200]!r} cannot be read: {error.strerror}", kind) from None


def read_inside(folder: Path, name: str, file_kind: FileKind) -> bytes:
    """Return the content of a file that a source names.

    Raises OSError if it cannot be read or is outside of the folder.

    file_kind: limits the size, as in read_bytes()
    """
    try:
        path = path_inside(folder, name)
    except ValueError as error:
        raise UnfitFile(folder / name, str(error)) from None
    return read_bytes(path, file_kind)


def file_of(source: Path, name: str) -> Path:
    """Return the file of this name in a source that is a folder, or the source itself.

    Raises UserError for a link that leads out of the folder.
    """
    if not source.is_dir():
        return source
    try:
        path_inside(source, name)
    except ValueError as error:
        raise UserError(f"{source / name}: {error}; name the file itself", exit_code=2) from None
    return source / name


def files_inside(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Return a folder's files with one of the endings, without hidden ones.

    Raises UserError for a link that leads out of the folder.
    """
    with explained(folder, "", "name the folder of the source"):
        paths = sorted(
            path
            for path in folder.iterdir()
            if path.name.lower().endswith(endings) and not is_hidden(path.name)
        )
    return [file_of(folder, path.name) for path in paths]


def suffix_of(image: bytes) -> str:
    """Return the ending of an image file with this content."""
    return ".png" if image.startswith(b"\x89PNG") else ".jpg"
