"""Does plain Keras answer from a model file as bcclone does?

In: a model file that bcclone has just written, its network, and inputs. Out: nothing, a note that
the network is not compared, or a UserError. Everybody may open our files with
`keras.models.load_model`. It reads some layers from a .h5 file otherwise than they were written,
without an error.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bcclone.camera.images import Image
from bcclone.system.errors import UserError, first_line
from bcclone.system.tensorflow_quietly import random_state_kept

if TYPE_CHECKING:
    import keras

# of two answers, as a part of an output's largest one, which counts as 1 at least, the largest
# steering; those of the same layers differ by 0 on a CPU
MOST_DIFFERENCE = 1e-4
NOT_COMPARED = (
    "not compared with what plain Keras reads from the file, since Keras refuses to open a Lambda "
    "of the network's author; a Rescaling in its place would be compared"
)
_REMEDY = (
    "use layers that Keras reads from a .h5 file as they are, which a "
    "LayerNormalization, a Softmax or a Normalization of several axes is not"
)


class OtherAnswers(UserError):
    """Keras does not read a network from its file as it is; the text says so without the path."""


def check_plain_keras(path: Path, network: "keras.Model", inputs: Image | None = None) -> str:
    """Raise OtherAnswers if Keras opens another network in the file than this one.

    Keras only gets a file that bcclone has just written. It refuses to open a network with a Lambda
    of its author, in words, so such a network is not compared. Return a note that says so; "" for a
    network that was compared.

    network: what the file has to answer as
    inputs: uint8 (batch, height, width, channels), or windows of frames; None for random images
    """
    import keras

    from bcclone.model.layer_kinds import layers_within  # loads Keras

    if any(isinstance(layer, keras.layers.Lambda) for layer in layers_within(network)):
        return NOT_COMPARED
    if inputs is None:
        shape = (4, *network.input_shape[1:])
        inputs = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    try:
        with random_state_kept():
            plain = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise OtherAnswers(
            f"plain Keras cannot open this network from its file: {first_line(error)}; {_REMEDY}"
        ) from None
    with _whole_precision():
        ours, theirs = (np.asarray(one(inputs, training=False)) for one in (network, plain))
    # an output such as a speed in mph has larger answers than the steering, and so larger rounding
    # errors
    with np.errstate(invalid="ignore"):
        parts = np.abs(ours - theirs) / np.maximum(np.abs(ours).max(axis=0), 1)
    # weights that are not finite are for others to find: here, NaN is the same answer as NaN
    is_same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    difference = float(np.where(is_same, 0, parts).max())
    if not difference <= MOST_DIFFERENCE:  # NaN instead of a number, too
        raise OtherAnswers(
            f"plain Keras answers otherwise from this network's file, by {difference:.3g} of an "
            f"output's largest answer (or of 1), expected at most {MOST_DIFFERENCE:g}; {_REMEDY}"
        )
    return ""


@contextmanager
def _whole_precision() -> Iterator[None]:
    """Let a GPU multiply without TF32, which rounds factors to 10 bits, in the block."""
    from tensorflow.config import experimental

    before = experimental.tensor_float_32_execution_enabled()
    experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        experimental.enable_tensor_float_32_execution(before)
