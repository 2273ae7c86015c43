"""The two ways in which a model learns: from a person's take-overs, once, or from the built-in expert, in rounds.

Take-overs are mixed with earlier recordings and with what the model does well. With the expert, a round is: drive,
label, add the rows to all earlier ones, train on, score.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bcclone.cluster.shards import MANIFEST_NAME
from bcclone.dataset.sample_settings import GOOD_ROWS, MAX_CORRECTION_WEIGHT
from bcclone.dataset.take_overs import choose_rows
from bcclone.evaluate.worker_model import InputFile
from bcclone.lab.improve.expert_drives import ExpertDrive, ExpertDriveTask, draw_drive, run_drive
from bcclone.lab.improve.rounds import Round, Rounds
from bcclone.lab.improve.training_rounds import TrainingRounds
from bcclone.recording.files import find_logs
from bcclone.recording.log import read_log
from bcclone.system.errors import UserError
from bcclone.system.task_pool import FinishedSteps, Shown, run_kept
from bcclone.train.train_settings import FINE_TUNING_LEARNING_RATE

_EPOCHS = 4
LEARNING_RATE = 5e-4
_ROWS_SEEN, _MOST_EPOCHS = 40_000, 8  # rows times epochs of a training; 2 epochs of 5,500 rows are too few


@dataclass(frozen=True)
class RecordedImages:
    """How many images of the chosen cameras recordings have: of take-overs, and of the other rows that are used."""

    corrections: int
    others: int

    @property
    def balance(self) -> int:
        """Return how often to repeat a correction so that about half of the samples are corrections."""
        return min(max(round(self.others / self.corrections), 1), MAX_CORRECTION_WEIGHT)


def count_images(recordings: tuple[str, ...], cameras: tuple[str, ...]) -> RecordedImages:
    """Count the images of recordings; raises UserError if nobody has taken over in any of them."""
    corrections = others = 0
    for path in find_logs(recordings):
        rows = choose_rows(read_log(path), GOOD_ROWS).rows
        has_image, is_correction = rows[list(cameras)].to_numpy() != "", rows["take_over"].to_numpy()
        corrections += int(has_image[is_correction].sum())
        others += int(has_image[~is_correction].sum())
    if not corrections:
        raise UserError(
            f"{', '.join(recordings)}: no row in which a person has taken over from a model, so there is nothing to "
            "learn from; name a recording whose drivers.csv has take-overs, or learn from the built-in expert: --expert"
        )
    return RecordedImages(corrections, others)


def learn_from_corrections(improvement: TrainingRounds) -> Rounds:
    """Train on from the model, once; a round that is complete already is kept."""
    rounds = improvement.begin()
    return rounds if len(rounds) > 1 else improvement.add(rounds, lambda: _train(improvement))


def _train(improvement: TrainingRounds) -> Round:
    settings, start = improvement.settings, improvement.start
    images = count_images(settings.recordings, start.samples.cameras)
    weight = settings.correction_weight or images.balance
    improvement.notify(
        f"{images.corrections} images of take-overs, each seen {weight} times an epoch, and {images.others} others"
    )
    rows = improvement.convert(settings.recordings, weight)
    epochs = settings.epochs or _EPOCHS
    trained = improvement.train(
        1, improvement.folder.start, epochs, settings.learning_rate or FINE_TUNING_LEARNING_RATE
    )
    model = improvement.model_name(1)
    return improvement.scored(
        Round(number=1, rows=rows, all_rows=rows, epochs=epochs, val_loss=trained.val_loss, model=model)
    )


def learn_from_expert(improvement: TrainingRounds) -> Rounds:
    """Train a model on in rounds, until no row of the suite needs an intervention or the budget ends."""
    rounds = improvement.begin()
    while not _has_ended(improvement, rounds):
        rounds = improvement.add(rounds, partial(_round, improvement, rounds[-1]))
    return improvement.finish(rounds)


def _has_ended(improvement: TrainingRounds, rounds: Rounds) -> bool:
    """Return whether no row needs an intervention, or the rounds or the minutes are used up."""
    settings = improvement.settings
    is_late = bool(settings.minutes) and sum(one.seconds for one in rounds) >= settings.minutes * 60
    return not rounds[-1].interventions or len(rounds) > settings.rounds or is_late


def _round(improvement: TrainingRounds, last: Round) -> Round:
    number, model, settings = last.number + 1, improvement.folder.path / last.model, improvement.settings
    tasks = _tasks(improvement, number, model)
    kept = FinishedSteps(improvement.folder.recordings, ExpertDrive)
    drives = run_kept(improvement.pool, run_drive, tasks, kept, Shown("recording", "m", "drives"))
    recorded = [str(improvement.folder.recordings / task.folder.name) for task in tasks]
    recordings = (*(settings.recordings if number == 1 else ()), *recorded)
    add = (improvement.folder.store / MANIFEST_NAME).exists()
    all_rows = improvement.convert(recordings, settings.correction_weight or 1, add)
    epochs = settings.epochs or min(max(round(_ROWS_SEEN / all_rows), 1), _MOST_EPOCHS)
    trained = improvement.train(number, model, epochs, settings.learning_rate or LEARNING_RATE)
    one = Round(
        number=number,
        rows=sum(drive.rows for drive in drives),
        all_rows=all_rows,
        rescues=sum(drive.rescues for drive in drives),
        distance_m=round(sum(drive.distance_m for drive in drives), 1),
        epochs=epochs,
        val_loss=trained.val_loss,
        model=improvement.model_name(number),
    )
    return improvement.scored(one, first=[row for row, score in last.scores.items() if score.interventions])


def _tasks(improvement: TrainingRounds, number: int, model: Path) -> list[ExpertDriveTask]:
    """Return the drives of a round."""
    settings, tasks = improvement.settings, []
    for index in range(settings.drives):
        drive = (number - 1) * settings.drives + index
        folder = (improvement.folder.recordings / f"{number:02d}-{index}").absolute()
        drawn = draw_drive(settings.track, settings.drive_laps, settings.seed, drive)
        tasks.append(ExpertDriveTask(InputFile.of(model), folder, drive, *drawn))
    return tasks
