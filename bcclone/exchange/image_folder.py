"""The format frames: a folder of images, and a table that names them -> rows, and back.

A row whose image is not in the folder is left out. Without a table, for a film whose steering will
be estimated, each image is a row with a steering of 0.

An export has a table.csv, with a line for each row, and the image files as they were recorded. It
is UTF-8, separated by commas, quoted where needed (RFC 4180), with a header and decimal points;
paths are relative to the table and have forward slashes. An unknown value is an empty cell.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
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
from bcclone.exchange.inquiry import Inquiry, Missing, choose_table
from bcclone.exchange.source_files import (
    IMAGE_ENDINGS,
    FolderImages,
    folders_in,
    is_image,
    is_number,
    read_image,
    suffix_of,
)
from bcclone.exchange.table import SourceTable, camera_of_name, read_table, with_center
from bcclone.exchange.table_files import TABLE_ENDINGS, find_tables, without_table
from bcclone.exchange.times import (
    Times,
    counted,
    no_times,
    read_times,
    times_in_names,
)
from bcclone.exchange.units import plain
from bcclone.recording.row import CAMERAS, NUMBERS, camera_of
from bcclone.recording.written_times import are_decimals
from bcclone.system.arrays import FloatArray
from bcclone.system.location import is_hidden

TABLE = "table.csv"  # of an export
# its columns: the whole numbers, with which FIELDS begins; the path of each camera's image; all
# other values
COLUMNS = (*WHOLE_NUMBERS, *CAMERAS, *FIELDS[len(WHOLE_NUMBERS) :])
_CENTER = CAMERAS[0]
# usual plain names of a column whose cells name images without their ending
_IMAGES = re.compile(
    "(?:image|img|frame|picture|photo|file)(?:_?(?:id|name|file|path|index|number))?|center|name"
)
_NUMBERS = re.compile(r"(\d+)")
_MOST_LISTED = 12  # folders of a question


@dataclass(frozen=True)
class _FolderTable:
    """A table, and what is read of it for each row."""

    table: SourceTable
    controls: dict[str, FloatArray]  # name in NUMBERS -> its numbers, (rows,)
    control_columns: dict[str, str]  # name in NUMBERS -> its column
    image_columns: dict[str, str]  # camera -> column of its images; empty where they have none
    in_order: Sequence[str]  # where no column names the images, the path of each row's image
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


def _in_order(paths: Iterable[str]) -> list[str]:
    """Return the paths of images in the order of the times in their names; without these, in that
    of their numbers, so that frame2 comes before frame10, and 0.25 before 0.3.
    """
    in_order = sorted(paths, key=lambda path: [part.zfill(20) for part in _NUMBERS.split(path)])
    stems = [PurePosixPath(path).stem for path in in_order]
    times = times_in_names(stems)
    if isinstance(times, Times) and np.isfinite(times.milliseconds).all():
        return [in_order[place] for place in np.argsort(times.milliseconds, kind="stable")]
    numbers = [re.fullmatch(r"\D*(\d+)(?:\.(\d+))?", stem) for stem in stems]
    found = [number for number in numbers if number]
    if len(found) == len(stems) and are_decimals([number[2] or "" for number in found]):
        keys = [float(f"{number[1]}.{number[2] or 0}") for number in found]
        return [in_order[place] for place in np.argsort(keys, kind="stable")]
    return in_order


def _rows_without_table(settings: ImportSettings, seen: Seen) -> Items:
    """Yield a row for each image of a folder, in the order of times, with a steering of 0."""
    folder = settings.source if settings.source.is_dir() else settings.source.parent
    paths = _in_order(FolderImages(folder, settings.follow_links).paths)
    times = times_in_names([PurePosixPath(path).stem for path in paths], settings.time_form)
    if settings.frame_rate:
        times = counted(range(len(paths)), settings.frame_rate)
    if not isinstance(times, Times):
        inquiry = Inquiry(settings)
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
    table, times = labels.table, labels.times
    if times is None:
        return
    yield from table.broken
    further: list[str] = []  # columns that only our own export has, such as episode and x_m
    if _is_of_export(table):
        further = [name for name in table.columns if name in set(FIELDS) - set(NUMBERS)]
    used = {*labels.control_columns.values(), *labels.image_columns.values(), *further}
    used |= {times.column, *times.columns}
    seen.columns_left_out = [name for name in table.columns if name not in used]
    named: set[str] = set()  # images that rows name
    for row in range(len(table.lines)):
        place = table.place(row)
        try:
            if labels.in_order:
                found = {_CENTER: labels.in_order[row]}
            else:
                columns = labels.image_columns.items()
                found = images.of_cameras(
                    {camera: table.columns[name][row] for camera, name in columns}
                )
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
    columns = _image_columns(table, settings, images, control_columns.get("steering"), inquiry)
    counted = _counted_otherwise(table, columns[_CENTER], images, inquiry) if columns else ""
    if counted:
        columns = None
    in_order: Sequence[str] = ()
    stems: Sequence[str] = ()
    images_words = ""
    if columns is None:
        in_order = _images_in_order(table, images, inquiry)
        stems = [PurePosixPath(path).stem for path in in_order]
        images_words = "row N has image N, in the order of their times or numbers" + counted
    elif columns:
        stems = list(map(_stem_of, table.columns[columns[_CENTER]]))
        inquiry.note("pictures", f"column {columns[_CENTER]!r}", pictures=len(images.paths))
        images_words = f"by {', '.join(columns.values())}"
        _ask_for_folder(table, columns[_CENTER], images, inquiry)
    before = len(inquiry.missing)
    pictures = table.columns[columns[_CENTER]] if columns else in_order
    if len(pictures) == len(table.lines) and not _is_of_export(table):
        # rows that are counted may have times of their own, which show it
        own = read_times(table, replace(settings, frame_rate=None), Inquiry(settings), stems)
        image_column = columns[_CENTER] if columns else ""
        rate = settings.frame_rate
        inquiry.ask(ask_of_cameras(table, image_column, own, pictures, rate))
    are_several = len(inquiry.missing) > before
    times = read_times(table, settings, inquiry, stems)
    is_asked = any(one.setting.startswith(("time", "frame")) for one in inquiry.missing)
    if times is None and not is_asked:
        inquiry.ask(no_times(table, [*control_columns.values(), *(columns or {}).values()]))
    if times and pictures and not are_several and not _is_of_export(table):
        inquiry.ask(times.check_rate(pictures))
    if times and times.column and in_order:  # those that are counted say nothing
        inquiry.ask(_other_times(times, stems, in_order))
    if times:
        seen.notes += [times.words, f"images: {images_words}"]
    return _FolderTable(table, controls, control_columns, columns or {}, in_order, times)


def _is_of_export(table: SourceTable) -> bool:
    # one column may be missing, so either of two pairs tells that the table is ours
    names = set(table.columns)
    return {"center", "time_ms"} <= names or {"recording", "episode"} <= names


def _stem_of(cell: str) -> str:
    """Return the name of an image without folders and ending."""
    path = PurePosixPath(cell.replace("\\", "/"))
    # a name may end with a time such as 12.345, whose point begins no ending of a file
    return path.stem if is_image(cell) else path.name


# ---- which image a row has


def _image_columns(
    table: SourceTable,
    settings: ImportSettings,
    images: FolderImages,
    steering: str | None,
    inquiry: Inquiry,
) -> dict[str, str] | None:
    """Return camera -> column of the names of its images; {} where that is asked for, and None
    where no column names images.

    It is the column that --image-column names; those called center, left and right; the only one
    whose first filled cell names an image file; or the only one with a usual name whose cells name
    images of the folder.
    """
    if settings.image_column:
        if found := table.find(settings.image_column):
            return {_CENTER: found}
        facts = {"asked": settings.image_column, "columns": table.held()}
        inquiry.ask([Missing("no such column", "image_column", "IMAGES", facts)])
        return {}
    firsts = {name: next(filter(None, cells), "") for name, cells in table.columns.items()}
    of_files = [name for name, first in firsts.items() if is_image(first)]
    by_camera: dict[str, str] = {}
    for name in of_files:
        # a column is called like its camera, or its images are, as those of the simulator
        for called in (camera_of_name(name), camera_of(PureWindowsPath(firsts[name]).name)):
            if called:
                by_camera.setdefault(called, name)
    by_camera = with_center(by_camera)
    if _CENTER in by_camera:
        return {camera: by_camera[camera] for camera in CAMERAS if camera in by_camera}
    if len(of_files) > 1:  # only those whose images are there, if there are any
        of_files = [name for name in of_files if images.are_paths(table.columns[name])] or of_files
    others = [name for name in table.columns if name != steering]
    usual = [name for name in of_files or others if _IMAGES.fullmatch(plain(name))]
    naming = of_files or [
        name for name in others if images.are_named(table.columns[name], name in usual)
    ]
    usual = [name for name in usual if name in naming]
    fitting = usual or of_files
    if len(fitting) == 1:
        return {_CENTER: fitting[0]}
    if naming:
        kind = "several images" if fitting else "images"
        facts = {"columns": table.held(fitting or naming)}
        inquiry.ask([Missing(kind, "image_column", "IMAGES", facts)])
        return {}
    return None


def _images_in_order(table: SourceTable, images: FolderImages, inquiry: Inquiry) -> Sequence[str]:
    """Return the path of each row's image, where row N has image N; () where that is not so.

    That is so for as many images of one camera as the table has rows. A line that could not be read
    has an image, too.
    """
    paths = _in_order(images.paths)
    rows = len(table.lines) + len(table.broken)
    folders = Counter(str(PurePosixPath(path).parent) for path in paths)
    fitting = sorted(folder for folder, pictures in folders.items() if pictures == rows)
    example = paths[0] if paths else ""
    if len(folders) > 1 and fitting:
        _ask_which_folder(table, sorted(folders) if "." in fitting else fitting, inquiry)
        return ()
    if not paths:
        inquiry.ask([Missing("no pictures", facts={"endings": list(IMAGE_ENDINGS)})])
        return ()
    if len(paths) != rows:
        facts = {"rows": rows, "pictures": len(paths), "picture": example}
        inquiry.ask([Missing("no images", facts=facts)])
        return ()
    kinds = sorted({re.sub(r"\d+(?:\.\d+)?", "#", path) for path in paths})
    if len(kinds) > 1:
        facts = {"pictures": len(paths), "folders": kinds[:_MOST_LISTED], "picture": example}
        inquiry.ask([Missing("images of several folders", facts=facts)])
        return ()
    inquiry.note("pictures", f"row N has picture N, as there are {rows} of both")
    broken = [int(left_out.place.rpartition(" ")[2]) for left_out in table.broken]
    return [paths[row + int(np.searchsorted(broken, line))] for row, line in enumerate(table.lines)]


def _ask_for_folder(
    table: SourceTable, image_column: str, images: FolderImages, inquiry: Inquiry
) -> None:
    """Ask for the camera where each of several folders has an image of a row's name."""
    if folders := images.folders_of(table.columns[image_column]):
        _ask_which_folder(table, folders, inquiry)


def _ask_which_folder(table: SourceTable, folders: Sequence[str], inquiry: Inquiry) -> None:
    source = inquiry.settings.source
    folder = source if source.is_dir() else source.parent
    facts = {"folders": [str(folder / each) for each in folders[:_MOST_LISTED]]}
    if "." in folders:  # a source has all the pictures in its folders
        kind = "pictures in folders" if len(folders) > 1 else "names without endings"
        inquiry.ask([Missing(kind, facts=facts)])
        return
    inquiry.settings = replace(inquiry.settings, table=table.path)
    inquiry.ask([Missing("folder", "source", "FOLDER", facts)])


def _counted_otherwise(
    table: SourceTable, image_column: str, images: FolderImages, inquiry: Inquiry
) -> str:
    """Return in words how a column counts the images otherwise than their names, such as from 1 or
    by 2, so that row N has image N; "" where it has the numbers in their names.

    That is asked for where neither numbers nor counts fit.
    """
    cells = table.columns[image_column]
    if not images.numbered or not all(map(is_number, cells)):
        return ""
    rows = np.array(list(map(int, cells)))
    named = np.array(sorted(images.numbered))
    facts = {"first": int(rows.min()), "last": int(rows.max()), "column": image_column}
    facts |= {"first_picture": int(named[0]), "last_picture": int(named[-1])}
    if len(rows) == len(named) and (np.diff(rows) > 0).all() and (rows != named).any():
        by = (rows[-1] - rows[0]) / max(1, named[-1] - named[0])
        if np.allclose(rows - rows[0], by * (named - named[0]), atol=1e-6):
            of_rows = f"{facts['first']} to {facts['last']}"
            of_names = f"{facts['first_picture']} to {facts['last_picture']}"
            return f": {image_column} counts {of_rows}, and their names {of_names}"
    is_shifted = (rows.min() - named[0]) * (rows.max() - named[-1]) > 0
    if is_shifted and len(rows) != len(named) and not inquiry.settings.image_column:
        inquiry.ask([Missing("numbers of images", "image_column", "IMAGES", facts)])
    return ""


def _other_times(times: Times, stems: Sequence[str], paths: Sequence[str]) -> Iterator[Missing]:
    """Yield a question where the times in the names of images are not those of their rows, or these
    fall.
    """
    most_seconds = 0.5
    of_names = times_in_names(stems)
    off = np.zeros(1)
    if isinstance(of_names, Times):
        off = (of_names.milliseconds - times.milliseconds) / 1000
    elif (np.diff(times.milliseconds) < 0).any():
        off = np.abs(np.diff(times.milliseconds)) / 1000
    differ = float(np.nanmax(np.abs(off - np.nanmedian(off))))
    if differ > most_seconds:
        facts = {"seconds": differ, "picture": paths[0]}
        yield Missing("images at other times", facts=facts)


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
