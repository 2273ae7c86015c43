"""Training on each feed while the GPU is watched: figures and table, with a GPU, without one and
with a fake one.
"""

import sys
import time
from datetime import datetime
from functools import partial

import psutil
import pytest

from benchmarks.feeds.training import (
    AFTER,
    BEFORE,
    FEEDS,
    GpuSample,
    GpuWatch,
    TrainingLoad,
    busy_and_memory,
    load_rows,
    loads_as_json,
    parse_samples,
    train_watched,
    training_measures,
)
from benchmarks.rounds import Rounds, run_rounds
from benchmarks.synthetic import draw_recording, make_synthetic_store
from tests.benchmarks.running import run_benchmark
from tests.processes import wait_for

ON_GPU = TrainingLoad(
    "GPU NVIDIA H200 (compute capability 9.0)", 52_000.0, 0.01, 0.2, 0.95, 2100.0,
    (GpuSample(0.1, 0.9, 2000.0), GpuSample(0.3, None, None), GpuSample(0.5, 1.0, 2100.0)),
)  # fmt: skip
ON_CPU = TrainingLoad("CPU", 1_000.0, 0.4, 0.9)
# as nvidia-smi prints them: a busy card, one that does not report it (MIG), a line that was cut off
# when it was ended
SAMPLES = """2026/11/21 15:21:08.250, 0, 612
2026/11/21 15:21:08.451, 93, 1874
2026/11/21 15:21:08.651, [N/A], [N/A]
Unable to determine the device handle for GPU0000:01:00.0: Unknown Error
2026/11/21 15:21:08.851, 97, 18"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    return make_synthetic_store(draw_recording(folder / "recording", 90), folder / "data.h5")


def test_the_json_has_the_series_and_null_where_nothing_was_measured():
    with_gpu = loads_as_json(Rounds({AFTER: [ON_GPU]}), 256, 1.0)["feeds"][AFTER]
    assert with_gpu["gpu_share"] == 0.95
    assert with_gpu["gpu_series"] == [[0.1, 0.9, 2000.0], [0.3, None, None], [0.5, 1.0, 2100.0]]
    without = loads_as_json(Rounds({AFTER: [ON_CPU]}, {"files": "gone"}), 32, 1.0)
    assert without["feeds"][AFTER] == {
        "samples_per_second": 1000, "data_wait_share": 0.4, "cpu_share": 0.9,
        "gpu_share": None, "gpu_memory_mb": None, "gpu_series": [],
    }  # fmt: skip
    assert without["skipped"] == {"files": "gone"}


def test_the_table_reports_a_missing_gpu():
    without, with_gpu = (load_rows(Rounds({AFTER: [load]}), 32) for load in (ON_CPU, ON_GPU))
    assert [any("no GPU" in row for row in rows) for rows in (without, with_gpu)] == [True, False]
    assert without[-1].split()[-1] == "-"
    assert with_gpu[-1].split()[-2:] == ["95%", "2,100"]


def test_the_ratios_are_those_of_rounds_next_to_each_other():
    # with augmentation, without it, by Keras
    rates = ((900.0, 90.0), (1000.0, 100.0), (1100.0, 110.0))
    loads = [[TrainingLoad("CPU", rate, 0.01, 0.9) for rate in of_rounds] for of_rounds in rates]
    measures = {
        measure.name.partition(", ")[0]: measure
        for measure in training_measures(loads, "batches of 32")
    }
    assert measures["with augmentation to without"].value == pytest.approx(90.0)
    assert measures["without augmentation to train_on_batch"].value == pytest.approx(100 / 1.1)
    assert (measures["waiting for data"].value, measures["waiting for data"].reached) == (
        pytest.approx(1.0),
        True,
    )


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
def test_training_without_a_gpu_is_measured_whatever_nvidia_smi_says(
    store, nvidia_smi, monkeypatch
):
    nvidia_smi()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    loads = run_rounds([BEFORE], partial(train_watched, store=store, seconds=0.5, batch_size=8), 1)
    ((load,),) = loads.results.values()
    assert load.samples_per_second > 0
    assert 0 <= load.data_wait_share <= 1
    assert (load.gpu_series, load.gpu_share, load.gpu_memory_mb, load.device) == (
        [],
        None,
        None,
        "CPU",
    )


@pytest.mark.long
def test_the_command_trains_on_every_feed(store):
    found = run_benchmark("feeds", "--store", store, "--seconds", 0.2, "--only", "gpu")
    assert set(found["gpu"]["feeds"]) == set(FEEDS)
    assert found["strategies"] == {}


def test_samples_are_read_with_their_time_and_other_lines_are_ignored():
    samples = parse_samples(SAMPLES, datetime(2026, 11, 21, 15, 21, 8))
    assert [round(sample.seconds, 3) for sample in samples] == [0.25, 0.451, 0.651]
    assert [sample.busy for sample in samples] == [0.0, 0.93, None]
    assert samples[2] == GpuSample(pytest.approx(0.651), None, None)
    assert busy_and_memory(samples) == (pytest.approx(0.465), pytest.approx(1965.0, abs=0.1))


TALKATIVE = """#!{python}
import time
from datetime import datetime
from pathlib import Path
for _ in range(5000):  # a pipe holds 64 kB
    print(datetime.now().strftime("%Y/%m/%d %H:%M:%S.%f")[:-3] + ", 80, 1000")
print(flush=True)
Path(__file__).with_name("said").touch()
time.sleep(60)
"""


def test_all_samples_of_a_long_block_are_kept(nvidia_smi, tmp_path):
    nvidia_smi(TALKATIVE.format(python=sys.executable))
    with GpuWatch() as watch:
        wait_for((tmp_path / "said").exists)
    assert len(watch.samples) == 5000


def test_a_card_is_sampled_within_the_block_and_nvidia_smi_ends_after_it(nvidia_smi):
    nvidia_smi()
    with GpuWatch(every_ms=20) as watch:
        time.sleep(0.5)
    times = [sample.seconds for sample in watch.samples]
    assert len(times) >= 3
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] < 2
    assert busy_and_memory(watch.samples) == (pytest.approx(0.8), pytest.approx(1048.6, abs=0.1))
    assert not [
        child for child in psutil.Process().children() if "nvidia-smi" in " ".join(child.cmdline())
    ]
