"""What a model file states besides its network: its training, and the car it was calibrated to.

The attributes are JSON; reading them loads no Keras.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from bcclone.model.architectures import ARCHITECTURES
from bcclone.system.codec import parse_json
from bcclone.system.hdf5_file import open_hdf5, read_attribute
from bcclone.system.values import from_json, names_of

# names of attributes of a model file
PREPROCESSING = "bcclone_preprocessing"
PREPROCESSING_HASH = "bcclone_preprocessing_hash"
TRAINING = "bcclone_training"
FRAMING = "bcclone_framing"  # and of the metadata of exported files
CALIBRATION = "bcclone_calibration"


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
        return from_json(cls, stored)


def stated_network(path: Path) -> str | None:
    """Return the name of the network in a model file of bcclone.

    None for a file that states no network of today, which includes every file that cannot be read:
    loading the model tells why.
    """
    try:
        with open_hdf5(path) as file:
            network = TrainingInfo.from_json(read_attribute(file, TRAINING, str)).network
    except (OSError, ValueError):
        return None
    return network if network in ARCHITECTURES else None


@dataclass(frozen=True)
class SteeringCalibration:
    """Turns a network's steering into a car's: gain x the network's steering + bias."""

    gain: float
    bias: float = 0.0
    # how much later than the network the driver steered; below 0 if the pictures were late. The
    # answers of `predict` follow as late, those of a drive do not
    delay_seconds: float = 0.0

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, asdict(self).values())):
            raise ValueError(f"a calibration of {asdict(self)}, expected finite numbers")

    def apply(self, steering: float) -> float:
        """Return the car's steering, -1 to 1; NaN stays NaN."""
        value = self.gain * steering + self.bias
        return value if math.isnan(value) else min(max(value, -1.0), 1.0)
