"""Train a model further: once on a person's take-overs, or on the expert until it drives well.

In: the settings, and a work folder with the model to begin with. Out: a `Round` for each training,
which says how its model drives; the models are in the work folder.

Take-overs are mixed with earlier recordings and with rows in which the model drove well. With the
expert, a round is: let the model drive, label its frames with the expert's steering, add the rows
to those of earlier rounds, train the model further, score it. The model keeps its own
preprocessing, network, windows and augmentation, as far as its file states them. Complete rounds
are kept in the work folder. A row is a row of a recording, or where scores are concerned, a row of
the suite: a drive on which a model is scored.
"""

import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bcclone.dataset.conversion import convert
from bcclone.dataset.plan import choose_rows
from bcclone.dataset.sample_settings import GOOD_ROWS, MAX_CORRECTION_WEIGHT, PreprocessSettings
from bcclone.dataset.shards import MANIFEST_NAME
from bcclone.evaluation.evaluate_settings import SuiteSettings
from bcclone.evaluation.scenarios import SCENARIOS
from bcclone.evaluation.suite import suite
from bcclone.evaluation.worker_model import InputFile
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
from bcclone.research.improve.start_model import StartModel
from bcclone.simulator.score import Score
from bcclone.system.errors import UserError
from bcclone.system.pool import FinishedSteps, run_kept
from bcclone.system.process import Notify
from bcclone.training.train import resume, train
from bcclone.training.train_settings import (
    FINE_TUNING_LEARNING_RATE,
    SETTINGS_OF_WEIGHTS,
    TRAINED,
    values_of,
)

# names in the work folder
START = "start.h5"
ROUNDS = "rounds"
RECORDINGS = "recordings"
STORE = "store"
RUNS = "runs"
MODELS = "models"


def count_images(recordings: tuple[str, ...], cameras: tuple[str, ...]) -> tuple[int, int]:
    """Count the images of these cameras in recordings: those in take-overs, and the others.

    Rows that the training leaves out are not counted. Raises UserError if no row is of a take-over.
    """
    corrections = 0
    others = 0
    for path in find_logs(recordings):
        rows = choose_rows(read_log(path), GOOD_ROWS).rows
        has_image = rows[list(cameras)].to_numpy() != ""
        is_correction = rows["take_over"].to_numpy()
        corrections += int(has_image[is_correction].sum())
        others += int(has_image[~is_correction].sum())
    if not corrections:
        raise UserError(
            f"{', '.join(recordings)}: no row in which a person has taken over from a model, so "
            "there is nothing to learn from; name a recording whose drivers.csv has take-overs, or "
            "learn from the built-in expert: --expert"
        )
    return corrections, others


def _key(number: int) -> str:
    """Return the name under which a round is kept in the work folder."""
    return f"{number:02d}"


def _whole_key(number: int) -> str:
    """Return the name under which a round is kept again, once its model is scored on all rows."""
    return f"{_key(number)}-all-rows"


def _chosen_rows(settings: ImproveSettings) -> tuple[str, ...]:
    """Return the rows of the suite that are driven, without repetitions."""
    if settings.rows:
        return tuple(dict.fromkeys(settings.rows))
    return tuple(
        scenario.name
        for scenario in SCENARIOS
        if not settings.expert or scenario.settings.track == settings.track
    )


_EPOCHS = 4  # passes over the samples in a training on take-overs


@dataclass(frozen=True)
class ExpertTraining:
    """How a round with the expert trains, and how long it drives."""

    learning_rate: float = 5e-4
    rows_seen: int = 40_000  # rows times epochs of a round; 2 epochs of 5,500 rows are too few
    max_epochs: int = 8  # most epochs of a round
    # a drive of the suite ends at this intervention, because a weak model would otherwise drive for
    # very long
    max_interventions: int = 1

    def epochs(self, rows: int) -> int:
        """Return how many epochs a round trains. rows: number of rows that it trains on."""
        return min(max(round(self.rows_seen / rows), 1), self.max_epochs)


_EXPERT = ExpertTraining()


class Learning:
    """The rounds of an improvement."""

    def __init__(
        self, settings: ImproveSettings, start: StartModel, pool: Executor, notify: Notify
    ) -> None:
        self._settings = settings
        self._start = start  # the model to begin with
        self._pool = pool  # the workers that drive
        self._notify = notify
        self._folder = settings.folder
        self._kept = FinishedSteps(self._folder / ROUNDS, Round)
        self._suite_rows = _chosen_rows(settings)

    def learn(self) -> Rounds:
        """Return the rounds; those that are complete already are not done again. Raises UserError.

        There is one round of learning from take-overs. With the expert there are rounds until no
        row of the suite needs an intervention, or until the rounds or the minutes are used up.
        """
        rounds = self._complete_rounds()
        if self._settings.expert:
            while not self._expert_is_done(rounds):
                rounds.append(self._expert_round(rounds[-1]))
        elif len(rounds) == 1:  # only round 0, the score of the model to begin with
            begin = time.monotonic()
            learned = self._learn_from_corrections(rounds[0])
            rounds.append(self._score_and_keep(learned, begin))
        rounds[-1] = self._with_all_rows(rounds[-1])
        return tuple(rounds)

    def _expert_is_done(self, rounds: Sequence[Round]) -> bool:
        """Return whether no round should follow. Round 0, which only scores, does not count."""
        settings = self._settings
        if len(rounds) > settings.rounds or not rounds[-1].interventions:
            return True
        seconds = sum(step.seconds for step in rounds)
        return bool(settings.minutes) and seconds >= settings.minutes * 60

    def _expert_round(self, last: Round) -> Round:
        """Learn from the expert, and score the model, first on rows that it has failed before."""
        begin = time.monotonic()
        failed = [row for row, score in last.scores.items() if score.interventions]
        return self._score_and_keep(self._learn_from_expert(last), begin, failed)

    def _with_all_rows(self, last: Round) -> Round:
        """Return the last round with the score of all rows of the suite.

        A model that failed on the first rows has not been driven on the others yet.
        """
        if len(last.scores) >= len(self._suite_rows):
            return last
        begin = time.monotonic()
        whole = self._scored(last)
        seconds = round(last.seconds + time.monotonic() - begin, 1)
        return self._kept.keep(_whole_key(last.number), replace(whole, seconds=seconds))

    def _complete_rounds(self) -> list[Round]:
        """Return the rounds that are complete.

        The first one, number 0, is the score of the model to begin with.
        """
        rounds: list[Round] = []
        while (complete := self._find_round(len(rounds))) is not None:
            rounds.append(complete)
        if not rounds:
            return [self._score_and_keep(Round(number=0, model=START), time.monotonic())]
        self._notify(f"continuing after round {rounds[-1].number}, which is complete")
        return rounds

    def _find_round(self, number: int) -> Round | None:
        """Return a round from the work folder, with the scores that were added later; or None."""
        whole = self._kept.find(_whole_key(number))
        if whole is not None:
            return whole
        return self._kept.find(_key(number))

    def _score_and_keep(self, step: Round, begin: float, first: Sequence[str] = ()) -> Round:
        """Score the model of a round, and keep the round with its duration.

        begin: when the round began, by time.monotonic()
        first: as in _scored()
        """
        scored = self._scored(step, first)
        timed = replace(scored, seconds=round(time.monotonic() - begin, 1))
        self._notify(timed.as_text())
        return self._kept.keep(_key(step.number), timed)

    def _scored(self, step: Round, first: Sequence[str] = ()) -> Round:
        """Return a round with the score of its model on all rows of the suite that it lacks.

        first: rows to drive before the others; if one of the first needs an intervention, the
            others are left out
        """
        scores = dict(step.scores)
        scores |= self._drive(step, [row for row in first if row not in scores])
        has_failed = any(scores[row].interventions for row in first)
        if not has_failed:
            scores |= self._drive(step, [row for row in self._suite_rows if row not in scores])
        in_order = {row: scores[row] for row in self._suite_rows if row in scores}
        return replace(step, scores=in_order)

    def _drive(self, step: Round, rows: Sequence[str]) -> dict[str, Score]:
        """Return the score of a round's model on rows of the suite, which may be none."""
        if not rows:
            return {}
        most_interventions = 0  # no limit
        if self._settings.expert:
            most_interventions = _EXPERT.max_interventions
        scenarios = SuiteSettings(
            tuple(rows), laps=self._settings.laps, most_interventions=most_interventions
        )
        drives = suite([self._folder / step.model], scenarios, pool=self._pool).drives
        scores = {}
        for row, by_model in drives.items():
            (drive,) = by_model.values()  # of the one model
            scores[row] = drive.score
        return scores

    def _learn_from_corrections(self, last: Round) -> Round:
        """Train on take-overs, mixed with earlier recordings and rows that the model drove well."""
        settings = self._settings
        corrections, others = count_images(settings.recordings, self._start.samples.cameras)
        weight = settings.correction_weight
        if not weight:  # each correction is seen so often that half of the samples are corrections
            weight = min(max(round(others / corrections), 1), MAX_CORRECTION_WEIGHT)
        self._notify(
            f"{corrections} images of take-overs, each seen {weight} times an epoch, "
            f"and {others} others"
        )
        all_rows = self._convert(settings.recordings, weight)
        epochs = settings.epochs or _EPOCHS
        # the round has recorded no rows of its own: its rows are all rows
        return self._train(last, all_rows, epochs, FINE_TUNING_LEARNING_RATE, rows=all_rows)

    def _learn_from_expert(self, last: Round) -> Round:
        """Drive, label the rows as the expert would steer, add them to all earlier ones, train."""
        settings = self._settings
        number = last.number + 1
        folder = self._folder / RECORDINGS
        tasks = self._drive_tasks(last, folder)
        kept = FinishedSteps(folder, ExpertDrive)
        drives = run_kept(self._pool, run_drive, tasks, kept, "recording", "m", "drives")

        # The user's recordings are in the store from the first round on. The tasks' folders are
        # absolute, for the workers; the store gets the path as the user has written it.
        recordings = [str(folder / task.folder.name) for task in tasks]
        if number == 1:
            recordings = [*settings.recordings, *recordings]
        add = (self._folder / STORE / MANIFEST_NAME).exists()
        all_rows = self._convert(recordings, settings.correction_weight or 1, add)

        return self._train(
            last,
            all_rows,
            settings.epochs or _EXPERT.epochs(all_rows),
            _EXPERT.learning_rate,
            rows=sum(drive.rows for drive in drives),
            rescues=sum(drive.rescues for drive in drives),
            distance_m=round(sum(drive.distance_m for drive in drives), 1),
        )

    def _drive_tasks(self, last: Round, folder: Path) -> list[ExpertDriveTask]:
        """Return the drives to record for the round after `last`. folder: of all recordings."""
        settings = self._settings
        model = InputFile.of(self._folder / last.model)
        tasks = []
        for index in range(settings.drives):
            number = last.number * settings.drives + index
            drive_settings, push_m, push_every_m = draw_drive(
                settings.track, settings.drive_laps, settings.seed, number
            )
            recording = folder.absolute() / f"{_key(last.number + 1)}-{index}"
            tasks.append(
                ExpertDriveTask(model, recording, number, drive_settings, push_m, push_every_m)
            )
        return tasks

    def _convert(self, recordings: Sequence[str], correction_weight: int, add: bool = False) -> int:
        """Write recordings into the store, or add them to it; return how many rows the store has.

        After an interruption, the same call continues; after a complete call, it changes nothing.
        """
        samples = asdict(self._start.samples)
        samples |= {"rows": GOOD_ROWS, "correction_weight": correction_weight}
        settings = PreprocessSettings(
            tuple(recordings),
            self._folder / STORE,
            add=add,
            resume=True,
            preprocessing=self._start.preprocessing,
            explicit=tuple(samples),  # they hold even where they are the default
            **samples,
        )
        return convert(settings, self._notify).rows

    def _train(
        self, last: Round, all_rows: int, epochs: int, learning_rate: float, **recorded: Any
    ) -> Round:
        """Train the model of the last round further.

        An interrupted training continues where it stopped.

        all_rows: number of rows in the store
        recorded: figures of what the round recorded, fields of Round by name
        """
        number = last.number + 1
        name = _key(number)
        model = f"{MODELS}/{name}.h5"
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
            hand_over=TRAINED,  # the drives of the suite judge the model
        )
        if (settings.runs / name).exists():
            # resume() refuses them if they differ from those of the interrupted training
            fixed = values_of(settings, SETTINGS_OF_WEIGHTS)
            trained = resume(settings, fixed, self._notify)
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
