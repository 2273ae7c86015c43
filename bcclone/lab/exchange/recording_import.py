"""Import a recording of another format: write driving_log.csv, IMG/ and the tables next to the log, or nothing."""

import errno
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

from bcclone.dataset.framing import FRAMING_NAME, Framing, read_framing
from bcclone.dataset.images import BadImage, decode_image, decode_jpeg, encode_jpeg
from bcclone.lab.exchange import csv_table, lerobot, lerobot_reader, tub
from bcclone.lab.exchange.exchange_settings import CSV, IMPORT_FORMATS, LEROBOT, TUB, ImportSettings
from bcclone.lab.exchange.rows import ExchangedRow
from bcclone.recording.drivers import DRIVERS
from bcclone.recording.edits import DELETE, Edit, Edits, Span, write_edits
from bcclone.recording.files import LOG_NAME
from bcclone.recording.row import CAMERAS, image_stamp
from bcclone.recording.run_tables import TRACE, SidecarWriter
from bcclone.system import atomic
from bcclone.system.atomic import write_text
from bcclone.system.errors import UserError

READERS: dict[str, Callable[[Path], Iterator[ExchangedRow]]] = {
    CSV: csv_table.read,
    TUB: tub.read,
    LEROBOT: lerobot_reader.read,
}
_FILES = {CSV: csv_table.TABLE, TUB: tub.MANIFEST, LEROBOT: lerobot.INFO}  # each shows the format of its folder
_EPOCH, _LAST = datetime(1970, 1, 1), datetime(9999, 1, 1)  # the times that the names of images can hold
_LAST_MS = (_LAST - _EPOCH) // timedelta(milliseconds=1)


class RecordingFolder:
    """Writes the rows of one recording into an empty folder; a context manager.

    framing: of the source's pictures; None until one is no frame of the simulator's camera, which is stretched, and
    whose framing is written, too; rows: written so far; deleted: those that the source marks as deleted; converted:
    images in another format.
    """

    def __init__(self, folder: Path, framing: Framing | None = None) -> None:
        self.folder, self.framing, self._given = folder, framing, framing
        self.rows = self.deleted = self.converted = 0

    def __enter__(self) -> "RecordingFolder":
        self._images = self.folder / "IMG"
        self._images.mkdir(parents=True)
        self._content: dict[int, int] = {}  # time of a row -> hash of its images
        self._times: dict[tuple[int, int], int] = {}  # time in the source and hash of images -> time
        self._later: dict[int, int] = {}  # a taken time -> one after it, from which on to look for a free one
        self._marks: list[tuple[str, bool]] = []  # name of the centre image, and whether its row is deleted
        self._files = ExitStack()
        self._log: IO[str] = self._files.enter_context((self.folder / LOG_NAME).open("w", encoding="ascii"))
        self._drivers: SidecarWriter | None = None
        self._trace: SidecarWriter | None = None
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._files.close()
        if kind is None and self.framing:
            write_text(self.folder / FRAMING_NAME, self.framing.to_json() + "\n")
        if kind is None and self.deleted:
            write_edits(self.folder / LOG_NAME, Edits((Edit(DELETE, tuple(_spans(self._marks))),)))

    def write(self, row: ExchangedRow) -> None:
        """Append a row; raises UserError for a time that no recording has, and for images that cannot be read."""
        self._check(row)
        images = {camera: self._as_recorded(image, row) for camera, image in row.images.items()}
        stamp = self._free_stamp(row)
        names = {camera: f"{camera}_{stamp}.jpg" for camera in CAMERAS if camera in images}
        for camera, name in names.items():
            (self._images / name).write_bytes(images[camera])
        self._write_tables(names["center"], row)
        paths = (f"IMG/{names[camera]}" if camera in names else "" for camera in CAMERAS)
        self._log.write(",".join((*paths, *map(repr, row.numbers))) + "\n")
        self._marks.append((names["center"], row.deleted))
        self.rows += 1
        self.deleted += row.deleted

    def _check(self, row: ExchangedRow) -> None:
        if "center" not in row.images:
            raise UserError(f"{row.place}: it has no image of the center camera; remove the row")
        if not 0 <= row.time_ms < _LAST_MS:
            raise UserError(
                f"{row.place}: its time is {row.time_ms} ms, expected milliseconds since 1970, "
                f"before the year {_LAST.year}; correct it in the source"
            )

    def _as_recorded(self, image: bytes, row: ExchangedRow) -> bytes:
        """Return a JPEG of the simulator's size unchanged, and convert any other image to one."""
        try:
            if self._given is None:
                decode_jpeg(image)
                return image
        except BadImage:
            pass
        try:
            picture = decode_image(image)
            framing = self._given or Framing.of(picture)
            frame = framing.apply(picture)
        except BadImage as error:
            raise UserError(f"{row.place}: its image cannot be read: {error}; remove the row") from None
        self.framing = self.framing or framing
        self.converted += 1
        return encode_jpeg(frame)

    def _free_stamp(self, row: ExchangedRow) -> str:
        """Return the time for the names of a row; other images of the same millisecond get a later one."""
        content, time_ms = hash(tuple(row.images.items())), row.time_ms
        if self._content.get(time_ms) != content:
            time_ms = self._times.setdefault((time_ms, content), -1)
            if time_ms < 0:
                time_ms = self._times[row.time_ms, content] = self._next_free(row.time_ms)
                self._content[time_ms] = content
        return image_stamp(_EPOCH + timedelta(milliseconds=time_ms))

    def _next_free(self, time_ms: int) -> int:
        """Return the next time that no row has, and take it; a run of taken times is skipped at once."""
        passed = []
        while time_ms in self._later:
            passed.append(time_ms)
            time_ms = self._later[time_ms]
        self._later |= dict.fromkeys((*passed, time_ms), time_ms + 1)
        return time_ms

    def _write_tables(self, image: str, row: ExchangedRow) -> None:
        if row.driven:
            self._drivers = self._drivers or self._files.enter_context(SidecarWriter(DRIVERS, self.folder))
            self._drivers.append(row.driven.row(image))
        if row.point:
            self._trace = self._trace or self._files.enter_context(SidecarWriter(TRACE, self.folder))
            self._trace.append(row.point.row(image))


def write_recordings(
    rows: Iterable[ExchangedRow], folder: Path, framing: Framing | None = None
) -> list[RecordingFolder]:
    """Write each recording into a folder of its own, 1, 2 and so on; return the folders, which are complete."""
    opened: dict[int, RecordingFolder] = {}
    with ExitStack() as stack:
        for row in rows:
            try:
                number = len(opened) + 1
                into = opened.get(row.recording) or stack.enter_context(RecordingFolder(folder / str(number), framing))
                opened[row.recording] = into
                into.write(row)
            except OSError as error:
                raise _too_many(row, len(opened)) if error.errno == errno.EMFILE else error from None
    return list(opened.values())


def _too_many(row: ExchangedRow, recordings: int) -> UserError:
    return UserError(f"{row.place}: {recordings} recordings are too many to write at once; import them in parts")


def _spans(marks: Sequence[tuple[str, bool]]) -> list[Span]:
    """Return the spans of deleted rows. marks: each row's centre image, and whether the row is deleted."""
    spans: list[tuple[str, str]] = []
    before = False
    for image, deleted in sorted(marks):
        if deleted:
            spans.append((spans.pop()[0], image) if before else (image, image))
        before = deleted
    return [Span(*span) for span in spans]


@dataclass(frozen=True)
class ImportResult:
    """What was imported. recordings: more than one are in the folders 1, 2 and so on of the output.

    deleted: rows that the source marks as deleted, and `bcclone edit` shows as such; converted: images that were not
    JPEGs of 320x160 pixels, and are now.
    """

    output: Path
    format: str
    recordings: int
    rows: int
    deleted: int
    converted: int
    seconds: float


def import_recording(settings: ImportSettings) -> ImportResult:
    """Write a donkeycar tub, a LeRobot data set or our CSV as a recording.

    Raises UserError for a source that cannot be read, a target that is not empty, and a disk that refuses.
    """
    start = time.monotonic()
    source, output = settings.source, settings.output
    atomic.check_new_folder(output)
    format = settings.format or format_of(source)
    framing = read_framing(settings.framing) if settings.framing else None
    with atomic.replacing_folder(output, new=True) as folder:
        written = write_recordings(READERS[format](source), folder, framing)
        if not written:
            raise UserError(f"{source}: it has no rows; name a source that has some")
        if len(written) == 1:
            for path in (folder / "1").iterdir():
                path.rename(folder / path.name)
            (folder / "1").rmdir()
    return ImportResult(
        output=output,
        format=format,
        recordings=len(written),
        rows=sum(each.rows for each in written),
        deleted=sum(each.deleted for each in written),
        converted=sum(each.converted for each in written),
        seconds=round(time.monotonic() - start, 2),
    )


def format_of(source: Path) -> str:
    """Return the format of a source by its files; raises UserError for an unknown one."""
    if source.is_file() and source.suffix.lower() == ".csv":
        return CSV
    for format, name in _FILES.items():
        if (source / name).is_file():
            return format
    expected = ", ".join(f"{name} ({format})" for format, name in _FILES.items())
    what = "no such file or folder" if not source.exists() else f"none of the formats {', '.join(IMPORT_FORMATS)}"
    raise UserError(f"{source}: {what}; expected a folder with {expected}, or a CSV file", exit_code=2)
