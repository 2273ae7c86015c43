"""Other loaders of a store, or of the JPEG files that it was made of.

Each is used as its documentation recommends.

The function of a loader loads batches for any number of epochs, calls `on_batch` with the size of
each batch, and returns when `on_batch` returns False. It raises ImportError if its package is
missing.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from bcclone import Preprocessing, UserError, open_store
from bcclone.camera.images import Image, decode_jpeg, read_frame
from bcclone.dataset.conversion import open_in_place
from bcclone.dataset.store import Store
from bcclone.feed.feed import open_feed_in_order
from bcclone.feed.order import Batches, shuffled
from bcclone.feed.selection import Batch, Buffers, select
from bcclone.system.arrays import Float32Array
from bcclone.system.prefetch import prefetch_ordered
from benchmarks.feeds.meter import Benchmark, OnBatch
from benchmarks.rounds import Unavailable

Loader = Callable[[Benchmark, OnBatch], None]

# ---- samples as JPEG files


@dataclass(frozen=True)
class JpegSamples:
    """Training samples as JPEG files; the arrays are (samples,)."""

    files: npt.NDArray[np.object_]  # their paths
    steering: Float32Array
    flipped: npt.NDArray[np.bool_]
    preprocessing: Preprocessing

    def __len__(self) -> int:
        return len(self.files)

    def image(self, index: int) -> Image:
        """Return a sample's image as the network's input, by the fastest decoder."""
        image = self.preprocessing.apply(read_frame(self.files[index]))
        if self.flipped[index]:
            return np.asarray(cv2.flip(image, 1), np.uint8)
        return image

    def batch(self, indices: Iterable[int]) -> tuple[Image, Float32Array]:
        """Return images, uint8 (batch, height, width, 3), and steering, float32 (batch, 1)."""
        chosen = list(indices)
        images = np.array([self.image(index) for index in chosen])
        return images, self.steering[chosen][:, np.newaxis]


def open_recordings(path: Path) -> Store:
    """Open the recordings that a store was made of; raises Unavailable."""
    with open_store(path) as store:
        logs = tuple(str(recording.path) for recording in store.recordings)
        try:
            return open_in_place(logs, store.preprocessing, store.sample_settings)
        except UserError as error:
            raise Unavailable(
                f"the recording that {path} was made of cannot be used: {error}"
            ) from None


def jpeg_samples(path: Path) -> JpegSamples:
    """Return a store's training samples by their files; raises Unavailable."""
    data = open_recordings(path)
    indices = data.split_indices("training")
    samples = data.samples[indices]
    return JpegSamples(
        files=np.array([data.image_path(index) for index in indices.tolist()], np.object_),
        steering=samples["steering"].copy(),
        flipped=samples["flipped"].copy(),
        preprocessing=data.preprocessing,
    )


# ---- loaders of JPEG files


def python_generator(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Load by a plain Python generator over JPEG files, as most behavioral-cloning projects do."""
    batches = generate(jpeg_samples(benchmark.store), benchmark.batch_size, benchmark.seed)
    _deliver(lambda: batches, on_batch)


def generate(
    samples: JpegSamples, batch_size: int, seed: int
) -> Iterator[tuple[Image, Float32Array]]:
    """Yield images and steering of batches, epoch after epoch."""
    for epoch in itertools.count(1):
        order = shuffled(len(samples), seed, epoch)
        for indices in Batches(order, batch_size):
            yield samples.batch(indices)


def pydataset_jpeg(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Load by keras.utils.PyDataset over JPEG files with workers, fed to a model by fit().

    The model's training step does nothing, so that only the loading is measured, to the tensors
    that fit() makes. The workers are threads: processes, which the documentation advises for pure
    Python code, are half as fast here, since the decoder releases the GIL and batches need not be
    sent.
    """
    import keras

    class JpegBatches(keras.utils.PyDataset):  # type: ignore[misc]
        """Batches of decoded images, shuffled again after each epoch."""

        def __init__(self, samples: JpegSamples, **workers: Any) -> None:
            super().__init__(**workers)
            self._samples = samples
            self._epoch = 0
            self.on_epoch_end()

        def __len__(self) -> int:
            return len(self._batches)

        def __getitem__(self, index: int) -> tuple[Image, Float32Array]:
            return self._samples.batch(self._batches[index])

        def on_epoch_end(self) -> None:
            self._epoch += 1
            order = shuffled(len(self._samples), benchmark.seed, self._epoch)
            self._batches = Batches(order, benchmark.batch_size)

    samples = jpeg_samples(benchmark.store)
    _fit(JpegBatches(samples, workers=benchmark.workers, max_queue_size=10), on_batch)


def _fit(dataset: Any, on_batch: OnBatch) -> None:
    """Let Keras's fit() load the batches of a PyDataset for a model that learns nothing."""
    import keras

    endless = 1_000_000  # epochs; the counter below ends them

    class Idle(keras.Model):  # type: ignore[misc]
        """A model that takes its batches and learns nothing."""

        def train_step(self, data: Any) -> dict[str, Any]:
            return {"size": keras.ops.shape(data[0])[0]}

    class Counter(keras.callbacks.Callback):  # type: ignore[misc]
        """Counts the batches, and ends fit()."""

        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            if not on_batch(int((logs or {})["size"])):
                self.model.stop_training = True

    model = Idle()
    model.compile()
    model.fit(dataset, epochs=endless, callbacks=[Counter()], verbose=0)


def tf_data_jpeg(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Load by tf.data over JPEG files, as its guide advises.

    They are shuffled, mapped in parallel, batched and prefetched.
    """
    import tensorflow as tf

    samples = jpeg_samples(benchmark.store)
    size = (samples.preprocessing.height, samples.preprocessing.width)

    def load(path: Any, steering: Any, flipped: Any) -> tuple[Any, Any]:
        frame = tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_FAST")
        image = tf.cast(tf.image.resize(frame, size), tf.uint8)
        image = tf.cond(flipped, lambda: tf.reverse(image, [1]), lambda: image)
        return image, steering[tf.newaxis]

    paths = tf.constant(samples.files.tolist())
    order = tf.data.Dataset.from_tensor_slices((paths, samples.steering, samples.flipped))
    order = order.shuffle(len(samples), seed=benchmark.seed, reshuffle_each_iteration=True)
    loaded = order.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False)
    batches = loaded.batch(benchmark.batch_size).prefetch(tf.data.AUTOTUNE)
    _deliver(lambda: batches, on_batch)


def torch_jpeg(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Load by PyTorch's DataLoader over JPEG files with persistent workers.

    torchvision decodes and resizes.
    """
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
    _deliver(lambda: loader, on_batch)


class TorchImages:
    """Training samples as PyTorch's map-style datasets have them.

    A sample is an image, uint8 (3, height, width), and its steering. The object is pickled for the
    worker processes, which load PyTorch themselves.
    """

    def __init__(self, samples: JpegSamples) -> None:
        flipped = samples.flipped.tolist()
        steering = samples.steering.tolist()
        self._samples = list(zip(samples.files, flipped, steering, strict=True))
        self._size = [samples.preprocessing.height, samples.preprocessing.width]

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Any, float]:
        from torchvision.io import ImageReadMode, decode_jpeg, read_file
        from torchvision.transforms.v2 import functional

        file, flipped, steering = self._samples[index]
        frame = decode_jpeg(read_file(file), ImageReadMode.RGB)
        image = functional.resize(frame, self._size, antialias=False)
        if flipped:
            image = functional.horizontal_flip(image)
        return image, steering


# ---- loaders of a store


def hdf5(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Read the memory-mapped store in its order, as for validation: training without a shuffle."""
    with (
        open_store(benchmark.store) as store,
        open_feed_in_order(select(store), benchmark.batch_size) as feed,
    ):

        def epoch() -> Iterator[Batch]:
            with feed.epoch(1) as batches:
                yield from batches

        _deliver(epoch, on_batch)


def sequence_of_processes(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Read the memory-mapped store by a PyDataset in processes, as the source design did.

    They feed a model by fit(). The feed "sequence" does the same with threads.
    """
    from bcclone.feed.keras_sequence import SampleDataset

    dataset = SampleDataset.from_store(
        benchmark.store,
        benchmark.batch_size,
        benchmark.seed,
        workers=6,  # as many as the source design had
        use_multiprocessing=True,
        max_queue_size=32,
    )
    with dataset:
        _fit(dataset, on_batch)


def tf_data(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Read the memory-mapped store by tf.data, a batch per core at once, shuffled.

    Two variants were tried and dropped. The frames as a constant of the pipeline: slower by a third
    to a half, with twice the store in memory. AUTOTUNE: its thread sleeps ever longer, and the
    first batch of an epoch waits until it wakes.
    """
    import tensorflow as tf

    with open_store(benchmark.store) as store, select(store).source() as source:
        buffers = Buffers(benchmark.batch_size, source.shape, kept=16)
        options = tf.data.Options()
        options.autotune.enabled = False

        def images_at(positions: npt.NDArray[np.uint32]) -> Image:
            return source.read(positions, buffers).images

        def read(positions: Any) -> Any:
            return tf.numpy_function(images_at, [positions], tf.uint8)

        order = shuffled(len(source.frame), benchmark.seed, 1)
        with tf.device("CPU:0"):
            positions = tf.data.Dataset.from_tensor_slices(order).batch(benchmark.batch_size)
            images = positions.map(read, num_parallel_calls=benchmark.workers)
            batches = images.prefetch(4)
        _deliver(lambda: batches.with_options(options), on_batch)


# ---- limits of the machine


def gather(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Copy mapped frames in random order into one batch, again and again, by one thread.

    Without flips, new memory and tables, it is the upper limit of any loader that copies frames by
    one thread.
    """
    with open_store(benchmark.store) as store:
        frames = store.frames
        size = min(benchmark.batch_size, len(frames))
        buffers = Buffers(size, frames.frame_shape, kept=1)  # aligned as the feeds' batches
        batch = buffers.take(size)

        def epoch() -> Iterator[Image]:
            order = np.random.default_rng(benchmark.seed).permutation(len(frames))
            for start in range(0, len(order) - size + 1, size):
                frames.take(order[start : start + size], batch)
                yield batch

        _deliver(epoch, on_batch)


def decode(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Decode and resize JPEG files that are in memory, with a thread per core; nothing is kept."""
    samples = jpeg_samples(benchmark.store)
    most_files = 4096  # so that they fit into memory
    files = np.random.default_rng(benchmark.seed).permutation(samples.files)[:most_files]
    contents = [Path(file).read_bytes() for file in files]
    cv2.setNumThreads(1)

    def decode_some(start: int) -> range:
        batch = contents[start : start + benchmark.batch_size]
        for content in batch:
            samples.preprocessing.apply(decode_jpeg(content))
        return range(len(batch))

    starts = itertools.cycle(range(0, len(contents), benchmark.batch_size))
    with prefetch_ordered(decode_some, starts, benchmark.workers, 2 * benchmark.workers) as batches:
        _deliver(lambda: batches, on_batch)


def _deliver(epoch: Callable[[], Iterable[Any]], on_batch: OnBatch) -> None:
    """Pass on the sizes of the batches, epoch after epoch, until there are enough.

    epoch: returns the batches of an epoch; a batch may be a pair of images and labels
    """
    while True:
        for batch in epoch():
            images = batch[0] if isinstance(batch, list | tuple) else batch
            if not on_batch(len(images)):
                return


JPEG_LOADERS: dict[str, Loader] = {
    "python-generator": python_generator,
    "pydataset-jpeg": pydataset_jpeg,
    "tf-data-jpeg": tf_data_jpeg,
    "torch-jpeg": torch_jpeg,
}
OTHER_LOADERS = {
    "hdf5": hdf5,
    "sequence-processes": sequence_of_processes,
    "tf-data": tf_data,
} | JPEG_LOADERS
ROOFLINES: dict[str, Loader] = {"gather": gather, "decode": decode}
