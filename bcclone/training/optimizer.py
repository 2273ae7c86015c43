"""The optimizer of a training: AdamW, or Muon, which makes the steps of matrices orthogonal.

A dense layer or a convolution is a matrix: from its inputs to its outputs. Muon makes the step of
such a matrix orthogonal, so that all directions change alike, and not only those few in which the
gradient is large. The method is that of K. Jordan, https://kellerjordan.github.io/posts/muon/; the
size of the steps is that of J. Liu and others, https://arxiv.org/abs/2502.16982: about that of
AdamW's.
"""

from collections.abc import Collection, Sequence
from typing import Any

import keras
from keras import ops

from bcclone.training.train_settings import MUON


def make_optimizer(
    model: keras.Model, name: str, learning_rate: float, devices: int = 1
) -> keras.optimizers.Optimizer:
    """Return the optimizer for the network.

    name: ADAMW or MUON
    devices: number of devices that train. Keras clips the gradients of each device before it adds
        them up, and each is 1/devices of the whole; so the clipping norm is divided, too.
    """
    arguments = {
        "learning_rate": learning_rate,
        "weight_decay": 0.1,  # as in benchmarks/lab-log/2026-11.md, 2026-11-21
        # without a limit, one batch can change the weights so much that a training diverges
        "global_clipnorm": 1.0 / devices,
    }
    if name == MUON:
        optimizer = Muon(_matrices_of(model), **arguments)
    else:
        optimizer = keras.optimizers.AdamW(**arguments)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(model.trainable_variables)
    return optimizer


def _matrices_of(model: keras.Model) -> list[str]:
    """Return the paths of the variables that Muon takes for matrices.

    These are the kernels of all layers but the last one, as the method advises.
    """
    last = {variable.path for variable in model.layers[-1].trainable_variables}
    return [
        variable.path
        for variable in model.trainable_variables
        if variable.name.endswith("kernel") and variable.path not in last
    ]


class Muon(keras.optimizers.AdamW):  # type: ignore[misc]
    """Steps of Muon for some matrices, and of AdamW for all other weights.

    Keras has an optimizer of this name, which does not treat a convolution as a matrix.

    matrices: paths of the variables that are matrices; the last axis is that of a layer's outputs,
        all others together are that of its inputs
    arguments: those of AdamW
    """

    def __init__(self, matrices: Collection[str], **arguments: Any) -> None:
        super().__init__(name="muon", **arguments)
        self._matrices = frozenset(matrices)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make the moments, which a checkpoint keeps."""
        super().build(variables)
        self._is_matrix = [variable.path in self._matrices for variable in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Change one variable; Keras has already clipped its gradient and decayed its weights.

        variable: a variable of Keras, or that of TensorFlow in it
        """
        index = self._get_variable_index(variable)
        if not self._is_matrix[index]:
            super().update_step(gradient, variable, learning_rate)
            return
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        step = self._orthogonal_step(gradient, self._momentums[index])
        self.assign_sub(variable, rate * step)

    def _orthogonal_step(self, gradient: Any, momentum: keras.Variable) -> Any:
        """Return the step of a matrix at a learning rate of 1, and update its momentum.

        momentum: the decayed sum of its gradients, where AdamW keeps their mean
        """
        # fraction of the momentum that a step keeps; the usual 0.95 is for thousands of steps, and
        # our shortest trainings have hundreds
        kept = 0.9
        size = 0.2  # root mean square of a step's numbers: about that of AdamW's
        self.assign(momentum, kept * momentum + gradient)
        ahead = gradient + kept * momentum  # Nesterov's momentum
        matrix = ops.reshape(ahead, (-1, gradient.shape[-1]))
        # a matrix of n orthogonal rows of length 1, each of m numbers, has a mean square of 1 / m
        scale = size * max(matrix.shape) ** 0.5
        return ops.reshape(scale * orthogonal(matrix), gradient.shape)


def orthogonal(matrix: Any) -> Any:
    """Return a matrix with the same singular vectors, and singular values near 1.

    Five steps of a Newton-Schulz iteration bring those above 1/500 of the matrix's norm to 0.7 to
    1.2, which is near enough; smaller ones stay smaller.

    matrix: of rank 2, an array or a tensor
    """
    steps = 5
    # of the polynomial a x + b x^3 + c x^5 that raises small singular values fastest
    a = 3.4445
    b = -4.7750
    c = 2.0315
    rows, columns = matrix.shape
    # the product with its transpose is smaller for a wide matrix than for a tall one
    wide = ops.transpose(matrix) if rows > columns else matrix
    smallest_norm = 1e-7  # so that nothing is divided by 0
    wide = wide / (ops.norm(wide) + smallest_norm)  # the iteration needs singular values up to 1
    for _ in range(steps):
        square = wide @ ops.transpose(wide)
        wide = a * wide + (b * square + c * square @ square) @ wide
    return ops.transpose(wide) if rows > columns else wide
