"""The format frames: a folder of images, and a table that names them -> rows, and back.

A row whose image is not in the folder is left out. Without a table, for a film whose steering will
be estimated, each image is a row with a steering of 0.

An export has a table.csv, with a line for each row, and the image files as they were recorded. It
is UTF-8, separated by commas, quoted where needed (RFC 4180), with a header and decimal points;
paths are relative to the table and have forward slashes. An unknown value is an empty cell.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from bcclone.exchange.cameras import ask_of_cameras
from bcclone.exchange.controls import numbers_at, read_controls
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_rows import (
    FIELDS,
    WHOLE_NUMBERS,
    Items,
    LeftOut,
    Row,
    Seen,
    row_of,
)
from bcclone.exchange.inquiry import Inquiry, choose_table
from bcclone.exchange.pictures import Pictures, find_pictures, in_order
from bcclone.exchange.questions import Missing
from bcclone.exchange.source_files import (
    IMAGE_ENDINGS,
    FolderImages,
    folders_in,
    read_image,
    suffix_of,
)
from bcclone.exchange.table import SourceTable, read_table
from bcclone.exchange.table_files import TABLE_ENDINGS, find_tables, without_table
from bcclone.exchange.time_columns import no_times, read_times
from bcclone.exchange.times import Times, counted, times_of_images
from bcclone.recording.row import CAMERAS, NUMBERS
from bcclone.system.arrays import FloatArray
from bcclone.system.location import is_hidden

TABLE = "table.csv"  # of an export
# its columns: the whole numbers, with which FIELDS begins; the path of each camera's image; all
# other values
COLUMNS = (*WHOLE_NUMBERS, *CAMERAS, *FIELDS[len(WHOLE_NUMBERS) :])
_CENTER = CAMERAS[0]


@dataclass(frozen=True)
class _FolderTable:
    """A table, and what is read of it for each row."""

    table: SourceTable
    controls: dict[str, FloatArray]  # name in NUMBERS -> its numbers, (rows,)
    control_columns: dict[str, str]  # name in NUMBERS -> its column
    pictures: Pictures | None  # which images the rows have; None where that is asked for
    times: Times | None  # None where they are asked for


def is_image_folder(path: Path) -> bool:
    """Return whether a path is a table, or a folder with a table or with images.

    Folders in it count where they are no sources by themselves: images in one, a table in another.
    """
    if not path.is_dir():
        return path.is_file() and path.name.lower().endswith(TABLE_ENDINGS)
    endings = TABLE_ENDINGS + IMAGE_ENDINGS
    return _has(path, endings) or any(_has(inner, IMAGE_ENDINGS) for inner in folders_in(path))


def is_labelled_folder(path: Path) -> bool:
    """Return whether a folder has a table, and images beside it or in its folders."""
    return _has(path, TABLE_ENDINGS) and any(
        _has(inner, IMAGE_ENDINGS) for inner in (path, *folders_in(path))
    )


def _has(folder: Path, endings: tuple[str, ...]) -> bool:
    return any(
        file.name.lower().endswith(endings) and not is_hidden(file.name)
        for file in folder.iterdir()
    )


def read_images(settings: ImportSettings, seen: Seen) -> Items:
    """Return the rows of a folder of images: from its table; without a table if the steering is to
    be estimated.
    """
    if settings.steering:
        return _rows_without_table(settings, seen)
    return _rows_of_table(settings, seen)


def _rows_without_table(settings: ImportSettings, seen: Seen) -> Items:
    """Yield a row for each image of a folder, in the order of times, with a steering of 0."""
    folder = settings.source if settings.source.is_dir() else settings.source.parent
    inquiry = Inquiry(settings)
    paths = in_order(FolderImages(folder, settings.follow_links).paths)
    if isinstance(paths, Missing):
        inquiry.ask([paths])
        raise inquiry.refusal()
    times = times_of_images([PurePosixPath(path).stem for path in paths], settings.time_form)
    if settings.frame_rate:
        times = counted(range(len(paths)), settings.frame_rate)
    if not isinstance(times, Times):
        inquiry.note("pictures", str(folder), pictures=len(paths))
        inquiry.ask([times] if times else no_times())
        if not (settings.fov or settings.framing):  # which is asked for next
            inquiry.ask([Missing("fov", "fov", "DEGREES")])
        inquiry.check()
        return
    seen.notes.append(times.words)
    for index in np.argsort(times.milliseconds, kind="stable"):
        place = folder / paths[index]
        try:
            values = {"time_ms": times.of(index), "steering": 0.0}
            image = read_image(folder, paths[index], settings.follow_links)
            row = row_of(values, {_CENTER: image}, str(place))
        except ValueError as error:
            yield LeftOut.of(str(place), error)
            continue
        yield row


# ---- with a table


def _rows_of_table(settings: ImportSettings, seen: Seen) -> Items:
    """Yield the rows of a table; those whose image is not in the folder are left out."""
    folder = settings.source if settings.source.is_dir() else settings.source.parent
    images = FolderImages(folder, settings.follow_links)

    def look(chosen: ImportSettings) -> Inquiry:
        inquiry = Inquiry(chosen)
        _read_labels(chosen, Seen(), images, inquiry)
        return inquiry

    paths = find_tables(settings)
    if not paths:
        raise without_table(settings, folder)
    if len(paths) > 1:
        raise choose_table(settings, paths, look)
    inquiry = Inquiry(settings)
    labels = _read_labels(settings, seen, images, inquiry, paths[0])
    inquiry.check()
    table, times, pictures = labels.table, labels.times, labels.pictures
    if times is None or pictures is None:
        return
    yield from table.broken.values()
    further: list[str] = []  # columns that only our own export has, such as episode and x_m
    if _is_of_export(table):
        further = [name for name in table.columns if name in set(FIELDS) - set(NUMBERS)]
    used = {*labels.control_columns.values(), *pictures.columns.values(), *further}
    used |= {times.column, *times.columns}
    seen.columns_left_out = [name for name in table.columns if name not in used]
    named: set[str] = set()  # images that rows name
    for row in range(len(table.lines)):
        place = table.place(row)
        try:
            found = pictures.of(row, table, images)
            named.update(found.values())
            values: dict[str, Any] = {name: table.columns[name][row] for name in further}
            values |= {
                "time_ms": times.of(row),
                **numbers_at(labels.controls, labels.control_columns, table, row),
            }
            contents = {
                camera: read_image(folder, path, settings.follow_links)
                for camera, path in found.items()
            }
            read_row = row_of(values, contents, place, called={"time_ms": "time"})
        except ValueError as error:
            yield LeftOut.of(place, error)
            continue
        yield replace(read_row, picture=found.get(_CENTER, ""))
    seen.images_without_record = len(images.paths) - len(named)
    if renamed := len(named & images.with_other_ending):
        seen.notes.append(f"images: {renamed} end otherwise than in the table, as {min(named)!r}")


def _read_labels(
    settings: ImportSettings,
    seen: Seen,
    images: FolderImages,
    inquiry: Inquiry,
    path: Path | None = None,
) -> _FolderTable:
    """Read a table; ask for all that it does not state.

    path: of the table; None for the one of the settings
    """
    table = read_table(settings, path or find_tables(settings)[0], inquiry)
    seen.notes += table.notes
    controls, control_columns = read_controls(table, settings, seen, inquiry)
    # rows that are counted may have times of their own, which show which images are theirs
    of_table = Inquiry(settings)
    without_rate = replace(settings, frame_rate=None)
    own = read_times(table, without_rate, of_table)
    pictures = find_pictures(table, images, control_columns.values(), own, inquiry)
    stems = pictures.stems(table) if pictures else []
    paths = pictures.paths(table) if pictures else []
    if own is None and not of_table.missing:
        own = read_times(table, without_rate, of_table, stems)
    before = len(inquiry.missing)
    if own and not settings.frame_rate:
        inquiry.ask(table.doubts(own.column))
    are_doubtful = len(inquiry.missing) > before
    if paths and not are_doubtful and not _is_of_export(table):
        image_column = pictures.columns.get(_CENTER, "") if pictures else ""
        rate = settings.frame_rate
        inquiry.ask(ask_of_cameras(table, image_column, own, paths, rate))
    are_several = len(inquiry.missing) > before
    times = own
    if settings.frame_rate:
        times = counted(range(len(table.lines)), settings.frame_rate)
    else:
        inquiry.read += of_table.read
        inquiry.ask(of_table.missing)
    is_asked = any(one.setting.startswith(("time", "frame")) for one in inquiry.missing)
    if times is None and not is_asked and not of_table.missing:
        of_images = pictures.columns.values() if pictures else ()
        inquiry.ask(no_times(table, [*control_columns.values(), *of_images]))
    if times and paths and not (are_several or are_doubtful) and not _is_of_export(table):
        inquiry.ask(times.check_rate(paths))
    if times and pictures:
        seen.notes += [times.words, f"images: {pictures.words}"]
    return _FolderTable(table, controls, control_columns, pictures, times)


def _is_of_export(table: SourceTable) -> bool:
    # one column may be missing, so either of two pairs tells that the table is ours
    names = set(table.columns)
    return {"center", "time_ms"} <= names or {"recording", "episode"} <= names


# ---- an export


def write_csv(rows: Iterable[Row], folder: Path) -> None:
    """Write the table and the image files into an empty folder."""
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, restval="")
        table.writeheader()
        for index, row in enumerate(rows):
            values = row.values()
            images = Path("images") / str(row.recording)
            (folder / images).mkdir(parents=True, exist_ok=True)
            for camera, image in row.images.items():
                path = images / f"{index:07d}_{camera}{suffix_of(image)}"
                (folder / path).write_bytes(image)
                values[camera] = path.as_posix()
            table.writerow(values)
