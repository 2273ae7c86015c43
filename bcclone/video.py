"""Run folder -> clip."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg

from bcclone import atomic
from bcclone.errors import UserError
from bcclone.images import Image
from bcclone.progress import Progress
from bcclone.recording import CAMERAS, time_of

_REAL_TIME_FPS = 60
_LONGEST_PAUSE_MS = 10_000
_SMALLEST = 2


@dataclass(frozen=True)
class Clip:
    """What was made. skipped: names of the frames left out, each with the reason."""

    path: Path
    frames: int
    seconds: float
    skipped: tuple[str, ...]


def make_clip(folder: Path, output: Path, fps: float | None) -> Clip:
    """Encode the folder's frames in order of time as H.264.

    fps: frames a second, each frame once; None keeps real time by the time stamps (of a pause over 10 s, 10 s).
    Frames that are broken, or of another size than most, are skipped. Raises UserError when nothing can be shown,
    and when the encoder fails.
    """
    names, skipped = _find_frames(folder)
    size = _most_common_size(folder, names, skipped)
    names = [name for name in names if name not in skipped]
    if min(size) < _SMALLEST:
        raise _nothing_to_show(folder, len(skipped) + len(names), skipped)
    shown = names if fps is not None else _in_real_time(names)
    rate = fps or _REAL_TIME_FPS
    with atomic.replacing(output) as temporary:
        count = _encode(temporary, _frames(folder, shown, skipped, hold=fps is None), len(shown), size, rate)
        if not count:
            raise _nothing_to_show(folder, len(skipped), skipped)
    reasons = tuple(f"{name}: {reason}" for name, reason in skipped.items())
    return Clip(output, count, count / rate, reasons)


def _find_frames(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return the names of the frames in order of time: those of a run, or the centre images of a recording."""
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


def _in_real_time(names: Sequence[str]) -> list[str]:
    """Return the frame to be shown at each tick of the clip."""
    times = [time_of(Path(name).name) for name in names]
    begins = np.concatenate([[0], np.cumsum(np.minimum(np.diff(times), _LONGEST_PAUSE_MS))])
    ticks = np.arange(int(begins[-1]) * _REAL_TIME_FPS // 1000 + 1) * 1000 // _REAL_TIME_FPS
    return [names[place] for place in np.searchsorted(begins, ticks, side="right") - 1]


def _frames(folder: Path, names: Sequence[str], skipped: dict[str, str], hold: bool) -> Iterator[Image | None]:
    """Yield the frame of each name, decoded once where a name is repeated.

    A frame that turns out to be broken is added to `skipped`; None stands for it, or, with `hold`, the one before.
    """
    last: str | None = None
    frame: Image | None = None
    for name in names:
        if name != last:
            last, before = name, frame
            try:
                frame = simplejpeg.decode_jpeg((folder / name).read_bytes(), colorspace="RGB")
            except (ValueError, OSError) as error:
                skipped[name] = f"no whole JPEG: {error}"
                frame = before if hold else None
        yield frame


def _encode(path: Path, frames: Iterator[Image | None], total: int, size: tuple[int, int], rate: float) -> int:
    """Write the frames that there are as a clip and return their number; raises UserError when ffmpeg fails."""
    from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter

    width, height = size[0] // 2 * 2, size[1] // 2 * 2  # H.264 halves the colour planes
    video = FFMPEG_VideoWriter(str(path), (width, height), rate, codec="libx264", pixel_format="yuv420p")
    encoder = video.proc
    count = 0
    try:
        with closing(video) as writer, Progress("encoding", total, "frames") as progress:
            for frame in frames:
                if frame is not None:
                    writer.write_frame(frame[:height, :width])
                    count += 1
                progress.advance(1)
    except OSError as error:
        raise UserError(f"the encoder ended early: {str(error).strip().splitlines()[-1]}; is the disk full?") from None
    if encoder.returncode:
        raise UserError(f"the encoder failed (ffmpeg's exit code {encoder.returncode}); is the disk full?")
    if count:
        _check_clip(path, count)
    return count


def _check_clip(path: Path, count: int) -> None:
    """Raise UserError unless the clip holds that many frames: ffmpeg calls a clip that the disk cut off a success."""
    import cv2

    clip = cv2.VideoCapture(str(path))
    found = int(clip.get(cv2.CAP_PROP_FRAME_COUNT))
    clip.release()
    if found != count:
        raise UserError(f"the clip came out with {found} of {count} frames; is the disk full?")


def _nothing_to_show(folder: Path, count: int, skipped: dict[str, str]) -> UserError:
    first = "; the first: " + ": ".join(next(iter(skipped.items()))) if skipped else ""
    return UserError(f"{folder}: none of its {count} frames can be shown{first}")
