"""Encode a clip: pictures -> an MP4 or a GIF, by moviepy and ffmpeg.

The pictures are RGB uint8 (height, width, 3), all of one size.
"""

import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from bcclone.camera.images import Image
from bcclone.pictures.clip_settings import GIF
from bcclone.system.errors import UserError
from bcclone.system.numbers import evenly
from bcclone.system.process import ProgressBar

# numbers of some pictures of a clip, from 0 -> these pictures; None for a picture that is left out
DrawPictures = Callable[[Sequence[int]], Iterator[Image | None]]

# each of these is the name of one of ffmpeg's encoders, and options for it.
# crf is the quality, smaller is better. faststart puts the index first, so that a web page can play
# the clip while it loads
_H264 = "libx264", "-crf", "21", "-movflags", "+faststart"
# the fastest of the presets that make files of this size at this quality: veryfast, the next, takes
# two thirds longer for a file that is 1 % smaller (lab log, 2026-11-28)
_PRESET = "superfast"
# for pictures that are drawn while something else needs the processor: half of the work, for files
# that are a tenth larger, and a little less sharp (lab log, 2026-11-28). This preset is named after
# the usual one, and so takes its place
H264_BESIDE = "libx264", "-preset", "ultrafast", "-crf", "24", "-movflags", "+faststart"
_PALETTE = "png", "-vf", "palettegen=max_colors=64"
# a filter of ffmpeg that draws pictures in the colours of a palette: without dithering, whose
# patterns take many bytes; of each picture, only the rectangle that changed is stored
_USE_PALETTE = "paletteuse=dither=none:diff_mode=rectangle"
_PALETTE_PICTURES = 24  # number of pictures from which the colours of a GIF are chosen


def encode(path: Path, draw: DrawPictures, total: int, rate: float) -> int:
    """Write a clip and return its number of pictures, 0 if there are none.

    For a GIF, some pictures from the whole clip are drawn first, to choose its colours, and then
    again with all others, since all pictures would not fit into memory. Raises UserError when
    ffmpeg fails.

    path: ends in .mp4 or .gif
    draw: yields pictures by their numbers, RGB uint8 (height, width, 3), all of one size
    total: number of pictures of the clip
    rate: pictures a second
    """
    with tempfile.TemporaryDirectory() as folder:
        codec: Sequence[str] = _H264
        if path.suffix == GIF:
            palette = Path(folder) / "palette.png"
            some = evenly(total, _PALETTE_PICTURES).tolist()
            if not _write(palette, draw(some), rate, _PALETTE):
                return 0
            graph = f"movie={_escaped(palette)} [colors]; [in] [colors] {_USE_PALETTE}"
            codec = ("gif", "-vf", graph, "-loop", "0")
        with ProgressBar("encoding", total, "frames") as progress:
            return _write(path, draw(range(total)), rate, codec, progress)


def _escaped(path: Path) -> str:
    """Return a path as ffmpeg's filter graphs take it: escaped twice.

    The first escapes are for the option of a filter, the second ones for the graph.
    """
    in_filter = re.sub(r"([\\':])", r"\\\1", path.as_posix())
    return re.sub(r"([\\'\[\],;])", r"\\\1", in_filter)


def _write(
    path: Path,
    pictures: Iterator[Image | None],
    rate: float,
    codec: Sequence[str],
    progress: ProgressBar | None = None,
) -> int:
    """Send the pictures to ffmpeg and return their number; raises UserError when ffmpeg fails.

    pictures: RGB uint8 (height, width, 3), all of one size; None for a picture that is left out
    rate, codec: as ClipWriter takes them
    progress: advances with each picture
    """
    with ClipWriter(path, rate, codec) as writer:
        for picture in pictures:
            if progress:
                progress.advance(1)
            if picture is not None:
                writer.write(picture)
        return writer.count


class ClipWriter:
    """Sends pictures to ffmpeg, which has written the clip when the `with` block ends.

    count: number of the pictures so far; without any, no clip is written

    path: the clip
    rate: pictures a second
    codec: name of the encoder, and options of ffmpeg; H.264 if it is left out
    """

    def __init__(self, path: Path, rate: float, codec: Sequence[str] = _H264) -> None:
        self.count = 0
        self._path = path
        self._rate = rate
        self._codec = codec
        self._writer: Any = None  # moviepy's, from the first picture on, which says the size

    def __enter__(self) -> Self:
        return self

    def write(self, picture: Image) -> None:
        """Send a picture, RGB uint8 (height, width, 3); raises UserError when ffmpeg fails."""
        # H.264 has a colour for each 2 x 2 pixels, so an odd last row or column is cut
        height = picture.shape[0] // 2 * 2
        width = picture.shape[1] // 2 * 2
        if self._writer is None:
            self._writer = _open_writer(self._path, (width, height), self._rate, self._codec)
        try:
            self._writer.write_frame(picture[:height, :width])
        except OSError as error:  # ffmpeg has ended; the error contains what it printed
            raise _failure(self._path, str(error)) from None
        self.count += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writer is None:
            return
        process = self._writer.proc
        try:
            if kind is None:
                _, errors = process.communicate()  # the writer's close() would throw them away
                if process.returncode:
                    raise _failure(self._path, errors.decode(errors="replace"))
        finally:
            process.kill()  # harmless if it has ended
            process.communicate()


def _open_writer(path: Path, size: tuple[int, int], rate: float, codec: Sequence[str]) -> Any:
    """Return moviepy's writer of a file; raises UserError if there is no working ffmpeg."""
    # for libx264, moviepy asks for yuva420p, which libx264 does not have; ffmpeg then takes
    # yuv420p, which players know
    options = ["-hide_banner", *codec[1:]]
    try:
        _load_moviepy()
        from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter

        return FFMPEG_VideoWriter(
            str(path), size, rate, codec=codec[0], preset=_PRESET, ffmpeg_params=options
        )
    except (OSError, RuntimeError) as error:  # imageio-ffmpeg raises a RuntimeError
        reason = re.sub(r"^\[\w+ \d+\] ", "", str(error))  # without "[Errno 2] "
        raise UserError(
            f"no working ffmpeg was found: {reason}; run bcclone doctor to see how to fix it"
        ) from None


def _load_moviepy() -> None:
    """Let moviepy run the ffmpeg of imageio-ffmpeg.

    moviepy's own configuration would read a file .env in the current folder or above, and run the
    programs that the file names.
    """
    if "moviepy.config" in sys.modules:
        return
    from imageio_ffmpeg import get_ffmpeg_exe

    config: Any = ModuleType("moviepy.config")
    config.FFMPEG_BINARY = get_ffmpeg_exe()
    config.FFPLAY_BINARY = "ffplay"
    sys.modules["moviepy.config"] = config


def cut_clip(clip: Path, path: Path, seconds: float) -> None:
    """Write the first seconds of an MP4 into another one; raises UserError when ffmpeg fails."""
    _load_moviepy()
    from moviepy.video.io.ffmpeg_tools import ffmpeg_extract_subclip

    try:
        ffmpeg_extract_subclip(str(clip), 0, seconds, str(path), logger=None)
    except OSError as error:
        raise _failure(path, str(error)) from None


def _failure(path: Path, errors: str) -> UserError:
    """Return the error of a clip that could not be written.

    errors: what ffmpeg printed
    """
    lines = errors.strip().splitlines() or ["no reason is known"]
    return UserError(
        f"{path}: ffmpeg cannot write the clip: {lines[-1].strip()}; is the disk full? "
        f"free some space in {path.parent}, or name another -o; bcclone doctor checks ffmpeg"
    )
