"""python -m benchmarks feeds: the figures of the rounds, the report, and a small benchmark of every
kind of loader.
"""

import mmap
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bcclone import UserError, open_store
from bcclone.recording.files import UNFINISHED
from benchmarks.feeds.loaders import (
    SHARDED,
    loader_measures,
    measure_loader,
    result_rows,
    results_as_json,
)
from benchmarks.feeds.meter import Benchmark, LoaderFigures, Meter, Timing
from benchmarks.measures import Report
from benchmarks.rounds import Rounds, Unavailable, in_fresh_process, run_rounds
from benchmarks.synthetic import (
    draw_recording,
    make_synthetic_store,
    number_of_shards,
    sharded_copy,
)
from tests.benchmarks.running import run_benchmark

SHORT = Timing(warm_samples=1, warm_seconds=0.0, seconds=0.01)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """A store made of a synthetic recording of 60 frames."""
    folder = tmp_path_factory.mktemp("synthetic")
    recording = draw_recording(folder / "recording", 60)
    assert not (recording / UNFINISHED).exists()  # else each loader is told that it ended early
    return make_synthetic_store(recording, folder / "data.h5")


def figures(rate):
    return LoaderFigures(
        rate, 0.1, resident_mb=50.0, anonymous_mb=20.0, cpu_share=0.5, others_cpu_share=0.0
    )


def results(**rates):
    return Rounds(
        {
            name.replace("_", "-"): [figures(rate) for rate in several]
            for name, several in rates.items()
        }
    )


def test_the_fastest_feed_is_compared_with_the_best_loader_that_decodes():
    rates = {
        "gather": 100_000.0,
        "hdf5_shuffle": 40_000.0,
        "torch_jpeg": 1e3,
        "tf_data_jpeg": 2.5e3,
    }
    benchmark = results(**{name: [rate] for name, rate in rates.items()})
    measures = {
        measure.name: (measure.value, measure.reached) for measure in loader_measures(benchmark)
    }
    assert measures == {
        "hdf5-shuffle to one thread's gather": (pytest.approx(40.0), False),
        "hdf5-shuffle to tf-data-jpeg": (pytest.approx(16.0), False),
    }


def test_a_feed_on_shards_is_compared_with_itself_on_one_file():
    benchmark = results(
        hdf5_shuffle=[40_000.0], hdf5_shuffle_sharded=[38_000.0], shards_sharded=[50_000.0]
    )
    (measure,) = loader_measures(benchmark)
    assert (measure.name, measure.value, measure.bar) == (
        "hdf5-shuffle-sharded to hdf5-shuffle",
        0.95,
        0.9,
    )
    assert set(results_as_json(benchmark)["sharded"]) == {"hdf5-shuffle-sharded", "shards-sharded"}


def test_a_skipped_loader_has_no_measures_and_no_figures():
    benchmark = replace(
        results(hdf5_shuffle=[40_000.0]), skipped={"torch-jpeg": "torch is not installed"}
    )
    assert list(loader_measures(benchmark)) == []
    found = results_as_json(benchmark)
    assert (found["alternatives"], found["rooflines"]) == ({}, {})
    assert found["skipped"] == {"torch-jpeg": "torch is not installed"}
    keys = {"samples_per_second", "first_batch_seconds", "resident_mb", "cpu_share"}
    assert keys <= set(found["strategies"]["hdf5-shuffle"])
    assert "skipped: torch-jpeg: torch is not installed" in result_rows(benchmark)


@pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="only Linux reports which memory is shared"
)
def test_a_meter_measures_the_memory_of_a_loader():
    meter = Meter(Timing(warm_samples=1, seconds=0.0))
    # new memory, whatever was freed before
    memory = mmap.mmap(-1, 50_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    on_batch = np.frombuffer(memory, np.uint8)
    on_batch[:] = 1
    while meter.take(1):
        pass
    assert len(on_batch) / 1e6 <= meter.figures().anonymous_mb < 60


@pytest.mark.slow
def test_synthetic_frames_are_distinct_and_their_samples_are_mirrored_too(synthetic):
    with open_store(synthetic) as store:
        assert len(np.unique(np.asarray(store.frames).reshape(60, -1), axis=0)) == 60
        assert len(store.samples) == 120
        assert store.samples["flipped"].sum() == 60


@pytest.mark.parametrize(
    "name", ["gather", "decode", "hdf5-shuffle", "files", "sequence", "python-generator"]
)
def test_loaders_deliver_from_the_synthetic_store(synthetic, name):
    measured = measure_loader(name, Benchmark(synthetic, workers=1, batch_size=8), SHORT)
    assert measured.samples_per_second > 0


def test_a_fresh_process_returns_the_result_or_raises_the_error_or_reports_its_death():
    assert in_fresh_process(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        in_fresh_process(divmod, 7, 0)
    with pytest.raises(UserError, match="worker process ended unexpectedly"):
        in_fresh_process(os._exit, 3)


def test_a_loader_that_fails_is_reported_and_left_out(tmp_path):
    notices = []
    load = partial(
        measure_loader, benchmark=Benchmark(tmp_path / "none.h5", workers=1), timing=SHORT
    )
    benchmark = run_rounds(["gather"], load, rounds=2, notify=notices.append)
    assert "no such store" in benchmark.failed["gather"]
    assert len(notices) == 1
    report = Report(failed=benchmark.failed)
    assert report.to_rows()[-1].startswith("FAILED: gather: ")
    assert not report.is_good


@pytest.mark.slow
def test_feeds_deliver_from_a_sharded_copy_which_has_the_content_of_the_store(synthetic):
    with sharded_copy(synthetic, shards=2) as shards:
        assert number_of_shards(shards) == 2
        with open_store(synthetic) as store, open_store(shards) as copy:
            assert (copy.samples == store.samples).all()
            assert (copy.frames[:] == store.frames[:]).all()
        for name in SHARDED:
            assert (
                measure_loader(
                    name, Benchmark(synthetic, workers=1, shards=shards), SHORT
                ).samples_per_second
                > 0
            )
            with pytest.raises(Unavailable, match="--shards"):
                measure_loader(name, Benchmark(synthetic, workers=1), SHORT)


@pytest.mark.long
def test_the_command_gives_strategies_alternatives_and_rooflines(synthetic):
    groups = {
        "strategies": "hdf5-shuffle",
        "sharded": "hdf5-shuffle-sharded",
        "alternatives": "python-generator",
    }
    options = ("--store", synthetic, "--rounds", 1, "--seconds", 0.1, "--shards", 2)
    found = run_benchmark("feeds", *options, "--only", ",".join([*groups.values(), "gather"]))
    assert {group: list(found[group]) for group in groups} == {
        group: [name] for group, name in groups.items()
    }
    assert (found["shards"], list(found["rooflines"])) == (2, ["gather"])
    assert found["measures"][0]["bar"] == 70.0
