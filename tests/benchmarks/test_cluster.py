"""Benchmark "cluster": how its figures follow from its rounds, and a small measurement of everything."""

import json

import pytest

from benchmarks.cluster.sharding import Run, ShardingRates
from benchmarks.cluster.steps import StepRates
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
    rates = ShardingRates(1000, 10, 0.05, written, {name: runs(1.0, 1.0) for name in written})
    measures = {measure.name: measure for measure in rates.measures()}
    assert (measures["2 processes to 1"].value, measures["2 processes to 1"].bar) == (2.0, 1.7)
    assert measures["a shard by Dask, beyond a process"].value == pytest.approx(100.0)
    assert measures["an empty task, 1 Dask worker"].value == pytest.approx(2.0)
    assert rates.others == 0.5


def test_the_cost_of_a_step_is_the_difference_for_the_same_batch():
    rates = StepRates(alone=[640.0, 640.0], together=[320.0, 320.0])
    assert rates.step_milliseconds == pytest.approx(100.0)
    assert {measure.name: measure.value for measure in rates.measures()}["two workers to one"] == 0.5


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_command_measures_everything():
    done = run_benchmark("cluster", "--frames", 300, "--rounds", 1, "--seconds", 0.1, "--json")
    found = json.loads(done.stdout)
    assert set(found["rounds"]) == {"1 process", "2 processes", "1 Dask worker", "2 Dask workers"}
    assert found["feeds"]["sharded"]["hdf5-shuffle-sharded"]["samples_per_second"] > 0
    assert {"cores", "load", "free_cores"} <= set(found)
    assert {measure["name"]: measure["value"] for measure in found["measures"]}["training, one worker"] > 0
