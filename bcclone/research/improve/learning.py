"""Train a model on in rounds: from a person's take-overs, once, or from the built-in expert, until
it drives well.

Take-overs are mixed with earlier recordings and with what the model does well. With the expert, a
round is: drive, label, add the rows to all earlier ones, train on, score. The model keeps its own
preprocessing, network, windows and augmentation, as far as its file states them. Complete rounds
are kept in the work folder.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from bcclone.cluster.cluster_settings import ShardingSettings
from bcclone.cluster.sharded_conversion import convert
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import GOOD_ROWS, MAX_CORRECTION_WEIGHT, SampleSettings
from bcclone.dataset.shards import MANIFEST_NAME
from bcclone.dataset.take_overs import choose_rows
from bcclone.evaluation.evaluate_settings import SuiteSettings
from bcclone.evaluation.scenarios import SCENARIOS
from bcclone.evaluation.suite import suite
from bcclone.evaluation.worker_model import InputFile
from bcclone.feed.feed_settings import AugmentSettings
from bcclone.recording.files import find_logs
from bcclone.recording.log import read_log
from bcclone.research.improve import ImproveSettings
from bcclone.research.improve.expert_drives import (
    ExpertDrive,
    ExpertDriveTask,
    draw_drive,
    run_drive,
)
from bcclone.research.improve.rounds import Round, Rounds
from bcclone.system.errors import UserError
from bcclone.system.json_values import names_of
from bcclone.system.progress import Notify
from bcclone.system.task_pool import FinishedSteps, Shown, TaskPool, run_kept
from bcclone.system.tensorflow_quietly import load_tensorflow, onednn_for_batches
from bcclone.training.train import resume, train
from bcclone.training.train_settings import (
    DECIDE_WEIGHTS,
    FINE_TUNING_LEARNING_RATE,
    TrainSettings,
    values_of,
)

START, ROUNDS, RECORDINGS, STORE, RUNS, MODELS = (
    "start.h5",
    "rounds",
    "recordings",
    "store",
    "runs",
    "models",
)
_EPOCHS = 4
LEARNING_RATE = 5e-4  # with the expert
_ROWS_SEEN, _MAX_EPOCHS = (
    40_000,
    8,
)  # rows times epochs of a training; 2 epochs of 5,500 rows are too few
_MAX_INTERVENTIONS = 1  # of a row in a round: a weak model would be driven for very long
_KEPT = ("network", "loss", "batch_size", "zero_fraction", *names_of(AugmentSettings))


def count_images(recordings: tuple[str, ...], cameras: tuple[str, ...]) -> tuple[int, int]:
    """Return how many images of these cameras recordings have: of take-overs, and of the other rows
    that are used.

    Raises UserError if nobody has taken over in any of them.
    """
    corrections = others = 0
    for path in find_logs(recordings):
        rows = choose_rows(read_log(path), GOOD_ROWS).rows
        has_image, is_correction = (
            rows[list(cameras)].to_numpy() != "",
            rows["take_over"].to_numpy(),
        )
        corrections += int(has_image[is_correction].sum())
        others += int(has_image[~is_correction].sum())
    if not corrections:
        raise UserError(
            f"{', '.join(recordings)}: no row in which a person has taken over from a model, so there is nothing to "
            "learn from; name a recording whose drivers.csv has take-overs, or learn from the built-in expert: --expert"
        )
    return corrections, others


@dataclass(frozen=True)
class StartModel:
    """The model to begin with: settings of its samples, and those that later trainings keep."""

    preprocessing: Preprocessing
    samples: SampleSettings
    training: TrainSettings

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a model file; raises UserError for one of another program."""
        load_tensorflow(onednn=onednn_for_batches())  # the trainings run in this process
        from bcclone.model.model_file import load_own_model

        file = load_own_model(path)
        try:
            stored, values = file.training.samples, file.training.settings
            samples = SampleSettings.stored(stored) if stored else SampleSettings()
            kept = {name: values[name] for name in _KEPT if name in values}
            training = TrainSettings(**kept, seq_length=file.seq_length)
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{path}: its training is described wrongly: {error}; train the model again"
            ) from None
        return cls(file.preprocessing, replace(samples, seq_length=file.seq_length), training)


class Learning:
    """The rounds of an improvement. start: the model to begin with; pool: the workers that drive."""

    def __init__(
        self, settings: ImproveSettings, start: StartModel, pool: TaskPool, notify: Notify
    ) -> None:
        self._settings, self._start, self._pool, self._notify = settings, start, pool, notify
        self._folder = settings.folder
        self._kept = FinishedSteps(self._folder / ROUNDS, Round)
        on_track = (
            one.name
            for one in SCENARIOS
            if not settings.expert or one.settings.track == settings.track
        )
        self._rows = tuple(
            dict.fromkeys(settings.rows or on_track)
        )  # of the suite, which are driven

    def learn(self) -> Rounds:
        """Complete the rounds, until no row needs an intervention, or the rounds or the minutes are
        used up.

        Take-overs are learned from in one round. Rounds that are complete already are kept. Raises
        UserError.
        """
        settings, rounds = self._settings, self._complete_rounds()
        while len(rounds) <= (settings.rounds if settings.expert else 1):
            is_late = (
                bool(settings.minutes)
                and sum(one.seconds for one in rounds) >= settings.minutes * 60
            )
            if settings.expert and (not rounds[-1].interventions or is_late):
                break
            begin, last = time.monotonic(), rounds[-1]
            learn = self._learn_from_expert if settings.expert else self._learn_from_corrections
            failed = (
                [row for row, score in last.scores.items() if score.interventions]
                if settings.expert
                else []
            )
            rounds.append(self._add(learn(last), begin, failed))
        last = rounds[-1]
        if len(last.scores) < len(
            self._rows
        ):  # after a round that failed on some, the others were left out
            begin = time.monotonic()
            whole = self._scored(last)
            whole = replace(whole, seconds=round(last.seconds + time.monotonic() - begin, 1))
            rounds[-1] = self._kept.keep(f"{last.number:02d}-all-rows", whole)
        return tuple(rounds)

    def _complete_rounds(self) -> list[Round]:
        """Return the rounds that are complete; the first one, number 0, is the score of the model
        to begin with.
        """
        rounds: list[Round] = []
        while one := self._kept.find(f"{len(rounds):02d}-all-rows") or self._kept.find(
            f"{len(rounds):02d}"
        ):
            rounds.append(one)
        if not rounds:
            return [self._add(Round(number=0, model=START), time.monotonic())]
        self._notify(f"continuing after round {rounds[-1].number}, which is complete")
        return rounds

    def _add(self, one: Round, begin: float, first: Sequence[str] = ()) -> Round:
        """Score the model of a round, and keep the round with its duration."""
        scored = self._scored(one, first)
        timed = replace(scored, seconds=round(time.monotonic() - begin, 1))
        self._notify(timed.as_text())
        return self._kept.keep(f"{one.number:02d}", timed)

    def _scored(self, one: Round, first: Sequence[str] = ()) -> Round:
        """Return a round with the score of its model on all rows of the suite that it lacks.

        first: rows to drive before the others, which are left out if one of these needs an
        intervention.
        """
        scores, most = dict(one.scores), _MAX_INTERVENTIONS if self._settings.expert else 0
        for some in (first, self._rows):
            if left := tuple(name for name in some if name not in scores):
                scenarios = SuiteSettings(left, laps=self._settings.laps, most_interventions=most)
                drives = suite([self._folder / one.model], scenarios, pool=self._pool).drives
                scores |= {
                    name: drive.score
                    for name, by_model in drives.items()
                    for drive in by_model.values()
                }
            if first and any(score.interventions for score in scores.values()):
                break
        return replace(one, scores={name: scores[name] for name in self._rows if name in scores})

    def _learn_from_corrections(self, last: Round) -> Round:
        settings = self._settings
        corrections, others = count_images(settings.recordings, self._start.samples.cameras)
        balance = min(
            max(round(others / corrections), 1), MAX_CORRECTION_WEIGHT
        )  # half of the samples are corrections
        weight = settings.correction_weight or balance
        self._notify(
            f"{corrections} images of take-overs, each seen {weight} times an epoch, and {others} others"
        )
        rows = self._convert(settings.recordings, weight)
        return self._train(
            last, rows, settings.epochs or _EPOCHS, FINE_TUNING_LEARNING_RATE, rows=rows
        )

    def _learn_from_expert(self, last: Round) -> Round:
        settings, number, tasks = self._settings, last.number + 1, []
        model, folder = InputFile.of(self._folder / last.model), self._folder / RECORDINGS
        for index in range(settings.drives):
            drive = last.number * settings.drives + index
            drawn = draw_drive(settings.track, settings.drive_laps, settings.seed, drive)
            tasks.append(
                ExpertDriveTask(model, folder.absolute() / f"{number:02d}-{index}", drive, *drawn)
            )
        shown = Shown("recording", "m", "drives")
        drives = run_kept(self._pool, run_drive, tasks, FinishedSteps(folder, ExpertDrive), shown)
        recorded = [str(folder / task.folder.name) for task in tasks]
        recordings = (*(settings.recordings if number == 1 else ()), *recorded)
        add = (self._folder / STORE / MANIFEST_NAME).exists()
        all_rows = self._convert(recordings, settings.correction_weight or 1, add)
        return self._train(
            last,
            all_rows,
            settings.epochs or min(max(round(_ROWS_SEEN / all_rows), 1), _MAX_EPOCHS),
            LEARNING_RATE,
            rows=sum(drive.rows for drive in drives),
            rescues=sum(drive.rescues for drive in drives),
            distance_m=round(sum(drive.distance_m for drive in drives), 1),
        )

    def _convert(self, recordings: Sequence[str], correction_weight: int, add: bool = False) -> int:
        """Write recordings into the store, or add them to it; return how many rows it has.

        A call that was interrupted continues, and one that is repeated changes nothing.
        """
        settings = ShardingSettings(
            tuple(recordings),
            self._folder / STORE,
            add=add,
            resume=True,
            preprocessing=self._start.preprocessing,
            samples=asdict(self._start.samples)
            | {"rows": GOOD_ROWS, "correction_weight": correction_weight},
        )
        return convert(settings, self._notify).rows

    def _train(
        self, last: Round, all_rows: int, epochs: int, learning_rate: float, **recorded: Any
    ) -> Round:
        """Train on from the model of the last round; an interrupted training continues where it
        stopped.
        """
        number = last.number + 1
        name, model = f"{number:02d}", f"{MODELS}/{number:02d}.h5"
        settings = replace(
            self._start.training,
            data=(str(self._folder / STORE),),
            output=self._folder / model,
            start=self._folder / last.model,
            runs=self._folder / RUNS,
            name=name,
            epochs=epochs,
            learning_rate=self._settings.learning_rate or learning_rate,
            seed=self._settings.seed + number,
        )
        if (settings.runs / name).exists():
            trained = resume(settings, values_of(settings, DECIDE_WEIGHTS), self._notify)
        else:
            trained = train(settings, self._notify)
        return Round(
            number=number,
            all_rows=all_rows,
            epochs=epochs,
            val_loss=trained.val_loss,
            model=model,
            **recorded,
        )
