"""Import a recording of another format: write driving_log.csv, IMG/ and the tables next to the log, or nothing."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, groupby, islice, repeat
from operator import itemgetter
from pathlib import Path

from bcclone.dataset.framing import FRAMING_NAME, Framing, read_framing
from bcclone.dataset.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, decode_image, decode_jpeg, encode_jpeg
from bcclone.lab.exchange.exchange_settings import IMPORT_FORMATS, ImportSettings
from bcclone.lab.exchange.findings import EMPTY, Findings, Summary
from bcclone.lab.exchange.rows import ExchangedRow, Format, ImageMissing, ImageUnusable, format_named
from bcclone.lab.exchange.video_frames import VideoFrame
from bcclone.recording.drivers import DRIVERS
from bcclone.recording.edits import DELETE, Edit, Edits, Span, write_edits
from bcclone.recording.files import IMAGES, LOG_NAME
from bcclone.recording.row import CAMERAS, RowError, image_stamp
from bcclone.recording.run_tables import TRACE
from bcclone.recording.writer import RecordingWriter
from bcclone.system import atomic
from bcclone.system.errors import UserError, number_of
from bcclone.system.hardware import usable_cores
from bcclone.system.opencv import cv2
from bcclone.system.prefetch import prefetch_ordered
from bcclone.system.settings import SettingError, settings_of

_EPOCH, _LAST = datetime(1970, 1, 1), datetime(9999, 1, 1)  # the times that the names of images can hold
_LAST_MS = (_LAST - _EPOCH) // timedelta(milliseconds=1)
_TOGETHER = 8  # rows that a thread reads or converts at once


@dataclass(frozen=True)
class _RecordedImages:
    """The images of a row as a recording holds them.

    images: camera -> JPEG of 320x160; size: width and height of the centre image as it was;
    converted: how many were of another kind or size.
    """

    images: Mapping[str, bytes]
    size: tuple[int, int]
    converted: int


class _RecordingFolder:
    """Writes the rows of one recording into a new folder.

    rows: written so far; deleted: those that the source marks as deleted; converted: images in another format.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._writer = folder, RecordingWriter(folder, prefix=f"{IMAGES}/")
        self.deleted = self.converted = 0
        self._times: dict[tuple[int, int], int] = {}  # time in the source and hash of images -> time
        self._later: dict[int, int] = {}  # a taken time -> one after it, from which on to look for a free one
        self._marks: list[tuple[str, bool]] = []  # name of the centre image, and whether its row is deleted

    @property
    def rows(self) -> int:
        """Return how many rows were written."""
        return self._writer.rows

    def write(self, row: ExchangedRow, recorded: _RecordedImages) -> None:
        """Append a row with its images; raises OSError."""
        stamp = self._free_stamp(row.time_ms, hash(tuple(recorded.images.items())))
        center = f"{CAMERAS[0]}_{stamp}.jpg"
        images = {f"{camera}_{stamp}.jpg": image for camera, image in recorded.images.items()}
        of_tables = ((DRIVERS, row.driven), (TRACE, row.point))
        tables = {table: value.row(center) for table, value in of_tables if value}
        self._writer.write(images, map(repr, row.numbers), tables)
        self._marks.append((center, row.deleted))
        self.deleted += row.deleted
        self.converted += recorded.converted

    def finish(self) -> None:
        """Write which rows are deleted."""
        if self.deleted:
            write_edits(self.folder / LOG_NAME, Edits((Edit(DELETE, tuple(_spans(self._marks))),)))

    def _free_stamp(self, time_ms: int, content: int) -> str:
        """Return the time for the names of a row; other images of the same millisecond get a later one.

        content: hash of its images.
        """
        if (key := (time_ms, content)) not in self._times:
            self._times[key] = self._next_free(time_ms)
        return image_stamp(_EPOCH + timedelta(milliseconds=self._times[key]))

    def _next_free(self, time_ms: int) -> int:
        """Return the next time that no row has, and take it; a run of taken times is skipped at once."""
        passed = []
        while time_ms in self._later:
            passed.append(time_ms)
            time_ms = self._later[time_ms]
        self._later |= dict.fromkeys((*passed, time_ms), time_ms + 1)
        return time_ms


def _spans(marks: Sequence[tuple[str, bool]]) -> Iterator[Span]:
    """Yield the spans of deleted rows. marks: each row's centre image, and whether the row is deleted."""
    for deleted, run in groupby(sorted(marks), key=itemgetter(1)):
        images = [image for image, _ in run]
        if deleted:
            yield Span(images[0], images[-1])


def _record_images(row: ExchangedRow, framing: Framing | None = None) -> _RecordedImages:
    """Convert the images of a row by a framing, or stretch them.

    Raises RowError for a time that no recording has, and for images it cannot use.
    """
    if "center" not in row.images:
        raise ImageMissing("it has no image of the center camera")
    if not 0 <= row.time_ms < _LAST_MS:
        raise RowError(f"its time is {row.time_ms} ms, expected milliseconds since 1970, before the year {_LAST.year}")
    images, sizes = {}, {}
    for camera, image in row.images.items():
        try:
            images[camera], sizes[camera] = _as_recorded(image, framing)
        except BadImage as error:
            raise ImageUnusable(f"its image cannot be read: {error}") from None
    converted = sum(images[camera] is not row.images[camera] for camera in images)
    return _RecordedImages(images, sizes["center"], converted)


def _as_recorded(image: bytes | VideoFrame, framing: Framing | None) -> tuple[bytes, tuple[int, int]]:
    """Return a JPEG of the simulator's size unchanged, and any other image as one; and the size that it had."""
    if isinstance(image, VideoFrame):
        if framing is None:
            return image.recorded(), image.size
        picture = image.pixels()
    else:
        with suppress(BadImage):
            if framing is None:
                decode_jpeg(image)
                return image, (FRAME_WIDTH, FRAME_HEIGHT)
        picture = decode_image(image)
    return encode_jpeg((framing or Framing.of(picture)).apply(picture)), (picture.shape[1], picture.shape[0])


def write_recordings(
    rows: Iterable[ExchangedRow], folder: Path, findings: Findings, framing: Framing | None = None
) -> list[_RecordingFolder]:
    """Write each recording into a folder of its own, 1, 2 and so on; return the folders, which are complete.

    A thread reads the source, and decodes a video; the images are converted on all cores, ahead of the writing.
    """
    opened: dict[int, _RecordingFolder] = {}
    framings: dict[int, Framing] = {}
    cores = usable_cores()
    driving = filter(findings.drives, rows)
    with (
        _one_thread_of_opencv(),
        prefetch_ordered(lambda _: list(islice(driving, _TOGETHER)), repeat(None), 1, 2) as read,
        prefetch_ordered(partial(_record_all, framing), iter(read.__next__, []), cores, 2 * cores) as results,
    ):
        for row, recorded in chain.from_iterable(results):
            if not isinstance(recorded, _RecordedImages):
                kind = EMPTY if any(image == b"" for image in row.images.values()) else ""
                findings.leave_out(row.place, recorded, kind)
                continue
            into = opened.get(row.recording) or _RecordingFolder(folder / str(len(opened) + 1))
            opened[row.recording] = into
            into.write(row, recorded)
            findings.take(row, recorded.size)
            if recorded.converted and (framing or recorded.size != (FRAME_WIDTH, FRAME_HEIGHT)):
                framings.setdefault(row.recording, framing or Framing(*recorded.size))
    for number, recording in opened.items():
        recording.finish()
        if number in framings:
            atomic.write_text(recording.folder / FRAMING_NAME, framings[number].to_json() + "\n")
    return list(opened.values())


def _record_all(
    framing: Framing | None, rows: Sequence[ExchangedRow]
) -> list[tuple[ExchangedRow, _RecordedImages | RowError]]:
    """Return each row with its images as a recording has them, or why it cannot be used."""
    results: list[tuple[ExchangedRow, _RecordedImages | RowError]] = []
    for row in rows:
        try:
            results.append((row, _record_images(row, framing)))
        except RowError as error:
            results.append((row, error))
    return results


@contextmanager
def _one_thread_of_opencv() -> Iterator[None]:
    """Keep OpenCV from starting threads within the block, which computes images on all cores already."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


@dataclass(frozen=True)
class ImportResult:
    """What was imported. recordings: more than one are in the folders 1, 2 and so on of the output.

    deleted: rows that the source marks as deleted, and `bcclone edit` shows as such; converted: images that were not
    JPEGs of 320x160 pixels, and are now; seen: what the source holds.
    """

    output: Path
    format: str
    recordings: int
    rows: int
    deleted: int
    converted: int
    seconds: float
    seen: Summary

    def as_text(self) -> str:
        """Return the counts, what the source holds, and the next command."""
        return "\n".join([
            f"{self.output}: {number_of(self.recordings, 'recording')} from {self.format}, "
            f"{number_of(self.rows, 'row')}, {self.seconds:.1f} s",
            *self.seen.lines(),
            f"next: bcclone preprocess {self.output} --check",
        ])  # fmt: skip


def import_recording(settings: ImportSettings) -> ImportResult:
    """Write a source of another program as a recording; rows that cannot be used are counted and left out.

    Raises UserError for a source that cannot be read, or of which too little can, a target that is not empty, and a
    disk that refuses.
    """
    start = time.monotonic()
    source, output = settings.source, settings.output
    format = format_named(settings.format or format_of(source, settings.table))
    _check_options(settings, format)
    format.check_package()
    findings = Findings(settings.min_throttle)
    framing = read_framing(settings.framing) if settings.framing else None
    with _parents_of(output):
        atomic.check_new_folder(output)
        with atomic.replacing_folder(output, new=True) as folder:
            written = write_recordings(format.read(settings, findings), folder, findings, framing)
            findings.check(source)
            _move_up_single(folder, written)
    return ImportResult(
        output=output,
        format=format.name,
        recordings=len(written),
        rows=sum(each.rows for each in written),
        deleted=sum(each.deleted for each in written),
        converted=sum(each.converted for each in written),
        seconds=round(time.monotonic() - start, 2),
        seen=findings.summary(),
    )


def _move_up_single(folder: Path, written: Sequence[_RecordingFolder]) -> None:
    """Move a single recording out of its folder, 1."""
    if len(written) == 1:
        for path in (folder / "1").iterdir():
            path.rename(folder / path.name)
        (folder / "1").rmdir()


@contextmanager
def _parents_of(path: Path) -> Iterator[None]:
    """Make the folders above a path; those that are new are removed again after an error."""
    missing = [folder for folder in path.parents if not folder.exists()]
    if missing:
        atomic.make_folder(path.parent, "another -o")
    try:
        yield
    except BaseException:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()
        raise


def _check_options(settings: ImportSettings, format: Format) -> None:
    """Raise SettingError for a setting of tables that the format has no use for."""
    for each, declared in settings_of(ImportSettings):
        if declared.group and each.name not in format.options and getattr(settings, each.name) != each.default:
            formats = ", ".join(name for name in IMPORT_FORMATS if each.name in format_named(name).options)
            raise SettingError(
                f"{{{each.name}}} is only for {formats}, but {{source}} is {{format}}; leave it out",
                source=settings.source,
                format=format.name,
            )


def format_of(source: Path, table: Path | None = None) -> str:
    """Return the format of a source by its files; raises UserError for an unknown one. table: that was named."""
    formats = [format_named(name) for name in IMPORT_FORMATS]
    found = next((each for each in formats if each.detect(source)), None)
    if found is None and table and source.is_dir():
        found = format_named("frames")
    if found and "table" in found.options and (source / LOG_NAME).is_file():
        raise UserError(f"{source}: a recording already, which needs no import; name it to bcclone preprocess")
    if found:
        return found.name
    what = "no such file or folder" if not source.exists() else f"none of the formats {', '.join(IMPORT_FORMATS)}"
    expected = ", ".join(f"{each.expected} ({each.name})" for each in formats)
    raise UserError(f"{source}: {what}; expected a folder with {expected}", exit_code=2)
