"""Import a source of another program: its rows -> a recording; nothing is written after an error.

The images of rows become frames, which are JPEGs of 320x160 pixels, named by their times; if other
images have taken a millisecond, a row gets the next free one. The recording has driving_log.csv and
IMG/, and the tables next to the log. The import of a film (realcar/film.py) uses the same
functions, and a stage that estimates the steering of the rows.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, islice
from pathlib import Path
from types import MappingProxyType

import numpy as np

from bcclone.camera.framing import FRAMING_NAME, Framing, read_framing
from bcclone.camera.images import (
    FRAME_HEIGHT,
    FRAME_WIDTH,
    BadImage,
    decode_image,
    decode_jpeg,
    encode_jpeg,
    opencv_on_one_thread,
    upright_jpeg,
)
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_rows import (
    EMPTY,
    MISSING,
    UNREADABLE,
    Items,
    LeftOut,
    Row,
    Seen,
    Summary,
)
from bcclone.exchange.formats import FORMATS, chosen_format
from bcclone.exchange.source_files import LinkedElsewhere
from bcclone.exchange.video_file import VideoFrame
from bcclone.recording.edits import DELETE, Edits, StoredEdit, write_edits
from bcclone.recording.files import IMAGES
from bcclone.recording.origin import ORIGIN_NAME, Origin
from bcclone.recording.row import CAMERAS, RowError, image_stamp
from bcclone.recording.run_folder import RecordingWriter
from bcclone.recording.run_tables import DRIVERS, LEFT_OUT, MOTION, TRACE, Sidecar
from bcclone.system.arrays import runs
from bcclone.system.errors import UserError, number_of, shown_command
from bcclone.system.files import NEW_FOLDER, new_folder, write_text, writes
from bcclone.system.hardware import usable_cores
from bcclone.system.prefetch import prefetch_ordered
from bcclone.system.settings import option_words

_EPOCH = datetime(1970, 1, 1)
# other times do not fit into the name of an image; calendars of other countries have earlier years
_FIRST = datetime(1000, 1, 1)
_LAST = datetime(9999, 1, 1)
_FIRST_MS, _LAST_MS = ((time - _EPOCH) // timedelta(milliseconds=1) for time in (_FIRST, _LAST))
_FRAME_SIZE = FRAME_WIDTH, FRAME_HEIGHT
_ROWS_AT_ONCE = 8  # rows that a thread converts together


@dataclass(frozen=True)
class ImportResult:
    """What was imported."""

    output: Path
    format: str
    recordings: int  # several recordings are in the folders 1, 2 and so on of the output
    rows: int
    deleted: int  # rows that the source marks as deleted; `bcclone edit` shows them as deleted
    converted: int  # images that the import changed into JPEGs of 320x160 pixels
    seconds: float
    seen: Summary  # what the source holds
    has_estimates: bool = False  # the steering was estimated from the frames

    def as_text(self) -> str:
        recordings = number_of(self.recordings, "recording")
        rows = number_of(self.rows, "row")
        return "\n".join(
            [
                f"{self.output}: {recordings} from {self.format}, {rows}; "
                f"it took {self.seconds:.1f} s",
                *self.seen.lines(),
            ]
        )


@writes(NEW_FOLDER)
def import_recording(settings: ImportSettings) -> ImportResult:
    """Write a source of another program as a recording, without the rows that cannot be used.

    Raises UserError for a source that cannot be read, or has too few rows that can be used;
    SettingError for a setting of tables that the format does not read.
    """
    start = time.monotonic()
    format = chosen_format(settings)
    framing = read_framing(settings.framing) if settings.framing else None
    seen = Seen(settings.min_throttle, FORMATS[format].options)
    with new_folder(settings.output) as folder:
        with open_source(format, settings, seen, framing) as rows:
            recordings = write_recordings(rows, folder, origin=origin_of_import(format, settings))
        seen.check(settings.source)
        if format == "recording" and not settings.steering and not seen.converted:
            raise UserError(
                f"{settings.source}: a recording already, which needs no import: "
                f"{shown_command('preprocess', settings.source, '-o', 'data.h5')}"
            )
    return result_of(format, settings, recordings, seen, start)


# ---- the source


@contextmanager
def open_source(
    format: str,
    settings: ImportSettings,
    seen: Seen,
    framing: Framing | None = None,
    first: int | None = None,
) -> Iterator[Iterator[Row]]:
    """Yield an iterator of the rows of a source, with frames, and count them; close it afterwards.

    Rows with less throttle than the settings ask for, and rows without usable images, are left out.

    framing: how pictures become frames; None to stretch them to 320x160
    first: how many rows to read from the start of the source; None for all

    Raises UserError for a link out of the source, with the command that follows it.
    """
    try:
        with (
            # the threads of framed_rows() read the source, so they end before it is closed
            closing(FORMATS[format].read(settings, seen)) as source,
            framed_rows(_driving(source, seen, first), framing) as framed,
        ):
            yield _counted(framed, seen)
    except LinkedElsewhere as error:
        words = option_words(replace(settings, follow_links=True))
        raise UserError(
            f"{error}, or if it belongs to this source: "
            f"{shown_command('import', settings.source, *words)}"
        ) from None


def _driving(source: Items, seen: Seen, first: int | None) -> Items:
    """Yield the items without the rows that are not to be taken. first: see open_source()"""
    count = 0
    for item in source:
        if isinstance(item, LeftOut) or seen.takes(item):
            yield item
        count += isinstance(item, Row)
        if count == first:
            return


def _counted(items: Iterable[Row | LeftOut], seen: Seen) -> Iterator[Row]:
    """Count the items, and yield those that are rows."""
    for item in items:
        seen.add(item)
        if isinstance(item, Row):
            yield item


# ---- frames


@contextmanager
def framed_rows(
    items: Iterable[Row | LeftOut], framing: Framing | None = None
) -> Iterator[Iterator[Row | LeftOut]]:
    """Yield an iterator of the items, whose rows have frames instead of their images.

    A row without a usable image becomes LeftOut. Threads on all cores read the source, decode a
    video and convert the images before the caller asks for them. They end with the block.
    """
    items = iter(items)
    parts = iter(lambda: list(islice(items, _ROWS_AT_ONCE)), [])
    cores = usable_cores()
    convert = partial(_framed, framing)
    # OpenCV needs no threads of its own, since images are converted on all cores already
    with opencv_on_one_thread(), prefetch_ordered(convert, parts, cores, 2 * cores) as framed:
        yield _at_distinct_times(chain.from_iterable(framed))


def _at_distinct_times(items: Iterable[Row | LeftOut]) -> Iterator[Row | LeftOut]:
    """Yield the items, whose rows have a time of their own in their recording, by which their
    images are named: where a millisecond is taken, the next free one.
    """
    # recording and taken time -> later time at which to look for a free one
    later: dict[tuple[int, int], int] = {}
    for item in items:
        if not isinstance(item, Row):
            yield item
            continue
        time_ms = item.time_ms
        while (item.recording, time_ms) in later:
            time_ms = later[item.recording, time_ms]
        # both the wanted and the found millisecond now lead to the one after the found one
        later[item.recording, item.time_ms] = time_ms + 1
        later[item.recording, time_ms] = time_ms + 1
        yield replace(item, source_ms=item.time_ms, time_ms=time_ms)


def _framed(framing: Framing | None, items: Iterable[Row | LeftOut]) -> list[Row | LeftOut]:
    """Return the items, each row with its frames; without a usable image it is left out."""
    framed: list[Row | LeftOut] = []
    for item in items:
        try:
            framed.append(_with_frames(item, framing) if isinstance(item, Row) else item)
        except RowError as error:
            framed.append(LeftOut.of(item.place, error))
    return framed


def _with_frames(row: Row, framing: Framing | None) -> Row:
    """Return a row with frames; raises RowError for one without an image, or with a time that no
    name of an image can hold.
    """
    if CAMERAS[0] not in row.images:
        raise LeftOut("it has no image of the center camera", MISSING)
    if not _FIRST_MS <= row.time_ms < _LAST_MS:
        expected = f"expected milliseconds since 1970, of the years {_FIRST.year} to {_LAST.year}"
        raise RowError(f"its time is {row.time_ms} ms, {expected}")
    frames = {camera: _frame_of(image, framing) for camera, image in row.images.items()}
    images = {camera: jpeg for camera, (jpeg, _) in frames.items()}
    _, size = frames[CAMERAS[0]]
    # an image that is a frame already stays the same object: upright_jpeg() returns what it got
    converted = sum(jpeg is not row.images[camera] for camera, jpeg in images.items())
    made_by = None
    if converted and (framing or size != _FRAME_SIZE):
        made_by = framing or Framing(*size)
    return replace(row, images=images, framing=made_by, size=size, converted=converted)


def _frame_of(image: bytes | VideoFrame, framing: Framing | None) -> tuple[bytes, tuple[int, int]]:
    """Return the frame of an image, and the image's width and height; raises LeftOut.

    A JPEG of the simulator's size stays as it is, unless there is a framing, or its EXIF data turn
    it.
    """
    try:
        if framing is None and isinstance(image, VideoFrame):
            return image.stretched_jpeg(), image.size
        if framing is None and isinstance(image, bytes):
            with suppress(BadImage):  # not a JPEG of 320x160: go on and convert it
                decode_jpeg(image)
                return upright_jpeg(image), _FRAME_SIZE
        if isinstance(image, VideoFrame):
            picture = image.pixels()
        else:
            picture = decode_image(image, others=True)
        size = (picture.shape[1], picture.shape[0])
        is_frame = size == _FRAME_SIZE
        if framing and is_frame and (framing.width, framing.height) != _FRAME_SIZE:
            raise LeftOut(
                "its image is a frame already, and the framing is for pictures of "
                f"{framing.width}x{framing.height}; import its source with this framing",
                UNREADABLE,
            )
        frame = (framing or Framing.of(picture)).apply(picture)
        return encode_jpeg(frame), size
    except BadImage as error:
        kind = UNREADABLE if image else EMPTY
        raise LeftOut(f"its image cannot be read: {error}", kind) from None


# ---- the recording


def write_recordings(
    rows: Iterable[Row],
    folder: Path,
    left_out: Mapping[int, Mapping[int, str]] = MappingProxyType({}),
    origin: Origin | None = None,
) -> list["ImportedRecording"]:
    """Write a recording into the folder, or several into folders 1, 2 and so on in it.

    Whether there are several is known after the last row. Until then each has a folder; a single
    one is moved up at the end, which renames a few files and IMG/.

    left_out: number of a recording -> time in milliseconds of pictures that became no row -> why
    origin: what each recording states of where it comes from; None for nothing
    """
    recordings: dict[int, ImportedRecording] = {}
    for row in rows:
        if row.recording not in recordings:
            recordings[row.recording] = ImportedRecording(folder / str(len(recordings) + 1))
        recordings[row.recording].add(row)
    for number, recording in recordings.items():
        recording.finish(left_out.get(number, {}))
        if origin:
            write_text(recording.folder / ORIGIN_NAME, origin.to_json() + "\n")
    if len(recordings) == 1:
        for path in (folder / "1").iterdir():
            path.rename(folder / path.name)
        (folder / "1").rmdir()
    return list(recordings.values())


class ImportedRecording(RecordingWriter):
    """Writes the rows of one recording into a new folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, prefix=f"{IMAGES}/")
        self.deleted = 0  # rows that the source marks as deleted
        self._framings: Counter[Framing] = Counter()  # framing -> rows whose frames it made
        # of each row: name of the centre image, and whether the source marks the row as deleted
        self._marks: list[tuple[str, bool]] = []

    def add(self, row: Row) -> None:
        """Append a row with its frames; raises OSError."""
        images = {_name_of(camera, row.time_ms): jpeg for camera, jpeg in row.images.items()}
        center = _name_of(CAMERAS[0], row.time_ms)
        tables: dict[Sidecar, str] = {}
        for table, value in ((DRIVERS, row.driven), (TRACE, row.point), (MOTION, row.path)):
            if value:
                tables[table] = value.row(center)
        self.write(images, map(repr, row.numbers), tables)
        self._marks.append((center, row.deleted))
        self.deleted += row.deleted
        if row.framing:
            self._framings[row.framing] += 1

    def finish(self, left_out: Mapping[int, str] = MappingProxyType({})) -> None:
        """Write which rows are deleted, which pictures became no row, and the framing that made the
        frames of most rows; mark the recording as complete.

        left_out: time in milliseconds of pictures that became no row -> why
        """
        marks = sorted(self._marks)
        deleted = np.flatnonzero([is_deleted for _, is_deleted in marks])
        spans = tuple((marks[first][0], marks[last][0]) for first, last in runs(deleted))
        if spans:
            write_edits(self.log, Edits((StoredEdit(DELETE, spans),)))
        if left_out:
            lines = [
                f"{_name_of(CAMERAS[0], time_ms)},{reason}\n"
                for time_ms, reason in sorted(left_out.items())
            ]
            write_text(self.folder / LEFT_OUT.name, LEFT_OUT.header + "".join(lines))
        for framing, _ in self._framings.most_common(1):  # none if no picture was converted
            write_text(self.folder / FRAMING_NAME, framing.to_json() + "\n")
        super().finish()


def _name_of(camera: str, time_ms: int) -> str:
    """Return the base name of a camera's image at a time, in milliseconds since 1970."""
    return f"{camera}_{image_stamp(_EPOCH + timedelta(milliseconds=time_ms))}.jpg"


def origin_of_import(format: str, settings: ImportSettings) -> Origin:
    """Return where an imported recording comes from, with what the user gave."""
    given = {
        name: value.absolute() if isinstance(value, Path) else value
        for name, value in asdict(settings).items()
        if name not in ("source", "output") and value != getattr(ImportSettings, name)
    }
    return Origin(settings.source.absolute(), format, given)


def result_of(
    format: str,
    settings: ImportSettings,
    recordings: Sequence[ImportedRecording],
    seen: Seen,
    start: float,
    has_estimates: bool = False,
) -> ImportResult:
    """Return what was imported, since time.monotonic() was `start`."""
    return ImportResult(
        output=settings.output,
        format=format,
        recordings=len(recordings),
        rows=sum(recording.rows for recording in recordings),
        deleted=sum(recording.deleted for recording in recordings),
        converted=seen.converted,
        seconds=round(time.monotonic() - start, 2),
        seen=seen.summary(),
        has_estimates=has_estimates,
    )
