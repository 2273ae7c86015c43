"""The model to begin an improvement with: a model file -> how it was trained."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.feed.feed_settings import AugmentSettings
from bcclone.system.errors import UserError
from bcclone.system.tensorflow_quietly import load_tensorflow, onednn_for_batches
from bcclone.system.values import names_of
from bcclone.training.train_settings import TrainSettings

# names of the settings that a training takes over from the training before it
_INHERITED = ("network", "loss", "batch_size", "zero_fraction", *names_of(AugmentSettings))


@dataclass(frozen=True)
class StartModel:
    """How the model to begin with was trained, as far as later trainings keep to it."""

    preprocessing: Preprocessing
    samples: SampleSettings
    training: TrainSettings  # only the settings in _INHERITED and seq_length are the model's own

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a model file; raises UserError for a file that another program has written."""
        load_tensorflow(onednn=onednn_for_batches())  # the trainings run in this process
        from bcclone.model.model_file import load_own_model

        file = load_own_model(path)
        try:
            samples = SampleSettings()
            if file.training.samples:
                samples = SampleSettings.stored(file.training.samples)
            values = file.training.settings
            inherited = {name: values[name] for name in _INHERITED if name in values}
            training = TrainSettings(**inherited, seq_length=file.seq_length)
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{path}: its training is described wrongly: {error}; train the model again"
            ) from None
        samples = replace(samples, seq_length=file.seq_length)
        return cls(file.preprocessing, samples, training)
