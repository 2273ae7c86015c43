"""What a network answers: its outputs in order, and one frozen value for a frame; loads no TensorFlow.

A new output is a name in OUTPUTS and a field of Answer: model files, policies and exported files follow.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from bcclone.dataset.labels import LEARNED_SPEED_MPH

# in the order of the network's numbers, and the unit of each; a network has the first of them, or more
OUTPUTS = {"steering": 1.0, "speed_mph": LEARNED_SPEED_MPH}


@dataclass(frozen=True)
class Answer:
    """The outputs of a network for one frame, None where it has no such output.

    steering: -1 (left) to 1 (right), NaN from a diverged network; speed_mph: how fast to drive.
    """

    steering: float
    speed_mph: float | None = None

    @classmethod
    def of(cls, numbers: Iterable[Any]) -> Self:
        """Return the answer from the network's numbers for a frame, (outputs,)."""
        return cls(*(float(number) * unit for number, unit in zip(numbers, OUTPUTS.values(), strict=False)))


def first_outputs(count: int) -> tuple[str, ...]:
    """Return the names of the outputs of a network with so many numbers."""
    return tuple(OUTPUTS)[:count]
