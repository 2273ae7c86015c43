"""The outputs of another program's network -> which of them is the steering, and its number."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from bcclone.system.arrays import Float32Array
from bcclone.system.errors import shown
from bcclone.system.progress import note

# number of bins into which a categorical pilot of donkeycar divides the steering from -1 to 1; its
# output is the probability of each bin
BINS = 15


def steering_output(names: Iterable[str]) -> tuple[str, bool]:
    """Return which output of another program's network is the steering, and whether that is sure.

    It is sure if the name of exactly one output says so, or if there is only one output. Otherwise
    it is the first of those whose name says so; without such a name, the first whose name does not
    exclude it.

    names: names of the network's outputs: of ONNX in the order of the file, else sorted
    """
    names = [*names]
    # parts of names that exclude the steering, and parts that show it
    surely_none = re.compile("throttle|speed|brake|accel|confidence|img_out")
    surely_steering = re.compile("angle|steer|wheel")
    candidates = [name for name in names if not surely_none.search(name.lower())]
    named = [name for name in candidates if surely_steering.search(name.lower())]
    if len(named) == 1:
        return named[0], True
    likely = named or candidates or names
    return likely[0], len(names) == 1


def note_steering(path: Path, steering: str, names: Iterable[str]) -> None:
    """Say which output of a file is taken as the steering, where its name does not tell."""
    others = ", ".join(shown(name) for name in names if name != steering)
    note(
        f"{path}: output {shown(steering)} is taken as the steering, and not {others}; check that, "
        "or name the output of the steering 'steering' in the export"
    )


def steering_in(numbers: Float32Array) -> Float32Array:
    """Return the steering, (1, 1), in the numbers of an output, (numbers,): the first one.

    15 numbers are the probabilities of 15 bins from -1 to 1; the steering is the place of the most
    probable bin.
    """
    if len(numbers) == BINS:
        return np.array([[np.argmax(numbers) * 2 / (BINS - 1) - 1]], np.float32)
    return np.asarray(numbers[:1], np.float32).reshape(1, 1)
