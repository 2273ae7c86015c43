"""Write the figures of a training into event files that TensorBoard shows."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import tensorflow as tf

from bcclone.system.errors import require_package
from bcclone.train.history import Epoch


class TensorBoard:
    """Writes event files into a folder, until a write fails; raises UserError when the package is missing."""

    def __init__(self, folder: Path, notify: Callable[[str], None]) -> None:
        require_package("tensorboard", "--tensorboard", "tensorboard")
        self._writer, self._notify, self._failed = tf.summary.create_file_writer(str(folder)), notify, False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._try(self._writer.close)

    def log_step(self, step: int, loss: float, learning_rate: float) -> None:
        self._try(lambda: self._write(step, {"step/loss": loss, "step/learning_rate": learning_rate}))

    def log_epoch(self, figures: Epoch) -> None:
        names = ("loss", "mae", "val_loss", "val_mae", "samples_per_second", "data_wait_share")
        values = {f"epoch/{name}": getattr(figures, name) for name in names}
        self._try(lambda: self._write(figures.epoch, values))
        self._try(self._writer.flush)

    def _write(self, step: int, values: Mapping[str, float | None]) -> None:
        with self._writer.as_default(step):
            for name, value in values.items():
                if value is not None:
                    tf.summary.scalar(name, value)

    def _try(self, write: Callable[[], object]) -> None:
        """Write, unless a write has failed before; a full disk does not stop the training."""
        if self._failed:
            return
        try:
            write()
        except tf.errors.OpError as error:
            self._failed = True
            self._notify(
                f"note: the log for TensorBoard cannot be written any more: {str(error).partition(chr(10))[0]}"
            )
