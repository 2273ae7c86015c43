"""Measure the steps a second of the environment, in one process and in two, and of other environments beside it."""

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO

from benchmarks import Measure
from benchmarks.settings import EnvironmentBenchSettings

_LARGE, _SMALL = "bcclone, 160x320", "bcclone, 64x64"
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
begun = time.perf_counter()
for _ in range(steps // cars):
    done = env.step(action)
    if cars == 1 and (done[2] or done[3]):
        env.reset()
print(json.dumps(steps // cars * cars / (time.perf_counter() - begun)))
env.close()
"""
_METADRIVE = """
import sys, time, json
from metadrive.envs import MetaDriveEnv
from metadrive.component.sensors.rgb_camera import RGBCamera
env = MetaDriveEnv({
    "use_render": False, "image_observation": True, "sensors": {"rgb_camera": (RGBCamera, 320, 160)},
    "vehicle_config": {"image_source": "rgb_camera"}, "log_level": 50,
})
env.reset(seed=0)
for _ in range(5):
    env.step([0.0, 0.3])
print("ready", flush=True)
sys.stdin.readline()
steps = int(sys.argv[1])
begun = time.perf_counter()
for _ in range(steps):
    done = env.step([0.0, 0.3])
    if done[2] or done[3]:
        env.reset()
print(json.dumps(steps / (time.perf_counter() - begun)))
env.close()
"""


@dataclass(frozen=True)
class _Contestant:
    """An environment to measure.

    program: arguments of the interpreter, which the number of steps follows; needs: a package, without which it is left
    out; beside: the name of the one of ours that it is compared with.
    """

    name: str
    program: tuple[str, ...]
    steps: int
    bar: float | None = None
    needs: str = "gymnasium"
    beside: str = ""

    def rates(self, processes: int = 1, steps: int | None = None) -> list[float]:
        """Return the steps a second of processes that run side by side; raises _NotRun."""
        return _rates((*self.program, str(steps or self.steps)), processes)


class _NotRun(Exception):
    """An environment ended with an error; the message is its last line."""


def measure_environment(
    settings: EnvironmentBenchSettings, notify: Callable[[str], None] = lambda line: None
) -> list[Measure]:
    """Return steps a second of each environment, each in processes of its own, in turn; the best of the rounds counts.

    Other environments are left out where their packages are missing or they do not run; notify: called with the reason.
    """
    ours, others = _ours(settings), _that_run(_others(settings), notify)
    rates = {one.name: 0.0 for one in (*ours, *others)}
    pairs = 0.0
    for _ in range(settings.rounds):
        for one in (*ours, *others):
            rates[one.name] = max(rates[one.name], *one.rates())
        pairs = max(pairs, sum(ours[0].rates(processes=2)))
    return [
        *(Measure(one.name, rates[one.name], "steps/s", one.bar) for one in (*ours, *others)),
        Measure(f"two processes to one, {_LARGE}", pairs / rates[_LARGE], "times", 1.8),
        *(Measure(f"{one.beside} to {one.name}", rates[one.beside] / rates[one.name], "times") for one in others),
    ]


def _ours(settings: EnvironmentBenchSettings) -> list[_Contestant]:
    def program(height: int, width: int, cars: int = 1) -> tuple[str, ...]:
        values = {"road": settings.road, "height": height, "width": width}
        return (_STEPS, "bcclone/Road-v0", json.dumps(values), "bcclone.lab.environment", str(cars))

    several = f"bcclone, {_VECTOR_CARS} cars in one process, 160x320"
    return [
        _Contestant(_LARGE, program(160, 320), settings.steps, bar=140),
        _Contestant(_SMALL, program(64, 64), 4 * settings.steps, bar=1000),
        _Contestant(several, program(160, 320, _VECTOR_CARS), settings.steps),
    ]


def _others(settings: EnvironmentBenchSettings) -> list[_Contestant]:
    racing = (_STEPS, "CarRacing-v3", "{}", "gymnasium", "1")
    return [
        _Contestant("CarRacing-v3, 96x96 from above", racing, settings.steps, needs="Box2D", beside=_SMALL),
        _Contestant("MetaDrive, 160x320", (_METADRIVE,), settings.steps, needs="metadrive", beside=_LARGE),
    ]


def _that_run(others: list[_Contestant], notify: Callable[[str], None]) -> list[_Contestant]:
    """Return those that are installed and come through one step."""
    found = []
    for one in others:
        if not importlib.util.find_spec(one.needs):
            notify(f"note: {one.name} is left out: the package {one.needs} is not installed")
            continue
        try:
            one.rates(steps=1)
            found.append(one)
        except _NotRun as error:
            notify(f"note: {one.name} is left out: {error}")
    return found


def _rates(program: tuple[str, ...], processes: int) -> list[float]:
    with ExitStack() as stack:
        faults = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(processes)]
        started = [stack.enter_context(_running(program, fault)) for fault in faults]
        for process, fault in zip(started, faults, strict=True):
            _wait_until_ready(process, fault)
        for process in started:
            process.stdin.write("go\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        printed = [process.communicate()[0] for process in started]
        return [_rate(lines, fault) for lines, fault in zip(printed, faults, strict=True)]


@contextmanager
def _running(program: tuple[str, ...], fault: IO[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", *program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=fault, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _wait_until_ready(process: subprocess.Popen[str], fault: IO[str]) -> None:
    for line in process.stdout:  # type: ignore[union-attr]
        if line.strip() == "ready":
            return
    raise _NotRun(_last_line(fault))


def _rate(printed: str, fault: IO[str]) -> float:
    if not printed:
        raise _NotRun(_last_line(fault))
    return float(printed.splitlines()[-1])


def _last_line(fault: IO[str]) -> str:
    fault.seek(0)
    return (fault.read().splitlines() or ["it ended without a word"])[-1][:200]
