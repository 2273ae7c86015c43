"""docs/how-to/keras-fit.md: each network of the page is trained, and drives as Keras says."""

import re
import shutil

import keras
import numpy as np
import pytest

from bcclone.model.model_file import load_model
from bcclone.model.policy import load_policy
from tests.running import ROOT

PAGE = ROOT / "docs" / "how-to" / "keras-fit.md"
FRAME = np.random.default_rng(0).integers(0, 256, (160, 320, 3), np.uint8)


def programs():
    """Return the page's program, and the same with the network of the source design."""
    whole, network, *_ = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    begin, rest = re.split(r"^network = .*?^network.compile.*?$", whole, flags=re.DOTALL | re.M)
    return whole, begin + network + rest


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1], ids=["its own", "source design"])
def test_the_network_of_the_page_is_trained_and_drives(
    number, simulated_store, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copy(simulated_store, "data.h5")
    names = {}
    exec(compile(programs()[number], str(PAGE), "exec"), names)
    network = names["network"]
    # images as the network sees them
    image = load_model(tmp_path / "mine.h5").preprocessing.apply(FRAME)[np.newaxis]
    answer = float(network.predict(image, verbose=0)[0, 0])
    assert load_policy(tmp_path / "mine.h5").answer(FRAME).steering == pytest.approx(answer)
    opened = keras.models.load_model("mine.h5", safe_mode=not number)
    assert float(opened.predict(image, verbose=0)[0, 0]) == pytest.approx(answer)
    if number:
        assert isinstance(network.layers[0], keras.layers.Lambda)
        assert network.count_params() == 252_219
        with pytest.raises(ValueError, match="safe_mode"):
            keras.models.load_model("mine.h5")
