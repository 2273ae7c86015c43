"""Learn from the built-in expert in rounds: drive, label, add the rows to all earlier ones, train on, score."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from bcclone.cluster.manifest import MANIFEST_NAME
from bcclone.cluster.sharded_conversion import convert
from bcclone.cluster.sharding_settings import ShardingSettings
from bcclone.dataset.sample_settings import GOOD_ROWS
from bcclone.evaluate.suite_task import InputFile
from bcclone.lab.improve.expert_drives import ExpertDrive, ExpertDriveTask, draw_drive, kept_drive, run_drive
from bcclone.lab.improve.rounds import Round
from bcclone.lab.improve.training_rounds import Rounds, TrainingRounds
from bcclone.system.progress import ProgressBar

LEARNING_RATE = 5e-4
_ROWS_SEEN, _MOST_EPOCHS = 40_000, 8  # in a training: with more rows, fewer epochs; 2 epochs of 5,500 rows are too few


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
    drives = _drive(improvement, number, model)
    all_rows = _add(improvement, number)
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
        seconds=0.0,
        model=improvement.model_name(number),
        scores={},
    )
    return improvement.scored(one, first=[row for row, score in last.scores.items() if score.interventions])


def _drive(improvement: TrainingRounds, number: int, model: Path) -> list[ExpertDrive]:
    """Record the drives of a round; those that are complete already are kept."""
    settings, tasks = improvement.settings, []
    for index in range(settings.drives):
        drive = (number - 1) * settings.drives + index
        folder = _recording(improvement, number, index).absolute()
        drawn = draw_drive(settings.track, settings.drive_laps, settings.seed, drive)
        tasks.append(ExpertDriveTask(InputFile.of(model), folder, drive, *drawn))
    drives = {index: kept for index, task in enumerate(tasks) if (kept := kept_drive(task.folder))}
    left = [index for index in range(len(tasks)) if index not in drives]
    if left:
        metres = round(sum(tasks[index].length_m for index in left))
        with ProgressBar("recording", metres, "m") as bar:
            for place, recorded in improvement.pool.run(run_drive, [tasks[index] for index in left], bar.advance):
                drives[left[place]] = recorded
    return [drives[index] for index in range(len(tasks))]


def _recording(improvement: TrainingRounds, number: int, index: int) -> Path:
    return improvement.folder.recordings / f"{number:02d}-{index}"


def _add(improvement: TrainingRounds, number: int) -> int:
    """Add the rows of a round to the store, and return how many it has; does nothing the second time."""
    settings, start, store = improvement.settings, improvement.start, improvement.folder.store
    drives = [str(_recording(improvement, number, index)) for index in range(settings.drives)]
    converted = convert(
        ShardingSettings(
            (*(settings.recordings if number == 1 else ()), *drives),
            store,
            add=(store / MANIFEST_NAME).exists(),
            resume=True,
            preprocessing=start.preprocessing,
            samples=replace(start.samples, rows=GOOD_ROWS, correction_weight=settings.correction_weight or 1),
        ),
        improvement.notify,
    )
    return converted.rows
