"""Train the network on a store, or on recordings without one.

Each training keeps a folder of its own, runs/NAME/, with its settings, history, checkpoints, model and pictures;
the model is copied from there to -o.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone import atomic
from bcclone.commands.options import add_output_options, as_before, differences, print_json, say
from bcclone.commands.train_options import add_training_options
from bcclone.commands.train_settings import Wanted, resolved
from bcclone.commands.training_data import opened
from bcclone.errors import UserError
from bcclone.train.run_folder import Plan, RunFolder, Task, check_name, new_path, settings_beside
from bcclone.train.settings import CheckpointSettings, TrainSettings

if TYPE_CHECKING:
    from bcclone.feed.open import TrainingData
    from bcclone.history import EpochFigures
    from bcclone.train.loop import Trained, Training


@dataclass(frozen=True)
class _Run:
    """What is to be trained, and how. folder: of the run that is resumed, None for a new one."""

    task: Task
    plan: Plan
    checkpointing: CheckpointSettings
    folder: RunFolder | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "data",
        nargs="*",
        metavar="STORE",
        default=["data.h5"],
        help="what preprocess.py made (data.h5); or recordings: folders or logs, read with --feed files",
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("model.h5"), help="the model to write (model.h5)")
    parser.add_argument(
        "--from",
        dest="start",
        type=Path,
        metavar="MODEL",
        help="begin with the weights of an earlier model, which takes the same images: fine-tuning",
    )
    add_training_options(parser)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the run folders lie (runs)")
    parser.add_argument("--name", help="name of the run folder (date and time)")
    parser.add_argument("--resume", action="store_true", help="continue the newest run of this store and output")
    parser.add_argument("--force", action="store_true", help="write over an existing model")
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, or resume a training; return the exit code."""
    from bcclone.feed.open import check_feed
    from bcclone.feed.selection import describe_windows

    _check_names(arguments)
    wanted = Wanted.of(arguments)
    with opened(arguments.data) as data:
        task = Task(str(data.path.resolve()), data.content_hash, str(arguments.output.resolve()))
        folder = RunFolder.find(arguments.runs, task, arguments.name) if arguments.resume else None
        if arguments.resume and folder is None:
            _explain_no_run(arguments, task)
        _check_output(arguments, folder)
        plan = _resumed_plan(arguments, wanted, folder) if folder else _new_plan(arguments, wanted, data)
        check_feed(data, plan.feed)
        if plan.settings.seq_length > 1:
            say(f"note: {describe_windows(data, plan.settings.seq_length)}")
        if folder and (done := folder.result) and plan.settings == folder.settings:
            with folder.locked():
                return _already_complete(arguments, folder, done)
        folder, result = _train(arguments, data, _Run(task, plan, wanted.checkpointing, folder))
    _tell(arguments, folder, result)
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Say what is left after Ctrl-C."""
    return as_before(arguments.output)


def _tell(arguments: argparse.Namespace, folder: RunFolder, result: dict[str, Any]) -> None:
    if arguments.json:
        print_json(result)
    else:
        val_loss = "none" if result["val_loss"] is None else f"{result['val_loss']:.4f}"
        print(
            f"{result['model']}: epoch {result['epoch']} of {result['epochs']}, val_loss {val_loss}, "
            f"{result['samples']['train']} training and {result['samples']['validation']} validation samples, "
            f"{result['seconds']:.1f} s, {result['samples_per_second']:.0f} samples/s; the run is in {folder.path}\n"
            f"next: python drive.py {arguments.output} run1"
        )


def _train(arguments: argparse.Namespace, data: "TrainingData", run: _Run) -> tuple[RunFolder, dict[str, Any]]:
    """Train in the folder of the run that is resumed, or in a new one; return it and the result."""
    from bcclone.tensorflow_quietly import describe_peak_memory, load_tensorflow

    device = load_tensorflow(gpu_memory=run.checkpointing.gpu_memory)
    from bcclone.train.loop import Training
    from bcclone.train.trainer import layer_table, prepare, with_augmentation_place

    plan = replace(run.plan, settings=with_augmentation_place(run.plan.settings))
    run = replace(run, plan=plan)
    trainer = prepare(data, plan.settings, plan.start)
    if not plan.start:
        _note_convolutions(data, plan.settings)
    say(layer_table(trainer.model))
    if run.folder:
        folder = run.folder
        say(f"resuming {folder.path} on {device}, feed {plan.feed.feed}")
    else:
        folder = RunFolder.create(new_path(arguments.runs, arguments.name), run.task, plan, arguments.force)
        say(f"training on {device}{_augmented(plan.settings)}; the run is in {folder.path}")
    with folder.locked():
        _note_settings(folder, run)
        trained = _until_its_end(Training(data, trainer, folder, plan.settings, plan.feed, run.checkpointing, say))
        result = {"model": str(arguments.output), **trained.result}
        folder.publish(arguments.output, trained.model)
        if peak := describe_peak_memory():
            say(f"TensorFlow used {peak} at most")
        if run.checkpointing.plots:
            _draw(folder, data, plan.settings, trained.history)
        try:
            folder.write_result(result)
        except OSError as error:
            say(f"note: {folder.path}: the run's result cannot be written: {error.strerror}")
    return folder, result


def _augmented(settings: TrainSettings) -> str:
    """Return where samples are augmented, as a part of a sentence."""
    if not settings.augment:
        return ", without augmentation"
    return ", which augments the samples, too" if settings.augment_on == "device" else ", augmenting on the CPU"


def _note_convolutions(data: "TrainingData", settings: TrainSettings) -> None:
    """Say which convolutions the network has where the images are too small for its own."""
    from bcclone.network import convolutions_for

    made = data.preprocessing
    if settings.network != "cnn-64" and convolutions_for(made.height, made.width, settings.network) == "cnn-64":
        say(f"note: images of {made.width}x{made.height} are too small for conv3; the network has those of cnn-64")


def _note_settings(folder: RunFolder, run: _Run) -> None:
    """Write down with what is trained from now on, and where."""
    from bcclone.train.environment import describe_environment

    plan = run.plan
    if plan.settings != folder.settings:
        folder.extend(plan.settings)
    folder.note_environment(describe_environment())
    folder.write_settings(resolved(plan.settings, plan.feed, run.checkpointing))


def _until_its_end(training: "Training") -> "Trained":
    """Train; who interrupts it is told what there is by then, and how to go on."""
    from bcclone.train.loop import train

    try:
        return train(training)
    except KeyboardInterrupt:
        model = training.folder.model
        kept = f"the model so far is {model}; " if model.exists() else ""
        raise KeyboardInterrupt(f"{kept}continue with the same command and --resume") from None


def _draw(folder: RunFolder, data: "TrainingData", settings: TrainSettings, history: "Sequence[EpochFigures]") -> None:
    """Draw the pictures of the run's model; whatever prevents it, the training is done."""
    try:
        from bcclone.model_file import load_model_file
        from bcclone.plots.pictures import draw_pictures
        from bcclone.plots.subject import Subject

        folder.plots.mkdir(exist_ok=True)
        file = load_model_file(folder.model)
        draw_pictures(Subject(file, data, history, settings.seed, settings.zero_share, settings), folder.plots)
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        say(f"note: not all pictures could be drawn: {reason}; try: bcclone plots {folder.model} {data.path}")


def _new_plan(arguments: argparse.Namespace, wanted: Wanted, data: "TrainingData") -> Plan:
    """Return how a new run trains; which feed suits the samples is said where none was asked for."""
    from bcclone.feed.open import choose_feed
    from bcclone.sample_settings import SampleSettings

    suits = ""
    if "feed" not in wanted.values:
        suits, why = choose_feed(data)
        say(f"feed: {suits} ({why}); choose another with --feed")
    seq_length = SampleSettings.stored(data.sample_settings).seq_length
    return Plan(wanted.new(seq_length), wanted.feed(suits), arguments.start)


def _resumed_plan(arguments: argparse.Namespace, wanted: Wanted, folder: RunFolder) -> Plan:
    if arguments.start and not _begun_from(folder, arguments.start):
        raise UserError(f"{folder.path} was not begun --from {arguments.start}; leave that out to resume it")
    return Plan(wanted.resumed(folder), wanted.resumed_feed(folder), folder.start)


def _begun_from(folder: RunFolder, start: Path) -> bool:
    """Return True when the run began with this model, also where it has written its own over that since."""
    if folder.start is None:
        return False
    return folder.start.read_bytes() == start.read_bytes() or folder.has_published(start)


def _explain_no_run(arguments: argparse.Namespace, task: Task) -> None:
    """Say that a run begins afresh; raises UserError where the one that was named is of something else."""
    found = RunFolder(arguments.runs / arguments.name).task if arguments.name else None
    if found:
        raise UserError(
            f"{arguments.runs / arguments.name} is a run of something else; resume it with the store, its content and "
            f"the output that it was begun with:{differences(found, task)}"
        )
    say(f"note: {arguments.runs} holds no run of {task.store}, as it is now, for {arguments.output}; starting afresh")


def _already_complete(arguments: argparse.Namespace, folder: RunFolder, result: dict[str, Any]) -> int:
    if not folder.has_published(arguments.output):
        folder.publish(arguments.output, folder.model.read_bytes())
    say(
        f"{folder.path} is complete already: {result['epochs']} epochs, epoch {result['epoch']} is in "
        f"{arguments.output}; it was ended by {result['ended']}: give more of that to train on, or train anew without "
        "--resume"
    )
    if arguments.json:
        print_json(result)
    return 0


def _check_names(arguments: argparse.Namespace) -> None:
    if arguments.name is not None:
        check_name(arguments.runs, arguments.name)
    if arguments.output.suffix != ".h5":
        raise UserError(f"{arguments.output}: a model's name must end in .h5; name another -o")
    if arguments.output.resolve() in [Path(path).resolve() for path in arguments.data]:
        raise UserError(f"{arguments.output} is the store itself; name another -o")
    if arguments.start and not arguments.start.is_file():
        raise UserError(f"{arguments.start}: there is no such model to begin with; name another, or leave --from out")
    beside = settings_beside(arguments.output)
    if arguments.settings and arguments.settings.resolve() == beside.resolve():
        raise UserError(f"{beside} is written beside the model; copy it to another name to train with it, or change -o")


def _check_output(arguments: argparse.Namespace, folder: RunFolder | None) -> None:
    """Refuse to write over what is no model, or, without leave, over a model that is not this run's."""
    from bcclone.store import root_attributes

    if "schema_version" in root_attributes(arguments.output):
        raise UserError(f"{arguments.output} is a store; name another -o")
    leave = arguments.force or (folder and (folder.may_overwrite or folder.has_published(arguments.output)))
    atomic.check_output(arguments.output, bool(leave), "write over it with --force, or name another -o")
