"""The benchmark soak: a drive that is disturbed loses no answer, and its recording stays whole."""

import json

import pytest

from benchmarks.driving import RoundTrips
from tests.benchmarks.running import run_benchmark


def measured(*line):
    done = run_benchmark("soak", *line, "--json")
    return {measure["name"]: measure for measure in json.loads(done.stdout)["measures"]}, done.stderr


@pytest.mark.parametrize("values", [{"count": 0}, {"count": 1, "loops": 0}, {"count": 1, "rate": -1.0}])
def test_impossible_round_trips_are_refused(values):
    with pytest.raises(ValueError, match="expected 1 or more"):
        RoundTrips(**values)


@pytest.mark.long
def test_a_drive_that_is_cut_and_watched_loses_no_answer(tmp_path):
    line = ("--minutes", 0.4, "--pages", 1, "--reconnect", 1, "--record", tmp_path, "--async-mode", "eventlet")
    found, _ = measured(*line)
    assert found["frames answered"]["value"] > 24 * 30 * 0.5
    assert found["answers lost"]["value"] == 0
    assert found["connections cut after a telemetry"]["value"] >= 12
    assert found["rows recorded"]["value"] > found["frames answered"]["value"] * 0.9
    assert found["rows that cannot be used"]["value"] == 0
