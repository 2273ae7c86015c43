"""Draw the overlay: a frame of a run and its values -> a picture of a clip.

Title, map and saliency are drawn on the frame; the numbers stand in a panel below it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bcclone.camera.images import Image, cv2
from bcclone.pictures.drawing import (
    FAINT,
    GREEN,
    GROUND,
    ORANGE,
    RAIL,
    RED,
    SKY,
    WHITE,
    YELLOW,
    Color,
    Text,
    dim,
    draw_box,
    draw_dot,
    write_texts,
)
from bcclone.pictures.run_data import FrameInfo, RunData
from bcclone.pictures.track_map import TrackMap
from bcclone.recording.run_tables import TRACE
from bcclone.system.errors import UserError
from bcclone.system.numbers import Float32Array

_MAP_HEIGHT = 0.42  # height and width of the map, as a fraction of the frame's height


def make_overlay(
    name: str, width: int, data: RunData, size: tuple[int, int], with_model: bool
) -> "Overlay":
    """Return an overlay with a place for each value that is known of a run.

    Raises UserError for an unknown track.

    name: the run's name, for the title
    width: width of the picture, in pixels
    data: the values of the run's frames
    size: width and height of the run's frames, in pixels
    with_model: True to add a bar for the steering of a reference model
    """
    road_half_m = None
    track_map = None
    if data.track is not None:
        from bcclone.simulator.track import load_track

        try:
            track = load_track(data.track)
        except UserError as error:
            raise UserError(
                f"{name}: {TRACE.name}: {error}; "
                f"correct it, or remove the file to leave out {TRACE.provides}"
            ) from None
        road_half_m = track.road.width_m / 2
        map_size = round(size[1] * width / size[0] * _MAP_HEIGHT)
        places = [frame.place for frame in data.frames]
        track_map = TrackMap(track.line[:, [0, 2]], places, map_size, track.closed)
    driver = data.driver if data.knows("steering") else ""
    return Overlay(
        name=name,
        width=width,
        driver=driver,
        model=with_model,
        speed=data.knows("speed_mph"),
        latency=data.knows("latency_ms"),
        road_half_m=road_half_m,
        track_map=track_map,
    )


# sizes of the title and of the panel, in pixels
_PADDING = 8  # distance of title and map from the frame's edge
_TITLE_SIZE = 14  # size of the title's font
_ONE_ROW_WIDTH = 560  # a panel this wide or wider shows steering and numbers in one row
_ROW_HEIGHT = 74  # height of the row with the numbers
_STEERING_ROW_HEIGHT = 66  # height of the row with the steering alone, in a narrower panel
_MARGIN = 12  # free space at the left and the right end of the panel
_NUMBER_SIZE = 24  # size of a number's font
_BAR_HEIGHT = 14  # height of a steering bar
_LABEL_WIDTH = 62  # space for the label, to the left of a bar
_VALUE_WIDTH = 52  # space for the steering as a number, to the right of a bar
_SPEED_WIDTH = 88  # space for the speed
_LATENCY_WIDTH = 118  # space for the latency
_OFFSET_WIDTH = 138  # space for the distance from the centre line

_TITLE_DIMMED = 0.35  # fraction of the brightness that is kept behind the title

# steering at which a bar reaches its end: a car seldom steers more, and small steering should be
# visible
_FULL_BAR = 0.4


@dataclass(frozen=True)
class Overlay:
    """How a run's frames are drawn: scaled, with a title and a map on them, and a panel below."""

    name: str  # the run's name, in the title
    width: int  # width of a picture, in pixels
    # label of the upper steering bar, "" for no such bar; while a person has taken over, "human" is
    # drawn in its place, in green
    driver: str = ""
    model: bool = False  # whether there is a lower bar, for the reference model
    speed: bool = False  # whether the speed is shown
    latency: bool = False  # whether the latency is shown
    # half the road's width, for the distance from its centre line; None leaves that out
    road_half_m: float | None = None
    track_map: TrackMap | None = None

    @property
    def _numbers_width(self) -> int:
        """Return the space for speed, latency and distance, as far as they are shown."""
        width = 0
        if self.speed:
            width += _SPEED_WIDTH
        if self.latency:
            width += _LATENCY_WIDTH
        if self.road_half_m is not None:
            width += _OFFSET_WIDTH
        return width

    @property
    def _has_steering(self) -> bool:
        return bool(self.driver) or self.model

    @property
    def panel_height(self) -> int:
        """Return the height of the panel in pixels; 0 if no value is known."""
        has_numbers = self._numbers_width > 0
        if self._has_steering and has_numbers and self.width < _ONE_ROW_WIDTH:
            return _STEERING_ROW_HEIGHT + _ROW_HEIGHT
        return _ROW_HEIGHT if self._has_steering or has_numbers else 0

    def draw(self, frame: Image, info: FrameInfo) -> Image:
        """Return the picture for a frame; both are RGB uint8 (height, width, 3)."""
        # the frame is scaled straight into its part of the picture
        height = round(frame.shape[0] * self.width / frame.shape[1])
        picture = np.empty((height + self.panel_height, self.width, 3), np.uint8)
        upper = picture[:height]
        picture[height:] = GROUND
        lit = frame if info.saliency is None else saliency_overlay(frame, info.saliency)
        cv2.resize(lit, (self.width, height), dst=upper, interpolation=cv2.INTER_CUBIC)

        # a darker strip makes the title readable
        title = self._title(info)
        dim(upper[_PADDING : _PADDING + 22, _PADDING : _PADDING + title.width + 14], _TITLE_DIMMED)
        if self.track_map is not None:
            size = self.track_map.size
            right = self.width - _PADDING
            area = upper[_PADDING : _PADDING + size, right - size : right]
            self.track_map.draw(area, info.index)

        write_texts(picture, [title, *self._draw_panel(picture, height, info)])
        return picture

    def _title(self, info: FrameInfo) -> Text:
        state = "   a person steers" if info.taken_over else ""
        words = f"{self.name}   {info.seconds:.1f} s{state}"
        return Text(words, _PADDING + 7, _PADDING + 16, _TITLE_SIZE, WHITE)

    def _draw_panel(self, picture: Image, top: int, info: FrameInfo) -> Iterator[Text]:
        """Draw the shapes of the panel into the picture; yield the panel's texts.

        top: row of the picture at which the panel begins
        """
        left = _MARGIN
        if self._has_steering:
            # the numbers stand beside the steering, or in a row below it
            steering_width = self.width
            if self.width >= _ONE_ROW_WIDTH:
                steering_width -= self._numbers_width
                left = steering_width
            yield from self._draw_steering(picture, top, info, steering_width)

        row_top = top + self.panel_height - _ROW_HEIGHT
        if self.speed:
            speed = "" if info.speed_mph is None else f"{info.speed_mph:.0f}"
            yield from _number_texts("speed", speed, "mph", left, row_top)
            left += _SPEED_WIDTH
        if self.latency:
            latency = "" if info.latency_ms is None else f"{info.latency_ms:.1f}"
            yield from _number_texts("request to steer", latency, "ms", left, row_top)
            left += _LATENCY_WIDTH
        if self.road_half_m is not None:
            yield from self._draw_offset(
                picture, row_top, info.cross_track_m, left, self.road_half_m
            )

    def _draw_steering(
        self, picture: Image, top: int, info: FrameInfo, width: int
    ) -> Iterator[Text]:
        """Draw a bar for each driver, from the middle to the left or right; yield the texts.

        top: row of the picture at which the panel begins
        width: width of the part of the panel for the steering
        """
        left = _MARGIN + _LABEL_WIDTH
        right = width - _MARGIN - _VALUE_WIDTH
        yield Text("steering", _MARGIN, top + 18)
        yield Text("left", left, top + 18)
        yield Text("right", right, top + 18, to_left=True)

        bars = self._bars(info)
        bar_tops = (27, 48) if len(bars) > 1 else (37,)
        middle = (left + right) / 2
        for (label, steering, color), bar_top in zip(bars, bar_tops, strict=True):
            upper = top + bar_top
            lower = upper + _BAR_HEIGHT
            yield Text(label, _MARGIN, upper + 12, color=color)
            draw_box(picture, (left, upper), (right, lower), RAIL)
            if steering is not None:
                filled = min(max(steering / _FULL_BAR, -1.0), 1.0)
                end = middle + filled * (right - left) / 2
                draw_box(picture, (middle, upper), (end, lower), color)
                value = f"{steering:+.2f}"
                yield Text(value, width - _MARGIN, upper + 12, color=WHITE, to_left=True)
            draw_box(picture, (middle - 1, upper - 2), (middle + 1, lower + 2), WHITE)

    def _bars(self, info: FrameInfo) -> list[tuple[str, float | None, Color]]:
        """Return label, steering and colour of each bar, the upper bar first."""
        bars: list[tuple[str, float | None, Color]] = []
        if self.driver and info.taken_over:
            bars.append(("human", info.steering, GREEN))
        elif self.driver:
            bars.append((self.driver, info.steering, SKY))
        if self.model:
            bars.append(("model", info.model_steering, ORANGE))
        return bars

    def _draw_offset(
        self, picture: Image, top: int, offset_m: float | None, left: int, half_m: float
    ) -> Iterator[Text]:
        """Draw the car as a dot on a rail whose ends are the road's edges; yield the texts.

        offset_m: metres from the centre line to the car, to the right; None if unknown
        half_m: half of the road's width
        """
        right = self.width - _MARGIN
        middle = (left + right) / 2
        yield Text("from centre", left, top + 18)
        draw_box(picture, (left, top + 53), (right, top + 65), RAIL)
        draw_box(picture, (middle - 1, top + 53), (middle + 1, top + 65), FAINT)
        if offset_m is None:
            return
        side = "left" if offset_m < 0 else "right"
        yield Text(f"{abs(offset_m):.2f} m {side}", right, top + 44, 16, WHITE, to_left=True)
        x = middle + min(max(offset_m / half_m, -1.0), 1.0) * ((right - left) / 2 - 5)
        draw_dot(picture, (x, top + 58.5), 6.0, GROUND)
        draw_dot(picture, (x, top + 58.5), 5.0, SKY)


def _number_texts(label: str, number: str, unit: str, left: int, top: int) -> Iterator[Text]:
    """Yield a label, a number below it, and the number's unit behind it.

    number: "" if it is unknown
    """
    yield Text(label, left, top + 18)
    number_text = Text(number, left, top + 50, _NUMBER_SIZE, WHITE)
    yield number_text
    unit_left = left + number_text.width if number else left
    yield Text(unit, unit_left + 3, top + 50)


# The frame below its saliency is made pale, so that nobody takes yellow sand for saliency. It
# becomes the sum of the frame and the grey frame, times these factors.
_COLOR_KEPT = 0.3
_GRAY_KEPT = 0.55

# tables of opacity, and of colour times opacity (_GLOW), by saliency, which is rounded to 256
# levels: a clip has millions of pixels, and to look each up is faster than to compute it
_MAX_OPACITY = 0.85  # opacity where the saliency is 1; less than 1, so that the frame stays visible
_LEVELS = np.linspace(0.0, 1.0, 256)[:, np.newaxis]
_OPACITY_BY_LEVEL = np.broadcast_to(_MAX_OPACITY * _LEVELS**0.8, (256, 3))
_OPACITY = np.ascontiguousarray(_OPACITY_BY_LEVEL).astype(np.float32)
_COLOR_BY_LEVEL = np.array(RED) * (1 - _LEVELS) + np.array(YELLOW) * _LEVELS
_GLOW = (_COLOR_BY_LEVEL * _OPACITY).astype(np.float32)


def saliency_overlay(frame: Image, saliency: Float32Array) -> Image:
    """Return a frame made paler and covered by its saliency.

    A pixel with little influence on the steering is red, one with much influence is yellow.

    frame: RGB uint8 (height, width, 3)
    saliency: of each pixel, (height, width), 0 to 1
    """
    level = np.rint(np.clip(saliency, 0, 1) * 255).astype(np.uint8)
    opacity = np.take(_OPACITY, level, axis=0)
    glow = np.take(_GLOW, level, axis=0)
    gray = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    pale = cv2.addWeighted(frame, _COLOR_KEPT, gray, _GRAY_KEPT, 0)
    return np.asarray(pale * (1 - opacity) + glow, np.uint8)
