"""How a model was trained, as its file states it; loads no Keras."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from bcclone.system.codec import parse_json
from bcclone.system.hdf5_file import open_hdf5, read_attribute
from bcclone.system.values import from_json, names_of

TRAINING = "bcclone_training"  # name of the attribute of a model file
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


def stated_network(path: Path) -> str | None:
    """Return the name of the network in a model file of bcclone.

    None for a file that states no name, which includes every file that cannot be read: loading the
    model tells why.
    """
    try:
        with open_hdf5(path) as file:
            return TrainingInfo.from_json(read_attribute(file, TRAINING, str)).network
    except (OSError, ValueError):
        return None
