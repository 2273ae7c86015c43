"""A store or recordings -> a model file and its run folder: begin or resume a run, train, publish the model."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from bcclone.dataset.conversion import open_samples
from bcclone.dataset.store import OpenIfStore, open_if_store
from bcclone.feed.selection import TrainingData
from bcclone.system.progress import Notify
from bcclone.train.plan import Plan, check_inputs, new_plan, resumed_plan, select_samples
from bcclone.train.publish import open_folder, publish, republish
from bcclone.train.train_settings import RunFiles, TrainSettings
from bcclone.train.training_state import TrainResult
from bcclone.train.worker import Worker

_ALONE = Worker()


def run(
    settings: TrainSettings,
    notify: Notify = lambda line: None,
    open_if_store: OpenIfStore = open_if_store,
    worker: Worker = _ALONE,
) -> TrainResult:
    """Train a network in a new run, and return the result.

    notify: called with each line of progress; open_if_store: opens the samples if they are a store; worker: this
    process, which trains alone or as one of several. Raises UserError when the settings, the samples or the run folder
    cannot be used, and KeyboardInterrupt on Ctrl-C or SIGTERM, after saving the state.
    """
    return _train(settings, partial(new_plan, settings), notify, open_if_store, worker)


def resume(
    files: RunFiles,
    changes: Mapping[str, Any],
    notify: Notify = lambda line: None,
    open_if_store: OpenIfStore = open_if_store,
    worker: Worker = _ALONE,
) -> TrainResult:
    """Continue the newest run of these samples and this output with its own settings; without one, begin a new run.

    changes: settings by name. Limits (epochs, time, patience) may differ from the run's, and so may a feed that gives
    the same batches. Raises as run() does, and UserError for other changes.
    """
    return _train(files, partial(resumed_plan, files, changes), notify, open_if_store, worker)


def _train(
    files: RunFiles,
    make_plan: Callable[[TrainingData, Notify, int], Plan],
    notify: Notify,
    open_if_store: OpenIfStore,
    worker: Worker,
) -> TrainResult:
    """Train in the folder of a resumed run, or in a new one."""
    if worker.writes:
        check_inputs(files)
    with open_samples(files.data, notify, open_if_store) as data:
        plan = worker.decide(data, lambda: make_plan(data, notify, worker.count))
        samples, validation = select_samples(data, plan.settings, notify)
        if plan.result:
            return republish(plan, notify) if worker.writes else plan.result
        device = worker.load(plan.settings)
        from bcclone.train.loop import Training, train_epochs
        from bcclone.train.prepare import prepare_trainer

        plan, trainer = prepare_trainer(plan, samples, notify, worker)
        with open_folder(plan, device, notify if worker.writes else lambda line: None) as folder:
            trained = train_epochs(Training(trainer, samples, validation, plan.settings, folder, notify, worker))
            return publish(plan, folder, trained, notify) if worker.writes else trained.result
