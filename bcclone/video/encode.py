"""Pictures -> an MP4 or a GIF, by ffmpeg in a process of its own; as many as there are, a few in memory at a time."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from bcclone.errors import UserError
from bcclone.images import Image
from bcclone.progress import Progress
from bcclone.video.settings import ClipSettings

# yuv420p is what players know; with the index in front a page can begin to play before all of the file has come
_H264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "21", "-pix_fmt", "yuv420p", "-movflags", "+faststart")
_PALETTE_COLORS, _PALETTE_PICTURES = 64, 24
# dots that stand for colours in between would cost more bytes than the colours; what did not change is left out
_WITH_PALETTE = "paletteuse=dither=none:diff_mode=rectangle"
_GIF_END = b";"

Drawn = Callable[[Sequence[int]], Iterator[Image | None]]


def encode(path: Path, drawn: Drawn, total: int, settings: ClipSettings) -> int:
    """Write a clip of pictures, RGB uint8 (height, width, 3), all of one size; return how many there were.

    drawn: yields those of the given numbers, below `total`; None is left out. For a GIF some are drawn twice: its
    colours are chosen by pictures from all over the clip, since those of all would have to lie in memory. Raises
    UserError when ffmpeg fails.
    """
    everything = range(total)
    if not settings.is_gif:
        count = _write(path, drawn(everything), total, settings.rate, _H264)
        if count:
            _check_mp4(path, count)
        return count
    with tempfile.TemporaryDirectory() as folder:
        palette = Path(folder) / "palette.png"
        some = np.unique(np.linspace(0, total - 1, min(_PALETTE_PICTURES, total)).round().astype(int)).tolist()
        choose = ("-vf", f"palettegen=max_colors={_PALETTE_COLORS}")
        if not _write(palette, drawn(some), 0, settings.rate, choose):
            return 0
        options = ("-i", str(palette), "-lavfi", _WITH_PALETTE, "-loop", "0")
        count = _write(path, drawn(everything), total, settings.rate, options)
    with path.open("rb") as file:
        file.seek(-1, 2)
        if file.read() != _GIF_END:
            raise UserError("the clip came out without its end; is the disk full?")
    return count


def _write(path: Path, pictures: Iterator[Image | None], total: int, rate: float, options: Sequence[str]) -> int:
    """Send the pictures that there are to ffmpeg and return their number. total: of the bar, 0 for none."""
    first = next((picture for picture in pictures if picture is not None), None)
    if first is None:
        return 0
    height, width = (extent // 2 * 2 for extent in first.shape[:2])  # H.264 halves the colour planes
    count = 0
    with _ffmpeg(path, (width, height), rate, options) as stream:
        for picture in _shown_progress(first, pictures, total):
            if picture is not None:
                stream.write(np.ascontiguousarray(picture[:height, :width]).data)
                count += 1
    return count


def _shown_progress(first: Image, others: Iterator[Image | None], total: int) -> Iterator[Image | None]:
    yield first
    if not total:
        yield from others
        return
    with Progress("encoding", total, "frames", done=0) as progress:
        progress.advance(1)
        for picture in others:
            yield picture
            progress.advance(1)


@contextmanager
def _ffmpeg(path: Path, size: tuple[int, int], rate: float, options: Sequence[str]) -> Iterator[IO[bytes]]:
    """Yield what takes pictures of a size, width and height, as RGB bytes; the process ends with the block."""
    from moviepy.config import FFMPEG_BINARY

    source = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", f"{rate:g}", "-i", "-")
    command = [FFMPEG_BINARY, "-y", "-loglevel", "error", *source, *options, str(path)]
    with tempfile.TemporaryFile() as said:  # a pipe that nobody reads would fill
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said)
        if process.stdin is None:
            raise RuntimeError("a process without the pipe that was asked for")
        try:
            yield process.stdin
            process.stdin.close()
        except BrokenPipeError:
            process.wait()  # it has ended; why is told below
        except BaseException:
            process.kill()
            raise
        finally:
            process.wait()
        if process.returncode:
            said.seek(0)
            reason = said.read().decode(errors="replace").strip().splitlines() or [f"exit code {process.returncode}"]
            raise UserError(f"the encoder failed: {reason[-1]}; is the disk full?")


def _check_mp4(path: Path, count: int) -> None:
    """Raise UserError unless the clip holds that many frames: ffmpeg calls a clip that the disk cut off a success."""
    import cv2

    clip = cv2.VideoCapture(str(path))
    found = max(int(clip.get(cv2.CAP_PROP_FRAME_COUNT)), 0)  # -1 of what is no clip
    clip.release()
    if found != count:
        raise UserError(f"the clip came out with {found} of {count} frames; is the disk full?")
