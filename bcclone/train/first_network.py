"""Make the network that a training begins with: an untrained one, or that of a model file."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from bcclone.dataset.images import PRESETS, Preprocessing
from bcclone.dataset.labels import learned_speeds
from bcclone.feed.feed_settings import THROTTLE
from bcclone.feed.selection import TrainingData
from bcclone.model.model_file import ForeignModel, open_model
from bcclone.model.network import build_network
from bcclone.system.errors import UserError
from bcclone.train.train_settings import TrainSettings


def first_network(data: TrainingData, settings: TrainSettings, start: Path | None, outputs: int) -> keras.Model:
    """Return an untrained network with so many outputs, or that of the model file `start`; raises UserError."""
    preprocessing = data.preprocessing
    if start is None:
        height, width = preprocessing.height, preprocessing.width
        return build_network(height, width, settings.seq_length, settings.network, outputs)
    file = open_model(start)
    if isinstance(file, ForeignModel):
        raise UserError(f"{start} is not a model of bcclone; first import it: bcclone import-model {start} -o NEW.h5")
    trained_as = file.training.network or settings.network
    if trained_as != settings.network:
        raise UserError(f"{start} is another network; fine-tune it with --network {trained_as}")
    if file.seq_length != settings.seq_length:
        count = f"{file.seq_length} frame{'s' * (file.seq_length > 1)}"
        raise UserError(f"{start} takes {count} at a time; fine-tune it with --seq-length {file.seq_length}")
    if len(file.outputs) > 1 and settings.predict != THROTTLE:
        raise UserError(f"{start} predicts the speed, too; fine-tune it with --predict {THROTTLE}")
    if file.preprocessing != preprocessing:
        raise UserError(
            f"{start} takes other images than those of {data.path}:\n"
            f"  the model: {file.preprocessing.describe()}\n  the data:  {preprocessing.describe()}\n"
            f"make a store for it: python preprocess.py RECORDING -o {_store_for(file.preprocessing)}"
        )
    if len(file.outputs) == outputs:
        return file.model
    if settings.predict != THROTTLE:
        return _with_outputs(file.model, outputs, begin=0.0)
    rows = data.rows
    speeds = learned_speeds(rows["episode"], rows["time_ms"], rows["speed_mph"])
    return _with_outputs(file.model, outputs, begin=float(speeds.mean()))


def _store_for(preprocessing: Preprocessing) -> str:
    """Return a name for a store of such images, and the options of preprocess.py that make them, if there are any."""
    return f"data-{preprocessing.width}x{preprocessing.height}.h5{_options_for(preprocessing)}"


def _options_for(preprocessing: Preprocessing) -> str:
    for name, preset in PRESETS.items():
        if preset == preprocessing:
            return f" --preprocess {name}"
    width, height = preprocessing.width, preprocessing.height
    if preprocessing == replace(Preprocessing(), width=width, height=height):
        return f" --size {width}x{height}"
    return ""


def _with_outputs(model: keras.Model, outputs: int, begin: float) -> keras.Model:
    """Return a network with further outputs, which say `begin` at first, and so disturb the others little."""
    last = model.layers[-1]
    wider = keras.layers.Dense(outputs, dtype="float32", name=last.name)
    widened = keras.Model(model.inputs[0], wider(model.layers[-2].output))
    kernel, bias = last.get_weights()
    added = outputs - len(bias)
    wider.set_weights([np.pad(kernel, ((0, 0), (0, added))), np.append(bias, np.full(added, begin, bias.dtype))])
    return widened
