"""A table and the images of a folder -> which image each row has.

A column names it, or has the number in its name. Where no column does, rows and images are paired
by their times, if both are of the same clock; or row N has image N, if there are as many of both,
in the order of the times or numbers in the names. Where these contradict the rows, the import asks.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath, PureWindowsPath
from types import MappingProxyType

import numpy as np

from bcclone.exchange.cameras import camera_of_name, with_center
from bcclone.exchange.exchanged_rows import MISSING, LeftOut
from bcclone.exchange.inquiry import Inquiry
from bcclone.exchange.plain_names import plain
from bcclone.exchange.questions import Missing
from bcclone.exchange.source_files import IMAGE_ENDINGS, FolderImages, is_image, number_of_image
from bcclone.exchange.table import SourceTable
from bcclone.exchange.times import Times, times_of_images
from bcclone.recording.row import CAMERAS, camera_of
from bcclone.recording.written_times import are_decimals, usual_step

_CENTER = CAMERAS[0]
# usual plain names of a column whose cells name images without their ending
_IMAGES = re.compile(
    "(?:image|img|frame|picture|photo|file)(?:_?(?:id|name|file|path|index|number))?|center|name"
)
_NUMBERS = re.compile(r"(\d+)")
_MOST_LISTED = 12  # folders of a question


@dataclass(frozen=True)
class Pictures:
    """Which images the rows of a table have."""

    words: str  # how that is known
    columns: Mapping[str, str] = field(default_factory=dict)  # camera -> column of its images
    by_row: Sequence[str] = ()  # without columns: path of each row's image, "" for none

    def of(self, row: int, table: SourceTable, images: FolderImages) -> dict[str, str]:
        """Return camera -> path of a row's image; raises LeftOut and RowError for none."""
        if self.columns:
            cells = {camera: table.columns[name][row] for camera, name in self.columns.items()}
            return images.of_cameras(cells)
        if not self.by_row[row]:
            raise LeftOut("no image has its time or number in its name", MISSING)
        return {_CENTER: self.by_row[row]}

    def paths(self, table: SourceTable) -> Sequence[str]:
        """Return what names the center image of each row."""
        return table.columns[self.columns[_CENTER]] if self.columns else self.by_row

    def stems(self, table: SourceTable) -> list[str]:
        """Return the name of each row's image without folders and ending."""
        names = [PurePosixPath(cell.replace("\\", "/")) for cell in self.paths(table)]
        # a name may end with a time such as 12.345, whose point begins no ending of a file
        return [name.stem if is_image(name.name) else name.name for name in names]


def find_pictures(
    table: SourceTable,
    images: FolderImages,
    controls: Collection[str],
    times: Times | None,
    inquiry: Inquiry,
) -> Pictures | None:
    """Return which images the rows have; None where that is asked for.

    controls: columns of the steering and of other controls
    times: of the rows by the table, None for none
    """
    columns = _image_columns(table, images, controls, inquiry.settings.image_column)
    if isinstance(columns, Missing):
        inquiry.ask([columns])
        return None
    if columns is None:
        return _without_column(table, images, controls, times, inquiry)
    center = columns[_CENTER]
    counted = _counted_otherwise(table, center, images, inquiry.settings.image_column)
    if isinstance(counted, Missing):
        inquiry.ask([counted])
        return None
    if counted:
        return _row_by_row(table, images, times, inquiry, counted)
    inquiry.note("pictures", f"column {center!r}", pictures=len(images.paths))
    if folders := images.folders_of(table.columns[center]):
        inquiry.ask(_folder_column(table, center, images) or _which_folder(table, folders, inquiry))
    return Pictures(f"by {', '.join(columns.values())}", columns)


# ---- a column of names or numbers


def _image_columns(
    table: SourceTable, images: FolderImages, controls: Collection[str], asked: str | None
) -> dict[str, str] | Missing | None:
    """Return camera -> column of the names of its images, or the question which one it is; None
    where no column names images.

    It is the column that --image-column names; those called center, left and right; the only one
    whose first filled cell names an image file; or the only one with a usual name whose cells name
    images of the folder.
    """
    if asked:
        if found := table.find(asked):
            return {_CENTER: found}
        facts = {"asked": asked, "columns": table.held()}
        return Missing("no such column", "image_column", "IMAGES", facts)
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
    others = [name for name in table.columns if name not in controls]
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
        return Missing(kind, "image_column", "IMAGES", facts)
    return None


def _counted_otherwise(
    table: SourceTable, image_column: str, images: FolderImages, asked: str | None
) -> str | Missing:
    """Return in words how a column counts the images otherwise than their names, with no number
    that is in these, so that row N has image N; "" where it has the numbers in their names.

    Returns the question where its numbers are among those in the names only in part, as they are
    where one of them begins later.

    asked: the column that --image-column names
    """
    numbers = _numbers_of(table, image_column)
    if not images.numbered or not numbers:
        return ""
    rows = np.array(numbers)
    named = np.array(sorted(images.numbered))
    are_shared = bool(set(numbers) & images.numbered.keys())
    if are_shared and asked:
        return ""
    facts = _facts_of_numbers(image_column, numbers, images.numbered)
    is_in_step = False
    if len(rows) == len(named) and (np.diff(rows) > 0).all() and (rows != named).any():
        by = (rows[-1] - rows[0]) / max(1, named[-1] - named[0])
        is_in_step = np.allclose(rows - rows[0], by * (named - named[0]), atol=1e-6)
    if is_in_step and not are_shared:
        of_rows = f"{facts['first']} to {facts['last']}"
        of_names = f"{facts['first_picture']} to {facts['last_picture']}"
        return f": {image_column} counts {of_rows}, and their names {of_names}"
    first, last = int(rows.min()), int(rows.max())
    is_shifted = (first < named[0] and last < named[-1]) or (first > named[0] and last > named[-1])
    if is_in_step or is_shifted:
        return Missing("numbers of images", "image_column", "IMAGES", facts)
    return ""


def _numbers_of(table: SourceTable, column: str) -> list[int]:
    """Return the numbers of images that the cells of a column may be; [] if one is none."""
    numbers = list(map(number_of_image, table.columns[column]))
    return [number for number in numbers if number is not None] if None not in numbers else []


def _facts_of_numbers(
    column: str, numbers: Sequence[int], named: Mapping[int, str]
) -> dict[str, object]:
    facts = {"first": min(numbers), "last": max(numbers), "column": column}
    return facts | {"first_picture": min(named), "last_picture": max(named)}


def _folder_column(table: SourceTable, image_column: str, images: FolderImages) -> list[Missing]:
    """Return the question for a table of which another column has the folder of each image."""
    cells = table.columns[image_column]
    for name, column in table.columns.items():
        if name != image_column and (joined := images.joined_with(cells, column)):
            begin, end = joined
            path = f"{begin}{column[0]}/{cells[0]}{end}"
            parts = [repr(begin)] * bool(begin) + [f"table[{name!r}]", repr("/")]
            parts += [f"table[{image_column!r}]"] + [repr(end)] * bool(end)
            facts = {"column": image_column, "folder": name, "picture": path}
            return [Missing("folder column", facts=facts | {"joined": " + ".join(parts)})]
    return []


def _which_folder(table: SourceTable, folders: Sequence[str], inquiry: Inquiry) -> list[Missing]:
    source = inquiry.settings.source
    folder = source if source.is_dir() else source.parent
    facts = {"folders": [str(folder / each) for each in folders[:_MOST_LISTED]]}
    if "." in folders:  # a source has all the pictures in its folders
        kind = "pictures in folders" if len(folders) > 1 else "names without endings"
        return [Missing(kind, facts=facts)]
    inquiry.settings = replace(inquiry.settings, table=table.path)
    return [Missing("folder", "source", "FOLDER", facts)]


# ---- no column of names


def _without_column(
    table: SourceTable,
    images: FolderImages,
    controls: Collection[str],
    times: Times | None,
    inquiry: Inquiry,
) -> Pictures | None:
    """Return the images of rows by their times, or in order; None where that is asked for."""
    if by_time := _by_time(table, times, images):
        inquiry.note("pictures", by_time.words, pictures=len(images.paths))
        return by_time
    counting = dict(_counting_columns(table, controls, times))
    for name, numbers in counting.items():
        named = next((each for each in images.numberings if _may_count(numbers, each)), None)
        if named and images.numbered:
            facts = _facts_of_numbers(name, numbers, named)
            inquiry.ask([Missing("numbers of images", "image_column", "IMAGES", facts)])
            return None
        if named:
            facts = {"column": name, "picture": min(images.paths)}
            inquiry.ask([Missing("numbers beside others", facts=facts)])
            return None
    return _row_by_row(table, images, times, inquiry, counting=counting)


def _counting_columns(
    table: SourceTable, controls: Collection[str], times: Times | None
) -> Iterator[tuple[str, list[int]]]:
    """Yield the columns of whole numbers that are neither controls nor times."""
    of_times = [times.column, *times.columns] if times else []
    for name in table.columns:
        if name not in controls and name not in of_times and (numbers := _numbers_of(table, name)):
            yield name, numbers


def _in_another_order(
    counting: Mapping[str, Sequence[int]], by_row: Sequence[str], table: SourceTable
) -> Iterator[Missing]:
    """Yield the question for a column that has the numbers of a place in the paths of images, such
    as those of their folders, but not in the order of the rows' images.
    """
    in_paths = [[int(digits[:18]) for digits in _NUMBERS.findall(path)] for path in by_row]
    places = [of_place for of_place in zip(*in_paths, strict=False) if len(set(of_place)) > 1]
    for name, numbers in counting.items():
        for of_place in places:
            missing = Counter(numbers) - Counter(of_place)
            if missing.total() <= len(table.broken) and tuple(numbers) != of_place:
                facts = {"column": name, "picture": by_row[0]}
                yield Missing("numbers beside others", facts=facts)
                return


def _by_time(table: SourceTable, times: Times | None, images: FolderImages) -> Pictures | None:
    """Return the images by their times, where most of the rows or images have the same times; None
    for others.

    They are the same to a millisecond; or the numbers in the names are those of the column, which
    does not count up by 1 as numbers of images do.
    """
    if not times or not times.column:
        return None
    paths = sorted(images.paths)
    of_names = times_of_images([PurePosixPath(path).stem for path in paths])
    by_row: list[str] = []
    if isinstance(of_names, Times) and len(np.unique(of_names.milliseconds)) == len(paths):
        at = {
            round(ms): path
            for ms, path in zip(of_names.milliseconds, paths, strict=True)
            if ms == ms
        }
        known = [times.of(row) for row in range(len(table.lines))]
        by_row = [
            "" if ms is None else at.get(ms) or at.get(ms + 1) or at.get(ms - 1) or ""
            for ms in known
        ]
    if not any(by_row) and not times.columns and times.column in table.columns:
        numbers = _numbers_of(table, times.column)
        if usual_step(list(map(float, numbers))) > 1:
            of_each = [[named.get(each, "") for each in numbers] for named in images.numberings]
            by_row = max(of_each, key=lambda paths: len(set(paths)), default=[])
    found = len(set(filter(None, by_row)))
    if 2 * found <= min(len(by_row), len(paths)):
        return None
    return Pictures(f"by the times in their names, which are those of {times.column}", {}, by_row)


def _may_count(numbers: Sequence[int], named: Mapping[int, str]) -> bool:
    """Return whether numbers are those of rows, and some of them are in the names of images, but
    not all in the same order.
    """
    shared = len(set(numbers) & named.keys())
    is_often = shared > 1 and 4 * shared > min(len(numbers), len(named))
    is_numbered = len(set(numbers)) == len(numbers)
    return is_numbered and is_often and numbers != sorted(named)


def _row_by_row(
    table: SourceTable,
    images: FolderImages,
    times: Times | None,
    inquiry: Inquiry,
    counted: str = "",
    counting: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> Pictures | None:
    """Return the images where row N has image N; None where that is not so, which is asked for.

    That is so for as many images of one camera as the table has rows, whose times and numbers do
    not contradict those of the rows. A line that could not be read has an image, too.

    counted: in words, how a column counts the images otherwise than their names
    counting: columns whose numbers may be in the paths of the images
    """
    paths = in_order(images.paths)
    if isinstance(paths, Missing):
        inquiry.ask([paths])
        return None
    rows = len(table.lines) + len(table.broken)
    folders = Counter(str(PurePosixPath(path).parent) for path in paths)
    fitting = sorted(folder for folder, pictures in folders.items() if pictures == rows)
    example = paths[0] if paths else ""
    if len(folders) > 1 and fitting:
        inquiry.ask(_which_folder(table, sorted(folders) if "." in fitting else fitting, inquiry))
        return None
    if not paths:
        inquiry.ask([Missing("no pictures", facts={"endings": list(IMAGE_ENDINGS)})])
        return None
    if len(paths) != rows:
        facts = {"rows": rows, "pictures": len(paths), "picture": example}
        inquiry.ask([Missing("no images", facts=facts)])
        return None
    kinds = sorted({re.sub(r"\d+(?:\.\d+)?", "#", path) for path in paths})
    if len(kinds) > 1:
        facts = {"pictures": len(paths), "folders": kinds[:_MOST_LISTED], "picture": example}
        inquiry.ask([Missing("images of several folders", facts=facts)])
        return None
    by_row = [paths[place] for place in table.among_all()]
    questions = list(_in_another_order(counting, by_row, table))
    if times and times.column and not inquiry.settings.frame_rate:
        questions += _other_times(times, by_row, images.numberings)
    if questions:
        inquiry.ask(questions)
        return None
    inquiry.note("pictures", f"row N has picture N, as there are {rows} of both")
    words = f"row N has image N, in the order of their times or numbers{counted}"
    return Pictures(words, {}, by_row)


def _other_times(
    times: Times, by_row: Sequence[str], numberings: Sequence[Mapping[int, str]]
) -> Iterator[Missing]:
    """Yield a question where the times in the names of images are farther from those of their rows
    than half of the usual step, but for what all are; where the times of rows fall; or where
    numbers in the names are left out, and the times go on.
    """
    of_names = times_of_images([PurePosixPath(path).stem for path in by_row])
    if isinstance(of_names, Times):
        off = of_names.milliseconds - times.milliseconds
        differ = float(np.nanmax(np.abs(off - np.nanmedian(off))))
        if differ > usual_step(of_names.milliseconds.tolist()) / 2:
            facts = {"seconds": differ / 1000, "picture": by_row[0]}
            yield Missing("images at other times", facts=facts)
        return
    known = times.milliseconds[np.isfinite(times.milliseconds)]
    if falls := int((np.diff(known) < 0).sum()):
        facts = {"rows": falls, "picture": by_row[0]}
        yield Missing("falling times", "frame_rate", "HZ", facts)
    if falls or len(by_row) < 3:
        return
    steps_ms = np.diff(times.milliseconds)
    goes_on = steps_ms < 1.3 * np.nanmedian(steps_ms)
    for named in numberings:
        number_of = {path: number for number, path in named.items()}
        steps = np.diff([number_of.get(path, np.nan) for path in by_row])
        left_out = np.flatnonzero((steps >= 1.9 * np.nanmedian(steps)) & goes_on)
        if len(left_out) and (steps > 0).all():
            yield Missing("numbers left out", facts={"picture": by_row[left_out[0]]})
            return


def in_order(paths: Iterable[str]) -> list[str] | Missing:
    """Return the paths of images in the order of the times in their names; without these, in that
    of their numbers, so that frame2 comes before frame10, and 0.25 before 0.3; or the question for
    numbers that begin anew.
    """
    ordered = sorted(paths, key=lambda path: [part.zfill(20) for part in _NUMBERS.split(path)])
    stems = [PurePosixPath(path).stem for path in ordered]
    times = times_of_images(stems)
    if isinstance(times, Times) and np.isfinite(times.milliseconds).all():
        return [ordered[place] for place in np.argsort(times.milliseconds, kind="stable")]
    if unclear := _begin_anew(stems):
        return unclear
    numbers = [re.fullmatch(r"\D*(\d+)(?:\.(\d+))?", stem) for stem in stems]
    found = [number for number in numbers if number]
    if len(found) == len(stems) and are_decimals([number[2] or "" for number in found]):
        keys = [float(f"{number[1]}.{number[2] or 0}") for number in found]
        return [ordered[place] for place in np.argsort(keys, kind="stable")]
    return ordered


def _begin_anew(stems: Sequence[str]) -> Missing | None:
    """Return the question where the last numbers in names, which are else the same, go up to the
    greatest of so many digits or bits, begin at 0 or 1, and lack many between, as those of a
    counter that began anew do.
    """
    longer = 3  # times as long as the usual step
    matches = [re.fullmatch(r"(.*?)(\d+)(\D*)", stem) for stem in stems]
    digits = [match[2] for match in matches if match]
    others = {(match[1], match[3]) for match in matches if match}
    if len(digits) < len(stems) or len(others) != 1:
        return None
    numbers = np.unique([int(each[:18]) for each in digits])
    steps = np.diff(numbers)
    last = int(numbers[-1]) if len(numbers) > 2 else 0
    is_greatest = set(str(last)) == {"9"} or last in (2**8 - 1, 2**15 - 1, 2**16 - 1)
    if is_greatest and numbers[0] <= 1 and steps.max() > longer * np.median(steps):
        return Missing("numbers that begin anew", facts={"picture": stems[0], "last": last})
    return None
