"""How frames are prepared for a network of another program, whose file does not say it.

In: what the user says, and the shape of the network's input. Out: a `Preprocessing`. For a pilot of
donkeycar, which is recognised by the name of its input, the user need not say it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bcclone.dataset.preprocessing import PRESETS, Preprocessing, preprocessing_of
from bcclone.dataset.preprocessing_text import EACH_IMAGE, scaling_of
from bcclone.model.model_path import is_litert, is_onnx
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import UserError, command_line
from bcclone.system.progress import note


def declared_preprocessing(
    path: Path,
    given: Preprocessing | str | None,
    shape: Sequence[int],
    pilot: str,
    likely_scale: str,
) -> Preprocessing:
    """Return how the frames of another program's model are prepared.

    A note warns if nothing scales the pixels. Raises UserError if images that are prepared in this
    way do not fit the network, or if `given` is missing.

    given: a definition, or its text, in which the size may be missing; None for a pilot of
        donkeycar alone, which prepares its pictures in one way
    shape: rows, columns and channels of the network's input; for windows, the frames before these
    pilot: class of a pilot of donkeycar, as pilot_of() returns it
    likely_scale: how the author's program probably scaled the pixels, such as "0..1"; "" if a layer
        of the network scales them
    """
    *_, rows, columns, channels = shape
    frames = "frames x " if len(shape) == 4 else ""
    takes = f"its network takes {extents(shape)} ({frames}rows x columns x channels)"
    if channels not in (1, 3):
        raise UserError(
            f"{path}: {takes}, expected 1 or 3 channels, which come last; frames stacked as "
            "channels, and channels that come first, are not supported: train it for such pictures"
        )
    if given is None and pilot:
        given = _text(_color(channels), likely_scale)
        note(
            f"{path}: a pilot of donkeycar ({pilot}); its pictures are prepared as "
            f"{columns}x{rows}, {given}"
        )
    remedy = (
        "give what it was trained with (its author's drive.py says it), such as "
        f"{_examples(rows, columns, channels, likely_scale)}"
    )
    if given is None:
        raise UserError(f"{path}: does not state its preprocessing; {takes}; {remedy}")
    preprocessing = given
    if isinstance(preprocessing, str):
        preprocessing = preprocessing_of(preprocessing, (columns, rows))
    if preprocessing.shape != (rows, columns, channels):
        raise UserError(
            f"{path}: {takes}, and {preprocessing.describe()} makes "
            f"{extents(preprocessing.shape)}; {remedy}"
        )

    # the author's program probably scaled the pixels; the answers to pixels of 0 to 255 would lie
    # far beyond full steering
    if likely_scale and not preprocessing.scale:
        reason = "no layer scales"
        if is_litert(path) or is_onnx(path):
            reason = "its file does not say whether a layer scales"
        note(
            f"{path}: {reason} the pixels, which are 0 to 255; if its author divided them by 255, "
            f"give --preprocess '{preprocessing.describe()}, 0..1', and if not, raw in place of "
            "0..1"
        )
    return preprocessing


def scaled(pixels: Float32Array, scale: str) -> Float32Array:
    """Return pixels of 0 to 255 as a preprocessing scales them."""
    if not scale:
        return pixels
    if scale == EACH_IMAGE:
        normal: Float32Array = (pixels - pixels.mean()) / max(pixels.std(), 1e-6)
        return normal
    scaling = scaling_of(scale)
    return pixels * np.float32(scaling.scale) + np.float32(scaling.offset)


def _examples(rows: int, columns: int, channels: int, scale: str) -> str:
    """Return options with preprocessings that fit this input, as a message names them."""
    fitting = [
        name for name, preset in PRESETS.items() if preset.shape == (rows, columns, channels)
    ]
    texts = [_text(name, "" if PRESETS[name].scale else scale) for name in fitting]
    if not texts:
        texts = [_text(f"rows 60-140, {columns}x{rows}, {_color(channels)}", scale)]
    return " or ".join(command_line(["--preprocess", text]) for text in texts)


def _color(channels: int) -> str:
    return "GRAY" if channels == 1 else "RGB"


def _text(text: str, scale: str) -> str:
    return f"{text}, {scale}" if scale else text


def extents(shape: Sequence[int]) -> str:
    """Return a shape as a person reads it: 66 x 200 x 3."""
    return " x ".join(map(str, shape))
