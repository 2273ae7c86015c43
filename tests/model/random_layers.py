"""A layer of each type that draws random numbers in training, for tests of what every such layer
does.
"""

from collections.abc import Iterator
from typing import Any

from bcclone.model.layer_kinds import KINDS

# of an input by its number of axes with the batch; each has 192 values
_SHAPES = {3: (64, 3), 4: (8, 8, 3), 5: (2, 4, 8, 3)}


def random_layers(strength: float, seed: int = 0) -> Iterator[tuple[Any, tuple[int, ...]]]:
    """Yield each layer with this rate or standard deviation, and the shape of an input that it
    takes.
    """
    kinds = [kind for kind in KINDS.values() if kind.random_attribute]
    assert len(kinds) > 1
    for kind in kinds:
        yield kind.type(**{kind.random_attribute: strength}, seed=seed), _SHAPES[kind.axes or 4]
