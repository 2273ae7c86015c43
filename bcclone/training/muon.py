"""The optimizer Muon, which learns in fewer passes than AdamW: gradients -> changed weights.

A dense layer or a convolution is a matrix: from its inputs to its outputs. Muon makes the step of
such a matrix orthogonal, so that all directions change alike, and not only those few in which the
gradient is large. Biases, the numbers of batch normalization and the last layer take the steps of
AdamW; prepare.py chooses the matrices. The method is that of K. Jordan,
https://kellerjordan.github.io/posts/muon/; the size of the steps is that of J. Liu and others,
https://arxiv.org/abs/2502.16982: about that of AdamW's.
"""

from collections.abc import Collection, Sequence
from typing import Any

import keras
from keras import ops


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
