"""Encode a clip: pictures -> an MP4 or a GIF, by moviepy and ffmpeg; cut an MP4.

new_clip() says where to write a clip, and puts it into its place when it is complete.

The pictures are RGB uint8 (height, width, 3), all of one size.
"""

import errno
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from bcclone.camera.images import Image
from bcclone.pictures.settings import GIF
from bcclone.system.errors import UserError, shown_command
from bcclone.system.files import MADE_BY, replacing

# each of these is the name of one of ffmpeg's encoders, and options for it.
# crf is the quality, smaller is better. faststart puts the index first, so that a web page can play
# the clip while it loads
H264 = "libx264", "-crf", "21", "-movflags", "+faststart"
# the fastest preset that makes files of this size at this quality. The next one, veryfast, takes
# two thirds longer for a file that is 1 % smaller (lab log, 2026-11-28)
_PRESET = "superfast"
# for pictures that are drawn while something else needs the processor: half of the work, for files
# that are a tenth larger, and a little less sharp (lab log, 2026-11-28). This preset comes
# later on the command line than the usual one, so it overrides that
H264_BESIDE = "libx264", "-preset", "ultrafast", "-crf", "24", "-movflags", "+faststart"
_NEARLY_LOSSLESS = "libx264rgb", "-preset", "ultrafast", "-crf", "4"
_PALETTE = "palettegen=max_colors=64"
# without dithering, whose patterns take many bytes; of each picture, only the rectangle that
# changed is stored
_IN_PALETTE = "paletteuse=dither=none:diff_mode=rectangle"


def encode(path: Path, pictures: Iterable[Image], rate: float) -> int:
    """Write a clip and return its number of pictures, 0 if there are none.

    A GIF is made of a film in a temporary folder, so that no more pictures are in memory than for
    an MP4. Raises UserError when ffmpeg fails.

    path: ends in .mp4 or .gif
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


# marks at the end of a clip, by which @writes of system.files recognises a file of ours and may
# replace it; players skip them: an MP4's box of free space, and a GIF's comment
_MP4_END = b"\0\0\0\x0ffree" + MADE_BY
_GIF_END = b"!\xfe\x07" + MADE_BY + b"\0;"


@contextmanager
def new_clip(path: Path, follow: bool = False) -> Iterator[Path]:
    """Yield where to write a clip; it replaces an older file only when the block has ended well.

    follow: whether a link at the path is followed
    """
    with replacing(path, follow=follow) as temporary:
        try:
            yield temporary
        except UserError as error:
            shown = str(error).replace(str(temporary), str(path))
            raise UserError(shown, error.exit_code) from None
        with temporary.open("r+b") as file:
            if path.suffix == GIF:
                file.seek(-1, os.SEEK_END)  # _GIF_END repeats the last byte, which ends a GIF
                file.write(_GIF_END)
            else:
                file.seek(0, os.SEEK_END)
                file.write(_MP4_END)


def write_begin(clip: Path, path: Path, seconds: float) -> None:
    """Write the first seconds of an MP4 as a clip of its own, without encoding it anew."""
    with new_clip(path) as temporary:
        _run_ffmpeg(path, "-i", clip, "-t", seconds, "-c", "copy", temporary)


def _write(path: Path, pictures: Iterable[Image], rate: float, codec: Sequence[str]) -> int:
    with ClipWriter(path, rate, codec) as writer:
        for picture in pictures:
            writer.write(picture)
        return writer.count


def _run_ffmpeg(path: Path, *arguments: object) -> None:
    """Run ffmpeg; raises UserError when it fails. path: the clip, for the error"""
    line = [_find_ffmpeg(), "-y", "-loglevel", "error", *map(str, arguments)]
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
        self._writer: Any = None  # moviepy's; opened at the first picture, whose size it needs

    def __enter__(self) -> Self:
        return self

    def write(self, picture: Image) -> None:
        """Send a picture, RGB uint8 (height, width, 3); raises UserError when ffmpeg fails."""
        # H.264 has a colour for each 2 x 2 pixels, so an odd last row or column is cut
        height = picture.shape[0] // 2 * 2
        width = picture.shape[1] // 2 * 2
        if self._writer is None:
            self._writer = self._open((width, height))
        try:
            self._writer.write_frame(picture[:height, :width])
        except OSError as error:  # ffmpeg has ended; the error contains what it printed
            raise _failure(self._path, str(error)) from None
        self.count += 1

    def _open(self, size: tuple[int, int]) -> Any:
        """Return moviepy's writer; raises UserError if there is no working ffmpeg."""
        # for libx264, moviepy asks for yuva420p, which libx264 does not have; ffmpeg then takes
        # yuv420p, which players know
        encoder, *options = self._codec
        options.insert(0, "-hide_banner")
        try:
            return _moviepy_writer()(
                str(self._path),
                size,
                self._rate,
                codec=encoder,
                preset=_PRESET,
                ffmpeg_params=options,
            )
        except OSError as error:
            if error.errno in _ERRORS_OF_LIMITS:
                raise
            raise _no_ffmpeg(error) from None

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


def _find_ffmpeg() -> str:
    from imageio_ffmpeg import get_ffmpeg_exe

    try:
        return str(get_ffmpeg_exe())
    except (OSError, RuntimeError) as error:
        # if no process can start at all, ffmpeg is not missing, and this error says so
        subprocess.run([sys.executable, "-c", ""], check=False)
        raise _no_ffmpeg(error) from None


@cache
def _moviepy_writer() -> Any:
    """Return moviepy's class of writers.

    It runs the ffmpeg of imageio-ffmpeg: moviepy's own configuration would read a file .env in the
    current folder or above, and run the programs that the file names. The modules of moviepy
    that are loaded with our configuration are removed from sys.modules again, so that the calling
    program does not get them. If that program has loaded moviepy before, its modules are used.
    """
    before = set(sys.modules)
    if "moviepy.config" not in before:
        config: Any = ModuleType("moviepy.config")
        config.FFMPEG_BINARY = _find_ffmpeg()
        config.FFPLAY_BINARY = "ffplay"
        sys.modules["moviepy.config"] = config
    from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter

    if "moviepy.config" not in before:
        for name in set(sys.modules) - before:
            if name.partition(".")[0] == "moviepy":
                del sys.modules[name]
    return FFMPEG_VideoWriter


def _no_ffmpeg(error: Exception) -> UserError:
    reason = re.sub(r"^\[\w+ \d+\] ", "", str(error))  # without "[Errno 2] "
    return UserError(
        f"no working ffmpeg was found: {reason}; see how to fix it: {shown_command('doctor')}"
    )


# what ffmpeg prints of a full disk, and where it gets no memory, process or thread
_OF_DISKS = re.compile("No space left|File too large|quota exceeded")
_OF_LIMITS = re.compile("pthread_create|Resource temporarily unavailable|Cannot allocate memory")
_ERRORS_OF_LIMITS = (errno.EAGAIN, errno.ENOMEM)


def _failure(path: Path, errors: str) -> UserError:
    """Return the error of a clip that could not be written.

    errors: what ffmpeg printed, perhaps with words of moviepy
    """
    of_ffmpeg = errors.rpartition("while writing file")[2] if "MoviePy" in errors else errors
    # the first line is the cause, without the module of ffmpeg: "[libx264 @ 0x55e5] "
    lines = [re.sub(r"\[[^\]]* @ \w+\] *", "", line).strip() for line in of_ffmpeg.splitlines()]
    if "MoviePy" in errors:
        del lines[:1]  # the end of moviepy's own line
    reason = next(filter(None, lines), "it ended without a word")
    remedies = []
    if not _OF_LIMITS.search(errors):
        remedies.append(f"free some space in {path.parent}, or name another -o")
    if not _OF_DISKS.search(errors):
        remedies.append(
            "close other programs, or raise the limits of this process (ulimit -v, ulimit -u) or "
            "of its container"
        )
    return UserError(
        f"{path}: ffmpeg cannot write the clip: {reason.rstrip('.')}; {'; or '.join(remedies)}; to "
        f"check ffmpeg: {shown_command('doctor')}"
    )
