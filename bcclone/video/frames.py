"""Run folder -> its frames in order of time, and why others are left out."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import simplejpeg

from bcclone.errors import UserError
from bcclone.images import Image
from bcclone.recording import CAMERAS, time_of
from bcclone.video.settings import Span

Seconds = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_LONGEST_PAUSE_SECONDS = 10.0


def seconds_by_name(names: Sequence[str]) -> Seconds:
    """Return when each frame was taken by the time in its name, since the first; of a pause over 10 s, 10 s."""
    times = np.array([time_of(Path(name).name) for name in names])
    return since_first(times / 1000)


def since_first(seconds: Seconds) -> Seconds:
    """Return rising times as seconds since the first; of a pause over 10 s, 10 s."""
    return np.concatenate([[0.0], np.cumsum(np.minimum(np.diff(seconds), _LONGEST_PAUSE_SECONDS))])


def each_once(seconds: Seconds, span: Span) -> Places:
    """Return the frames that were taken within a span, each once."""
    return np.flatnonzero((seconds >= span.begin) & (seconds < span.end))


def ticks(longest: float, span: Span, rate: float) -> Seconds:
    """Return the moments of a clip's pictures, `rate` a second, of runs the longest of which takes so many seconds."""
    if span.begin > longest:
        return np.empty(0)
    if span.end > longest:
        # the last frame is shown, too; the small part is for what a float leaves of a whole number
        return span.begin + np.arange(math.floor((longest - span.begin) * rate + 1e-6) + 1) / rate
    return span.begin + np.arange(math.ceil((span.end - span.begin) * rate - 1e-6)) / rate


def at_ticks(seconds: Seconds, moments: Seconds) -> Places:
    """Return the frame to be shown at each moment: the one before stays until the next was taken."""
    return np.searchsorted(seconds, moments + 1e-6, side="right") - 1


_SMALLEST = 2


@dataclass(frozen=True)
class Frames:
    """The frames of a folder. names: paths within it, in order of time; size: width and height of all of them.

    skipped: the names of the others, each with the reason; frames that turn out to be broken are added.
    """

    folder: Path
    names: tuple[str, ...]
    size: tuple[int, int]
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def are_of_a_recording(self) -> bool:
        """Return whether a person drove: the simulator names its recordings' images by their camera."""
        return Path(self.names[0]).name.lower().startswith(CAMERAS[0])

    def decode(self, place: int) -> Image | None:
        """Return a frame, RGB uint8 (height, width, 3), or None for one that is broken, which is then in `skipped`."""
        name = self.names[place]
        try:
            frame: Image = simplejpeg.decode_jpeg((self.folder / name).read_bytes(), colorspace="RGB")
        except (ValueError, OSError) as error:
            self.skipped[name] = f"no whole JPEG: {error}"
            return None
        return frame

    def nothing_to_show(self) -> UserError:
        """Return the error that tells why there is no clip."""
        first = "; the first: " + ": ".join(next(iter(self.skipped.items()))) if self.skipped else ""
        count = len(self.skipped.keys() | set(self.names))
        expected = "expected JPEG images of a size, with their time in the name"
        return UserError(f"{self.folder}: none of its {count} frames can be shown, {expected}{first}")


def find_frames(folder: Path) -> Frames:
    """Return the frames of a run, or the centre images of a recording; raises UserError where there are none.

    Frames of another size than most are skipped, and those whose names tell no time.
    """
    names, skipped = _find_names(folder)
    size = _most_common_size(folder, names, skipped)
    frames = Frames(folder, tuple(name for name in names if name not in skipped), size, skipped)
    if min(size) < _SMALLEST:
        raise frames.nothing_to_show()
    return frames


def _find_names(folder: Path) -> tuple[list[str], dict[str, str]]:
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such run folder; record one with: python drive.py model.h5 {folder}")
    found = list(folder.glob("*.jpg")) or list(folder.glob("IMG/*.jpg"))
    names = [str(path.relative_to(folder)) for path in found if not path.name.startswith(CAMERAS[1:])]
    if not names:
        raise UserError(
            f"{folder}: no frames (*.jpg) in this folder; record some with: python drive.py model.h5 {folder}"
        )
    skipped, timed = {}, []
    for name in names:
        try:
            timed.append((time_of(Path(name).name), name))
        except ValueError as error:
            skipped[name] = str(error)
    return [name for _, name in sorted(timed)], skipped


def _most_common_size(folder: Path, names: Sequence[str], skipped: dict[str, str]) -> tuple[int, int]:
    """Return the width and height of most frames; add the others to `skipped`."""
    sizes = {}
    for name in names:
        try:
            height, width, _, _ = simplejpeg.decode_jpeg_header((folder / name).read_bytes())
            sizes[name] = (width, height)
        except (ValueError, OSError):
            skipped[name] = "no JPEG"
    if not sizes:
        return 0, 0
    size: tuple[int, int] = Counter(sizes.values()).most_common(1)[0][0]
    skipped.update(
        (name, f"{found[0]}x{found[1]} pixels, the others have {size[0]}x{size[1]}")
        for name, found in sizes.items()
        if found != size
    )
    return size
