"""Find and read the files of a source; no file outside of its folder is opened.

In: the source's folder, and a name in it or the endings to look for. Out: the content of a file, or
paths.
"""

from pathlib import Path

from bcclone.exchange.rows import MISSING, UNREADABLE, LeftOut
from bcclone.system.codec import FileKind, UnfitFile, explained, path_inside, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.location import is_hidden

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff")


def read_image(folder: Path, name: str) -> bytes:
    """Return the content of an image that a row names.

    Raises LeftOut if it cannot be read or is outside of the folder.
    """
    try:
        return read_inside(folder, name, "image")
    except OSError as error:
        kind = MISSING if isinstance(error, FileNotFoundError) else UNREADABLE
        raise LeftOut(f"image {name[:200]!r} cannot be read: {error.strerror}", kind) from None


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


def suffix_of(image: bytes) -> str:
    """Return the ending of an image file with this content."""
    return ".png" if image.startswith(b"\x89PNG") else ".jpg"
