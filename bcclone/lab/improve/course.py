"""Improve a model in rounds, in a work folder: score it, train it on, score it again, and note each complete round."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bcclone.cluster.shards import open_if_store
from bcclone.lab.improve.improve_settings import ImproveSettings
from bcclone.lab.improve.rounds import Round, RoundsSoFar, describe_round
from bcclone.lab.improve.scoring import rows_to_drive, score_rows
from bcclone.lab.improve.start_model import StartModel
from bcclone.lab.improve.work_folder import WorkFolder
from bcclone.system.task_pool import TaskPool
from bcclone.train.run import resume, run
from bcclone.train.train_settings import DECIDE_WEIGHTS, TrainSettings, values_of
from bcclone.train.training_state import TrainResult

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
            self.notify(f"continuing after round {so_far.rounds[-1].number}, which is complete")
            return so_far
        model = self.folder.start
        return self.add(so_far, lambda: self.scored(Round(0, 0, 0, 0, 0.0, 0, None, 0.0, model.name, ())))

    def is_scored(self, one: Round) -> bool:
        """Return whether the model of a round has driven all rows of the suite."""
        return len(one.scores) == len(rows_to_drive(self.settings))

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
        output, name = self.folder.path / self.model_name(number), f"{number:02d}"
        data, runs = (str(self.folder.store),), self.folder.runs
        return train_resumably(
            replace(settings, data=data, start=model, output=output, runs=runs, name=name), self.notify
        )

    def scored(self, one: Round, first: Sequence[str] = ()) -> Round:
        """Return a round with the score of its model on all rows of the suite that it lacks.

        first: rows to drive before the others, which are left out if one of these needs an intervention.
        """
        model, driven = self.folder.path / one.model, {score.row: score for score in one.scores}
        names = rows_to_drive(self.settings)
        for some in (first, names):
            left = [name for name in some if name not in driven]
            driven |= {score.row: score for score in score_rows(model, self.settings, left, self.pool)}
            if first and any(score.interventions for score in driven.values()):
                break
        return replace(one, scores=tuple(driven[name] for name in names if name in driven))

    def finish(self, so_far: RoundsSoFar) -> RoundsSoFar:
        """Drive the rows of the suite that the model of the last round has not driven."""
        last = so_far.rounds[-1]
        if self.is_scored(last):
            return so_far
        begun = time.monotonic()
        complete = self.scored(last)
        seconds = round(last.seconds + time.monotonic() - begun, 1)
        so_far = RoundsSoFar((*so_far.rounds[:-1], replace(complete, seconds=seconds)))
        so_far.write(self.folder.path)
        return so_far

    def model_name(self, number: int) -> str:
        """Return the name of the model of a round, relative to the work folder."""
        return f"{self.folder.models.name}/{number:02d}.h5"


def train_resumably(settings: TrainSettings, notify: Notify) -> TrainResult:
    """Train; a run of this name that was interrupted continues where it stopped."""
    if (settings.runs / str(settings.name)).exists():
        return resume(settings, values_of(settings, DECIDE_WEIGHTS), notify, open_if_store)
    return run(settings, notify, open_if_store)
