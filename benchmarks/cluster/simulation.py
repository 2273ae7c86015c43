"""Simulate processes that share resources, event by event: each waits until the earlier requests are served.

A process is a generator. It yields what it waits for: a Use of resources, or a Take from a semaphore.
"""

import heapq
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeAlias


class Resource:
    """A disk, a network or a core, which serves one request after the other, in the order of their arrival.

    rate: the amount that it serves in a second; busy: seconds that it has served until now.
    """

    def __init__(self, rate: float) -> None:
        self.rate, self.busy = rate, 0.0
        self._free_at = 0.0

    def serve(self, now: float, amount: float) -> float:
        """Return when a request that arrives now has been served."""
        seconds = amount / self.rate
        self.busy += seconds
        self._free_at = max(self._free_at, now) + seconds
        return self._free_at


class Semaphore:
    """A number of tokens, which processes take and put back; those that wait get theirs in order."""

    def __init__(self, tokens: int = 0) -> None:
        self.tokens = tokens
        self.waiting: deque[tuple[int, Process]] = deque()


@dataclass(frozen=True)
class Use:
    """Wait until an amount has been served by each of these resources, at the same time, such as two networks."""

    amount: float
    resources: tuple[Resource, ...]


@dataclass(frozen=True)
class Take:
    """Wait for tokens of a semaphore."""

    semaphore: Semaphore
    tokens: int = 1


Process: TypeAlias = Generator[Use | Take]


class Simulation:
    """Runs processes until all have ended. now: seconds since the beginning."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Process]] = []
        self._number = 0

    def start(self, process: Process) -> None:
        """Let a process begin, or go on, now."""
        self._go_on(process, self.now)

    def put(self, semaphore: Semaphore, tokens: int = 1) -> None:
        """Put tokens into a semaphore; processes that wait for them go on."""
        semaphore.tokens += tokens
        for process in self._satisfied(semaphore):
            self.start(process)

    def run(self) -> float:
        """Run until nothing happens any more; return the time."""
        while self._events:
            self.now, _, process = heapq.heappop(self._events)
            wait = next(process, None)
            if isinstance(wait, Use):
                self._go_on(process, max(each.serve(self.now, wait.amount) for each in wait.resources))
            elif isinstance(wait, Take):
                wait.semaphore.waiting.append((wait.tokens, process))
                self.put(wait.semaphore, 0)
        return self.now

    def _go_on(self, process: Process, time: float) -> None:
        self._number += 1  # what happens at the same time happens in the order in which it was started
        heapq.heappush(self._events, (time, self._number, process))

    def _satisfied(self, semaphore: Semaphore) -> Iterator[Process]:
        while semaphore.waiting and semaphore.waiting[0][0] <= semaphore.tokens:
            tokens, process = semaphore.waiting.popleft()
            semaphore.tokens -= tokens
            yield process
