"""State of a training -> its run folder: when it is written, what is written, and what happens where that fails."""

from collections.abc import Callable
from dataclasses import asdict

from bcclone.atomic import write_bytes
from bcclone.feed.opening import TrainingData
from bcclone.history import history_csv
from bcclone.model_file import model_content
from bcclone.train.checkpoint import Checkpoints
from bcclone.train.run_folder import RunFolder
from bcclone.train.settings import TrainSettings, UpkeepSettings
from bcclone.train.step import Trainer


class Keeper:
    """Keeps one training, from the state of its newest checkpoint on."""

    def __init__(
        self, trainer: Trainer, folder: RunFolder, upkeep: UpkeepSettings, notify: Callable[[str], None]
    ) -> None:
        """Put the trainer into the state of the newest checkpoint; raises UserError when none of them is whole."""
        self._trainer, self._folder, self._upkeep, self._notify = trainer, folder, upkeep, notify
        self._checkpoints = Checkpoints(folder.checkpoints)
        self.progress, self._model = self._checkpoints.load(trainer, notify)
        self._step, self._elapsed = self.progress.step, self.progress.elapsed
        self._model_is_written = not self._model  # a killed training may have left another than that of the checkpoint

    def is_due(self, elapsed: float) -> bool:
        """Return True when so many steps or minutes have passed since the last checkpoint. elapsed: of the training."""
        steps, minutes = self._upkeep.checkpoint_steps, self._upkeep.checkpoint_minutes
        by_steps = bool(steps) and self.progress.step - self._step >= steps
        return by_steps or bool(minutes) and elapsed - self._elapsed >= minutes * 60

    def take_model(self, data: TrainingData, settings: TrainSettings) -> None:
        """Take the weights as they are, those of the last epoch, for the model."""
        last = self.progress.history[-1]
        described = {
            "settings": asdict(settings),
            "samples": dict(data.sample_settings),
            "store_content_hash": data.content_hash,
            "epoch": last.epoch,
            "val_loss": last.val_loss,
        }
        self._model = model_content(self._trainer.export(), data.preprocessing, described)
        self._model_is_written = False

    def keep(self) -> None:
        """Write all that a resume needs; where that fails, what was written before stays, and training goes on."""
        self._step, self._elapsed = self.progress.step, self.progress.elapsed
        for write in (self._write_model, self._write_checkpoint, self._write_history):
            try:
                write()
            except OSError as error:
                self._notify(
                    f"note: {error.filename or self._folder.path}: cannot be written: {error.strerror or error}; "
                    "training goes on, and what was written before stays"
                )

    @property
    def model(self) -> bytes:
        """Return the model file so far, empty before the first epoch is complete."""
        return self._model

    def _write_checkpoint(self) -> None:
        self._checkpoints.save(self._trainer, self.progress, self._model)

    def _write_history(self) -> None:
        self._folder.write_history(history_csv(self.progress.history))

    def _write_model(self) -> None:
        if not self._model_is_written:
            write_bytes(self._folder.model, self._model)
            self._model_is_written = True
