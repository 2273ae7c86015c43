"""Import a recording of another format: write driving_log.csv, IMG/ and the tables next to the log, or nothing."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice, repeat
from pathlib import Path

from bcclone.dataset.framing import FRAMING_NAME, Framing, read_framing
from bcclone.dataset.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, decode_image, decode_jpeg, encode_jpeg
from bcclone.lab.exchange.exchange_settings import IMPORT_FORMATS, ImportSettings
from bcclone.lab.exchange.findings import EMPTY, Findings, Summary
from bcclone.lab.exchange.recording_folder import RecordedImages, RecordingFolder, check_time
from bcclone.lab.exchange.rows import ExchangedRow, Format, ImageMissing, ImageUnusable, format_named
from bcclone.lab.exchange.video_frames import VideoFrame
from bcclone.recording.files import LOG_NAME
from bcclone.recording.row import RowError
from bcclone.system import atomic
from bcclone.system.errors import UserError
from bcclone.system.hardware import usable_cores
from bcclone.system.opencv import cv2
from bcclone.system.prefetch import prefetch_ordered
from bcclone.system.settings import SettingError, settings_of

_TOGETHER = 8  # rows that a thread reads or converts at once


def record_images(row: ExchangedRow, framing: Framing | None = None) -> RecordedImages:
    """Convert the images of a row by a framing, or stretch them.

    Raises RowError for a time that no recording has, and for images it cannot use.
    """
    if "center" not in row.images:
        raise ImageMissing("it has no image of the center camera")
    check_time(row.time_ms)
    images, sizes = {}, {}
    for camera, image in row.images.items():
        try:
            images[camera], sizes[camera] = _as_recorded(image, framing)
        except BadImage as error:
            raise ImageUnusable(f"its image cannot be read: {error}") from None
    converted = sum(images[camera] is not row.images[camera] for camera in images)
    return RecordedImages(replace(row, images={}), images, sizes["center"], converted)


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
) -> list[RecordingFolder]:
    """Write each recording into a folder of its own, 1, 2 and so on; return the folders, which are complete.

    A thread reads the source, and decodes a video; the images are converted on all cores, ahead of the writing.
    """
    opened: dict[int, RecordingFolder] = {}
    framings: dict[int, Framing] = {}
    cores = usable_cores()
    driving = filter(findings.drives, rows)
    with (
        _one_thread_of_opencv(),
        prefetch_ordered(lambda _: list(islice(driving, _TOGETHER)), repeat(None), 1, 2) as read,
        prefetch_ordered(partial(_record_all, framing), iter(read.__next__, []), cores, 2 * cores) as results,
    ):
        for row, recorded in chain.from_iterable(results):
            if not isinstance(recorded, RecordedImages):
                kind = EMPTY if any(image == b"" for image in row.images.values()) else ""
                findings.leave_out(row.place, recorded, kind)
                continue
            into = opened.get(row.recording) or RecordingFolder(folder / str(len(opened) + 1))
            opened[row.recording] = into
            into.write(recorded)
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
) -> list[tuple[ExchangedRow, RecordedImages | RowError]]:
    """Return each row with its images as a recording has them, or why it cannot be used."""
    results: list[tuple[ExchangedRow, RecordedImages | RowError]] = []
    for row in rows:
        try:
            results.append((row, record_images(row, framing)))
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


def _move_up_single(folder: Path, written: Sequence[RecordingFolder]) -> None:
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
