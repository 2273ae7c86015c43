"""Byte code of every Python is read as data: arithmetic on the argument is recognised, everything else refused."""

import base64
from contextlib import suppress

import numpy as np
import pytest

from bcclone.model.keras_files import UnsupportedModel
from bcclone.model.keras_files.lambda_code import affine_of, shown
from tests.model.keras_files.old_models import NORMALIZE, stored


@pytest.mark.parametrize("python", NORMALIZE)
@pytest.mark.parametrize("as_text", [False, True], ids=["base64", "text"])
def test_byte_code_of_every_python_is_read(python, as_text):
    data = base64.b64decode(NORMALIZE[python])
    affine = affine_of(data.decode("latin-1") if as_text else NORMALIZE[python])
    assert (affine.scale, affine.offset) == (pytest.approx(1 / 127.5), -1)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x / 255,
        lambda x: x / 255.0 - 0.5,
        lambda x: (x - 128) / 128,
        lambda x: 2 * x / 255 - 1,
        lambda x: 1 - x / 127.5,
        lambda x: -x * 3,
        lambda x: x,
        lambda x: x - x / 2 + 12345678901,
    ],
)
def test_arithmetic_on_the_argument_is_read(function):
    affine = affine_of(stored(function))
    for x in (0.0, 1.0, 200.0):
        assert affine.scale * x + affine.offset == pytest.approx(function(x))


@pytest.mark.parametrize(
    ("function", "read"),
    [
        (lambda x: x * x, "BINARY_MULTIPLY"),
        (lambda x: 1 / x, "BINARY_TRUE_DIVIDE"),
        (lambda x: x / 0, "LOAD_CONST 0"),
        (lambda x: x - x, "BINARY_SUBTRACT"),
        (lambda x: np.arctan(x) * 2, "names: 'np', 'arctan'"),
        (lambda x: x["steering"], "LOAD_CONST 'steering'"),
        (lambda x, y: x + y, "LOAD_FAST"),
        (lambda x: x / 1e400, "LOAD_CONST inf"),
    ],
)
def test_other_byte_code_is_refused_with_its_instructions(function, read):
    with pytest.raises(UnsupportedModel, match="is not run") as refusal:
        affine_of(stored(function))
    assert read in str(refusal.value)
    assert "Rescaling" in str(refusal.value)


def test_truncated_changed_or_hostile_byte_code_is_refused():
    whole = base64.b64decode(NORMALIZE["3.11"])
    cut = [whole[:size] for size in range(len(whole))]
    nested = [b"(\x01\0\0\0" * 10_000, b"c" * 5000, b"(\xff\xff\xff\x7f", b"\xa9\x01r\0\0\0\0", b"N" * 100_000]
    for data in [*cut, *nested, whole + b"N"]:
        with pytest.raises(UnsupportedModel, match="cannot be read"):
            affine_of(base64.b64encode(data).decode())
    for place in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            data = bytearray(whole)
            data[place] ^= flip
            with suppress(UnsupportedModel):
                affine_of(base64.b64encode(data).decode())


def test_the_error_for_a_closure_shows_its_instructions():
    outer = 3.0
    text = shown(stored(lambda x: x * outer))
    assert "RESUME" in text
    assert "LOAD_DEREF" in text
    assert "Rescaling" in text
