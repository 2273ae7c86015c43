"""Draw the panel below a frame: its values -> steering bars, speed, latency and distance from the centre line."""

from dataclasses import dataclass

import numpy as np

from bcclone.dataset.images import Image
from bcclone.pictures.video.draw import (
    FAINT,
    GREEN,
    GROUND,
    ORANGE,
    RAIL,
    SKY,
    WHITE,
    Color,
    box,
    dot,
    right_text,
    text,
)
from bcclone.pictures.video.run_data import FrameInfo

_ONE_ROW_WIDTH = 560  # pixels: a panel this wide shows all parts in one row
_ROW, _STEERING_ROW = 74, 66  # pixels high
_MARGIN, _SMALL, _LARGE = 12, 13, 24
_BAR = 14
_FULL_BAR = 0.4  # steering that fills a bar: a car seldom steers more, and small values should be visible
_LABEL, _NUMBER = 62, 52  # pixels to the left and to the right of a bar
_SPEED, _LATENCY, _OFFSET = 88, 118, 138  # pixels wide


@dataclass(frozen=True)
class Panel:
    """The parts of a panel, the same for all frames of a run.

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
    def height(self) -> int:
        """Return the height in pixels; 0 if there is nothing to show."""
        steering, numbers = self._has_steering, self._numbers_width > 0
        if steering and numbers and self.width < _ONE_ROW_WIDTH:
            return _STEERING_ROW + _ROW
        return _ROW if steering or numbers else 0

    def draw(self, picture: Image, info: FrameInfo) -> None:
        """Draw the panel over a picture of its size, RGB uint8 (height, width, 3)."""
        picture[:] = GROUND
        in_one_row = self.width >= _ONE_ROW_WIDTH or not self._has_steering
        if self._has_steering:
            self._draw_steering(picture, info, self.width - (self._numbers_width if in_one_row else 0))
        left = self.width - self._numbers_width if in_one_row and self._has_steering else _MARGIN
        if self._numbers_width:
            self._draw_numbers(picture[-_ROW:], info, left)

    @property
    def _has_steering(self) -> bool:
        return bool(self.driver) or self.model

    @property
    def _numbers_width(self) -> int:
        return self.speed * _SPEED + self.latency * _LATENCY + (self.road_half_m is not None) * _OFFSET

    def _draw_steering(self, picture: Image, info: FrameInfo, width: int) -> None:
        bars: list[tuple[str, float | None, Color]] = []
        if self.driver:
            bars.append(("human", info.steering, GREEN) if info.taken_over else (self.driver, info.steering, SKY))
        if self.model:
            bars.append(("model", info.model_steering, ORANGE))
        left, right = _MARGIN + _LABEL, width - _MARGIN - _NUMBER
        text(picture, "steering", (_MARGIN, 18), _SMALL, FAINT)
        text(picture, "left", (left, 18), _SMALL, FAINT)
        right_text(picture, "right", (right, 18), _SMALL, FAINT)
        tops = (27, 48) if len(bars) > 1 else (37,)
        for (label, value, color), top in zip(bars, tops, strict=True):
            text(picture, label, (_MARGIN, top + 12), _SMALL, color)
            _draw_bar(picture, (left, right), top, value, color)
            if value is not None:
                right_text(picture, f"{value:+.2f}", (width - _MARGIN, top + 12), _SMALL)

    def _draw_numbers(self, picture: Image, info: FrameInfo, left: int) -> None:
        if self.speed:
            _draw_number(picture, left, "speed", _shown(info.speed_mph, "{:.0f}"), "mph")
            left += _SPEED
        if self.latency:
            _draw_number(picture, left, "request to steer", _shown(info.latency_ms, "{:.1f}"), "ms")
            left += _LATENCY
        if self.road_half_m is not None:
            self._draw_offset(picture, info.cross_track_m, left, self.road_half_m)

    def _draw_offset(self, picture: Image, value: float | None, left: int, half_m: float) -> None:
        """Draw the width of the road, its centre line, and the car."""
        text(picture, "from centre", (left, 18), _SMALL, FAINT)
        if value is not None:
            right = self.width - _MARGIN
            right_text(picture, f"{abs(value):.2f} m {'left' if value < 0 else 'right'}", (right, 44), 16)
        right, middle = self.width - _MARGIN, (left + self.width - _MARGIN) / 2
        box(picture, (left, 53), (right, 65), RAIL)
        box(picture, (middle - 1, 53), (middle + 1, 65), FAINT)
        if value is not None:
            reach = (right - left) / 2
            x = middle + float(np.clip(value / half_m, -1, 1)) * (reach - 5)
            dot(picture, (x, 58.5), 6.0, GROUND)
            dot(picture, (x, 58.5), 5.0, SKY)


def _draw_bar(picture: Image, ends: tuple[int, int], top: int, value: float | None, color: Color) -> None:
    """Draw a bar from the middle to the side of the steering."""
    left, right = ends
    middle = (left + right) / 2
    box(picture, (left, top), (right, top + _BAR), RAIL)
    if value is not None:
        fraction = float(np.clip(value / _FULL_BAR, -1, 1))
        box(picture, (middle, top), (middle + fraction * (right - left) / 2, top + _BAR), color)
    box(picture, (middle - 1, top - 2), (middle + 1, top + _BAR + 2), WHITE)


def _draw_number(picture: Image, left: int, label: str, number: str, unit: str) -> None:
    text(picture, label, (left, 18), _SMALL, FAINT)
    end = text(picture, number, (left, 50), _LARGE) if number else left
    text(picture, unit, (end + 3, 50), _SMALL, FAINT)


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
