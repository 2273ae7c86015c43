"""Find the images of a folder: a cell of a table -> the path of the image that it names.

Programs write a path, a name with or without its ending, or only a number.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from bcclone.exchange.exchanged_row import MISSING, UnusableImage
from bcclone.exchange.source_files import IMAGE_ENDINGS
from bcclone.exchange.table_words import camera_in
from bcclone.recording.files import walk_once
from bcclone.recording.row import RowError
from bcclone.system.location import normal_name

# a time in nanoseconds has 19 digits; of a longer number, only the last 19 digits are read
_MOST_DIGITS = 19
# a whole number in a cell; pandas writes 12.0 in a column that lacks a number somewhere
_WHOLE_NUMBER = re.compile(rf"(\d{{1,{_MOST_DIGITS}}})(?:\.0+)?")


def last_number(name: str) -> int | None:
    """Return the last number in a name, None for none."""
    found = re.search(rf"(\d{{1,{_MOST_DIGITS}}})\D*$", name)
    return int(found[1]) if found else None


def whole_number_in(cell: str) -> int | None:
    """Return the whole number that a cell is, such as 7, 007 or 7.0; None for any other text."""
    found = _WHOLE_NUMBER.fullmatch(cell)
    return int(found[1]) if found else None


class FolderImages:
    """The images of a folder and the folders in it.

    They are found by path, name, name without ending, or number.
    """

    def __init__(self, folder: Path) -> None:
        self._paths: set[str] = set()
        # (kind of key: name, stem or number; its text) -> paths
        self._named: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for where, names in walk_once([str(folder)]):
            inner = Path(where).relative_to(folder)
            images = [name for name in names if name.lower().endswith(IMAGE_ENDINGS)]
            self._paths.update((inner / name).as_posix() for name in images)
        for path in self._paths:
            name = PurePosixPath(path)
            number = last_number(name.stem)
            self._named["name", normal_name(name.name)].append(path)
            self._named["stem", normal_name(name.stem)].append(path)
            if number is not None:
                self._named["number", str(number)].append(path)

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def find(self, cell: str, camera: str = "") -> str:
        """Return the path in the folder of the image that a cell names.

        Raises UnusableImage for none, and RowError for several.

        camera: prefers the image whose path names this camera when several match
        """
        name = cell.replace("\\", "/").removeprefix("./")
        if name in self._paths:
            return name
        last = normal_name(PurePosixPath(name).name)
        keys = [("name", last), ("stem", last)]
        number = whole_number_in(last)
        if number is not None:
            keys.append(("number", str(number)))
        for key in keys:
            paths = self._named.get(key)
            if paths:
                return _only_one(paths, name, camera, cell)
        reason = "it names no image"
        if cell:
            reason = f"image {cell[:60]!r} is not in the folder"
        raise UnusableImage(MISSING, reason)

    def named(self, cells: Sequence[str]) -> list[str]:
        """Return for each cell the path of the image that it names, "" for none.

        For a cell that names several images, this is the cell itself.
        """
        paths = []
        for cell in cells:
            try:
                paths.append(self.find(cell))
            except UnusableImage:
                paths.append("")
            except RowError:  # it names several images
                paths.append(cell)
        return paths

    def share_named(self, cells: Sequence[str]) -> float:
        """Return the share of the cells that name at least one image."""
        return sum(map(bool, self.named(cells))) / len(cells)


def _only_one(paths: Sequence[str], name: str, camera: str, cell: str) -> str:
    """Return the one path that a name means; raises RowError for several.

    name: the cell as a relative path with /
    camera: prefers the image whose path names this camera when several match
    cell: the cell as the table has it, for the message
    """
    # the cell may have more leading folders than the path in our folder, or fewer
    wanted = normal_name(name)
    normal_names = {path: normal_name(path) for path in paths}
    agreeing = [
        path
        for path, normal in normal_names.items()
        if f"/{wanted}".endswith(f"/{normal}") or normal.endswith(f"/{wanted}")
    ]
    if len(agreeing) == 1:
        return agreeing[0]
    # the only image of this name, whatever its folder
    if len(paths) == 1:
        return paths[0]
    of_camera = [path for path in paths if camera_in(path) == camera]
    if len(of_camera) == 1:
        return of_camera[0]
    raise RowError(f"several images are called {cell[:60]!r}")
