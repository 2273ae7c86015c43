"""Settings -> a clip: which frames, drawn how, side by side or alone, into a file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from bcclone import atomic
from bcclone.errors import UserError
from bcclone.images import BadImage, Image
from bcclone.video.encode import encode
from bcclone.video.frames import Frames, at_ticks, each_once, find_frames, ticks
from bcclone.video.overlay import Overlay, beside, make_overlay, moment_of
from bcclone.video.run_data import Facts, Mask, Moment, read_facts, time_frames
from bcclone.video.settings import ClipSettings

_SMOOTHING = (7, 60.0, 5.0)  # pixels across, and how far in brightness and in pixels neighbours count
_GAP_SECONDS = 1.0  # a longer one ends an episode: the next frame does not follow on the last one


class Onlooker(Protocol):
    """A model that is asked what it would do.

    seq_length: how many consecutive frames decide one answer; of a recurrent network all frames of a drive do.
    """

    seq_length: int

    def steer(self, frame: Image) -> float:
        """Return the steering, -1 to 1, for the next frame of a drive, RGB uint8 (height, width, 3)."""

    def mask(self, frame: Image) -> Mask:
        """Return which pixels of a frame, RGB uint8 (height, width, 3), decided: float32 (height, width), 0 to 1."""

    def forget(self) -> None:
        """Begin anew: the next frame does not follow on the last one."""


@dataclass(frozen=True)
class Look:
    """How frames are shown. width: in pixels, None for their own; smooth: without the speckle that a GIF would spend
    most of its bytes on; overlay: None shows the frames alone."""

    width: int | None = None
    smooth: bool = False
    overlay: Overlay | None = None

    def draw(self, frame: Image, moment: Moment) -> Image:
        """Return the picture of a frame, RGB uint8 (height, width, 3)."""
        shown = _smoothed(frame) if self.smooth else frame
        if self.overlay is not None:
            return self.overlay.draw(shown, moment)
        if self.width is None:
            return shown
        height = round(frame.shape[0] * self.width / frame.shape[1])
        return np.asarray(cv2.resize(shown, (self.width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


@dataclass(frozen=True)
class Lane:
    """A run as it is shown. onlooker: the model whose opinion is drawn."""

    frames: Frames
    facts: Facts
    look: Look
    onlooker: Onlooker | None = None

    @property
    def end(self) -> int:
        """Return the place behind the last frame: there the run is over, and the last frame stays."""
        return len(self.frames.names)

    def pictures(self, places: Sequence[int], hold: bool) -> Iterator[Image | None]:
        """Yield the picture, RGB uint8 (height, width, 3), of each of these frames, which do not go back.

        One that is repeated is drawn once. hold: the one before stands for a frame that is broken, else None does.
        """
        picture: Image | None = None
        watch = _Watch(self.frames, self.facts, self.onlooker)
        last: tuple[Image, Moment] | None = None
        for place, repeats in groupby(places):
            if place == self.end:
                picture = self._draw_ended(last)
            elif (frame := self.frames.decode(place)) is not None:
                last = frame, watch.moment(place, frame)
                picture = self.look.draw(*last)
            elif not hold:
                picture = None
            for _ in repeats:
                yield picture

    def blank(self) -> Image:
        """Return the picture, RGB uint8 (height, width, 3), of a frame that is not there."""
        width, height = self.frames.size
        return self.look.draw(np.zeros((height, width, 3), np.uint8), Moment(0.0))

    def _draw_ended(self, last: tuple[Image, Moment] | None) -> Image:
        if last is None:
            return self.blank()
        return self.look.draw(last[0], replace(last[1], ended=True))


class _Watch:
    """What is known of one frame after the other, with what the onlooker says, which may look back at some."""

    def __init__(self, frames: Frames, facts: Facts, onlooker: Onlooker | None) -> None:
        self._frames, self._facts, self._onlooker = frames, facts, onlooker
        self._seen: int | None = None

    def moment(self, place: int, frame: Image) -> Moment:
        """Return what is known of a frame."""
        moment = moment_of(self._facts, place)
        if self._onlooker is None:
            return moment
        try:
            self._catch_up(place)
            steering, mask = self._onlooker.steer(frame), self._onlooker.mask(frame)
        except BadImage as error:
            raise UserError(
                f"{self._frames.folder}: the model cannot look at these frames: {error}; leave --model out"
            ) from None
        return replace(moment, model_steering=steering if np.isfinite(steering) else None, mask=mask)

    def _catch_up(self, place: int) -> None:
        """Show the model the frames that the clip passes over, as many as decide its answer."""
        if self._onlooker is None:
            return
        begin = max(place - self._onlooker.seq_length + 1, 0) if self._seen is None else self._seen + 1
        seconds = self._facts.seconds
        if self._seen is None:
            self._onlooker.forget()
        for between in range(max(begin, place - self._onlooker.seq_length + 1), place + 1):
            if between and seconds[between] - seconds[between - 1] > _GAP_SECONDS:
                self._onlooker.forget()
            if between < place and (frame := self._frames.decode(between)) is not None:
                self._onlooker.steer(frame)
        self._seen = place


def _smoothed(frame: Image) -> Image:
    return np.asarray(cv2.bilateralFilter(cv2.medianBlur(frame, 3), *_SMOOTHING), np.uint8)


@dataclass(frozen=True)
class Clip:
    """What was made. skipped: names of the frames left out, each with the reason; notes: what else is missing."""

    path: Path
    frames: int
    seconds: float
    skipped: tuple[str, ...]
    notes: tuple[str, ...]


def make_clip(settings: ClipSettings, onlookers: Sequence[Onlooker] = ()) -> Clip:
    """Encode frames in order of time, as H.264 or GIF.

    onlookers: for each run a model whose steering and saliency are drawn; none for none. Frames that are broken, or
    of another size than most, are skipped. Raises UserError when nothing can be shown, and when the encoder fails.
    """
    lanes = [_open_lane(settings, number, onlookers) for number in range(len(settings.runs))]
    places = _places(settings, lanes)
    total = len(places[0])
    if not total:
        raise _nothing_within(settings, lanes)

    def drawn(numbers: Sequence[int]) -> Iterator[Image | None]:
        return _drawn(lanes, [[of_lane[number] for number in numbers] for of_lane in places], settings.real_time)

    with atomic.replacing(settings.output) as temporary:
        count = encode(temporary, drawn, total, settings)
        if not count:
            raise lanes[0].frames.nothing_to_show()
    skipped = tuple(f"{name}: {reason}" for lane in lanes for name, reason in lane.frames.skipped.items())
    notes = tuple(f"{lane.frames.folder}: {note}" for lane in lanes for note in lane.facts.notes)
    return Clip(settings.output, count, count / settings.rate, skipped, notes)


def _open_lane(settings: ClipSettings, number: int, onlookers: Sequence[Onlooker]) -> Lane:
    folder = settings.runs[number]
    frames = find_frames(folder)
    if not settings.overlay:
        return Lane(frames, Facts(time_frames(frames), ""), Look(settings.run_width, settings.is_gif))
    facts = read_facts(frames)
    onlooker = onlookers[number] if onlookers else None
    width = settings.run_width or frames.size[0]
    overlay = make_overlay(folder.resolve().name, width, facts, frames.size, onlooker is not None)
    return Lane(frames, facts, Look(width, settings.is_gif, overlay), onlooker)


def _places(settings: ClipSettings, lanes: Sequence[Lane]) -> list[list[int]]:
    """Return for each run the frame of each picture of the clip; where it is over, the place behind its last one."""
    if not settings.real_time:
        return [each_once(lanes[0].facts.seconds, settings.span).tolist()]
    longest = max(float(lane.facts.seconds[-1]) for lane in lanes)
    moments = ticks(longest, settings.span, settings.rate)
    places = []
    for lane in lanes:
        of_lane = at_ticks(lane.facts.seconds, moments)
        if len(lanes) > 1:
            of_lane[moments > lane.facts.seconds[-1] + 1 / settings.rate] = lane.end
        places.append(of_lane.tolist())
    return places


def _drawn(lanes: Sequence[Lane], places: Sequence[Sequence[int]], hold: bool) -> Iterator[Image | None]:
    pictures = [lane.pictures(of_lane, hold) for lane, of_lane in zip(lanes, places, strict=True)]
    if len(lanes) == 1:
        yield from pictures[0]
        return
    blanks = [lane.blank() for lane in lanes]
    for pair in zip(*pictures, strict=True):
        left, right = (blank if picture is None else picture for picture, blank in zip(pair, blanks, strict=True))
        yield beside(left, right)


def _nothing_within(settings: ClipSettings, lanes: Sequence[Lane]) -> UserError:
    longest = max(float(lane.facts.seconds[-1]) for lane in lanes)
    names = " and ".join(str(lane.frames.folder) for lane in lanes)
    return UserError(
        f"{names}: no frame in the range {settings.span.begin:g}:{settings.span.end:g}, "
        f"expected some of 0 to {longest:.1f} s; choose another range"
    )
