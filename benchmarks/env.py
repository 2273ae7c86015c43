"""Measure the environment: its steps a second, in one process and in two -> a Report.

CarRacing of Gymnasium is measured beside it.
"""

import importlib.util
import time
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from bcclone.system.pool import open_pool
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Count, setting
from benchmarks.measures import Measure, Report
from benchmarks.rounds import measure_in_rounds, rounds_setting

# names of what is measured
_LARGE = "bcclone, 160x320"
_SMALL = "bcclone, 64x64"
_RACING = "CarRacing-v3, 96x96 from above"
_PAIR = f"two processes to one, {_LARGE}"


@dataclass(frozen=True)
class Settings(Checked):
    """How many steps a second the environment makes."""

    road: str = setting(
        "lake", "road to drive: lake, mountain, random:SEED, or a .json file of points"
    )
    steps: Count = setting(300, "number of steps of each measurement", 10)
    rounds: int = rounds_setting(figures="the best of them")


@dataclass(frozen=True)
class Program:
    """Steps to take in an environment."""

    road: str
    size: tuple[int, ...]  # height and width of its images; () for CarRacing, which has its own
    steps: int


def measure(settings: Settings, notify: Notify) -> Report:
    """Return the steps a second of each environment; the best round counts.

    They take turns, each in processes of its own. CarRacing is left out, with a note, if Box2D is
    not installed.
    """
    programs = _programs(settings, notify)
    functions = {name: partial(steps_a_second, program) for name, program in programs.items()}
    functions[_PAIR] = partial(steps_a_second, programs[_LARGE], processes=2)
    rounds = measure_in_rounds(functions, settings.rounds)
    return Report(_measures({name: max(rates) for name, rates in rounds.items()}))


def _programs(settings: Settings, notify: Notify) -> dict[str, Program]:
    """Return what is measured by its name."""
    steps = settings.steps
    programs = {
        _LARGE: Program(settings.road, (160, 320), steps),
        _SMALL: Program(settings.road, (64, 64), 4 * steps),  # smaller images are faster
    }
    if importlib.util.find_spec("Box2D"):
        programs[_RACING] = Program(settings.road, (), steps)
    else:
        notify(f"note: {_RACING} is left out: the package Box2D is not installed")
    return programs


def _measures(rates: dict[str, float]) -> list[Measure]:
    """Return the measures. rates: steps a second by name."""
    bars = {_LARGE: 140.0, _SMALL: 1000.0}
    measures = [
        Measure(name, rate, "steps/s", bars.get(name))
        for name, rate in rates.items()
        if name != _PAIR
    ]
    measures.append(Measure(_PAIR, rates[_PAIR] / rates[_LARGE], "times", 1.8))
    if _RACING in rates:
        ratio = rates[_SMALL] / rates[_RACING]
        measures.append(Measure(f"{_SMALL} to {_RACING}", ratio, "times"))
    return measures


def steps_a_second(program: Program, processes: int = 1) -> float:
    """Return the rate of processes that drive at the same time, together.

    Each has made its first steps before.
    """
    first_steps = replace(program, steps=1)
    with open_pool(processes) as pool:
        list(pool.map(_rate, [first_steps] * processes))
        return sum(pool.map(_rate, [program] * processes))


def _rate(program: Program) -> float:
    """Take the steps in this process; return how many a second."""
    env = _environment(program.road, program.size)
    action = np.zeros(env.action_space.shape, np.float32)
    since = time.perf_counter()
    for _ in range(program.steps):
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    return program.steps / (time.perf_counter() - since)


@cache
def _environment(road: str, size: tuple[int, ...]) -> Any:
    """Return an environment of this process, which has made some steps."""
    env = _make_environment(road, size)
    env.reset(seed=0)
    action = np.zeros(env.action_space.shape, np.float32)
    for _ in range(10):
        env.step(action)
    return env


def _make_environment(road: str, size: tuple[int, ...]) -> Any:
    import gymnasium

    if not size:
        return gymnasium.make("CarRacing-v3")
    import bcclone.research.environment  # noqa: F401 registers it

    height, width = size
    return gymnasium.make("bcclone/Road-v0", road=road, height=height, width=width)
