"""The ways from a recording to a model are compared by whole commands."""

import pytest

from tests.benchmarks.running import run_benchmark


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_store_and_the_files_are_compared_by_whole_commands(simulated_recording):
    report = run_benchmark(
        "waits", "--recording", simulated_recording, "--rounds", 1, "--epochs", 1
    )
    measured = {measure["name"]: measure["value"] for measure in report["measures"]}
    made, from_store, from_files, training, whole = measured.values()
    assert min(made, from_store, from_files) > 0.1
    assert training == pytest.approx(from_store / from_files)
    assert whole == pytest.approx((made + from_store) / from_files)
