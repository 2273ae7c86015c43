"""Skips: what a conversion leaves out because it cannot be used, and errors for too many of them.

A skip is a bad row of a log, or an image that is missing or damaged. The functions take the skips
of a conversion, and return a UserError that names some of them and says what to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bcclone.camera.images import common_remedy
from bcclone.recording.files import ImageIndex
from bcclone.recording.row import CAMERAS
from bcclone.system.errors import UserError
from bcclone.system.location import Location

MAX_SKIPPED = 0.05  # largest share of the rows, and of the images, that may be skipped


@dataclass(frozen=True)
class Skip:
    """A row or image that was left out."""

    file: str  # path of the log
    row: int  # number of the row's line in the log, from 1
    reason: str
    camera: str = ""  # camera of the image; "" for a row

    def __str__(self) -> str:
        return f"{self.file}, line {self.row}: {self.reason}"


def no_usable_image(log: Location, skips: Sequence[Skip], images: int) -> UserError:
    """Return the error for a log of whose images none can be used.

    skips: among them one for each image
    images: number of the images
    """
    folders = ", ".join(map(str, ImageIndex(log).folders))
    last = skips[-1]
    remedy = _common_remedy(skips) or "copy the images into one of these folders"
    return UserError(
        f"{log}: none of the {images} images can be used; looked in {folders}; "
        f"the last: line {last.row}, {last.reason}; {remedy}"
    )


def too_many_skips(skips: Sequence[Skip], bad_rows: int) -> UserError:
    """Return the error for a conversion that would skip more than MAX_SKIPPED.

    bad_rows: number of the skips that are rows; the others are images
    """
    bad_images = len(skips) - bad_rows
    remedy = _common_remedy(skips)
    lacks_center = any(skip.camera == CAMERAS[0] for skip in skips)
    if not remedy and not bad_rows and not lacks_center:
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


def _common_remedy(skips: Sequence[Skip]) -> str:
    return common_remedy([skip.reason for skip in skips], skips[-1].file)
