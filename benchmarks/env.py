"""Measure the environment: its steps a second, in one process and in two, and CarRacing's of
Gymnasium -> a Report.
"""

import importlib.util
import time
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Count, setting
from bcclone.system.task_pool import process_pool
from benchmarks.measures import Measure, Report
from benchmarks.rounds import measure_in_rounds, rounds_setting

_LARGE, _SMALL, _RACING = "bcclone, 160x320", "bcclone, 64x64", "CarRacing-v3, 96x96 from above"
_PAIR = f"two processes to one, {_LARGE}"
_VECTOR_CARS = 4
_WARM_STEPS = 10


@dataclass(frozen=True)
class Settings(Checked):
    """How many steps a second the environment makes."""

    road: str = setting(
        "lake", "road to drive: lake, mountain, random:SEED, or a .json file of points"
    )
    steps: Count = setting(300, "number of steps of each measurement", 10)
    rounds: int = rounds_setting(figures="the best of them")


class Program(NamedTuple):
    """The steps of an environment. size: height and width of its images, () for CarRacing, which
    has its own.
    """

    road: str
    size: tuple[int, ...]
    steps: int
    cars: int = 1


def measure(settings: Settings, notify: Notify) -> Report:
    """Return steps a second of each environment, each in processes of its own, in turn; the best
    round counts.

    CarRacing is left out, with a note, if Box2D is not installed.
    """
    road, steps = settings.road, settings.steps
    programs = {
        _LARGE: Program(road, (160, 320), steps),
        _SMALL: Program(road, (64, 64), 4 * steps),
        f"bcclone, {_VECTOR_CARS} cars in one process, 160x320": Program(
            road, (160, 320), steps, _VECTOR_CARS
        ),
    }
    if importlib.util.find_spec("Box2D"):
        programs[_RACING] = Program(road, (), steps)
    else:
        notify(f"note: {_RACING} is left out: the package Box2D is not installed")
    functions = {name: partial(steps_a_second, program) for name, program in programs.items()}
    functions[_PAIR] = partial(steps_a_second, programs[_LARGE], processes=2)
    rates = {
        name: max(each) for name, each in measure_in_rounds(functions, settings.rounds).items()
    }
    bars, pair = {_LARGE: 140.0, _SMALL: 1000.0}, rates.pop(_PAIR)
    measures = [Measure(name, rate, "steps/s", bars.get(name)) for name, rate in rates.items()]
    measures.append(Measure(_PAIR, pair / rates[_LARGE], "times", 1.8))
    if _RACING in rates:
        measures.append(Measure(f"{_SMALL} to {_RACING}", rates[_SMALL] / rates[_RACING], "times"))
    return Report(measures)


def steps_a_second(program: Program, processes: int = 1) -> float:
    """Return the rate of processes that drive at the same time, together; each has made its first
    steps before.
    """
    with process_pool(processes) as pool:
        list(pool.map(_rate, [program._replace(steps=program.cars)] * processes))
        return sum(pool.map(_rate, [program] * processes))


def _rate(program: Program) -> float:
    env = _environment(program.road, program.size, program.cars)
    action, steps = np.zeros(env.action_space.shape, np.float32), program.steps // program.cars
    since = time.perf_counter()
    for _ in range(steps):
        _, _, terminated, truncated, _ = env.step(action)
        if program.cars == 1 and (terminated or truncated):
            env.reset()
    return steps * program.cars / (time.perf_counter() - since)


@cache
def _environment(road: str, size: tuple[int, ...], cars: int) -> Any:
    """Return an environment of this process, which has made some steps."""
    import gymnasium

    if not size:
        env: Any = gymnasium.make("CarRacing-v3")
    else:
        import bcclone.research.environment  # noqa: F401 registers it

        values: dict[str, Any] = {"road": road, "height": size[0], "width": size[1]}
        if cars > 1:
            env = gymnasium.make_vec("bcclone/Road-v0", cars, "vector_entry_point", **values)
        else:
            env = gymnasium.make("bcclone/Road-v0", **values)
    env.reset(seed=0)
    for _ in range(_WARM_STEPS):
        env.step(np.zeros(env.action_space.shape, np.float32))
    return env
