"""Write into the run folder during a training: the model to keep, checkpoints, history and events.

A `Saver` gets the training state and the model file to keep, and writes the model, a checkpoint and
the history. An `EventLog` gets figures by name, and writes them for TensorBoard.

A write that fails, such as on a full disk, is reported, and does not stop the training.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Self

import tensorflow as tf

from bcclone.system.errors import first_line, require_package
from bcclone.system.files import write_bytes
from bcclone.system.process import Notify
from bcclone.training.checkpoint import save_checkpoint
from bcclone.training.trainer import Trainer
from bcclone.training.training_folder import RunFolder
from bcclone.training.training_state import TrainingState


class Saver:
    """Writes the model, the checkpoints and the history of a training.

    saved: the state of the newest checkpoint, from which the next one's time follows
    model: the model file to keep so far, empty before the first epoch is complete
    """

    def __init__(
        self, folder: RunFolder, trainer: Trainer, saved: TrainingState, model: bytes
    ) -> None:
        self.saved = saved
        self.model = model
        self._folder = folder
        self._trainer = trainer
        # without a model, there is nothing to write. A resumed training writes its model again: the
        # file may be newer than the checkpoint, if the process was killed between the two writes
        self._is_model_written = not model

    def keep(self, model: bytes) -> None:
        """Set the model file that the next save() writes; nothing is written here."""
        self.model = model
        self._is_model_written = False

    def save(self, state: TrainingState, notify: Notify) -> None:
        """Write the model if it is a new one, a checkpoint, and the history."""
        self.saved = state
        folder = self._folder
        if not self._is_model_written:
            write_model = partial(write_bytes, folder.model, self.model)
            self._is_model_written = try_to_write(write_model, folder, notify)
        write_checkpoint = partial(
            save_checkpoint, folder.checkpoints, self._trainer, state, self.model
        )
        try_to_write(write_checkpoint, folder, notify)
        try_to_write(partial(folder.write_history, state.history), folder, notify)


class EventLog:
    """Writes figures into the event files of TensorBoard; stops after the first failed write.

    A context manager, which closes the file at the end. Raises UserError when TensorBoard is wanted
    and not installed.

    is_wanted: without it, write() does nothing
    """

    def __init__(self, folder: RunFolder, is_wanted: bool) -> None:
        self._folder = folder
        self._events: Any = None
        if is_wanted:
            require_package("tensorboard", "--tensorboard", "tensorboard")
            self._events = tf.summary.create_file_writer(str(folder.tensorboard))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def write(self, step: int, values: Mapping[str, float | None], notify: Notify) -> None:
        """Write some figures of a step.

        step: the x coordinate in TensorBoard: the number of a step, or of an epoch
        values: name -> figure; a None is left out
        """
        if not self._events:
            return
        known = {name: value for name, value in values.items() if value is not None}
        if not try_to_write(partial(self._write, step, known), self._folder, notify):
            self._close()

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        with self._events.as_default(step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        self._events.flush()

    def _close(self) -> None:
        if not self._events:
            return
        # each write has flushed the file, so a close that fails loses nothing
        with suppress(OSError, tf.errors.OpError):
            self._events.close()
        self._events = None


def try_to_write(write: Callable[[], object], folder: RunFolder, notify: Notify) -> bool:
    """Call `write`; return whether it has succeeded, and tell the user why it has not."""
    try:
        write()
    except (OSError, tf.errors.OpError) as error:
        place = getattr(error, "filename", None) or folder.path
        reason = getattr(error, "strerror", None) or first_line(error)
        notify(
            f"note: {place}: cannot be written: {reason}; "
            "training continues, and the earlier files are unchanged"
        )
        return False
    return True
