"""Muon: the steps of matrices are orthogonal, and those of all other weights are AdamW's."""

import keras
import numpy as np
import pytest

from bcclone.model.network import build_network
from bcclone.training.optimizer import make_optimizer, orthogonal


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (9, 1)])
def test_all_directions_of_a_matrix_become_about_equally_long(shape):
    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    matrix[0] *= 20
    result = np.asarray(orthogonal(matrix))
    lengths = np.linalg.svd(result, compute_uv=False)
    assert ((lengths > 0.6) & (lengths < 1.3)).all()
    # the directions are those of the matrix
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    assert np.abs(result - left @ right).max() < 0.4
    assert not np.asarray(orthogonal(np.zeros(shape, np.float32))).any()


def weights_after(optimizer, steps):
    """Return the network's variables by path, before and after steps of random gradients."""
    keras.utils.set_random_seed(0)
    network = build_network((64, 64, 3), network="cnn-small")
    optimizer = make_optimizer(network, optimizer, learning_rate=0.01)
    variables = network.trainable_variables
    before = {variable.path: variable.numpy() for variable in variables}
    random = np.random.default_rng(0)
    for _ in range(steps):
        gradients = [random.normal(size=value.shape).astype(np.float32) for value in variables]
        optimizer.apply(gradients, variables)
    return before, {variable.path: variable.numpy() for variable in variables}


def test_kernels_take_orthogonal_steps_and_everything_else_those_of_adamw():
    before, by_muon = weights_after("muon", 3)
    _, by_adam = weights_after("adamw", 3)
    matrices = {path for path in before if path.endswith("kernel") and "steering" not in path}
    assert len(matrices) == 7
    for path in before.keys() - matrices:
        assert by_muon[path] == pytest.approx(by_adam[path], abs=1e-6), path

    _, after_one = weights_after("muon", 1)
    for path in matrices:
        step = after_one[path] - before[path]
        lengths = np.linalg.svd(step.reshape(-1, step.shape[-1]), compute_uv=False)
        assert lengths.min() > 0.5 * lengths.max(), path
        # about as long as a step of AdamW: a fifth of the learning rate for each number
        assert 0.001 < np.sqrt((step**2).mean()) < 0.003, path
