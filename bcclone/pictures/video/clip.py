"""Make a clip: one run, or two side by side -> an MP4 or a GIF of chosen frames."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.dataset.images import Image
from bcclone.pictures.video.clip_settings import ClipSettings
from bcclone.pictures.video.encode import encode
from bcclone.pictures.video.overlay import Overlay, make_overlay, side_by_side
from bcclone.pictures.video.reference_model import ReferenceDrive, ReferenceModel, open_reference_model
from bcclone.pictures.video.run_data import FrameInfo, RunData, read_run_data, read_times
from bcclone.pictures.video.run_frames import (
    FrameDecoder,
    RunFrames,
    clip_times,
    find_frames,
    frames_at,
    frames_within,
    nothing_to_show,
)
from bcclone.system import atomic
from bcclone.system.errors import UserError
from bcclone.system.opencv import cv2

_SMOOTHING = (7, 60.0, 5.0)  # bilateral filter: pixels across, standard deviations of brightness and of distance


@dataclass(frozen=True)
class Clip:
    """A finished clip. skipped: the frames left out, each with its reason; notes: which data is missing, and why."""

    path: Path
    frames: int
    seconds: float
    skipped: tuple[str, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        seconds, skipped = round(self.seconds, 3), len(self.skipped)
        return {"output": str(self.path), "frames": self.frames, "skipped": skipped, "seconds": seconds}


def make_clip(settings: ClipSettings) -> Clip:
    """Write a clip as H.264 in an MP4, or as a GIF.

    Broken frames, and frames of another size than most, are skipped. Raises UserError if no frame can be shown or the
    encoder fails; the file at settings.path is then unchanged.
    """
    atomic.check_output(settings.path, force=True, remedy="")
    runs = [find_frames(folder) for folder in settings.runs]
    model = open_reference_model(settings.model, settings.preprocess) if settings.model else None
    tracks = [_open_track(frames, settings, model) for frames in runs]
    indices = _choose_frames(settings, tracks)
    total = len(indices[0])
    if not total:
        raise _nothing_in_range(settings, tracks)

    def draw(numbers: Sequence[int]) -> Iterator[Image | None]:
        return _draw(tracks, [[of_track[number] for number in numbers] for of_track in indices], settings.in_real_time)

    with atomic.replacing(settings.path, follow=True) as temporary:
        count = encode(temporary, draw, total, settings)
        if not count:
            raise nothing_to_show(runs[0], tracks[0].decoder.skipped)
    skipped = tuple(f"{name}: {reason}" for track in tracks for name, reason in track.decoder.skipped.items())
    notes = tuple(f"{track.frames.folder}: {note}" for track in tracks for note in track.data.notes)
    return Clip(settings.path, count, count / settings.rate, skipped, notes)


@dataclass(frozen=True)
class ClipTrack:
    """One run of a clip, and how its frames are drawn.

    width: in pixels, None for the frames' own; smooth: remove noise, which would take most of a GIF's bytes;
    overlay: None to draw the frames alone; model: its steering and saliency are drawn on the overlay.
    """

    decoder: FrameDecoder
    data: RunData
    width: int | None = None
    smooth: bool = False
    overlay: Overlay | None = None
    model: ReferenceModel | None = None

    @property
    def frames(self) -> RunFrames:
        """Return the frames of the run."""
        return self.decoder.frames

    @property
    def end(self) -> int:
        """Return the index after the last frame, which stands for the end of the run."""
        return len(self.frames.names)

    def pictures(self, indices: Sequence[int], hold: bool) -> Iterator[Image | None]:
        """Yield a picture, RGB uint8 (height, width, 3), for each of these indices, in ascending order.

        A repeated index is drawn once. hold: repeat the previous picture for a broken frame, instead of None.
        """
        picture: Image | None = None
        reference = ReferenceDrive(self.model, self.decoder, self.data.seconds) if self.model else None
        last: tuple[Image, FrameInfo] | None = None
        for index, repeats in groupby(indices):
            if index == self.end:
                picture = self._draw_ended(last)
            elif (frame := self.decoder.decode(index)) is not None:
                last = frame, self._info(index, frame, reference)
                picture = self._draw(*last)
            elif not hold:
                picture = None
            for _ in repeats:
                yield picture

    def blank(self) -> Image:
        """Return the picture, RGB uint8 (height, width, 3), that stands for a missing frame."""
        width, height = self.frames.size
        return self._draw(np.zeros((height, width, 3), np.uint8), FrameInfo(0.0))

    def _info(self, index: int, frame: Image, reference: ReferenceDrive | None) -> FrameInfo:
        info = self.data.at(index)
        if reference is None:
            return info
        steering, mask = reference.answer(index, frame)
        return replace(info, model_steering=steering, mask=mask)

    def _draw_ended(self, last: tuple[Image, FrameInfo] | None) -> Image:
        return self.blank() if last is None else self._draw(last[0], replace(last[1], ended=True))

    def _draw(self, frame: Image, info: FrameInfo) -> Image:
        shown = _smoothed(frame) if self.smooth else frame
        if self.overlay is not None:
            return self.overlay.draw(shown, info)
        if self.width is None:
            return shown
        height = round(frame.shape[0] * self.width / frame.shape[1])
        return np.asarray(cv2.resize(shown, (self.width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _smoothed(frame: Image) -> Image:
    return np.asarray(cv2.bilateralFilter(cv2.medianBlur(frame, 3), *_SMOOTHING), np.uint8)


def _open_track(frames: RunFrames, settings: ClipSettings, model: ReferenceModel | None) -> ClipTrack:
    decoder = FrameDecoder(frames)
    if not settings.overlay:
        return ClipTrack(decoder, read_times(frames), settings.run_width, settings.is_gif)
    data = read_run_data(frames)
    width = settings.run_width or frames.size[0]
    overlay = make_overlay(frames.folder.resolve().name, width, data, frames.size, model is not None)
    return ClipTrack(decoder, data, width, settings.is_gif, overlay, model)


def _choose_frames(settings: ClipSettings, tracks: Sequence[ClipTrack]) -> list[list[int]]:
    """Return for each run the index of the frame to show in each picture; ClipTrack.end once the run is over."""
    if not settings.in_real_time:
        return [frames_within(tracks[0].data.seconds, settings.span).tolist()]
    times = clip_times(_duration(tracks), settings.span, settings.rate)
    indices = []
    for track in tracks:
        of_track = frames_at(track.data.seconds, times)
        if len(tracks) > 1:
            of_track[times > track.data.seconds[-1] + 1 / settings.rate] = track.end
        indices.append(of_track.tolist())
    return indices


def _duration(tracks: Sequence[ClipTrack]) -> float:
    """Return the seconds of driving of the longest run."""
    return max(float(track.data.seconds[-1]) for track in tracks)


def _draw(tracks: Sequence[ClipTrack], indices: Sequence[Sequence[int]], hold: bool) -> Iterator[Image | None]:
    pictures = [track.pictures(of_track, hold) for track, of_track in zip(tracks, indices, strict=True)]
    if len(tracks) == 1:
        yield from pictures[0]
        return
    blanks = [track.blank() for track in tracks]
    for pair in zip(*pictures, strict=True):
        left, right = (blank if picture is None else picture for picture, blank in zip(pair, blanks, strict=True))
        yield side_by_side(left, right)


def _nothing_in_range(settings: ClipSettings, tracks: Sequence[ClipTrack]) -> UserError:
    begin, end = settings.span
    names = " and ".join(str(track.frames.folder) for track in tracks)
    return UserError(
        f"{names}: no frame in the range {begin:g}:{end:g}, "
        f"expected a range that overlaps 0 to {_duration(tracks):.1f} s; choose another range"
    )
