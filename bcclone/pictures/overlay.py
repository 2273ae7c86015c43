"""Draw the overlay: a frame of a run and its values -> a picture of a clip.

Title, map and saliency are drawn on the frame; the numbers stand in a panel below it. The functions
that draw shapes and words change the picture that they get, uint8 (height, width, 3).
"""

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from bcclone.camera.images import Image, cv2
from bcclone.pictures.recorded_run import FrameInfo
from bcclone.recording.run_tables import TRACE
from bcclone.system.arrays import Float32Array, FloatArray
from bcclone.system.errors import UserError

if TYPE_CHECKING:  # it is loaded for a run of a known track alone
    from bcclone.simulator.track import Track

Color = tuple[int, ...]
Point = tuple[float, float]
Place = tuple[float, float]  # x and z, in metres

# M. Okabe and K. Ito, "Color universal design" (2008): safe for colour-blind viewers
SKY = (86, 180, 233)
ORANGE = (230, 159, 0)
RED = (213, 94, 0)
YELLOW = (240, 228, 66)
GREEN = (0, 158, 115)

GROUND = (22, 25, 31)  # background of the panel
RAIL = (58, 64, 74)  # the empty part of a bar
ROAD = (120, 126, 136)
FAINT = (165, 172, 182)  # labels
WHITE = (242, 244, 247)

_SMALL_SIZE = 13  # size of a label's font
_DIMMED = 0.35  # fraction of the frame's brightness that is kept behind title and map

_MAP_HEIGHT = 0.42  # height and width of the map, as a fraction of the frame's height

# sizes of the title and of the panel, in pixels of a picture that is 400 wide or less; in a wider
# one, they are as much larger as it is wider: where the page of a report is 400 pixels wide, the
# clip is 347 wide, and its labels have 11 pixels
_FULL_WIDTH = 400
_PADDING = 8  # distance of title and map from the frame's edge
_TITLE_SIZE = 14  # size of the title's font
_STEERING_WIDTH = 210  # steering and numbers are in one row if this much is left for the steering
_ROW_HEIGHT = 74  # height of the row with the numbers
_STEERING_ROW_HEIGHT = 66  # height of the row with the steering alone, in a narrower panel
_MARGIN = 12  # free space at the left and the right end of the panel
_NUMBER_SIZE = 24  # size of a number's font
_BAR_HEIGHT = 14  # height of a steering bar
_LABEL_WIDTH = 62  # space for the label, to the left of a bar
_VALUE_WIDTH = 44  # space for the steering as a number, to the right of a bar
_SPEED_WIDTH = 70  # space for the speed
_LATENCY_WIDTH = 118  # space for the latency
_OFFSET_WIDTH = 112  # space for the distance from the centre line

# steering at which a bar reaches its end: a car seldom steers more, and small steering should be
# visible
_FULL_BAR = 0.4


class Overlay:
    """Draws a run's frames: scaled, with a title and a map on them, and a panel below.

    There is a place for each value that is known of a frame of the run.

    panel_height: height of the panel in pixels; 0 if no value is known
    track_map: None if the track is unknown, or no map is wanted
    """

    def __init__(
        self,
        name: str,
        width: int,
        size: tuple[int, int],
        infos: Sequence[FrameInfo],
        driver: str,
        track: str | None,
        with_model: bool = False,
        with_map: bool = True,
    ) -> None:
        """Raises UserError for an unknown track.

        name: the run's name, for the title
        width: width of the picture, in pixels
        size: width and height of the run's frames, in pixels
        infos: values of the run's frames
        driver: label of the upper steering bar; while a person has taken over, "human" is drawn in
            its place, in green
        track: name of the track, None if it is unknown
        with_model: True to add a bar for the steering of a reference model
        with_map: False to leave out the map of a known track
        """

        def knows(value: str) -> bool:
            return any(getattr(info, value) is not None for info in infos)

        self._name = name
        self._width = width
        self._scale = max(width / _FULL_WIDTH, 1.0)
        self._driver = driver if knows("steering") else ""
        self._with_model = with_model
        self._has_speed = knows("speed_mph")
        self._has_latency = knows("latency_ms")
        self._road_half_m: float | None = None  # None leaves out the distance from the middle
        self.track_map: TrackMap | None = None
        if track is not None:
            opened = self._opened(track)
            self._road_half_m = opened.road.width_m / 2
            if with_map:
                map_size = round(size[1] * width / size[0] * _MAP_HEIGHT)
                self.track_map = TrackMap(opened.line[:, [0, 2]], map_size, opened.closed)

        # the space for speed, latency and distance, as far as they are shown
        self._numbers_width = 0
        if self._has_speed:
            self._numbers_width += _SPEED_WIDTH
        if self._has_latency:
            self._numbers_width += _LATENCY_WIDTH
        if self._road_half_m is not None:
            self._numbers_width += _OFFSET_WIDTH

        self._has_steering = bool(self._driver) or with_model
        has_both = self._has_steering and self._numbers_width > 0
        left_for_steering = width / self._scale - self._numbers_width
        self._has_two_rows = has_both and left_for_steering < _STEERING_WIDTH
        height = _ROW_HEIGHT if self._has_steering or self._numbers_width else 0
        height += _STEERING_ROW_HEIGHT if self._has_two_rows else 0
        self.panel_height = round(height * self._scale)

    def _opened(self, track: str) -> "Track":
        from bcclone.simulator.track import load_track

        try:
            return load_track(track)
        except UserError as error:
            raise UserError(
                f"{self._name}: {TRACE.name}: {error}; "
                f"correct it, or remove the file to leave out {TRACE.provides}"
            ) from None

    def drive(self, place: Place | None) -> None:
        """Add the place of the car at the next frame to the map, also if that is not drawn."""
        if self.track_map is not None:
            self.track_map.drive(place)

    def draw(
        self,
        frame: Image,
        info: FrameInfo,
        model_steering: float | None = None,
        saliency: Float32Array | None = None,
    ) -> Image:
        """Return the picture for a frame; both are RGB uint8 (height, width, 3).

        model_steering: that of the reference model, -1 to 1, None if it is unknown
        saliency: how much each pixel of the frame decided it, (height, width), 0 to 1
        """
        # the frame is scaled straight into its part of the picture
        height = round(frame.shape[0] * self._width / frame.shape[1])
        picture = np.empty((height + self.panel_height, self._width, 3), np.uint8)
        upper = picture[:height]
        picture[height:] = GROUND
        lit = frame if saliency is None else saliency_overlay(frame, saliency)
        cv2.resize(lit, (self._width, height), dst=upper, interpolation=cv2.INTER_CUBIC)

        # a darker strip makes the title readable
        state = "   a person steers" if info.taken_over else ""
        title = f"{self._name}   {info.seconds:.1f} s{state}"
        pen = _Pen(upper, self._scale)
        title_width = pen.text_width(title, _TITLE_SIZE) + 14
        strip = pen.part(_PADDING, _PADDING, title_width, 22).picture
        cv2.addWeighted(strip, _DIMMED, np.full_like(strip, GROUND), 1 - _DIMMED, 0, dst=strip)
        if self.track_map is not None:
            size = self.track_map.size
            right = self._width - _PADDING
            self.track_map.draw(upper[_PADDING : _PADDING + size, right - size : right], info.place)
        pen.write(title, _PADDING + 7, _PADDING + 16, _TITLE_SIZE, WHITE)

        if self.panel_height:
            self._draw_panel(_Pen(picture[height:], self._scale), info, model_steering)
        return picture

    def _draw_panel(self, panel: "_Pen", info: FrameInfo, model_steering: float | None) -> None:
        left = float(_MARGIN)
        if self._has_steering:
            # the numbers stand beside the steering, or in a row below it
            steering_width = panel.width
            if not self._has_two_rows:
                steering_width -= self._numbers_width
                left = steering_width
            area = panel.part(0, 0, steering_width, panel.height)
            self._draw_steering(area, info, model_steering)

        row = panel.part(0, panel.height - _ROW_HEIGHT, panel.width, _ROW_HEIGHT)
        if self._has_speed:
            speed = "" if info.speed_mph is None else f"{info.speed_mph:.0f}"
            _write_number(row, "speed", speed, "mph", left)
            left += _SPEED_WIDTH
        if self._has_latency:
            latency = "" if info.latency_ms is None else f"{info.latency_ms:.1f}"
            _write_number(row, "request to steer", latency, "ms", left)
            left += _LATENCY_WIDTH
        if self._road_half_m is not None:
            _draw_offset(row, left, info.cross_track_m, self._road_half_m)

    def _draw_steering(self, area: "_Pen", info: FrameInfo, model_steering: float | None) -> None:
        """Draw a bar for each driver, from the middle to the left or right.

        area: the part of the panel for the steering
        """
        left = _MARGIN + _LABEL_WIDTH
        right = area.width - _MARGIN - _VALUE_WIDTH
        area.write("steering", _MARGIN, 18)
        area.write("left", left, 18)
        area.write("right", right, 18, to_left=True)

        # label, steering and colour of each bar, the upper bar first
        bars: list[tuple[str, float | None, Color]] = []
        if self._driver and info.taken_over:
            bars.append(("human", info.steering, GREEN))
        elif self._driver:
            bars.append((self._driver, info.steering, SKY))
        if self._with_model:
            bars.append(("model", model_steering, ORANGE))

        middle = (left + right) / 2
        tops = (27, 48) if len(bars) > 1 else (37,)
        for (label, steering, color), top in zip(bars, tops, strict=True):
            bottom = top + _BAR_HEIGHT
            area.write(label, _MARGIN, top + 12, color=color)
            area.draw_box((left, top), (right, bottom), RAIL)
            if steering is not None:
                filled = min(max(steering / _FULL_BAR, -1.0), 1.0)
                end = middle + filled * (right - left) / 2
                area.draw_box((middle, top), (end, bottom), color)
                value = f"{steering:+.2f}"
                area.write(value, area.width - _MARGIN, top + 12, color=WHITE, to_left=True)
            area.draw_box((middle - 1, top - 2), (middle + 1, bottom + 2), WHITE)


def _write_number(row: "_Pen", label: str, number: str, unit: str, left: float) -> None:
    """Write a label, a number below it, and the number's unit behind it.

    row: the part of the panel for the numbers
    number: "" if it is unknown
    """
    row.write(label, left, 18)
    row.write(number, left, 50, _NUMBER_SIZE, WHITE)
    unit_left = left + row.text_width(number, _NUMBER_SIZE) if number else left
    row.write(unit, unit_left + 3, 50)


def _draw_offset(row: "_Pen", left: float, offset_m: float | None, half_m: float) -> None:
    """Draw the car as a dot on a rail whose ends are the road's edges.

    row: the part of the panel for the numbers
    offset_m: metres from the centre line to the car, to the right; None if unknown
    half_m: half of the road's width
    """
    right = row.width - _MARGIN
    middle = (left + right) / 2
    row.write("from centre", left, 18)
    row.draw_box((left, 53), (right, 65), RAIL)
    row.draw_box((middle - 1, 53), (middle + 1, 65), FAINT)
    if offset_m is None:
        return
    side = "left" if offset_m < 0 else "right"
    row.write(f"{abs(offset_m):.2f} m {side}", right, 44, 16, WHITE, to_left=True)
    x = middle + min(max(offset_m / half_m, -1.0), 1.0) * ((right - left) / 2 - 5)
    row.draw_dot((x, 58.5), 6.0, GROUND)
    row.draw_dot((x, 58.5), 5.0, SKY)


# ---- the map

_MAP_MARGIN = 8  # pixels between the road and the edge of the map
_ROAD_WIDTH = 4  # width of the road on the map, in pixels
_DRIVEN_WIDTH = 2  # width of the driven line, in pixels
# a car that is farther away in the next frame was set back, or was not recorded in between
_SET_BACK_M = 4.0


class TrackMap:
    """A map of the track with the driven line, which grows from frame to frame.

    On the map, x points right and z points up.
    """

    def __init__(self, road: FloatArray, size: int, closed: bool = True) -> None:
        """Make a map on which nothing is driven yet.

        road: x and z of the track's centre line, (points, 2), metres
        size: width and height, in pixels
        closed: whether the road ends where it begins
        """
        self.size = size
        # the longer side of the road's extent fills the map
        low = road.min(axis=0)
        high = road.max(axis=0)
        self._middle = (low + high) / 2
        self._scale = (size - 2 * _MAP_MARGIN) / (high - low).max()
        self._last: Place | None = None  # the last known place
        # the map, and how far its lines cover each pixel of the frame behind it, 0 to 255
        self._picture = np.full((size, size, 3), GROUND, np.uint8)
        self._covered = np.zeros((size, size), np.uint8)
        self._draw_line(road, ROAD, _ROAD_WIDTH, closed)

    def drive(self, place: Place | None) -> None:
        """Draw the line to the car's place at the next frame, None if that is unknown.

        The line does not cross the map where the car was set back.
        """
        if place is None:
            return
        if self._last is not None and math.dist(self._last, place) <= _SET_BACK_M:
            self._draw_line(np.array([self._last, place]), SKY, _DRIVEN_WIDTH)
        self._last = place

    def draw(self, area: Image, place: Place | None) -> None:
        """Draw the map, the driven line, and the car.

        area: square of the picture to draw on, of the map's size
        """
        kept = (_DIMMED - _DIMMED / 255 * self._covered)[..., np.newaxis]
        area[:] = area * kept + self._picture * (1 - kept)
        if place is not None:
            x, y = self._pixels_of(np.array(place))
            _draw_dot(area, (x, y), 5.5, GROUND)
            _draw_dot(area, (x, y), 4.0, WHITE)

    def _pixels_of(self, places: FloatArray) -> FloatArray:
        flipped = (self._scale, -self._scale)
        return np.asarray((places - self._middle) * flipped + self.size / 2)

    def _draw_line(
        self, places: FloatArray, color: Color, width: int, closed: bool = False
    ) -> None:
        fine = np.rint(self._pixels_of(places) * 2**_FRACTION_BITS).astype(np.int32)
        for picture, ink in ((self._picture, color), (self._covered, (255,))):
            cv2.polylines(picture, [fine], closed, ink, width, cv2.LINE_AA, _FRACTION_BITS)


# ---- saliency

# the frame below its saliency is made pale, so that nobody takes yellow sand for saliency: it
# becomes the sum of the frame and the grey frame, times these factors
_COLOR_KEPT = 0.3
_GRAY_KEPT = 0.55
_MAX_OPACITY = 0.85  # where the saliency is 1; less than 1, so that the frame stays visible


def saliency_overlay(frame: Image, saliency: Float32Array) -> Image:
    """Return a frame made paler and covered by its saliency.

    A pixel with little influence on the steering is red, one with much influence is yellow.

    frame: RGB uint8 (height, width, 3)
    saliency: of each pixel, (height, width), 0 to 1
    """
    level = np.clip(saliency, 0, 1)[..., np.newaxis]
    opacity = _MAX_OPACITY * level**0.8
    glow = np.array(RED, np.float32) * (1 - level) + np.array(YELLOW, np.float32) * level
    gray = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    pale = cv2.addWeighted(frame, _COLOR_KEPT, gray, _GRAY_KEPT, 0)
    return np.asarray(pale * (1 - opacity) + glow * opacity, np.uint8)


# ---- shapes and words

_FRACTION_BITS = 4  # OpenCV takes coordinates as whole numbers, here of 1/16 pixel
_ASCENT = 0.95  # height above the baseline / size of the font
_DESCENT = 0.3  # depth below the baseline / size of the font

_font = cache(PIL.ImageFont.load_default)  # Aileron, in the public domain


@lru_cache(4096)  # a clip repeats the same words and numbers
def _coverage_of(words: str, size: int) -> Float32Array:
    """Return how much of each pixel a text covers, 0 to 1, (height, width, 1)."""
    font = _font(size)
    # the baseline stands size * _ASCENT below the top, as write() of _Pen expects
    width = max(round(font.getlength(words)), 1) + 2
    baseline = round(size * _ASCENT)
    coverage = PIL.Image.new("L", (width, baseline + round(size * _DESCENT)))
    anchor = "ls"  # the text begins at the left end of its baseline
    PIL.ImageDraw.Draw(coverage).text((0, baseline), words, 255, font, anchor)
    return np.asarray(coverage, np.float32)[..., np.newaxis] / np.float32(255)


class _Pen:
    """Draws on a picture; all places and sizes are in units of `scale` pixels."""

    def __init__(self, picture: Image, scale: float) -> None:
        self.picture = picture
        self._scale = scale
        self.height, self.width = (side / scale for side in picture.shape[:2])

    def part(self, left: float, top: float, width: float, height: float) -> "_Pen":
        """Return a pen for a rectangle of the picture."""
        columns = slice(self._pixels(left), self._pixels(left + width))
        rows = slice(self._pixels(top), self._pixels(top + height))
        return _Pen(self.picture[rows, columns], self._scale)

    def text_width(self, words: str, size: float) -> float:
        return float(_coverage_of(words, self._pixels(size)).shape[1]) / self._scale

    def write(
        self,
        words: str,
        x: float,
        y: float,
        size: float = _SMALL_SIZE,
        color: Color = FAINT,
        to_left: bool = False,
    ) -> None:
        """Write words whose baseline begins at x and y; what would stand outside is left out.

        size: of the font
        to_left: whether the baseline ends at x and y
        """
        coverage = _coverage_of(words, self._pixels(size))
        left = self._pixels(x) - coverage.shape[1] * to_left
        top = self._pixels(y) - round(self._pixels(size) * _ASCENT)
        coverage = coverage[max(-top, 0) :, max(-left, 0) :]
        area = self.picture[max(top, 0) :, max(left, 0) :][: len(coverage), : coverage.shape[1]]
        coverage = coverage[: len(area), : area.shape[1]]
        area[:] = area + (np.array(color, np.float32) - area) * coverage + np.float32(0.5)

    def draw_box(self, begin: Point, end: Point, color: Color) -> None:
        """Fill a rectangle between two corners, which are rounded to whole pixels."""
        left, right = sorted((self._pixels(begin[0]), self._pixels(end[0])))
        top, bottom = sorted((self._pixels(begin[1]), self._pixels(end[1])))
        self.picture[top:bottom, left:right] = color

    def draw_dot(self, center: Point, radius: float, color: Color) -> None:
        scaled = (center[0] * self._scale, center[1] * self._scale)
        _draw_dot(self.picture, scaled, radius * self._scale, color)

    def _pixels(self, length: float) -> int:
        return round(length * self._scale)


def _draw_dot(picture: Image, center: Point, radius: float, color: Color) -> None:
    """Draw a filled circle with smooth edges."""
    x = round(center[0] * 2**_FRACTION_BITS)
    y = round(center[1] * 2**_FRACTION_BITS)
    fine_radius = round(radius * 2**_FRACTION_BITS)
    cv2.circle(picture, (x, y), fine_radius, color, cv2.FILLED, cv2.LINE_AA, _FRACTION_BITS)
