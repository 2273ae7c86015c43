"""The files of a source.

A link that leads out of its folder is followed only if the user says so: whoever has made the
source may have made the link, to a file of the user. The source itself may be a link, since the
user has named it.
"""

import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from bcclone.exchange.exchanged_rows import MISSING, UNREADABLE, LeftOut
from bcclone.recording.files import base_name
from bcclone.recording.row import CAMERAS, RowError
from bcclone.system.codec import (
    FileKind,
    LinkOut,
    UnfitFile,
    explained,
    path_inside,
    read_bytes,
)
from bcclone.system.errors import UserError
from bcclone.system.location import is_hidden, normal_name
from bcclone.system.progress import note

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
_CENTER = CAMERAS[0]
# a second change of a folder within this time may leave it the time of the first one: FAT counts
# in steps of two seconds
_SAME_TIME_NS = 3_000_000_000


def is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_ENDINGS)


def number_of_image(cell: Any) -> int | None:
    """Return the number of an image that a cell may be, such as 12 of 12 and 12.0; None for none.

    int() would take long for a huge one.
    """
    digits = str(cell).removesuffix(".0")
    return int(digits) if digits.isdecimal() and len(digits) < 18 else None


def suffix_of(image: bytes) -> str:
    """Return the ending of an image file with this content."""
    return ".png" if image.startswith(b"\x89PNG") else ".jpg"


class LinkedElsewhere(UserError):
    """A link in a source leads out of its folder, and the user has not said that it is followed."""


def path_in_source(folder: Path, name: str, follow_links: bool = False) -> Path:
    """Return the path of a file that a source names.

    It may differ from the name in upper and lower case, or in folders that an archive of Windows
    has left in the file's own name, such as images\\0.jpg. Raises ValueError for a name that leads
    out of the folder; LinkedElsewhere for a link that does, unless links are followed.
    """
    try:
        path = path_inside(folder, name, follow_links)
        if not path.exists() and (spelled := _spelled_otherwise(folder, name)):
            path = path_inside(folder, spelled, follow_links)
        return path
    except LinkOut as error:
        raise LinkedElsewhere(f"{error}; remove the link") from None


def _spelled_otherwise(folder: Path, name: str) -> str:
    """Return the name of a file that differs from a missing one only in its case, or in the
    backslashes of an archive of Windows; "" for none.
    """
    inner = PurePosixPath(name)
    for at, wanted in ((PurePosixPath(), str(inner)), (inner.parent, inner.name)):
        found = _names_in(folder / at).get(_key_of(wanted))
        if found:
            return str(at / found)
    return ""


def _names_in(folder: Path) -> dict[str, str]:
    """Return key -> name of each file in a folder as it is now; none if there is no folder."""
    if not folder.is_dir():
        return {}
    changed = folder.stat().st_mtime_ns
    if time.time_ns() - changed < _SAME_TIME_NS:
        return _names_by_key.__wrapped__(folder, changed)
    return _names_by_key(folder, changed)


@lru_cache(4)  # a source has its files in one or two folders, and may lack thousands of images
def _names_by_key(folder: Path, changed: int) -> dict[str, str]:
    """Return key -> name of each file in a folder that was last changed at this time."""
    return {_key_of(name): name for name in sorted(path.name for path in folder.iterdir())}


def _key_of(name: str) -> str:
    return normal_name(name.replace("\\", "/")).lower()


def read_inside(folder: Path, name: str, file_kind: FileKind, follow_links: bool = False) -> bytes:
    """Return the content of a file that a source names.

    Raises OSError if it cannot be read or has a name that leads out of the folder; LinkedElsewhere
    as path_in_source().
    """
    try:
        path = path_in_source(folder, name, follow_links)
    except ValueError as error:
        raise UnfitFile(folder / name, str(error)) from None
    return read_bytes(path, file_kind)


def read_image(folder: Path, name: str, follow_links: bool = False) -> bytes:
    """Return the content of an image that a row names.

    Raises LeftOut if it cannot be read or has a name that leads out of the folder; LinkedElsewhere
    as path_in_source().
    """
    try:
        return read_inside(folder, name, "image", follow_links)
    except OSError as error:
        kind = MISSING if isinstance(error, FileNotFoundError) else UNREADABLE
        raise LeftOut(f"image {name[:200]!r} cannot be read: {error.strerror}", kind) from None


def file_of(source: Path, name: str) -> Path:
    """Return the file of this name in a source that is a folder, or the source itself."""
    return source / name if source.is_dir() else source


def files_inside(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Return a folder's files with one of the endings, without hidden ones."""
    with explained(folder, "", "name the folder of the source"):
        names = sorted(path.name for path in folder.iterdir())
    return [
        folder / name for name in names if name.lower().endswith(endings) and not is_hidden(name)
    ]


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder, and those in these, without hidden ones and links.

    One that the user may not list, such as the system's lost+found, is left out, and a note says
    so.
    """
    return [each for path in _own_folders(folder) for each in (path, *_own_folders(path))]


def _own_folders(folder: Path) -> list[Path]:
    # os.scandir() knows which entries are folders without a look at each file
    with os.scandir(folder) as entries:
        found = [
            folder / entry.name
            for entry in entries
            if entry.is_dir(follow_symlinks=False) and not is_hidden(entry.name)
        ]
    return [path for path in sorted(found) if can_be_listed(path)]


def can_be_listed(folder: Path) -> bool:
    """Return whether the user may list a folder; a note says of which one not, once."""
    try:
        os.scandir(folder).close()
    except OSError as error:
        _note_left_out(error)
        return False
    return True


def _note_left_out(error: OSError) -> None:
    note(f"{error.filename}: this folder is left out: {error.strerror}")


class FolderImages:
    """The images of a folder and the folders in it, found by path, name, or name without ending.

    Raises LinkedElsewhere for a folder that is a link out of this one, unless links are followed.
    """

    def __init__(self, folder: Path, follow_links: bool = False) -> None:
        self.paths: set[str] = set()
        self.with_other_ending: set[str] = set()  # paths that were found for another ending
        # by path, with the folders that an archive of Windows may have left in a file's name
        self._written: dict[str, str] = {}
        self._named: defaultdict[str, list[str]] = defaultdict(list)
        self._lower: defaultdict[str, list[str]] = defaultdict(list)  # as _named, in lower case
        self._unmarked: defaultdict[str, list[str]] = defaultdict(list)  # by folder and name
        entered: set[str] = set()
        for where, folders, names in os.walk(folder, onerror=_note_left_out, followlinks=True):
            # links may lead in a circle, but each folder is entered once
            if os.path.realpath(where) in entered:
                folders.clear()
                continue
            entered.add(os.path.realpath(where))
            folders[:] = sorted(name for name in folders if not is_hidden(name))
            images = [name for name in names if is_image(name) and not is_hidden(base_name(name))]
            inner = Path(where).relative_to(folder)
            for below in folders:
                path_in_source(folder, str(inner / below), follow_links)
            self.paths.update((inner / name).as_posix() for name in images)
        for path in self.paths:
            name = PurePosixPath(path.replace("\\", "/"))
            self._written[str(name)] = path
            for called in {normal_name(name.name), normal_name(name.stem)}:
                self._named[called].append(path)
                self._lower[called.lower()].append(path)
            parent = name.parent.name or folder.resolve().name
            # 10.jpg is never 0.jpg in a folder 1
            if parent and not (parent[-1].isdecimal() and name.name[0].isdecimal()):
                self._unmarked[normal_name(f"{parent}{name.name}")].append(path)

    def of_cameras(self, cells: Mapping[str, str]) -> dict[str, str]:
        """Return camera -> path of the image that its cell names; raises errors as find().

        A camera at the side is left out if its cell is empty or names the centre camera's image.
        """
        center = self.find(cells[_CENTER])
        paths = {camera: self.find(cell) for camera, cell in cells.items() if cell}
        return {_CENTER: center} | {
            camera: path for camera, path in paths.items() if path != center
        }

    def are_named(self, cells: Sequence[str], by_number: bool = False) -> bool:
        """Return whether most of the first cells of a column name images of the folder.

        by_number: whether a number may stand for the image that has this number in its name; then
            the column may have further rows, of images that are not there
        """
        if by_number and self.numbered:
            numbers = set(map(number_of_image, cells))
            if 2 * len(numbers & self.numbered.keys()) > len(self.numbered):
                return True
        first = [cell for cell in cells[:200] if cell]
        named = 0
        for cell in first:
            try:
                self.find(cell, by_number)
            except LeftOut:
                continue
            except RowError:  # several have this name
                pass
            named += 1
        return 2 * named > len(first)

    def folders_of(self, cells: Sequence[str]) -> list[str]:
        """Return the folders that each have an image of most of these names; [] where most names
        are those of no or of one image.
        """
        first = [cell for cell in cells[:200] if cell]
        several: Counter[str] = Counter()
        for cell in first:
            try:
                self.find(cell, by_number=False)
            except LeftOut:
                continue
            except RowError:
                named = self._named[normal_name(PurePosixPath(cell.replace("\\", "/")).name)]
                several.update({str(PurePosixPath(path).parent) for path in named})
        return sorted(folder for folder, count in several.items() if 2 * count > len(first))

    def joined_with(self, cells: Sequence[str], column: Sequence[str]) -> tuple[str, str] | None:
        """Return what stands before a folder's name in another column and behind a picture's name
        in its cells, "" for nothing, if both together are paths of images; None if they are not.
        """
        folders = [str(PurePosixPath(path).parent) for path in self.paths]
        before = os.path.commonprefix(folders)
        endings = {PurePosixPath(path).suffix for path in self.paths}
        for begin in dict.fromkeys(("", before, before.rpartition("/")[0] + "/")):
            for end in ("", *sorted(endings)):
                joined = [f"{begin}{a}/{b}{end}" for a, b in zip(column, cells, strict=True)]
                if self.are_paths(joined):
                    return begin, end
        return None

    def are_paths(self, cells: Sequence[str]) -> bool:
        """Return whether most of the first cells of a column are paths of images of the folder."""
        first = [cell.replace("\\", "/").removeprefix("./") for cell in cells[:200] if cell]
        return 2 * sum(cell in self._written for cell in first) > len(first)

    @property
    def numbered(self) -> dict[int, str]:
        """Return number -> path of the image with it in its name; {} where names differ in several
        numbers, or are of several cameras.
        """
        return self.numberings[0] if len(self.numberings) == 1 else {}

    @cached_property
    def numberings(self) -> list[dict[int, str]]:
        """Return number -> path of the image with it in its name, for each number in which all
        names differ that have the same text around it; [] for images of several cameras.
        """
        if len({re.sub(r"\d+", "#", path) for path in self.paths}) != 1:
            return []
        paths = sorted(self.paths)
        places = zip(*(re.findall(r"\d+", PurePosixPath(path).stem) for path in paths), strict=True)
        return [
            {int(digits[:18]): path for digits, path in zip(numbers, paths, strict=True)}
            for numbers in places
            if len({int(digits[:18]) for digits in numbers}) == len(paths)
        ]

    def find(self, cell: str, by_number: bool = True) -> str:
        """Return the path of the image that a cell names, or whose number it is.

        Raises LeftOut, which is a RowError, for none; RowError for several.
        """
        name = cell.replace("\\", "/").removeprefix("./")
        if name in self._written:
            return self._written[name]
        last = normal_name(PurePosixPath(name).name)
        paths = self._named.get(last) or self._lower.get(last.lower(), [])
        if not paths and unquote(cell) != cell:  # as in the address of a page
            return self.find(unquote(cell), by_number)
        if not paths and is_image(last):  # the images were written anew in another format
            paths = self._named.get(PurePosixPath(last).stem, [])
            self.with_other_ending.update(paths)
        if not paths:  # a path that lacks the mark before the name: IMG/0.jpg as C:/data/IMG0.jpg
            tails = (last[begin:] for begin in range(len(last)))
            paths = next(filter(None, map(self._unmarked.get, tails)), [])
        number = number_of_image(cell)
        if not paths and by_number and number is not None:
            paths = [path for path in [self.numbered.get(number)] if path]
        if not paths:
            raise LeftOut(
                f"image {cell[:60]!r} is not in the folder; a row names its image with or without "
                "ending, in a column that --image-column chooses",
                MISSING,
            )
        if len(paths) > 1:
            # the cell may have more leading folders than the path in our folder, or fewer
            wanted = f"/{normal_name(name)}".lower()
            ends = {path: f"/{normal_name(path)}".replace("\\", "/").lower() for path in paths}
            paths = [
                path for path, end in ends.items() if wanted.endswith(end) or end.endswith(wanted)
            ]
        if len(paths) != 1:
            raise RowError(f"several images are called {cell[:60]!r}")
        return paths[0]
