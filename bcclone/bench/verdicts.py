"""Drive many random roads several times, and count the verdicts that differ.

The first two runs are alike. In each of the others something differs that must not matter: the number of threads, or
the code that libraries choose for the processor. The network's own arithmetic is a case of its own: TensorFlow rounds
differently with the instructions of another processor, so drives may part, and the run shows how often verdicts do.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.bench import Measure
from bcclone.bench.settings import VerdictsBenchSettings
from bcclone.errors import UserError
from bcclone.evaluate import EvaluateSettings, evaluate_policy
from bcclone.hardware import usable_cores
from bcclone.progress import ProgressBar
from bcclone.simulator.roads.random_road import random_road
from bcclone.simulator.roads.road_name import PREFIX
from bcclone.simulator.settings import WorldSettings

OLD_LIBRARIES = {  # what makes each library use the code for a processor without AVX
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    "OPENCV_CPU_DISABLE": "AVX2,FMA3,FP16,AVX,AVX512-SKX",
    "OPENCV_IPP": "disabled",
    "OPENBLAS_CORETYPE": "Nehalem",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F,-AVX512VL,-FMA4,-AVX",
    "NUMBA_CPU_NAME": "generic",
}
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_FIRST, _NETWORK = "first run", "another processor's network code"
_RUNS: dict[str, Mapping[str, str]] = {
    _FIRST: {},
    "again": {},
    "one thread": dict.fromkeys(_THREADS, "1"),
    "old processor's libraries": OLD_LIBRARIES,
    _NETWORK: {"ONEDNN_MAX_CPU_ISA": "SSE41", "TF_ENABLE_ONEDNN_OPTS": "0"},
}
_DRIVE = "import sys; from bcclone.bench.verdicts import drive_roads; drive_roads(*sys.argv[1:])"


@dataclass(frozen=True)
class _Verdict:
    """How a drive ended: what testers would report of it, and a digest of the whole driven line."""

    reported: Mapping[str, Any]
    digest: str


def measure_verdicts(settings: VerdictsBenchSettings) -> list[Measure]:
    """Return how many verdicts and driven lines differ from the first run's; raises UserError if a run fails."""
    model = str(settings.model.absolute())
    if not settings.model.is_file():
        raise UserError(f"{settings.model}: no such model; name one with --model")
    random_road(_road(0, settings.length))
    with (
        ThreadPoolExecutor(usable_cores()) as pool,
        ProgressBar("driving", len(_RUNS) * settings.roads, "roads") as progress,
    ):
        runs = [pool.submit(_run, model, settings, values, progress) for values in _RUNS.values()]
        verdicts = dict(zip(_RUNS, (run.result() for run in runs), strict=True))
    first = verdicts.pop(_FIRST)
    driven = sum(not verdict.reported["interventions"] for verdict in first)
    measures = [Measure("roads driven to the end", driven, f"of {len(first)}")]
    for name, run in verdicts.items():
        bar = None if name == _NETWORK else 0.0
        differing = sum(one.reported != other.reported for one, other in zip(first, run, strict=True))
        parted = sum(one.digest != other.digest for one, other in zip(first, run, strict=True))
        measures.append(Measure(f"verdicts that differ, {name}", differing, "roads", bar, least=False))
        measures.append(Measure(f"driven lines that differ, {name}", parted, "roads", bar, least=False))
    return measures


def drive_roads(model: str, roads: str, speed_mph: str, length: str) -> None:
    """Drive the random roads of the seeds from 0, and print a line of JSON for each: what is reported, and a digest."""
    from bcclone.tensorflow_quietly import load_tensorflow

    load_tensorflow(threads=1)
    from bcclone.policy import load_policy

    policy = load_policy(model)
    for seed in range(int(roads)):
        settings = EvaluateSettings(
            track=_road(seed, length),
            speed_mph=float(speed_mph),
            world=WorldSettings(most_interventions=1),
        )
        evaluation = evaluate_policy(policy, settings)
        line = ",".join(f"{point.x.hex()} {point.z.hex()}" for point in evaluation.trace)
        score = evaluation.score
        reported = {"ended": evaluation.ended, "interventions": score.interventions, "departures": score.departures}
        print(json.dumps([reported, hashlib.sha256(line.encode()).hexdigest()]), flush=True)


def _road(seed: int, length: str) -> str:
    return f"{PREFIX}{seed}:length={length}"


def _run(
    model: str, settings: VerdictsBenchSettings, values: Mapping[str, str], progress: ProgressBar
) -> list[_Verdict]:
    """Drive all roads in a process with these environment variables."""
    arguments = (model, settings.roads, settings.speed_mph, settings.length)
    with subprocess.Popen(
        [sys.executable, "-c", _DRIVE, *map(str, arguments)],
        env=os.environ | values,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            verdicts = []
            for line in process.stdout:  # type: ignore[union-attr]
                verdicts.append(_Verdict(*json.loads(line)))
                progress.advance(1)
        finally:
            process.kill()
    if len(verdicts) != settings.roads:
        raise UserError(
            f"a run ended after {len(verdicts)} of {settings.roads} roads; does the model drive at all? Try: "
            f"bcclone evaluate {Path(model).name} --in-process --road random:{len(verdicts)}"
        )
    return verdicts
