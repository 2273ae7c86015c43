"""Train a network: run(settings) does what `python model.py` does.

    from bcclone import train

    settings = train.RunSettings(data=("data.h5",), training=train.TrainSettings(epochs=5))
    result = train.run(settings, notify=print)

Importing this loads neither TensorFlow nor Keras; run() does.
"""

from typing import TYPE_CHECKING

from bcclone.augment.settings import AugmentSettings
from bcclone.feed.settings import FeedSettings
from bcclone.lazy import lazy_attributes
from bcclone.train.run_settings import RunSettings
from bcclone.train.settings import CheckpointSettings, TrainSettings
from bcclone.train.state import TrainResult

if TYPE_CHECKING:
    from bcclone.train.runner import run

__all__ = [
    "AugmentSettings",
    "CheckpointSettings",
    "FeedSettings",
    "RunSettings",
    "TrainResult",
    "TrainSettings",
    "run",
]

__getattr__ = lazy_attributes(__name__, {"run": "runner"})
