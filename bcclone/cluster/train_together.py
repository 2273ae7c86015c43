"""Settings and a cluster -> the model that its workers train together, by the parts of a training on one device.

Worker 0, the chief, decides and writes. The others get its plan and its checkpoints, and keep their own files in a
temporary folder.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bcclone.cluster.shards import open_if_store
from bcclone.cluster.worker_group import WorkerGroup, open_group
from bcclone.cluster.workers import Cluster
from bcclone.dataset.conversion import open_samples
from bcclone.dataset.store import OpenIfStore
from bcclone.feed.feed_settings import FeedSettings
from bcclone.feed.selection import TrainingData
from bcclone.system.errors import UserError
from bcclone.system.json_values import from_json, json_text
from bcclone.system.progress import Notify
from bcclone.system.tensorflow_quietly import describe_devices, load_tensorflow
from bcclone.train.plan import Plan, check_inputs, new_plan, resumed_plan, select_samples
from bcclone.train.publish import open_folder, publish, republish
from bcclone.train.run_folder import RunFolder, RunIdentity
from bcclone.train.train_settings import DECIDE_WEIGHTS, RunFiles, TrainSettings, values_of
from bcclone.train.training_state import TrainResult

PlanMaker = Callable[[TrainingData, Notify], Plan]


@dataclass(frozen=True)
class JointTraining:
    """Trains as bcclone.train.run does, on each worker of a cluster, or with None on the GPUs of this machine.

    Its methods return the result, None on a worker that is not the chief. They raise UserError when another worker is
    lost.
    """

    cluster: Cluster | None

    def run(
        self, settings: TrainSettings, notify: Notify, open_if_store: OpenIfStore = open_if_store
    ) -> TrainResult | None:
        """Do as train.run.run() does."""
        workers = len(self.cluster) if self.cluster else 1
        settings = replace(settings, window_streams=settings.window_streams or workers)
        usual = TrainSettings()
        chosen = {name: value for name, value in values_of(settings).items() if value != getattr(usual, name)}
        return self._train(settings, chosen, partial(new_plan, settings), notify, open_if_store)

    def resume(
        self, files: RunFiles, changes: Mapping[str, Any], notify: Notify, open_if_store: OpenIfStore = open_if_store
    ) -> TrainResult | None:
        """Do as train.run.resume() does."""
        return self._train(files, changes, partial(resumed_plan, files, changes), notify, open_if_store)

    def _train(
        self,
        files: RunFiles,
        chosen: Mapping[str, Any],
        make_plan: PlanMaker,
        notify: Notify,
        open_if_store: OpenIfStore,
    ) -> TrainResult | None:
        gpus, gpu_memory = chosen.get("gpus", 1), chosen.get("gpu_memory", 0)
        with open_group(self.cluster, notify, gpus, gpu_memory) as group, ExitStack() as opened:
            group.on_chief(lambda: check_inputs(files))
            data = group.each(lambda: opened.enter_context(open_samples(files.data, notify, open_if_store)))
            group.check_agreement({"content of the store": data.content_hash[:16], **_joint(chosen)})
            own = group.on_chief(lambda: make_plan(data, notify))
            plan = _shared(own, group, Path(opened.enter_context(TemporaryDirectory())))
            check_batch(plan.settings.batch_size, group.count)
            samples, validation = group.each(lambda: select_samples(data, plan.settings, notify))
            if plan.result:
                return group.on_chief(lambda: republish(plan, notify))
            device = describe_devices() if group.count > 1 else load_tensorflow(gpu_memory=gpu_memory)
            from bcclone.cluster.together_trainer import JointPace, make_together_trainer
            from bcclone.train.loop import Training, train_epochs
            from bcclone.train.prepare import prepare_trainer

            make = partial(make_together_trainer, group=group)
            plan, trainer = prepare_trainer(plan, samples, notify, make)
            notify_once = notify if group.is_chief else lambda line: None
            folder = group.each(lambda: opened.enter_context(open_folder(plan, device, notify_once)))
            _share_checkpoints(folder, group)
            make_pace = partial(JointPace, group=group, weights_digest=trainer.weights_digest)
            training = Training(trainer, samples, validation, plan.settings, folder, notify, group.part, make_pace)
            trained = train_epochs(training)
            if group.is_chief:
                return publish(plan, folder, trained, notify)
            own_name, chief = group.name(group.index), group.name(0)
            notify(f"{own_name}: trained up to epoch {trained.result.epochs}; {chief} writes the model")
            return None


def _joint(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the chosen settings in which all workers must agree."""
    names = (*DECIDE_WEIGHTS, *(each.name for each in fields(FeedSettings)))
    return {name: chosen[name] for name in names if name in chosen}


def check_batch(batch_size: int, workers: int) -> None:
    """Raise UserError for a batch that is too small for so many workers."""
    if batch_size < workers:
        raise UserError(
            f"--batch-size {batch_size} for {workers} workers, expected a sample for each; train with fewer --workers "
            "or a larger --batch-size"
        )


def _shared(own: Plan | None, group: WorkerGroup, scratch: Path) -> Plan:
    """Return the chief's plan; on the other workers all of its files lie in the scratch folder."""
    described = own and {"settings": own.settings, "identity": own.identity, "result": own.result}
    stored = json.loads(group.broadcast(json_text(described).encode()))
    start = group.broadcast(own.settings.start.read_bytes() if own and own.settings.start else b"")
    if own:
        return own
    settings = replace(
        from_json(TrainSettings, stored["settings"]), output=scratch / "model.h5", runs=scratch, name="worker"
    )
    if start:
        settings = replace(settings, start=scratch / "start.h5")
        (scratch / "start.h5").write_bytes(start)
    result = from_json(TrainResult, stored["result"]) if stored["result"] else None
    return Plan(settings, from_json(RunIdentity, stored["identity"]), result=result)


def _share_checkpoints(folder: RunFolder, group: WorkerGroup) -> None:
    """Give the chief's checkpoints to the other workers."""
    from bcclone.train.checkpoint import checkpoint_paths  # loads Keras

    paths = checkpoint_paths(folder.checkpoints) if group.is_chief else []
    names = json.loads(group.broadcast(json.dumps([path.name for path in paths]).encode()))
    for name in names:
        content = group.broadcast((folder.checkpoints / name).read_bytes() if group.is_chief else b"")
        if not group.is_chief:
            folder.checkpoints.mkdir(exist_ok=True)
            (folder.checkpoints / name).write_bytes(content)
