"""Encode pictures: RGB uint8 (height, width, 3), one after the other -> an MP4 or a GIF, by moviepy and ffmpeg."""

import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from bcclone.dataset.images import Image
from bcclone.dataset.statistics import evenly
from bcclone.pictures.video.clip_settings import ClipSettings
from bcclone.system.errors import UserError
from bcclone.system.progress import ProgressBar

# faststart puts the index first, so that a web page can play the clip while it loads
_H264 = "libx264", "-crf", "21", "-movflags", "+faststart"
_PALETTE_PICTURES = 24
_PALETTE = "png", "-vf", "palettegen=max_colors=64"
# dithering would take more bytes than the colours are worth; pixels that did not change are left out
_USE_PALETTE = "paletteuse=dither=none:diff_mode=rectangle"

# numbers of pictures -> the pictures, None for one that is left out
DrawPictures = Callable[[Sequence[int]], Iterator[Image | None]]


def encode(path: Path, draw: DrawPictures, total: int, settings: ClipSettings) -> int:
    """Write a clip and return its number of pictures, 0 if there are none. Raises UserError when ffmpeg fails.

    draw: yields the pictures of some numbers below `total`, RGB uint8 (height, width, 3), all of one size. For a
    GIF, some are drawn twice: first to choose its colours by pictures from the whole clip, since all of them would not
    fit into memory.
    """
    with tempfile.TemporaryDirectory() as folder:
        codec: Sequence[str] = _H264
        if settings.is_gif:
            palette = Path(folder) / "palette.png"
            some = evenly(total, _PALETTE_PICTURES).tolist()
            if not _write(palette, draw(some), settings.rate, _PALETTE):
                return 0
            codec = "gif", "-vf", f"movie={_escaped(palette)} [colors]; [in] [colors] {_USE_PALETTE}", "-loop", "0"
        with ProgressBar("encoding", total, "frames") as progress:
            return _write(path, draw(range(total)), settings.rate, codec, progress)


def _write(
    path: Path, pictures: Iterator[Image | None], rate: float, codec: Sequence[str], progress: ProgressBar | None = None
) -> int:
    """Send the pictures to ffmpeg and return their number. codec: name of the encoder, and options of ffmpeg."""
    writer, count = None, 0
    try:
        for picture in pictures:
            if progress:
                progress.advance(1)
            if picture is None:
                continue
            height, width = (extent // 2 * 2 for extent in picture.shape[:2])  # H.264 halves the colour planes
            writer = writer or _open_writer(path, (width, height), rate, codec)
            try:
                writer.write_frame(picture[:height, :width])
            except OSError as error:  # ffmpeg has ended, and this has its errors
                raise _failure(path, str(error)) from None
            count += 1
        if writer:
            _, errors = writer.proc.communicate()  # close() would throw them away
            if writer.proc.returncode:
                raise _failure(path, errors.decode(errors="replace"))
        return count
    finally:
        if writer:
            writer.proc.kill()  # harmless if it has ended
            writer.proc.communicate()


def _open_writer(path: Path, size: tuple[int, int], rate: float, codec: Sequence[str]) -> Any:
    """Return moviepy's writer; raises UserError without an ffmpeg."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        config: Any = ModuleType("moviepy.config")  # moviepy's own opens a file .env and runs the programs it names
        config.FFMPEG_BINARY, config.FFPLAY_BINARY = get_ffmpeg_exe(), "ffplay"
        sys.modules.setdefault(config.__name__, config)
        from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter

        # for libx264 it asks for yuva420p, which libx264 does not have; ffmpeg then takes yuv420p, which players know
        options = ["-hide_banner", *codec[1:]]
        return FFMPEG_VideoWriter(str(path), size, rate, codec=codec[0], preset="veryfast", ffmpeg_params=options)
    except (OSError, RuntimeError) as error:  # RuntimeError: imageio-ffmpeg finds none
        reason = re.sub(r"^\[\w+ \d+\] ", "", str(error))  # without its number
        raise UserError(f"no working ffmpeg was found: {reason}; run bcclone doctor to see how to fix it") from None


def _failure(path: Path, errors: str) -> UserError:
    reason = (errors.strip().splitlines() or ["no reason is known"])[-1].strip()
    return UserError(
        f"{path}: ffmpeg cannot write the clip: {reason}; is the disk full? free some space in {path.parent}, or name "
        "another -o; bcclone doctor checks ffmpeg"
    )


def _escaped(path: Path) -> str:
    """Escape a path for the description of a filter graph, which has two levels of escapes."""
    value = re.sub(r"([\\':])", r"\\\1", path.as_posix())
    return re.sub(r"([\\'\[\],;])", r"\\\1", value)
