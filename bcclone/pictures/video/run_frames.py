"""Find the frames of a run: its folder -> their names in the order of time, and the frame to show at each moment."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import simplejpeg

from bcclone.dataset.images import BadImage, Image, jpeg_size, read_file
from bcclone.recording.edits import read_edits, seconds_since_first
from bcclone.recording.files import LOG_NAME
from bcclone.recording.row import CAMERAS, time_of
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.system.errors import UserError

_MIN_SIZE = 2  # pixels: H.264 halves the colour planes
_ROUNDING = 1e-6  # tolerance for a float just below a whole number


@dataclass(frozen=True)
class RunFrames:
    """The frames of a run that can be shown.

    names: paths within the folder, in the order of time; size: width and height of all of them; skipped: name -> reason
    of the other frames.
    """

    folder: Path
    names: tuple[str, ...]
    size: tuple[int, int]
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_recording(self) -> bool:
        """Return whether a person drove: the simulator names the images of its recordings after the camera."""
        return Path(self.names[0]).name.lower().startswith(CAMERAS[0])


class FrameDecoder:
    """Decodes the frames of a run. skipped: name -> reason of the frames that were skipped or turned out broken."""

    def __init__(self, frames: RunFrames) -> None:
        self.frames = frames
        self.skipped = dict(frames.skipped)

    def decode(self, index: int) -> Image | None:
        """Return a frame, RGB uint8 (height, width, 3); if it is broken, add it to `skipped` and return None."""
        name = self.frames.names[index]
        try:
            content = read_file(str(self.frames.folder / name))
            if jpeg_size(content) != self.frames.size:  # it has been replaced
                raise BadImage("another size than the others")
            frame: Image = simplejpeg.decode_jpeg(content, colorspace="RGB")
        except (ValueError, OSError) as error:
            self.skipped[name] = f"incomplete JPEG: {error}"
            return None
        return frame


def find_frames(folder: Path) -> RunFrames:
    """Return the frames of a run, or of a recording's centre camera; raises UserError if there are none.

    Frames of another size than most, and frames without a time in the name, are skipped; frames of deleted rows are
    left out.
    """
    names, skipped = _find_names(folder)
    size = _most_common_size(folder, names, skipped)
    frames = RunFrames(folder, tuple(name for name in names if name not in skipped), size, skipped)
    if min(size) < _MIN_SIZE:
        raise nothing_to_show(frames, skipped)
    return frames


def nothing_to_show(frames: RunFrames, skipped: Mapping[str, str]) -> UserError:
    """Return the error of a run without a single usable frame. skipped: name -> reason; the first one is shown."""
    first = "; the first: " + ": ".join(next(iter(skipped.items()))) if skipped else ""
    count = len(skipped.keys() | set(frames.names))
    expected = "expected JPEG images of one size, with their time in the name"
    return UserError(f"{frames.folder}: none of its {count} frames can be shown, {expected}{first}")


def find_runs(folder: Path) -> list[Path]:
    """Return the run folders and recordings directly within a folder, the newest first."""
    runs = [path for path in folder.iterdir() if path.is_dir() and _timed_images(path)]
    return sorted(runs, key=lambda path: path.stat().st_mtime, reverse=True)


def _timed_images(folder: Path) -> bool:
    """Return whether the first image of a folder, or of its IMG, has its time in its name."""
    first = next(folder.glob("*.jpg"), None) or next(folder.glob("IMG/*.jpg"), None)
    try:
        return first is not None and time_of(first.name) >= 0
    except ValueError:
        return False


def _find_names(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return the names of the frames in the order of time, and name -> reason of the skipped ones."""
    record = f"record one with: bcclone drive model.h5 {folder}"
    if not folder.is_dir():
        if folder.exists():
            raise UserError(f"{folder}: a file, expected the folder of a run; name one, such as run1")
        raise UserError(f"{folder}: no such run folder; {record}")
    images = list(folder.glob("*.jpg")) or list(folder.glob("IMG/*.jpg"))
    names = [str(path.relative_to(folder)) for path in images if not path.name.startswith(CAMERAS[1:])]
    if not names:
        raise UserError(f"{folder}: there are no frames (*.jpg) in this folder; name the folder of a run, such as run1")
    skipped, timed = {}, []
    for name in names:
        try:
            timed.append((time_of(Path(name).name), name))
        except ValueError as error:
            skipped[name] = str(error)
    deleted = read_edits(folder / LOG_NAME).deleted(np.array([time for time, _ in sorted(timed)], np.int64))
    return [name for (_, name), out in zip(sorted(timed), deleted, strict=True) if not out], skipped


def _most_common_size(folder: Path, names: Sequence[str], skipped: dict[str, str]) -> tuple[int, int]:
    """Return the width and height of most frames; add the others to `skipped`."""
    sizes = {}
    for name in names:
        try:
            sizes[name] = jpeg_size(read_file(str(folder / name)))
        except OSError as error:
            skipped[name] = f"cannot be read: {error.strerror}"
        except BadImage as error:
            skipped[name] = f"not a JPEG that can be shown: {error}"
    if not sizes:
        return 0, 0
    size: tuple[int, int] = Counter(sizes.values()).most_common(1)[0][0]
    skipped.update(
        (name, f"{other[0]}x{other[1]} pixels, the others have {size[0]}x{size[1]}")
        for name, other in sizes.items()
        if other != size
    )
    return size


def seconds_by_name(names: Sequence[str]) -> FloatArray:
    """Return the seconds from the first frame to each, by the times in their names; pauses count 10 s at most."""
    times = np.array([time_of(Path(name).name) for name in names])
    return seconds_since_first(times / 1000)


def frames_within(seconds: FloatArray, span: tuple[float, float]) -> IndexArray:
    """Return the indices of the frames, of times (frames,), from the begin of a span up to its end."""
    return np.flatnonzero((seconds >= span[0]) & (seconds < span[1]))


def clip_times(duration: float, span: tuple[float, float], rate: float) -> FloatArray:
    """Return the times of a clip's frames, `rate` a second. duration: seconds of the longest run."""
    begin, end = span
    if begin > duration:
        return np.empty(0)
    if end > duration:  # the last frame of the run is shown, too
        return begin + np.arange(math.floor((duration - begin) * rate + _ROUNDING) + 1) / rate
    return begin + np.arange(math.ceil((end - begin) * rate - _ROUNDING)) / rate


def frames_at(seconds: FloatArray, times: FloatArray) -> IndexArray:
    """Return the index of the frame to show at each time: the last one taken by then."""
    return np.searchsorted(seconds, times + _ROUNDING, side="right") - 1
