"""Make a clip: one run, or two side by side -> an MP4 or a GIF, by moviepy and ffmpeg."""

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
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.system.atomic import replacing
from bcclone.system.errors import UserError
from bcclone.system.opencv import cv2, resized
from bcclone.system.output import CLIP, MADE_BY, writes
from bcclone.system.progress import ProgressBar
from bcclone.system.statistics import evenly

# the numbers of some pictures of a clip, from 0 -> these pictures; None for one that is left out
DrawPictures = Callable[[Sequence[int]], Iterator[Image | None]]


@dataclass(frozen=True)
class Clip:
    """A clip that was written, and what it lacks."""

    path: Path
    frames: int  # pictures in the clip
    rate: float  # pictures a second
    skipped: tuple[str, ...]  # "name: reason" for each frame of the runs that is not shown
    notes: tuple[str, ...]  # which data is missing, and why

    @property
    def seconds(self) -> float:
        return self.frames / self.rate

    def as_json(self) -> dict[str, Any]:
        return {
            "output": str(self.path),
            "frames": self.frames,
            "skipped": len(self.skipped),
            "seconds": round(self.seconds, 3),
        }

    def as_text(self) -> str:
        return (
            f"{self.path}: {self.frames} frames, {self.seconds:.1f} s at {self.rate:g} a second, "
            f"{len(self.skipped)} skipped"
        )


# marks at the end of a clip, by which @writes knows a file of ours and may replace it; players skip
# them: an MP4's box of free space, and a GIF's comment
_MP4_END = b"\0\0\0\x0ffree" + MADE_BY
_GIF_END = b"!\xfe\x07" + MADE_BY + b"\0;"


@writes(CLIP, "path")
def make_clip(settings: ClipSettings) -> Clip:
    """Write a clip as H.264 in an MP4, or as a GIF.

    Broken frames are skipped, and frames whose size most frames do not have. Raises UserError if no
    frame can be shown or the encoder fails; the file at settings.path is then unchanged.
    """
    # read all runs first: a mistake in one is found before the encoder starts
    runs = [find_frames(folder) for folder in settings.runs]
    model = None
    if settings.model:
        model = ReferenceModel.open(settings.model, settings.preprocess)
    tracks = [ClipTrack(frames, settings, model) for frames in runs]
    indices = _choose_frames(settings, tracks)
    rate = settings.rate or min(max(tracks[0].data.frame_rate, 1.0), settings.fastest)

    def draw(numbers: Sequence[int]) -> Iterator[Image | None]:
        pictures = [
            track.pictures([track_indices[number] for number in numbers])
            for track, track_indices in zip(tracks, indices, strict=True)
        ]
        if len(tracks) == 1:
            return pictures[0]
        return _side_by_side(tracks, zip(*pictures, strict=True))

    # the clip replaces an older file only when it is complete
    with replacing(settings.path, follow=settings.output is not None) as temporary:
        count = encode(temporary, draw, len(indices[0]), rate)
        if not count:
            raise runs[0].nothing_to_show()
        with temporary.open("r+b") as file:
            if settings.is_gif:
                file.seek(-1, os.SEEK_END)  # _GIF_END repeats the last byte, which ends a GIF
                file.write(_GIF_END)
            else:
                file.seek(0, os.SEEK_END)
                file.write(_MP4_END)

    skipped = []
    for frames in runs:
        skipped += [f"{name}: {reason}" for name, reason in frames.skipped.items()]
    notes = []
    for track in tracks:
        notes += [f"{track.frames.folder}: {note}" for note in track.data.notes]
    return Clip(settings.path, count, rate, tuple(skipped), tuple(notes))


# the frames of a GIF are smoothed by a bilateral filter, which keeps edges
_SMOOTHED_ACROSS = 7  # diameter of a pixel's neighbourhood, in pixels
_BRIGHTNESS_DEVIATION = 60.0  # standard deviation, of 255
_DISTANCE_DEVIATION = 5.0  # standard deviation, in pixels


class ClipTrack:
    """One run of a clip, and how its frames are drawn.

    Raises UserError for a table that cannot be read, and for an unknown track.

    model: a model whose steering and saliency are drawn on the overlay, None for none
    """

    def __init__(
        self, frames: RunFrames, settings: ClipSettings, model: ReferenceModel | None
    ) -> None:
        self.frames = frames
        self._settings = settings
        self._model = model
        self.data = read_run_data(frames, times_only=not settings.overlay)
        self._overlay = None
        if settings.overlay:
            name = frames.folder.resolve().name
            width = settings.run_width or frames.size[0]
            self._overlay = make_overlay(name, width, self.data, frames.size, model is not None)

    def pictures(self, indices: Sequence[int]) -> Iterator[Image | None]:
        """Yield a picture, RGB uint8 (height, width, 3), for each index.

        The picture of a repeated index is drawn once. The index after the last frame stands for the
        end of the run. In place of a broken frame comes the previous picture in real time, and
        otherwise None.

        indices: numbers of the run's frames, ascending
        """
        reference = None
        if self._model:
            reference = ReferenceDrive(self._model, self.frames, self.data.seconds)
        picture: Image | None = None
        last: tuple[Image, FrameInfo] | None = None
        for index, repeats in groupby(indices):
            if index == len(self.data.frames):
                picture = self._end_of(last)
            elif (frame := self.frames.decode(index)) is not None:
                info = self.data.frames[index]
                if reference is not None:
                    steering, mask = reference.answer(index, frame)
                    info = replace(info, model_steering=steering, mask=mask)
                last = (frame, info)
                picture = self._draw(frame, info)
            elif not self._settings.in_real_time:
                picture = None
            for _ in repeats:
                yield picture

    def _end_of(self, last: tuple[Image, FrameInfo] | None) -> Image:
        """Return the picture that stands for the end of the run: its last frame, dimmed."""
        if last is None:
            return self.blank()
        frame, info = last
        return self._draw(frame, replace(info, ended=True))

    def blank(self) -> Image:
        """Return the picture, RGB uint8 (height, width, 3), that stands for a missing frame."""
        width, height = self.frames.size
        return self._draw(np.zeros((height, width, 3), np.uint8), FrameInfo(0.0))

    def _draw(self, frame: Image, info: FrameInfo) -> Image:
        shown = frame
        if self._settings.is_gif:  # noise would take most of the bytes of a GIF
            smoothed = cv2.bilateralFilter(
                cv2.medianBlur(frame, 3),
                _SMOOTHED_ACROSS,
                _BRIGHTNESS_DEVIATION,
                _DISTANCE_DEVIATION,
            )
            shown = np.asarray(smoothed, np.uint8)
        if self._overlay is not None:
            return self._overlay.draw(shown, info)
        width = self._settings.run_width
        if width is None:
            return shown
        height = round(frame.shape[0] * width / frame.shape[1])
        return resized(shown, (width, height), cv2.INTER_CUBIC)


def _choose_frames(settings: ClipSettings, tracks: Sequence[ClipTrack]) -> list[list[int]]:
    """Return for each run the index of the frame to show in each picture.

    For the pictures after a run is over, it is the index after its last frame. Raises UserError if
    there is no picture to show.
    """
    begin, end = settings.span
    seconds = [track.data.seconds for track in tracks]
    duration = max(float(track_seconds[-1]) for track_seconds in seconds)
    if settings.in_real_time:
        indices = _frames_in_real_time(settings, seconds, duration)
    else:
        indices = [np.flatnonzero((seconds[0] >= begin) & (seconds[0] < end))]
    if not len(indices[0]):
        names = " and ".join(str(track.frames.folder) for track in tracks)
        raise UserError(
            f"{names}: no frame in the range {begin:g}:{end:g}, "
            f"expected a range that overlaps 0 to {duration:.1f} s; choose another range"
        )
    return [shown.tolist() for shown in indices]


_ROUNDING = 1e-6  # so that a product such as 0.3 * 10 that is just below or above 3 counts as 3


def _frames_in_real_time(
    settings: ClipSettings, seconds: Sequence[FloatArray], duration: float
) -> list[IndexArray]:
    """Return for each run the frame that is the newest at the time of each picture.

    seconds: for each run the times of its frames since the first one
    duration: seconds of the longest run
    """
    begin, end = settings.span
    rate = settings.rate
    if end > duration:  # the last frame of the run is shown, too
        count = math.floor((duration - begin) * rate + _ROUNDING) + 1
    else:
        count = math.ceil((end - begin) * rate - _ROUNDING)
    times = begin + np.arange(max(count, 0)) / rate
    indices = [
        np.searchsorted(track_seconds, times + _ROUNDING, side="right") - 1
        for track_seconds in seconds
    ]
    # the shorter of two runs is over before the other one
    if len(seconds) > 1:
        for track_seconds, shown in zip(seconds, indices, strict=True):
            shown[times > track_seconds[-1] + 1 / rate] = len(track_seconds)
    return indices


_GAP_PIXELS = 4  # between two runs side by side


def _side_by_side(
    tracks: Sequence[ClipTrack], pairs: Iterator[tuple[Image | None, ...]]
) -> Iterator[Image]:
    """Join pictures of two runs, RGB uint8 (height, width, 3), with a gap between them.

    If one picture is less high, the ground colour fills the space below it.
    """
    left_blank, right_blank = (track.blank() for track in tracks)
    height = max(len(left_blank), len(right_blank))
    for left, right in pairs:
        left_picture = left_blank if left is None else left
        right_picture = right_blank if right is None else right
        left_width = left_picture.shape[1]
        right_width = right_picture.shape[1]
        joined = np.full((height, left_width + _GAP_PIXELS + right_width, 3), GROUND, np.uint8)
        joined[: len(left_picture), :left_width] = left_picture
        joined[: len(right_picture), -right_width:] = right_picture
        yield joined


# name of ffmpeg's encoder, and options; crf is the quality, smaller is better. faststart puts the
# index first, so that a web page can play the clip while it loads
_H264 = "libx264", "-crf", "21", "-movflags", "+faststart"
_PALETTE = "png", "-vf", "palettegen=max_colors=64"
# without dithering, whose patterns take many bytes; of each picture, only the rectangle that
# changed is stored
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
    """Send the pictures to ffmpeg and return their number.

    codec: name of the encoder, and options of ffmpeg
    """
    writer = None
    count = 0
    try:
        for picture in pictures:
            if progress:
                progress.advance(1)
            if picture is None:
                continue
            # H.264 has a colour for each 2 x 2 pixels, so an odd last row or column is cut
            height = picture.shape[0] // 2 * 2
            width = picture.shape[1] // 2 * 2
            writer = writer or _open_writer(path, (width, height), rate, codec)
            try:
                writer.write_frame(picture[:height, :width])
            except OSError as error:  # ffmpeg has ended; the error contains what it printed
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
    """Return moviepy's writer; raises UserError if there is no working ffmpeg."""
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
    except (OSError, RuntimeError) as error:  # imageio-ffmpeg raises a RuntimeError
        reason = re.sub(r"^\[\w+ \d+\] ", "", str(error))  # without "[Errno 2] "
        raise UserError(
            f"no working ffmpeg was found: {reason}; run bcclone doctor to see how to fix it"
        ) from None


@contextmanager
def _moviepy_configured(ffmpeg: str) -> Iterator[None]:
    """Import moviepy within the block without running its own configuration.

    That configuration would read a file .env in the current folder or above, and run the programs
    that the file names. A program that imported moviepy before keeps its configuration; a program
    that imports moviepy.config later gets the usual one.
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
    lines = errors.strip().splitlines() or ["no reason is known"]
    return UserError(
        f"{path}: ffmpeg cannot write the clip: {lines[-1].strip()}; is the disk full? "
        f"free some space in {path.parent}, or name another -o; bcclone doctor checks ffmpeg"
    )
