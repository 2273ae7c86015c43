"""Benchmark "cluster": how its figures follow from its rounds, and a small measurement of
everything.
"""

import pytest

from benchmarks.cluster import Run, sharding_measures, step_measures
from tests.benchmarks.running import run_benchmark


def test_workers_are_compared_round_by_round():
    def runs(*seconds):
        return [Run(each, others=0.5) for each in seconds]

    written = {
        "1 process": runs(10.0, 20.0),
        "2 processes": runs(5.0, 10.0),
        "1 Dask worker": runs(11.0, 21.0),
        "2 Dask workers": runs(6.0, 12.0),
    }
    empty = {name: runs(1.0, 1.0) for name in written}
    measures = {measure.name: measure for measure in sharding_measures(written, empty, 1000, 10)}
    assert (measures["2 processes to 1"].value, measures["2 processes to 1"].bar) == (2.0, 1.7)
    assert measures["a shard by Dask, beyond a process"].value == pytest.approx(100.0)
    assert measures["an empty task, 1 Dask worker"].value == pytest.approx(2.0)


def test_the_cost_of_a_step_is_the_difference_for_the_same_batch():
    measures = {
        measure.name: measure.value for measure in step_measures([640.0, 640.0], [320.0, 320.0])
    }
    assert measures["two workers to one"] == 0.5
    assert measures["a step of two workers, beyond one"] == pytest.approx(100.0)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_command_measures_everything():
    found = run_benchmark("cluster", "--frames", 300, "--rounds", 1, "--seconds", 0.1)
    assert set(found["rounds"]) == {"1 process", "2 processes", "1 Dask worker", "2 Dask workers"}
    assert found["feeds"]["sharded"]["hdf5-shuffle-sharded"]["samples_per_second"] > 0
    assert {"cores", "load", "free_cores"} <= set(found)
    assert {measure["name"]: measure["value"] for measure in found["measures"]}[
        "training, one worker"
    ] > 0
