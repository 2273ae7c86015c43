"""The error for a model of another program that cannot be used here; its text says why."""

from collections.abc import Iterable

from bcclone.system.errors import shown


class UnsupportedModel(ValueError):
    """A stored model that cannot be rebuilt; the text is the reason, a line without the path."""


# what to do with a network whose form or layers cannot be rebuilt
CONVERT = (
    "convert it in the author's Keras to a LiteRT file, which may have any form "
    "(model.export('saved'); tf.lite.TFLiteConverter.from_saved_model('saved').convert()), and "
    "drive with that and --preprocess"
)


def not_a_chain(what: str) -> UnsupportedModel:
    """Return the error for a network that is no chain of layers.

    what: what in it is no part of a chain
    """
    return UnsupportedModel(f"{what}; only chains of layers are rebuilt; {CONVERT}")


def several_inputs(names: Iterable[str]) -> str:
    """Return the reason against a network that takes all of these inputs."""
    return (
        f"takes the inputs {shown([*names])}, expected pictures alone: "
        "such a network cannot drive here"
    )
