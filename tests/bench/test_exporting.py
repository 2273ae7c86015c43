"""The benchmark of exports measures each format beside drive.py's network."""

import json

import pytest

from bcclone.export_model import FORMATS
from tests.conftest import run_script


def test_each_format_is_as_exact_as_promised(untrained_model):
    for package in ("onnx", "onnxruntime", "ai_edge_litert"):
        pytest.importorskip(package)
    done = run_script("bench", "export", "--model", untrained_model, "--frames", 4, "--json")
    measures = {measure["name"]: measure for measure in json.loads(done.stdout)["measures"]}
    for name in ("drive.py", *FORMATS):
        assert measures[f"{name}, frame to steering, p50"]["value"] > 0
    assert all(measures[f"{kind}, greatest difference"]["reached"] for kind in FORMATS)
