"""The comparison of networks: its variants of cnn, and models that are trained, replayed and
driven.
"""

import pytest

from bcclone.model.network import build_network
from benchmarks.networks import build_variant
from tests.benchmarks.running import run_benchmark


@pytest.mark.parametrize(
    ("name", "parameters", "last_maps"),
    [
        ("no-conv4-5", 446_779, (6, 13)),
        ("padded", 636_219, (6, 13)),
        ("fewer-strides", 1_212_219, (8, 21)),
    ],
)
def test_variants_differ_from_the_default_network_in_their_convolutions_only(
    name, parameters, last_maps
):
    plain = build_network(network="cnn")
    variant = build_variant(name)
    assert variant.count_params() == parameters
    maps = [layer.output.shape[1:3] for layer in variant.layers if layer.name.startswith("conv")]
    assert maps[-1] == last_maps
    others = [layer.name for layer in variant.layers if not layer.name.startswith("conv")]
    assert others == [layer.name for layer in plain.layers if not layer.name.startswith("conv")]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_variant_is_trained_and_drives_and_is_kept(simulated_recording, tmp_path):
    line = (
        "networks",
        "--only",
        "padded",
        "--recording",
        simulated_recording,
        "--epochs",
        1,
        "--laps",
        0.02,
    )
    first = run_benchmark(*line, "--folder", tmp_path)
    model = first["models"]["padded-0"]
    assert (model["network"], model["seed"], model["parameters"]) == ("padded", 0, 636_219)
    assert set(model["rows"]) == {"lake-30", "lake-reverse-30", "latency-200", "no-lines"}
    written = (tmp_path / "padded-0.json").stat().st_mtime_ns
    assert run_benchmark(*line, "--folder", tmp_path)["models"] == first["models"]
    assert (tmp_path / "padded-0.json").stat().st_mtime_ns == written
