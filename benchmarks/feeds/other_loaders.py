"""Other loaders of a store, or of the JPEG files that it was made of, each used as its
documentation recommends.

Each function loads batches for any number of epochs, calls `on_batch` with the size of each batch,
and returns when `on_batch` returns False. It raises ImportError if its package is missing.
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
from bcclone.dataset.store import ImageSamples
from bcclone.feed.feed import open_validation_feed
from bcclone.feed.order import Batches, shuffled
from bcclone.feed.selection import select
from bcclone.feed.source import Batch, Buffers
from bcclone.system.prefetch import prefetch_ordered
from benchmarks.feeds.meter import Benchmark, OnBatch
from benchmarks.rounds import Unavailable

Loader = Callable[[Benchmark, OnBatch], None]
_ENDLESS = 1_000_000
_MOST_FILES = 4096


@dataclass(frozen=True)
class JpegSamples:
    """Training samples as JPEG files. files: paths; steering: float32; flipped: bool, (samples,)
    each.
    """

    files: npt.NDArray[np.object_]
    steering: npt.NDArray[np.float32]
    flipped: npt.NDArray[np.bool_]
    preprocessing: Preprocessing

    def __len__(self) -> int:
        return len(self.files)

    def image(self, index: int) -> Image:
        """Return a sample's image as the network's input, by the fastest decoder."""
        prepared = self.preprocessing.apply(read_frame(self.files[index]))
        return np.asarray(cv2.flip(prepared, 1), np.uint8) if self.flipped[index] else prepared

    def batch(self, indices: Iterable[int]) -> tuple[Image, npt.NDArray[np.float32]]:
        """Return images, uint8 (batch, height, width, 3), and steering, float32 (batch, 1)."""
        some = list(indices)
        return np.array([self.image(index) for index in some]), self.steering[some][:, np.newaxis]


def open_recordings(path: Path) -> ImageSamples:
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
    samples = data.samples[data.split_indices("training")]
    files = np.array(data.files, object)[samples["frame"]]
    return JpegSamples(
        files, samples["steering"].copy(), samples["flipped"].copy(), data.preprocessing
    )


def python_generator(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Load by a plain Python generator over JPEG files, as most behavioral-cloning projects do."""
    batches = generate(jpeg_samples(benchmark.store), benchmark.batch_size, benchmark.seed)
    _deliver(lambda: batches, on_batch)


def generate(
    samples: JpegSamples, batch_size: int, seed: int
) -> Iterator[tuple[Image, npt.NDArray[np.float32]]]:
    """Yield images and steering of batches, epoch after epoch."""
    for epoch in itertools.count(1):
        yield from map(samples.batch, Batches(shuffled(len(samples), seed, epoch), batch_size))


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
            self._samples, self._epoch = samples, 0
            self.on_epoch_end()

        def __len__(self) -> int:
            return len(self._batches)

        def __getitem__(self, index: int) -> tuple[Image, npt.NDArray[np.float32]]:
            return self._samples.batch(self._batches[index])

        def on_epoch_end(self) -> None:
            self._epoch += 1
            self._batches = Batches(
                shuffled(len(self._samples), benchmark.seed, self._epoch), benchmark.batch_size
            )

    class Idle(keras.Model):  # type: ignore[misc]
        """A model that takes its batches and learns nothing."""

        def train_step(self, data: Any) -> dict[str, Any]:
            return {"size": keras.ops.shape(data[0])[0]}

    class Counter(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            if not on_batch(int((logs or {})["size"])):
                self.model.stop_training = True

    model = Idle()
    model.compile()
    batches = JpegBatches(
        jpeg_samples(benchmark.store), workers=benchmark.workers, max_queue_size=10
    )
    model.fit(batches, epochs=_ENDLESS, callbacks=[Counter()], verbose=0)


def tf_data_jpeg(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Load by tf.data over JPEG files, as its guide advises: shuffled, mapped in parallel, batched,
    prefetched.
    """
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
    _deliver(lambda: batches, on_batch)


def torch_jpeg(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Load by PyTorch's DataLoader over JPEG files with persistent workers, decoding and resizing
    by torchvision.
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
    """Training samples as PyTorch's map-style datasets have them: image uint8 (3, height, width),
    and steering.

    It is pickled for the worker processes, which load PyTorch themselves.
    """

    def __init__(self, samples: JpegSamples) -> None:
        self._samples = list(
            zip(samples.files, samples.flipped.tolist(), samples.steering.tolist(), strict=True)
        )
        self._size = [samples.preprocessing.height, samples.preprocessing.width]

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Any, float]:
        from torchvision.io import ImageReadMode, decode_jpeg, read_file
        from torchvision.transforms.v2 import functional

        file, flipped, steering = self._samples[index]
        image = functional.resize(
            decode_jpeg(read_file(file), ImageReadMode.RGB), self._size, antialias=False
        )
        return functional.horizontal_flip(image) if flipped else image, steering


def hdf5(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Read the memory-mapped store in its order, as for validation: training without a shuffle."""
    with (
        open_store(benchmark.store) as store,
        open_validation_feed(select(store), benchmark.batch_size) as feed,
    ):

        def epoch() -> Iterator[Batch]:
            with feed.epoch(1) as batches:
                yield from batches

        _deliver(epoch, on_batch)


def tf_data(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Read the memory-mapped store by tf.data, a batch per core at once, shuffled.

    Two variants were tried and dropped. The frames as a constant of the pipeline: slower by a third
    to a half, with twice the store in memory. AUTOTUNE: its thread sleeps ever longer, and the
    first batch of an epoch waits until it wakes.
    """
    import tensorflow as tf

    with open_store(benchmark.store) as store, select(store).mapped_source() as source:
        buffers = Buffers(benchmark.batch_size, source.shape, kept=16)
        options = tf.data.Options()
        options.autotune.enabled = False

        def read(positions: Any) -> Any:
            return tf.numpy_function(
                lambda some: source.read(some, buffers).images, [positions], tf.uint8
            )

        with tf.device("CPU:0"):
            order = tf.data.Dataset.from_tensor_slices(
                shuffled(len(source.arrays.frame), benchmark.seed, 1)
            )
            batches = (
                order.batch(benchmark.batch_size)
                .map(read, num_parallel_calls=benchmark.workers)
                .prefetch(4)
            )
        _deliver(lambda: batches.with_options(options), on_batch)


def gather(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Copy mapped frames in random order into one batch, again and again, by one thread.

    Without flips, new memory and tables, it is the upper limit of any loader that copies frames by
    one thread.
    """
    with open_store(benchmark.store) as store:
        frames = store.frames
        size = min(benchmark.batch_size, len(frames))
        batch = Buffers(size, frames.frame_shape, kept=1).take(
            size
        )  # aligned as the feeds' batches

        def epoch() -> Iterator[Image]:
            order = np.random.default_rng(benchmark.seed).permutation(len(frames))
            for start in range(0, len(order) - size + 1, size):
                frames.take(order[start : start + size], batch)
                yield batch

        _deliver(epoch, on_batch)


def decode(benchmark: Benchmark, on_batch: OnBatch) -> None:
    """Decode and resize JPEG files that are in memory, with a thread per core; nothing is kept."""
    samples = jpeg_samples(benchmark.store)
    files = np.random.default_rng(benchmark.seed).permutation(samples.files)[:_MOST_FILES]
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
    """Pass on the sizes of the batches, or pairs of images and labels, epoch after epoch, until
    there are enough.
    """
    while True:
        for batch in epoch():
            if not on_batch(len(batch[0] if isinstance(batch, list | tuple) else batch)):
                return


JPEG_LOADERS: dict[str, Loader] = {
    "python-generator": python_generator,
    "pydataset-jpeg": pydataset_jpeg,
    "tf-data-jpeg": tf_data_jpeg,
    "torch-jpeg": torch_jpeg,
}
OTHER_LOADERS = {"hdf5": hdf5, "tf-data": tf_data} | JPEG_LOADERS
ROOFLINES: dict[str, Loader] = {"gather": gather, "decode": decode}
