"""What the workers of a training share with each other: bytes, sums, and what must be equal.

In: a value of each worker. Out: the values or the sum of all, the same on every worker. Every
worker must call these functions, in the same order.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bcclone.cluster.cluster_settings import WorkerSettings
from bcclone.feed.order import BatchPart
from bcclone.system.arrays import FloatArray
from bcclone.system.errors import UserError

_WORD_BYTES = 4


class Collective:
    """The workers that train together, as one of them sees them; perhaps one alone.

    strategy: of tf.distribute, which connects them; None for the GPUs of this machine
    """

    def __init__(self, cluster: WorkerSettings | None = None, strategy: Any = None) -> None:
        self.strategy = strategy
        self._cluster = cluster
        self.part = BatchPart()  # of each batch that this worker trains on
        if cluster:
            self.part = BatchPart(cluster.index, cluster.count)
            self._sum_words = _summing_words(strategy)

    @property
    def count(self) -> int:
        return self.part.count

    @property
    def writes(self) -> bool:
        """Return whether this is the chief, which decides, and writes the run and the model."""
        return self.part.index == 0

    def share(self, content: bytes) -> bytes:
        """Return the content that the chief gave."""
        return self._gather(content if self.writes else b"")[0]

    def all_sum(self, values: FloatArray) -> FloatArray:
        """Return the sum of the arrays of all workers, of equal shapes; the same to the bit."""
        if self.count == 1:
            return values
        rows = self._gather(values.astype(np.float64).tobytes())
        total: FloatArray = np.sum([np.frombuffer(row, np.float64) for row in rows], axis=0)
        return total.reshape(values.shape)

    def require_agreement(self, facts: Mapping[str, Any]) -> None:
        """Raise UserError on all workers when a fact differs from the chief's.

        facts: plain values by what they are
        """
        if self._cluster is None:
            return
        ours, *others = [json.loads(text) for text in self._gather(json.dumps(facts).encode())]
        for index, theirs in enumerate(others, start=1):
            for name in dict.fromkeys([*ours, *theirs]):
                our_value = ours.get(name, "not given")
                their_value = theirs.get(name, "not given")
                if our_value != their_value:
                    raise UserError(
                        f"{name.replace('_', ' ')}: {their_value} on "
                        f"{self._cluster.describe(index)}, and {our_value} on "
                        f"{self._cluster.describe(0)}; give every worker the same"
                    )

    def _gather(self, value: bytes) -> list[bytes]:
        """Return the values of all workers, of any lengths, in their order."""
        if self.count == 1:
            return [value]
        sizes_as_bytes = b"".join(self._gather_equal(np.int64(len(value)).tobytes()))
        sizes = np.frombuffer(sizes_as_bytes, np.int64)
        longest = -(-int(sizes.max()) // _WORD_BYTES) * _WORD_BYTES
        rows = [b""] * self.count
        if longest:
            rows = self._gather_equal(value.ljust(longest, b"\0"))
        return [row[:size] for row, size in zip(rows, sizes.tolist(), strict=True)]

    def _gather_equal(self, value: bytes) -> list[bytes]:
        """Gather values of an equal number of bytes, a multiple of 4.

        Each worker gives its value in a row of its own, and zeros in the others, so that the sum is
        the values of all.
        """
        words = np.zeros((self.count, len(value) // _WORD_BYTES), np.int32)
        words[self.part.index] = np.frombuffer(value, np.int32)
        total = self._sum_words(words.reshape(-1)).numpy().reshape(words.shape)
        return [row.tobytes() for row in total]


def _summing_words(strategy: Any) -> Callable[[Any], Any]:
    """Return the compiled sum of the words, int32 (words,), that the workers give."""
    import tensorflow as tf

    def summed(words: Any) -> Any:
        context = tf.distribute.get_replica_context()
        # of several devices of a worker the first one gives the words
        devices = len(strategy.extended.worker_devices)
        is_first = tf.cast(context.replica_id_in_sync_group % devices == 0, tf.int32)
        return context.all_reduce(tf.distribute.ReduceOp.SUM, words * is_first)

    def sum_words(words: Any) -> Any:
        return strategy.experimental_local_results(strategy.run(summed, (words,)))[0]

    signature = [tf.TensorSpec((None,), tf.int32)]
    compiled: Callable[[Any], Any] = tf.function(
        sum_words, input_signature=signature, autograph=False
    )
    return compiled
