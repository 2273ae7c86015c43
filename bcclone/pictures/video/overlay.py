"""Draw the overlay: a frame and its values -> a picture with title, map, saliency, and the panel of figures below."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bcclone.dataset.images import Image
from bcclone.pictures.video.draw import (
    FAINT,
    GREEN,
    GROUND,
    ORANGE,
    RAIL,
    ROAD,
    SKY,
    WHITE,
    Color,
    box,
    dim,
    dot,
    path,
    right_text,
    saliency_overlay,
    text,
    text_width,
)
from bcclone.pictures.video.run_data import FrameInfo, RunData
from bcclone.recording.run_tables import TRACE
from bcclone.system.arrays import Float32Array, FloatArray, IndexArray
from bcclone.system.errors import UserError
from bcclone.system.opencv import cv2

_TITLE, _PAD = 14, 8  # pixels
_TITLE_DIMMED, _ENDED_DIMMED = 0.35, 0.45  # fraction of the frame's brightness that is kept
_MAP_HEIGHT = 0.42  # fraction of the frame's height
_MAP_MARGIN = 8
_MAP_DIMMED = 0.35
_ROAD_PIXELS, _LINE_PIXELS = 4, 2
_SET_BACK_M = 4.0  # a car that moves farther between two frames was set back, or not recorded

_ONE_ROW_WIDTH = 560  # pixels: a panel this wide shows all parts in one row
_ROW, _STEERING_ROW = 74, 66  # pixels high
_MARGIN, _SMALL, _LARGE = 12, 13, 24
_BAR = 14
_FULL_BAR = 0.4  # steering that fills a bar: a car seldom steers more, and small values should be visible
_LABEL, _NUMBER = 62, 52  # pixels to the left and to the right of a bar
_SPEED, _LATENCY, _OFFSET = 88, 118, 138  # pixels wide


def make_overlay(name: str, width: int, data: RunData, size: tuple[int, int], with_model: bool) -> "Overlay":
    """Return an overlay with a place for each value of a run; raises UserError for an unknown track.

    width: of the picture, in pixels; size: width and height of the run's frames; with_model: whether a reference model
    steers, too.
    """
    road_half_m, track_map = None, None
    if data.track is not None:
        from bcclone.simulator.track import load_track

        try:
            track = load_track(data.track)
        except UserError as error:
            raise UserError(
                f"{name}: {TRACE.name}: {error}; correct it, or remove the file to leave out {TRACE.provides}"
            ) from None
        road_half_m = track.road.width_m / 2
        map_size = round(size[1] * width / size[0] * _MAP_HEIGHT)
        positions = np.array([frame.place or (np.nan, np.nan) for frame in data.frames])
        track_map = make_map(track.line[:, [0, 2]], positions, map_size, track.closed)
    driver = data.driver if data.knows("steering") else ""
    panel = Panel(width, driver, with_model, data.knows("speed_mph"), data.knows("latency_ms"), road_half_m)
    return Overlay(name, width, panel, track_map)


@dataclass(frozen=True)
class Overlay:
    """How a run's frames are drawn: scaled to `width` pixels, with a title and a map on them and a panel below."""

    name: str
    width: int
    panel: "Panel"
    track_map: "TrackMap | None" = None

    def draw(self, frame: Image, info: FrameInfo) -> Image:
        """Return the picture for a frame; both are RGB uint8 (height, width, 3)."""
        lit = frame if info.mask is None else saliency_overlay(frame, info.mask)
        height = round(frame.shape[0] * self.width / frame.shape[1])
        picture = np.empty((height + self.panel.height, self.width, 3), np.uint8)
        upper = picture[:height]
        cv2.resize(lit, (self.width, height), dst=upper, interpolation=cv2.INTER_CUBIC)
        if info.ended:
            dim(upper, _ENDED_DIMMED)
        state = "   ended" if info.ended else "   a person steers" if info.taken_over else ""
        title = f"{self.name}   {info.seconds:.1f} s{state}"
        dim(upper[_PAD : _PAD + 22, _PAD : _PAD + text_width(title, _TITLE) + 14], _TITLE_DIMMED)
        text(upper, title, (_PAD + 7, _PAD + 16), _TITLE, WHITE)
        if self.track_map is not None:
            size = len(self.track_map.road)
            self.track_map.draw(upper[_PAD : _PAD + size, self.width - size - _PAD : self.width - _PAD], info.index)
        if self.panel.height:
            self.panel.draw(picture[height:], info)
        return picture


@dataclass(frozen=True)
class Panel:
    """The parts of the panel below a frame, the same for all frames of a run.

    width: in pixels; driver: label of the upper steering bar, "" for none; it is green, and "human", while a person has
    taken over; model: whether there is a lower bar, for the reference model; speed, latency: whether they are shown;
    road_half_m: half the width of the road, for the distance from its centre line, None to leave that out.
    """

    width: int
    driver: str = ""
    model: bool = False
    speed: bool = False
    latency: bool = False
    road_half_m: float | None = None

    @property
    def _numbers_width(self) -> int:
        return self.speed * _SPEED + self.latency * _LATENCY + (self.road_half_m is not None) * _OFFSET

    @property
    def height(self) -> int:
        """Return the height in pixels; 0 if there is nothing to show."""
        steering, numbers = bool(self.driver) or self.model, self._numbers_width > 0
        if steering and numbers and self.width < _ONE_ROW_WIDTH:
            return _STEERING_ROW + _ROW
        return _ROW if steering or numbers else 0

    def draw(self, picture: Image, info: FrameInfo) -> None:
        """Draw the panel over a picture of its size, RGB uint8 (height, width, 3)."""
        picture[:] = GROUND
        left = _MARGIN
        if self.driver or self.model:
            beside = self._numbers_width if self.width >= _ONE_ROW_WIDTH else 0
            self._draw_steering(picture, info, self.width - beside)
            left = self.width - beside if beside else _MARGIN
        numbers = picture[-_ROW:]
        for shown, label, number, unit, width in (
            (self.speed, "speed", _in_words(info.speed_mph, "{:.0f}"), "mph", _SPEED),
            (self.latency, "request to steer", _in_words(info.latency_ms, "{:.1f}"), "ms", _LATENCY),
        ):
            if shown:
                text(numbers, label, (left, 18), _SMALL, FAINT)
                end = text(numbers, number, (left, 50), _LARGE) if number else left
                text(numbers, unit, (end + 3, 50), _SMALL, FAINT)
                left += width
        if self.road_half_m is not None:
            self._draw_offset(numbers, info.cross_track_m, left, self.road_half_m)

    def _draw_steering(self, picture: Image, info: FrameInfo, width: int) -> None:
        """Draw a bar for each driver, from the middle to the side of its steering."""
        bars: list[tuple[str, float | None, Color]] = []
        if self.driver:
            bars.append(("human", info.steering, GREEN) if info.taken_over else (self.driver, info.steering, SKY))
        if self.model:
            bars.append(("model", info.model_steering, ORANGE))
        left, right = _MARGIN + _LABEL, width - _MARGIN - _NUMBER
        middle = (left + right) / 2
        text(picture, "steering", (_MARGIN, 18), _SMALL, FAINT)
        text(picture, "left", (left, 18), _SMALL, FAINT)
        right_text(picture, "right", (right, 18), _SMALL, FAINT)
        for (label, value, color), top in zip(bars, (27, 48) if len(bars) > 1 else (37,), strict=True):
            text(picture, label, (_MARGIN, top + 12), _SMALL, color)
            box(picture, (left, top), (right, top + _BAR), RAIL)
            if value is not None:
                end = middle + min(max(value / _FULL_BAR, -1.0), 1.0) * (right - left) / 2
                box(picture, (middle, top), (end, top + _BAR), color)
                right_text(picture, f"{value:+.2f}", (width - _MARGIN, top + 12), _SMALL)
            box(picture, (middle - 1, top - 2), (middle + 1, top + _BAR + 2), WHITE)

    def _draw_offset(self, picture: Image, offset_m: float | None, left: int, half_m: float) -> None:
        right = self.width - _MARGIN
        middle = (left + right) / 2
        text(picture, "from centre", (left, 18), _SMALL, FAINT)
        box(picture, (left, 53), (right, 65), RAIL)
        box(picture, (middle - 1, 53), (middle + 1, 65), FAINT)
        if offset_m is not None:
            words = f"{abs(offset_m):.2f} m {'left' if offset_m < 0 else 'right'}"
            right_text(picture, words, (right, 44), 16)
            x = middle + min(max(offset_m / half_m, -1.0), 1.0) * ((right - left) / 2 - 5)
            dot(picture, (x, 58.5), 6.0, GROUND)
            dot(picture, (x, 58.5), 5.0, SKY)


def _in_words(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


@dataclass(frozen=True)
class TrackMap:
    """A map of the track with the driven line. What does not change from frame to frame is drawn once.

    kept: fraction of the frame below that is kept, float32 (size, size, 1); road: what the dimmed ground and the road
    add to it, float32 (size, size, 3); points: the car at each frame, (frames, 2), pixels, NaN where unknown;
    stretches: the frames of the driven line between two places where the car was set back.
    """

    kept: Float32Array
    road: Float32Array
    points: FloatArray
    stretches: Sequence[IndexArray]

    def draw(self, area: Image, index: int) -> None:
        """Draw the map over a square of its size, the line up to a frame, and the car there."""
        area[:] = area * self.kept + self.road
        for frames in self.stretches:
            if (count := int(np.searchsorted(frames, index, side="right"))) > 1:
                path(area, self.points[frames[:count]], SKY, _LINE_PIXELS)
        x, y = self.points[index]
        if np.isfinite(x + y):
            dot(area, (x, y), 5.5, GROUND)
            dot(area, (x, y), 4.0, WHITE)


def make_map(road: FloatArray, positions: FloatArray, size: int, closed: bool = True) -> TrackMap:
    """Return the map of a track, with z pointing up.

    road: x and z of its centre line, (points, 2), metres; positions: x and z of the car at each frame, (frames, 2);
    size: width and height, in pixels; closed: the road ends where it begins.
    """
    low, high = road.min(axis=0), road.max(axis=0)
    scale = (size - 2 * _MAP_MARGIN) / (high - low).max()

    def on_map(points: FloatArray) -> FloatArray:
        return np.asarray((points - (low + high) / 2) * (scale, -scale) + size / 2)

    points = on_map(positions)
    located = np.flatnonzero(np.isfinite(positions).all(axis=1))
    moved_m = np.hypot(*np.diff(positions[located], axis=0).T)
    stretches = np.split(located, np.flatnonzero(moved_m > _SET_BACK_M) + 1)
    covered = np.zeros((size, size), np.uint8)
    path(covered, on_map(road), (255,), _ROAD_PIXELS, closed)
    coverage = covered[..., np.newaxis] / 255
    added = np.array(GROUND) * (1 - _MAP_DIMMED) * (1 - coverage) + np.array(ROAD) * coverage
    kept = (_MAP_DIMMED * (1 - coverage)).astype(np.float32)
    return TrackMap(kept, added.astype(np.float32), points, [_thinned(stretch, points) for stretch in stretches])


def _thinned(frames: IndexArray, points: FloatArray) -> IndexArray:
    """Leave out frames within half a pixel of the previous one, so that long drives are drawn as fast as short ones."""
    cells = np.rint(points[frames] * 2)
    return np.asarray(frames[(np.diff(cells, axis=0, prepend=np.nan) != 0).any(axis=1)])
