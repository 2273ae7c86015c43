"""Import a recording of another format: write driving_log.csv, IMG/ and the tables next to the log,
or nothing.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path

from bcclone.camera.framing import FRAMING_NAME, Framing, read_framing
from bcclone.camera.images import (
    FRAME_HEIGHT,
    FRAME_WIDTH,
    BadImage,
    decode_image,
    decode_jpeg,
    encode_jpeg,
)
from bcclone.diagnosis.heading import share_that_grows
from bcclone.diagnosis.motion import follow_points
from bcclone.exchange.exchange_settings import IMPORT_FORMATS, ImportSettings
from bcclone.exchange.formats import (
    EMPTY,
    MISSING,
    UNREADABLE,
    ExchangedRow,
    UnusableImage,
    format_named,
)
from bcclone.exchange.labelled_video import VideoFrame
from bcclone.exchange.left_out import Findings, Summary
from bcclone.recording.edits import DELETE, Edits, StoredEdit, write_edits
from bcclone.recording.files import IMAGES
from bcclone.recording.log import other_file
from bcclone.recording.row import CAMERAS, RowError, image_stamp
from bcclone.recording.run_tables import DRIVERS, TRACE
from bcclone.recording.writer import RecordingWriter
from bcclone.system import atomic
from bcclone.system.codec import open_file
from bcclone.system.errors import UserError, number_of, shown_command
from bcclone.system.hardware import usable_cores
from bcclone.system.opencv import opencv_on_one_thread
from bcclone.system.output import NEW_FOLDER, writes
from bcclone.system.prefetch import prefetch_ordered
from bcclone.system.settings import SettingError, settings_of

_EPOCH, _LAST = (
    datetime(1970, 1, 1),
    datetime(9999, 1, 1),
)  # the times that the names of images can hold
_LAST_MS = (_LAST - _EPOCH) // timedelta(milliseconds=1)
_FRAME_SIZE = FRAME_WIDTH, FRAME_HEIGHT
_Recorded = dict[
    str, tuple[bytes, tuple[int, int]]
]  # camera -> JPEG of 320x160, and the size that it had
_TOGETHER = 8  # rows that a thread reads and converts at once
_PAIRS, _FOLLOWING_MS, _LEAST_THROTTLE, _CLEAR_SHARE = (
    60,
    300,
    0.01,
    0.75,
)  # to tell forwards; of pairs that grow


class _ImportedRecording(RecordingWriter):
    """Writes the rows of one recording into a new folder.

    deleted: rows that the source marks as deleted; converted: images in another format.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, prefix=f"{IMAGES}/")
        self.deleted = self.converted = 0
        self._framings: Counter[Framing] = (
            Counter()
        )  # of converted images, if any was of another size
        self._times: dict[
            tuple[int, int], int
        ] = {}  # time in the source and hash of images -> time
        self._later: dict[
            int, int
        ] = {}  # a taken time -> one after it, from which on to look for a free one
        self._marks: list[
            tuple[str, bool]
        ] = []  # name of the centre image, and whether its row is deleted

    def add(self, row: ExchangedRow, recorded: _Recorded, framing: Framing | None) -> None:
        """Append a row with its images; raises OSError. framing: by which they were converted,
        None: stretched.
        """
        jpegs, size = (
            {camera: image for camera, (image, _) in recorded.items()},
            recorded[CAMERAS[0]][1],
        )
        key, time_ms = (row.time_ms, hash(tuple(jpegs.items()))), row.time_ms
        if key not in self._times:  # other images of the same millisecond get a later one
            while time_ms in self._later:
                time_ms = self._later[time_ms]
            # the next row of this time is not compared with all before
            self._later |= {row.time_ms: time_ms + 1, time_ms: time_ms + 1}
            self._times[key] = time_ms
        stamp = image_stamp(_EPOCH + timedelta(milliseconds=self._times[key]))
        images = {f"{camera}_{stamp}.jpg": image for camera, image in jpegs.items()}
        center, of_tables = f"{CAMERAS[0]}_{stamp}.jpg", ((DRIVERS, row.driven), (TRACE, row.point))
        self.write(
            images,
            map(repr, row.numbers),
            {table: value.row(center) for table, value in of_tables if value},
        )
        self._marks.append((center, row.deleted))
        self.deleted += row.deleted
        converted = sum(image is not row.images[camera] for camera, image in jpegs.items())
        self.converted += converted
        if converted and (framing or size != _FRAME_SIZE):
            self._framings[framing or Framing(*size)] += 1

    def finish(self) -> None:
        """Write which rows are deleted, and how images were framed."""
        runs = [
            (deleted, list(run)) for deleted, run in groupby(sorted(self._marks), key=itemgetter(1))
        ]
        spans = tuple((run[0][0], run[-1][0]) for deleted, run in runs if deleted)
        if spans:
            write_edits(self.log, Edits((StoredEdit(DELETE, spans),)))
        for framing, _ in self._framings.most_common(1):
            atomic.write_text(self.folder / FRAMING_NAME, framing.to_json() + "\n")


def _prepare(
    framing: Framing | None, row: ExchangedRow
) -> tuple[ExchangedRow, _Recorded | RowError]:
    """Return a row and its images, converted by a framing or stretched, or why it cannot be used."""
    if CAMERAS[0] not in row.images:
        return row, UnusableImage(MISSING, "it has no image of the center camera")
    if not 0 <= row.time_ms < _LAST_MS:
        expected = f"expected milliseconds since 1970, before the year {_LAST.year}"
        return row, RowError(f"its time is {row.time_ms} ms, {expected}")
    try:
        return row, {camera: _as_recorded(image, framing) for camera, image in row.images.items()}
    except RowError as error:
        return row, error


def _as_recorded(
    image: bytes | VideoFrame, framing: Framing | None
) -> tuple[bytes, tuple[int, int]]:
    """Return a JPEG of the simulator's size unchanged, and any other image as one; and the size
    that it had.
    """
    try:
        if framing is None and isinstance(image, VideoFrame):
            return image.recorded(), image.size
        if framing is None and isinstance(image, bytes):
            with suppress(BadImage):
                decode_jpeg(image)
                return image, _FRAME_SIZE
        picture = (
            image.pixels() if isinstance(image, VideoFrame) else decode_image(image, others=True)
        )
        return encode_jpeg((framing or Framing.of(picture)).apply(picture)), (
            picture.shape[1],
            picture.shape[0],
        )
    except BadImage as error:
        raise UnusableImage(
            UNREADABLE if image else EMPTY, f"its image cannot be read: {error}"
        ) from None


def _set_forwards(
    findings: Findings, rows: Iterable[ExchangedRow], framing: Framing | None
) -> None:
    """Set the sign of the throttle with which the car drives forwards.

    Where most rows have a negative one, the pictures of pairs of them are compared: they grow if
    the car drives forwards.
    """
    least = max(findings.min_throttle or 0.0, _LEAST_THROTTLE)
    pairs, positive, negative, every, last = (
        list[tuple[ExchangedRow, ExchangedRow]](),
        0,
        0,
        1,
        None,
    )
    for row in rows:
        positive += row.throttle >= least
        negative += row.throttle <= -least
        follows = (
            last
            and last.recording == row.recording
            and 0 < row.time_ms - last.time_ms < _FOLLOWING_MS
        )
        if (
            last
            and follows
            and max(last.throttle, row.throttle) <= -least
            and negative % every == 0
        ):
            pairs.append((last, row))
            if len(pairs) > 2 * _PAIRS:
                pairs, every = pairs[::2], 2 * every
        last = row
    if negative <= positive:
        return
    frames = []
    for pair in pairs:
        with suppress(RowError, KeyError):
            frames.append(
                [decode_jpeg(_as_recorded(row.images[CAMERAS[0]], framing)[0]) for row in pair]
            )
    share = share_that_grows([follow_points(*pair) for pair in frames])
    said = "forwards or backwards: the pictures do not show it"
    if share is not None and abs(share - 0.5) >= _CLEAR_SHARE - 0.5:
        findings.forwards = -1 if share > 0.5 else 1
        said = (
            f"{'forwards' if share > 0.5 else 'backwards'}, as {len(frames)} pairs of pictures show"
        )
    findings.direction = (
        f"throttle: {negative} rows have {-least:g} or less, {positive} have {least:g} or more; a "
        + (f"negative one drives {said}")
    )


def write_recordings(
    rows: Iterable[ExchangedRow], folder: Path, findings: Findings, framing: Framing | None = None
) -> list[_ImportedRecording]:
    """Write a recording into the folder, or several into folders 1, 2 and so on in it; return them.

    The source is read, a video decoded, and the images converted in threads, on all cores, ahead of
    the writing.
    """
    opened: dict[int, _ImportedRecording] = {}
    cores, driving = usable_cores(), filter(findings.drives, rows)
    parts = iter(lambda: list(islice(driving, _TOGETHER)), [])
    with ExitStack() as stack:
        stack.enter_context(opencv_on_one_thread())  # images are converted on all cores already
        converting = prefetch_ordered(
            lambda part: [_prepare(framing, row) for row in part], parts, cores, 2 * cores
        )
        for row, recorded in chain.from_iterable(stack.enter_context(converting)):
            if isinstance(recorded, RowError):
                findings.leave_out(row.place, recorded)
                continue
            if row.recording not in opened:
                opened[row.recording] = _ImportedRecording(folder / str(len(opened) + 1))
            opened[row.recording].add(row, recorded, framing)
            findings.take(row, recorded[CAMERAS[0]][1])
    for recording in opened.values():
        recording.finish()
    if len(opened) == 1:
        for path in (folder / "1").iterdir():
            path.rename(folder / path.name)
        (folder / "1").rmdir()
    return list(opened.values())


@dataclass(frozen=True)
class ImportResult:
    """What was imported. recordings: more than one are in the folders 1, 2 and so on of the output.

    deleted: rows that the source marks as deleted, and `bcclone edit` shows as such; converted:
    images that were not JPEGs of 320x160 pixels, and are now; seen: what the source holds;
    has_estimates: its steering is one.
    """

    output: Path
    format: str
    recordings: int
    rows: int
    deleted: int
    converted: int
    seconds: float
    seen: Summary
    has_estimates: bool = False

    def as_text(self) -> str:
        return "\n".join([
            f"{self.output}: {number_of(self.recordings, 'recording')} from {self.format}, "
            f"{number_of(self.rows, 'row')}; it took {self.seconds:.1f} s",
            *self.seen.lines(),
            f"next: {shown_command(*(('edit',) if self.has_estimates else ('preprocess', '--check')), self.output)}",
        ])  # fmt: skip


@writes(NEW_FOLDER)
def import_recording(
    settings: ImportSettings, framing: Framing | None = None, most: int | None = None
) -> ImportResult:
    """Write a source of another program as a recording; rows that cannot be used are counted and
    left out.

    framing: of the pictures, if settings name none; most: of the first rows, None for all. Raises
    UserError for a source that cannot be read, or of which too little can, a target that is not
    empty, and a disk that refuses; SettingError for a setting of tables that the format has no use
    for.
    """
    start = time.monotonic()
    source, output = settings.source, settings.output
    given = [
        each.name
        for each, declared in settings_of(ImportSettings)
        if declared.group and getattr(settings, each.name) != each.default
    ]
    format = format_named(settings.format or format_of(source, given))
    for name in given:
        if name not in format.options:
            formats = ", ".join(
                each for each in IMPORT_FORMATS if name in format_named(each).options
            )
            raise SettingError(
                f"{{{name}}} is only for {formats}, but {{source}} is {{format}}; leave it out",
                source=source,
                format=format.name,
            )
    format.check_package()
    findings = Findings(settings.min_throttle)
    framing = read_framing(settings.framing) if settings.framing else framing
    with atomic.replacing_folder(output) as folder:
        if settings.min_throttle is not None and settings.min_throttle >= 0:
            _set_forwards(findings, format.read(settings, Findings()), framing)
        written = write_recordings(
            islice(format.read(settings, findings), most), folder, findings, framing
        )
        findings.check(source)
        if (
            format.name == "recording"
            and not settings.steering
            and not any(each.converted for each in written)
        ):
            raise UserError(
                f"{source}: a recording already, which needs no import; name it to bcclone preprocess"
            )
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


def format_of(source: Path, given: Collection[str] = ()) -> str:
    """Return the format of a source by its files; raises UserError for an unknown one.

    given: settings of tables, which a recording or our own table has no use for: it is then read as
    any other table.
    """
    formats = [format_named(name) for name in IMPORT_FORMATS]
    detected = [each for each in formats if each.detect(source)]
    if "table" in given and source.is_dir():
        detected.append(format_named("frames"))
    if detected:
        fitting = (
            []
            if detected[0].options
            else [each for each in detected if each.options.issuperset(given)]
        )
        return (fitting or detected)[0].name
    with suppress(OSError), open_file(source, "store") as file:
        if (what := other_file(source, file.read(512))) and not what.startswith("a video"):
            raise UserError(f"{source}: {what}", exit_code=2)
    what = (
        "no such file or folder"
        if not source.exists()
        else f"none of the formats {', '.join(IMPORT_FORMATS)}"
    )
    expected = ", ".join(f"{each.expected} ({each.name})" for each in formats)
    raise UserError(f"{source}: {what}; expected a folder with {expected}", exit_code=2)
