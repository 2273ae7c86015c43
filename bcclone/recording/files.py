"""Find the logs that a user named, and the images of a log.

In: folders, CSV files and patterns. Out: paths of logs; and for a log, the path of each image that
it names.
"""

import glob
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Protocol

from bcclone.recording.dialect import LONGEST_LINE, is_known_header, split_line, text_of
from bcclone.recording.row import RowError, time_of
from bcclone.recording.run_tables import SIDECARS
from bcclone.system.codec import UnfetchedFile, open_file
from bcclone.system.errors import UserError, shown_command
from bcclone.system.location import (
    Location,
    as_local,
    did_you_mean_beside,
    is_hidden,
    is_url,
    normal_name,
    parse_location,
    reaching,
)

LOG_NAME = "driving_log.csv"
IMAGES = "IMG"
# an empty file in a recording's folder while it is being recorded; a killed program leaves it
UNFINISHED = "recording.unfinished"
IMAGE_FOLDERS = (IMAGES, IMAGES.lower())
_DEFAULT_FOLDERS = ("recordings", "data")


def find_logs(inputs: Sequence[str]) -> list[Location]:
    """Return the logs of folders, CSV files and patterns, each log once, in the order given.

    In a folder without a driving_log.csv, all CSV files are found, or else the recordings in its
    subfolders. Patterns are expanded here too, because not every shell does it. Raises UserError
    for an input that does not exist, and for a folder without a log.

    inputs: folders, CSV files and patterns, local or at a URL
    """
    if not inputs:
        raise UserError(
            "no recording named; give folders, CSV files or a pattern such as 'recordings/*/'"
        )
    logs: dict[Location, Location] = {}
    for name in inputs:
        with reaching(name):
            found = [log for path in _expand(name) for log in _logs_of(path)]
        for log in found:
            logs.setdefault(log.resolve(), log)
    return list(logs.values())


def find_log(name: str) -> Path:
    """Return the one log of a local folder, CSV file or pattern.

    Raises UserError as find_logs() does, for several logs, and for one at a URL.
    """
    logs = find_logs([name])
    if len(logs) > 1:
        raise UserError(
            f"{name}: {len(logs)} recordings, expected one; name one of them, such as {logs[0]}"
        )
    try:
        return as_local(logs[0])
    except ValueError as error:
        raise UserError(str(error)) from None


def is_recording(source: Path) -> bool:
    """Return whether a local folder holds a log of the simulator, or a file is one.

    The first lines of the file decide. Raises UserError for a pointer of Git LFS.
    """
    logs: list[Location] = [source]
    if source.is_dir():
        logs = _logs_in_folder(source)
    return any(map(_begins_as_log, logs))


def _begins_as_log(path: Location) -> bool:
    """Return whether a header or a row of a log is among the first lines of a file.

    Raises UnfetchedFile.
    """
    try:
        with open_file(as_local(path), "table") as file:
            begin = file.read(LONGEST_LINE)
    except UnfetchedFile:
        raise
    except OSError:
        return False
    for line in text_of(begin).split("\n"):
        with suppress(RowError):
            if is_known_header(line) or time_of(split_line(line).images[0]):
                return True
    return False


def default_inputs() -> list[str]:
    """Return the recordings to read when the user names none; raises UserError if there are none.

    They are those of recordings_here().
    """
    found = recordings_here()
    if not found:
        record = shown_command("simulate", "record", "recordings/lake")
        raise UserError(
            f"no RECORDING named, and there is neither a {LOG_NAME} in this folder nor a recording "
            "in ./recordings/ or ./data/; name a folder with a recording of the simulator, or "
            f"record one: {record}",
            exit_code=2,
        )
    return found


def recordings_here() -> list[str]:
    """Return driving_log.csv of the current folder, else the logs and the folders with logs in
    ./recordings/, else those in ./data/.
    """
    if Path(LOG_NAME).is_file():
        return [LOG_NAME]
    for outer in filter(Path.is_dir, map(Path, _DEFAULT_FOLDERS)):
        found = [str(folder) for folder in (outer, *subfolders(outer)) if _logs_in_folder(folder)]
        if found:
            return found
    return []


class Images(Protocol):
    """Finds the images of a recording by the names that its rows have."""

    def find(self, name: str) -> str | None:
        """Return the path of an image, or None."""

    def orphans(self, named: Iterable[str]) -> list[str]:
        """Return the names of the images that are not among the named ones."""


class ImageIndex:
    """Finds the JPEG files of a log by base name, in all folders where logs have their images.

    Each folder is listed only once, when the index is made. Upper and lower case do not matter, as
    on Windows and macOS; nor do the bytes in which a name is written, see normal_name(). Nor do the
    folders in the name of a file, such as IMG\\a.jpg, see base_name().
    """

    def __init__(self, log_path: Location) -> None:
        home = log_path.parent
        self.folders = [home / IMAGES, home, home / IMAGES / IMAGES, *_folders_of_images(home)]
        if home.name in IMAGE_FOLDERS:
            self.folders.append(home.parent)
        # name of a file -> its folder, with a separator at the end. If several folders have a file
        # of this name, the first folder counts, since it is listed last
        self._folder_of: dict[str, str] = {}
        for folder in reversed(self.folders):
            if folder.is_dir():
                if is_url(folder):
                    resolved = f"{folder}/"
                else:
                    resolved = f"{os.path.realpath(as_local(folder))}{os.sep}"
                with reaching(folder):
                    names = [path.name for path in folder.iterdir()]
                self._folder_of |= {name: resolved for name in names if _is_image(name)}
        # _image_key() of a file -> its name; made when a name is not found as it is
        self._by_key: dict[str, str] | None = None

    def find(self, name: str) -> str | None:
        """Return the path of the image with this base name, or None.

        Links in the path of its folder are resolved.
        """
        file = self._file_of(name)
        return None if file is None else self._folder_of[file] + file

    def orphans(self, named: Iterable[str]) -> list[str]:
        """Return the base names of the images in the folders that no row names.

        named: base names of the images that rows name
        """
        return sorted(self._folder_of.keys() - set(map(self._file_of, named)))

    def _file_of(self, name: str) -> str | None:
        """Return the name of an image's file as the disk has it, or None if there is no such file.

        It may differ from `name` in upper and lower case, and in its bytes.
        """
        if name in self._folder_of:
            return name
        if not name:
            return None
        if self._by_key is None:
            self._by_key = {_image_key(known): known for known in sorted(self._folder_of)}
        return self._by_key.get(_image_key(name))


def _folders_of_images(home: Location) -> list[Location]:
    """Return the folders beside a log that are called IMG in other letters, such as Img."""
    if not home.is_dir():
        return []
    with reaching(home):
        names = [path.name for path in home.iterdir()]
    return [home / name for name in names if name != IMAGES and name.upper() == IMAGES]


def base_name(name: str) -> str:
    """Return the name of a file without the folders that an archive of Windows may have left in it.

    A program that writes "\\" into an archive leaves a file called IMG\\a.jpg on other systems.
    """
    return name.rpartition("\\")[2]


def _image_key(name: str) -> str:
    """Return the key by which the name of an image is found, whatever its case and its bytes."""
    return normal_name(base_name(name)).lower()


def _is_image(name: str) -> bool:
    return name.lower().endswith((".jpg", ".jpeg")) and not is_hidden(base_name(name))


def _expand(name: str) -> list[Location]:
    """Return the folder or file of this name, or what matches a pattern; raises UserError."""
    location = parse_location(name)
    if location.exists():
        return [location]
    if not glob.has_magic(name):
        remedy = did_you_mean_beside(location, is_recording)
        if not remedy:
            record = shown_command("simulate", "record", "recordings/lake")
            remedy = f"name a folder with a {LOG_NAME}, or a CSV file, or record one: {record}"
        raise UserError(f"{name}: no such file or folder; {remedy}")
    found: list[Location]
    if is_url(location):
        found = [
            parse_location(location.fs.unstrip_protocol(match))
            for match in sorted(location.fs.glob(location.path))
            if not is_hidden(PurePosixPath(match).name)
        ]
    else:
        matches = glob.glob(name.removeprefix("file://"))  # noqa: PTH207 it may begin at any root
        found = sorted(map(Path, matches))
    if not found:
        raise UserError(
            f"{name}: nothing matches this pattern; expected one such as 'recordings/*/'"
        )
    return found


def _logs_of(path: Location) -> list[Location]:
    """Return the logs of a folder, or a file itself; raises UserError if there are none."""
    if not path.is_dir():
        if not path.is_file():
            raise UserError(
                f"{path}: neither a folder nor a file; name a folder with a {LOG_NAME}, "
                "or a CSV file"
            )
        return [path]
    logs = _logs_in_folder(path)
    if not logs:
        logs = [log for folder in subfolders(path) for log in _logs_in_folder(folder)]
    if logs:
        return logs
    # a user may name the folder of the images instead of the folder of the recording
    if path.name in IMAGE_FOLDERS and (path.parent / LOG_NAME).is_file():
        return [path.parent / LOG_NAME]
    if deeper := min(map(str, path.glob(f"*/*/{LOG_NAME}")), default=""):
        remedy = f"name one, such as {deeper}"
    else:
        make = shown_command("import", path, "-o", "recordings/NAME")
        remedy = (
            "name a folder with a recording of the simulator, or make one of a tub or another "
            f"format: {make}"
        )
    raise UserError(f"{path}: no {LOG_NAME} in this folder or its subfolders; {remedy}")


def subfolders(outer: Location) -> list[Location]:
    """Return the folders in a folder, without hidden ones, in the order of their names."""
    return sorted(
        (path for path in outer.iterdir() if path.is_dir() and not is_hidden(path.name)),
        key=str,
    )


def _logs_in_folder(folder: Location) -> list[Location]:
    """Return driving_log.csv, or else all CSV files except empty ones and sidecars."""
    for inner in (folder, *(folder / name for name in IMAGE_FOLDERS)):
        if (inner / LOG_NAME).is_file():
            return [inner / LOG_NAME]
    if not folder.is_dir():
        return []
    others = {table.name for table in SIDECARS}
    listed = (path for path in folder.iterdir() if not is_hidden(base_name(path.name)))
    paths = sorted(listed, key=str)
    tables = [path for path in paths if path.name.lower().endswith(".csv")]
    return [
        path
        for path in tables
        if base_name(path.name) not in others and path.is_file() and path.stat().st_size
    ]
