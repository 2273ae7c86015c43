"""The error for a model of another program that cannot be used here; its text says why."""

from collections.abc import Iterable

from bcclone.system.errors import shown


class UnsupportedModel(ValueError):
    """A stored model that cannot be rebuilt; the text is the reason, a line without the path."""


def several_inputs(names: Iterable[str]) -> str:
    """Return the reason against a network that takes all of these inputs."""
    return (
        f"takes the inputs {shown([*names])}, expected pictures alone: "
        "such a network cannot drive here"
    )
