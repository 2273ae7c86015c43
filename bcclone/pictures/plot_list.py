"""The pictures of a model: their names, where they are drawn, and what a report says of them.

A picture is a function of a Subject and the path of a PNG. It raises NotDrawn if the subject lacks what it needs.
Loads neither TensorFlow nor matplotlib, so that --help answers at once.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plot:
    """A picture. module: of bcclone.pictures.plots, which defines plot_NAME; caption: in the report of a training.

    The report leaves out those without a caption, which say nothing of this training, or little.
    """

    name: str
    module: str
    caption: str = ""


PLOTS = (
    Plot("history", "charts", "The losses and errors of each epoch"),
    Plot("crop", "activations", "What the network sees of a frame"),
    Plot("recovery", "charts"),
    Plot("recovery-frames", "sample_pictures"),
    Plot("steering", "charts", "The steering of the training samples"),
    Plot("samples", "sample_pictures", "Samples as they are fed, before and after augmentation"),
    Plot("activations", "activations"),
    Plot("saliency", "predictions", "Where the network looks: the pixels that its steering depends on most"),
    Plot("predictions", "predictions", "The network's steering beside the recorded steering and the labels"),
    Plot("network", "diagram"),
)
PICTURE_NAMES = tuple(plot.name for plot in PLOTS)
