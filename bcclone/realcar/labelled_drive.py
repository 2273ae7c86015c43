"""A recording or a tub -> pictures from all over the drive, and the recorded steering."""

from collections import Counter
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from bcclone.camera.framing import Framing, framing_of
from bcclone.camera.geometry import FOCAL_PX
from bcclone.camera.images import BadImage, Image, decode_image, read_file, resized
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_rows import Row, Seen
from bcclone.exchange.simulator_log import rows_of_log
from bcclone.exchange.tub import is_tub, read_tub
from bcclone.recording.files import ImageIndex, find_log, is_recording
from bcclone.recording.log import read_log
from bcclone.recording.row import EPISODE_GAP_MS
from bcclone.system.arrays import FloatArray, evenly
from bcclone.system.errors import UserError, shown_command

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


def read_drive(source: Path, left_positive: bool = False) -> LabelledDrive:
    """Return pictures from all over a drive, of their most frequent size, with their steering.

    An import has stretched pictures to frames; these get back the width and height of the pictures,
    which framing.json beside the recording's log states.
    """
    imported = framing_of(find_log(str(source))) if is_recording(source) else None
    if imported and imported.cuts:
        raise UserError(
            f"{source}: its frames were cut by a framing already: {imported.describe()}; calibrate "
            "on its source"
        )
    chosen: list[tuple[float, str | bytes]] = []  # seconds of driving, and path or content
    recorded: list[tuple[float, float]] = []  # seconds of driving, and steering
    every = 1  # N, to take every Nth picture
    driven = 0.0  # seconds of driving until the picture; pauses do not count
    before: float | None = None
    with closing(_labelled(source)) as labelled:
        for number, (taken, steering, picture) in enumerate(labelled):
            step = 0.0 if before is None else taken - before
            if 0 <= step <= EPISODE_GAP_MS / 1000:
                driven += step
            before = taken
            recorded.append((driven, -steering if left_positive else steering))
            if number % every == 0:
                chosen.append((driven, picture))
            # if there are too many, keep every second one: all pictures of a long tub do not fit
            # into memory
            if len(chosen) == 2 * _MOST_PICTURES:
                chosen = chosen[::2]
                every *= 2
    chosen = [chosen[index] for index in evenly(len(chosen), _MOST_PICTURES)]
    recorded_seconds, recorded_steering = np.array(recorded).reshape(-1, 2).T

    # decode them, and take those of the most frequent size
    decoded = [
        (seconds, *reduced)
        for seconds, picture in chosen
        if (reduced := _reduced(picture, imported)) is not None
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
        recorded_seconds=recorded_seconds,
        recorded_steering=recorded_steering,
        left_out=len(chosen) - len(usual),
    )
    if np.ptp(drive.steering()) < 1e-6:
        raise UserError(
            f"{source}: its steering is {drive.steering()[0]:g} throughout, expected bends; name a "
            "drive with some"
        )
    return drive


def _labelled(source: Path) -> Generator[tuple[float, float, str | bytes], None, None]:
    """Yield the pictures of a source; closing it closes the source.

    Of each: when it was taken, in seconds from any start; its steering; the path or content of its
    file.
    """
    if is_recording(source):
        log = read_log(find_log(str(source)))
        for row in rows_of_log(log, ImageIndex(log.path), ("center",)):
            _, path = row.images["center"]
            if path:
                yield row.time_ms / 1000, row.steering, path
        return
    if not is_tub(source):
        if not source.exists():
            raise UserError(f"{source}: no such file or folder, expected a recording or a tub")
        command = shown_command("import", source, "-o", f"recordings/{source.resolve().stem}")
        raise UserError(f"{source}: neither a recording nor a tub; import it first: {command}")
    with closing(read_tub(ImportSettings(source), Seen())) as items:
        for item in items:
            if isinstance(item, Row) and not item.deleted:
                yield item.time_ms / 1000, item.steering, item.images["center"]


def _reduced(
    picture: str | bytes, imported: Framing | None
) -> tuple[tuple[int, int], Image] | None:
    """Return width and height of the camera's picture, and it reduced; None if it is unreadable.

    picture: path or content of its file
    imported: framing by which an import stretched the pictures to frames; None if none did
    """
    try:
        content = picture if isinstance(picture, bytes) else read_file(picture)
        pixels = decode_image(content)
    except (BadImage, OSError):
        return None
    height, width = pixels.shape[:2]
    if imported:
        width = imported.width
        height = imported.height
    # reduce by a whole factor: through the widest lens, this many of the picture's pixels, across
    # and down, fall on one pixel of a frame
    factor = max(1, int(SHORTEST_FOCAL * width / FOCAL_PX))
    return (width, height), resized(pixels, (width // factor, height // factor))
