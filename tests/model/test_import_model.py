"""Older models are converted to bcclone models, or driven directly, with a named preprocessing."""

import json

import numpy as np
import pytest

from bcclone.cli import run
from bcclone.dataset.preprocessing import PRESETS
from bcclone.model.model_file import load_model
from tests.model.foreign.old_models import expected_output, images, keras1_config, write
from tests.running import ROOT

YUV = "nvidia-66x200-yuv"
KEPT = ROOT / "tests" / "model" / "foreign" / "keras2"


@pytest.fixture
def old(tmp_path):
    return write(tmp_path / "old.h5", keras1_config())


@pytest.fixture
def import_model(capsys):
    """Run the command in this process, which has TensorFlow already; return exit code, output and
    complaint.
    """

    def imported(*line):
        code = run("import-model", ["bcclone", "import-model"], [*map(str, line)])
        return code, *capsys.readouterr()

    return imported


def test_an_imported_model_states_its_preprocessing(import_model, old, tmp_path):
    new = tmp_path / "model.h5"
    code, out, _ = import_model(old, "-o", new, "--preprocess", YUV, "--json")
    result = json.loads(out)
    assert code == 0
    assert result["layers"][0] == {"name": "lambda_1", "kind": "Lambda", "now": "Rescaling"}
    assert (result["input_shape"], result["preprocessing"]) == (
        [66, 200, 3],
        PRESETS[YUV].describe(),
    )
    loaded = load_model(new)
    assert loaded.preprocessing == PRESETS[YUV]
    assert loaded.training.imported["notes"] == result["notes"]
    np.testing.assert_allclose(
        loaded.model(images().astype("float32"))[:, 0], expected_output(), atol=1e-5
    )
    for line, expected in (
        ((old, "-o", new), "exists already"),
        ((new, "-o", tmp_path / "x.h5"), "bcclone model already"),
    ):
        code, _, complaint = import_model(*line, "--preprocess", YUV)
        assert code == 1
        assert expected in complaint
    assert import_model(old, "-o", new, "--preprocess", YUV, "--force")[0] == 0


def test_a_lambda_that_is_not_recognised_is_stated_by_its_formula(import_model, tmp_path):
    old = tmp_path / "old.h5"
    new = tmp_path / "model.h5"
    config = keras1_config()
    config["config"][0]["config"] |= {"function": "normalize", "function_type": "function"}
    write(old, config)
    code, _, complaint = import_model(old, "-o", new, "--preprocess", YUV)
    assert code == 1
    assert "layer 'lambda_1' (Lambda): calls the function 'normalize'" in complaint
    assert "--rescale 'x / 127.5 - 1'" in complaint
    code, _, complaint = import_model(old, "-o", new, "--preprocess", YUV, "--rescale", "1 - y")
    assert code == 1
    assert "--rescale '1 - y', expected" in complaint
    assert import_model(old, "-o", new, "--preprocess", YUV, "--rescale", "x / 127.5 - 1")[0] == 0
    loaded = load_model(new)
    np.testing.assert_allclose(
        loaded.model(images().astype("float32"))[:, 0], expected_output(), atol=1e-5
    )
    code, _, complaint = import_model(KEPT / "lstm.keras", "--preprocess", YUV, "--rescale", "raw")
    assert code == 1
    assert "has 0 Lambda layers that are not recognised, expected 1" in complaint


def test_the_layers_are_printed_before_the_preprocessing_is_required(import_model, old, tmp_path):
    code, out, printed = import_model(old, "-o", tmp_path / "model.h5")
    assert (code, out) == (1, "")
    description, _, complaint = printed.partition("error: ")
    for part in ("Lambda -> Rescaling", "its input: 66 x 200 x 3", "x * 0.00784314 -1"):
        assert part in description
    assert f"--preprocess {YUV}" in complaint
    assert not (tmp_path / "model.h5").exists()


@pytest.mark.parametrize(
    ("output", "expected"),
    [("model.keras", "must end in .h5"), ("old.h5", "is an input of this command")],
)
def test_an_output_that_is_no_model_or_the_model_itself_is_refused(
    import_model, old, output, expected
):
    code, _, complaint = import_model(old, "-o", old.with_name(output), "--force")
    assert code == 1
    assert expected in complaint
