"""The formula of a Lambda layer is recognised in the byte code of every Python; code is never
run.
"""

import base64
from contextlib import suppress

import pytest

from bcclone.model.foreign.lambda_code import computed_by
from bcclone.model.foreign.unsupported import UnsupportedModel
from tests.model.foreign.old_models import NORMALIZE, stored


@pytest.mark.parametrize("python", NORMALIZE)
@pytest.mark.parametrize("as_text", [False, True], ids=["base64", "text"])
def test_byte_code_of_every_python_is_recognised(python, as_text):
    data = base64.b64decode(NORMALIZE[python])
    scaling = computed_by(data.decode("latin-1") if as_text else NORMALIZE[python])
    assert (scaling.scale, scaling.offset) == (pytest.approx(1 / 127.5), -1)


@pytest.mark.parametrize(
    "formula", ["x", "x / 255.0 - 0.5", "(x - 128) / 128", "((x / 255) - .5) * 2"]
)
def test_arithmetic_on_the_argument_is_recognised(formula):
    function = eval(f"lambda x: {formula}")
    scaling = computed_by(stored(function))
    for x in (0.0, 1.0, 200.0):
        assert scaling.scale * x + scaling.offset == pytest.approx(function(x))


@pytest.mark.parametrize(
    "formula",
    ["x * x", "1 / x", "x - x", "x / 0", "abs(x / 2)", "x / 1e400", "x ** 2", "open('a')"],
)
def test_anything_else_is_refused_with_the_remedy(formula):
    with pytest.raises(
        UnsupportedModel, match=r"is not run; .*bcclone import-model --rescale 'x / 127.5 - 1'"
    ):
        computed_by(stored(eval(f"lambda x: {formula}")))


def test_truncated_changed_or_hostile_byte_code_is_refused():
    whole = base64.b64decode(NORMALIZE["3.11"])
    functions = [lambda x, y: x / y, lambda x, y: x / 2, lambda *x: x / 2]
    for data in [
        whole[:40],
        b"(\x01\0\0\0" * 10_000,
        b"c" * 5000,
        b"",
        *(base64.b64decode(stored(f)) for f in functions),
    ]:
        with pytest.raises(UnsupportedModel, match="is not run"):
            computed_by(base64.b64encode(data).decode())
    for place in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            data = bytearray(whole)
            data[place] ^= flip
            with suppress(UnsupportedModel):
                computed_by(base64.b64encode(data).decode())


@pytest.mark.parametrize(
    ("function", "remedy"),
    [
        (lambda x: x[:, 60:135] / 255, "Cropping2D"),
        (lambda x: x[..., ::-1], "BGR in --preprocess"),
        (lambda x: tf.image.rgb_to_yuv(x / 255), "'YUV, mean 0 128 128 deviation 255'"),  # noqa: F821
        (lambda x: (x - K.mean(x)) / K.std(x), "mean and deviation"),  # noqa: F821
        (
            lambda x: tf.image.resize(x, (66, 200), method="area", antialias=True),  # noqa: F821
            "no layer resizes so",
        ),
    ],
)
def test_a_remedy_fits_what_the_function_does_and_is_no_rescaling(function, remedy):
    with pytest.raises(UnsupportedModel, match=remedy) as caught:
        computed_by(stored(function))
    assert "--rescale" not in str(caught.value)


def test_a_resizing_to_a_constant_size_is_recognised():
    for function in (
        lambda x: tf.image.resize(x, (66, 200)),  # noqa: F821
        lambda img: tf.image.resize(img, [66, 200]),  # noqa: F821
    ):
        assert computed_by(stored(function)) == (66, 200)
    for function in (
        lambda x: tf.image.resize(x, (66, 200)) / 255,  # noqa: F821
        lambda x: tf.image.resize(x, (66, 200)) * x,  # noqa: F821
        lambda x: tf.image.resize(x, (66, 200), method="nearest"),  # noqa: F821
        lambda x: K.resize_images(x, 0.5, 0.5, "channels_last"),  # noqa: F821
    ):
        with pytest.raises(UnsupportedModel, match="with a Resizing layer in its place"):
            computed_by(stored(function))
