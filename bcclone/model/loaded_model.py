"""A model in memory: a network, how its frames are prepared, and how it was trained.

model_file.py reads a file into a `ModelFile`; policy.py makes a policy of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import keras

from bcclone.camera.framing import Framing
from bcclone.dataset.answer import OUTPUTS, Output
from bcclone.dataset.preprocessing import Preprocessing, preprocessing_of
from bcclone.dataset.preprocessing_text import EACH_IMAGE, RAW, scale_text, scaling_of
from bcclone.model.recurrent import Steps, steps_of
from bcclone.model.steering_calibration import SteeringCalibration
from bcclone.system.codec import parse_json
from bcclone.system.json_values import from_json, names_of

# model files of older versions, such as models/lake.h5, name some settings otherwise: the name in
# such a file -> the name now
_RENAMED = {"look": "appearance", "zero_share": "zero_fraction", "workers": "feed_workers"}


@dataclass(frozen=True)
class TrainingInfo:
    """How a model was trained, as far as its file states it."""

    settings: Mapping[str, Any] = field(default_factory=dict)  # values of TrainSettings by name
    samples: Mapping[str, Any] = field(default_factory=dict)  # values of SampleSettings by name
    store_content_hash: str | None = None  # hash of the samples that it was trained on
    epoch: int | None = None  # the epoch after which the weights were saved
    val_loss: float | None = None  # validation loss of these weights
    imported: Mapping[str, Any] | None = None  # where a model of another program came from

    @property
    def network(self) -> str | None:
        return self.settings.get("network")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a JSON object, ignoring unknown names; raises ValueError for any other text."""
        stored = parse_json(text)
        if isinstance(stored, dict):
            stored = {name: stored[name] for name in names_of(cls) if name in stored}
        training = from_json(cls, stored)
        settings = {_RENAMED.get(name, name): value for name, value in training.settings.items()}
        return replace(training, settings=settings)


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
