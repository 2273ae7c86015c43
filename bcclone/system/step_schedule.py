"""Run commands of bcclone, each in a process of its own, two at once, and skip what an earlier run has completed.

In: steps with the names of those that they need, and a folder for their states. Out: how long each took.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from bcclone.system.errors import UserError
from bcclone.system.finished_steps import FinishedSteps
from bcclone.system.hardware import usable_cores
from bcclone.system.progress import StatusLine

_AT_ONCE, _END_SECONDS, _LOOK_SECONDS = 2, 30, 0.1


@dataclass(frozen=True)
class Step:
    """A command.

    makes: the file or folder that it makes; command: the words after `bcclone`; after: names of the steps that it
    needs; side_products: other files and folders that it makes; proof: the file in the folder that it makes
    which is written last, "" for a file.
    """

    name: str
    makes: Path
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    side_products: tuple[Path, ...] = ()
    proof: str = ""

    @property
    def shown(self) -> str:
        """Return the command as a user types it."""
        return f"bcclone {shlex.join(self.command)}"

    @property
    def is_made(self) -> bool:
        """Return whether what it makes exists."""
        return (self.makes / self.proof).exists()


@dataclass(frozen=True)
class StepState:
    """What a folder says of a step: the command that began, and whether it is complete."""

    command: tuple[str, ...]
    complete: bool


@dataclass(frozen=True)
class TimedStep:
    """A completed step: how long it took, and when it ended, in seconds from the start.

    Both are 0 if an earlier run had completed it.
    """

    step: Step
    seconds: float = 0.0
    ended: float = 0.0


class Schedule:
    """Runs the steps that are not complete, and those that need them, two at once; a context manager.

    name: of the whole, for the user; states: folder for the states of the steps; timed: the steps that are complete, by
    name.
    """

    def __init__(self, name: str, steps: Sequence[Step], states: Path, notify: Callable[[str], None]) -> None:
        self._name, self._notify, self._start = name, notify, time.monotonic()
        self._states, self._status = FinishedSteps(states, StepState), StatusLine(name)
        self._waiting, self._running = list(steps), list[_RunningStep]()
        self.timed: dict[str, TimedStep] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._running:
            one.end()
        self._status.close()

    def run(self) -> None:
        """Run all steps; raises UserError when one fails."""
        count = len(self._waiting)
        while self._waiting or self._running:
            for step in [each for each in self._waiting if all(name in self.timed for name in each.after)]:
                if self._is_complete(step):
                    self._say(TimedStep(step), f"{step.name}: {step.makes} is complete already")
                elif len(self._running) < min(usable_cores(), _AT_ONCE):
                    self._clear(step)
                    self._running.append(_RunningStep(step))
                else:
                    break
                self._waiting.remove(step)
            for one in [each for each in self._running if each.has_ended()]:
                self._complete(one)
            names = ", ".join(each.step.name for each in self._running)
            self._status.show(f"step {len(self.timed) + 1} of {count}: {names}")
            time.sleep(_LOOK_SECONDS if self._running else 0)

    def _is_complete(self, step: Step) -> bool:
        is_new = any(self.timed[name].seconds for name in step.after)
        return not is_new and self._states.find(step.name) == StepState(step.command, True) and step.is_made

    def _clear(self, step: Step) -> None:
        """Remove what an earlier run left of a step; refuse to remove anything else."""
        for leftover in (step.makes, *step.side_products):
            if os.path.lexists(leftover) and self._states.find(step.name) is None:
                raise UserError(f"{leftover} exists, but not from a {self._name}; choose another folder with --folder")
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)
        self._states.keep(step.name, StepState(step.command, complete=False))

    def _complete(self, one: "_RunningStep") -> None:
        self._running.remove(one)
        one.end()
        step, now = one.step, time.monotonic()
        self._states.keep(step.name, StepState(step.command, complete=True))
        timed = TimedStep(step, now - one.start, now - self._start)
        self._say(timed, f"{step.name}: {step.makes}, {timed.seconds:.0f} s: {step.shown}")

    def _say(self, timed: TimedStep, line: str) -> None:
        self.timed[timed.step.name] = timed
        with self._status.above():
            self._notify(line)


class _RunningStep:
    """A step whose command runs. What it prints on standard error is kept for the case that it fails."""

    def __init__(self, step: Step) -> None:
        self.step, self.start = step, time.monotonic()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 closed by end()
        command = [sys.executable, "-P", "-m", "bcclone", *step.command, "--quiet"]  # no bcclone.py of this folder
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self._errors)

    def has_ended(self) -> bool:
        """Return whether the command has ended; raises UserError when it failed."""
        code = self._process.poll()
        if code:
            self._errors.seek(0)
            printed = self._errors.read().decode(errors="replace").strip()
            raise UserError(
                f"`{self.step.shown}` failed (exit code {code}); fix this error, and begin again, which keeps what is "
                f"complete:\n{printed}"
            )
        return code is not None

    def end(self) -> None:
        """End the command, with the processes that it may have started."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(_END_SECONDS)
        self._errors.close()
