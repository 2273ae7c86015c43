"""The rows of an import or an export, and what an import counts of them.

A reader of a source yields each row as a `Row`, or as a `LeftOut` that says why it cannot be used.
row_of() makes a checked row from the values of a record, recorded_row() from a row of a log or of a
store. `Seen` counts the rows, and checks that enough are left.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.camera.framing import Framing
from bcclone.dataset.labels import FEWEST_STEERED, LOST_STEERING
from bcclone.recording.row import EPISODE_GAP_MS, NUMBERS, RowError, check_numbers
from bcclone.recording.run_tables import DrivenBy, TracePoint
from bcclone.recording.written_times import are_newest_first
from bcclone.system.arrays import BoolArray, FloatArray
from bcclone.system.codec import number, one_line, whole_number
from bcclone.system.errors import UserError, number_of, shown
from bcclone.system.statistics import constant

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
    MISSING: "missing image",
    BROKEN: "broken line",
}
# largest share of the rows that may have a number out of its range by accident; if there are more,
# the unit or the column is wrong
ACCIDENTS_SHARE = 0.01
_LEAST_SHARE = 0.1  # smallest share of the rows that must be usable
_STRAIGHT = 0.01  # a smaller steering counts as straight
_EXAMPLES = 3  # most examples that are listed for each of KINDS
_SHOWN_COLUMNS = 20  # most columns that are listed as not read


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
    picture: str = ""  # name of the centre image in the source; "" in a film or a data set
    size: tuple[int, int] = (0, 0)  # width and height of the centre image in the source
    converted: int = 0  # how many of the images were not frames already
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
    needed = {"time_ms", "steering"} | (values.keys() & set(NUMBERS))
    missing = [name for name in FIELDS if name in needed - filled.keys()]
    if missing:
        is_empty = values.get(missing[0]) == ""
        raise RowError(f"no {names[missing[0]]!r}{': it is empty' if is_empty else ''}")
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
    """Return a row of a log or of a store, which is name of a column -> value.

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


# ---- what an import counts


@dataclass(frozen=True)
class Summary:
    """What an import saw."""

    size: tuple[int, int]  # width and height of most images, before they are fitted
    sizes: dict[str, int]  # "160x120" -> number of images of this size
    aspect: float  # width / height of `size`
    frame_rate: float | None  # usual number of rows a second, None for a single row
    driven_seconds: float  # without the pauses
    stretches: int  # number of parts without a pause
    images_without_record: int  # image files that no row names, or frames of a video without a row
    # number of rows that are left out for each of KINDS
    records_without_image: int
    empty_images: int
    unreadable_images: int
    broken_lines: int
    # the first such rows of each kind, with file, row and reason
    left_out: tuple[str, ...]
    below_min_throttle: int  # number of rows that --min-throttle leaves out
    # number of rows with a speed of about 0; if no row has a speed, with a throttle of about 0;
    # None if the source has neither
    standing: int | None
    columns_left_out: tuple[str, ...]  # columns that were not read
    notes: tuple[str, ...]  # how the source was read, in words
    # shares of the rows that steer to the left, straight on, and to the right
    left: float
    straight: float
    right: float
    steering_mean: float  # -1 to 1, right positive
    # the picture, or else the place in the source, that is steered farthest to each side
    farthest_left: str
    farthest_right: str
    least: float  # the steering there
    greatest: float

    def lines(self) -> Iterator[str]:
        """Yield the summary in words, line by line."""
        rate = f", {self.frame_rate:g} frames a second" if self.frame_rate else ""
        parts = f" in {self.stretches} parts" if self.stretches > 1 else ""
        yield f"images: {', '.join(self.sizes)} pixels, {self.aspect:g} to 1{rate}"
        yield f"driven: {self.driven_seconds:.1f} s{parts}"
        yield from self.notes
        steering = f"{self.left:.0%} left, {self.straight:.0%} straight, {self.right:.0%} right"
        yield f"steers {steering}; {self.steering_mean:+.3f} on average"
        if self.farthest_left != self.farthest_right:
            yield (
                f"steers {self.least:+.3f}, farthest to the left, in {shown(self.farthest_left)}, "
                f"and {self.greatest:+.3f} in {shown(self.farthest_right)}: look at both"
            )
        if counts := _left_out_in_words(vars(self)):
            yield f"left out: {', '.join(counts)}"
            yield from (f"  {line}" for line in self.left_out)
        if self.below_min_throttle:
            yield f"left out: {number_of(self.below_min_throttle, 'row')} below --min-throttle"
        if self.images_without_record:
            yield f"{number_of(self.images_without_record, 'image')} without record"
        if self.standing:
            rows = number_of(self.standing, "row")
            yield f"{rows} standing still; --min-throttle leaves out rows without throttle"
        if self.columns_left_out:
            yield f"not read: {', '.join(self.columns_left_out[:_SHOWN_COLUMNS])}"


class Seen:
    """Counts the rows of an import.

    A reader sets the public fields in the thread that reads; add() is called where the rows arrive.

    min_throttle: rows with less throttle are left out; below 0, those with more, since the car
        drives forwards with a negative throttle; None to leave out none
    options: names of the settings of tables that are read here, which a remedy may name
    """

    def __init__(
        self, min_throttle: float | None = None, options: Collection[str] = frozenset()
    ) -> None:
        self.notes: list[str] = []  # how the source was read, in words
        self.columns_left_out: Sequence[str] = ()
        self.images_without_record = 0  # image files that no row names
        self.frames_without_row = 0  # of a video; they count as rows that are left out
        self.converted = 0  # images that were not frames already
        # whether the format says that 0 is straight ahead, and not the user
        self.is_middle_of_format = False
        self.steering: list[float] = []  # of each row; a film's is estimated after its last row
        self._min_throttle = min_throttle
        self._options = options
        self._below_throttle = 0
        self._pictures: dict[str, tuple[Any, ...]] = {}  # name -> values of its first row
        self._repeated = 0  # rows that are wholly equal to the first row of their picture
        self._sharing = 0  # rows with other values than the first row of their picture
        self._left_out: Counter[str] = Counter()  # key of KINDS -> number of rows
        self._examples: list[str] = []  # the first rows of each kind, with place and reason
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._numbers: list[tuple[float, float]] = []  # throttle and speed of each row
        self._shown_as: list[str] = []  # picture, or else the place, of each row
        # number of a recording -> times of its rows in milliseconds
        self._times: defaultdict[int, list[int]] = defaultdict(list)

    def takes(self, row: Row) -> bool:
        """Return whether a row is new and has the least throttle; a row that is not is counted."""
        if row.picture:
            values = (row.recording, row.episode, row.time_ms, row.numbers, row.deleted)
            first = self._pictures.setdefault(row.picture, values)
            if first is not values and first == values:
                self._repeated += 1
                return False
            self._sharing += first is not values
        least = self._min_throttle
        if least is None or (row.throttle <= least if least < 0 else row.throttle >= least):
            return True
        self._below_throttle += 1
        return False

    def add(self, item: Row | LeftOut) -> None:
        """Count a row with frames, or one that is left out."""
        if isinstance(item, LeftOut):
            self._left_out[item.kind] += 1
            if self._left_out[item.kind] <= _EXAMPLES:
                self._examples.append(item.shown)
            return
        self.converted += item.converted
        self._sizes[item.size] += 1
        self.steering.append(item.steering)
        self._numbers.append((item.throttle, item.speed_mph))
        self._times[item.recording].append(item.source_ms)
        self._shown_as.append(item.picture or item.place)

    def check(self, source: Path) -> None:
        """Raise UserError if less than a tenth of all rows are usable, or of these, less than a
        tenth reach --min-throttle.
        """
        rows = len(self._numbers)
        usable = rows + self._below_throttle
        # A frame of a video should have a row, so one without a row is lost. An image file that no
        # record names is not counted: there is no row with which something is wrong.
        lost = self._left_out.total() + self.frames_without_row
        if not usable and not lost:
            raise UserError(f"{source}: it has no rows; name a source that has some")
        if usable < max(_LEAST_SHARE * (usable + lost), 1):
            reasons = _left_out_in_words(self._left_out)
            if self.frames_without_row:
                reasons.append(f"{self.frames_without_row} frames without a row")
            first = f"; the first: {self._examples[0]}" if self._examples else ""
            raise UserError(
                f"{source}: {usable} of {usable + lost} rows can be used, expected a tenth or more "
                f"({', '.join(reasons)}){first}; correct the source, or copy it again"
            )
        if rows < max(_LEAST_SHARE * usable, 1):
            raise UserError(
                f"{source}: {rows} of {usable} rows have the throttle of --min-throttle "
                f"{self._min_throttle:g}; choose one nearer to 0, or of the other sign if that "
                "drives forwards, or leave it out"
            )

    def summary(self) -> Summary:
        """Return what was counted; at least one row was."""
        throttle, speed_mph = np.array(self._numbers, np.float64).T
        steering = np.array(self.steering, np.float64)
        left = float(np.mean(steering < -_STRAIGHT))
        right = float(np.mean(steering > _STRAIGHT))
        width, height = self._sizes.most_common(1)[0][0]
        in_order = self._steps()
        standing = None
        if np.any(speed_mph):
            standing = int(np.sum(np.abs(speed_mph) < 0.5))
        elif np.any(throttle):
            standing = int(np.sum(np.abs(throttle) < 0.01))
        return Summary(
            size=(width, height),
            sizes={f"{size[0]}x{size[1]}": count for size, count in self._sizes.most_common()},
            aspect=round(width / height, 3),
            frame_rate=_frame_rate(in_order),
            driven_seconds=round(sum(steps[~pauses].sum() for steps, pauses in in_order) / 1000, 3),
            stretches=sum(1 + int(pauses.sum()) for _, pauses in in_order),
            images_without_record=self.images_without_record + self.frames_without_row,
            left_out=tuple(self._examples),
            below_min_throttle=self._below_throttle,
            standing=standing,
            columns_left_out=tuple(self.columns_left_out),
            notes=(*self.notes, *self._doubts(steering)),
            left=round(left, 4),
            straight=round(1 - left - right, 4),
            right=round(right, 4),
            steering_mean=round(float(steering.mean()), 4),
            farthest_left=self._shown_as[steering.argmin()],
            farthest_right=self._shown_as[steering.argmax()],
            least=round(float(steering.min()), 4),
            greatest=round(float(steering.max()), 4),
            **{kind: self._left_out[kind] for kind in KINDS},
        )

    def _doubts(self, steering: FloatArray) -> Iterator[str]:
        """Yield what is hardly so in a drive, though each row can be read."""
        same = constant(steering)
        if len(steering) >= FEWEST_STEERED and same:
            _, words = same
            remedy = "look where the steering was lost, or record again"
            if "steering_column" in self._options:
                remedy = LOST_STEERING
            yield f"careful: the steering is {words}; {remedy}"
        one_side = min(np.mean(steering < 0), np.mean(steering > 0)) <= ACCIDENTS_SHARE
        if self.is_middle_of_format and len(steering) >= FEWEST_STEERED and one_side and not same:
            values, counts = np.unique(steering, return_counts=True)
            yield (
                f"careful: the steering is never, or hardly, to one side: {values[0]:g} to "
                f"{values[-1]:g}, most often {values[counts.argmax()]:g}, where the format says -1 "
                "to 1 and 0 is straight ahead; if the car did turn to both sides, its middle is "
                "another: preprocess --check measures it, and a table of image and steering is "
                "imported with --straight"
            )
        if self._repeated:
            yield f"left out: {number_of(self._repeated, 'row')} wholly equal to another row"
        if self._sharing:
            yield (
                f"careful: {number_of(self._sharing, 'row')} "
                f"name{'s' * (self._sharing == 1)} a picture that another row has, with another "
                "time or steering; keep one row of each picture, and import again"
            )
        back = sum(int(np.sum(np.diff(times) < 0)) for times in self._times.values())
        counted = ", or count them with --frame-rate" if "frame_rate" in self._options else ""
        remedy = f"if they were driven in the order of the source, correct the times{counted}"
        if any(map(are_newest_first, self._times.values())):
            yield (
                "careful: the rows stand newest first, and are taken in the order of their times; "
                f"{remedy}"
            )
        elif back:
            yield (
                f"careful: the time falls at {number_of(back, 'row')}, and every command takes "
                f"the rows in order of time; {remedy}; of several drives, import each by itself"
            )

    def _steps(self) -> list[tuple[FloatArray, BoolArray]]:
        """Return of each recording the milliseconds between its rows, and which are pauses."""
        found = []
        for times in self._times.values():
            steps = np.diff(np.sort(np.array(times, np.float64)))
            found.append((steps, steps > EPISODE_GAP_MS))
        return found


def _frame_rate(in_order: Sequence[tuple[FloatArray, BoolArray]]) -> float | None:
    """Return the usual number of rows a second, None for a single row.

    in_order: of each recording, the milliseconds between its rows, and which are pauses
    """
    steps = np.concatenate([steps[~pauses] for steps, pauses in in_order])
    steps = steps[steps > 0]
    if not len(steps):
        return None
    # a longer step spans rows that were left out
    usual = steps[steps <= 1.5 * np.median(steps)]
    return round(1000 / float(usual.mean()), 1)


def _left_out_in_words(counts: Mapping[str, Any]) -> list[str]:
    """Return how many rows of each kind are left out; other entries do not matter."""
    return [number_of(counts[kind], word) for kind, word in KINDS.items() if counts[kind]]
