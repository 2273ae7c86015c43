"""Write the rows of one recording: driving_log.csv, IMG/, and the tables next to the log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from bcclone.lab.exchange.rows import ExchangedRow
from bcclone.recording.drivers import DRIVERS
from bcclone.recording.edits import DELETE, Edit, Edits, Span, write_edits
from bcclone.recording.files import IMAGES, LOG_NAME
from bcclone.recording.row import CAMERAS, RowError, image_stamp
from bcclone.recording.run_tables import TRACE
from bcclone.recording.writer import RecordingWriter

_EPOCH, _LAST = datetime(1970, 1, 1), datetime(9999, 1, 1)  # the times that the names of images can hold
_LAST_MS = (_LAST - _EPOCH) // timedelta(milliseconds=1)


def check_time(time_ms: int) -> None:
    """Raise RowError for a time that no name of an image can hold."""
    if not 0 <= time_ms < _LAST_MS:
        raise RowError(f"its time is {time_ms} ms, expected milliseconds since 1970, before the year {_LAST.year}")


@dataclass(frozen=True)
class RecordedImages:
    """The images of a row as a recording holds them.

    row: whose images they are; images: camera -> JPEG of 320x160; size: width and height of the centre image as it was;
    converted: how many were of another kind or size.
    """

    row: ExchangedRow
    images: Mapping[str, bytes]
    size: tuple[int, int]
    converted: int


class RecordingFolder:
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

    def write(self, recorded: RecordedImages) -> None:
        """Append a row with its images; raises OSError."""
        row = recorded.row
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


def _spans(marks: Sequence[tuple[str, bool]]) -> list[Span]:
    """Return the spans of deleted rows. marks: each row's centre image, and whether the row is deleted."""
    spans: list[tuple[str, str]] = []
    before = False
    for image, deleted in sorted(marks):
        if deleted:
            spans.append((spans.pop()[0], image) if before else (image, image))
        before = deleted
    return [Span(*span) for span in spans]
