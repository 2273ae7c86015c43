"""The settings of a clip: run, pace, range, overlay and size.

Nothing large is loaded, so that --help answers at once.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bcclone.dataset.preprocessing_text import PreprocessingText
from bcclone.system.settings import Checked, Setting, SettingError, setting, span_parser

MP4 = ".mp4"
GIF = ".gif"
_REAL_TIME_FPS = {MP4: 60.0, GIF: 12.0}  # pictures a second in real time, if no number is given
# a GIF states the time of a picture in hundredths of a second. The shortest usable time is 2
# hundredths, which is 50 pictures a second: viewers show a picture of 1 hundredth for 10
_MAX_FPS = {MP4: 1000.0, GIF: 50.0}
_REAL = "real"  # the word for real time in --fps
_DEFAULT_WIDTHS = {MP4: 640, GIF: 480}  # of a clip with an overlay, in pixels
_MIN_WIDTH = 160  # pixels
_MAX_WIDTH = 1920  # pixels
_LAYOUT = "size and layout"


Fps = Annotated[float, Setting(minimum=1, maximum=_MAX_FPS[MP4], zero="the default")]


@dataclass(frozen=True)
class Pace(Checked):
    """How fast a clip shows a run.

    fps: pictures a second; 0 for the default, which is 60 (MP4) or 12 (GIF) in real time, and
        otherwise the mean rate at which the run was recorded
    real_time: True to show each frame at its time, False to show each frame once; None counts as
        True for a GIF without fps, else as False
    """

    fps: Fps = 0.0
    real_time: bool | None = None


def parse_pace(text: str) -> Pace:
    """Return the pace of "30", "real" or "real:30"; raises ValueError for anything else."""
    if text == _REAL:
        return Pace(real_time=True)
    real, colon, number = text.rpartition(":")
    try:
        fps = float(number)
    except ValueError:
        fps = math.nan
    if not 1 <= fps <= _MAX_FPS[MP4] or (colon and real != _REAL):
        raise ValueError(
            f"{text!r}, expected a number from 1 to {_MAX_FPS[MP4]:g}, 'real', or 'real:N'"
        )
    return Pace(fps, bool(real))


@dataclass(frozen=True)
class ClipSettings(Checked):
    """Which run a clip shows, and how.

    run: folder that `bcclone drive` recorded, or a recording
    span: begin and end, in seconds of driving since the first frame; the end is not included
    """

    run: Path
    output: Path | None = setting(None, "clip to write, .mp4 or .gif", shown="RUN.mp4")
    pace: Pace = setting(
        Pace(),
        "N: each frame once, at N frames a second; real: each frame at its time, "
        f"{_REAL_TIME_FPS[MP4]:g} pictures a "
        f"second; real:N: the same, N a second; N is 1 to {_MAX_FPS[MP4]:g}, in a GIF "
        f"{_MAX_FPS[GIF]:g}",
        unit="FPS",
        option="fps",
        shown="the mean rate at which the run was recorded; real for a GIF",
        parse=parse_pace,
    )
    span: tuple[float, float] = setting(
        (0.0, math.inf),
        "part of the drive to show, in seconds as the overlay and bcclone edit show them, where a "
        "pause counts 10 s "
        "at most; 10: and :40 leave one end open",
        unit="A:B",
        option="range",
        shown="all",
        parse=span_parser(float, "A:B in seconds, such as 10:40, 10: or :40", ("0", "inf")),
    )
    overlay: bool = setting(
        False,
        "draw steering, speed, latency, distance from the centre line and a map onto each frame",
    )
    model: Path | None = setting(
        None,
        "with --overlay, also draw the steering of this model, and the pixels that decide it "
        "(saliency)",
        unit="MODEL",
        shown="none",
    )
    preprocess: PreprocessingText | None = setting(None)
    width: int = setting(
        0,
        "width of the clip",
        _MIN_WIDTH,
        _MAX_WIDTH,
        unit="PIXELS",
        zero="the default",
        shown="as the frames; with --overlay 640, in a GIF 480",
        group=_LAYOUT,
        rare=True,
    )

    def validate(self) -> None:
        begin, end = self.span
        if not 0 <= begin < end:
            value = f"{begin:g}:{end:g}"
            # {span} becomes the option's name, and {value} is a fact: see SettingError
            raise SettingError(
                "{span} {value}, expected A:B in seconds, 0 or more, with A before B", value=value
            )
        if self.path.suffix not in _MAX_FPS:
            raise SettingError(
                f"{{output}} {{path}}, expected a name that ends in {MP4} or {GIF}", path=self.path
            )
        if self.output is None and self.path.is_symlink():
            raise SettingError(
                "{path} is a link, which is not followed; name the clip: {output}", path=self.path
            )
        if self.pace.fps and not 1 <= self.pace.fps <= self.fastest:
            raise SettingError(
                "{pace} {rate}, expected 1 to {fastest} frames a second in a {suffix}",
                rate=f"{self.pace.fps:g}",
                fastest=f"{self.fastest:g}",
                suffix=self.path.suffix,
            )
        if self.model and not self.overlay:
            raise SettingError("{model} is drawn on the overlay; add {overlay}")
        if self.preprocess and not self.model:
            raise SettingError("{preprocess} describes the input of a model; add {model}")

    @property
    def path(self) -> Path:
        """Return the path of the clip."""
        # "." and ".." have no name after which the clip could be called
        folder = self.run.resolve() if self.run.name in ("", "..") else self.run
        name = folder.name or "run"  # even now, the root folder has no name
        return self.output or folder.parent / f"{name}{MP4}"

    @property
    def fastest(self) -> float:
        """Return the most pictures a second that the clip may have."""
        return _MAX_FPS[self.path.suffix]

    @property
    def rate(self) -> float:
        """Return the pictures a second of the clip; 0 for the rate at which the run was recorded.

        They are rounded to 0.01, since moviepy's writer takes no more digits.
        """
        rate = round(self.pace.fps, 2)
        if not rate and self.in_real_time:
            return _REAL_TIME_FPS[self.path.suffix]
        return rate

    @property
    def in_real_time(self) -> bool:
        """Return whether the clip shows each frame at its time, instead of each frame once."""
        if self.pace.real_time is not None:
            return self.pace.real_time
        return self.is_gif and not self.pace.fps

    @property
    def is_gif(self) -> bool:
        return self.path.suffix == GIF

    @property
    def run_width(self) -> int | None:
        """Return the width of the clip, in pixels; None for the width of the frames."""
        if not self.width and self.overlay:
            return _DEFAULT_WIDTHS[self.path.suffix]
        return self.width or None
