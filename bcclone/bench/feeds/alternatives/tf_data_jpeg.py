"""tf.data over JPEG files as its performance guide advises: paths shuffled, mapped in parallel, batched, prefetched."""

import itertools
from typing import Any

import tensorflow as tf

from bcclone.bench.feeds.jpeg_samples import jpeg_samples
from bcclone.bench.feeds.race import Race, Taken


def deliver(race: Race, taken: Taken) -> None:
    """Hand over batches until there are enough."""
    samples = jpeg_samples(race.store)
    size = (samples.preprocessing.height, samples.preprocessing.width)

    def load(path: Any, steering: Any, flipped: Any) -> tuple[Any, Any]:
        frame = tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_FAST")
        image = tf.cast(tf.image.resize(frame, size), tf.uint8)
        return tf.cond(flipped, lambda: tf.reverse(image, [1]), lambda: image), steering[tf.newaxis]

    paths = tf.constant(samples.files.tolist())
    order = tf.data.Dataset.from_tensor_slices((paths, samples.steering, samples.flipped))
    order = order.shuffle(len(samples), seed=race.seed, reshuffle_each_iteration=True)
    loaded = order.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False)
    dataset = loaded.batch(race.batch_size).prefetch(tf.data.AUTOTUNE)
    for _ in itertools.count():
        for images, _steering in dataset:
            if not taken(len(images)):
                return
