"""A recording or a tub -> pictures from all over the drive, the recorded steering, and evidence."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from bcclone.camera.framing import Framing, framing_of, try_stretched
from bcclone.camera.geometry import FOCAL_PX
from bcclone.camera.images import BadImage, Image, read_picture, resized
from bcclone.diagnosis.drive_rows import DriveRows
from bcclone.diagnosis.evidence import Evidence
from bcclone.diagnosis.motion import look_at, read_center
from bcclone.exchange.edited_tub import open_edited
from bcclone.exchange.tub import is_tub
from bcclone.recording.files import Images, find_log, is_recording
from bcclone.recording.log import Log, with_edits
from bcclone.recording.row import EPISODE_GAP_MS
from bcclone.system.arrays import FloatArray, evenly
from bcclone.system.errors import UserError, shown_command
from bcclone.system.progress import ProgressBar

SHORTEST_FOCAL = 0.34  # focal length of the widest lens that is tried, in widths of a picture
FEWEST_PICTURES = 50
_MOST_PICTURES = 160  # most pictures that are kept, spread evenly over the drive


@dataclass(frozen=True)
class LabelledDrive:
    """Pictures of one size, and the recorded steering."""

    # RGB uint8 (height, width, 3), reduced: through the widest lens that is tried, one pixel of a
    # network's frame then shows about one of their pixels
    pictures: list[Image]
    seconds: FloatArray  # seconds of driving, without pauses, until each picture, (pictures,)
    size: tuple[int, int]  # width and height of the camera's pictures, before they were reduced
    # of the whole drive, also where no picture is used, (rows,): seconds of driving, and the
    # steering, -1 to 1, right positive
    recorded_seconds: FloatArray
    recorded_steering: FloatArray
    left_out: int = 0  # number of pictures that cannot be read or have another size

    def steering(self, later: float = 0.0) -> FloatArray:
        """Return the recorded steering some seconds after each picture, (pictures,)."""
        return np.interp(self.seconds + later, self.recorded_seconds, self.recorded_steering)

    def mirrored(self) -> Self:
        return replace(self, recorded_steering=-self.recorded_steering)

    def thinned(self, every: int) -> Self:
        """Return the drive with every Nth of its pictures."""
        return replace(self, pictures=self.pictures[::every], seconds=self.seconds[::every])

    @property
    def driven_seconds(self) -> float:
        """Return how many seconds of driving the pictures cover, without pauses."""
        return float(self.seconds[-1] - self.seconds[0])


def open_drive(source: Path, left_positive: bool = False) -> tuple[Log, Images]:
    """Return the rows of a recording or a tub that are not deleted, and what finds their images.

    left_positive: whether the recorded steering is positive to the left; that of the rows is
        positive to the right
    """
    if not (is_recording(source) or is_tub(source)):
        if not source.exists():
            raise UserError(f"{source}: no such file or folder, expected a recording or a tub")
        command = shown_command("import", source, "-o", f"recordings/{source.resolve().stem}")
        raise UserError(f"{source}: neither a recording nor a tub; import it first: {command}")
    recorded = open_edited(str(source))
    log = with_edits(recorded.log, recorded.read_edits())
    if left_positive:
        log = replace(log, rows=log.rows.assign(steering=0.0 - log.rows["steering"]))
    return log, recorded.images


def read_drive(source: Path, log: Log, images: Images) -> LabelledDrive:
    """Return pictures from all over a drive, of their most frequent size, with their steering.

    An import has stretched pictures to frames; these get back the width and height of the pictures,
    which framing.json beside the recording's log states.

    source: path of the recording or tub, whose log and images open_drive() returns
    """
    imported = framing_of(find_log(str(source))) if is_recording(source) else None
    if imported and imported.cuts:
        raise UserError(
            f"{source}: its frames were cut by a framing already: {imported.describe()}; calibrate "
            "on its source"
        )
    rows = log.rows
    steps = np.diff(rows["time_ms"]) / 1000  # pauses do not count
    driven = np.concatenate([[0], np.cumsum(np.where(steps <= EPISODE_GAP_MS / 1000, steps, 0.0))])

    # decode some, and take those of the most frequent size
    names = rows["center"].tolist()
    chosen = evenly(len(rows), _MOST_PICTURES).tolist()
    decoded = [
        (driven[row], *reduced)
        for row in chosen
        if (reduced := _reduced(images.find(names[row]), imported)) is not None
    ]
    sizes = Counter(size for _, size, _ in decoded)
    usual_size = max(sizes, key=lambda size: sizes[size], default=(0, 0))
    usual = [(seconds, pixels) for seconds, size, pixels in decoded if size == usual_size]
    if len(usual) < FEWEST_PICTURES:
        raise UserError(
            f"{source}: {len(usual)} pictures of one size with a steering, expected "
            f"{FEWEST_PICTURES} or more; name a longer drive"
        )
    drive = LabelledDrive(
        pictures=[pixels for _, pixels in usual],
        seconds=np.array([seconds for seconds, _ in usual]),
        size=usual_size,
        recorded_seconds=driven,
        recorded_steering=rows["steering"].to_numpy(np.float64),
        left_out=len(chosen) - len(usual),
    )
    if np.ptp(drive.steering()) < 1e-6:
        raise UserError(
            f"{source}: its steering is {drive.steering()[0]:g} throughout, expected bends; name a "
            "drive with some"
        )
    return drive


def evidence_of(log: Log, images: Images) -> Evidence:
    """Return what the rows and all pictures of a drive show, the pictures stretched to frames."""
    rows = log.rows.assign(left="", right="")  # which show nothing more
    with ProgressBar("comparing steering and pictures", len(rows), "rows") as progress:
        figures = look_at(rows, images, progress.advance, try_stretched)
    return Evidence(
        DriveRows.of(rows, log.deleted),
        figures,
        lambda row: read_center(rows, row, images, try_stretched),
    )


def _reduced(path: str | None, imported: Framing | None) -> tuple[tuple[int, int], Image] | None:
    """Return width and height of the camera's picture, and it reduced; None if it is unreadable.

    path: of its file, None for a missing one
    imported: framing by which an import stretched the pictures to frames; None if none did
    """
    try:
        pixels = read_picture(path) if path else None
    except BadImage:
        pixels = None
    if pixels is None:
        return None
    height, width = pixels.shape[:2]
    if imported:
        width = imported.width
        height = imported.height
    # reduce by a whole factor: through the widest lens, this many of the picture's pixels, across
    # and down, fall on one pixel of a frame
    factor = max(1, int(SHORTEST_FOCAL * width / FOCAL_PX))
    return (width, height), resized(pixels, (width // factor, height // factor))
