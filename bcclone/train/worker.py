"""The process that trains: what a training asks of it, and the answers of one that trains alone, on one device."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bcclone.feed.feed import Feed
from bcclone.feed.order import EpochOrder
from bcclone.feed.selection import TrainingData
from bcclone.system.errors import UserError
from bcclone.system.interrupts import Interrupts
from bcclone.system.progress import Notify
from bcclone.system.tensorflow_quietly import load_tensorflow
from bcclone.train.plan import Plan
from bcclone.train.publish import open_folder
from bcclone.train.run_folder import RunFolder
from bcclone.train.train_settings import TrainSettings

if TYPE_CHECKING:  # it loads Keras
    from bcclone.train.loop import Trainer

_LOOK_SECONDS = 0.05  # between two looks whether a feed has started


@dataclass(frozen=True)
class Moment:
    """A moment of a training. elapsed: its seconds so far, before a resume, too; must_stop: it was asked to stop."""

    elapsed: float
    must_stop: bool


class Pace:
    """Tells the time of a training, and whether it was asked to stop. elapsed: seconds before a resume."""

    def __init__(self, interrupts: Interrupts, elapsed: float) -> None:
        self._interrupts, self._before, self._start = interrupts, elapsed, time.monotonic() - elapsed

    def moment(self, step: int, is_epoch_end: bool = False) -> Moment:
        """Return the present moment; called after each step, and around each epoch."""
        return self._own_moment()

    def await_feed(self, feed: Feed, settings: TrainSettings) -> None:
        """Wait until the processes of an open feed have started, or until this one is asked to stop.

        Raises UserError when --time is over before, unless it was over already when this training was resumed.
        """
        while not feed.has_started:
            moment = self._own_moment()
            if moment.must_stop:
                return
            if self._before < settings.time <= moment.elapsed:
                raise UserError(
                    f"--time {settings.time:g}s was over before the processes of --feed {settings.feed} had started; "
                    "give more time, or fewer --feed-workers"
                )
            time.sleep(_LOOK_SECONDS)

    def _own_moment(self) -> Moment:
        return Moment(time.monotonic() - self._start, self._interrupts.requested)


class Worker:
    """A process that trains alone; a subclass may train together with others, of which one writes.

    count: number of workers; writes: whether this one decides, and writes the run and the model; make_order: makes the
    order in which this one fetches its samples, of the fields of EpochOrder.
    """

    count: int = 1
    writes: bool = True
    make_order: Callable[..., EpochOrder] = EpochOrder

    def decide(self, data: TrainingData, make_plan: Callable[[], Plan]) -> Plan:
        """Return the plan of the run."""
        return make_plan()

    def load(self, settings: TrainSettings) -> str:
        """Load TensorFlow with the settings of a plan, and return its devices."""
        return load_tensorflow(gpu_memory=settings.gpu_memory, onednn=settings.onednn)

    def make_trainer(self, data: TrainingData, settings: TrainSettings, labels: int) -> "Trainer":
        """Return the trainer of a network with so many labels, as prepare.make_trainer() does."""
        from bcclone.train.prepare import make_trainer

        return make_trainer(data, settings, labels)

    @contextmanager
    def open_folder(self, plan: Plan, device: str, notify: Notify) -> Iterator[RunFolder]:
        """Give the run folder, locked within the block, in which this worker trains."""
        with open_folder(plan, device, notify) as folder:
            yield folder

    def pace(self, trainer: "Trainer", interrupts: Interrupts, elapsed: float) -> Pace:
        """Return what tells the time and the requests to stop that count here."""
        return Pace(interrupts, elapsed)
