"""Figures of a training -> an event file that TensorBoard shows."""

from pathlib import Path
from types import TracebackType
from typing import Self

import tensorflow as tf

from bcclone.errors import UserError
from bcclone.train.history import EpochFigures


class TensorBoard:
    """Writes into a folder until it is closed; raises UserError where the package is missing."""

    def __init__(self, folder: Path) -> None:
        try:
            import tensorboard  # noqa: F401 TensorFlow writes through it
        except ImportError:
            raise UserError("--tensorboard needs a package that is missing: pip install tensorboard") from None
        self._writer = tf.summary.create_file_writer(str(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def wrote_step(self, step: int, loss: float, learning_rate: float) -> None:
        """Note the mean loss of the epoch so far."""
        with self._writer.as_default(step):
            tf.summary.scalar("step/loss", loss)
            tf.summary.scalar("step/learning_rate", learning_rate)

    def wrote_epoch(self, figures: EpochFigures) -> None:
        """Note what an epoch came to."""
        with self._writer.as_default(figures.epoch):
            for name in ("loss", "mae", "val_loss", "val_mae", "samples_per_second", "data_wait_share"):
                value = getattr(figures, name)
                if value is not None:
                    tf.summary.scalar(f"epoch/{name}", value)
        self._writer.flush()
