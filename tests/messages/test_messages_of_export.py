"""export: what cannot be written, and which package is missing."""

import sys

import pytest

from bcclone.lab.export_model.export_settings import ExportModelSettings
from bcclone.lab.export_model.model_export import export_model
from bcclone.system.errors import UserError


@pytest.mark.parametrize(
    ("kind", "ending", "package", "extra"),
    [("onnx", ".onnx", "onnxruntime", "onnx"), ("donkeycar", ".tflite", "ai_edge_litert.interpreter", "litert")],
)  # fmt: skip
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    untrained_model, kind, ending, package, extra, tmp_path, monkeypatch
):
    for needed in ("tf2onnx", "onnxruntime") if kind == "onnx" else ():
        if needed != package:
            pytest.importorskip(needed)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"{package.split('.')[0]}.* pip install 'bcclone\[{extra}\]'"):
        export_model(ExportModelSettings(untrained_model, kind, tmp_path / f"model{ending}"))
    assert not list(tmp_path.iterdir())
