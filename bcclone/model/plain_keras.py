"""Does plain Keras answer from a model file as bcclone does?

In: a model file that bcclone has just written, its network, and inputs. Out: nothing, or a
UserError. Everybody may open our files with `keras.models.load_model`. It reads some layers from a
.h5 file otherwise than they were written, without an error.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bcclone.camera.images import Image
from bcclone.system.errors import UserError, first_line

if TYPE_CHECKING:
    import keras

MOST_DIFFERENCE = 1e-4  # of two answers; those of the same layers differ by 0 on a CPU
_REMEDY = (
    "use layers that Keras reads from a .h5 file as they are, which a "
    "LayerNormalization, a Softmax or a Normalization of several axes is not"
)


class OtherAnswers(UserError):
    """Keras does not read a network from its file as it is; the text says so without the path."""


def check_plain_keras(path: Path, network: "keras.Model", inputs: Image | None = None) -> None:
    """Raise OtherAnswers if Keras opens another network in the file than this one.

    Keras only gets a file that bcclone has just written. It refuses to open a network with a Lambda
    of its author, in words, so such a network is not compared.

    network: what the file has to answer as
    inputs: uint8 (batch, height, width, channels), or windows of frames; None for random images
    """
    import keras

    from bcclone.model.layer_kinds import layers_within  # loads Keras

    if any(isinstance(layer, keras.layers.Lambda) for layer in layers_within(network)):
        return
    if inputs is None:
        shape = (4, *network.input_shape[1:])
        inputs = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    try:
        plain = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise OtherAnswers(
            f"plain Keras cannot open this network from its file: {first_line(error)}; {_REMEDY}"
        ) from None
    answers = [np.asarray(one(inputs, training=False)) for one in (network, plain)]
    difference = float(np.abs(answers[0] - answers[1]).max())
    if not difference <= MOST_DIFFERENCE:  # NaN is no answer, either
        raise OtherAnswers(
            f"plain Keras answers otherwise from this network's file, by {difference:.3g}, "
            f"expected at most {MOST_DIFFERENCE:g}; {_REMEDY}"
        )
