"""The row that every export writes and every import reads; and what else a reader yields.

A reader of a source yields each row as an `ExchangedRow`, or as a `LeftOut` that says why it cannot
be used; and `SourceFacts`, after the last row. row_of() makes a checked row from the values of
a record, recorded_row() from a row of a log or of a store.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bcclone.recording.row import NUMBERS, RowError, check_numbers
from bcclone.recording.run_tables import DrivenBy, TracePoint
from bcclone.system.codec import number, one_line, whole_number

WHOLE_NUMBERS = ("recording", "episode", "time_ms")  # the whole numbers that every row has
# values of a TracePoint, except its track
POINT = ("trace_seconds", "x_m", "z_m", "cross_track_m")
FIELDS = (*WHOLE_NUMBERS, *NUMBERS, "driver", "take_over", "track", *POINT)  # the values of a row

# the kinds of rows that are left out, by the reason
EMPTY = "empty_images"
UNREADABLE = "unreadable_images"
MISSING = "records_without_image"
BROKEN = "broken_lines"
KINDS = {  # kind -> words for one such row
    EMPTY: "empty image",
    UNREADABLE: "unreadable image",
    MISSING: "record without image",
    BROKEN: "broken line",
}
# largest share of the rows that may have a number out of its range by accident; if there are more,
# the unit or the column is wrong
ACCIDENTS_SHARE = 0.01


class UnusableImage(RowError):
    """A row without an image that can be used.

    kind: key of KINDS
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class ExchangedRow:
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


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row of a source that cannot be used."""

    place: str  # file and row
    reason: str
    kind: str = BROKEN  # key of KINDS

    @classmethod
    def of(cls, place: str, error: ValueError) -> "LeftOut":
        """Return the row at a place, which an error makes unusable."""
        kind = error.kind if isinstance(error, UnusableImage) else BROKEN
        return cls(place, str(error), kind)

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What a reader says of a source besides its rows."""

    notes: Sequence[str] = ()  # how the source was read, in words
    columns_left_out: Sequence[str] = ()  # columns that were not read
    images_without_record: int = 0  # image files that no row names
    # frames of a video that the table has no row for; they count as rows that are left out
    frames_without_row: int = 0


@dataclass(frozen=True, slots=True)
class BelowThrottle:
    """A row that --min-throttle leaves out."""

    throttle: float  # positive if the car drives forwards


SourceItem = ExchangedRow | LeftOut | SourceFacts  # what a reader yields
# what the stages after the reader pass on as it is, until left_out.Tally counts it
Passed = LeftOut | BelowThrottle | SourceFacts


def rows_among(items: Iterable[SourceItem]) -> Iterator[ExchangedRow]:
    """Yield the rows that a reader yields, and nothing else."""
    return (item for item in items if isinstance(item, ExchangedRow))


def row_of(
    values: Mapping[str, Any],
    images: Mapping[str, Any],
    place: str,
    deleted: bool = False,
    called: Mapping[str, str] | None = None,
) -> ExchangedRow:
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
    return ExchangedRow(
        **checked,
        images=images,
        driven=_driven_of(filled, names),
        point=_point_of(filled, names),
        deleted=deleted,
        place=place,
    )


def _driven_of(values: Mapping[str, Any], names: Mapping[str, str]) -> DrivenBy | None:
    driver = values.get("driver")
    if not driver:
        return None
    take_over = whole_number(names["take_over"], values.get("take_over", 0))
    return DrivenBy(driver, take_over or None)


def _point_of(values: Mapping[str, Any], names: Mapping[str, str]) -> TracePoint | None:
    track = values.get("track")
    if not track:
        return None
    seconds, *metres = [number(names[name], values.get(name)) for name in POINT]
    return TracePoint(seconds, one_line(names["track"], track), *metres)


def recorded_row(
    row: Any, recording: int, images: Mapping[str, Any], first_episode: int = 0, **more: Any
) -> ExchangedRow:
    """Return a row of a log or of a store.

    row: name of a column -> value
    first_episode: number that the recording's first episode gets
    more: driven, point and place, where they are known
    """
    return ExchangedRow(
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
