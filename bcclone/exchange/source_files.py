"""Find and read the files of a source; no file outside of its folder is opened.

In: the source's folder, and a name in it or the endings to look for. Out: the content of a file, or
paths.
"""

from pathlib import Path

from bcclone.exchange.rows import MISSING, UNREADABLE, LeftOut
from bcclone.recording.foreign_log import other_file_at
from bcclone.system.codec import FileKind, UnfitFile, explained, path_inside, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.location import is_hidden

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
_LONGEST_SHOWN = 200  # characters of a name in a message


def read_image(folder: Path, name: str) -> bytes:
    """Return the content of an image that a row names.

    Raises RowError if it cannot be read or is outside of the folder.
    """
    try:
        return read_inside(folder, name, "image")
    except OSError as error:
        kind = MISSING if isinstance(error, FileNotFoundError) else UNREADABLE
        shown = repr(name[:_LONGEST_SHOWN])
        raise LeftOut(f"image {shown} cannot be read: {error.strerror}", kind) from None


def read_inside(folder: Path, name: str, file_kind: FileKind) -> bytes:
    """Return the content of a file that a source names.

    Raises OSError if it cannot be read or is outside of the folder.

    file_kind: limits the size, as in read_bytes()
    """
    try:
        path = path_inside(folder, name)
    except ValueError as error:
        raise UnfitFile(folder / name, str(error)) from None
    return read_bytes(path, file_kind)


def file_of(source: Path, name: str) -> Path:
    """Return the file of this name in a source that is a folder, or the source itself.

    Raises UserError for a link that leads out of the folder.
    """
    if not source.is_dir():
        return source
    try:
        path_inside(source, name)
    except ValueError as error:
        raise UserError(f"{source / name}: {error}; name the file itself", exit_code=2) from None
    return source / name


def files_inside(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Return a folder's files with one of the endings, without hidden ones.

    Raises UserError for a link that leads out of the folder.
    """
    with explained(folder, "", "name the folder of the source"):
        paths = sorted(
            path
            for path in folder.iterdir()
            if path.name.lower().endswith(endings) and not is_hidden(path.name)
        )
    return [file_of(folder, path.name) for path in paths]


def other_file_in(folder: Path) -> str:
    """Return the name of the first file in a folder that is no table or picture, and what it is.

    Returns "" if there is none.
    """
    most_files = 100  # that are looked at
    names = sorted(path.name for path in folder.iterdir() if not is_hidden(path.name))
    others = [name for name in names if not name.lower().endswith(IMAGE_ENDINGS)]
    for name in others[:most_files]:
        if what := other_file_at(folder / name):
            return f"{name} is {what}"
    return ""


def suffix_of(image: bytes) -> str:
    """Return the ending of an image file with this content."""
    return ".png" if image.startswith(b"\x89PNG") else ".jpg"
