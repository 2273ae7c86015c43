"""The settings of clips and of pictures of a model.

Nothing large is loaded, so that --help answers at once.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from bcclone.dataset.preprocessing_text import PreprocessingText
from bcclone.recording.files import IMAGES
from bcclone.system.settings import (
    Checked,
    Force,
    Fraction,
    Names,
    SettingError,
    argument,
    setting,
    span_parser,
)

MP4 = ".mp4"
GIF = ".gif"
_GIF_FPS = 12.0  # pictures a second of a GIF, if no number is given
# a GIF states the time of a picture in hundredths of a second. The shortest usable time is 2
# hundredths, which is 50 pictures a second: viewers show a picture of 1 hundredth for 10
_MAX_FPS = {MP4: 1000.0, GIF: 50.0}
_DEFAULT_WIDTHS = {MP4: 640, GIF: 480}  # of a clip with an overlay, in pixels
_MIN_WIDTH = 160  # pixels
_MAX_WIDTH = 1920  # pixels
_LAYOUT = "size and layout"


@dataclass(frozen=True)
class ClipSettings(Checked):
    """Which run a clip shows, and how.

    run: folder that `bcclone drive` recorded, or a recording
    span: begin and end, in seconds of driving since the first frame; the end is not included
    """

    run: Path
    output: Path | None = setting(
        None,
        "clip to write, .mp4 or .gif",
        shown="RUN.mp4, beside a run that drive.py recorded, of a recording in the current folder",
        writes=True,
    )
    fps: float = setting(
        0.0,
        "pictures a second: an MP4 shows each frame once, a GIF shows each frame at its time; "
        f"at most {_MAX_FPS[MP4]:g}, in a GIF {_MAX_FPS[GIF]:g}",
        1,
        _MAX_FPS[MP4],
        zero="the default",
        shown=f"the mean rate at which the run was recorded; {_GIF_FPS:g} for a GIF",
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
    force: Force = setting(False)
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
        suffix = self.path.suffix
        if suffix not in _MAX_FPS:
            raise SettingError(
                f"{{output}} {{path}}, expected a name that ends in {MP4} or {GIF}", path=self.path
            )
        if self.output is None and self.path.is_symlink():
            raise SettingError(
                "{path} is a link, which is not followed; name the clip: {output}", path=self.path
            )
        if self.fps > _MAX_FPS[suffix]:
            raise SettingError(
                "{fps} {rate}, expected 1 to {fastest} pictures a second in a {suffix}",
                rate=f"{self.fps:g}",
                fastest=f"{_MAX_FPS[suffix]:g}",
                suffix=suffix,
            )
        if self.model and not self.overlay:
            raise SettingError("{model} is drawn on the overlay; add {overlay}")
        if self.preprocess and not self.model:
            raise SettingError("{preprocess} describes the input of a model; add {model}")

    @property
    def path(self) -> Path:
        """Return the path of the clip."""
        if self.output:
            return self.output
        # "." and ".." have no name after which the clip could be called
        folder = self.run.resolve() if self.run.name in ("", "..") else self.run
        name = folder.name or "run"  # even now, the root folder has no name
        # a recording may lie among somebody else's files; the user has chosen where a drive's run
        # lies, which has its frames in the folder itself
        is_recording = (folder / IMAGES).is_dir()
        return (Path() if is_recording else folder.parent) / f"{name}{MP4}"

    @property
    def is_gif(self) -> bool:
        """Return whether the clip shows each frame at its time, instead of each frame once."""
        return self.path.suffix == GIF

    def rate(self, recorded: float) -> float:
        """Return the pictures a second of the clip, rounded to 0.01: moviepy takes no more digits.

        recorded: mean frames a second of the run
        """
        if self.fps:
            return round(self.fps, 2)
        return _GIF_FPS if self.is_gif else min(max(recorded, 1.0), _MAX_FPS[MP4])

    @property
    def run_width(self) -> int | None:
        """Return the width of the clip, in pixels; None for the width of the frames."""
        if not self.width and self.overlay:
            return _DEFAULT_WIDTHS[self.path.suffix]
        return self.width or None


# pictures/all_pictures.py has the function of each
PICTURE_NAMES = (
    "history",
    "crop",
    "steering",
    "samples",
    "activations",
    "saliency-straight",
    "saliency-bend",
    "saliency-shadow",
    "predictions",
    "network",
)


CAMERA_PICTURE_NAMES = ("crop", "activations", "saliency")  # of one picture of a camera


@dataclass(frozen=True)
class PlotSettings(Checked):
    """Which pictures of a model to draw.

    data: what the model was trained on, a store or recordings (folders or logs), which some
        pictures need; or one picture of a camera, of which the model's view is drawn
    """

    model: Path = argument("a model file")
    data: tuple[str, ...] = argument(
        "what the model was trained on: a store, or recordings as folders or logs; or one JPEG or "
        "PNG of the camera",
        (),
        unit="STORE",
        shown="data.h5, if it exists",
    )
    output: Path | None = setting(
        None,
        "folder to draw into",
        unit="FOLDER",
        shown="plots/ in the run folder of the model, or MODEL-plots beside it if it has none",
        writes=True,
    )
    only: Names = setting(
        (),
        f"pictures to draw, separated by commas: {', '.join(PICTURE_NAMES)}; of one picture of the "
        f"camera: {', '.join(CAMERA_PICTURE_NAMES)}",
        shown="all",
        choices=tuple(dict.fromkeys((*PICTURE_NAMES, *CAMERA_PICTURE_NAMES))),
    )
    preprocess: PreprocessingText | None = setting(None)
    zero_fraction: Fraction | None = setting(
        None,
        "largest fraction of samples with zero steering in the balanced histogram",
        shown="as in the training",
        rare=True,
    )
