"""Import a source of another program: its rows -> a recording; nothing is written after an error.

The recording has driving_log.csv and IMG/, and the tables next to the log. The import of a film
(realcar/film.py) uses the same functions, and a stage that estimates the steering of the rows.
"""

import time
from collections import Counter
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType

from bcclone.camera.framing import Framing
from bcclone.camera.framing_files import FRAMING_NAME, read_framing
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, read_picture
from bcclone.exchange.driving_direction import (
    SeenThrottles,
    ThrottleRule,
    see_throttles,
    throttle_rule,
)
from bcclone.exchange.exchange_settings import IMPORT_FORMATS, ImportSettings
from bcclone.exchange.exchanged_row import ExchangedRow, Passed, rows_among
from bcclone.exchange.formats import Format, format_named
from bcclone.exchange.framed_rows import EPOCH, FramedItem, FramedRow, framed_rows
from bcclone.exchange.left_out import Summary, Tally
from bcclone.exchange.source_files import other_file_in
from bcclone.recording.edits import DELETE, Edits, StoredEdit, write_edits
from bcclone.recording.files import IMAGES, ImageIndex, find_log, is_recording, subfolders
from bcclone.recording.foreign_log import other_file_at
from bcclone.recording.log import read_log
from bcclone.recording.row import CAMERAS, image_stamp
from bcclone.recording.run_tables import DRIVERS, LEFT_OUT, MOTION, TRACE, Sidecar
from bcclone.recording.writer import RecordingWriter
from bcclone.system.errors import UserError, number_of, shown_command
from bcclone.system.files import NEW_FOLDER, replacing_folder, write_text, writes
from bcclone.system.location import as_local
from bcclone.system.settings import SettingError, settings_of


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
        following = ("edit",) if self.has_estimates else ("preprocess", "--check")
        return "\n".join(
            [
                f"{self.output}: {recordings} from {self.format}, {rows}; "
                f"it took {self.seconds:.1f} s",
                *self.seen.lines(),
                f"next: {shown_command(*following, self.output)}",
            ]
        )


@writes(NEW_FOLDER)
def import_recording(settings: ImportSettings) -> ImportResult:
    """Write a source of another program as a recording, without the rows that cannot be used.

    Raises UserError for a source that cannot be read, or has too few rows that can be used, for a
    target that is not empty, and for a disk that refuses; SettingError for a setting of tables that
    the format does not read.
    """
    start = time.monotonic()
    format = chosen_format(settings)
    framing = read_framing(settings.framing) if settings.framing else None
    if framing and format.name == "recording":
        _check_size(settings, framing)
    with replacing_folder(settings.output) as folder:
        throttles = throttles_of(format, settings)
        rule = throttle_rule(settings.min_throttle, throttles, framing)
        tally = Tally(rule)
        with open_source(format, settings, rule, framing) as items:
            recordings = write_recordings(tally.counted(items), folder)
        tally.check(settings.source)
        if format.name == "recording" and not settings.steering and not tally.converted:
            raise UserError(
                f"{settings.source}: a recording already, which needs no import; name it to "
                "bcclone preprocess"
            )
    return result_of(settings, format, recordings, tally, start)


def _check_size(settings: ImportSettings, framing: Framing) -> None:
    """Raise UserError if a recording has frames, and the framing is for pictures of another size.

    It is then the framing of the pictures from which the frames were made.
    """
    frame = (FRAME_WIDTH, FRAME_HEIGHT)
    log = find_log(str(settings.source))
    path = ImageIndex(log).find(read_log(log).rows["center"].iloc[0])
    if not path or (framing.width, framing.height) == frame:
        return
    try:
        height, width, _ = read_picture(path).shape
    except BadImage:  # the import counts pictures that cannot be read
        return
    if (width, height) == frame:
        raise UserError(
            f"{settings.source}: its pictures have {width}x{height} pixels, so they are frames "
            f"already, but {settings.framing} is for pictures of {framing.width}x{framing.height}; "
            "import the source of this recording, such as a tub or a film, with --framing"
        )


# ---- the source


def chosen_format(settings: ImportSettings) -> Format:
    """Return the format that the settings name, or else the one that the source's files show.

    Raises UserError for a source in none of the formats, and for a missing package; SettingError
    for a setting of tables that the format does not read.
    """
    # the settings of tables that the user changed
    given = [
        field.name
        for field, declared in settings_of(ImportSettings)
        if declared.group and getattr(settings, field.name) != field.default
    ]
    format = format_named(settings.format or format_of(settings.source, given))
    for name in given:
        if name not in format.options:
            fitting = [other for other in IMPORT_FORMATS if name in format_named(other).options]
            # a setting's name in braces, such as {unit}, becomes its option; the others are facts
            text = "{NAME} is only for {fitting}, but {source} is {format}; leave it out"
            raise SettingError(
                text.replace("NAME", name),
                fitting=", ".join(fitting),
                source=settings.source,
                format=format.name,
            )
    format.check_package()
    return format


def format_of(source: Path, given: Collection[str] = ()) -> str:
    """Return the name of a source's format, found by its files; raises UserError for none.

    given: names of the settings of tables that the user changed. If the first format that fits the
        files reads no such settings (a recording of the simulator), the first one that fits and
        reads all of them is taken: driving_log.csv is then read as any other table.
    """
    formats = [format_named(name) for name in IMPORT_FORMATS]
    detected = [format for format in formats if format.detect(source)]
    if "table" in given and source.is_dir():
        detected.append(format_named("frames"))
    if not detected:
        raise _unknown(source, formats)
    # a text file beside folders of tubs is no table of their pictures
    if [format.name for format in detected] == ["frames"] and not given:
        inside = _sources_in(source, [format_named(name) for name in ("tub", "lerobot")])
        if inside:
            raise _several(source, inside)
    if not detected[0].options:
        for format in detected:
            if format.options.issuperset(given):
                return format.name
    return detected[0].name


def _unknown(source: Path, formats: Sequence[Format]) -> UserError:
    """Return the error for a source in none of the formats."""
    other = other_file_at(source)
    if other and not other.startswith("a video"):
        return UserError(f"{source}: {other}", exit_code=2)
    if inside := _sources_in(source, formats):
        return _several(source, inside)
    what = "no such file or folder"
    if source.is_dir():
        what = f"none of the formats {', '.join(IMPORT_FORMATS)}"
        if other := other_file_in(source):
            return UserError(f"{source}: no recording in it; {other}", exit_code=2)
    elif source.exists():
        what = f"none of the formats {', '.join(IMPORT_FORMATS)}"
        what += f"; if it is a table, name the folder of its pictures, and --table {source.name}"
    expected = ", ".join(f"{format.expected} ({format.name})" for format in formats)
    return UserError(f"{source}: {what}; expected a folder with {expected}", exit_code=2)


def _sources_in(folder: Path, formats: Sequence[Format], depth: int = 2) -> list[Path]:
    """Return the folders in a folder that are sources in one of the formats.

    depth: how many folders deep to look
    """
    found: list[Path] = []
    if not depth or not folder.is_dir():
        return found
    for path in map(as_local, subfolders(folder)):
        if any(format.detect(path) for format in formats):
            found.append(path)
        else:
            found += _sources_in(path, formats, depth - 1)
    return found


def _several(source: Path, inside: Sequence[Path]) -> UserError:
    """Return the error for a folder that only holds folders of sources."""
    names = ", ".join(str(path.relative_to(source)) for path in inside[:20])
    recordings = [path for path in inside if is_recording(path)]
    others = [path for path in inside if path not in recordings]
    if not others:
        command = shown_command("preprocess", *recordings)
        return UserError(
            f"{source}: its folders are recordings already, which need no import: {names}; next: "
            f"{command}",
            exit_code=2,
        )
    first = others[0]
    command = shown_command("import", first, "-o", f"recordings/{first.name}")
    if recordings:
        names += f"; recordings already, which need no import: {len(recordings)} of them"
    return UserError(
        f"{source}: its folders are sources, {len(inside)} of them: {names}; import each by "
        f"itself, the first with: {command}",
        exit_code=2,
    )


def throttles_of(format: Format, settings: ImportSettings) -> SeenThrottles | None:
    """Return the throttles of a source, which show how it drives forwards.

    This reads the whole source, once more than otherwise: the direction must be known before the
    first row is left out, and the images of a long source do not fit into memory. Returns None
    without --min-throttle, and for a negative one, which already says the direction.
    """
    if settings.min_throttle is None or settings.min_throttle < 0:
        return None
    with closing(format.read(settings)) as items:
        return see_throttles(rows_among(items), settings.min_throttle)


@contextmanager
def open_source(
    format: Format,
    settings: ImportSettings,
    rule: ThrottleRule,
    framing: Framing | None = None,
    first: int | None = None,
) -> Iterator[Iterator[FramedItem]]:
    """Yield an iterator of the items of a source, whose rows have frames; close it afterwards.

    framing: how pictures become frames; None to stretch them to 320x160
    first: how many rows to read from the start of the source; None for all
    """
    # the threads of framed_rows() read the source, so they end before it is closed
    with (
        closing(_driven_rows(format, settings, rule, first)) as items,
        framed_rows(items, framing) as framed,
    ):
        yield framed


def _driven_rows(
    format: Format, settings: ImportSettings, rule: ThrottleRule, first: int | None
) -> Generator[ExchangedRow | Passed, None, None]:
    """Yield the items of a source; rows that a rule leaves out become BelowThrottle."""
    count = 0
    with closing(format.read(settings)) as items:
        for item in items:
            if not isinstance(item, ExchangedRow):
                yield item
                continue
            yield rule.applied_to(item)
            count += 1
            if count == first:
                return


# ---- the recording


def write_recordings(
    rows: Iterable[FramedRow],
    folder: Path,
    left_out: Mapping[int, Mapping[int, str]] = MappingProxyType({}),
) -> list["ImportedRecording"]:
    """Write a recording into the folder, or several into folders 1, 2 and so on in it.

    Whether there are several is known after the last row. Until then each has a folder; a single
    one is moved up at the end, which renames a few files and IMG/.

    left_out: number of a recording -> time in milliseconds of pictures that became no row -> why
    """
    recordings: dict[int, ImportedRecording] = {}
    for framed in rows:
        number = framed.row.recording
        if number not in recordings:
            recordings[number] = ImportedRecording(folder / str(len(recordings) + 1))
        recordings[number].add(framed)
    for number, recording in recordings.items():
        recording.write_left_out(left_out.get(number, {}))
        recording.finish()
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

    def add(self, framed: FramedRow) -> None:
        """Append a row with its frames; raises OSError."""
        row = framed.row
        images = {_name_of(camera, row.time_ms): jpeg for camera, jpeg in row.images.items()}
        center = _name_of(CAMERAS[0], row.time_ms)
        tables: dict[Sidecar, str] = {}
        for table, value in ((DRIVERS, row.driven), (TRACE, row.point), (MOTION, framed.path)):
            if value:
                tables[table] = value.row(center)
        self.write(images, map(repr, row.numbers), tables)
        self._marks.append((center, row.deleted))
        self.deleted += row.deleted
        if framed.framing:
            self._framings[framed.framing] += 1

    def write_left_out(self, left_out: Mapping[int, str]) -> None:
        """Write which pictures were left out.

        left_out: time in milliseconds of pictures that became no row -> why
        """
        if not left_out:
            return
        text = LEFT_OUT.header
        for time_ms, reason in sorted(left_out.items()):
            text += f"{_name_of(CAMERAS[0], time_ms)},{reason}\n"
        write_text(self.folder / LEFT_OUT.name, text)

    def finish(self) -> None:
        """Write which rows are deleted, and the framing that made the frames of most rows; mark the
        recording as complete.
        """
        runs = [
            (deleted, [name for name, _ in run])
            for deleted, run in groupby(sorted(self._marks), key=itemgetter(1))
        ]
        spans = tuple((names[0], names[-1]) for deleted, names in runs if deleted)
        if spans:
            write_edits(self.log, Edits((StoredEdit(DELETE, spans),)))
        for framing, _ in self._framings.most_common(1):  # none if no picture was converted
            write_text(self.folder / FRAMING_NAME, framing.to_json() + "\n")
        super().finish()


def _name_of(camera: str, time_ms: int) -> str:
    """Return the base name of a camera's image at a time, in milliseconds since 1970."""
    return f"{camera}_{image_stamp(EPOCH + timedelta(milliseconds=time_ms))}.jpg"


def result_of(
    settings: ImportSettings,
    format: Format,
    recordings: Sequence[ImportedRecording],
    tally: Tally,
    start: float,
) -> ImportResult:
    """Return what was imported.

    start: value of time.monotonic() when the import began
    """
    return ImportResult(
        output=settings.output,
        format=format.name,
        recordings=len(recordings),
        rows=sum(recording.rows for recording in recordings),
        deleted=sum(recording.deleted for recording in recordings),
        converted=tally.converted,
        seconds=round(time.monotonic() - start, 2),
        seen=tally.summary(),
    )
