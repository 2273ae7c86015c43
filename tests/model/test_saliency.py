"""The saliency mask marks the pixels that the network uses, and no others."""

from itertools import product

import keras
import numpy as np
import pytest
from keras import layers

from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.model.layer_kinds import frame_layers
from bcclone.model.model_file import load_model
from bcclone.model.network import build_network
from bcclone.model.saliency import Saliency, seen_region
from bcclone.system.errors import UserError

WHOLE = Preprocessing(width=FRAME_WIDTH, height=FRAME_HEIGHT)
SMALL = Preprocessing(width=18, height=15, frame_width=18, frame_height=15)


def network(preprocessing, *chain):
    shape = (preprocessing.height, preprocessing.width, 3)
    return keras.Sequential([keras.Input(shape), *chain, layers.Flatten(), layers.Dense(1)])


def frame_of(preprocessing=WHOLE, seed=0):
    shape = (preprocessing.frame_height, preprocessing.frame_width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def sees_vertical_edges(preprocessing, *before, activation="relu"):
    """Return a network whose only feature is: brighter on the right than on the left."""
    model = network(
        preprocessing, *before, layers.Conv2D(1, 3, activation=activation, name="edges")
    )
    kernel = np.zeros((3, 3, 3, 1), np.float32)
    kernel[:, 0] = -1
    kernel[:, 2] = 1
    model.get_layer("edges").set_weights([kernel, np.zeros(1, np.float32)])
    return model


def box(rows, columns, shape=(FRAME_HEIGHT, FRAME_WIDTH)):
    """Return a grey frame with a white box."""
    frame = np.full((*shape, 3), 100, np.uint8)
    frame[slice(*rows), slice(*columns)] = 255
    return frame


@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_only_left_borders_are_salient_to_a_network_of_left_borders(activation):
    mask = Saliency(sees_vertical_edges(WHOLE, activation=activation), WHOLE).of_frame(
        box((90, 120), (200, 260))
    )
    assert (mask.shape, mask.dtype, mask.max()) == ((160, 320), np.float32, 1.0)
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max()) == (88, 121)  # the kernel of 3 reaches 2 rows out of the box
    assert (columns.min(), columns.max()) == (198, 201)
    assert (mask[92:118, 199:201] == 1).all()


def test_a_frame_without_what_it_sees_and_a_network_of_nan_give_zeros():
    assert not Saliency(sees_vertical_edges(WHOLE), WHOLE).of_frame(box((0, 160), (0, 320))).any()
    model = sees_vertical_edges(SMALL)
    model.set_weights([np.full_like(weights, np.nan) for weights in model.get_weights()])
    assert not Saliency(model, SMALL).of_frame(frame_of(SMALL)).any()


def test_what_the_network_crops_or_pads_does_not_shift_the_mask():
    cropped = sees_vertical_edges(WHOLE, layers.Cropping2D(((70, 20), (10, 30))))
    assert seen_region(cropped, WHOLE) == (10 / 320, 70 / 160, 290 / 320, 140 / 160)
    mask = Saliency(cropped, WHOLE).of_frame(box((40, 120), (200, 260)))
    rows, columns = np.nonzero(mask)
    assert (rows.min(), set(columns)) == (70, set(range(198, 202)))
    padded = sees_vertical_edges(WHOLE, layers.ZeroPadding2D(((5, 1), (3, 2))))
    mask = Saliency(padded, WHOLE).of_frame(box((90, 120), (200, 260)))
    assert set(np.nonzero(mask[:, 10:])[1] + 10) == set(range(198, 202))


def test_rows_cropped_by_the_preprocessing_are_zero_and_the_rest_is_not_shifted():
    half = Preprocessing(width=160, height=40, crop_top=60, crop_bottom=140)
    mask = Saliency(sees_vertical_edges(half), half).of_frame(box((90, 120), (200, 260)))
    assert not mask[:60].any()
    assert not mask[140:].any()
    rows, columns = np.nonzero(mask > 0.5)
    means = rows.mean(), columns.mean()
    assert means == (pytest.approx(104.5, abs=1), pytest.approx(199.5, abs=1))
    assert columns.max() - columns.min() < 10


def spread(mask, taken, kernel, strides, padding, apart=1):
    """Scale a map up: each value of a layer's output is spread over all positions of its receptive
    field.
    """
    reach = [(extent - 1) * apart + 1 for extent in kernel]
    lacking = [
        max((given - 1) * stride + span - extent, 0) if padding == "same" else 0
        for given, stride, span, extent in zip(mask.shape, strides, reach, taken, strict=True)
    ]
    spacious = np.zeros([extent + more for extent, more in zip(taken, lacking, strict=True)])
    for row, column in product(*map(range, mask.shape)):
        for down, right in product(*map(range, kernel)):
            spacious[row * strides[0] + down * apart, column * strides[1] + right * apart] += mask[
                row, column
            ]
    top, left = (more // 2 for more in lacking)
    return spacious[top : top + taken[0], left : left + taken[1]]


def averages(model, image, *names):
    """Return the average of the positive outputs of each layer, (rows, columns)."""
    maps = [
        keras.Model(model.inputs[0], model.get_layer(name).output)(image[np.newaxis])
        for name in names
    ]
    return [np.maximum(of_one[0], 0).mean(axis=-1) for of_one in maps]


def check(model, frame, expected):
    mask = Saliency(model, SMALL).of_frame(frame)
    assert mask.any()
    assert np.allclose(mask, expected / expected.max(), atol=1e-5)


@pytest.mark.parametrize(
    ("padding", "pooling"), [("valid", "MaxPooling2D"), ("same", "AveragePooling2D")]
)
def test_the_mask_follows_the_paper_with_separate_strides_poolings_and_activations(
    padding, pooling
):
    keras.utils.set_random_seed(3)
    model = network(
        SMALL,
        layers.Rescaling(1 / 127.5, -1),
        layers.Conv2D(4, (5, 3), strides=2, padding=padding),
        layers.BatchNormalization(),
        layers.ELU(name="first"),
        layers.Dropout(0.5),
        getattr(layers, pooling)((2, 3), strides=(1, 2), padding=padding),
        layers.Conv2D(5, 2, padding=padding, activation="elu", name="second"),
        layers.MaxPooling2D(2),
    )
    frame = frame_of(SMALL)
    first, second = averages(model, frame, "first", "second")
    pooled = model.layers[6].input.shape[1:3]
    expected = spread(
        spread(second, pooled, (2, 2), (1, 1), padding), first.shape, (2, 3), (1, 2), padding
    )
    expected = spread(expected * first, (15, 18), (5, 3), (2, 2), padding)
    check(model, frame, expected)


@pytest.mark.parametrize("kind", ["SeparableConv2D", "DepthwiseConv2D"])
def test_the_mask_follows_every_type_of_convolution_also_a_dilated_one(kind):
    keras.utils.set_random_seed(3)
    make = getattr(layers, kind)
    filters = (4,) if kind == "SeparableConv2D" else ()
    model = network(
        SMALL,
        layers.Rescaling(1 / 127.5, -1),
        make(*filters, 3, strides=2, padding="same", activation="relu", name="first"),
        make(*filters, (2, 3), activation="elu", name="second"),
    )
    frame = frame_of(SMALL)
    first, second = averages(model, frame, "first", "second")
    expected = spread(second, first.shape, (2, 3), (1, 1), "valid") * first
    check(model, frame, spread(expected, (15, 18), (3, 3), (2, 2), "same"))

    model = network(SMALL, layers.Conv2D(2, 3, dilation_rate=2, activation="elu", name="dilated"))
    (dilated,) = averages(model, frame, "dilated")
    check(model, frame, spread(dilated, (15, 18), (3, 3), (1, 1), "valid", apart=2))


@pytest.mark.parametrize("weight", [1e-6, 100])
def test_the_products_of_a_long_chain_neither_vanish_nor_overflow(weight):
    model = network(SMALL, *[layers.Conv2D(1, 1, activation="relu") for _ in range(12)])
    model.set_weights([np.full_like(weights, weight) for weights in model.get_weights()])
    assert Saliency(model, SMALL).of_frame(frame_of(SMALL)).max() == 1


# ---- our network


def test_windows_and_recurrent_networks_are_shown_by_what_they_see_in_the_frame(
    untrained_window_model,
):
    windowed = load_model(untrained_window_model).model
    # its first convolution does to one frame what the other does to three alike ones
    single = build_network(network="cnn")
    for layer in single.layers:
        if layer.name != "conv1":
            layer.set_weights(windowed.get_layer(layer.name).get_weights())
    kernel, bias = windowed.get_layer("conv1").get_weights()
    single.get_layer("conv1").set_weights([kernel.reshape(5, 5, 3, 3, 24).sum(axis=2), bias])
    masks = [Saliency(model, Preprocessing()).of_frame(frame_of()) for model in (windowed, single)]
    assert np.allclose(*masks, atol=1e-4)
    assert masks[0].max() == 1

    recurrent = build_network(seq_length=3, network="gru")
    for layer, own in zip(single.layers, frame_layers(recurrent), strict=False):
        # up to the first dense layer, behind which a mask knows no place
        layer.set_weights(own.get_weights())
    masks = [Saliency(model, Preprocessing()).of_frame(frame_of()) for model in (recurrent, single)]
    assert np.allclose(*masks, atol=1e-5)
    assert masks[0].max() == 1


# ---- networks that cannot be followed


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ((), "it has Flatten, Dense and no convolution; train one with Conv2D"),
        ((layers.UpSampling2D(), layers.Conv2D(1, 3)), "(UpSampling2D) before its last"),
    ],
)
def test_an_unsupported_network_is_refused_with_the_reason(chain, expected):
    with pytest.raises(UserError) as refusal:
        Saliency(network(WHOLE, *chain), WHOLE)
    assert expected in str(refusal.value)
    assert "still drives" in str(refusal.value)
