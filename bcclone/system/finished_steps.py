"""Run tasks of which earlier runs may have finished some: tasks and a folder -> their results.

The folder keeps each result, so that a killed command continues where it stopped.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from bcclone.system.atomic import write_text
from bcclone.system.codec import from_text, read_bytes
from bcclone.system.hardware import usable_cores
from bcclone.system.json_values import json_text
from bcclone.system.progress import Notify, ProgressBar
from bcclone.system.task_pool import Result, TaskPool, open_pool


@dataclass(frozen=True)
class FinishedSteps(Generic[Result]):
    """Keeps the result of each finished step, so that a killed command need not repeat the step.

    A step has a key, a text that differs wherever its result could differ. The result is in the
    file KEY.json, which is written whole or not at all.
    """

    folder: Path | None  # folder of the files; None to keep nothing
    kind: type[Result]  # dataclass of the results

    def find(self, key: str) -> Result | None:
        """Return the result that was kept for a key, None if there is no readable one."""
        if self.folder is None:
            return None
        try:
            return from_text(self.kind, read_bytes(self.folder / f"{key}.json", "json"))
        except (OSError, ValueError):
            return None

    def keep(self, key: str, result: Result) -> Result:
        """Write the result of a step, and return it."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self.folder / f"{key}.json", json_text(result))
        return result


@dataclass(frozen=True)
class Shown:
    """How the progress of a run is shown to the user."""

    label: str  # what is done; in front of the count in the progress bar
    unit: str  # what the progress bar counts, such as "rows"
    noun: str  # what the tasks are called, in the plural, such as "drives"
    notify: Notify = lambda line: None  # called with other lines for the user


def run_kept(
    pool: TaskPool | int,
    function: Callable[[Any], Result],
    tasks: Sequence[Any],
    kept: FinishedSteps[Any],
    shown: Shown,
) -> list[Result]:
    """Return the result of each task, in the order of the tasks; keep the results of new ones.

    A task whose result is kept already is not run. Raises as TaskPool.run() does.

        pool: the workers, or how many processes to start at most, 0 for one per usable core
        tasks: each has a `key` as FinishedSteps describes it, or "" if its result is not kept; and
            a `size`, the progress that it will report, in the unit of the progress bar
        kept: has the earlier results, and gets each new one as soon as it is there
    """
    results: dict[int, Result] = {}
    for index, task in enumerate(tasks):
        if task.key and (result := kept.find(task.key)):
            results[index] = result
    left = [index for index in range(len(tasks)) if index not in results]
    if results:
        shown.notify(
            f"{len(results)} of {len(tasks)} {shown.noun} are finished already, in {kept.folder}"
        )
    if not left:
        return [results[index] for index in range(len(tasks))]

    total = round(sum(tasks[index].size for index in left))
    with (
        _workers_for(pool, len(left)) as workers,
        ProgressBar(shown.label, total, shown.unit) as progress,
    ):

        def advance(amount: float) -> None:
            progress.advance(amount, f"{len(results)} of {len(tasks)} {shown.noun} done")

        for number, result in workers.run(function, [tasks[index] for index in left], advance):
            index = left[number]
            if tasks[index].key:
                kept.keep(tasks[index].key, result)
            results[index] = result
        advance(max(total - progress.done, 0.0))  # a task may end early, and report less progress
    return [results[index] for index in range(len(tasks))]


def _workers_for(pool: TaskPool | int, tasks: int) -> AbstractContextManager[TaskPool]:
    """Return a context manager of the workers: the given pool, which stays open afterwards, or new
    processes, no more than there are tasks.
    """
    if isinstance(pool, int):
        return open_pool(min(pool or usable_cores(), tasks))
    return nullcontext(pool)
