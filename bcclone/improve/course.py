"""Improve a model in rounds, in a work folder: score it, train it on, score it again, and note each complete round."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bcclone.improve.rounds import Round, RoundsSoFar, describe_round
from bcclone.improve.scoring import score_rows
from bcclone.improve.settings import ImproveSettings
from bcclone.improve.start_model import StartModel
from bcclone.improve.work_folder import WorkFolder
from bcclone.task_pool import TaskPool
from bcclone.train import CheckpointSettings, RunSettings, TrainResult, run

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Course:
    """An improvement under way. start: the model to begin with; pool: the workers that drive."""

    settings: ImproveSettings
    folder: WorkFolder
    start: StartModel
    pool: TaskPool
    notify: Notify

    def begin(self) -> RoundsSoFar:
        """Return the rounds that are complete; the first one, number 0, is the score of the model to begin with."""
        so_far = RoundsSoFar.read(self.folder.path) or RoundsSoFar()
        if so_far.rounds:
            return so_far
        model = self.folder.start
        return self.add(so_far, lambda: self.scored(Round(0, 0, 0, 0, 0.0, 0, None, 0.0, model.name, ())))

    def add(self, so_far: RoundsSoFar, complete: Callable[[], Round]) -> RoundsSoFar:
        """Complete a round, and note it with its duration."""
        begun = time.monotonic()
        one = replace(complete(), seconds=round(time.monotonic() - begun, 1))
        so_far = RoundsSoFar((*so_far.rounds, one))
        so_far.write(self.folder.path)
        self.notify(describe_round(one))
        return so_far

    def train(self, number: int, model: Path, epochs: int, learning_rate: float) -> TrainResult:
        """Train on from a model, on the store; an interrupted training continues where it stopped."""
        seed = self.settings.seed + number
        settings = replace(self.start.training, epochs=epochs, learning_rate=learning_rate, seed=seed)
        name = f"{number:02d}"
        lesson = RunSettings(
            data=(str(self.folder.store),),
            output=self.folder.path / self.model_name(number),
            start=model,
            runs=self.folder.runs,
            name=name,
            resume=(self.folder.runs / name).exists(),
            training=settings,
            checkpointing=CheckpointSettings(plots=False),
        )
        return run(lesson, self.notify)

    def scored(self, one: Round) -> Round:
        """Return a round with the score of its model."""
        return replace(one, scores=score_rows(self.folder.path / one.model, self.settings, self.pool))

    def model_name(self, number: int) -> str:
        """Return the name of the model of a round, relative to the work folder."""
        return f"{self.folder.models.name}/{number:02d}.h5"
