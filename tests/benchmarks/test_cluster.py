"""Benchmark "cluster": estimates against results by hand, plans, and a small measurement of everything."""

import json

import pytest

from bcclone.system.errors import UserError
from benchmarks.cluster import plan
from benchmarks.cluster.phases import DrivingSize, estimate_epoch, estimate_preprocessing, fraction_near
from benchmarks.cluster.plan_settings import Rates
from benchmarks.cluster.sharding import Run, ShardingRates
from benchmarks.cluster.steps import StepRates
from tests.benchmarks.running import run_benchmark

HOUR = DrivingSize(
    rows=1000, images=1000, shards=10, image_bytes=10e9, store_bytes=40e9, training_samples=8000
)  # 1 GB of images and 4 GB of frames a shard
RATES = Rates(image_rate=10.0, row_ms=1.0, row_bytes=1000.0, shard_ms=0.0, open_ms=1.0, training_rate=100.0, step_ms=0)


def settings(**changed):
    values = {"hours": 1, "cores": 1, "disk_mb": 1000, "network_gbit": 8, "storage_gbit": 16, "window_shards": 1}
    return plan.Settings(**{**values, **changed})


def test_the_size_of_an_hour_of_driving():
    size = DrivingSize.of(1, shard_mb=256)
    assert (size.rows, size.images) == (54_000, 162_000)
    assert size.store_bytes == 162_000 * 128 * 128 * 3
    assert size.shards == 32


def test_one_worker_reads_decodes_and_writes_each_shard():
    # 10 shards: 1 s to read, 10 s to decode and 4 s to write each
    phase = estimate_preprocessing(settings(), RATES, HOUR)
    assert phase.seconds == pytest.approx(150)
    assert phase.busy == pytest.approx({"disks": 50 / 150, "cores": 100 / 150})
    assert phase.bottleneck == "cores"


def test_a_disk_that_all_cores_share_is_the_bottleneck():
    phase = estimate_preprocessing(settings(cores=10), RATES, HOUR)
    # 5 s of the disk for each shard, while the first shards are decoded
    assert phase.bottleneck == "disks"
    assert 50 <= phase.seconds <= 60


def test_machines_share_the_storage():
    # each machine moves 5 GB a shard at 1 GB/s; the storage serves 2 GB/s to both
    phase = estimate_preprocessing(settings(machines=2), RATES, HOUR)
    assert phase.seconds == pytest.approx(75)
    assert phase.busy["networks"] == pytest.approx(25 / 75)
    assert phase.busy["storage"] == pytest.approx(25 / 75)


def test_the_scheduler_limits_very_many_workers():
    slow = Rates(**{**vars(RATES), "shard_ms": 20_000.0})
    phase = estimate_preprocessing(settings(machines=10, storage_gbit=1e6), slow, HOUR)
    assert phase.bottleneck == "scheduler"
    assert phase.seconds == pytest.approx(200 + 1 + 10 + 4, abs=0.1)  # the last shard, after all were sent


def test_an_epoch_reads_ahead_while_it_trains():
    # windows of 4 GB: 4 s to read, 8 s to train on
    phase = estimate_epoch(settings(), RATES, HOUR, near=0)
    assert phase.seconds == pytest.approx(4 + 10 * 8)
    assert phase.busy == pytest.approx({"disks": 40 / 84, "training": 80 / 84})


def test_each_machine_reads_its_stream():
    # 5 windows of 4 GB for each of 2 machines: 4 s by its network, 1 GB/s of the storage's 2, then 8 s of training
    phase = estimate_epoch(settings(machines=2), RATES, HOUR, near=0)
    assert phase.bottleneck == "training"
    assert phase.seconds == pytest.approx(4 + 5 * 8, abs=0.1)
    assert phase.busy["storage"] == pytest.approx(20 / phase.seconds)


def test_with_one_stream_every_machine_reads_the_whole_store():
    # 40 GB for each of 4 machines, from 2 GB/s: 8 s for a window of all, and 2 s of training
    phase = estimate_epoch(settings(machines=4, window_streams=1), RATES, HOUR, near=0)
    assert phase.bottleneck == "storage"
    assert phase.seconds == pytest.approx(10 * 8 + 2, abs=4.0)


def test_what_is_in_the_cache_does_not_come_from_the_storage():
    half = estimate_epoch(settings(machines=2), RATES, HOUR, near=0.5)
    assert half.busy["storage"] == pytest.approx(10 / half.seconds)
    near = estimate_epoch(settings(machines=4, memory_gb=39), RATES, HOUR, near=1)
    assert set(near.busy) == {"disks", "training", "gradients"}
    kept = estimate_epoch(settings(memory_gb=40), RATES, HOUR, near=1)
    assert kept.seconds == pytest.approx(80)
    assert kept.busy == pytest.approx({"training": 1.0})


def test_the_cache_fills_with_the_streams_of_the_epochs():
    fractions = [fraction_near(settings(machines=2, cache_gb=30), HOUR, epoch) for epoch in (1, 2, 3, 4)]
    assert fractions == pytest.approx([0, 0.5, 0.75, 0.75])


def test_the_storage_serves_every_machine_all_shards_of_one_stream():
    size = DrivingSize.of(1000, shard_mb=256)
    slow = settings(machines=100, window_streams=1, storage_gbit=800, machine_rate=1e6)
    expected = 100 * size.store_bytes / 100e9
    assert estimate_epoch(slow, RATES, size, near=0).seconds == pytest.approx(expected, rel=0.02)


def test_a_plan_adds_its_phases_and_says_what_does_not_fit():
    wanted = settings(hours=100, machines=2, price=3.0, epochs=2, memory_gb=4)
    report = plan.measure(wanted)
    values = report.as_json()
    assert values["seconds"] == pytest.approx(sum(phase["seconds"] for phase in values["phases"]), abs=0.5)
    assert values["cost"] == pytest.approx(2 * 3.0 * values["seconds"] / 3600, abs=0.01)
    assert values["phases"][0]["seconds"] == pytest.approx(5_400_000 * Rates().row_ms / 1000, abs=0.1)
    assert not report.is_good
    assert [measure.name for measure in report.measures if not measure.reached] == [
        "memory of the command that starts preprocessing"
    ]
    assert any(row.endswith("MISSED") for row in report.to_rows())
    assert values == plan.measure(wanted).as_json()


def test_a_plan_takes_its_rates_from_a_measurement(tmp_path):
    (tmp_path / "cluster.json").write_text(json.dumps({"rates": {"image_rate": 5.0, "row_ms": 2.0}}))
    rates = settings(rates=tmp_path / "cluster.json", training_rate=7.0).chosen_rates()
    assert (rates.image_rate, rates.row_ms, rates.training_rate, rates.open_ms) == (5.0, 2.0, 7.0, Rates().open_ms)


@pytest.mark.parametrize("content", ["{}", "[]", "", '{"rates": {"speed": 1}}', '{"rates": {"image_rate": 0}}'])
def test_a_file_without_rates_is_refused(tmp_path, content):
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(UserError, match=r"other.json: no rates.*benchmarks cluster --json"):
        settings(rates=tmp_path / "other.json").chosen_rates()


def test_workers_are_compared_round_by_round():
    def runs(*seconds):
        return [Run(each, core_seconds=each, others=0.5) for each in seconds]

    written = {
        "1 process": runs(10.0, 20.0),
        "2 processes": runs(5.0, 10.0),
        "1 Dask worker": runs(11.0, 21.0),
        "2 Dask workers": runs(6.0, 12.0),
    }
    rates = ShardingRates(1000, 10, 0.05, 4e6, 1e5, written, {name: runs(1.0, 1.0) for name in written})
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
def test_the_command_measures_everything_and_its_result_makes_a_plan(tmp_path):
    options = ("--frames", 300, "--rounds", 1, "--seconds", 0.1)
    done = run_benchmark("cluster", *options, "--json")
    (tmp_path / "cluster.json").write_text(done.stdout)
    found = json.loads(done.stdout)
    assert set(found["rounds"]) == {"1 process", "2 processes", "1 Dask worker", "2 Dask workers"}
    assert found["feeds"]["sharded"]["hdf5-shuffle-sharded"]["samples_per_second"] > 0
    assert {"cores", "load", "free_cores", "rates"} <= set(found)
    assert found["rates"]["training_rate"] > 0
    planned = run_benchmark("plan", "--hours", 10, "--machines", 2, "--rates", tmp_path / "cluster.json", "--json")
    assert found["rates"].items() <= json.loads(planned.stdout)["rates"].items()
