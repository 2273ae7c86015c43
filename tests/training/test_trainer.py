"""A training step: losses, gradients, programs of several steps, several devices."""

import gc
import weakref
from itertools import islice

import keras
import numpy as np
import pytest
import tensorflow as tf

from bcclone.dataset.shards import open_store
from bcclone.feed.device import GatherOnDevice
from bcclone.feed.feed import open_feed
from bcclone.feed.feed_settings import AugmentSettings, FeedSettings
from bcclone.feed.selection import Batch, select
from bcclone.model.model_file import save_model
from bcclone.system.errors import UserError
from bcclone.training.plan import fit_to_device, fit_to_samples
from bcclone.training.prepare import make_trainer
from bcclone.training.train_settings import TrainSettings
from bcclone.training.trainer import Trainer
from tests.processes import python
from tests.running import ROOT

# a program of its own, because TensorFlow makes its devices once in a process
TOGETHER = """
from types import SimpleNamespace
import numpy as np, keras, tensorflow as tf
cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from bcclone.feed.augment.changes import AugmentationInputs, draw
from bcclone.feed.selection import Batch
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.training.prepare import make_trainer
from bcclone.training.train_settings import TrainSettings

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

def train(strategy, augment_on, optimizer, network="cnn", sizes=(8, 7, 1)):
    keras.utils.set_random_seed(0)
    data = SimpleNamespace(preprocessing=Preprocessing(width=64, height=112))
    settings = TrainSettings(
        seq_length=1,
        learning_rate=1e-3,
        augment_on=augment_on,
        optimizer=optimizer,
        network=network,
    )
    trainer = make_trainer(data, settings, 1, strategy)
    # two devices would draw other random numbers than one
    for layer in trainer.model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    random = np.random.default_rng(0)
    for size in sizes:
        images = random.integers(0, 256, (size, 112, 64, 3), dtype=np.uint8)
        augmentation = ()
        if augment_on == "device":
            flipped = random.random(size) < 0.5
            lookahead_m = np.full(size, 12, np.float32)
            augmentation = AugmentationInputs(flipped, lookahead_m, *draw(size, (size,)))
        trainer.train([Batch(images, random.random((size, 1), np.float32), augmentation)], [0.001])
    variables = trainer.optimizer.variables
    moments = [np.array(variable).ravel() for variable in variables if "momentum" in variable.path]
    return np.concatenate(moments), trainer.mean_errors()

for chosen in (
    ("cpu", "adamw"),
    ("device", "adamw"),
    ("cpu", "muon"),
    # a part that is filled up counts a sample twice in the statistics
    ("cpu", "muon", "cnn-small", (8, 6, 1)),
):
    single, single_means = train(None, *chosen)
    together, means = train(strategy, *chosen)
    apart = abs(single - together).max()
    assert np.allclose(single, together, rtol=1e-2, atol=1e-4 * abs(single).max()), apart
    assert np.allclose(single_means, means, rtol=1e-3), (single_means, means)
print("same")
"""


@pytest.mark.long
def test_two_devices_train_like_one():
    """Also batches of odd size, and of a single sample, of which one device gets none."""
    assert python(TOGETHER, cwd=ROOT) == "same\n"


def test_a_compiled_step_is_refused_on_several_devices():
    with pytest.raises(UserError, match="jit-compile on.*--gpus 1"):
        make_trainer(None, TrainSettings(jit_compile="on"), 1, object())


def linear_trainer(rate=0.1, shape=(1, 1, 1), batch_size=32, jit_compile="off"):
    """Return a trainer of steering = weight * pixel, for each pixel; all weights are 0 at first."""
    model = keras.Sequential(
        [
            keras.Input(shape, dtype="uint8"),
            keras.layers.Rescaling(1.0),
            keras.layers.Flatten(),
            keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros"),
        ]
    )
    optimizer = keras.optimizers.SGD(rate)
    optimizer.build(model.trainable_variables)
    return Trainer(model, optimizer, batch_size, jit_compile == "on")


@pytest.mark.parametrize("jit_compile", ["off", "on"])
def test_the_loss_and_its_gradient_are_those_of_squared_errors(jit_compile):
    trainer = linear_trainer(jit_compile=jit_compile)
    batch = Batch(np.ones((2, 1, 1, 1), np.uint8), np.array([[0.5], [0.05]], np.float32))
    *errors, steering = trainer.evaluate([batch])
    assert errors == pytest.approx([(0.25 + 0.0025) / 2, 0.275], rel=1e-5)
    assert steering.tolist() == [0, 0]
    trainer.train([batch], [0.5])
    assert trainer.model.get_weights()[0].item() == pytest.approx(0.5 * 0.55, rel=1e-5)


def batches_of(trainer, images, labels, sizes):
    """Return batches of these sizes as a feed gives them to the trainer.

    They have images, or for a trainer of one program, positions as those of the feed "device".
    """
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    parts = [slice(start, start + size) for start, size in zip(starts, sizes, strict=True)]
    if not trainer.is_one_program:
        return [Batch(images[part], labels[part]) for part in parts]

    frames = tf.constant(images)

    def gather(positions):
        return tf.gather(frames, positions)

    positions = np.arange(len(images), dtype=np.int32)
    return [Batch(positions[part], labels[part], gather=gather) for part in parts]


def test_a_program_of_several_steps_gives_the_weights_of_single_ones():
    """The last batch is smaller: what fills it up counts neither in the loss nor in the totals."""
    sizes = [4] * 24 + [3]
    images = np.random.default_rng(0).integers(0, 256, (sum(sizes), 1, 1, 1), np.uint8)
    labels = (images[:, 0, 0] / 300).astype(np.float32)
    results = {}
    for jit_compile in ("off", "on"):
        trainer = linear_trainer(rate=1e-7, batch_size=4, jit_compile=jit_compile)
        batches = batches_of(trainer, images, labels, sizes)
        rates = [1e-7 * (number + 1) for number in range(len(batches))]
        trainer.train(batches[:20], rates[:20])
        trainer.train(batches[20:], rates[20:])
        totals = trainer.mean_errors()
        *means, steering = trainer.evaluate(batches)
        (weight,) = trainer.model.get_weights()
        results[jit_compile] = [*weight.ravel(), *totals, *means, *steering]
    assert results["on"] == pytest.approx(results["off"], rel=1e-5)
    assert results["off"][0] > 1e-3
    assert trainer.compilations == 2  # a program of steps, and one of validation


def test_padding_repeats_a_batch_so_that_its_batch_normalization_stays_the_same():
    model = keras.Sequential(
        [
            keras.Input((1, 1, 1), dtype="uint8"),
            keras.layers.Rescaling(1.0),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(1, kernel_initializer="ones"),
        ]
    )
    begin = model.get_weights()
    images = np.array([10, 200, 30, 110, 70, 150], np.uint8).reshape(6, 1, 1, 1)
    labels = np.ones((6, 1), np.float32)
    weights = {}
    for jit_compile in ("off", "on"):
        model.set_weights(begin)
        optimizer = keras.optimizers.SGD(0.01)
        optimizer.build(model.trainable_variables)
        trainer = Trainer(model, optimizer, 4, jit_compile == "on")
        trainer.train(batches_of(trainer, images, labels, [4, 2]), [0.01, 0.01])
        weights[jit_compile] = np.concatenate([weight.ravel() for weight in model.get_weights()])
    assert weights["on"] == pytest.approx(weights["off"], rel=1e-4)


def trained_on(feed, data, augment):
    """Return a trainer of one program after 40 steps, its closed feed, and the feed's frames.

    The frames are a weak reference; there are none but for the feed "device".
    """
    trainer = linear_trainer(shape=data.frames.frame_shape, batch_size=7, jit_compile="on")
    changes = AugmentSettings() if augment else None  # on the CPU
    steps = trainer.program_steps
    opened = open_feed(select(data), FeedSettings(feed), 7, augment=changes, program_steps=steps)
    frames = None
    with opened, opened.epoch(1) as batches:
        for _ in range(40 // opened.steps_a_call):
            part = list(islice(batches, opened.steps_a_call))
            trainer.train(part, [1e-10] * opened.steps_a_call)
        if feed == "device":
            held = vars(opened).values()
            (gather,) = [value for value in held if isinstance(value, GatherOnDevice)]
            frames = weakref.ref(gather.frames)
    return trainer, opened, frames


@pytest.mark.parametrize(("augment", "steps"), [(False, 20), (True, 1)])
def test_a_program_takes_positions_or_images_that_the_cpu_augments(augment, steps, simulated_store):
    """Both give the weights of the store's images; frames on the device go with their feed."""
    with open_store(simulated_store) as data:
        plain, _, _ = trained_on("hdf5-shuffle", data, augment)
        trainer, feed, frames = trained_on("device", data, augment)
    (weights,) = trainer.model.get_weights()
    (expected,) = plain.model.get_weights()
    assert feed.steps_a_call == steps
    assert weights == pytest.approx(expected, rel=1e-3, abs=1e-12)
    assert np.abs(expected).max() > 1e-9
    gc.collect()  # what a traced function holds may be in a circle
    assert frames() is None


def recurrent_layer(model):
    (layer,) = [layer for layer in model.layers if isinstance(layer, keras.layers.GRU)]
    return layer


@pytest.mark.parametrize(("jit_compile", "use_cudnn"), [("off", "auto"), ("on", False)])
def test_a_recurrent_layer_in_a_program_uses_only_what_xla_can_compile(
    jit_compile, use_cudnn, simulated_store
):
    chosen = TrainSettings(network="gru", seq_length=3, learning_rate=1e-3, jit_compile=jit_compile)
    with open_store(simulated_store) as data:
        trainer = make_trainer(data, chosen)
    assert recurrent_layer(trainer.model).use_cudnn == use_cudnn


CPU = (False, "")
GPU = (True, "")
GPU_FOR_FEW_STEPS = (True, "", False)
FAULTY_GPU = (True, "signal 6")


@pytest.mark.parametrize(
    ("device", "chosen", "expected"),
    [
        (CPU, {}, ("cpu", "off")),
        (GPU, {}, ("device", "on")),
        (FAULTY_GPU, {}, ("cpu", "off")),
        (GPU_FOR_FEW_STEPS, {}, ("cpu", "off")),
        (GPU_FOR_FEW_STEPS, {"augment_on": "device"}, ("device", "off")),
        (GPU, {"deterministic": True}, ("device", "off")),
        (GPU, {"deterministic": True, "jit_compile": "on"}, ("device", "off")),
        (CPU, {"deterministic": True, "jit_compile": "on"}, ("cpu", "on")),
        (GPU, {"jit_compile": "off", "augment_on": "cpu"}, ("cpu", "off")),
        (CPU, {"jit_compile": "on"}, ("cpu", "on")),
    ],
)
def test_a_gpu_that_xla_compiles_for_takes_whole_steps_and_augments(device, chosen, expected):
    kept, settings = fit_to_device(TrainSettings(**chosen), *device)
    assert (kept.augment_on, settings.jit_compile) == (settings.augment_on, expected[1])
    assert settings.augment_on == expected[0]


def test_a_card_that_xla_cannot_compile_for_gets_no_frames_unless_asked(
    simulated_store, nvidia_smi
):
    """Here TensorFlow has no GPU at all; the card that nvidia-smi names has 143 GB free."""
    nvidia_smi()
    with open_store(simulated_store) as data:
        assert fit_to_samples(TrainSettings(), data).feed == "hdf5-shuffle"
        assert fit_to_samples(TrainSettings(feed="device"), data).feed == "device"


def trainer_of(store, **settings):
    """Return the trainer of a new network, and the first frames of the store."""
    with open_store(store) as data:
        trainer = make_trainer(data, TrainSettings(seq_length=1, learning_rate=1e-3, **settings))
        return trainer, np.array(data.frames[:4])


@pytest.mark.parametrize(("batch_norm", "is_learned"), [("auto", False), ("learned", True)])
def test_fine_tuning_leaves_batch_normalization_as_it_is_unless_asked(
    simulated_store, tmp_path, batch_norm, is_learned
):
    start = tmp_path / "start.h5"
    new, frames = trainer_of(simulated_store)
    before = {layer.name: layer.get_weights() for layer in new.model.layers if layer.weights}
    with open_store(simulated_store) as data:
        save_model(start, new.model, data.preprocessing, {})
        asked = TrainSettings(start=start, batch_norm=batch_norm)
        trainer = make_trainer(data, fit_to_samples(asked, data))
    trainer.train([Batch(frames, np.full((4, 1), 0.2, np.float32))], [1e-3])

    exported = trainer.export()
    assert all(layer.trainable for layer in exported.layers)
    is_changed = {
        name: not all(map(np.array_equal, weights, exported.get_layer(name).get_weights()))
        for name, weights in before.items()
    }
    norms = {name: changed for name, changed in is_changed.items() if name.startswith("norm")}
    assert norms == {f"norm{number}": is_learned for number in range(1, 6)}
    assert all(is_changed[name] for name in before.keys() - norms.keys())
