"""Rows and images that a conversion leaves out, and the errors if there are too many of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PureWindowsPath

from bcclone.camera.images import import_remedy
from bcclone.recording.files import ImageIndex
from bcclone.recording.row import camera_of
from bcclone.system.errors import UserError
from bcclone.system.location import Location

MAX_SKIPPED = 0.05  # of the rows or of the images


@dataclass(frozen=True)
class Skip:
    """A row or image that was left out."""

    file: str  # the log
    row: int  # its number in the file, from 1
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.row}: {self.reason}"


def no_usable_image(log: Location, skips: Sequence[Skip], images: int) -> UserError:
    """Return the error for a log that names so many images, none of which can be used."""
    folders = ", ".join(map(str, ImageIndex(log).folders))
    last = skips[-1]
    remedy = _import_remedy(skips) or "copy the images into one of these folders"
    return UserError(
        f"{log}: none of the {images} images can be used; looked in {folders}; "
        f"the last: line {last.row}, {last.reason}; {remedy}"
    )


def too_many_skips(skips: Sequence[Skip], bad_rows: int) -> UserError:
    """Return the error for more than MAX_SKIPPED of the rows or of the images.

    bad_rows: how many of the skips are rows; the others are images.
    """
    bad_images = len(skips) - bad_rows
    remedy = _import_remedy(skips)
    cameras = {camera_of(PureWindowsPath(skip.file).name) for skip in skips}
    if not remedy and not bad_rows and "center" not in cameras:
        remedy = "take the centre camera alone: --cameras center"
    if not remedy:
        remedy = "repair the recording"

    most_listed = 10
    lines = [f"  {skip}" for skip in skips[:most_listed]]
    if len(skips) > most_listed:
        lines.append(f"  ... and {len(skips) - most_listed} more")
    listed = "\n".join(lines)
    return UserError(
        f"{bad_rows} rows and {bad_images} images cannot be used, more than {MAX_SKIPPED:.0%}; "
        f"{remedy}, or leave them out with --allow-skips:\n{listed}"
    )


def _import_remedy(skips: Sequence[Skip]) -> str:
    return import_remedy([skip.reason for skip in skips], skips[-1].file)
