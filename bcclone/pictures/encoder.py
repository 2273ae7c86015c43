"""Encode a clip: pictures -> an MP4 or a GIF, by the ffmpeg of imageio-ffmpeg; cut an MP4.

The pictures are RGB uint8 (height, width, 3), all of one size.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from bcclone.camera.images import Image
from bcclone.pictures.clip_settings import GIF
from bcclone.system.errors import UserError

# each of these is the name of one of ffmpeg's encoders, and options for it.
# crf is the quality, smaller is better. faststart puts the index first, so that a web page can play
# the clip while it loads
H264 = "libx264", "-crf", "21", "-movflags", "+faststart"
# the fastest of the presets that make files of this size at this quality: veryfast, the next, takes
# two thirds longer for a file that is 1 % smaller (lab log, 2026-11-28)
_PRESET = "superfast"
# for pictures that are drawn while something else needs the processor: half of the work, for files
# that are a tenth larger, and a little less sharp (lab log, 2026-11-28). This preset is named after
# the usual one, and so takes its place
H264_BESIDE = "libx264", "-preset", "ultrafast", "-crf", "24", "-movflags", "+faststart"
_QUIETLY = ("-y", "-loglevel", "error")
_NEARLY_LOSSLESS = "libx264rgb", "-preset", "ultrafast", "-crf", "4"
_PALETTE = "palettegen=max_colors=64"
# without dithering, whose patterns take many bytes; of each picture, only the rectangle that
# changed is stored
_IN_PALETTE = "paletteuse=dither=none:diff_mode=rectangle"


def encode(path: Path, pictures: Iterable[Image | None], rate: float) -> int:
    """Write a clip and return its number of pictures, 0 if there are none.

    A GIF is made of a film in a temporary folder, so that no more pictures are in memory than for
    an MP4. Raises UserError when ffmpeg fails.

    path: ends in .mp4 or .gif
    pictures: None for one that is left out
    rate: pictures a second
    """
    if path.suffix != GIF:
        return _write(path, pictures, rate, H264)
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder, "film.mp4")
        palette = Path(folder, "palette.png")
        count = _write(film, pictures, rate, _NEARLY_LOSSLESS)
        if count:
            _run_ffmpeg(path, "-i", film, "-vf", _PALETTE, palette)
            _run_ffmpeg(path, "-i", film, "-i", palette, "-lavfi", _IN_PALETTE, "-loop", "0", path)
    return count


def cut(clip: Path, path: Path, seconds: float) -> None:
    """Write the first seconds of an MP4 into another one; raises UserError when ffmpeg fails."""
    until = f"{seconds:.2f}"
    _run_ffmpeg(path, "-i", clip.absolute(), "-t", until, "-c", "copy", path.absolute())


def _write(path: Path, pictures: Iterable[Image | None], rate: float, codec: Sequence[str]) -> int:
    with ClipWriter(path, rate, codec) as writer:
        for picture in pictures:
            if picture is not None:
                writer.write(picture)
        return writer.count


def _run_ffmpeg(path: Path, *arguments: object) -> None:
    """Run ffmpeg; raises UserError when it fails. path: the clip, for the error"""
    line = [_find_ffmpeg(), *_QUIETLY, *map(str, arguments)]
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        raise _failure(path, done.stderr.decode(errors="replace"))


class ClipWriter:
    """Sends pictures to ffmpeg, which has written the clip when the `with` block ends.

    count: number of the pictures so far; without any, no clip is written

    path: the clip
    rate: pictures a second
    codec: name of the encoder, and options of ffmpeg
    """

    def __init__(self, path: Path, rate: float, codec: Sequence[str] = H264) -> None:
        self.count = 0
        self._path = path
        self._rate = rate
        self._codec = codec
        self._ffmpeg: subprocess.Popen[bytes] | None = None  # from the first picture on

    def __enter__(self) -> Self:
        return self

    def write(self, picture: Image) -> None:
        """Send a picture, RGB uint8 (height, width, 3); raises UserError when ffmpeg fails."""
        # H.264 has a colour for each 2 x 2 pixels, so an odd last row or column is cut
        height = picture.shape[0] // 2 * 2
        width = picture.shape[1] // 2 * 2
        if self._ffmpeg is None:  # the first picture says the size
            self._ffmpeg = self._start(width, height)
        assert self._ffmpeg.stdin is not None
        try:
            self._ffmpeg.stdin.write(picture[:height, :width].tobytes())
        except OSError as error:  # ffmpeg has ended
            self._finish()
            raise _failure(self._path, str(error)) from None
        self.count += 1

    def _start(self, width: int, height: int) -> "subprocess.Popen[bytes]":
        """Return ffmpeg, which waits for pictures; raises UserError if there is none that works."""
        encoder, *options = self._codec
        # players know yuv420p
        pixels = ("-pix_fmt", "yuv420p") if encoder == "libx264" else ()
        pictures = ("-f", "rawvideo", "-s", f"{width}x{height}", "-pix_fmt", "rgb24")
        rate = ("-r", f"{self._rate:.2f}", "-i", "-")
        encoding = ("-vcodec", encoder, "-preset", _PRESET, *options, *pixels)
        # ffmpeg takes a relative name such as -x.mp4 for an option
        path = str(self._path.absolute())
        line = [_find_ffmpeg(), *_QUIETLY, *pictures, *rate, *encoding, path]
        try:
            return subprocess.Popen(
                line, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
        except OSError as error:
            raise _no_ffmpeg(error) from None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._ffmpeg is None:
            return
        try:
            if kind is None:
                self._finish()
        finally:
            self._ffmpeg.kill()  # harmless if it has ended
            self._ffmpeg.communicate()

    def _finish(self) -> None:
        """Wait until ffmpeg has ended; raises UserError if it failed."""
        assert self._ffmpeg is not None
        _, errors = self._ffmpeg.communicate()
        if self._ffmpeg.returncode:
            raise _failure(self._path, errors.decode(errors="replace"))


def _find_ffmpeg() -> str:
    from imageio_ffmpeg import get_ffmpeg_exe

    try:
        return str(get_ffmpeg_exe())
    except (OSError, RuntimeError) as error:
        raise _no_ffmpeg(error) from None


def _no_ffmpeg(error: Exception) -> UserError:
    reason = re.sub(r"^\[\w+ \d+\] ", "", str(error))  # without "[Errno 2] "
    return UserError(
        f"no working ffmpeg was found: {reason}; run bcclone doctor to see how to fix it"
    )


def _failure(path: Path, errors: str) -> UserError:
    """Return the error of a clip that could not be written.

    errors: what ffmpeg printed
    """
    lines = errors.strip().splitlines() or ["no reason is known"]
    return UserError(
        f"{path}: ffmpeg cannot write the clip: {lines[-1].strip()}; is the disk full? "
        f"free some space in {path.parent}, or name another -o; bcclone doctor checks ffmpeg"
    )
