"""Measure the steps a second of the environment, in one process and in two, and of other environments beside it."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass

from bcclone.bench import Measure
from bcclone.bench.settings import EnvironmentBenchSettings

_OURS = "bcclone"
_STEPS = """
import json, sys, time
import gymnasium, numpy as np
name, values, steps = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
__import__(sys.argv[4])
env = gymnasium.make(name, **values)
env.reset(seed=0)
action = np.zeros(env.action_space.shape, np.float32)
for _ in range(10):
    env.step(action)
print("ready", flush=True)
sys.stdin.readline()
begun = time.perf_counter()
for _ in range(steps):
    done = env.step(action)
    if done[2] or done[3]:
        env.reset()
print(json.dumps(steps / (time.perf_counter() - begun)))
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
    """An environment to measure. arguments: of the interpreter; needs: a package, without which it is left out."""

    name: str
    arguments: tuple[str, ...]
    bar: float | None = None
    needs: str = "gymnasium"


def measure_environment(settings: EnvironmentBenchSettings) -> list[Measure]:
    """Return steps a second of each environment, each in processes of its own, in turn; the best of the rounds counts.

    Other environments are left out where their packages are missing.
    """
    contestants = [one for one in _contestants(settings) if importlib.util.find_spec(one.needs)]
    rates = {one.name: 0.0 for one in contestants}
    pairs = 0.0
    for _ in range(settings.rounds):
        for one in contestants:
            rates[one.name] = max(rates[one.name], _rates([one.arguments])[0])
        pairs = max(pairs, sum(_rates([contestants[0].arguments] * 2)))
    measures = [Measure(one.name, rates[one.name], "steps/s", one.bar) for one in contestants]
    measures.append(Measure("two processes to one, 160x320", pairs / rates[contestants[0].name], "times", 1.8))
    for one in contestants[2:]:
        ours = contestants[1] if "96x96" in one.name else contestants[0]
        name = f"{ours.name} to {one.name}"
        measures.append(Measure(name, rates[ours.name] / rates[one.name], "times"))
    return measures


def _contestants(settings: EnvironmentBenchSettings) -> list[_Contestant]:
    def ours(height: int, width: int, steps: int) -> tuple[str, ...]:
        values = {"road": settings.road, "height": height, "width": width}
        return (_STEPS, "bcclone/Road-v0", json.dumps(values), str(steps), "bcclone.environment")

    racing = (_STEPS, "CarRacing-v3", "{}", str(settings.steps), "gymnasium")
    return [
        _Contestant(f"{_OURS}, 160x320", ours(160, 320, settings.steps), 140),
        _Contestant(f"{_OURS}, 64x64", ours(64, 64, 4 * settings.steps), 1000),
        _Contestant("Gymnasium's CarRacing-v3, 96x96 from above", racing, needs="Box2D"),
        _Contestant("MetaDrive's camera, 160x320", (_METADRIVE, str(settings.steps)), needs="metadrive"),
    ]


def _rates(commands: list[tuple[str, ...]]) -> list[float]:
    """Return the steps a second of processes that run side by side, and begin together."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True,
        )
        for command in commands
    ]  # fmt: skip
    try:
        for process in started:
            while (line := process.stdout.readline()) and line.strip() != "ready":  # type: ignore[union-attr]
                pass
        for process in started:
            process.stdin.write("go\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        lines = [process.communicate()[0].splitlines() for process in started]
        return [float(json.loads(line[-1])) for line in lines]
    finally:
        for process in started:
            process.kill()
            process.wait()
