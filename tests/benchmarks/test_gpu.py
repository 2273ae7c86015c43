"""Training on each feed while the GPU is watched: figures and table, with a GPU and without."""

import json
import sys
from functools import partial

import pytest

from benchmarks.feeds.gpu_watch import GpuSample
from benchmarks.feeds.training import (
    AFTER,
    BEFORE,
    FEEDS,
    TrainingLoad,
    load_rows,
    loads_as_json,
    train_watched,
    training_measures,
)
from benchmarks.rounds import Rounds, run_rounds
from benchmarks.synthetic import draw_recording, make_synthetic_store
from tests.benchmarks.running import run_benchmark

ON_GPU = TrainingLoad(
    "GPU NVIDIA H200 (compute capability 9.0)", 52_000.0, 0.01, 0.2, 0.95, 2100.0,
    (GpuSample(0.1, 0.9, 2000.0), GpuSample(0.3, None, None), GpuSample(0.5, 1.0, 2100.0)),
)  # fmt: skip
ON_CPU = TrainingLoad("CPU", 1_000.0, 0.4, 0.9)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    return make_synthetic_store(draw_recording(folder / "recording", 90), folder / "data.h5")


def test_the_json_has_the_series_and_null_where_nothing_was_measured():
    with_gpu = json.loads(json.dumps(loads_as_json(Rounds({AFTER: [ON_GPU]}), 256, 1.0), allow_nan=False))
    assert with_gpu["feeds"][AFTER]["gpu_share"] == 0.95
    assert with_gpu["feeds"][AFTER]["gpu_series"] == [[0.1, 0.9, 2000.0], [0.3, None, None], [0.5, 1.0, 2100.0]]
    on_cpu = Rounds({AFTER: [ON_CPU]}, {"files": "gone"})
    without = json.loads(json.dumps(loads_as_json(on_cpu, 32, 1.0), allow_nan=False))
    assert without["feeds"][AFTER]["gpu_share"] is None
    assert without["feeds"][AFTER]["gpu_memory_mb"] is None
    assert without["feeds"][AFTER]["gpu_series"] == []
    assert without["feeds"][AFTER]["data_wait_share"] == 0.4
    assert without["skipped"] == {"files": "gone"}


def test_the_table_reports_a_missing_gpu():
    without, with_gpu = (load_rows(Rounds({AFTER: [load]}), 32) for load in (ON_CPU, ON_GPU))
    assert any("no GPU" in row for row in without)
    assert without[-1].split()[-1] == "-"
    assert not any("no GPU" in row for row in with_gpu)
    assert with_gpu[-1].split()[-2:] == ["95%", "2,100"]


def test_trainings_are_compared_round_by_round():
    rates = [[900.0, 90.0], [1000.0, 100.0], [1100.0, 110.0]]
    loads = [[TrainingLoad("CPU", rate, 0.01, 0.9) for rate in of_rounds] for of_rounds in rates]
    measures = {measure.name.partition(", ")[0]: measure for measure in training_measures(loads, "batches of 32")}
    assert measures["with augmentation to without"].value == pytest.approx(90.0)
    assert measures["without augmentation to train_on_batch"].value == pytest.approx(100 / 1.1)
    assert measures["waiting for data"].value == pytest.approx(1.0)
    assert measures["waiting for data"].reached


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
def test_training_without_a_gpu_is_measured_whatever_nvidia_smi_says(store, tmp_path, monkeypatch):
    fake = tmp_path / "nvidia-smi"
    fake.write_text("#!/bin/sh\necho '2026/11/21 15:21:08.250, 99, 612'\nexec sleep 60\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    loads = run_rounds([BEFORE], partial(train_watched, store=store, seconds=0.5, batch_size=8), 1)
    ((load,),) = loads.results.values()
    assert load.samples_per_second > 0
    assert 0 <= load.data_wait_share <= 1
    assert (load.gpu_series, load.gpu_share, load.gpu_memory_mb) == ((), None, None)
    assert load.device == "CPU"


@pytest.mark.long
def test_the_command_trains_on_every_feed(store):
    done = run_benchmark("feeds", "--store", store, "--seconds", 0.2, "--only", "gpu", "--json")
    printed = json.loads(done.stdout)
    assert set(printed["gpu"]["feeds"]) == set(FEEDS)
    assert printed["strategies"] == {}
