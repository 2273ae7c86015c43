"""The multiply-adds of a LiteRT file are those that its operations need."""

import pytest
import tensorflow as tf

from bcclone.realcar.export_model.costs import costs_of


def multiply_adds(function, *shapes):
    whole = tf.function(function, [tf.TensorSpec(shape) for shape in shapes])
    content = tf.lite.TFLiteConverter.from_concrete_functions(
        [whole.get_concrete_function()]
    ).convert()
    return costs_of(content).multiply_adds


@pytest.mark.parametrize("transposed", [False, True])
def test_a_product_of_two_computed_matrices_counts_each_of_its_multiply_adds(transposed):
    first = (1, 2, 7, 5) if transposed else (1, 2, 5, 7)
    expected = 2 * 5 * 7 * 3
    assert (
        multiply_adds(lambda a, b: tf.matmul(a, b, transpose_a=transposed), first, (1, 2, 7, 3))
        == expected
    )


@pytest.mark.parametrize("stride", [1, 2])
def test_a_transposed_convolution_counts_a_kernel_for_each_input(stride):
    kernel = tf.ones((3, 3, 4, 6))
    shape = (1, 5 * stride, 8 * stride, 4)
    counted = multiply_adds(
        lambda image: tf.nn.conv2d_transpose(image, kernel, shape, stride), (1, 5, 8, 6)
    )
    assert counted == 5 * 8 * 6 * 3 * 3 * 4
