"""A worker that trains together with others, by the same pipeline as one that trains alone (bcclone.train.run).

Worker 0, the chief, decides and writes. The others get its plan and its checkpoints, and keep their own files in a
temporary folder.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bcclone.cluster.part_order import PartOrder
from bcclone.cluster.worker_group import WorkerGroup, open_group
from bcclone.cluster.workers import Cluster
from bcclone.feed.feed_settings import AUTO, FeedSettings
from bcclone.feed.order import EpochOrder
from bcclone.feed.selection import TrainingData
from bcclone.system.errors import UserError
from bcclone.system.interrupts import Interrupts
from bcclone.system.json_values import from_json, json_text
from bcclone.system.progress import Notify
from bcclone.system.reading import path_inside
from bcclone.system.tensorflow_quietly import describe_devices, onednn_for_batches
from bcclone.train.plan import Plan
from bcclone.train.run_folder import RunFolder, RunIdentity
from bcclone.train.train_settings import DECIDE_WEIGHTS, TrainSettings
from bcclone.train.training_state import TrainResult
from bcclone.train.worker import Worker

if TYPE_CHECKING:  # they load TensorFlow
    from bcclone.cluster.together_trainer import JointPace, TogetherTrainer


@contextmanager
def open_worker(cluster: Cluster | None, chosen: Mapping[str, Any], notify: Notify) -> Iterator[Worker]:
    """Connect this worker with the others of a cluster; with None, give the one that trains on all GPUs chosen.

    chosen: settings of the training by name, in which the workers must agree. Raises UserError when the workers do not
    meet, and within the block when another one has an error before the training, or is lost.
    """
    gpus, gpu_memory = chosen.get("gpus", 1), chosen.get("gpu_memory", 0)
    onednn = onednn_for_batches(chosen.get("onednn", AUTO))
    with (
        open_group(cluster, notify, gpus, gpu_memory, onednn) as group,
        TemporaryDirectory() as scratch,
        group.sharing_errors(),
    ):
        yield JointWorker(group, chosen, Path(scratch))


class JointWorker(Worker):
    """One of several workers, or the only one of a machine with several GPUs.

    chosen: settings of the training by name; scratch: folder for the files of a worker that does not write.
    """

    def __init__(self, group: WorkerGroup, chosen: Mapping[str, Any], scratch: Path) -> None:
        self._group, self._chosen, self._scratch = group, chosen, scratch
        self.count, self.writes = group.count, group.is_chief
        self.make_order = partial(PartOrder, part=group.part) if group.count > 1 else EpochOrder

    def decide(self, data: TrainingData, make_plan: Callable[[], Plan]) -> Plan:
        """Return the chief's plan; on the other workers all of its files lie in the scratch folder."""
        names = (*DECIDE_WEIGHTS, *(each.name for each in fields(FeedSettings)))
        joint = {name: self._chosen[name] for name in names if name in self._chosen}
        self._group.check_agreement({"content of the store": data.content_hash[:16], **joint})
        plan = self._shared(make_plan() if self.writes else None)
        check_batch(plan.settings.batch_size, self.count)
        return plan

    def load(self, settings: TrainSettings) -> str:
        """Return the devices of TensorFlow, which several workers have loaded to be connected."""
        if self.count == 1:
            return super().load(settings)
        if settings.onednn != (loaded := onednn_for_batches(self._chosen.get("onednn", AUTO))):
            raise UserError(
                f"the run computes with --onednn {settings.onednn}, and this worker with {loaded}; give all "
                f"workers --onednn {settings.onednn}"
            )
        return describe_devices()

    def make_trainer(self, data: TrainingData, settings: TrainSettings, labels: int) -> "TogetherTrainer":
        """Return the trainer of a network on all devices."""
        from bcclone.cluster.together_trainer import make_together_trainer

        self._group.gather()  # the errors so far, since the workers now compute something together
        return make_together_trainer(data, settings, labels, self._group)

    @contextmanager
    def open_folder(self, plan: Plan, device: str, notify: Notify) -> Iterator[RunFolder]:
        """Give the run folder, with the chief's checkpoints; of the others, in the scratch folder."""
        with super().open_folder(plan, device, notify if self.writes else lambda line: None) as folder:
            self._share_checkpoints(folder)
            self._group.agreed()
            yield folder
        if not self.writes:
            notify(f"{self._group.name(self._group.index)}: trained to the end; {self._group.name(0)} writes the model")

    def pace(self, trainer: Any, interrupts: Interrupts, elapsed: float) -> "JointPace":
        """Return the pace of all workers."""
        from bcclone.cluster.together_trainer import JointPace

        return JointPace(interrupts, elapsed, self._group, trainer.weights_digest)

    def _shared(self, own: Plan | None) -> Plan:
        described = own and {"settings": own.settings, "identity": own.identity, "result": own.result}
        stored = json.loads(self._group.broadcast(json_text(described).encode()))
        start = self._group.broadcast(own.settings.start.read_bytes() if own and own.settings.start else b"")
        if own:
            return own
        scratch = self._scratch
        settings = replace(
            from_json(TrainSettings, stored["settings"]), output=scratch / "model.h5", runs=scratch, name="worker"
        )
        if start:
            settings = replace(settings, start=scratch / "start.h5")
            (scratch / "start.h5").write_bytes(start)
        result = from_json(TrainResult, stored["result"]) if stored["result"] else None
        return Plan(settings, from_json(RunIdentity, stored["identity"]), result=result)

    def _share_checkpoints(self, folder: RunFolder) -> None:
        """Give the chief's checkpoints to the other workers."""
        from bcclone.train.checkpoint import checkpoint_paths  # loads Keras

        paths = checkpoint_paths(folder.checkpoints) if self.writes else []
        names = json.loads(self._group.broadcast(json.dumps([path.name for path in paths]).encode()))
        for name in names:
            content = self._group.broadcast((folder.checkpoints / name).read_bytes() if self.writes else b"")
            if not self.writes:
                folder.checkpoints.mkdir(exist_ok=True)
                path_inside(folder.checkpoints, name).write_bytes(content)


def check_batch(batch_size: int, workers: int) -> None:
    """Raise UserError for a batch that is too small for so many workers."""
    if batch_size < workers:
        raise UserError(
            f"--batch-size {batch_size} for {workers} workers, expected a sample for each; train with fewer --workers "
            "or a larger --batch-size"
        )
