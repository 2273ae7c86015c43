"""What every contestant is told; each is a module with `deliver(race, taken)`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Taken = Callable[[int], bool]  # told of a batch's size; False: enough


@dataclass(frozen=True)
class Race:
    """The store whose training samples are to come shuffled, flips applied, and how many processes or threads may help.

    workers: as many as there are cores, as the documentations of the alternatives advise.
    """

    store: Path
    workers: int
    batch_size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.workers < 1 or self.batch_size < 1:
            raise ValueError(f"{self.workers} workers, batches of {self.batch_size}, expected 1 or more")
