"""Encode pictures: RGB uint8 (height, width, 3), one after the other -> an MP4 or a GIF, by moviepy and ffmpeg."""

import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import numpy as np

from bcclone.dataset.images import Image
from bcclone.pictures.video.clip_settings import ClipSettings
from bcclone.system.errors import UserError
from bcclone.system.progress import ProgressBar

_PALETTE_COLORS, _PALETTE_PICTURES = 64, 24
# dithering would take more bytes than the colours are worth; pixels that did not change are left out
_USE_PALETTE = "paletteuse=dither=none:diff_mode=rectangle"
_GIF_END = b";"
_CONFIG = "moviepy.config"
_importing = threading.Lock()

# numbers of pictures -> the pictures, None for one that is left out
DrawPictures = Callable[[Sequence[int]], Iterator[Image | None]]


@dataclass(frozen=True)
class _Codec:
    """How ffmpeg encodes. name: of its encoder; options: others of its command line."""

    name: str
    options: tuple[str, ...]


# faststart puts the index first, so that a web page can play the clip while it loads
_H264 = _Codec("libx264", ("-crf", "21", "-movflags", "+faststart"))
_PALETTE = _Codec("png", ("-vf", f"palettegen=max_colors={_PALETTE_COLORS}"))


def encode(path: Path, draw: DrawPictures, total: int, settings: ClipSettings) -> int:
    """Write a clip and return its number of pictures, 0 if there are none. Raises UserError when ffmpeg fails.

    draw: yields the pictures of some numbers below `total`, RGB uint8 (height, width, 3), all of one size. For a
    GIF, some are drawn twice: first to choose its colours by pictures from the whole clip, since all of them would not
    fit into memory.
    """
    return (_encode_gif if settings.is_gif else _encode_mp4)(path, draw, total, settings.rate)


def _encode_mp4(path: Path, draw: DrawPictures, total: int, rate: float) -> int:
    count = _write(path, draw(range(total)), total, rate, _H264)
    if count:
        _check_mp4(path, count)
    return count


def _encode_gif(path: Path, draw: DrawPictures, total: int, rate: float) -> int:
    with tempfile.TemporaryDirectory() as folder:
        palette = Path(folder) / "palette.png"
        some = np.unique(np.linspace(0, total - 1, min(_PALETTE_PICTURES, total)).round().astype(int)).tolist()
        if not _write(palette, draw(some), 0, rate, _PALETTE):
            return 0
        filters = f"movie={_escaped(palette)} [colors]; [in] [colors] {_USE_PALETTE}"
        count = _write(path, draw(range(total)), total, rate, _Codec("gif", ("-vf", filters, "-loop", "0")))
    with path.open("rb") as file:
        file.seek(-1, 2)
        if file.read() != _GIF_END:
            raise UserError(f"the clip is incomplete, its end is missing; {_room(path)}")
    return count


def _write(path: Path, pictures: Iterator[Image | None], total: int, rate: float, codec: _Codec) -> int:
    """Send the pictures to ffmpeg and return their number. total: of the progress bar, 0 for none."""
    first = next((picture for picture in pictures if picture is not None), None)
    if first is None:
        return 0
    height, width = (extent // 2 * 2 for extent in first.shape[:2])  # H.264 halves the colour planes
    count = 0
    with _encoder(path, (width, height), rate, codec) as write:
        for picture in _with_progress(first, pictures, total):
            if picture is not None:
                write(picture[:height, :width])
                count += 1
    return count


def _with_progress(first: Image, others: Iterator[Image | None], total: int) -> Iterator[Image | None]:
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
def _encoder(path: Path, size: tuple[int, int], rate: float, codec: _Codec) -> Iterator[Callable[[Image], None]]:
    """Yield a function that encodes a picture of this size, width and height; ffmpeg ends with the block."""
    # a file, since a pipe that nobody reads would fill
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        writer = _open_writer(path, size, rate, codec, log)
        process = writer.proc

        def write(picture: Image) -> None:
            try:
                writer.write_frame(picture)
            except OSError:  # ffmpeg has ended
                raise _failure(path, process.wait(), log) from None

        try:
            yield write
            with suppress(BrokenPipeError):
                writer.close()
            if process.wait():
                raise _failure(path, process.returncode, log)
        finally:
            process.kill()  # harmless if it has ended
            process.wait()
            with suppress(BrokenPipeError):
                process.stdin.close()


def _open_writer(path: Path, size: tuple[int, int], rate: float, codec: _Codec, log: IO[str]) -> Any:
    """Return moviepy's writer, whose ffmpeg writes its errors into a log; raises UserError without an ffmpeg."""
    try:
        # for libx264 it asks for yuva420p, which libx264 does not have; ffmpeg then takes yuv420p, which players know
        return _writer_class()(
            str(path),
            size,
            rate,
            codec=codec.name,
            preset="veryfast",
            logfile=log,
            ffmpeg_params=["-hide_banner", "-loglevel", "error", *codec.options],
        )
    except (OSError, RuntimeError) as error:  # RuntimeError: imageio-ffmpeg finds none
        reason = re.sub(r"^\[\w+ \d+\] ", "", str(error))  # without its number
        raise UserError(f"no working ffmpeg was found: {reason}; run bcclone doctor to see how to fix it") from None


def _writer_class() -> Any:
    """Return moviepy's class; raises RuntimeError without an ffmpeg.

    While it is imported, another module stands in for moviepy.config, which would read a file `.env` in the current
    folder or above, run the program that it names as FFMPEG_BINARY, and run a program named ffplay.
    """
    from imageio_ffmpeg import get_ffmpeg_exe

    with _importing:
        config: Any = ModuleType(_CONFIG)
        config.FFMPEG_BINARY, config.FFPLAY_BINARY = get_ffmpeg_exe(), "unset"
        stands_in = sys.modules.setdefault(_CONFIG, config) is config
        try:
            from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter
        finally:
            if stands_in:  # a program that imports moviepy.config later gets moviepy's own
                del sys.modules[_CONFIG]
    return FFMPEG_VideoWriter


def _failure(path: Path, code: int, log: IO[str]) -> UserError:
    log.seek(0)
    reason = log.read().strip().splitlines() or [f"exit code {code}"]
    return UserError(f"{path}: ffmpeg cannot write the clip: {reason[-1]}; {_room(path)}; bcclone doctor checks ffmpeg")


def _room(path: Path) -> str:
    """Return what helps when a file could not be written completely."""
    return f"is the disk full? free some space in {path.parent}, or name another -o"


def _escaped(path: Path) -> str:
    """Escape a path for the description of a filter graph, which has two levels of escapes."""
    value = re.sub(r"([\\':])", r"\\\1", path.as_posix())
    return re.sub(r"([\\'\[\],;])", r"\\\1", value)


def _check_mp4(path: Path, count: int) -> None:
    """Raise UserError unless the clip holds that many frames: on a full disk, ffmpeg may still report success."""
    from bcclone.system.opencv import cv2

    with tempfile.TemporaryDirectory() as folder:
        name = str(path)
        if not name.isprintable():  # OpenCV crashes on one that is not UTF-8
            link = Path(folder) / "clip.mp4"
            link.symlink_to(path.resolve())
            name = str(link)
        clip = cv2.VideoCapture(name)
        written = max(int(clip.get(cv2.CAP_PROP_FRAME_COUNT)), 0)  # -1 if the file is not a clip
        clip.release()
    if written != count:
        raise UserError(f"the clip is incomplete, {written} of {count} frames were written; {_room(path)}")
