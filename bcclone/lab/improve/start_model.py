"""Read how a model was made, so that it is trained on with its own preprocessing, network, windows and augmentation."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

from bcclone.dataset.images import Preprocessing
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.feed.augment.augment_settings import AugmentSettings
from bcclone.system.errors import UserError
from bcclone.system.settings import current_names
from bcclone.train.train_settings import TrainSettings

_KEPT = ("network", "loss", "batch_size", "zero_fraction", *(each.name for each in fields(AugmentSettings)))


@dataclass(frozen=True)
class StartModel:
    """A model to train on from, as far as its file states how it was made.

    samples: how its samples were made; training: the settings that its training keeps.
    """

    path: Path
    preprocessing: Preprocessing
    samples: SampleSettings
    training: TrainSettings

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a model file; raises UserError for one of another program."""
        from bcclone.system.tensorflow_quietly import load_tensorflow

        load_tensorflow()
        from bcclone.model.model_file import ForeignModel, open_model

        file = open_model(path)
        if isinstance(file, ForeignModel):
            raise UserError(f"{path} is not a model of bcclone; first import it: bcclone import-model {path} -o NEW.h5")
        try:
            stored = file.training.samples
            samples = SampleSettings.stored(stored) if stored else SampleSettings()
            values = current_names(file.training.settings)  # models/lake.h5 has names of an older version
            kept = {name: values[name] for name in _KEPT if name in values}
            training = TrainSettings(**kept, seq_length=file.seq_length)
        except (ValueError, TypeError) as error:
            raise UserError(f"{path}: its training is described wrongly: {error}; train the model again") from None
        return cls(path, file.preprocessing, replace(samples, seq_length=file.seq_length), training)
