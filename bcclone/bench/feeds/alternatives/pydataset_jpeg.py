"""keras.utils.PyDataset over JPEG files with workers, as its documentation shows it, fed to a model by fit().

The model's training step does nothing, so that only the feeding is measured: what arrives in it are tensors, as in
every fit(). Its workers are threads: with processes, which its documentation asks for where Python computes, it is half
as fast here, since the decoder lets go of the interpreter lock and batches need not be sent.
"""

from typing import Any

import keras
import numpy as np

from bcclone.bench.feeds.jpeg_samples import JpegSamples, jpeg_samples
from bcclone.bench.feeds.race import Race, Taken

_ENDLESS = 1_000_000


class JpegDataset(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of decoded images; shuffled anew after each epoch."""

    def __init__(self, samples: JpegSamples, batch_size: int, seed: int, **workers: Any) -> None:
        super().__init__(**workers)
        self._samples, self._batch_size = samples, batch_size
        self._random = np.random.default_rng(seed)
        self._order = self._random.permutation(len(samples))

    def __len__(self) -> int:
        return -(-len(self._samples) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        places = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        images = np.array([self._samples.image(place) for place in places])
        return images, self._samples.steering[places][:, np.newaxis]

    def on_epoch_end(self) -> None:
        """Draw the next epoch's order."""
        self._order = self._random.permutation(len(self._samples))


class Idle(keras.Model):  # type: ignore[misc]
    """A model that takes its batches and learns nothing."""

    def train_step(self, data: Any) -> dict[str, Any]:
        """Return how many images came."""
        return {"size": keras.ops.shape(data[0])[0]}


class _Counter(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, taken: Taken) -> None:
        super().__init__()
        self._taken = taken

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if not self._taken(int((logs or {})["size"])):
            self.model.stop_training = True


def deliver(race: Race, taken: Taken) -> None:
    """Hand over batches until there are enough."""
    samples = jpeg_samples(race.store)
    dataset = JpegDataset(samples, race.batch_size, race.seed, workers=race.workers, max_queue_size=10)
    model = Idle()
    model.compile()
    model.fit(dataset, epochs=_ENDLESS, callbacks=[_Counter(taken)], verbose=0)
