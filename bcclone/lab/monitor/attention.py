"""Kind `attention`: how unusual the model's saliency map is.

A. Stocco, P. J. Nunes, M. d'Amorim and P. Tonella, "ThirdEye: attention maps for safe autonomous driving systems", ASE
2022, https://doi.org/10.1145/3551349.3556968. ThirdEye scores the average of the map, its change from frame to frame,
or the error of an autoencoder of it. Here it is the Mahalanobis distance of three figures from those of the store:
average and standard deviation of the map, and the entropy of where it is salient.
"""

from typing import Any

import numpy as np

from bcclone.dataset.images import Image
from bcclone.lab.monitor.distance import measure_distribution
from bcclone.lab.monitor.scorer import Arrays, FitInputs, Notify, Scorer, single_frame_layers
from bcclone.lab.monitor.training import training_batches
from bcclone.model.model_file import ModelFile
from bcclone.model.saliency import Saliency
from bcclone.system.arrays import Float32Array

_MOST_IMAGES = 2000  # whose maps are computed; one takes milliseconds


def learn(inputs: FitInputs, notify: Notify) -> Arrays:
    """Return the distribution of the figures over some of the training samples."""
    single_frame_layers(inputs.model, "attention")
    saliency = Saliency(inputs.model.model, inputs.model.preprocessing)
    figures: list[Any] = []
    for images in training_batches(inputs.store, inputs.settings.seed):
        figures += [_figures(saliency.mask_of(image)) for image in images]
        if len(figures) >= _MOST_IMAGES:
            break
    return measure_distribution([np.stack(figures)])


def make_scorer(model: ModelFile, arrays: Arrays) -> Scorer:
    """Return the scorer of a stored distribution."""
    saliency, mean, scaling = Saliency(model.model, model.preprocessing), arrays["mean"], arrays["scaling"]

    def distance(images: Image) -> Float32Array:
        figures = np.stack([_figures(saliency.mask_of(image)) for image in images])
        return np.asarray(np.linalg.norm((figures - mean) @ scaling, axis=1), np.float32)

    return distance


def _figures(mask: Float32Array) -> Float32Array:
    """Return average, standard deviation and entropy of a saliency map, (rows, columns)."""
    part = mask / max(float(mask.sum()), 1e-9)
    entropy = -float((part * np.log(part + 1e-12)).sum())
    return np.array([mask.mean(), mask.std(), entropy], np.float32)
