"""Networks, model files and policies give the same answers with Keras's other backends, which
training does not use.
"""

import json
import os
from importlib.util import find_spec

import pytest

from bcclone.dataset.preprocessing import Preprocessing
from bcclone.model.model_file import save_model
from bcclone.model.network import build_network
from tests.processes import python
from tests.running import ROOT

ANSWERS = """
import json, sys
from pathlib import Path
import keras
import numpy as np
from bcclone.model.model_file import load_model, save_model
from bcclone.model.network import build_network
from bcclone.model.policy import Policy, load_policy

folder = Path(sys.argv[1])
frames = np.random.default_rng(0).integers(0, 256, (6, 160, 320, 3), np.uint8)
answers = {"backend": keras.backend.backend()}
for name in sys.argv[2:]:
    policy = load_policy(folder / name)
    answers[name] = [policy.answer(frame).steering for frame in frames]
    file = load_model(folder / name)
    copy = folder / f"copy-{keras.backend.backend()}.h5"
    save_model(copy, file.model, file.preprocessing)
    again = load_policy(copy).answer(frames[0]).steering
    answers[f"{name}, written again"] = [again]
answers["parameters"] = build_network().count_params()
print(json.dumps(answers))
"""


def answers_of(backend, folder, names):
    environment = os.environ | {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    return json.loads(python(ANSWERS, folder, *names, env=environment, cwd=ROOT).splitlines()[-1])


@pytest.mark.long
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_answers_are_the_same_with_another_backend(tmp_path, backend):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed; pip install {backend}")
    (tmp_path / "cnn.h5").write_bytes((ROOT / "models" / "lake.h5").read_bytes())
    for network in ("gru", "lstm"):
        save_model(
            tmp_path / f"{network}.h5",
            build_network(seq_length=3, network=network),
            Preprocessing(),
        )
    save_model(tmp_path / "windows.h5", build_network(seq_length=3), Preprocessing())
    names = ("cnn.h5", "windows.h5", "gru.h5", "lstm.h5")
    ours, theirs = (answers_of(which, tmp_path, names) for which in ("tensorflow", backend))
    assert (ours.pop("backend"), theirs.pop("backend")) == ("tensorflow", backend)
    assert theirs.keys() == ours.keys()
    for name, answers in ours.items():
        assert theirs[name] == pytest.approx(answers, abs=1e-5)
