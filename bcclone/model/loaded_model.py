"""A model in memory: a network, how its frames are prepared, and how it was trained.

model_file.py reads a file into a `ModelFile`; policy.py makes a policy of it.
"""

from dataclasses import dataclass

import keras

from bcclone.camera.framing import Framing
from bcclone.dataset.answer import OUTPUTS, Output
from bcclone.dataset.preprocessing import Preprocessing, preprocessing_of
from bcclone.dataset.preprocessing_text import EACH_IMAGE, RAW, scale_text, scaling_of
from bcclone.model.recurrent import Steps, steps_of
from bcclone.model.steering_calibration import SteeringCalibration
from bcclone.model.training_info import TrainingInfo


@dataclass(frozen=True)
class ModelFile:
    """The content of a model file, or of a file of another program with its preprocessing."""

    model: keras.Model
    # makes the network's input; its `scale` is what pixel_scale.stated_scale() returns: "" if
    # layers of the network's author scale the pixels
    preprocessing: Preprocessing
    training: TrainingInfo = TrainingInfo()
    # how pictures of the car's camera become frames; None for the simulator's camera
    framing: Framing | None = None
    # turns the network's steering into the car's; None if they are the same
    calibration: SteeringCalibration | None = None

    @property
    def seq_length(self) -> int:
        shape = self.model.input_shape
        takes_windows = len(shape) == 5  # (batch, frames, rows, columns, channels)
        return int(shape[1]) if takes_windows else 1

    @property
    def steps(self) -> Steps | None:
        """Return the recurrent network as a function of one frame and its states.

        None for a network that gets a window of frames at each step of a drive, as all networks of
        other programs do.
        """
        return steps_of(self.model) if self.training.imported is None else None

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Return what the numbers of an answer are, in their order: the steering is the first."""
        return OUTPUTS[: self.model.output_shape[-1]]

    def contradiction(self, given: Preprocessing | str) -> str:
        """Return how a given preprocessing differs from the file's, "" if it is the same.

        Returns the end of an error message. Raises UserError for a text that is no preprocessing.
        """
        stated = self.preprocessing
        if isinstance(given, str):
            given = preprocessing_of(given, (stated.width, stated.height))
        scale = given.scale
        if scale not in ("", EACH_IMAGE):
            # as a file writes it, so that equal scales are equal texts
            scale = scale_text(scaling_of(scale))
        # == of two preprocessings does not compare their scales. A given "" agrees with every
        # scale; with a file's "", the network gets raw pixels, which its own layers scale.
        if given == stated and scale in ("", stated.scale or RAW):
            return ""

        remedy = "leave out --preprocess"
        if self.training.imported:
            remedy += ", or import its old file again with this --preprocess"
        scaled_by = "" if stated.scale else ", which its own layers scale"
        return (
            f"states its own preprocessing, but a different one is given; {remedy}\n"
            f"  of the file: {stated.describe()}{scaled_by}\n"
            f"  given:       {given.describe()}"
        )
