"""How far vectors are from those of a store: the Mahalanobis distance, with its mean and its scaling as arrays."""

from collections.abc import Iterable

import numpy as np

from bcclone.lab.monitor.scorer import Arrays
from bcclone.system.arrays import Float32Array, FloatArray

_SHRINKAGE = 1e-3  # of each variance; keeps directions in which the vectors hardly differ from deciding alone


def measure_distribution(batches: Iterable[Float32Array]) -> Arrays:
    """Return mean, (n,), and scaling, (n, n), of vectors given in batches, (batch, n)."""
    vectors: FloatArray = np.concatenate([np.asarray(batch, np.float64) for batch in batches])
    mean, deviation = vectors.mean(axis=0), np.maximum(vectors.std(axis=0), 1e-6)
    correlation = np.cov((vectors - mean) / deviation, rowvar=False) + _SHRINKAGE * np.eye(len(mean))
    values, axes = np.linalg.eigh(correlation)
    scaling = (axes / np.sqrt(np.maximum(values, _SHRINKAGE))) / deviation[:, None]
    return {"mean": mean.astype(np.float32), "scaling": scaling.astype(np.float32)}
