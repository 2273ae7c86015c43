"""The formula of a Lambda is read in the byte code of every Python; code is never run."""

import base64
from contextlib import suppress

import pytest

from bcclone.model.foreign.lambda_code import scaling_of_code
from bcclone.model.foreign.stored import UnsupportedModel
from tests.model.foreign.old_models import NORMALIZE, stored


@pytest.mark.parametrize("python", NORMALIZE)
@pytest.mark.parametrize("as_text", [False, True], ids=["base64", "text"])
def test_byte_code_of_every_python_is_read(python, as_text):
    data = base64.b64decode(NORMALIZE[python])
    scaling = scaling_of_code(data.decode("latin-1") if as_text else NORMALIZE[python])
    assert (scaling.scale, scaling.offset) == (pytest.approx(1 / 127.5), -1)


@pytest.mark.parametrize(
    "formula", ["x", "x / 255.0 - 0.5", "(x - 128) / 128", "((x / 255) - .5) * 2 + 1 - 0.25"]
)
def test_arithmetic_on_the_argument_is_read(formula):
    function = eval(f"lambda x: {formula}")
    scaling = scaling_of_code(stored(function))
    for x in (0.0, 1.0, 200.0):
        assert scaling.scale * x + scaling.offset == pytest.approx(function(x))


@pytest.mark.parametrize(
    "formula",
    [
        "x * x", "1 / x", "x - x", "x / 0", "abs(x / 2)", "x / 1e400", "x ** 2", "open('a')",
        "tf.image.resize(x, (66, 200))", "x[:, 60:135] / 255", "(x - K.mean(x)) / K.std(x)",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_the_remedy(formula):
    remedy = r"is not run; .*bcclone import-model .*--rescale 'x / 127.5 - 1'; or .*Resizing"
    with pytest.raises(UnsupportedModel, match=remedy):
        scaling_of_code(stored(eval(f"lambda x: {formula}")))


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
            scaling_of_code(base64.b64encode(data).decode())
    for place in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            data = bytearray(whole)
            data[place] ^= flip
            with suppress(UnsupportedModel):
                scaling_of_code(base64.b64encode(data).decode())
