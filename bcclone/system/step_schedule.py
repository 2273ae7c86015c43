"""Run commands of bcclone, each in a process of its own, two at once, and skip what an earlier run has completed.

In: steps with the names of those that they need, and a folder for their states. Out: how long each took.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bcclone.system.errors import UserError
from bcclone.system.hardware import usable_cores
from bcclone.system.task_pool import FinishedSteps

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
    """Runs the steps that are not complete, and those that need them.

    name: of the whole, for the user; folder: for the states of the steps; notify: called with a line when a step begins
    and when it is complete.
    """

    def __init__(self, name: str, steps: Sequence[Step], folder: Path, notify: Callable[[str], None]) -> None:
        self._name, self._steps, self._notify, self._begin = name, steps, notify, time.monotonic()
        self._states = FinishedSteps(folder, StepState)
        self._waiting, self._running, self._timed = list(steps), list[_RunningStep](), dict[str, TimedStep]()

    def run(self) -> tuple[TimedStep, ...]:
        """Run all steps; raises UserError when one fails."""
        try:
            while self._waiting or self._running:
                self._start_some()
                for one in [each for each in self._running if each.has_ended()]:
                    self._complete(one)
                time.sleep(_LOOK_SECONDS if self._running else 0)
        finally:
            for one in self._running:
                one.end()
        return tuple(self._timed[step.name] for step in self._steps)

    def _start_some(self) -> None:
        for step in [each for each in self._waiting if self._timed.keys() >= set(each.after)]:
            is_old = (step.makes / step.proof).exists() and not any(self._timed[name].seconds for name in step.after)
            if is_old and self._states.find(step.name) == StepState(step.command, True):
                self._timed[step.name] = TimedStep(step)
                self._notify(f"{step.name}: {step.makes} is complete already")
            elif len(self._running) < min(usable_cores(), _AT_ONCE):
                self._remove_leftovers(step)
                self._states.keep(step.name, StepState(step.command, complete=False))
                self._notify(f"{step.name}: step {len(self._timed) + len(self._running) + 1} of {len(self._steps)}")
                self._running.append(_RunningStep(step))
            else:
                break
            self._waiting.remove(step)

    def _remove_leftovers(self, step: Step) -> None:
        """Remove what an earlier run left of a step; refuse to remove anything else."""
        for leftover in (step.makes, *step.side_products):
            if os.path.lexists(leftover) and self._states.find(step.name) is None:
                raise UserError(f"{leftover} exists, but not from a {self._name}; choose another folder with --folder")
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)

    def _complete(self, one: "_RunningStep") -> None:
        self._running.remove(one)
        one.end()
        step, now = one.step, time.monotonic()
        self._states.keep(step.name, StepState(step.command, complete=True))
        timed = self._timed[step.name] = TimedStep(step, now - one.start, now - self._begin)
        self._notify(f"{step.name}: {step.makes}, {timed.seconds:.0f} s: {step.shown}")


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
        self._process.terminate()
        self._process.wait(_END_SECONDS)
        self._errors.close()
