"""The training step augments samples as the processor does."""

from functools import cache

import cv2
import numpy as np
import pytest
import tensorflow as tf

from bcclone.dataset.preprocessing import PRESETS, Preprocessing
from bcclone.feed.augment.changes import AugmentationInputs, draw
from bcclone.feed.augment.on_cpu import CpuAugmenter
from bcclone.feed.augment.on_device import DeviceAugmenter
from bcclone.feed.feed_settings import AugmentSettings
from tests.feed.augment.strengths import STRENGTHS, alone

OURS = Preprocessing()


@pytest.fixture(scope="module")
def device():
    """Return a function that makes the device augmenter of settings and a preprocessing."""

    @cache  # to be compiled once
    def make(settings, preprocessing):
        return DeviceAugmenter(settings, preprocessing)

    return make


def pictures(count, preprocessing=OURS, seed=0):
    """Return images with smooth surfaces and edges, like roads."""
    random = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        frame = cv2.resize(random.integers(0, 256, (10, 20, 3), np.uint8), (320, 160))
        for color in random.integers(0, 256, (4, 3)).tolist():
            cv2.line(frame, *random.integers(0, 160, (2, 2)).tolist(), color, 4, cv2.LINE_AA)
        frames.append(preprocessing.apply(frame))
    return np.stack(frames)


def both(device, settings, images, preprocessing=OURS, seed=(0, 1, 0)):
    """Images and steering by processor and by device, of the rows that the network sees."""
    random = np.random.default_rng(7)
    count = len(images)
    steering = (0.2 * random.standard_normal((count, 1))).astype(np.float32)
    flipped = random.random(count) < 0.5
    into = np.empty_like(images)
    inputs = AugmentationInputs(flipped, np.full(count, 12.0, np.float32), *draw(count, seed))
    on_cpu = CpuAugmenter(settings, preprocessing).augment(images, steering, inputs, into)
    on_device, labels = device(settings, preprocessing)(images, steering, *inputs)
    return (into, on_cpu), (on_device.numpy(), labels.numpy())


@pytest.mark.parametrize("name", [name for name in STRENGTHS if name != "noise"])
def test_device_and_processor_make_the_same_images(device, name):
    images = pictures(48)
    (by_cpu, steering), (by_device, labels) = both(device, alone(name), images)
    apart = np.abs(by_cpu.astype(int) - by_device)
    assert apart.mean() < 0.3
    assert (apart > 3).mean() < 1e-3  # an edge that falls on a pixel's centre
    assert (by_cpu != images).mean() > 0.1
    np.testing.assert_allclose(labels, steering, atol=1e-6)


def test_the_noise_of_the_device_is_that_of_a_jpeg(device):
    """To within what libjpeg loses by rounding to whole levels after each step."""
    images = pictures(48)
    (by_cpu, _), (by_device, _) = both(device, alone("noise"), images)
    added = np.abs(by_cpu.astype(int) - images)
    apart = np.abs(by_cpu.astype(int) - by_device)
    assert apart.mean() < 0.35 * added.mean()
    assert apart.mean() < 1.5


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["carnd-128-rgb", "nvidia-66x200-yuv", "nvidia-66x200-yuv-bgr", "gray-80x120"]
)
def test_cpu_and_device_give_the_same_images_for_every_preset(device, name):
    images = pictures(64, PRESETS[name])
    (by_cpu, steering), (by_device, labels) = both(device, AugmentSettings(), images, PRESETS[name])
    apart = np.abs(by_cpu.astype(int) - by_device)
    assert apart.mean() < 0.8
    assert (apart > 12).mean() < 0.005  # of JPEG noise and edges
    np.testing.assert_allclose(labels, steering, atol=1e-6)


@pytest.mark.slow
def test_the_frames_of_a_window_are_augmented_alike(device):
    windows = np.repeat(pictures(6)[:, np.newaxis], 3, axis=1)
    (by_cpu, _), (by_device, _) = both(device, AugmentSettings(), windows)
    assert by_device.shape == windows.shape
    np.testing.assert_array_equal(by_device[:, 0], by_device[:, 2])
    assert np.abs(by_cpu.astype(int) - by_device).mean() < 0.8


@pytest.mark.long
def test_augmentation_on_the_device_is_compiled_by_xla(device):
    """A GPU compiles it for each size of batch; XLA takes no operation whose result has a size that
    it cannot know.
    """
    augmenter = device(AugmentSettings(), OURS)
    images = pictures(8)
    inputs = AugmentationInputs(
        np.arange(8) % 2 == 0, np.full(8, 12.0, np.float32), *draw(8, (0, 1, 0))
    )
    signature = (
        tf.TensorSpec((None, *images.shape[1:]), tf.uint8),
        tf.TensorSpec((None, 1), tf.float32),
    )
    signature = [*signature, *augmenter.input_signature]
    step = tf.function(
        lambda *samples: augmenter(*samples), input_signature=signature, jit_compile=True
    )
    steering = np.zeros((8, 1), np.float32)
    compiled, labels = step(images, steering, *inputs)
    plain, expected = augmenter(images, steering, *inputs)
    assert np.abs(compiled.numpy().astype(int) - plain.numpy()).max() <= 2
    np.testing.assert_allclose(labels, expected, atol=1e-6)
