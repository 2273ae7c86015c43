"""Learn from the built-in expert in rounds: drive, label, add the rows to all earlier ones, train on, score."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from bcclone.cluster.manifest import MANIFEST_NAME
from bcclone.cluster.sharded_conversion import convert
from bcclone.cluster.sharding_settings import ShardingSettings
from bcclone.dataset.sample_settings import GOOD_ROWS
from bcclone.evaluate.suite_worker import InputFile
from bcclone.lab.improve.course import Course
from bcclone.lab.improve.expert_drives import ExpertDrive, ExpertDriveTask, draw_drive, run_drive
from bcclone.lab.improve.rounds import Round, RoundsSoFar
from bcclone.system.progress import ProgressBar

LEARNING_RATE = 5e-4
_ROWS_SEEN, _MOST_EPOCHS = 40_000, 8  # in a training: with more rows, fewer epochs; 2 epochs of 5,500 rows are too few


def learn_from_expert(course: Course) -> RoundsSoFar:
    """Train a model on in rounds, until no row of the suite needs an intervention or the budget ends."""
    so_far = course.begin()
    while not _has_ended(course, so_far):
        so_far = course.add(so_far, partial(_round, course, so_far.rounds[-1]))
    return course.finish(so_far)


def _has_ended(course: Course, so_far: RoundsSoFar) -> bool:
    """Return whether no row needs an intervention, or the rounds or the minutes are used up."""
    settings, last = course.settings, so_far.rounds[-1]
    is_late = bool(settings.minutes) and so_far.seconds >= settings.minutes * 60
    return not last.interventions or len(so_far.rounds) > settings.rounds or is_late


def _round(course: Course, last: Round) -> Round:
    number, model = last.number + 1, course.folder.path / last.model
    drives = _drive(course, number, model)
    all_rows = _add(course, number)
    epochs = course.settings.epochs or min(max(round(_ROWS_SEEN / all_rows), 1), _MOST_EPOCHS)
    trained = course.train(number, model, epochs, course.settings.learning_rate or LEARNING_RATE)
    one = Round(
        number=number,
        rows=sum(drive.rows for drive in drives),
        all_rows=all_rows,
        rescues=sum(drive.rescues for drive in drives),
        distance_m=round(sum(drive.distance_m for drive in drives), 1),
        epochs=epochs,
        val_loss=trained.val_loss,
        seconds=0.0,
        model=course.model_name(number),
        scores=(),
    )
    return course.scored(one, first=[score.row for score in last.scores if score.interventions])


def _drive(course: Course, number: int, model: Path) -> list[ExpertDrive]:
    """Record the drives of a round; those that are complete already are kept."""
    settings, tasks = course.settings, []
    for index in range(settings.drives):
        drive = (number - 1) * settings.drives + index
        folder = _recording(course, number, index).absolute()
        drawn = draw_drive(settings.track, settings.drive_laps, settings.seed, drive)
        tasks.append(ExpertDriveTask(InputFile.of(model), folder, drive, *drawn))
    done = {index: found for index, task in enumerate(tasks) if (found := ExpertDrive.read(task.folder))}
    left = [index for index in range(len(tasks)) if index not in done]
    if left:
        metres = round(sum(tasks[index].length_m for index in left))
        with ProgressBar("recording", metres, "m") as bar:
            for place, recorded in course.pool.run(run_drive, [tasks[index] for index in left], bar.advance):
                done[left[place]] = recorded
    return [done[index] for index in range(len(tasks))]


def _recording(course: Course, number: int, index: int) -> Path:
    return course.folder.recordings / f"{number:02d}-{index}"


def _add(course: Course, number: int) -> int:
    """Add the rows of a round to the store, and return how many it has; does nothing the second time."""
    settings, start = course.settings, course.start
    drives = [str(_recording(course, number, index)) for index in range(settings.drives)]
    made = convert(
        ShardingSettings(
            (*(settings.recordings if number == 1 else ()), *drives),
            course.folder.store,
            add=(course.folder.store / MANIFEST_NAME).exists(),
            resume=True,
            preprocessing=start.preprocessing,
            samples=replace(start.samples, rows=GOOD_ROWS, correction_weight=settings.correction_weight or 1),
        ),
        course.notify,
    )
    return made.rows
