"""A store or recordings -> a model file and its run folder: begin or resume a run, train, publish the model."""

from collections.abc import Mapping
from typing import Any

from bcclone.dataset.conversion import open_samples
from bcclone.dataset.store import OpenIfStore, open_if_store
from bcclone.feed.selection import TrainingData
from bcclone.system.progress import Notify
from bcclone.system.tensorflow_quietly import load_tensorflow
from bcclone.train.plan import Plan, check_inputs, new_plan, resumed_plan, select_samples
from bcclone.train.publish import open_folder, publish, republish
from bcclone.train.train_settings import RunFiles, TrainSettings
from bcclone.train.training_state import TrainResult


def run(
    settings: TrainSettings, notify: Notify = lambda line: None, open_if_store: OpenIfStore = open_if_store
) -> TrainResult:
    """Train a network in a new run, and return the result.

    notify: called with each line of progress; open_if_store: opens the samples if they are a store. Raises UserError
    when the settings, the samples or the run folder cannot be used, and KeyboardInterrupt on Ctrl-C or SIGTERM, after
    saving the state.
    """
    check_inputs(settings)
    with open_samples(settings.data, notify, open_if_store) as data:
        return _train(new_plan(settings, data, notify), data, notify)


def resume(
    files: RunFiles,
    changes: Mapping[str, Any],
    notify: Notify = lambda line: None,
    open_if_store: OpenIfStore = open_if_store,
) -> TrainResult:
    """Continue the newest run of these samples and this output with its own settings; without one, begin a new run.

    changes: settings by name. Limits (epochs, time, patience) may differ from the run's, and so may a feed that gives
    the same batches. Raises as run() does, and UserError for other changes.
    """
    check_inputs(files)
    with open_samples(files.data, notify, open_if_store) as data:
        return _train(resumed_plan(files, changes, data, notify), data, notify)


def _train(plan: Plan, data: TrainingData, notify: Notify) -> TrainResult:
    """Train in the folder of a resumed run, or in a new one."""
    samples, validation = select_samples(data, plan.settings, notify)
    if plan.result:
        return republish(plan, notify)
    device = load_tensorflow(gpu_memory=plan.settings.gpu_memory)
    from bcclone.train.loop import Training, train_epochs
    from bcclone.train.prepare import make_trainer, prepare_trainer

    plan, trainer = prepare_trainer(plan, samples, notify, make_trainer)
    with open_folder(plan, device, notify) as folder:
        trained = train_epochs(Training(trainer, samples, validation, plan.settings, folder, notify))
        return publish(plan, folder, trained, notify)
