"""Models, rows, recordings -> a drive of each, on several cores; the same however many there are."""

import logging
import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Self

from bcclone.child_process import interrupts_kept_from_children
from bcclone.errors import UserError
from bcclone.progress import ProgressBar
from bcclone.suite.scenarios import Drive, Recording, Replayed, Row, SuiteResult
from bcclone.suite.worker import Failure, Task, serve

logger = logging.getLogger(__name__)

Answer = float | Drive | Replayed

_PATIENCE_SECONDS = 2.0


class Crew:
    """Processes that drive; a context manager that leaves none behind."""

    def __init__(self, jobs: int) -> None:
        context = multiprocessing.get_context("spawn")  # TensorFlow and Numba do not survive a fork
        self._workers = [_Worker(context) for _ in range(jobs)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.end()

    def drive(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Answer]]:
        """Yield, as it comes, how many metres farther a task is, and what it came to when it is done.

        Raises UserError for what could not be driven, and when a process has died.
        """
        waiting = deque(tasks)
        for worker in self._workers:
            worker.take_next(waiting)
        while busy := {worker.connection: worker for worker in self._workers if worker.task}:
            for connection in wait(list(busy)):
                worker = busy[connection]  # type: ignore[index]  # what was waited for is one of them
                task, answer = worker.answer()
                yield task, answer
                if not isinstance(answer, float):
                    worker.take_next(waiting)


class _Worker:
    """The asking end of a process. task: what it drives now."""

    def __init__(self, context: multiprocessing.context.SpawnContext) -> None:
        self.connection: Connection
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs,), name="bcclone-suite", daemon=True)
        with interrupts_kept_from_children():
            self._process.start()
        theirs.close()
        self.task: Task | None = None

    def take_next(self, waiting: deque[Task]) -> None:
        """Begin the first of the waiting tasks; without one this process is done and may go."""
        self.task = waiting.popleft() if waiting else None
        try:
            self.connection.send(self.task)
        except OSError:
            if self.task:
                raise self._death() from None

    def answer(self) -> tuple[Task, Answer]:
        """Return what the process says of its task; raises UserError when it failed, or is gone."""
        try:
            answer = self.connection.recv()
        except (EOFError, OSError):
            raise self._death() from None
        if isinstance(answer, Failure):
            if answer.trace:
                logger.error("%s", answer.trace)
            raise UserError(answer.reason)
        if self.task is None:
            raise RuntimeError(f"an answer that was not asked for: {answer}")
        return self.task, answer

    def end(self) -> None:
        """End the process now; one that has nothing to do has been told so, and ends by itself."""
        self.connection.close()
        if self.task is None:
            self._process.join(_PATIENCE_SECONDS)
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._process.close()

    def _death(self) -> UserError:
        self._process.join(_PATIENCE_SECONDS)
        code, task = self._process.exitcode, self.task
        how = f"was killed by signal {-code}" if code and code < 0 else f"ended with exit code {code}"
        what = f"driving {task.row.name} with {task.model}" if task else "waiting"
        return UserError(f"process {self._process.pid}, {what}, {how}; when memory ran out, take fewer --jobs")


_MOST_JOBS = 256


@dataclass(frozen=True)
class SuiteSettings:
    """preprocess: for models that do not say how their input is made; jobs: processes that drive side by side."""

    preprocess: str | None = None
    jobs: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.jobs <= _MOST_JOBS:
            raise ValueError(f"jobs {self.jobs}, expected 1 to {_MOST_JOBS}")


def run_suite(
    models: Sequence[Path], rows: Sequence[Row], settings: SuiteSettings, logs: Sequence[Path] = ()
) -> SuiteResult:
    """Let every model drive every row, and through the recordings of these logs; raises UserError."""
    names, recordings = name_models(models), name_recordings(logs)
    # the longest first, so that no process drives on alone at the end
    ordered: list[Row | Recording] = sorted([*rows, *recordings], key=lambda row: -row.seconds)
    done = _drive([Task(path, settings.preprocess, row) for row in ordered for path in names.values()], settings.jobs)

    def by_model(row: Row | Recording) -> Iterable[tuple[str, Drive | Replayed]]:
        return ((name, done[Task(path, settings.preprocess, row)]) for name, path in names.items())

    drives = {row.name: {name: it for name, it in by_model(row) if isinstance(it, Drive)} for row in rows}
    replays = {one.name: {name: it for name, it in by_model(one) if isinstance(it, Replayed)} for one in recordings}
    return SuiteResult(names, tuple(rows), drives, recordings, replays)


def _drive(tasks: Sequence[Task], jobs: int) -> dict[Task, Drive | Replayed]:
    """Do all tasks, and show how far they are."""
    done: dict[Task, Drive | Replayed] = {}
    came = dict.fromkeys(tasks, 0.0)
    metres = round(sum(task.row.length_m for task in tasks))
    with ProgressBar("driving", metres, "m") as progress, Crew(min(jobs, len(tasks))) as crew:
        for task, answer in crew.drive(tasks):
            if isinstance(answer, float):
                step = answer
            else:
                step, done[task] = max(task.row.length_m - came[task], 0.0), answer
            came[task] += step
            progress.advance(step, f"{len(done)} of {len(tasks)} drives done")
    return done


def name_models(models: Sequence[Path]) -> dict[str, Path]:
    """Return the models by the shortest names that tell them apart: without their folders, where that is enough.

    Raises UserError for one that is not there, or is named twice.
    """
    for path in models:
        if not path.is_file():
            raise UserError(f"{path}: there is no such model; train one with: python model.py data.h5 -o {path}")
    for number, path in enumerate(models):
        if path.resolve() in [other.resolve() for other in models[:number]]:
            raise UserError(f"{path} is named twice; name each model once")
    return _named(models, [[path.stem for path in models], [path.name for path in models]])


def name_recordings(logs: Sequence[Path]) -> tuple[Recording, ...]:
    """Return the recordings of some logs, named by their folders where that tells them apart."""
    named = _named(logs, [[log.absolute().parent.name for log in logs]])
    return tuple(Recording(name, log) for name, log in named.items())


def _named(paths: Sequence[Path], choices: Sequence[Sequence[str]]) -> dict[str, Path]:
    """Return the paths by the first choice of names that tells them apart, or by themselves."""
    for names in choices:
        if len(set(names)) == len(paths):
            return dict(zip(names, paths, strict=True))
    return {str(path): path for path in paths}
