"""Measure the environment: its steps a second, in one process and in two, and CarRacing's of Gymnasium -> a Report."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import IO

from bcclone.system.errors import UserError
from bcclone.system.progress import Notify
from bcclone.system.settings import check_settings, setting
from benchmarks.measures import Measure, Report
from benchmarks.rounds import rounds_setting

_LARGE, _SMALL, _RACING = "bcclone, 160x320", "bcclone, 64x64", "CarRacing-v3, 96x96 from above"
_VECTOR_CARS = 4
_STEPS = """
import json, sys, time
import gymnasium, numpy as np
name, values, module, cars, steps = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:])
__import__(module)
if cars > 1:
    env = gymnasium.make_vec(name, cars, "vector_entry_point", **values)
else:
    env = gymnasium.make(name, **values)
env.reset(seed=0)
action = np.zeros(env.action_space.shape, np.float32)
for _ in range(10):
    env.step(action)
print("ready", flush=True)
sys.stdin.readline()
since = time.perf_counter()
for _ in range(steps // cars):
    _, _, terminated, truncated, _ = env.step(action)
    if cars == 1 and (terminated or truncated):
        env.reset()
print(json.dumps(steps // cars * cars / (time.perf_counter() - since)))
env.close()
"""


@dataclass(frozen=True)
class Settings:
    """How many steps a second the environment makes."""

    road: str = setting("lake", "road to drive: lake, mountain, random:SEED, or a .json file of points")
    steps: int = setting(300, "number of steps of each measurement", 10)
    rounds: int = rounds_setting(figures="the best of them")

    def __post_init__(self) -> None:
        check_settings(self)


def measure(settings: Settings, notify: Notify = lambda line: None) -> Report:
    """Return steps a second of each environment, each in processes of its own, in turn; the best round counts.

    CarRacing is left out, with a note, if Box2D is not installed.
    """
    road, steps = {"road": settings.road}, settings.steps
    several = f"bcclone, {_VECTOR_CARS} cars in one process, 160x320"
    programs = {
        _LARGE: _program("bcclone/Road-v0", road | {"height": 160, "width": 320}, steps),
        _SMALL: _program("bcclone/Road-v0", road | {"height": 64, "width": 64}, 4 * steps),
        several: _program("bcclone/Road-v0", road | {"height": 160, "width": 320}, steps, _VECTOR_CARS),
    }
    if importlib.util.find_spec("Box2D"):
        programs[_RACING] = _program("CarRacing-v3", {}, steps)
    else:
        notify(f"note: {_RACING} is left out: the package Box2D is not installed")
    rates, pair = dict.fromkeys(programs, 0.0), 0.0
    for _ in range(settings.rounds):
        for name, program in programs.items():
            rates[name] = max(rates[name], *steps_a_second(program))
        pair = max(pair, sum(steps_a_second(programs[_LARGE], processes=2)))
    bars = {_LARGE: 140.0, _SMALL: 1000.0}
    measures = [Measure(name, rate, "steps/s", bars.get(name)) for name, rate in rates.items()]
    measures.append(Measure(f"two processes to one, {_LARGE}", pair / rates[_LARGE], "times", 1.8))
    if _RACING in rates:
        measures.append(Measure(f"{_SMALL} to {_RACING}", rates[_SMALL] / rates[_RACING], "times"))
    return Report(measures)


def _program(name: str, values: dict[str, object], steps: int, cars: int = 1) -> list[str]:
    module = "bcclone.lab.environment" if name.startswith("bcclone/") else "gymnasium"
    return [_STEPS, name, json.dumps(values), module, str(cars), str(steps)]


def steps_a_second(program: list[str], processes: int = 1) -> list[float]:
    """Return the rates of processes that begin at the same time; raises UserError with the last line of one that fails.

    program: of `python -c`; prints "ready", waits for a line, and prints its rate.
    """
    with ExitStack() as stack:
        errors = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(processes)]
        started = [stack.enter_context(_running(program, error)) for error in errors]
        for process, error in zip(started, errors, strict=True):
            if not any(line.strip() == "ready" for line in process.stdout or ()):
                raise _failure(error)
        for process in started:
            _start(process)
        printed = [process.communicate()[0].splitlines() for process in started]
        for lines, error in zip(printed, errors, strict=True):
            if not lines:
                raise _failure(error)
        return [float(lines[-1]) for lines in printed]


@contextmanager
def _running(program: list[str], error: IO[str]) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, "-c", *program]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=error, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _start(process: subprocess.Popen[str]) -> None:
    """Let a process that is ready begin; one that has failed since has written its error."""
    with suppress(BrokenPipeError):
        if process.stdin:
            os.write(process.stdin.fileno(), b"go\n")


def _failure(error: IO[str]) -> UserError:
    error.seek(0)
    return UserError(f"an environment did not run: {(error.read().splitlines() or ['no message'])[-1][:200]}")
