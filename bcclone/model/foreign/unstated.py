"""Decide what the files of other programs do not state.

They do not state how frames are prepared, nor which of several outputs is the steering. From the
names and shapes in the file, and from what the user has given, declared_preprocessing() makes a
`Preprocessing`, and pilot_of() recognises a pilot of donkeycar. A note tells of a guess that is not
certain; where no guess is possible, an error names the option with which the user states it.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from bcclone.dataset.preprocessing import PRESETS, Preprocessing, preprocessing_of
from bcclone.model.model_path import is_litert
from bcclone.system.errors import UserError, shown, shown_command
from bcclone.system.process import note

# into how many bins a categorical pilot of donkeycar divides the steering from -1 to 1; its output
# is the probability of each bin
BINS = 15


def pilot_of(input_name: str, numbers: int) -> str:
    """Return the class of a pilot of donkeycar (parts/keras.py), "" for another network.

    input_name: name of the network's input
    numbers: how many numbers the output has that tells the steering
    """
    if "img_in" not in input_name:
        return ""
    return "KerasCategorical" if numbers == BINS else "KerasLinear"


def guess_of_output(path: Path, name: str) -> str:
    """Return the note that the output `name` is taken as the steering."""
    return (
        f"{path}: no name of its outputs says which is the steering: {shown(name)} is taken; "
        "check that it is"
    )


def declared_preprocessing(
    path: Path,
    how: Preprocessing | str | None,
    shape: Sequence[int],
    pilot: str,
    likely_scale: str,
) -> Preprocessing:
    """Return how the frames of another program's model are prepared, which its file does not state.

    A note warns if nothing scales the pixels. Raises UserError if images that are prepared in this
    way do not fit the network, or if `how` is missing.

    how: a definition, or its text, in which the size may be missing; None for a pilot of donkeycar
        alone, which prepares its pictures in one way
    shape: rows, columns and channels of the network's input; for windows, the frames before these
    pilot: class of a pilot of donkeycar, as pilot_of() returns it
    likely_scale: how the author's program probably scaled the pixels, such as "0..1"; "" if a layer
        of the network scales them
    """
    *_, rows, columns, channels = shape
    frames = "frames x " if len(shape) == 4 else ""
    takes = f"its network takes {_extents(shape)} ({frames}rows x columns x channels)"

    # a pilot of donkeycar needs no preprocessing
    if how is None and pilot:
        how = _text(_colors(channels), likely_scale)
        note(
            f"{path}: a pilot of donkeycar ({pilot}); its pictures are prepared as "
            f"{columns}x{rows}, {how}"
        )

    # refuse an input that cannot be prepared, and a preprocessing that is missing or does not fit
    if channels not in (1, 3):
        raise UserError(
            f"{path}: {takes}, expected 1 or 3 channels, which come last; frames stacked as "
            "channels, and channels that come first, are not supported: train it for such pictures"
        )
    texts = _fitting_texts(rows, columns, channels, likely_scale)
    examples = " or ".join(f"--preprocess {shlex.quote(text)}" for text in texts)
    remedy = f"give what it was trained with, such as {examples}"
    if how is None:
        if not is_litert(path):
            find = shown_command("import-model", path, "--recording", "RECORDING")
            remedy += f", or find it with a recording: {find}"
        raise UserError(f"{path}: does not state its preprocessing; {takes}; {remedy}")
    preprocessing = preprocessing_of(how, (columns, rows)) if isinstance(how, str) else how
    if preprocessing.shape != (rows, columns, channels):
        raise UserError(
            f"{path}: {takes}, and {preprocessing.describe()} makes "
            f"{_extents(preprocessing.shape)}; {remedy}"
        )

    # the author's program probably scaled the pixels; the answers to pixels of 0 to 255 would lie
    # far beyond full steering
    if likely_scale and not preprocessing.scale:
        _note_unscaled(path, preprocessing)
    return preprocessing


def _note_unscaled(path: Path, preprocessing: Preprocessing) -> None:
    reason = "no layer scales"
    if is_litert(path):
        reason = "its file does not say whether a layer scales"
    note(
        f"{path}: {reason} the pixels, which are 0 to 255; if its author divided them by 255, "
        f"give --preprocess '{preprocessing.describe()}, 0..1', and if not, raw in place of 0..1"
    )


def _fitting_texts(rows: int, columns: int, channels: int, scale: str) -> list[str]:
    """Return texts for --preprocess that make images of this shape.

    They are presets, or, if none fits, a usual crop and size.

    scale: the likely scale, as declared_preprocessing() takes it
    """
    texts = []
    for name, preset in PRESETS.items():
        if preset.shape != (rows, columns, channels):
            continue
        if not preset.scale:
            texts.append(_text(name, scale))
        elif scale:  # a preset that scales does not fit a network that scales itself
            texts.append(name)
    if not texts:
        texts.append(_text(f"rows 60-140, {columns}x{rows}, {_colors(channels)}", scale))
    return texts


def _colors(channels: int) -> str:
    return "GRAY" if channels == 1 else "RGB"


def _text(text: str, scale: str) -> str:
    return f"{text}, {scale}" if scale else text


def _extents(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
