"""What the page shows of a moment, and the newest frame for any number of pages."""

import threading
from dataclasses import asdict, dataclass
from typing import Any

from bcclone.drive.recorder import RecordingFigures
from bcclone.play.play_world import LapFigures


@dataclass(frozen=True)
class PlayState:
    """The fields of a frame; docs/reference/play.md describes them."""

    frame: int
    input: int
    seconds: float
    mode: str
    driver: str
    take_over: int | None
    kept: bool
    steering: float
    steering_model: float | None
    throttle: float
    speed_mph: float
    set_speed_mph: float | None
    x_m: float
    z_m: float
    heading: float
    cross_track_m: float
    off_road: bool
    laps: LapFigures
    real_time_factor: float
    frames_per_second: float
    recording: RecordingFigures
    saliency: bool
    saliency_unavailable: str
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the state as an object for JSON, numbers rounded."""
        values = asdict(self)
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in values.items()}


@dataclass(frozen=True)
class PlayedFrame:
    """A frame as JPEG, and the state with it. number: from 1; a frame is sent again, with a new number, in a pause."""

    number: int
    jpeg: bytes
    state: PlayState


class FrameFeed:
    """Hands the newest frame to any number of threads; one that comes late misses the frames between."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._newest: PlayedFrame | None = None
        self._closed = False

    @property
    def jpeg(self) -> tuple[int, bytes]:
        """Return the number of the newest frame and the frame; b"" without one."""
        newest = self._newest
        return (newest.number, newest.jpeg) if newest else (0, b"")

    def publish(self, frame: PlayedFrame) -> None:
        """Show a frame to all threads."""
        with self._changed:
            self._newest = frame
            self._changed.notify_all()

    def after(self, number: int, seconds: float) -> PlayedFrame | None:
        """Wait for a frame after this number, and return it; None after so many seconds, or when the feed closes."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._number() > number, seconds)
            return self._newest if self._number() > number and not self._closed else None

    def close(self) -> None:
        """Wake all waiting threads; there are no more frames."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Return whether there are no more frames."""
        return self._closed

    def _number(self) -> int:
        return self._newest.number if self._newest else 0
