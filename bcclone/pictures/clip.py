"""Make a clip: one run, or two side by side -> an MP4 or a GIF of chosen frames, by moviepy and
ffmpeg.
"""

import math
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from bcclone.camera.images import Image
from bcclone.pictures.clip_settings import GIF, ClipSettings
from bcclone.pictures.drawing import GROUND
from bcclone.pictures.overlay import make_overlay
from bcclone.pictures.reference_model import ReferenceDrive, ReferenceModel
from bcclone.pictures.run_data import FrameInfo, RunFrames, find_frames, read_run_data
from bcclone.system.atomic import replacing
from bcclone.system.errors import UserError
from bcclone.system.opencv import cv2, resized
from bcclone.system.output import CLIP, MADE_BY, writes
from bcclone.system.progress import ProgressBar
from bcclone.system.statistics import evenly

_SMOOTHING = (
    7,
    60.0,
    5.0,
)  # bilateral filter: pixels across, standard deviations of brightness and of distance
_ROUNDING = 1e-6  # tolerance for a float just below a whole number
_GAP_PIXELS = 4  # between two runs side by side

# faststart puts the index first, so that a web page can play the clip while it loads
_H264 = "libx264", "-crf", "21", "-movflags", "+faststart"
_PALETTE_PICTURES = 24
_PALETTE = "png", "-vf", "palettegen=max_colors=64"
# dithering would take more bytes than the colours are worth; pixels that did not change are left
# out
_USE_PALETTE = "paletteuse=dither=none:diff_mode=rectangle"

# what players skip, and writing() recognizes: a box of free space, a comment
_MP4_END = b"\0\0\0\x0ffree" + MADE_BY
_GIF_END = b"!\xfe\x07" + MADE_BY + b"\0;"

# numbers of pictures -> the pictures, None for one that is left out
DrawPictures = Callable[[Sequence[int]], Iterator[Image | None]]


@dataclass(frozen=True)
class Clip:
    """A finished clip.

    rate: frames a second; skipped: the frames left out, each with its reason; notes: which data is
    missing, and why.
    """

    path: Path
    frames: int
    rate: float
    skipped: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def seconds(self) -> float:
        return self.frames / self.rate

    def as_json(self) -> dict[str, Any]:
        seconds, skipped = round(self.seconds, 3), len(self.skipped)
        return {
            "output": str(self.path),
            "frames": self.frames,
            "skipped": skipped,
            "seconds": seconds,
        }

    def as_text(self) -> str:
        skipped = len(self.skipped)
        return f"{self.path}: {self.frames} frames, {self.seconds:.1f} s at {self.rate:g} a second, {skipped} skipped"


@writes(CLIP, "path")
def make_clip(settings: ClipSettings) -> Clip:
    """Write a clip as H.264 in an MP4, or as a GIF.

    Broken frames, and frames of another size than most, are skipped. Raises UserError if no frame
    can be shown or the encoder fails; the file at settings.path is then unchanged.
    """
    runs = [find_frames(folder) for folder in settings.runs]
    model = ReferenceModel.open(settings.model, settings.preprocess) if settings.model else None
    tracks = [ClipTrack(frames, settings, model) for frames in runs]
    indices = _choose_frames(settings, tracks)
    rate = settings.rate or min(max(tracks[0].data.frame_rate, 1.0), settings.fastest)

    def draw(numbers: Sequence[int]) -> Iterator[Image | None]:
        pictures = [
            track.pictures([of_track[number] for number in numbers])
            for track, of_track in zip(tracks, indices, strict=True)
        ]
        return (
            pictures[0] if len(tracks) == 1 else _side_by_side(tracks, zip(*pictures, strict=True))
        )

    with replacing(settings.path, follow=settings.output is not None) as temporary:
        count = encode(temporary, draw, len(indices[0]), rate)
        if not count:
            raise runs[0].nothing_to_show()
        with temporary.open("r+b") as file:
            file.seek(-1 if settings.is_gif else 0, os.SEEK_END)  # a GIF ends with one byte
            file.write(_GIF_END if settings.is_gif else _MP4_END)
    skipped = tuple(
        f"{name}: {reason}" for frames in runs for name, reason in frames.skipped.items()
    )
    notes = tuple(f"{track.frames.folder}: {note}" for track in tracks for note in track.data.notes)
    return Clip(settings.path, count, rate, skipped, notes)


class ClipTrack:
    """One run of a clip, and how its frames are drawn.

    model: its steering and saliency are drawn on the overlay. Raises UserError for a table that
    cannot be read, and for an unknown track.
    """

    def __init__(
        self, frames: RunFrames, settings: ClipSettings, model: ReferenceModel | None
    ) -> None:
        self.frames, self._settings, self._model = frames, settings, model
        self.data, self._overlay = read_run_data(frames, times_only=not settings.overlay), None
        if settings.overlay:
            name, width = frames.folder.resolve().name, settings.run_width or frames.size[0]
            self._overlay = make_overlay(name, width, self.data, frames.size, model is not None)

    def pictures(self, indices: Sequence[int]) -> Iterator[Image | None]:
        """Yield a picture, RGB uint8 (height, width, 3), for each of these indices, in ascending
        order.

        A repeated index is drawn once; the index after the last frame is the end of the run. In
        real time, a broken frame repeats the previous picture; otherwise it is None.
        """
        picture: Image | None = None
        reference = (
            ReferenceDrive(self._model, self.frames, self.data.seconds) if self._model else None
        )
        last: tuple[Image, FrameInfo] | None = None
        for index, repeats in groupby(indices):
            if index == len(self.data.frames):
                picture = (
                    self.blank()
                    if last is None
                    else self._draw(last[0], replace(last[1], ended=True))
                )
            elif (frame := self.frames.decode(index)) is not None:
                info = self.data.frames[index]
                if reference is not None:
                    steering, mask = reference.answer(index, frame)
                    info = replace(info, model_steering=steering, mask=mask)
                last, picture = (frame, info), self._draw(frame, info)
            elif not self._settings.in_real_time:
                picture = None
            for _ in repeats:
                yield picture

    def blank(self) -> Image:
        """Return the picture, RGB uint8 (height, width, 3), that stands for a missing frame."""
        width, height = self.frames.size
        return self._draw(np.zeros((height, width, 3), np.uint8), FrameInfo(0.0))

    def _draw(self, frame: Image, info: FrameInfo) -> Image:
        shown, width = frame, self._settings.run_width
        if self._settings.is_gif:  # noise would take most of its bytes
            shown = np.asarray(cv2.bilateralFilter(cv2.medianBlur(frame, 3), *_SMOOTHING), np.uint8)
        if self._overlay is not None:
            return self._overlay.draw(shown, info)
        if width is None:
            return shown
        height = round(frame.shape[0] * width / frame.shape[1])
        return resized(shown, (width, height), cv2.INTER_CUBIC)


def _choose_frames(settings: ClipSettings, tracks: Sequence[ClipTrack]) -> list[list[int]]:
    """Return for each run the index of the frame to show in each picture, that after the last one
    once the run is over.

    Raises UserError if there is no picture.
    """
    begin, end = settings.span
    seconds = [track.data.seconds for track in tracks]
    duration, rate = max(float(of_track[-1]) for of_track in seconds), settings.rate
    if not settings.in_real_time:
        indices = [np.flatnonzero((seconds[0] >= begin) & (seconds[0] < end))]
    else:
        if end > duration:  # the last frame of the run is shown, too
            count = math.floor((duration - begin) * rate + _ROUNDING) + 1
        else:
            count = math.ceil((end - begin) * rate - _ROUNDING)
        times = begin + np.arange(max(count, 0)) / rate
        indices = [
            np.searchsorted(of_track, times + _ROUNDING, side="right") - 1 for of_track in seconds
        ]
        if len(tracks) > 1:
            for of_track, shown in zip(seconds, indices, strict=True):
                shown[times > of_track[-1] + 1 / rate] = len(of_track)
    if not len(indices[0]):
        names = " and ".join(str(track.frames.folder) for track in tracks)
        raise UserError(
            f"{names}: no frame in the range {begin:g}:{end:g}, expected a range that overlaps 0 to {duration:.1f} s; "
            "choose another range"
        )
    return [shown.tolist() for shown in indices]


def _side_by_side(
    tracks: Sequence[ClipTrack], pairs: Iterator[tuple[Image | None, ...]]
) -> Iterator[Image]:
    """Join pictures of two runs, RGB uint8 (height, width, 3), with a gap; lower ones are filled up
    below.
    """
    blanks = [track.blank() for track in tracks]
    height = max(map(len, blanks))
    for pair in pairs:
        left, right = (
            blank if picture is None else picture
            for picture, blank in zip(pair, blanks, strict=True)
        )
        joined = np.full(
            (height, left.shape[1] + _GAP_PIXELS + right.shape[1], 3), GROUND, np.uint8
        )
        joined[: len(left), : left.shape[1]] = left
        joined[: len(right), -right.shape[1] :] = right
        yield joined


def encode(path: Path, draw: DrawPictures, total: int, rate: float) -> int:
    """Write a clip and return its number of pictures, 0 if there are none. Raises UserError when
    ffmpeg fails.

    draw: yields the pictures of some numbers below `total`, RGB uint8 (height, width, 3), all of
    one size; rate: pictures a second. For a GIF, some are drawn twice: first to choose its colours
    by pictures from the whole clip, since all of them would not fit into memory.
    """
    with tempfile.TemporaryDirectory() as folder:
        codec: Sequence[str] = _H264
        if path.suffix == GIF:
            palette = Path(folder) / "palette.png"
            some = evenly(total, _PALETTE_PICTURES).tolist()
            if not _write(palette, draw(some), rate, _PALETTE):
                return 0
            # the description of a filter graph has two levels of escapes
            name = re.sub(
                r"([\\'\[\],;])", r"\\\1", re.sub(r"([\\':])", r"\\\1", palette.as_posix())
            )
            codec = (
                "gif",
                "-vf",
                f"movie={name} [colors]; [in] [colors] {_USE_PALETTE}",
                "-loop",
                "0",
            )
        with ProgressBar("encoding", total, "frames") as progress:
            return _write(path, draw(range(total)), rate, codec, progress)


def _write(
    path: Path,
    pictures: Iterator[Image | None],
    rate: float,
    codec: Sequence[str],
    progress: ProgressBar | None = None,
) -> int:
    """Send the pictures to ffmpeg and return their number. codec: name of the encoder, and options
    of ffmpeg.
    """
    writer, count = None, 0
    try:
        for picture in pictures:
            if progress:
                progress.advance(1)
            if picture is None:
                continue
            height, width = (
                extent // 2 * 2 for extent in picture.shape[:2]
            )  # H.264 halves the colour planes
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
    # for libx264, moviepy asks for yuva420p, which libx264 does not have; ffmpeg then takes
    # yuv420p, which players know
    options = ["-hide_banner", *codec[1:]]
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        with _moviepy_configured(get_ffmpeg_exe()):
            from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter

        return FFMPEG_VideoWriter(
            str(path), size, rate, codec=codec[0], preset="veryfast", ffmpeg_params=options
        )
    except (OSError, RuntimeError) as error:  # RuntimeError: imageio-ffmpeg finds none
        reason = re.sub(r"^\[\w+ \d+\] ", "", str(error))  # without its number
        raise UserError(
            f"no working ffmpeg was found: {reason}; run bcclone doctor to see how to fix it"
        ) from None


@contextmanager
def _moviepy_configured(ffmpeg: str) -> Iterator[None]:
    """Import moviepy within the block without running its own configuration.

    That reads a file .env in the current folder or above, and runs the programs that it names.
    A program that has imported moviepy keeps its configuration, and so does one that will.
    """
    name = "moviepy.config"
    if name in sys.modules:
        yield
        return
    config: Any = ModuleType(name)
    config.FFMPEG_BINARY = ffmpeg
    config.FFPLAY_BINARY = "ffplay"
    sys.modules[name] = config
    try:
        yield
    finally:
        del sys.modules[name]


def _failure(path: Path, errors: str) -> UserError:
    reason = (errors.strip().splitlines() or ["no reason is known"])[-1].strip()
    return UserError(
        f"{path}: ffmpeg cannot write the clip: {reason}; is the disk full? free some space in {path.parent}, or name "
        "another -o; bcclone doctor checks ffmpeg"
    )
