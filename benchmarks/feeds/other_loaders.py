"""Other loaders of a store or of the JPEG files that it was made of, each used as its documentation recommends.

Each function loads batches for any number of epochs, calls `on_batch` with the size of each batch, and returns when
`on_batch` returns False. It raises ImportError if its package is missing.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from bcclone.cluster.shards import open_store
from bcclone.dataset.images import Image
from bcclone.feed.feed import open_validation_feed
from bcclone.feed.order import shuffled
from bcclone.feed.selection import select
from bcclone.feed.source import Buffers
from benchmarks.feeds.jpeg import JpegSamples, jpeg_samples
from benchmarks.feeds.meter import Benchmark, OnBatch

_ENDLESS = 1_000_000


def python_generator(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Load by a plain Python generator over JPEG files, as most behavioral-cloning projects do."""
    batches = generate(jpeg_samples(benchmark.store), benchmark.batch_size, benchmark.seed)
    _deliver(lambda: (images for images, _ in batches), on_batch)


def generate(samples: JpegSamples, batch_size: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield images, uint8 (batch, height, width, 3), and steering, float32 (batch, 1), epoch after epoch."""
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(len(samples))
        for start in range(0, len(order), batch_size):
            indices = order[start : start + batch_size]
            images = [samples.image(index) for index in indices]
            yield np.array(images), samples.steering[indices][:, np.newaxis]


def pydataset_jpeg(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Load by keras.utils.PyDataset over JPEG files with workers, fed to a model by fit().

    The model's training step does nothing, so that only the loading is measured, to the tensors that fit() makes. The
    workers are threads: processes, which the documentation advises for pure Python code, are half as fast here, since
    the decoder releases the GIL and batches need not be sent.
    """
    import keras

    class JpegBatches(keras.utils.PyDataset):  # type: ignore[misc]
        """Batches of decoded images, shuffled again after each epoch."""

        def __init__(self, samples: JpegSamples, **workers: Any) -> None:
            super().__init__(**workers)
            self._samples, self._random = samples, np.random.default_rng(benchmark.seed)
            self._order = self._random.permutation(len(samples))

        def __len__(self) -> int:
            return -(-len(self._samples) // benchmark.batch_size)

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            indices = self._order[index * benchmark.batch_size : (index + 1) * benchmark.batch_size]
            images = np.array([self._samples.image(one) for one in indices])
            return images, self._samples.steering[indices][:, np.newaxis]

        def on_epoch_end(self) -> None:
            self._order = self._random.permutation(len(self._samples))

    class Idle(keras.Model):  # type: ignore[misc]
        """A model that takes its batches and learns nothing."""

        def train_step(self, data: Any) -> dict[str, Any]:
            return {"size": keras.ops.shape(data[0])[0]}

    class Counter(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            if not on_batch(int((logs or {})["size"])):
                self.model.stop_training = True

    batches = JpegBatches(jpeg_samples(benchmark.store), workers=benchmark.workers, max_queue_size=10)
    model = Idle()
    model.compile()
    model.fit(batches, epochs=_ENDLESS, callbacks=[Counter()], verbose=0)


def tf_data_jpeg(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Load by tf.data over JPEG files, as its guide advises: shuffled, mapped in parallel, batched, prefetched."""
    import tensorflow as tf

    samples = jpeg_samples(benchmark.store)
    size = (samples.preprocessing.height, samples.preprocessing.width)

    def load(path: Any, steering: Any, flipped: Any) -> tuple[Any, Any]:
        frame = tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_FAST")
        image = tf.cast(tf.image.resize(frame, size), tf.uint8)
        return tf.cond(flipped, lambda: tf.reverse(image, [1]), lambda: image), steering[tf.newaxis]

    paths = tf.constant(samples.files.tolist())
    order = tf.data.Dataset.from_tensor_slices((paths, samples.steering, samples.flipped))
    order = order.shuffle(len(samples), seed=benchmark.seed, reshuffle_each_iteration=True)
    loaded = order.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False)
    batches = loaded.batch(benchmark.batch_size).prefetch(tf.data.AUTOTUNE)
    _deliver(lambda: (images for images, _ in batches), on_batch)


def torch_jpeg(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Load by PyTorch's DataLoader over JPEG files with persistent workers, decoding and resizing by torchvision."""
    import torch
    from torch.utils.data import DataLoader

    loader = DataLoader(
        TorchImages(jpeg_samples(benchmark.store)),
        batch_size=benchmark.batch_size,
        shuffle=True,
        num_workers=benchmark.workers,
        persistent_workers=True,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(benchmark.seed),
    )
    _deliver(lambda: (images for images, _ in loader), on_batch)


class TorchImages:
    """Training samples as PyTorch's map-style datasets have them: image uint8 (3, height, width), and steering.

    It is pickled for the worker processes, which load PyTorch themselves.
    """

    def __init__(self, samples: JpegSamples) -> None:
        self._files, self._flipped = samples.files.tolist(), samples.flipped.tolist()
        self._steering = samples.steering.tolist()
        self._size = [samples.preprocessing.height, samples.preprocessing.width]

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[Any, float]:
        from torchvision.io import ImageReadMode, decode_jpeg, read_file
        from torchvision.transforms.v2 import functional

        frame = decode_jpeg(read_file(self._files[index]), ImageReadMode.RGB)
        image = functional.resize(frame, self._size, antialias=False)
        return functional.horizontal_flip(image) if self._flipped[index] else image, self._steering[index]


def _deliver(epoch: Callable[[], Iterable[Any]], on_batch: OnBatch) -> None:
    """Pass on the sizes of the batches, epoch after epoch, until there are enough."""
    while True:
        for images in epoch():
            if not on_batch(len(images)):
                return


def hdf5(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Read the memory-mapped store in its order, as for validation: training without a shuffle."""
    with open_store(benchmark.store) as store, open_validation_feed(select(store), benchmark.batch_size) as feed:

        def epoch() -> Iterator[Image]:
            with feed.epoch(1) as batches:
                yield from (batch.images for batch in batches)

        _deliver(epoch, on_batch)


def tf_data(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Read the memory-mapped store by tf.data, a batch per core at once, shuffled.

    Two variants were tried and dropped. The frames as a constant of the pipeline: slower by a third to a half, with
    twice the store in memory. AUTOTUNE: its thread sleeps ever longer, and the first batch of an epoch waits until it
    wakes.
    """
    import tensorflow as tf

    with open_store(benchmark.store) as store, select(store).mapped_source() as source:
        buffers = Buffers(benchmark.batch_size, source.shape, kept=16)

        def read(positions: Any) -> Any:
            return source.read(positions, buffers).images

        options = tf.data.Options()
        options.autotune.enabled = False

        def epoch() -> Any:
            order = shuffled(len(source.arrays.frame), benchmark.seed, epoch=1)
            with tf.device("CPU:0"):
                positions = tf.data.Dataset.from_tensor_slices(order).batch(benchmark.batch_size)
                batches = positions.map(
                    lambda some: tf.numpy_function(read, [some], tf.uint8), num_parallel_calls=benchmark.workers
                )
                return batches.prefetch(4).with_options(options)

        _deliver(epoch, on_batch)


JPEG_LOADERS: dict[str, Callable[[Benchmark, OnBatch], None]] = {
    "python-generator": python_generator,
    "pydataset-jpeg": pydataset_jpeg,
    "tf-data-jpeg": tf_data_jpeg,
    "torch-jpeg": torch_jpeg,
}
OTHER_LOADERS = {"hdf5": hdf5, "tf-data": tf_data} | JPEG_LOADERS
