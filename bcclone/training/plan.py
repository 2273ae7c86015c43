"""Plan a run before it begins: which settings, which run folder, and may its output be written.

In: settings, samples and the run folders of earlier trainings. Out: the `Plan` of a new run, or of
a run that is resumed.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bcclone.feed.feed_settings import AUTO, ORDERS, FeedSettings
from bcclone.feed.selection import TrainingData
from bcclone.system.codec import read_bytes
from bcclone.system.errors import UserError
from bcclone.system.files import MODEL, SETTINGS, check_output, inputs_of
from bcclone.system.process import Notify
from bcclone.system.settings import differences, option_of
from bcclone.system.values import names_of
from bcclone.training.decisions import fit_to_samples
from bcclone.training.result import TrainResult
from bcclone.training.train_settings import (
    FIXED,
    LEFT_OPEN,
    LIMITS,
    SETTINGS_OF_WEIGHTS,
    RunFiles,
    TrainSettings,
    values_of,
)
from bcclone.training.training_folder import (
    RunFolder,
    RunIdentity,
    read_record,
    settings_as_text,
    settings_path,
)


@dataclass(frozen=True)
class Plan:
    """The settings and the run folder of a training."""

    settings: TrainSettings  # some may still be "auto": those that decisions.fit_to_device() sets
    identity: RunIdentity
    folder: RunFolder | None = None  # the folder of the resumed run; None for a new run
    result: TrainResult | None = None  # the result, if the run is complete already


def new_plan(settings: TrainSettings, data: TrainingData, notify: Notify, workers: int = 1) -> Plan:
    """Return the plan of a new run.

    Raises UserError when its output may not be written, and for settings that need a start model.
    """
    _check_fine_tuning(settings)
    plan = Plan(fit_to_samples(settings, data, notify, workers), identity_of(settings, data))
    _check_output(plan)
    return plan


def _check_fine_tuning(settings: TrainSettings) -> None:
    """Raise UserError for settings of a fine-tuning without a model to begin with."""
    if settings.start:
        return
    if settings.batch_norm == FIXED:
        name = "batch_norm"
    elif settings.hand_over != AUTO:
        name = "hand_over"
    else:
        return
    raise UserError(
        f"{option_of(settings, name)} {getattr(settings, name)} is for fine-tuning; "
        "give the model to begin with by --from, or leave it out"
    )


def resumed_plan(
    files: RunFiles,
    changes: Mapping[str, Any],
    data: TrainingData,
    notify: Notify,
    workers: int = 1,
) -> Plan:
    """Return the plan of the newest run of these samples and this output; without one, a new run's.

    The limits of the run may be changed. Raises UserError for other changes that would lead to
    other weights, and when the output may not be written.

    changes: the settings that the user gave, name -> value
    """
    identity = identity_of(files, data)
    folder = RunFolder.find(files.runs, identity, files.name)
    file_settings = {name: getattr(files, name) for name in names_of(RunFiles)}
    if folder is None:
        _check_no_other_run(files, identity)
        text = (
            f"note: {files.runs} has no run of {identity.store} with its present content "
            f"for {files.output}; beginning a new one"
        )
        other = RunFolder.find(files.runs, identity, any_output=True)
        if other:
            text += f" ({other.path} is a run of it for {other.output}; -o continues that)"
        notify(text)
        return new_plan(TrainSettings(**file_settings | dict(changes)), data, notify, workers)
    start = folder.find_start()  # the copy in the run folder; the original may be gone
    _check_start(files, folder, start)
    stored = folder.settings
    # a value such as "auto" leaves a setting open, so the run keeps the value that it has
    chosen = {name: value for name, value in changes.items() if value != LEFT_OPEN.get(name)}
    _check_weights_stay(folder, stored, chosen)
    settings = TrainSettings(**values_of(stored) | file_settings | {"start": start} | chosen)
    _check_order_stays(folder, stored, settings)
    # with other limits, a complete run counts as unfinished; the training finds whether one is
    # reached, and then which model is handed over
    ending = (*LIMITS, "hand_over")
    ends_otherwise = values_of(settings, ending) != values_of(stored, ending)
    result = None if ends_otherwise else folder.read_result()
    plan = Plan(settings, identity, folder, result)
    _check_output(plan)
    return plan


def identity_of(files: RunFiles, data: TrainingData) -> RunIdentity:
    return RunIdentity(str(data.path.resolve()), data.content_hash, os.path.realpath(files.output))


def _check_no_other_run(files: RunFiles, identity: RunIdentity) -> None:
    """Raise UserError if --name names a run of other samples or of another output."""
    if not files.name:
        return
    path = files.runs / files.name
    record = read_record(path)
    if record:
        raise UserError(
            f"{path} is a run of another store or output; resume it with the store, its "
            "content and the output that it was begun with:"
            f"{differences(record.identity, identity)}"
        )


def _check_start(files: RunFiles, folder: RunFolder, start: Path | None) -> None:
    """Raise UserError if --from names another model than the run's start model.

    start: the start model's copy in the run folder
    """
    if not files.start:
        return
    if start and read_bytes(start, "model") == read_bytes(files.start, "model"):
        return
    if start and folder.has_published(files.start):
        return  # the run has since overwritten that model
    raise UserError(
        f"{folder.path} did not begin with --from {files.start}; leave that out to resume it"
    )


def _check_weights_stay(
    folder: RunFolder, stored: TrainSettings, chosen: Mapping[str, Any]
) -> None:
    """Raise UserError if a chosen setting differs from the run's and would change its weights.

    stored: the settings of the run
    chosen: the settings that the user gave, name -> value
    """
    fixed = [name for name in SETTINGS_OF_WEIGHTS if name in chosen and name not in LIMITS]
    lines = differences(stored, replace(stored, **{name: chosen[name] for name in fixed}))
    if lines:
        raise UserError(
            f"{folder.path} has other settings; leave these options out to resume it, "
            f"or leave out --resume:{lines}"
        )


def _check_order_stays(folder: RunFolder, stored: TrainSettings, settings: TrainSettings) -> None:
    """Raise UserError if the chosen feed would give the samples in another order than the run's."""
    if settings.ordering != stored.ordering:
        raise UserError(
            f"{folder.path} was begun with {_describe_order(stored)}; {_describe_order(settings)} "
            "orders the samples differently: leave these options out to resume the run, "
            "or leave out --resume"
        )


def _describe_order(settings: FeedSettings) -> str:
    names = ("feed", *ORDERS[settings.ordering.kind])
    return " ".join(f"{option_of(FeedSettings, name)} {getattr(settings, name)}" for name in names)


# ---- whether the output may be written


def may_overwrite(plan: Plan) -> bool:
    """Return whether the output, as it is now, may be replaced if it exists."""
    if plan.settings.force:
        return True
    folder = plan.folder
    if folder is None:
        return False
    if folder.forces_first_write:
        return True
    # a run may always replace the model that it has written itself
    return folder.has_published(plan.settings.output)


def _check_output(plan: Plan) -> None:
    """Raise UserError when the output may not be written, or its settings file beside it."""
    output = plan.settings.output
    inputs = inputs_of(plan.settings)
    overwrites = may_overwrite(plan)
    check_output(output, MODEL, overwrites, inputs)
    # a settings file is written beside the model, so it must not overwrite the user's either
    path = settings_path(output)
    check_output(path, SETTINGS, overwrites or _has_settings_of(path, plan.folder), inputs)


def _has_settings_of(path: Path, folder: RunFolder | None) -> bool:
    """Return whether the resumed run wrote this settings file.

    It did if the file holds the settings of the run.
    """
    if folder is None or not path.is_file():
        return False
    return path.read_bytes() == settings_as_text(folder.settings).encode()
