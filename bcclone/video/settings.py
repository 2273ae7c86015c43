"""What a clip is to show, and how; checked at birth."""

import math
from dataclasses import dataclass
from pathlib import Path

MP4, GIF = ".mp4", ".gif"
_FPS = {MP4: 60.0, GIF: 12.0}
_MOST_FPS = {MP4: 1000.0, GIF: 50.0}  # a GIF counts in hundredths of a second, and viewers take 1 for 10
# pixels of a run with an overlay: alone, and of each of two
_WIDTHS = {MP4: (640, 480), GIF: (480, 320)}
_NARROWEST, _WIDEST = 160, 1920


@dataclass(frozen=True)
class Span:
    """From where to where of a run, in seconds of driving since its first frame; the end is not in it."""

    begin: float = 0.0
    end: float = math.inf

    def __post_init__(self) -> None:
        if not 0 <= self.begin < self.end:
            raise ValueError(f"range {self.begin:g}:{self.end:g}, expected A:B in seconds, 0 or more, with A before B")


@dataclass(frozen=True)
class ClipSettings:
    """runs: one folder, or two that are shown side by side; output: the clip to write, .mp4 or .gif.

    fps: pictures a second, None for what suits the kind of clip; real_time: they show the run as fast as it was
    driven, else each frame once; width: of each run, in pixels, None for what suits; overlay: draw what is known of
    each frame onto it.
    """

    runs: tuple[Path, ...]
    output: Path
    fps: float | None = None
    real_time: bool = False
    span: Span = Span()
    width: int | None = None
    overlay: bool = False

    def __post_init__(self) -> None:
        if self.output.suffix not in _FPS:
            raise ValueError(f"{self.output}: a clip's name must end in {MP4} or {GIF}")
        most = _MOST_FPS[self.output.suffix]
        if not 1 <= self.rate <= most:
            raise ValueError(f"{self.rate:g} pictures a second, expected 1 to {most:g} in a {self.output.suffix}")
        if self.width is not None and not _NARROWEST <= self.width <= _WIDEST:
            raise ValueError(f"width {self.width}, expected {_NARROWEST} to {_WIDEST} pixels")
        if len(self.runs) not in (1, 2):
            raise ValueError(f"{len(self.runs)} runs, expected one, or two side by side")
        if len(self.runs) > 1 and not self.real_time:
            raise ValueError("two runs are shown in step by time; leave --fps out, or give it as real or real:N")

    @property
    def rate(self) -> float:
        """Return the pictures a second of the clip, in hundredths, as moviepy's writer takes them."""
        return _FPS[self.output.suffix] if self.fps is None else round(self.fps, 2)

    @property
    def is_gif(self) -> bool:
        """Return whether the clip is a GIF."""
        return self.output.suffix == GIF

    @property
    def run_width(self) -> int | None:
        """Return how wide each run is shown, in pixels; None: as wide as its frames are."""
        if self.width is None and self.overlay:
            return _WIDTHS[self.output.suffix][len(self.runs) - 1]
        return self.width
