"""The benchmark of preprocess.py: its measures, and that it removes its files."""

import tempfile

import h5py
import numpy as np
import pytest

from benchmarks.preprocess import Settings, measure, time_source_conversion
from tests.benchmarks.running import run_benchmark


def images_of_rows(recording, count):
    lines = (recording / "driving_log.csv").read_text().splitlines()
    return [line.split(",")[:3] for line in lines[:count]]


@pytest.mark.slow
def test_a_synthetic_recording_is_measured_and_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    measures = {one.name: one for one in measure(Settings(frames=6, rounds=1), print).measures}
    rates = {name: one.value for name, one in measures.items() if one.unit == "images/s"}
    assert len(rates) == 4
    assert min(rates.values()) > 0
    fastest = max(
        rate for name, rate in rates.items() if name.startswith("decode and resize alone")
    )
    roofline = measures["conversion to the faster decoding alone"]
    assert roofline.value == pytest.approx(rates["conversion to a store"] / fastest)
    assert (roofline.bar, measures["conversion to the source's way"].bar) == (0.85, 5.0)
    assert list(tmp_path.iterdir()) == []


def test_the_source_conversion_stores_each_sample_and_its_mirror_image(
    simulated_recording, tmp_path
):
    assert (
        time_source_conversion(images_of_rows(simulated_recording, 6), tmp_path / "pixels.h5") > 0
    )
    with h5py.File(tmp_path / "pixels.h5") as file:
        stored = file["images"][()]
    assert stored.shape == (sum(min(row, 5) for row in range(1, 7)) * 3 * 2, 128, 128, 3)
    assert (stored[3] == stored[0][:, ::-1]).all()  # three frames and then their mirror images
    assert len(np.unique(stored[:3], axis=0)) == 3


@pytest.mark.slow
@pytest.mark.parametrize(("options", "code"), [((), 0), (("--check-bars",), 1)])
def test_a_missed_bar_is_shown_and_changes_the_exit_code_only_with_check_bars(options, code):
    # too few frames to be fast
    found = run_benchmark("preprocess", "--frames", 3, "--rounds", 1, *options, code=code)
    assert [one["reached"] for one in found["measures"]].count(False) == 2
