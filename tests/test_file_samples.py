"""Samples without a store: which are trained on and which are not."""

from pathlib import Path

import numpy as np

from bcclone.images import Preprocessing
from bcclone.samples import SAMPLE
from bcclone.store.image_samples import ImageSamples


def test_parts_are_told_in_the_order_of_the_table():
    samples = np.zeros(5, SAMPLE)
    samples["validation"] = (0, 1, 0, 0, 1)
    held = ImageSamples(Path("rec"), Preprocessing(), samples, np.zeros(5), ("a.jpg",), {}, "")
    assert held.split_indices(validation=False).tolist() == [0, 2, 3]
    assert held.split_indices(validation=True).tolist() == [1, 4]
