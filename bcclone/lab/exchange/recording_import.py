"""Import a recording of another format: write driving_log.csv, IMG/ and the tables next to the log, or nothing."""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, groupby, islice, repeat
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from bcclone.dataset.framing import FRAMING_NAME, Framing, read_framing
from bcclone.dataset.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, decode_image, decode_jpeg, encode_jpeg
from bcclone.lab.exchange.exchange_settings import IMPORT_FORMATS, ImportSettings
from bcclone.lab.exchange.findings import EMPTY, Findings, Summary
from bcclone.lab.exchange.formats import ExchangedRow, Format, ImageMissing, ImageUnusable, format_named
from bcclone.lab.exchange.video_frames import VideoFrame
from bcclone.recording.edits import DELETE, Edit, Edits, write_edits
from bcclone.recording.files import IMAGES, LOG_NAME
from bcclone.recording.row import CAMERAS, RowError, image_stamp
from bcclone.recording.run_tables import DRIVERS, TRACE
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


class _Prepared(NamedTuple):
    """A row and its images as a recording has them.

    images: camera -> JPEG of 320x160; size: width and height of the centre image as it was; converted: how many images
    were of another kind or size; error: why the row cannot be used.
    """

    row: ExchangedRow
    images: Mapping[str, bytes] = MappingProxyType({})
    size: tuple[int, int] = (0, 0)
    converted: int = 0
    error: RowError | None = None


class _ImportedRecording(RecordingWriter):
    """Writes the rows of one recording into a new folder.

    deleted: rows that the source marks as deleted; converted: images in another format; framing: of these, if any was
    of another size.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, prefix=f"{IMAGES}/")
        self.deleted = self.converted = 0
        self.framing: Framing | None = None
        self._times: dict[tuple[int, int], int] = {}  # time in the source and hash of images -> time
        self._later: dict[int, int] = {}  # a taken time -> one after it, from which on to look for a free one
        self._marks: list[tuple[str, bool]] = []  # name of the centre image, and whether its row is deleted

    def add(self, prepared: _Prepared) -> None:
        """Append a row with its images; raises OSError."""
        row = prepared.row
        stamp = self._free_stamp(row.time_ms, hash(tuple(prepared.images.items())))
        images = {f"{camera}_{stamp}.jpg": image for camera, image in prepared.images.items()}
        center, of_tables = f"{CAMERAS[0]}_{stamp}.jpg", ((DRIVERS, row.driven), (TRACE, row.point))
        self.write(images, map(repr, row.numbers), {table: value.row(center) for table, value in of_tables if value})
        self._marks.append((center, row.deleted))
        self.deleted += row.deleted
        self.converted += prepared.converted

    def finish(self) -> None:
        """Write which rows are deleted, and how images were framed."""
        spans = []
        for deleted, run in groupby(sorted(self._marks), key=itemgetter(1)):
            images = [image for image, _ in run]
            if deleted:
                spans.append((images[0], images[-1]))
        if spans:
            write_edits(self.log, Edits((Edit(DELETE, tuple(spans)),)))
        if self.framing:
            atomic.write_text(self.folder / FRAMING_NAME, self.framing.to_json() + "\n")

    def _free_stamp(self, time_ms: int, content: int) -> str:
        """Return the time for the names of a row; other images of the same millisecond get a later one.

        content: hash of its images.
        """
        if (key := (time_ms, content)) not in self._times:
            passed = []  # a run of taken times is skipped at once when it is met again
            while time_ms in self._later:
                passed.append(time_ms)
                time_ms = self._later[time_ms]
            self._later |= dict.fromkeys((*passed, time_ms), time_ms + 1)
            self._times[key] = time_ms
        return image_stamp(_EPOCH + timedelta(milliseconds=self._times[key]))


def _prepare(framing: Framing | None, rows: Sequence[ExchangedRow]) -> list[_Prepared]:
    """Return each row with its images, converted by a framing or stretched, or why it cannot be used."""
    prepared = []
    for row in rows:
        try:
            prepared.append(_prepared(row, framing))
        except RowError as error:
            prepared.append(_Prepared(row, error=error))
    return prepared


def _prepared(row: ExchangedRow, framing: Framing | None) -> _Prepared:
    """Return a row with its images; raises RowError for a time that no recording has, and for images it cannot use."""
    if "center" not in row.images:
        raise ImageMissing("it has no image of the center camera")
    if not 0 <= row.time_ms < _LAST_MS:
        raise RowError(f"its time is {row.time_ms} ms, expected milliseconds since 1970, before the year {_LAST.year}")
    try:
        recorded = {camera: _as_recorded(image, framing) for camera, image in row.images.items()}
    except BadImage as error:
        raise ImageUnusable(f"its image cannot be read: {error}") from None
    images = {camera: image for camera, (image, _) in recorded.items()}
    return _Prepared(
        row, images, recorded["center"][1], sum(images[camera] is not row.images[camera] for camera in images)
    )


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
) -> list[_ImportedRecording]:
    """Write each recording into a folder of its own, 1, 2 and so on; return these, which are complete.

    A thread reads the source, and decodes a video; the images are converted on all cores, ahead of the writing.
    """
    opened: dict[int, _ImportedRecording] = {}
    cores, driving = usable_cores(), filter(findings.drives, rows)
    with ExitStack() as stack:
        stack.callback(cv2.setNumThreads, cv2.getNumThreads())
        cv2.setNumThreads(1)  # images are converted on all cores already
        read = prefetch_ordered(lambda _: list(islice(driving, _TOGETHER)), repeat(None), 1, 2)
        parts = iter(stack.enter_context(read).__next__, [])
        results = stack.enter_context(prefetch_ordered(partial(_prepare, framing), parts, cores, 2 * cores))
        for one in chain.from_iterable(results):
            row = one.row
            if one.error:
                kind = EMPTY if any(image == b"" for image in row.images.values()) else ""
                findings.leave_out(row.place, one.error, kind)
                continue
            if row.recording not in opened:
                opened[row.recording] = _ImportedRecording(folder / str(len(opened) + 1))
            into = opened[row.recording]
            into.add(one)
            findings.take(row, one.size)
            if one.converted and (framing or one.size != (FRAME_WIDTH, FRAME_HEIGHT)):
                into.framing = into.framing or framing or Framing(*one.size)
    for recording in opened.values():
        recording.finish()
    return list(opened.values())


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
    missing = [above for above in output.parents if not above.exists()]
    try:
        atomic.make_folder(output.parent, "another -o")
        atomic.check_new_folder(output)
        with atomic.replacing_folder(output) as folder:
            written = write_recordings(format.read(settings, findings), folder, findings, framing)
            findings.check(source)
            _move_up_single(folder, written)
    except BaseException:
        for above in missing:
            with suppress(OSError):
                above.rmdir()
        raise
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


def _move_up_single(folder: Path, written: Sequence[_ImportedRecording]) -> None:
    if len(written) == 1:
        for path in (folder / "1").iterdir():
            path.rename(folder / path.name)
        (folder / "1").rmdir()


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
