"""The simulator gives the same bytes whatever code the libraries choose for the processor at hand.

Each library can be told to use the code of an older processor, so one machine can stand for
several.
"""

import json
import os
import re

import pytest

from tests.processes import python
from tests.running import ROOT

OLD_LIBRARIES = {  # what makes each library use the code for a processor without AVX
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    "OPENCV_CPU_DISABLE": "AVX2,FMA3,FP16,AVX,AVX512-SKX",
    "OPENCV_IPP": "disabled",
    "OPENBLAS_CORETYPE": "Nehalem",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F,-AVX512VL,-FMA4,-AVX",
    "NUMBA_CPU_NAME": "generic",
}

DRIVE = """
import hashlib, json
from bcclone.simulator.car import TrackedCar
from bcclone.simulator.expert import Expert
from bcclone.simulator.render import Renderer
from bcclone.simulator.world_settings import Conditions, ExpertSettings
from bcclone.simulator.track import load_track

digests = {}
for name, along_m, conditions in (
    ("lake", 600.0, Conditions(texture_seed=3, camera_pitch=2.0, color_seed=5)),
    ("mountain", 600.0, Conditions(texture_seed=3, camera_pitch=2.0, color_seed=5)),
    ("random:4:hills=30,surroundings=rock", 50.0, Conditions(rain=0.5, night=0.6, fog=3.0)),
    (
        "random:5:shape=winding,length=300,surroundings=water",
        50.0,
        Conditions(snow=0.7, sun_elevation=12.0),
    ),
):
    track, renderer = load_track(name), Renderer(name, conditions)
    tracked = TrackedCar(track, along_m=along_m, ground_height=renderer.scene.ground.height_at)
    expert, frames = Expert(track, ExpertSettings(), seed=5), hashlib.sha256()
    for step in range(600):
        tracked.car.control(*expert.control(tracked.car, tracked.position))
        tracked.step()
        if step % 60 == 0:
            for camera in ("center", "left"):
                frames.update(renderer.frame(tracked.car, camera, seconds=step * 0.02))
            view = renderer.view(tracked.car, seconds=step * 0.02)
            frames.update(view.labels)
            frames.update(view.depths_m)
    car = tracked.car
    values = (car.x, car.y, car.z, car.heading, car.pitch)
    digests[name] = [frames.hexdigest(), [value.hex() for value in values]]
print(json.dumps(digests))
"""


def test_no_module_of_the_simulator_computes_with_functions_of_the_c_library():
    """They round as the processor at hand does; system/exact_math.py has others."""
    of_c = re.compile(
        r"\b(?:math|np)\.(?:a?sin|a?cos|a?tan2?|arc\w+|exp\w*|log|pow|power)\(|^from math",
        re.MULTILINE,
    )
    sources = (ROOT / "bcclone" / "simulator").rglob("*.py")
    assert [path.name for path in sources if of_c.search(path.read_text(encoding="utf-8"))] == []


@pytest.fixture(scope="module")
def here():
    return digests({})


def digests(environment):
    return json.loads(python(DRIVE, env=os.environ | environment))


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "environment",
    [
        OLD_LIBRARIES,
        *({name: value} for name, value in OLD_LIBRARIES.items()),
        *({"NUMBA_CPU_NAME": processor} for processor in ("haswell", "skylake-avx512", "znver3")),
    ],
    ids=lambda environment: " ".join(environment) if len(environment) == 1 else "all of them",
)
def test_drives_and_frames_are_the_same_with_code_for_another_processor(here, environment):
    assert digests(environment) == here
