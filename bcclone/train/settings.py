"""What a training is told; no TensorFlow in here, so that --help answers at once."""

from dataclasses import dataclass

_LONGEST_SEQUENCE = 20  # frames; 1.4 s of a recording


@dataclass(frozen=True)
class TrainSettings:
    """How a network is trained.

    seq_length: how many consecutive frames the network is given, 1 for single frames; patience: epochs without a
    better validation loss before training stops, 0 for never; deterministic: the same numbers on every run of the same
    machine, at some cost in speed.
    """

    batch_size: int = 32
    epochs: int = 10
    learning_rate: float = 3e-4
    patience: int = 0
    seed: int = 0
    seq_length: int = 1
    deterministic: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch size {self.batch_size}, expected 1 or more")
        if self.epochs < 1:
            raise ValueError(f"epochs {self.epochs}, expected 1 or more")
        if not 0 < self.learning_rate < 1:
            raise ValueError(f"learning rate {self.learning_rate:g}, expected more than 0 and less than 1")
        if not 1 <= self.seq_length <= _LONGEST_SEQUENCE:
            raise ValueError(f"seq length {self.seq_length}, expected 1 to {_LONGEST_SEQUENCE} frames")
        if self.patience < 0:
            raise ValueError(f"patience {self.patience}, expected 0 (never stop early) or more")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed {self.seed}, expected 0 to 4294967295")
