"""Run tasks on a pool, with a progress bar, and keep each result as soon as it is there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from bcclone.system.finished_steps import FinishedSteps
from bcclone.system.progress import Notify, ProgressBar
from bcclone.system.task_pool import TaskPool


class KeptTask(Protocol):
    """A task. key: says all that its result depends on; size: how much progress it reports, in `unit`."""

    @property
    def key(self) -> str:
        """Return the key."""

    @property
    def size(self) -> int:
        """Return the size."""

    @property
    def unit(self) -> str:
        """Return the unit."""


Task = TypeVar("Task", bound=KeptTask)
Result = TypeVar("Result")


@dataclass(frozen=True)
class KeptPool:
    """Workers, and a folder for the results of their tasks, None to keep none. notify: called with a line on them."""

    workers: TaskPool
    folder: Path | None
    notify: Notify

    def run(self, function: Callable[[Task], Result], tasks: Sequence[Task], kind: type[Result]) -> list[Result]:
        """Return the result of each task, in their order; those that are kept already are not run again."""
        kept = FinishedSteps(self.folder, kind)
        results = {number: result for number, task in enumerate(tasks) if (result := kept.find(task.key)) is not None}
        left = [number for number in range(len(tasks)) if number not in results]
        if results:
            self.notify(f"{len(results)} of {len(tasks)} parts are finished already, in {self.folder}")
        if left:
            total, unit = sum(tasks[number].size for number in left), tasks[0].unit
            with ProgressBar("mapping", total, unit) as progress:
                for index, result in self.workers.run(function, [tasks[number] for number in left], progress.advance):
                    results[left[index]] = kept.keep(tasks[left[index]].key, result)
        return [results[number] for number in range(len(tasks))]
