"""The comparison of training steps measures all of them in one run."""

import pytest

from benchmarks.training import DEFAULT, OURS, RESIDENT, WITHOUT
from tests.benchmarks.running import run_benchmark


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_steps_are_compared_in_one_run():
    report = run_benchmark(
        "training", "--size", 64, "--batch-size", 8, "--rounds", 1, "--seconds", 0.2
    )
    assert {OURS, DEFAULT, WITHOUT} <= set(report["samples_per_second"])
    assert all(rate > 0 for (rate,) in report["samples_per_second"].values())
    ratios = {measure["name"]: measure["value"] for measure in report["measures"]}
    ours, without = (report["samples_per_second"][name][0] for name in (OURS, WITHOUT))
    assert ratios["model.py to without oneDNN"] == pytest.approx(ours / without)
    ways = report["ways"]
    assert ways[RESIDENT]["bytes_a_step"] < ways["step by step"]["bytes_a_step"] / 50
    assert ways["step by step"]["operations"] > 500 > 1 == ways["a program"]["operations"]
    assert ways[RESIDENT]["compilations"] == ways["a program"]["compilations"] == 2
    assert all(way["samples_per_second"] > 0 for way in ways.values())
