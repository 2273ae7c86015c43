"""Improve a model in rounds, in a work folder: score it, train it on, score it again, and keep each complete round.

It is trained on with its own preprocessing, network, windows and augmentation, as far as its file states them.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Self

from bcclone.cluster.sharded_conversion import convert
from bcclone.cluster.sharding_settings import ShardingSettings
from bcclone.cluster.shards import open_if_store
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import GOOD_ROWS, SampleSettings
from bcclone.evaluate.evaluate_settings import SuiteSettings
from bcclone.evaluate.scenarios import SCENARIOS
from bcclone.evaluate.suite import evaluate_suite
from bcclone.feed.augment.augment_settings import AugmentSettings
from bcclone.lab.improve.improve_settings import ImproveSettings
from bcclone.lab.improve.rounds import Round, Rounds, describe_round
from bcclone.lab.improve.work_folder import WorkFolder
from bcclone.simulator.score import Score
from bcclone.system.errors import UserError
from bcclone.system.progress import Notify
from bcclone.system.task_pool import FinishedSteps, TaskPool
from bcclone.train.run import resume, run
from bcclone.train.train_settings import DECIDE_WEIGHTS, TrainSettings, values_of
from bcclone.train.training_state import TrainResult

_MOST_INTERVENTIONS = 1  # of a row in a round: a weak model would be driven for very long
_KEPT = ("network", "loss", "batch_size", "zero_fraction", *(each.name for each in fields(AugmentSettings)))


@dataclass(frozen=True)
class StartModel:
    """The model to begin with, as far as its file states how it was trained.

    samples: settings of its samples; training: the settings that later trainings keep.
    """

    path: Path
    preprocessing: Preprocessing
    samples: SampleSettings
    training: TrainSettings

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a model file; raises UserError for one of another program."""
        from bcclone.system.tensorflow_quietly import load_tensorflow, onednn_for_batches

        load_tensorflow(onednn=onednn_for_batches())  # the trainings run in this process
        from bcclone.model.model_file import ForeignModel, open_model

        file = open_model(path)
        if isinstance(file, ForeignModel):
            raise UserError(f"{path} is not a model of bcclone; first import it: bcclone import-model {path} -o NEW.h5")
        try:
            stored = file.training.samples
            samples = SampleSettings.stored(stored) if stored else SampleSettings()
            values = file.training.settings
            kept = {name: values[name] for name in _KEPT if name in values}
            training = TrainSettings(**kept, seq_length=file.seq_length)
        except (ValueError, TypeError) as error:
            raise UserError(f"{path}: its training is described wrongly: {error}; train the model again") from None
        return cls(path, file.preprocessing, replace(samples, seq_length=file.seq_length), training)


@dataclass(frozen=True)
class TrainingRounds:
    """An improvement under way. start: the model to begin with; pool: the workers that drive."""

    settings: ImproveSettings
    folder: WorkFolder
    start: StartModel
    pool: TaskPool
    notify: Notify

    @property
    def rows(self) -> tuple[str, ...]:
        """Return the names of the rows of the suite to drive: by default all, with an expert those on its track."""
        settings = self.settings
        if settings.rows:
            return tuple(dict.fromkeys(settings.rows))
        return tuple(one.name for one in SCENARIOS if not settings.expert or one.settings.track == settings.track)

    def begin(self) -> Rounds:
        """Return the rounds that are complete; the first one, number 0, is the score of the model to begin with."""
        rounds: list[Round] = []
        while one := self._kept.find(_all_rows_key(len(rounds))) or self._kept.find(_key(len(rounds))):
            if one.number != len(rounds) or not set(one.scores) <= set(self.rows):
                raise UserError(
                    f"{self.folder.rounds}: round {len(rounds)} is not of this improvement; begin anew with --force"
                )
            rounds.append(one)
        if rounds:
            self.notify(f"continuing after round {rounds[-1].number}, which is complete")
            return tuple(rounds)
        model = self.folder.start
        return self.add((), lambda: self.scored(Round(number=0, model=model.name)))

    def add(self, rounds: Rounds, complete: Callable[[], Round]) -> Rounds:
        """Complete a round, and keep it with its duration."""
        start = time.monotonic()
        one = replace(complete(), seconds=round(time.monotonic() - start, 1))
        self._kept.keep(_key(one.number), one)
        self.notify(describe_round(one))
        return (*rounds, one)

    def finish(self, rounds: Rounds) -> Rounds:
        """Drive the rows of the suite that the model of the last round has not driven."""
        *before, last = rounds
        if len(last.scores) == len(self.rows):
            return rounds
        start = time.monotonic()
        one = self.scored(last)
        one = replace(one, seconds=round(last.seconds + time.monotonic() - start, 1))
        return (*before, self._kept.keep(_all_rows_key(last.number), one))

    def convert(self, recordings: Sequence[str], correction_weight: int, add: bool = False) -> int:
        """Write recordings into the store, or add them to it; return how many rows it has.

        A call that was interrupted continues, and one that is repeated changes nothing.
        """
        settings = ShardingSettings(
            tuple(recordings),
            self.folder.store,
            add=add,
            resume=True,
            preprocessing=self.start.preprocessing,
            samples=asdict(self.start.samples) | {"rows": GOOD_ROWS, "correction_weight": correction_weight},
        )
        return convert(settings, self.notify).rows

    def train(self, number: int, model: Path, epochs: int, learning_rate: float) -> TrainResult:
        """Train on from a model, on the store, without pictures; an interrupted training continues where it stopped."""
        seed, name = self.settings.seed + number, f"{number:02d}"
        settings = replace(
            self.start.training,
            data=(str(self.folder.store),),
            output=self.folder.path / self.model_name(number),
            start=model,
            runs=self.folder.runs,
            name=name,
            epochs=epochs,
            learning_rate=learning_rate,
            seed=seed,
        )
        if (self.folder.runs / name).exists():
            return resume(settings, values_of(settings, DECIDE_WEIGHTS), self.notify, open_if_store)
        return run(settings, self.notify, open_if_store)

    def scored(self, one: Round, first: Sequence[str] = ()) -> Round:
        """Return a round with the score of its model on all rows of the suite that it lacks.

        first: rows to drive before the others, which are left out if one of these needs an intervention.
        """
        model, scores = self.folder.path / one.model, dict(one.scores)
        for some in (first, self.rows):
            left = [name for name in some if name not in scores]
            scores |= self._drive(model, left) if left else {}
            if first and any(score.interventions for score in scores.values()):
                break
        return replace(one, scores={name: scores[name] for name in self.rows if name in scores})

    def model_name(self, number: int) -> str:
        """Return the name of the model of a round, relative to the work folder."""
        return f"{self.folder.models.name}/{number:02d}.h5"

    @property
    def _kept(self) -> FinishedSteps[Round]:
        return FinishedSteps(self.folder.rounds, Round)

    def _drive(self, model: Path, rows: Sequence[str]) -> dict[str, Score]:
        """Let a model drive rows of the suite; raises UserError."""
        most = _MOST_INTERVENTIONS if self.settings.expert else 0
        suite = SuiteSettings(tuple(rows), laps=self.settings.laps, most_interventions=most)
        drives = evaluate_suite([model], suite, pool=self.pool).drives
        return {name: drive.score for name, by_model in drives.items() for drive in by_model.values()}


def _key(number: int) -> str:
    return f"{number:02d}"


def _all_rows_key(number: int) -> str:
    return f"{number:02d}-all-rows"
