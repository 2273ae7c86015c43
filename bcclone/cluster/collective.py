"""Exchange values among the workers of a training on several machines.

In: a value of each worker. Out: the chief's value, or the sum of all values, the same on every
worker. All workers must make the same calls in the same order, because each call waits for the
other workers.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bcclone.cluster.cluster_settings import WorkerSettings
from bcclone.feed.order import BatchPart
from bcclone.system.errors import UserError
from bcclone.system.numbers import FloatArray

_WORD_BYTES = 4  # values are exchanged as int32 words


class Collective:
    """Connects this worker with all workers that train together, or is alone.

    cluster: all workers and the number of this one; None if this worker is alone
    strategy: the strategy of tf.distribute that connects the workers; None if this one is alone
    """

    def __init__(self, cluster: WorkerSettings | None = None, strategy: Any = None) -> None:
        self.strategy = strategy
        self._cluster = cluster
        self.part = BatchPart()  # the part of each batch that this worker trains on
        if cluster:
            self.part = BatchPart(cluster.index, cluster.count)
            self._sum_words = _summing_words(strategy)

    @property
    def count(self) -> int:
        return self.part.count

    @property
    def writes(self) -> bool:
        """Return whether this worker is the chief, which writes the run folder and the model."""
        return self.part.index == 0

    def share(self, content: bytes) -> bytes:
        """Return the chief's content on all workers; the content of other workers is ignored."""
        own = content if self.writes else b""
        chiefs, *_ = self._gather(own)
        return chiefs

    def all_sum(self, values: FloatArray) -> FloatArray:
        """Return the sum of the arrays of all workers, which have equal shapes.

        Each worker adds the arrays in the same order, so that the sums are equal to the last bit.
        """
        if self.count == 1:
            return values
        rows = self._gather(values.astype(np.float64).tobytes())
        total: FloatArray = np.sum([np.frombuffer(row, np.float64) for row in rows], axis=0)
        return total.reshape(values.shape)

    def require_agreement(self, facts: Mapping[str, Any]) -> None:
        """Raise UserError on all workers if a fact of a worker differs from the chief's.

        facts: name of the fact, as the error calls it -> a value that JSON can hold
        """
        if self._cluster is None:
            return
        # every worker compares all others with the chief, so all raise the same error
        chiefs, *others = [json.loads(text) for text in self._gather(json.dumps(facts).encode())]
        for index, theirs in enumerate(others, start=1):
            for name in dict.fromkeys([*chiefs, *theirs]):
                chiefs_value = chiefs.get(name, "not given")
                their_value = theirs.get(name, "not given")
                if chiefs_value != their_value:
                    raise UserError(
                        f"{name.replace('_', ' ')}: {their_value} on "
                        f"{self._cluster.describe(index)}, and {chiefs_value} on "
                        f"{self._cluster.describe(0)}; give every worker the same"
                    )

    def _gather(self, value: bytes) -> list[bytes]:
        """Return the values of all workers, in the order of the workers; their sizes may differ."""
        if self.count == 1:
            return [value]
        # first exchange the sizes, and then the values, padded to the size of the longest
        sizes_as_bytes = b"".join(self._gather_equal(np.int64(len(value)).tobytes()))
        sizes = np.frombuffer(sizes_as_bytes, np.int64)
        longest = -(-int(sizes.max()) // _WORD_BYTES) * _WORD_BYTES  # rounded up to whole words
        rows = [b""] * self.count
        if longest:
            rows = self._gather_equal(value.ljust(longest, b"\0"))
        return [row[:size] for row, size in zip(rows, sizes.tolist(), strict=True)]

    def _gather_equal(self, value: bytes) -> list[bytes]:
        """Return the values of all workers; all have the same number of bytes, a multiple of 4.

        tf.distribute can only add up. So each worker gives a table with a row for each worker: its
        value in its own row, and zeros in the other rows. The sum of the tables has all values.
        """
        words = np.zeros((self.count, len(value) // _WORD_BYTES), np.int32)
        words[self.part.index] = np.frombuffer(value, np.int32)
        total = self._sum_words(words.reshape(-1)).numpy().reshape(words.shape)
        return [row.tobytes() for row in total]


def _summing_words(strategy: Any) -> Callable[[Any], Any]:
    """Return a compiled function that adds up arrays of all workers, int32 (words,) each."""
    import tensorflow as tf

    def summed(words: Any) -> Any:
        context = tf.distribute.get_replica_context()
        # every device takes part in the sum, but only a worker's first device may add its words
        devices = len(strategy.extended.worker_devices)
        is_first = tf.cast(context.replica_id_in_sync_group % devices == 0, tf.int32)
        return context.all_reduce(tf.distribute.ReduceOp.SUM, words * is_first)

    def sum_words(words: Any) -> Any:
        # each device of this machine has the same sum
        return strategy.experimental_local_results(strategy.run(summed, (words,)))[0]

    signature = [tf.TensorSpec((None,), tf.int32)]
    compiled: Callable[[Any], Any] = tf.function(
        sum_words, input_signature=signature, autograph=False
    )
    return compiled
