"""Draw the overlay: a frame and its values -> a picture with title, map, saliency, and the panel of
figures below.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from bcclone.camera.images import Image
from bcclone.pictures.run_data import FrameInfo, RunData
from bcclone.recording.run_tables import TRACE
from bcclone.system.arrays import Float32Array, FloatArray, IndexArray
from bcclone.system.errors import UserError
from bcclone.system.opencv import cv2

Color = tuple[int, ...]
Point = tuple[float, float]

# M. Okabe and K. Ito, "Color universal design" (2008): safe for colour-blind viewers
SKY, ORANGE, RED, YELLOW, GREEN = (
    (86, 180, 233),
    (230, 159, 0),
    (213, 94, 0),
    (240, 228, 66),
    (0, 158, 115),
)
GROUND, RAIL, ROAD, FAINT, WHITE = (
    (22, 25, 31),
    (58, 64, 74),
    (120, 126, 136),
    (165, 172, 182),
    (242, 244, 247),
)

_SHIFT = 4  # fractional bits of OpenCV's coordinates
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
_FULL_BAR = (
    0.4  # steering that fills a bar: a car seldom steers more, and small values should be visible
)
_LABEL, _NUMBER = 62, 52  # pixels to the left and to the right of a bar
_SPEED, _LATENCY, _OFFSET = 88, 118, 138  # pixels wide

_MAX_OPACITY = 0.85  # of the colour where the saliency is 1: the frame stays visible
_COLOR_KEPT, _GRAY_KEPT = (
    0.3,
    0.55,
)  # of the frame below: pale, so that nobody takes yellow sand for saliency
_LEVELS = np.linspace(0.0, 1.0, 256)[:, np.newaxis]
_OPACITY = np.ascontiguousarray(np.broadcast_to(_MAX_OPACITY * _LEVELS**0.8, (256, 3))).astype(
    np.float32
)
_GLOW = ((np.array(RED) * (1 - _LEVELS) + np.array(YELLOW) * _LEVELS) * _OPACITY).astype(np.float32)

_font = cache(PIL.ImageFont.load_default)  # Aileron, in the public domain
_ASCENT, _DESCENT = 0.95, 0.3  # of a font's size


class Text(NamedTuple):
    """Words on a picture, with the left or the right end of their baseline at x and y."""

    words: str
    x: int
    y: int
    size: int = _SMALL
    color: Color = FAINT
    to_left: bool = False

    @property
    def width(self) -> int:
        return _mask(self.words, self.size).width


@lru_cache(4096)  # a clip repeats the same words and numbers
def _mask(words: str, size: int) -> PIL.Image.Image:
    """Return the coverage of each pixel by a text."""
    font = _font(size)
    mask = PIL.Image.new(
        "L",
        (max(round(font.getlength(words)), 1) + 2, round(size * _ASCENT) + round(size * _DESCENT)),
    )
    PIL.ImageDraw.Draw(mask).text((0, round(size * _ASCENT)), words, 255, font, "ls")
    return mask


def make_overlay(
    name: str, width: int, data: RunData, size: tuple[int, int], with_model: bool
) -> "Overlay":
    """Return an overlay with a place for each value of a run; raises UserError for an unknown
    track.

    width: of the picture, in pixels; size: width and height of the run's frames; with_model:
    whether a reference model steers, too.
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
    speed, latency = data.knows("speed_mph"), data.knows("latency_ms")
    return Overlay(name, width, driver, with_model, speed, latency, road_half_m, track_map)


@dataclass(frozen=True)
class Overlay:
    """How a run's frames are drawn: scaled to `width` pixels, with a title and a map on them and a
    panel below.

    driver: label of the upper steering bar, "" for none; it is green, and "human", while a person
    has taken over; model: whether there is a lower bar, for the reference model; speed, latency:
    whether they are shown; road_half_m: half the width of the road, for the distance from its
    centre line, None to leave that out.
    """

    name: str
    width: int
    driver: str = ""
    model: bool = False
    speed: bool = False
    latency: bool = False
    road_half_m: float | None = None
    track_map: "TrackMap | None" = None

    @property
    def _numbers_width(self) -> int:
        return (
            self.speed * _SPEED + self.latency * _LATENCY + (self.road_half_m is not None) * _OFFSET
        )

    @property
    def panel_height(self) -> int:
        """The height of the panel in pixels; 0 if there is nothing to show."""
        steering, numbers = bool(self.driver) or self.model, self._numbers_width > 0
        if steering and numbers and self.width < _ONE_ROW_WIDTH:
            return _STEERING_ROW + _ROW
        return _ROW if steering or numbers else 0

    def draw(self, frame: Image, info: FrameInfo) -> Image:
        """Return the picture for a frame; both are RGB uint8 (height, width, 3)."""
        lit = frame if info.mask is None else saliency_overlay(frame, info.mask)
        height = round(frame.shape[0] * self.width / frame.shape[1])
        picture = np.empty((height + self.panel_height, self.width, 3), np.uint8)
        upper, picture[height:] = picture[:height], GROUND
        cv2.resize(lit, (self.width, height), dst=upper, interpolation=cv2.INTER_CUBIC)
        if info.ended:
            _dim(upper, _ENDED_DIMMED)
        state = "   ended" if info.ended else "   a person steers" if info.taken_over else ""
        title = Text(
            f"{self.name}   {info.seconds:.1f} s{state}", _PAD + 7, _PAD + 16, _TITLE, WHITE
        )
        _dim(upper[_PAD : _PAD + 22, _PAD : _PAD + title.width + 14], _TITLE_DIMMED)
        if self.track_map is not None:
            size = len(self.track_map.road)
            self.track_map.draw(
                upper[_PAD : _PAD + size, self.width - size - _PAD : self.width - _PAD], info.index
            )
        texts = [title, *self._draw_panel(picture, height, info)]
        canvas = PIL.Image.fromarray(picture)
        pen = PIL.ImageDraw.Draw(canvas)
        for text in texts:
            left = text.x - text.width if text.to_left else text.x
            pen.bitmap(
                (left, text.y - round(text.size * _ASCENT)),
                _mask(text.words, text.size),
                text.color,
            )
        return np.asarray(canvas)

    def _draw_panel(self, picture: Image, top: int, info: FrameInfo) -> Iterator[Text]:
        """Draw the shapes of the panel into the picture, from a row on; yield its texts."""
        left, bottom = _MARGIN, top + self.panel_height - _ROW
        if self.driver or self.model:
            beside = self._numbers_width if self.width >= _ONE_ROW_WIDTH else 0
            yield from self._draw_steering(picture, top, info, self.width - beside)
            left = self.width - beside if beside else _MARGIN
        for shown, label, value, form, unit, width in (
            (self.speed, "speed", info.speed_mph, "{:.0f}", "mph", _SPEED),
            (self.latency, "request to steer", info.latency_ms, "{:.1f}", "ms", _LATENCY),
        ):
            if shown:
                yield Text(label, left, bottom + 18)
                number = Text(
                    "" if value is None else form.format(value), left, bottom + 50, _LARGE, WHITE
                )
                yield number
                yield Text(unit, left + (number.width if number.words else 0) + 3, bottom + 50)
                left += width
        if self.road_half_m is not None:
            yield from self._draw_offset(
                picture, bottom, info.cross_track_m, left, self.road_half_m
            )

    def _draw_steering(
        self, picture: Image, top: int, info: FrameInfo, width: int
    ) -> Iterator[Text]:
        """Draw a bar for each driver, from the middle to the side of its steering."""
        bars: list[tuple[str, float | None, Color]] = []
        if self.driver:
            bars.append(
                ("human", info.steering, GREEN)
                if info.taken_over
                else (self.driver, info.steering, SKY)
            )
        if self.model:
            bars.append(("model", info.model_steering, ORANGE))
        left, right = _MARGIN + _LABEL, width - _MARGIN - _NUMBER
        middle = (left + right) / 2
        yield from (Text("steering", _MARGIN, top + 18), Text("left", left, top + 18))
        yield Text("right", right, top + 18, to_left=True)
        for (label, value, color), below in zip(
            bars, (27, 48) if len(bars) > 1 else (37,), strict=True
        ):
            upper, lower = top + below, top + below + _BAR
            yield Text(label, _MARGIN, upper + 12, color=color)
            _box(picture, (left, upper), (right, lower), RAIL)
            if value is not None:
                end = middle + min(max(value / _FULL_BAR, -1.0), 1.0) * (right - left) / 2
                _box(picture, (middle, upper), (end, lower), color)
                yield Text(f"{value:+.2f}", width - _MARGIN, upper + 12, color=WHITE, to_left=True)
            _box(picture, (middle - 1, upper - 2), (middle + 1, lower + 2), WHITE)

    def _draw_offset(
        self, picture: Image, top: int, offset_m: float | None, left: int, half_m: float
    ) -> Iterator[Text]:
        right = self.width - _MARGIN
        middle = (left + right) / 2
        yield Text("from centre", left, top + 18)
        _box(picture, (left, top + 53), (right, top + 65), RAIL)
        _box(picture, (middle - 1, top + 53), (middle + 1, top + 65), FAINT)
        if offset_m is not None:
            words = f"{abs(offset_m):.2f} m {'left' if offset_m < 0 else 'right'}"
            yield Text(words, right, top + 44, 16, WHITE, True)
            x = middle + min(max(offset_m / half_m, -1.0), 1.0) * ((right - left) / 2 - 5)
            _dot(picture, (x, top + 58.5), 6.0, GROUND)
            _dot(picture, (x, top + 58.5), 5.0, SKY)


@dataclass(frozen=True)
class TrackMap:
    """A map of the track with the driven line. What does not change from frame to frame is drawn
    once.

    kept: fraction of the frame below that is kept, float32 (size, size, 1); road: what the dimmed
    ground and the road add to it, float32 (size, size, 3); points: the car at each frame, (frames,
    2), pixels, NaN where unknown; stretches: the frames of the driven line between two places where
    the car was set back.
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
                _path(area, self.points[frames[:count]], SKY, _LINE_PIXELS)
        x, y = self.points[index]
        if np.isfinite(x + y):
            _dot(area, (x, y), 5.5, GROUND)
            _dot(area, (x, y), 4.0, WHITE)


def make_map(road: FloatArray, positions: FloatArray, size: int, closed: bool = True) -> TrackMap:
    """Return the map of a track, with z pointing up.

    road: x and z of its centre line, (points, 2), metres; positions: x and z of the car at each
    frame, (frames, 2); size: width and height, in pixels; closed: the road ends where it begins.
    """
    low, high = road.min(axis=0), road.max(axis=0)
    scale = (size - 2 * _MAP_MARGIN) / (high - low).max()
    line, points = (
        np.asarray((at - (low + high) / 2) * (scale, -scale) + size / 2) for at in (road, positions)
    )
    located = np.flatnonzero(np.isfinite(positions).all(axis=1))
    moved_m = np.hypot(*np.diff(positions[located], axis=0).T)
    stretches = np.split(located, np.flatnonzero(moved_m > _SET_BACK_M) + 1)
    covered = np.zeros((size, size), np.uint8)
    _path(covered, line, (255,), _ROAD_PIXELS, closed)
    coverage = covered[..., np.newaxis] / 255
    added = np.array(GROUND) * (1 - _MAP_DIMMED) * (1 - coverage) + np.array(ROAD) * coverage
    kept = (_MAP_DIMMED * (1 - coverage)).astype(np.float32)
    return TrackMap(kept, added.astype(np.float32), points, stretches)


def saliency_overlay(frame: Image, mask: Float32Array) -> Image:
    """Return a frame, RGB uint8 (height, width, 3), made paler and covered by a mask of its pixels,
    0 to 1.

    A pixel with little influence on the steering is red, one with much influence is yellow.
    """
    level = np.rint(np.clip(mask, 0, 1) * 255).astype(np.uint8)
    opacity = np.take(_OPACITY, level, axis=0)
    gray = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    pale = cv2.addWeighted(frame, _COLOR_KEPT, gray, _GRAY_KEPT, 0)
    return np.asarray(pale * (1 - opacity) + np.take(_GLOW, level, axis=0), np.uint8)


def _box(picture: Image, begin: Point, end: Point, color: Color) -> None:
    """Fill a rectangle between two corners, which are rounded to whole pixels."""
    (left, right), (top, bottom) = (
        sorted(map(round, pair)) for pair in zip(begin, end, strict=True)
    )
    picture[top:bottom, left:right] = color


def _dim(picture: Image, fraction: float) -> None:
    """Darken a picture to a fraction of its brightness, towards the background colour of the
    overlay.
    """
    cv2.addWeighted(picture, fraction, np.full_like(picture, GROUND), 1 - fraction, 0, dst=picture)


def _dot(picture: Image, at: Point, radius: float, color: Color) -> None:
    """Draw a filled circle with smooth edges."""
    x, y, fine = (round(value * 2**_SHIFT) for value in (*at, radius))
    cv2.circle(picture, (x, y), fine, color, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def _path(
    picture: Image, points: FloatArray, color: Color, width: int, closed: bool = False
) -> None:
    """Draw a line with smooth edges through points, (points, 2)."""
    fine = np.rint(points * 2**_SHIFT).astype(np.int32)
    cv2.polylines(picture, [fine], closed, color, width, cv2.LINE_AA, _SHIFT)
