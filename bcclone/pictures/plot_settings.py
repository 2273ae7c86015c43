"""The pictures of a model, and the settings of drawing them.

A picture is drawn by a function of a Subject and the path of a PNG. The function raises NotDrawn if
the subject lacks what the picture needs. This module loads neither TensorFlow nor matplotlib, so
that --help answers at once.
"""

from dataclasses import dataclass
from pathlib import Path

from bcclone.dataset.preprocessing_text import PreprocessingText
from bcclone.system.settings import Checked, Fraction, Names, Seed, SettingError, argument, setting

_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}
_HISTOGRAM = "histogram of the steering"


@dataclass(frozen=True)
class Plot:
    """A picture of a model, drawn by plot_NAME() of a module.

    module: module of bcclone.pictures.plots
    caption: its caption in the report of a training; "" for a picture that says little about the
        training, which the report leaves out
    """

    name: str
    module: str
    caption: str = ""


PLOTS = (
    Plot("history", "charts", "The losses and errors of each epoch"),
    Plot("crop", "crop_pictures", "What the network sees of a frame"),
    Plot("recovery", "charts"),
    Plot("recovery-frames", "charts"),
    Plot("steering", "charts", "The steering of the training samples"),
    Plot("samples", "sample_pictures", "Samples as they are fed, before and after augmentation"),
    Plot("activations", "activation_pictures"),
    Plot(
        "saliency",
        "answer_pictures",
        "Where the network looks: the pixels that its steering depends on most",
    ),
    Plot(
        "predictions",
        "answer_pictures",
        "The network's steering beside the recorded steering and the labels",
    ),
    Plot("network", "network_diagram"),
)
PICTURE_NAMES = tuple(plot.name for plot in PLOTS)


@dataclass(frozen=True)
class PlotSettings(Checked):
    """Which pictures of a model to draw.

    data: what the model was trained on, a store or recordings (folders or logs), which some
        pictures need; or one image, for one picture of what the model sees in it
    """

    model: Path = argument("a model file")
    data: tuple[str, ...] = argument(
        "what the model was trained on: a store, or recordings as folders or logs; or one image to "
        "explore, a camera "
        "frame of the simulator",
        (),
        unit="STORE",
        shown="data.h5, if it exists",
    )
    output: Path | None = setting(
        None,
        "folder to draw into",
        unit="FOLDER",
        shown="plots/ in the run folder of the model, or MODEL-plots if it has none",
    )
    only: Names = setting(
        (),
        f"pictures to draw, separated by commas: {', '.join(PICTURE_NAMES)}",
        shown="all",
        choices=PICTURE_NAMES,
    )
    runs: Path = setting(
        Path("runs"), "folder of the run folders, one of which has the history of the model"
    )
    preprocess: PreprocessingText | None = setting(None)
    zero_fraction: Fraction | None = setting(
        None,
        "largest fraction of samples with zero steering in the balanced histogram",
        shown="as in the training",
        group=_HISTOGRAM,
        rare=True,
    )
    seed: Seed = setting(
        0, "seed of the samples that balancing leaves out", group=_HISTOGRAM, rare=True
    )

    def validate(self) -> None:
        if self.image and len(self.data) > 1:
            # {image} is a fact, and below, {only} becomes the option's name: see SettingError
            raise SettingError(
                "{image} beside other samples, expected one image alone, or a store or recordings",
                image=self.image,
            )
        if self.image and self.only:
            raise SettingError("an image is explored in one picture; leave out {only}")

    @property
    def image(self) -> Path | None:
        """Return the image to explore, None to draw pictures of samples."""
        return next(
            (path for path in map(Path, self.data) if path.suffix.lower() in _IMAGE_SUFFIXES), None
        )
