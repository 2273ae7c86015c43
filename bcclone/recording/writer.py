"""Write a recording row by row, so that its folder is a whole recording at any moment.

In: for each row, its images, its cells in the log, and its rows in the tables next to the log. Out:
a folder that is whole before and after each row, also if the program is killed or the disk is full.
Then an empty file stays in it, by which readers know that the recording ended early. The simulator,
`drive`, `play` and `import` write through this module.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from bcclone.recording.files import IMAGES, LOG_NAME, UNFINISHED
from bcclone.recording.row import CAMERAS, camera_of
from bcclone.recording.run_tables import SIDECARS, Sidecar
from bcclone.system.errors import UserError

_FILES = (LOG_NAME, *(table.name for table in SIDECARS))


class RecordingWriter:
    """Appends rows to the recording in a folder, which it makes.

    No file stays open between two rows. The end of a `with` block without an error marks the
    recording as complete, and so does finish(). Raises UserError for a folder that cannot be used.

    images: name of the subfolder for the images, "" for the folder itself
    prefix: what stands before an image's name in the log; None for the absolute path of its folder
    """

    def __init__(self, folder: Path, images: str = IMAGES, prefix: str | None = None) -> None:
        self.folder = folder
        self.log = folder / LOG_NAME
        self.rows = 0  # number of the rows written by this object
        self._images = folder / images
        if prefix is None:
            prefix = f"{self._images.absolute()}{os.sep}"
        self._prefix = prefix
        try:
            refuse_links(folder)
            self._is_new = not folder.exists()
            self._images.mkdir(parents=True, exist_ok=True)
            for name in _FILES:
                _remove_incomplete_row(folder / name)
            self.log.touch()
            (folder / UNFINISHED).touch()
        except OSError as error:
            raise UserError(
                f"{folder}: cannot record there: {error.strerror}; choose another folder"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.finish()

    def write(
        self, images: Mapping[str, bytes], numbers: Iterable[str], tables: Mapping[Sidecar, str]
    ) -> None:
        """Append a row. If the disk refuses a part of it, raise OSError, and the log lacks the row.

        images: name -> content of the JPEG file; a name without a camera is the centre camera's
        numbers: the cells of the log after the images
        tables: the row of each table next to the log
        """
        paths = {name: self._images / name for name in images}
        logged = {camera_of(name) or CAMERAS[0]: self._prefix + name for name in images}
        cells = [*(logged.get(camera, "") for camera in CAMERAS), *numbers]
        try:
            for name, content in images.items():
                _write_image(paths[name], content)
            for table, row in tables.items():
                append_row(self.folder / table.name, row, table.header)
            # the log comes last: each of its rows then has its images and its rows in the tables
            append_row(self.log, ",".join(cells))
        except BaseException:
            for path in paths.values():
                with suppress(OSError):
                    path.unlink()
            raise
        self.rows += 1

    def finish(self) -> None:
        """Mark the recording as complete."""
        with suppress(OSError):
            (self.folder / UNFINISHED).unlink(missing_ok=True)

    def remove_if_void(self) -> None:
        """If no row was written, remove the log, the tables next to it, and the empty folders.

        The folder must have been free before, see is_free(): rows of an earlier recording would be
        removed, too.
        """
        if self.rows:
            return
        with suppress(OSError):
            for name in (*_FILES, UNFINISHED):
                (self.folder / name).unlink(missing_ok=True)
            self._images.rmdir()
            if self._is_new:
                self.folder.rmdir()


def is_free(folder: Path) -> bool:
    """Return whether a folder can take a new recording.

    It can if it is missing or empty, or has a recording without a row.
    """
    if not folder.is_dir():
        return not folder.exists()
    names = {path.name for path in folder.iterdir()} - {UNFINISHED}
    if not names <= {*_FILES, IMAGES}:
        return False
    images = folder / IMAGES
    if images.is_dir() and any(images.iterdir()):
        return False
    log = folder / LOG_NAME
    if log.is_file():
        return not log.read_bytes()
    return names <= {IMAGES}


def refuse_links(folder: Path) -> None:
    """Raise UserError if the log or a table is a link or a pipe.

    Through a link, rows would go into another file.
    """
    for path in (folder / name for name in _FILES):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise UserError(
                f"{path} is a link or no regular file, which no run contains; "
                "record into another folder"
            )


def append_row(path: Path, row: str, header: str = "") -> None:
    """Append a row to a table completely; or append nothing, and raise OSError.

    header: first line of a new table
    """
    with path.open("ab", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        text = f"{row}\n"
        if not end:
            text = header + text
        rest = text.encode(errors="surrogateescape")  # a path keeps bytes that are no UTF-8
        try:
            # a full disk may take a part of the row; the next write then raises with the reason
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            file.truncate(end)
            raise


def _write_image(path: Path, content: bytes) -> None:
    """Write a file that appears under its name when it is complete, in place of any link."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_incomplete_row(path: Path) -> None:
    """Remove the last row if a killed program left it incomplete; the next row needs a new line."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        content = file.read()
        # an empty file stays as it is: the thread of an earlier recording may be writing its first
        # row into it
        if content and not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)
