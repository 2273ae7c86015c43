"""Build the trainer: a new network or that of a model file, its optimizer and its augmenter.

make_trainer() takes the samples and the settings, and returns a `Trainer` that has not yet taken a
step.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bcclone.dataset.answer import outputs_of
from bcclone.dataset.labels import output_labels
from bcclone.dataset.store import Store, common_framing
from bcclone.feed.augment.on_device import DeviceAugmenter
from bcclone.feed.feed_settings import PATH
from bcclone.model.layer_kinds import DROPOUT, RECURRENT, layers_within
from bcclone.model.model_file import ModelFile, load_own_model
from bcclone.model.network import build_network, convolutions_for, layer_table
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError, number_of, shown_command
from bcclone.system.progress import Notify
from bcclone.system.tensorflow_quietly import random_state_kept
from bcclone.training.optimizer import make_optimizer
from bcclone.training.train_settings import FIXED, ON, TrainSettings
from bcclone.training.trainer import Trainer


def make_trainer(
    data: Store,
    settings: TrainSettings,
    labels: int = 1,
    strategy: Any = None,
) -> Trainer:
    """Return the trainer of an untrained network, or of the network in `settings.start`.

    Raises UserError when the samples do not suit the network.

    labels: number of labels of a sample
    strategy: a strategy of tf.distribute, to train on several devices
    """
    if strategy and settings.jit_compile == ON:
        raise UserError("--jit-compile on trains on one device; use --gpus 1, and one worker")
    if settings.deterministic:
        # this holds for the rest of the process, since TensorFlow cannot switch it off again
        tf.config.experimental.enable_op_determinism()
    # the path is learned only because that improves the steering; the saved network lacks it
    has_helping_outputs = settings.predict == PATH
    augmenter = None
    if settings.augment and settings.augment_on == "device":
        augmenter = DeviceAugmenter(settings, data.preprocessing)
    with _layers_drawn_from(settings.seed):
        # the network to save is another one only if it differs from the trained one: in its
        # outputs, or in whether its layers learn, which a model file states
        saved = None
        fixes_norms = settings.batch_norm == FIXED
        if has_helping_outputs or fixes_norms:
            saved_outputs = 1 if has_helping_outputs else labels
            saved = _first_network(data, settings, saved_outputs)
        with strategy.scope() if strategy else nullcontext():
            model = _first_network(data, settings, labels)
            for layer in layers_within(model):
                if isinstance(layer, keras.layers.BatchNormalization):
                    # without learning, it also computes in training as in a drive
                    layer.trainable = not fixes_norms
                    # with the statistics of the whole batch, not of a device's part
                    layer.synchronized = bool(strategy)
                elif isinstance(layer, RECURRENT) and settings.jit_compile == ON:
                    layer.use_cudnn = False  # XLA cannot compile operations of cuDNN
            devices = strategy.num_replicas_in_sync if strategy else 1
            optimizer = make_optimizer(model, settings.optimizer, settings.learning_rate, devices)
            return Trainer(
                model,
                optimizer,
                settings.batch_size,
                settings.jit_compile == ON,
                saved,
                augmenter,
                strategy,
            )


@contextmanager
def _layers_drawn_from(seed: int) -> Iterator[None]:
    """Let weights and dropout of the layers that are made in the block depend on the seed alone.

    keras.utils.set_random_seed() would leave the generators of the user's program seeded.
    """
    with random_state_kept():
        random.seed(seed)
        yield


# ---- what the user is told


def report_network(
    model: keras.Model, data: Store, settings: TrainSettings, notify: Notify
) -> None:
    """Tell the user the layers of the network, and what may be unexpected about it.

    That is: images of another size than the network was designed for, and recordings of several
    cameras, so that the model has no framing.
    """
    images = data.preprocessing
    usual = settings.architecture.convolutions
    if not settings.start and usual != convolutions_for(
        images.height, images.width, settings.architecture
    ):
        notify(
            f"note: images of {images.width}x{images.height} are too small for the "
            f"{len(usual)} convolutions of {settings.architecture.name}; the third is left out, "
            "and those after it are numbered from conv3 on"
        )
    notify(layer_table(model))
    if len({recording.framing for recording in data.recordings}) > 1:
        notify(
            "note: the recordings are of several cameras, so the model keeps the framing of none"
        )


# ---- the network to begin with


def _first_network(data: Store, settings: TrainSettings, outputs: int) -> keras.Model:
    """Return an untrained network, or with --from the network of that model.

    Raises UserError for a model that does not suit the samples.

    outputs: number of outputs of the network
    """
    if settings.start:
        model = _loaded_network(data, settings, settings.start, outputs)
    else:
        model = build_network(
            data.preprocessing.shape,
            settings.seq_length,
            network=settings.architecture,
            outputs=outputs,
        )
    return model if settings.dropout is None else with_dropout_rate(model, settings.dropout)


def with_dropout_rate(model: keras.Model, rate: float) -> keras.Model:
    """Return a copy of the network, with the same weights and this rate in its dropout layers.

    rate: 0 to less than 1
    """

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        is_over_time = isinstance(layer, keras.layers.TimeDistributed)
        if is_over_time and isinstance(layer.layer, keras.Sequential):
            single = keras.models.clone_model(layer.layer, clone_function=copied)
            return keras.layers.TimeDistributed(single, name=layer.name)
        config = layer.get_config()
        if isinstance(layer, DROPOUT):
            config["rate"] = rate
        return layer.from_config(config)

    copy = keras.models.clone_model(model, clone_function=copied)
    copy.set_weights(model.get_weights())
    return copy


def _loaded_network(data: Store, settings: TrainSettings, start: Path, outputs: int) -> keras.Model:
    """Return the network of a model file, with new outputs added if it has too few.

    Raises UserError for a model that does not suit the samples.

    outputs: number of outputs that the network is to have
    """
    file = load_own_model(start)
    _check_start(file, data, settings, start)
    model = file.model
    calibration = file.calibration
    last = model.layers[-1]
    if calibration and not _can_be_scaled(last):
        raise UserError(
            f"the last layer of {start} cannot take its calibration: it is not a dense layer with "
            "a bias and without an activation; fine-tune the model before its calibration"
        )
    if calibration:
        # a calibration maps the network's answers to the car's steering; the labels are the car's
        # steering, so it is multiplied into the last layer
        kernel, bias = last.get_weights()
        kernel[:, 0] *= calibration.gain
        bias[0] = calibration.gain * bias[0] + calibration.bias
        last.set_weights([kernel, bias])
    known = len(file.outputs)
    if known == outputs:
        return model
    if not _can_be_scaled(last):
        raise UserError(
            f"the last layer of {start} cannot get the outputs that --predict {settings.predict} "
            "adds: it is not a dense layer with a bias and without an activation; fine-tune it "
            "without --predict, or train a new network without --from"
        )
    # so that a new output does not begin with a large error, its bias is the mean of its labels
    first_answers = np.zeros(outputs - known)
    if settings.predict != PATH:
        new_outputs = outputs_of(settings.predict)[known:]
        first_answers = output_labels(data.rows, new_outputs).mean(axis=0)
    return _with_outputs(model, first_answers)


def _check_start(file: ModelFile, data: Store, settings: TrainSettings, start: Path) -> None:
    """Raise UserError when a model file does not suit the samples and settings of a training."""
    if file.seq_length != settings.seq_length:
        raise UserError(
            f"{start} takes {number_of(file.seq_length, 'frame')} at a time; "
            f"fine-tune it with --seq-length {file.seq_length}"
        )
    if len(file.outputs) > len(outputs_of(settings.predict)):
        last = file.outputs[-1]
        raise UserError(
            f"{start} predicts {last.column}, too; fine-tune it with --predict {last.predict}"
        )
    trained_as = file.training.network
    if trained_as and settings.network not in (None, trained_as):
        raise UserError(
            f"{start} is a network {trained_as}; leave out --network {settings.network} to "
            "fine-tune it"
        )
    images = file.preprocessing
    if images != data.preprocessing:
        store = f"data-{images.width}x{images.height}.h5"
        make = shown_command(
            "preprocess", "RECORDING", "-o", store, "--preprocess", images.describe()
        )
        raise UserError(
            f"{start} takes other images than those of {data.path}:\n"
            f"  the model: {images.describe()}\n  the data:  {data.preprocessing.describe()}\n"
            f"make a store for it: {make}"
        )
    if file.framing and file.framing != common_framing(data.recordings):
        raise UserError(
            f"{start} drives on {file.framing.describe()}, and the frames of {data.path} were "
            "made otherwise; import the recording again with the model's framing: "
            f"{shown_command('import', 'SOURCE', '--framing', 'FILE', '-o', 'recordings/NAME')}"
        )


def _can_be_scaled(layer: keras.layers.Layer) -> bool:
    """Return whether a calibration can be multiplied into the layer: linear, and with a bias."""
    if not isinstance(layer, keras.layers.Dense):
        return False
    return bool(layer.use_bias) and layer.activation is keras.activations.linear


def _with_outputs(model: keras.Model, first_answers: FloatArray) -> keras.Model:
    """Return a network with added outputs; the answers of the earlier ones stay the same.

    first_answers: what the new outputs answer to any image before they are trained, (added,)
    """
    last = model.layers[-1]
    added = len(first_answers)
    wider = keras.layers.Dense(last.units + added, dtype="float32", name=last.name)
    widened = keras.Model(model.inputs[0], wider(model.layers[-2].output))
    kernel, bias = last.get_weights()
    wide_kernel = np.pad(kernel, ((0, 0), (0, added)))
    wide_bias = np.append(bias, first_answers.astype(bias.dtype))
    wider.set_weights([wide_kernel, wide_bias])
    return widened
