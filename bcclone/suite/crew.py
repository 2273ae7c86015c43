"""Tasks -> drives, by processes: who is free takes the next; one that dies or fails ends them all, and is told."""

import logging
import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Self

from bcclone.errors import UserError
from bcclone.feed.workers.child import interrupts_kept_from_children
from bcclone.suite.child import Failure, Task, serve
from bcclone.suite.result import Drive, Replayed

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
