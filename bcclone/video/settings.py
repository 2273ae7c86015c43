"""What a clip is to show, and how; checked at birth."""

import math
from dataclasses import dataclass
from pathlib import Path

MP4, GIF = ".mp4", ".gif"
# pictures a second of a clip as fast as it was driven
_REAL_TIME_FPS = {MP4: 60.0, GIF: 12.0}
_FPS_LIMITS = {MP4: 1000.0, GIF: 50.0}  # a GIF counts in hundredths of a second, and viewers take 1 for 10


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

    fps: frames a second, each frame once; None keeps the time in which it was driven.
    overlay: draw what is known of each frame onto it.
    """

    runs: tuple[Path, ...]
    output: Path
    fps: float | None = None
    span: Span = Span()
    overlay: bool = False

    def __post_init__(self) -> None:
        if self.output.suffix not in _REAL_TIME_FPS:
            raise ValueError(f"{self.output}: a clip's name must end in {MP4} or {GIF}")
        most = _FPS_LIMITS[self.output.suffix]
        if self.fps is not None and not 1 <= self.fps <= most:
            raise ValueError(f"{self.fps:g} frames a second, expected 1 to {most:g} in {self.output.suffix}")
        if len(self.runs) not in (1, 2):
            raise ValueError(f"{len(self.runs)} runs, expected one, or two side by side")
        if len(self.runs) > 1 and self.fps is not None:
            raise ValueError("two runs are shown in step by time: leave the frames a second out, or say real")

    @property
    def rate(self) -> float:
        """Return the pictures a second of the clip."""
        return self.fps or _REAL_TIME_FPS[self.output.suffix]

    @property
    def is_gif(self) -> bool:
        """Return whether the clip is a GIF."""
        return self.output.suffix == GIF
