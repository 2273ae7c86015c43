"""Build what is trained: a new network, or that of a model file, with its optimizer and its
augmenter.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bcclone.dataset.answer import outputs_of
from bcclone.dataset.labels import output_labels
from bcclone.dataset.preprocessing import PRESETS
from bcclone.dataset.store import common_framing
from bcclone.feed.augment.on_device import DeviceAugmenter
from bcclone.feed.feed_settings import AUTO, PATH
from bcclone.feed.selection import Selection, TrainingData
from bcclone.model.architectures import ARCHITECTURES
from bcclone.model.layer_kinds import DROPOUT
from bcclone.model.loaded_model import ModelFile
from bcclone.model.model_file import load_own_model
from bcclone.model.network import build_network, convolutions_for, layer_table
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError
from bcclone.system.progress import Notify
from bcclone.system.tensorflow_quietly import gpu_compiler_fault
from bcclone.training.plan import Plan, Worker
from bcclone.training.train_settings import OFF, ON, LearningSettings, TrainSettings
from bcclone.training.trainer import Trainer


def prepare_trainer(
    plan: Plan, samples: Selection, notify: Notify, worker: Worker
) -> tuple[Plan, Trainer]:
    """Return the plan with the device that augments decided, and its trainer.

    Reports the layers of the network, how a new one differs from its design because of the images,
    and what is lost: the framings of several cameras, and a calibration that the network cannot
    take.
    """
    settings, data, fault = plan.settings, samples.data, gpu_compiler_fault()
    on_gpu, alone = bool(tf.config.list_logical_devices("GPU")), worker.count == settings.gpus == 1
    settings = with_devices(settings, on_gpu, fault)
    compiled = replace(settings, jit_compile=by_xla(settings, on_gpu and alone, fault))
    trainer = worker.make_trainer(data, compiled, samples.arrays.labels.shape[1])
    if fault and settings.jit_compile == AUTO:
        notify(
            f"note: XLA cannot compile for this GPU, so it trains step by step, augmenting on the CPU: {fault}"
        )
    elif on_gpu and alone and settings.deterministic:
        notify(
            "note: --deterministic trains step by step: XLA chooses the kernels that are fastest when it tries them"
        )
    start, architecture, images = (
        settings.start,
        ARCHITECTURES[settings.network],
        data.preprocessing,
    )
    height, width, preset = images.height, images.width, architecture.preset
    if preset and not start and images != PRESETS[preset]:
        notify(
            f"note: {settings.network} was published for images like those of --preprocess {preset}"
        )
    elif (
        not (preset or start)
        and convolutions_for(height, width, architecture) != architecture.convolutions
    ):
        notify(
            f"note: images of {width}x{height} are too small for conv3; using the convolutions of cnn-64"
        )
    notify(layer_table(trainer.model))
    if len({recording.framing for recording in data.recordings}) > 1:
        notify(
            "note: the recordings are of several cameras, so the model keeps the framing of none"
        )
    if start and not _can_be_scaled(trainer.model.layers[-1]) and load_own_model(start).calibration:
        notify(
            f"note: the last layer of {start} cannot take its gain and bias; the training begins without them"
        )
    return replace(plan, settings=settings), trainer


def make_trainer(
    data: TrainingData,
    settings: TrainSettings,
    labels: int = 1,
    kind: Callable[..., Trainer] = Trainer,
    strategy: Any = None,
) -> Trainer:
    """Return the trainer of an untrained network, or of the network in the model file
    `settings.start`.

    labels: number of labels of a sample; kind: makes the trainer; strategy: of tf.distribute, for
    several devices. Raises UserError when the samples do not suit the network.
    """
    if settings.deterministic:
        # of the whole process: TensorFlow cannot go back
        tf.config.experimental.enable_op_determinism()
    helps = settings.predict == PATH  # these outputs only help in training
    augmenter = None
    if settings.augment and settings.augment_on == "device":
        augmenter = DeviceAugmenter(settings, data.preprocessing, settings.sampling.whole_images)
    with _layers_drawn_from(settings.seed), _dtype_policy_kept():
        saved = (
            _first_network(data, settings, 1 if helps else labels)
            if settings.mixed_precision or helps
            else None
        )
        if settings.mixed_precision:
            keras.config.set_dtype_policy("mixed_float16")
        with strategy.scope() if strategy else nullcontext():
            model = _first_network(data, settings, labels)
            optimizer = make_optimizer(
                model, settings, strategy.num_replicas_in_sync if strategy else 1
            )
            return kind(model, optimizer, settings, saved, augmenter)


@contextmanager
def _layers_drawn_from(seed: int) -> Iterator[None]:
    """Make layers in the block whose weights and dropout follow from the seed; all else draws on as
    before.

    Keras draws a seed for each of them from Python's generator. Its set_random_seed() would leave a
    program's own generators seeded.
    """
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


@contextmanager
def _dtype_policy_kept() -> Iterator[None]:
    before = keras.config.dtype_policy()
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def make_optimizer(
    model: keras.Model, settings: LearningSettings, devices: int = 1
) -> keras.optimizers.Optimizer:
    """Return AdamW for the network. devices: each of them passes its fraction of the gradient to
    Keras.
    """
    adam = keras.optimizers.AdamW(
        settings.learning_rate,
        weight_decay=settings.weight_decay,
        global_clipnorm=settings.clip_norm / devices or None,
    )
    adam.exclude_from_weight_decay(var_names=["bias"])
    optimizer = keras.optimizers.LossScaleOptimizer(adam) if settings.mixed_precision else adam
    optimizer.build(model.trainable_variables)
    return optimizer


def with_devices(settings: TrainSettings, on_gpu: bool, fault: str) -> TrainSettings:
    """Return the settings with augment_on "auto" decided. fault: why XLA cannot compile for the
    GPU, "" if it can.
    """
    if settings.augment_on != AUTO:
        return settings
    return replace(settings, augment_on="device" if on_gpu and not fault else "cpu")


def by_xla(settings: LearningSettings, on_gpu: bool, fault: str) -> str:
    """Return whether XLA compiles whole steps, ON or OFF: as set; auto: on a GPU that it can
    compile for.

    Never on a GPU that is to be deterministic.
    """
    if on_gpu and settings.deterministic:
        return OFF
    if settings.jit_compile != AUTO:
        return settings.jit_compile
    return ON if on_gpu and not fault else OFF


def _first_network(data: TrainingData, settings: TrainSettings, outputs: int) -> keras.Model:
    """Return an untrained network with so many outputs, or that of the model file to begin with;
    raises UserError.
    """
    if settings.start:
        model = _loaded_network(data, settings, settings.start, outputs)
    else:
        model = build_network(
            data.preprocessing.shape, settings.seq_length, settings.network, outputs
        )
    return model if settings.dropout is None else with_dropout_rate(model, settings.dropout)


def with_dropout_rate(model: keras.Model, rate: float) -> keras.Model:
    """Return a copy of the network with the same weights, whose dropout layers have this rate, 0 to
    less than 1.
    """

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.TimeDistributed) and isinstance(
            layer.layer, keras.Sequential
        ):
            each = keras.models.clone_model(layer.layer, clone_function=copied)
            return keras.layers.TimeDistributed(each, name=layer.name)
        return layer.from_config(
            layer.get_config() | ({"rate": rate} if isinstance(layer, DROPOUT) else {})
        )

    copy = keras.models.clone_model(model, clone_function=copied)
    copy.set_weights(model.get_weights())
    return copy


def _loaded_network(
    data: TrainingData, settings: TrainSettings, start: Path, outputs: int
) -> keras.Model:
    file = load_own_model(start)
    if file.seq_length != settings.seq_length:
        count = f"{file.seq_length} frame{'s' * (file.seq_length > 1)}"
        raise UserError(
            f"{start} takes {count} at a time; fine-tune it with --seq-length {file.seq_length}"
        )
    if len(file.outputs) > len(outputs_of(settings.predict)):
        last = file.outputs[-1]
        raise UserError(
            f"{start} predicts {last.column}, too; fine-tune it with --predict {last.predict}"
        )
    if (taken := file.preprocessing) != data.preprocessing:
        store = f"data-{taken.width}x{taken.height}.h5 --preprocess '{taken.describe()}'"
        raise UserError(
            f"{start} takes other images than those of {data.path}:\n"
            f"  the model: {taken.describe()}\n  the data:  {data.preprocessing.describe()}\n"
            f"make a store for it: bcclone preprocess RECORDING -o {store}"
        )
    if file.framing and file.framing != common_framing(data.recordings):
        raise UserError(
            f"{start} drives on {file.framing.describe()}, and the frames of {data.path} were made otherwise; import "
            "the recording again with the model's framing: bcclone import SOURCE --framing FILE"
        )
    model = _as_network(file, settings)
    last, calibration = model.layers[-1], file.calibration
    if calibration and _can_be_scaled(
        last
    ):  # the network then answers in the car's steering, which the labels are
        kernel, bias = last.get_weights()
        kernel[:, 0] *= calibration.gain
        bias[0] = calibration.gain * bias[0] + calibration.bias
        last.set_weights([kernel, bias])
    if len(file.outputs) == outputs:
        return model
    begin = np.zeros(outputs - len(file.outputs))
    if settings.predict != PATH:
        begin = output_labels(data.rows, outputs_of(settings.predict)[len(file.outputs) :]).mean(
            axis=0
        )
    return _with_outputs(model, begin)


def _as_network(file: ModelFile, settings: TrainSettings) -> keras.Model:
    """Return the model of a file, as the network that was asked for if that has the same weights.

    Never convert to the default network: it would lose the variant's input layers.
    """
    trained_as = file.training.network or settings.network
    if trained_as == settings.network:
        return file.model
    weights = file.model.get_weights()
    if settings.network != TrainSettings().network and not ARCHITECTURES[settings.network].preset:
        model = build_network(
            file.preprocessing.shape, file.seq_length, settings.network, len(file.outputs)
        )
        if [each.shape for each in model.get_weights()] == [each.shape for each in weights]:
            model.set_weights(weights)
            return model
    raise UserError(
        f"{settings.start} is a network {trained_as}, whose weights {settings.network} cannot take; fine-tune it with "
        f"--network {trained_as}"
    )


def _can_be_scaled(layer: keras.layers.Layer) -> bool:
    linear = keras.activations.linear
    return isinstance(layer, keras.layers.Dense) and layer.use_bias and layer.activation is linear


def _with_outputs(model: keras.Model, begin: FloatArray) -> keras.Model:
    """Return a network with more outputs, which are `begin`, (added,), at first, and so disturb the
    others little.
    """
    last = model.layers[-1]
    wider = keras.layers.Dense(last.units + len(begin), dtype="float32", name=last.name)
    widened = keras.Model(model.inputs[0], wider(model.layers[-2].output))
    kernel, bias = last.get_weights()
    wider.set_weights(
        [np.pad(kernel, ((0, 0), (0, len(begin)))), np.append(bias, begin.astype(bias.dtype))]
    )
    return widened
