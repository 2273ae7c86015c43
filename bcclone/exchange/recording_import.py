"""Import a source of another program: its rows -> a recording; nothing is written after an error.

The recording has driving_log.csv and IMG/, and the tables next to the log. The import of a film
(realcar/film.py) uses the same functions, and a stage that estimates the steering of the rows.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType

from bcclone.camera.framing import FRAMING_NAME, Framing, read_framing
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.formats import FORMATS, chosen_format
from bcclone.exchange.framed_rows import EPOCH, framed_rows
from bcclone.exchange.rows import Items, LeftOut, Row
from bcclone.exchange.seen import Seen, Summary
from bcclone.recording.edits import DELETE, Edits, StoredEdit, write_edits
from bcclone.recording.files import IMAGES
from bcclone.recording.row import CAMERAS, image_stamp
from bcclone.recording.run_folder import RecordingWriter
from bcclone.recording.run_tables import DRIVERS, LEFT_OUT, MOTION, TRACE, Sidecar
from bcclone.system.errors import UserError, number_of, shown_command
from bcclone.system.files import NEW_FOLDER, replacing_folder, write_text, writes


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
    seen = Seen(settings.min_throttle)
    with replacing_folder(settings.output) as folder:
        with open_source(format, settings, seen, framing) as rows:
            recordings = write_recordings(rows, folder)
        seen.check(settings.source)
        if format == "recording" and not settings.steering and not seen.converted:
            raise UserError(
                f"{settings.source}: a recording already, which needs no import; name it to "
                "bcclone preprocess"
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
    format: name of the source's format
    first: how many rows to read from the start of the source; None for all
    """
    read = FORMATS[format].read
    with (
        # the threads of framed_rows() read the source, so they end before it is closed
        closing(_driving_rows(read(settings, seen), seen, first)) as items,
        framed_rows(items, framing) as framed,
    ):
        yield _counted(framed, seen)


def _driving_rows(items: Items, seen: Seen, first: int | None) -> Items:
    """Yield the items of a source, without the rows that have too little throttle."""
    count = 0
    with closing(items) as source:
        for item in source:
            if isinstance(item, LeftOut) or seen.drives(item):
                yield item
            count += isinstance(item, Row)
            if count == first:
                return


def _counted(items: Iterable[Row | LeftOut], seen: Seen) -> Iterator[Row]:
    """Count the items, and yield the rows among them."""
    for item in items:
        seen.add(item)
        if isinstance(item, Row):
            yield item


# ---- the recording


def write_recordings(
    rows: Iterable[Row],
    folder: Path,
    left_out: Mapping[int, Mapping[int, str]] = MappingProxyType({}),
) -> list["ImportedRecording"]:
    """Write a recording into the folder, or several into folders 1, 2 and so on in it.

    Whether there are several is known after the last row. Until then each has a folder; a single
    one is moved up at the end, which renames a few files and IMG/.

    left_out: number of a recording -> time in milliseconds of pictures that became no row -> why
    """
    recordings: dict[int, ImportedRecording] = {}
    for row in rows:
        if row.recording not in recordings:
            recordings[row.recording] = ImportedRecording(folder / str(len(recordings) + 1))
        recordings[row.recording].add(row)
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
    format: str,
    settings: ImportSettings,
    recordings: Sequence[ImportedRecording],
    seen: Seen,
    start: float,
) -> ImportResult:
    """Return what was imported.

    start: value of time.monotonic() when the import began
    """
    return ImportResult(
        output=settings.output,
        format=format,
        recordings=len(recordings),
        rows=sum(recording.rows for recording in recordings),
        deleted=sum(recording.deleted for recording in recordings),
        converted=seen.converted,
        seconds=round(time.monotonic() - start, 2),
        seen=seen.summary(),
    )
