"""Pictures -> an MP4 or a GIF, by moviepy's writer, whose ffmpeg is a process of its own; a few in memory at a time."""

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from bcclone.errors import UserError
from bcclone.images import Image
from bcclone.progress import ProgressBar
from bcclone.video.settings import ClipSettings

_PALETTE_COLORS, _PALETTE_PICTURES = 64, 24
# dots that stand for colours in between would cost more bytes than the colours; what did not change is left out
_WITH_PALETTE = "paletteuse=dither=none:diff_mode=rectangle"
_GIF_END = b";"

Drawn = Callable[[Sequence[int]], Iterator[Image | None]]


@dataclass(frozen=True)
class _Format:
    """What ffmpeg makes. codec: its name of the encoder; options: further ones of its command line."""

    codec: str
    options: tuple[str, ...]


# with the index in front a page can begin to play before all of the file has come
_H264 = _Format("libx264", ("-crf", "21", "-movflags", "+faststart"))
_PALETTE = _Format("png", ("-vf", f"palettegen=max_colors={_PALETTE_COLORS}"))


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
        if not _write(palette, drawn(some), 0, settings.rate, _PALETTE):
            return 0
        colors = f"movie={_escaped(palette)} [colors]; [in] [colors] {_WITH_PALETTE}"
        made = _Format("gif", ("-vf", colors, "-loop", "0"))
        count = _write(path, drawn(everything), total, settings.rate, made)
    with path.open("rb") as file:
        file.seek(-1, 2)
        if file.read() != _GIF_END:
            raise UserError("the clip came out without its end; is the disk full?")
    return count


def _write(path: Path, pictures: Iterator[Image | None], total: int, rate: float, made: _Format) -> int:
    """Send the pictures that there are to ffmpeg and return their number. total: of the bar, 0 for none."""
    first = next((picture for picture in pictures if picture is not None), None)
    if first is None:
        return 0
    height, width = (extent // 2 * 2 for extent in first.shape[:2])  # H.264 halves the colour planes
    count = 0
    with _encoder(path, (width, height), rate, made) as write:
        for picture in _shown_progress(first, pictures, total):
            if picture is not None:
                write(picture[:height, :width])
                count += 1
    return count


def _shown_progress(first: Image, others: Iterator[Image | None], total: int) -> Iterator[Image | None]:
    yield first
    if not total:
        yield from others
        return
    with ProgressBar("encoding", total, "frames", done=0) as progress:
        progress.advance(1)
        for picture in others:
            yield picture
            progress.advance(1)


@contextmanager
def _encoder(path: Path, size: tuple[int, int], rate: float, made: _Format) -> Iterator[Callable[[Image], None]]:
    """Yield what takes pictures of a size, width and height; ffmpeg ends with the block. Raises UserError."""
    # a pipe that nobody reads would fill
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        writer = _open_writer(path, size, rate, made, said)
        process = writer.proc

        def write(picture: Image) -> None:
            try:
                writer.write_frame(picture)
            except OSError:  # ffmpeg has ended
                raise _failure(process.wait(), said) from None

        try:
            yield write
            with suppress(BrokenPipeError):
                writer.close()
            if process.wait():
                raise _failure(process.returncode, said)
        finally:
            process.kill()  # nothing happens to one that has ended
            process.wait()
            with suppress(BrokenPipeError):
                process.stdin.close()


def _open_writer(path: Path, size: tuple[int, int], rate: float, made: _Format, said: TextIO) -> Any:
    """Return moviepy's writer, whose ffmpeg writes what goes wrong into a file; raises UserError without ffmpeg."""
    try:
        from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter

        # for libx264 it asks for yuva420p, which libx264 does not have; ffmpeg then takes yuv420p, which players know
        return FFMPEG_VideoWriter(
            str(path),
            size,
            rate,
            codec=made.codec,
            preset="veryfast",
            logfile=said,
            ffmpeg_params=["-hide_banner", "-loglevel", "error", *made.options],
        )
    except (OSError, RuntimeError) as error:  # RuntimeError: imageio-ffmpeg finds none
        reason = re.sub(r"^\[\w+ \d+\] ", "", str(error))  # without its number
        raise UserError(f"there is no ffmpeg that runs: {reason}; bcclone doctor says how to mend it") from None


def _failure(code: int, said: TextIO) -> UserError:
    said.seek(0)
    reason = said.read().strip().splitlines() or [f"exit code {code}"]
    return UserError(f"the encoder failed: {reason[-1]}; is the disk full?")


def _escaped(path: Path) -> str:
    """Return a path as a value in the description of a filter graph, which has two levels of escapes."""
    value = re.sub(r"([\\':])", r"\\\1", path.as_posix())
    return re.sub(r"([\\'\[\],;])", r"\\\1", value)


def _check_mp4(path: Path, count: int) -> None:
    """Raise UserError unless the clip holds that many frames: ffmpeg calls a clip that the disk cut off a success."""
    import cv2

    clip = cv2.VideoCapture(str(path))
    found = max(int(clip.get(cv2.CAP_PROP_FRAME_COUNT)), 0)  # -1 of what is no clip
    clip.release()
    if found != count:
        raise UserError(f"the clip came out with {found} of {count} frames; is the disk full?")
